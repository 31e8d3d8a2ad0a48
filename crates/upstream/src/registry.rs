//! Every upstream of the configuration, by name: what it is, what is known of it, how it is reached.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mcp::{Era, Message, Revision};
use prometheus::IntGauge;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Fault};
use crate::handshake::{self, Eras, Knowledge, Legacy};
use crate::listening::Listening;
use crate::metrics::Metrics;
use crate::transport::{Conversation, Headers, Link, MessageStream, Messages, Reply, Session, Transport};

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
    removed: CancellationToken,
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
            removed: CancellationToken::new(),
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

    /// Opens what it says in a session outside of any call.
    pub fn listen(self: &Arc<Self>, session: Session, headers: Headers) -> Listening {
        Listening::new(Arc::clone(self), session, headers)
    }

    pub(crate) async fn open_listening(
        &self,
        session: &Session,
        headers: &Arc<Headers>,
    ) -> Result<Box<dyn MessageStream>, Error> {
        self.transport.listen(session, Arc::clone(headers)).await
    }

    /// A reload removed it: whoever listens to it is told, running calls go on.
    pub fn remove(&self) {
        self.removed.cancel();
    }

    /// Waits until a reload removes it.
    pub async fn removed(&self) {
        self.removed.cancelled().await;
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
            Err(error) if error.fault == (Fault::NotSpoken { wanted: Era::Legacy }) => {
                self.legacy_refused(eras.legacy);
                Err(error)
            }
            opened => opened,
        }
    }

    /// How a client's `initialize` went tells whether legacy clients are understood.
    fn judge_greeting(&self, outcome: Result<Reply, Error>) -> Result<Reply, Error> {
        let Some(eras) = self.knowledge.known() else {
            return outcome;
        };
        let refused = match &outcome {
            Ok(Reply {
                messages: Messages::One(message),
                ..
            }) => handshake::refuses_legacy(message),
            Ok(_) => false,
            // A status that says something of the request's form, and nothing of who sent it or when.
            Err(error) => matches!(
                error.fault,
                Fault::Status {
                    status: 400 | 404 | 405 | 415,
                    ..
                }
            ),
        };
        if refused && eras.modern.is_some() {
            self.legacy_refused(eras.legacy);
            return Err(self.does_not_speak(Era::Legacy));
        }
        if refused {
            // It spoke legacy and does not seem to any more.
            self.knowledge.forget();
        } else if outcome.is_ok() && eras.legacy == Legacy::Unasked {
            self.knowledge.note_legacy(Legacy::Spoken(Revision::V2025_11_25));
        }
        outcome
    }

    /// A legacy conversation was refused for being one.
    fn legacy_refused(&self, assumed: Legacy) {
        match assumed {
            Legacy::Unasked => self.knowledge.note_legacy(Legacy::NotSpoken),
            Legacy::Spoken(_) | Legacy::NotSpoken => self.knowledge.forget(),
        }
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
            Some(Fault::Full(_) | Fault::Cancelled) => return,
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
        if matches!(&outcome, Ok(Reply { doubtful: true, .. })) {
            self.upstream.knowledge.forget();
            let eras = self.upstream.learn(&self.headers).await?;
            if !eras.may_speak(Era::Modern) {
                outcome = Err(self.upstream.does_not_speak(Era::Modern));
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Discovery;
    use async_trait::async_trait;
    use mcp::Id;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A server that answers as a test says, one word per question.
    #[derive(Default)]
    struct Scripted {
        discoveries: Mutex<Vec<Result<Discovery, Fault>>>,
        asked: AtomicUsize,
        answers: Mutex<Vec<Result<&'static str, Fault>>>,
        sent: AtomicUsize,
    }

    #[derive(Clone)]
    struct Script(Arc<Scripted>);

    fn name() -> Arc<str> {
        "scripted".into()
    }

    #[async_trait]
    impl Transport for Script {
        async fn discover(&self, _: &Headers) -> Result<Discovery, Error> {
            self.0.asked.fetch_add(1, Ordering::Relaxed);
            // Long enough for others to come and wait.
            tokio::task::yield_now().await;
            let next = self.0.discoveries.lock().unwrap().remove(0);
            next.map_err(|fault| fault.of(&name()))
        }
        async fn share(&self, _: &Headers) -> Result<Session, Error> {
            Ok(Session {
                greeting: None,
                id: None,
                revision: Revision::V2025_06_18,
            })
        }
        async fn open(&self, _: &Conversation, _: Arc<Headers>) -> Result<Box<dyn Link>, Error> {
            Ok(Box::new(self.clone()))
        }
        async fn listen(&self, _: &Session, _: Arc<Headers>) -> Result<Box<dyn MessageStream>, Error> {
            Err(Fault::NotOffered.of(&name()))
        }

        async fn end(&self, _: &Session, _: &Headers) {}
        async fn stop(&self) {}
        fn kind(&self) -> &'static str {
            "http"
        }
    }

    #[async_trait]
    impl Link for Script {
        async fn send(&mut self, _: &Message) -> Result<Reply, Error> {
            self.0.sent.fetch_add(1, Ordering::Relaxed);
            match self.0.answers.lock().unwrap().remove(0) {
                Ok(text) => Ok(Reply::one(
                    200,
                    Message::parse(text.into(), &mcp::Limits::default()).unwrap(),
                )),
                Err(fault) => Err(fault.of(&name())),
            }
        }
        async fn cancel(&mut self, _: &Message, _: &str) {}
    }

    fn upstream(
        discoveries: Vec<Result<Discovery, Fault>>,
        answers: Vec<Result<&'static str, Fault>>,
    ) -> (Arc<Upstream>, Arc<Scripted>) {
        let script = Arc::new(Scripted {
            discoveries: Mutex::new(discoveries),
            answers: Mutex::new(answers),
            ..Scripted::default()
        });
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
        let transport = Box::new(Script(Arc::clone(&script)));
        (
            Arc::new(Upstream::new(
                name(),
                Timeouts::default(),
                transport,
                None,
                metrics,
            )),
            script,
        )
    }

    fn modern() -> Result<Discovery, Fault> {
        Ok(Discovery::Modern {
            revision: Revision::V2026_07_28,
            also_legacy: false,
        })
    }

    fn call() -> Message {
        Message::request(&Id::number(1), "tools/call", Some(r#"{"name":"x"}"#))
    }

    const DONE: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;

    #[tokio::test]
    async fn an_upstream_is_asked_once_for_all_who_wait() {
        let (upstream, script) = upstream(vec![modern()], vec![]);
        let headers = Headers::default();
        let all = (0..10).map(|_| upstream.learn(&headers));
        let learned = futures_util::future::join_all(all).await;
        assert!(learned.iter().all(|eras| eras.as_ref().unwrap().modern.is_some()));
        assert_eq!(script.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_upstream_that_is_not_there_keeps_nobody_waiting_in_turn() {
        let gone = || Err(Fault::Unreachable("it refuses connections".into()));
        let (upstream, script) = upstream(vec![gone(), modern()], vec![]);
        let headers = Headers::default();
        let learned = futures_util::future::join_all((0..10).map(|_| upstream.learn(&headers))).await;
        assert!(learned.iter().all(Result::is_err));
        assert_eq!(
            script.asked.load(Ordering::Relaxed),
            1,
            "those who waited share what was found"
        );
        assert!(upstream.learn(&headers).await.is_ok(), "and it is not remembered");
    }

    #[tokio::test]
    async fn a_refused_call_is_sent_once_more_after_asking_anew() {
        let refused = Fault::Misjudged("it refuses".into());
        let (upstream, script) = upstream(vec![modern(), modern()], vec![Err(refused), Ok(DONE)]);
        let mut exchange = upstream
            .open(Conversation::Modern, Headers::default())
            .await
            .unwrap();
        assert!(exchange.send(&call()).await.is_ok());
        assert_eq!(script.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_call_that_broke_is_not_sent_again() {
        let broke = Fault::Broken("it closed the connection".into());
        let (upstream, script) = upstream(vec![modern()], vec![Err(broke)]);
        let mut exchange = upstream
            .open(Conversation::Modern, Headers::default())
            .await
            .unwrap();
        assert!(exchange.send(&call()).await.is_err());
        assert_eq!(script.sent.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_server_that_became_legacy_says_so_to_the_next_modern_call() {
        let refused = Fault::Misjudged("it refuses".into());
        let (upstream, _) = upstream(vec![modern(), Ok(Discovery::Legacy)], vec![Err(refused)]);
        let mut exchange = upstream
            .open(Conversation::Modern, Headers::default())
            .await
            .unwrap();
        let error = exchange.send(&call()).await.err().unwrap();
        assert_eq!(error.fault, Fault::NotSpoken { wanted: Era::Modern });
    }

    #[tokio::test]
    async fn only_words_about_the_era_lock_legacy_clients_out() {
        for (answer, locked_out) in [
            (
                Err(Fault::Status {
                    status: 503,
                    retry_after: None,
                }),
                false,
            ),
            (Err(Fault::Broken("reset".into())), false),
            (
                Ok(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"your fault"}}"#),
                false,
            ),
            (
                Ok(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"what is that?"}}"#),
                true,
            ),
            (
                Ok(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"not spoken"}}"#),
                true,
            ),
            (
                Err(Fault::Status {
                    status: 404,
                    retry_after: None,
                }),
                true,
            ),
        ] {
            let words = format!("{answer:?}");
            let (upstream, _) = upstream(vec![modern()], vec![answer]);
            let mut exchange = upstream
                .open(Conversation::Greeting, Headers::default())
                .await
                .unwrap();
            let _ = exchange.send(&call()).await;
            let known = upstream.eras().unwrap();
            assert_eq!(known.legacy == Legacy::NotSpoken, locked_out, "{words}");
        }
    }
}
