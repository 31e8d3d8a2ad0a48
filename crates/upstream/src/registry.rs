//! Every upstream of the configuration, by name: what it is, what is known of it, how it is reached.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mcp::{Era, Kind, Message, Revision};
use prometheus::IntGauge;

use crate::error::{Error, Fault};
use crate::handshake::{Eras, Knowledge, Legacy};
use crate::metrics::Metrics;
use crate::transport::{Conversation, Headers, Link, Messages, Reply, Session, Transport};

/// One upstream of the configuration.
pub struct Upstream {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// How long its calls may take.
    pub timeouts: Timeouts,
    transport: Box<dyn Transport>,
    knowledge: Knowledge,
    metrics: Arc<Metrics>,
    up: IntGauge,
}

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

/// An exchange with an upstream that was opened and not yet sent.
pub struct Exchange {
    upstream: Arc<Upstream>,
    conversation: Conversation,
    headers: Arc<Headers>,
    link: Box<dyn Link>,
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
        Self {
            name,
            timeouts,
            transport,
            knowledge: Knowledge::new(pinned),
            metrics,
            up,
        }
    }

    /// `http` or `stdio`.
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
    /// When it cannot be reached, or does not speak the era of the conversation.
    pub async fn open(
        self: &Arc<Self>,
        conversation: Conversation,
        headers: Headers,
    ) -> Result<Exchange, Error> {
        let headers = Arc::new(headers);
        let link = self
            .link(&conversation, &headers)
            .await
            .inspect_err(|error| self.note(Some(error)))?;
        Ok(Exchange {
            upstream: Arc::clone(self),
            conversation,
            headers,
            link,
        })
    }

    /// Ends a session that a client began.
    pub async fn end(&self, session: &Session, headers: &Headers) {
        self.transport.end(session, headers).await;
    }

    /// Ends all its processes.
    pub async fn stop(&self) {
        self.transport.stop().await;
    }

    /// What it speaks, asked for if need be.
    pub(crate) async fn learn(&self, headers: &Headers) -> Result<Arc<Eras>, Error> {
        if let Some(known) = self.knowledge.known() {
            return Ok(known);
        }
        self.metrics.probes.with_label_values(&[&self.name]).inc();
        self.knowledge.learn(&*self.transport, headers).await
    }

    async fn link(
        &self,
        conversation: &Conversation,
        headers: &Arc<Headers>,
    ) -> Result<Box<dyn Link>, Error> {
        let wanted = match conversation {
            Conversation::Modern => Era::Modern,
            // What was agreed in its handshake holds for the whole session.
            Conversation::Session(_) => return self.transport.open(conversation, Arc::clone(headers)).await,
            Conversation::Greeting | Conversation::Shared => Era::Legacy,
        };
        let eras = self.learn(headers).await?;
        if !eras.may_speak(wanted) {
            return Err(self.does_not_speak(wanted));
        }
        match self.transport.open(conversation, Arc::clone(headers)).await {
            Err(Error {
                fault: Fault::Broken(_) | Fault::Status { .. } | Fault::Misjudged(_),
                ..
            }) if matches!(conversation, Conversation::Shared) && eras.legacy == Legacy::Unasked => {
                self.knowledge.note_legacy(Legacy::NotSpoken);
                Err(self.does_not_speak(Era::Legacy))
            }
            opened => opened,
        }
    }

    /// How a client's `initialize` went tells whether legacy clients are understood at all, when a
    /// 2026-07-28 upstream had not been asked before.
    fn judge_greeting(&self, outcome: Result<Reply, Error>) -> Result<Reply, Error> {
        if self
            .knowledge
            .known()
            .is_none_or(|eras| eras.legacy != Legacy::Unasked)
        {
            return outcome;
        }
        let refused = match &outcome {
            Ok(Reply {
                messages: Messages::One(message),
                ..
            }) => message.kind() == Kind::Error,
            Ok(_) => false,
            Err(error) => matches!(error.fault, Fault::Status { .. } | Fault::Misjudged(_)),
        };
        if refused {
            self.knowledge.note_legacy(Legacy::NotSpoken);
            return Err(self.does_not_speak(Era::Legacy));
        }
        if outcome.is_ok() {
            self.knowledge.note_legacy(Legacy::Spoken(Revision::V2025_11_25));
        }
        outcome
    }

    fn does_not_speak(&self, wanted: Era) -> Error {
        Fault::NotSpoken { wanted }.of(&self.name)
    }

    /// Keeps the health of the upstream: only what says that it is not there counts against it.
    fn note(&self, error: Option<&Error>) {
        let up = match error.map(|error| &error.fault) {
            Some(
                Fault::Unreachable(_)
                | Fault::Silent(_)
                | Fault::Broken(_)
                | Fault::NotStarted(_)
                | Fault::Exited(_),
            ) => 0,
            Some(Fault::Status { status, .. }) if *status >= 500 => 0,
            Some(Fault::Full(_)) => return,
            Some(_) | None => 1,
        };
        self.up.set(up);
    }
}

impl Exchange {
    /// Sends the message and waits for the first thing that comes back. An upstream that refuses it
    /// for speaking otherwise than assumed is asked anew, and the message sent once more: it was
    /// refused, so this is not a second call.
    ///
    /// # Errors
    /// When the exchange fails before anything came back.
    pub async fn send(&mut self, message: &Message) -> Result<Reply, Error> {
        let mut outcome = self.link.send(message).await;
        if let Err(Error {
            fault: Fault::Misjudged(_),
            ..
        }) = &outcome
            && !matches!(self.conversation, Conversation::Session(_))
        {
            self.upstream.knowledge.forget();
            outcome = match self.upstream.link(&self.conversation, &self.headers).await {
                Ok(link) => {
                    self.link = link;
                    self.link.send(message).await
                }
                Err(error) => Err(error),
            };
        }
        self.upstream.note(outcome.as_ref().err());
        match self.conversation {
            Conversation::Greeting => self.upstream.judge_greeting(outcome),
            Conversation::Modern | Conversation::Session(_) | Conversation::Shared => outcome,
        }
    }

    /// Tells the upstream that nobody waits for this request any more.
    pub async fn cancel(&mut self, request: &Message, reason: &str) {
        self.link.cancel(request, reason).await;
    }
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
