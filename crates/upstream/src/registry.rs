//! Every upstream of the configuration, by name: what it is, what is known of it, how it is reached.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mcp::{Era, Kind, Revision};
use prometheus::IntGauge;

use crate::breaker::{Breaker, Pass};
use crate::catalog::{Catalogs, Place};
use crate::error::{Error, Fault};
use crate::exchange::Exchange;
use crate::feed::Feeds;
use crate::flight::Flight;
use crate::handshake::{self, Eras, Knowledge, Legacy};
use crate::introduction::Introductions;
use crate::listening::Listening;
use crate::metrics::Metrics;
use crate::removal::Removal;
use crate::renewal::Renewals;
use crate::slots::Slots;
use crate::taken_back::TakenBack;
use crate::transport::{
    Agreement, Conversation, Headers, Link, MessageStream, Messages, Overheard, Pooled, Reply, Session,
    Transport,
};
use crate::unlisted::Unlisted;

/// One upstream of the configuration.
pub struct Upstream {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// How long its calls may take.
    pub timeouts: Timeouts,
    transport: Arc<dyn Transport>,
    knowledge: Knowledge,
    metrics: Arc<Metrics>,
    up: IntGauge,
    removal: Arc<Removal>,
    pub(crate) renewals: Renewals,
    pub(crate) taken_back: TakenBack,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) slots: Slots,
    pub(crate) asking_both: Flight<Arc<Eras>>,
    pub(crate) introductions: Introductions,
    pub(crate) catalogs: Catalogs,
    pub(crate) unlisted: Unlisted,
    pub(crate) feeds: Feeds,
}

/// Calls that an upstream is given at once, unless its `max_concurrency` says otherwise.
pub(crate) const MAX_CONCURRENCY: usize = 1024;

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The longest silence within a call; whatever the upstream says of the call begins it anew.
    pub silence: Duration,
    /// The longest call, whatever it says.
    pub whole: Duration,
}

impl Default for Timeouts {
    /// 300 s of silence, one hour in all.
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(300),
            whole: Duration::from_secs(3600),
        }
    }
}

impl Upstream {
    /// An upstream behind its transport; `pinned` when its revision is not to be asked for.
    pub fn new(
        name: Arc<str>,
        timeouts: Timeouts,
        transport: Box<dyn Transport>,
        pinned: Option<Revision>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let up = metrics.up.with_label_values(&[&name]);
        let breaker_open = metrics.breaker_open.with_label_values(&[&name]);
        Self {
            breaker: Breaker::new(Arc::clone(&name), breaker_open),
            renewals: Renewals::default(),
            taken_back: TakenBack::default(),
            slots: Slots::new(MAX_CONCURRENCY),
            asking_both: Flight::default(),
            introductions: Introductions::default(),
            catalogs: Catalogs::new(&name, &metrics),
            unlisted: Unlisted::default(),
            feeds: Feeds::default(),
            name,
            timeouts,
            transport: transport.into(),
            knowledge: Knowledge::new(pinned),
            metrics,
            up,
            removal: Arc::default(),
        }
    }

    /// The same upstream, given at most this many calls at once.
    #[must_use]
    pub fn at_once(mut self, calls: usize) -> Self {
        self.slots = Slots::new(calls);
        self
    }

    /// The same upstream, with what is known of it kept across restarts.
    #[must_use]
    pub fn knowing(mut self, knowledge: Knowledge) -> Self {
        self.knowledge = knowledge;
        self
    }

    /// The same upstream, with what it has kept in this place across restarts.
    #[must_use]
    pub fn cataloguing(mut self, place: Place) -> Self {
        self.catalogs = self.catalogs.kept_in(place);
        self
    }

    /// `http`, `sse` or `stdio`.
    pub fn kind(&self) -> &'static str {
        self.transport.kind()
    }

    /// What is known of its eras.
    pub fn eras(&self) -> Option<Arc<Eras>> {
        self.knowledge.known()
    }

    /// Whether the last exchange with it went through.
    pub fn is_up(&self) -> bool {
        self.up.get() == 1
    }

    /// Opens an exchange. An upstream whose eras are unknown is asked first.
    ///
    /// # Errors
    /// When it cannot be reached, was found unreachable just now, or does not speak the era of the
    /// conversation.
    pub async fn open(
        self: &Arc<Self>,
        conversation: Conversation,
        headers: impl Into<Arc<Headers>>,
    ) -> Result<Exchange, Error> {
        Exchange::open(Arc::clone(self), conversation, headers.into()).await
    }

    /// Opens what it says in a session outside of any call.
    pub fn listen(self: &Arc<Self>, session: Session, headers: Arc<Headers>) -> Listening {
        Listening::new(Arc::clone(self), session, headers)
    }

    pub(crate) async fn open_listening(
        &self,
        session: &Session,
        headers: &Arc<Headers>,
    ) -> Result<Box<dyn MessageStream>, Error> {
        let pass = self.breaker.admit()?;
        judged(pass, self.transport.listen(session, Arc::clone(headers)).await)
    }

    /// Opens what it says outside of any call in this session of the gateway's own.
    pub(crate) async fn overhear(&self, pooled: &Pooled, headers: &Arc<Headers>) -> Result<Overheard, Error> {
        let pass = self.breaker.admit()?;
        judged(pass, self.transport.overhear(pooled, headers).await)
    }

    pub(crate) fn tells_credentials_apart(&self) -> bool {
        self.transport.tells_credentials_apart()
    }

    /// A reload removed it: whoever listens to it is told, running calls go on.
    pub fn remove(&self) {
        self.knowledge.stop();
        self.catalogs.remove();
        self.feeds.remove();
        self.removal.announce();
    }

    /// Waits until a reload removes it.
    pub async fn removed(&self) {
        self.removal.announced().await;
    }

    /// How far its removal has come, for who runs a call there.
    pub fn removal(&self) -> Arc<Removal> {
        Arc::clone(&self.removal)
    }

    /// It was removed, and what still runs there has had its grace: it ends with [`Fault::Removed`]. To be called
    /// before [`Upstream::stop`], or the calls end as its processes do.
    pub fn cut(&self) {
        self.removal.cut();
    }

    /// Ends a session that a client began, for good.
    pub async fn end(&self, session: &Session, headers: &Headers) {
        let current = self.renewals.end(session, headers);
        self.end_behind(&current, headers).await;
    }

    /// Ends what the gateway keeps here for nobody outside of this [`Pooled::scope`](crate::Pooled::scope), at the end
    /// of whose it was. Nothing of it may be used any more.
    pub fn release(&self, scope: &[u8]) {
        self.transport.release(scope);
    }

    /// Ends a session as the upstream knows it.
    pub(crate) async fn end_behind(&self, session: &Session, headers: &Headers) {
        self.transport.end(session, headers).await;
    }

    pub(crate) fn count_renewal(&self) {
        self.metrics.renewed.with_label_values(&[&self.name]).inc();
    }

    pub(crate) fn feeds_gauge(&self) -> IntGauge {
        self.metrics.feeds.with_label_values(&[&self.name])
    }

    pub(crate) fn count_lost_feed(&self) {
        self.metrics.feeds_lost.with_label_values(&[&self.name]).inc();
    }

    #[cfg(test)]
    pub(crate) fn children(&self) -> i64 {
        self.metrics.children.with_label_values(&[&self.name]).get()
    }

    #[cfg(test)]
    pub(crate) fn feeds_lost(&self) -> u64 {
        self.metrics.feeds_lost.with_label_values(&[&self.name]).get()
    }

    /// Ends all its processes, and what is heard and kept of its changes.
    pub async fn stop(&self) {
        self.knowledge.stop();
        self.catalogs.stop().await;
        self.feeds.stop().await;
        self.transport.stop().await;
    }

    /// What it speaks, asked for if that is not known; never with a client's call.
    ///
    /// # Errors
    /// When it cannot be reached, or what it answers says nothing of eras.
    pub async fn learn(&self, headers: &Headers) -> Result<Arc<Eras>, Error> {
        if self.knowledge.known().is_none() {
            self.metrics.probes.with_label_values(&[&self.name]).inc();
        }
        self.knowledge.learn(&self.transport, headers).await
    }

    /// Finds or begins a session of the gateway's own. An upstream whose eras are unknown, or turn out to
    /// be others, is asked first.
    ///
    /// # Errors
    /// When it cannot be reached or does not speak a legacy revision.
    pub(crate) async fn share(&self, pooled: &Pooled, headers: &Headers) -> Result<Agreement, Error> {
        let eras = self.learn(headers).await?;
        if !eras.may_speak(Era::Legacy) {
            return Err(self.does_not_speak(Era::Legacy));
        }
        let shared = self.transport.share(pooled, headers).await;
        match shared.as_ref().map_err(|error| &error.fault) {
            Err(Fault::Misjudged(_)) => {
                // Nothing was sent in it yet.
                self.forget_eras();
                self.learn(headers).await?;
                self.transport.share(pooled, headers).await
            }
            Err(Fault::NotSpoken { wanted: Era::Legacy }) => {
                self.legacy_refused();
                shared
            }
            Ok(_) | Err(_) => shared,
        }
    }

    /// Opens what carries the messages of a conversation, as the upstream knows it.
    pub(crate) async fn link(
        &self,
        conversation: &Conversation,
        headers: &Arc<Headers>,
    ) -> Result<Box<dyn Link>, Error> {
        let wanted = match conversation {
            Conversation::Modern | Conversation::Bridged => Era::Modern,
            // What was agreed in its handshake holds for the whole session.
            Conversation::Session(_) => return self.transport.open(conversation, Arc::clone(headers)).await,
            Conversation::Greeting | Conversation::Pooled(_) => Era::Legacy,
        };
        let mut eras = self.learn(headers).await?;
        if !eras.may_speak(wanted) {
            let reconsidered = self.knowledge.reconsider(&self.transport, headers).await?;
            eras = reconsidered.unwrap_or(eras);
        }
        if !eras.may_speak(wanted) {
            return Err(self.does_not_speak(wanted));
        }
        let mut opened = self.transport.open(conversation, Arc::clone(headers)).await;
        if let Err(Error {
            fault: Fault::Misjudged(_),
            ..
        }) = &opened
        {
            // Nothing was sent yet.
            self.forget_eras();
            eras = self.learn(headers).await?;
            if !eras.may_speak(wanted) {
                return Err(self.does_not_speak(wanted));
            }
            opened = self.transport.open(conversation, Arc::clone(headers)).await;
        }
        match opened {
            Err(error) if error.fault == (Fault::NotSpoken { wanted: Era::Legacy }) => {
                self.legacy_refused();
                Err(error)
            }
            opened => opened,
        }
    }

    /// How a client's `initialize` went may tell whether legacy clients are understood, or only what this one
    /// wrote: a refusal is a reason to ask with a greeting of our own, once in a while, and locks nobody out.
    ///
    /// # Errors
    /// [`Fault::NotSpoken`] when that is to be found out now, or was found not to be so.
    pub(crate) async fn judge_greeting(
        &self,
        outcome: Result<Reply, Error>,
        headers: &Headers,
    ) -> Result<Reply, Error> {
        let Some(eras) = self.knowledge.known() else {
            return outcome;
        };
        let (refused, agreed) = match &outcome {
            Ok(Reply {
                messages: Messages::One(message),
                ..
            }) => (handshake::refuses_legacy(message), message.kind() == Kind::Result),
            Ok(_) => (false, true),
            // A status that says something of the request's form, and nothing of who sent it or when.
            Err(error) => {
                let of_form = matches!(
                    error.fault,
                    Fault::Status {
                        status: 400 | 404 | 405 | 415,
                        ..
                    }
                );
                (of_form, false)
            }
        };
        if !refused {
            if agreed && eras.legacy == Legacy::Unasked {
                self.knowledge.note_legacy(Legacy::Spoken(Revision::V2025_11_25));
            }
            return outcome;
        }
        let not_spoken = match eras.modern {
            Some(_) => {
                let doubted = self.knowledge.doubt_legacy();
                if doubted {
                    // What was agreed with another server answers nothing.
                    self.transport.forget(headers);
                }
                doubted
            }
            // It spoke legacy and does not seem to any more.
            None => {
                let anew = self.doubt(headers).await;
                anew.is_some_and(|eras| !matches!(eras.legacy, Legacy::Spoken(_)))
            }
        };
        if not_spoken {
            return Err(self.does_not_speak(Era::Legacy));
        }
        outcome
    }

    /// A legacy conversation was refused for being one.
    fn legacy_refused(&self) {
        if !self.knowledge.note_refused() {
            self.forget_eras();
        }
    }

    /// Whether it answers `initialize` is known now.
    pub(crate) fn note_legacy(&self, legacy: Legacy) {
        self.knowledge.note_legacy(legacy);
    }

    /// An assumption about its eras failed: the next call asks again.
    pub(crate) fn forget_eras(&self) {
        self.forget_what_it_said();
        self.knowledge.forget();
    }

    /// Another server may answer there now.
    pub(crate) fn forget_what_it_said(&self) {
        self.introductions.forget();
        self.catalogs.doubt();
        self.unlisted.forget();
    }

    /// Asks anew what it speaks, if that was not done just now.
    pub(crate) async fn ask_anew(&self, headers: &Headers) -> Option<Arc<Eras>> {
        self.knowledge.doubt(&self.transport, headers).await
    }

    pub(crate) fn does_not_speak(&self, wanted: Era) -> Error {
        Fault::NotSpoken { wanted }.of(&self.name)
    }

    /// Keeps the health of the upstream: only what says that it is not there counts against it.
    pub(crate) fn note(&self, error: Option<&Error>) {
        let up = match error.map(|error| &error.fault) {
            Some(
                Fault::Unreachable(_)
                | Fault::Silent(_)
                | Fault::Broken(_)
                | Fault::NotAgreed
                | Fault::NotStarted(_)
                | Fault::Exited(_),
            ) => 0,
            Some(Fault::Status { status, .. }) if *status >= 500 => 0,
            Some(Fault::Full(_) | Fault::Cancelled) => return,
            Some(_) | None => 1,
        };
        self.up.set(up);
    }

    /// A call took longer than it may.
    pub(crate) fn note_silence(&self) {
        self.up.set(0);
    }
}

/// What came of opening a stream outside of calls, of which the breaker learns what it tells of calls.
fn judged<T>(mut pass: Pass, opened: Result<T, Error>) -> Result<T, Error> {
    // A stream that fails says nothing of calls, and a session that is gone may have been looked up here.
    let tells = match opened.as_ref().map_err(|error| &error.fault) {
        Err(Fault::Status { .. } | Fault::SessionGone | Fault::NotOffered) => false,
        Ok(_) | Err(_) => true,
    };
    if tells {
        pass.learned(&opened);
    }
    opened
}

/// All upstreams.
#[derive(Default)]
pub struct Registry {
    upstreams: Vec<Arc<Upstream>>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Registry {
    /// In the order of the configuration.
    pub fn new(upstreams: Vec<Arc<Upstream>>) -> Self {
        let by_name = upstreams
            .iter()
            .enumerate()
            .map(|(index, upstream)| (upstream.name.clone(), index))
            .collect();
        Self { upstreams, by_name }
    }

    /// The upstream of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.by_name.get(name).map(|index| &self.upstreams[*index])
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.iter()
    }

    /// Ends all their processes, side by side.
    pub async fn stop(&self) {
        futures_util::future::join_all(self.upstreams.iter().map(|upstream| upstream.stop())).await;
    }
}

#[cfg(test)]
mod tests;
