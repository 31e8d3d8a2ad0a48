//! For tests: a legacy server that keeps sessions as badly as it is told, and remembers what it was asked.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use mcp::{Id, Kind, Message, Revision};
use tokio::sync::mpsc;

use crate::error::{Error, Fault};
use crate::metrics::Metrics;
use crate::registry::{Timeouts, Upstream};
use crate::transport::{
    Agreement, Conversation, Discovery, Headers, Link, MessageStream, Pooled, Reply, Session, Transport,
};

pub(crate) const AGREED: Revision = Revision::V2025_06_18;

/// What a client of it said in its greeting.
pub(crate) const GREETING: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"roots":{}}}"#;

/// The server. A clone is the same one.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    sessions: HashSet<String>,
    begun: usize,
    answers_left: HashMap<String, usize>,
    log: Vec<String>,
    ears: Vec<mpsc::Sender<Message>>,
    behaviour: Behaviour,
}

/// How it is.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// A session ends with so many answers after its handshake.
    pub(crate) answers: Option<usize>,
    /// It forgets a session before it is used.
    pub(crate) forgets_at_once: bool,
    /// The revision it agrees to, if not the usual.
    pub(crate) agrees: Option<&'static str>,
    /// What it does in place of answering requests.
    pub(crate) fails: Option<Fault>,
    /// What it does in place of opening a stream.
    pub(crate) deaf: Option<Fault>,
}

impl Scripted {
    /// An upstream behind which this server is.
    pub(crate) fn upstream(&self) -> Arc<Upstream> {
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
        let pinned = Some(AGREED);
        let transport = Box::new(self.clone());
        Arc::new(Upstream::new(
            "docs".into(),
            Timeouts::default(),
            transport,
            pinned,
            metrics,
        ))
    }

    pub(crate) fn is(&self, behaviour: Behaviour) {
        self.locked().behaviour = behaviour;
    }

    /// Forgets all sessions, and ends their streams.
    pub(crate) fn restart(&self) {
        let mut state = self.locked();
        state.sessions.clear();
        state.ears.clear();
    }

    /// Forgets all sessions.
    pub(crate) fn forget(&self) {
        self.locked().sessions.clear();
    }

    /// Ends all streams.
    pub(crate) fn cut(&self) {
        self.locked().ears.clear();
    }

    /// Says something on its newest stream.
    pub(crate) fn say(&self, message: Message) {
        let state = self.locked();
        state
            .ears
            .last()
            .expect("somebody listens")
            .try_send(message)
            .unwrap();
    }

    /// `method session`, for all it carried out.
    pub(crate) fn log(&self) -> Vec<String> {
        self.locked().log.clone()
    }

    /// How often it was asked this.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.log().iter().filter(|line| line.starts_with(method)).count()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn carry_out(&self, session: Option<&str>, message: &Message) -> Result<Reply, Fault> {
        let mut state = self.locked();
        let behaviour = state.behaviour.clone();
        let method = message.method().map_or("answer".to_owned(), ToString::to_string);
        if let Some(fault) = behaviour.fails {
            return Err(fault);
        }
        if method == "initialize" {
            state.begun += 1;
            let session = format!("s{}", state.begun);
            state.log.push(format!("initialize {session}"));
            if !behaviour.forgets_at_once {
                state.sessions.insert(session.clone());
            }
            state
                .answers_left
                .insert(session.clone(), behaviour.answers.unwrap_or(usize::MAX));
            let asked = message.params_member("protocolVersion").unwrap();
            let asked = String::from_utf8(asked.to_vec()).unwrap();
            let agreed = behaviour.agrees.map_or(asked, |agreed| format!("\"{agreed}\""));
            let result = format!(
                r#"{{"protocolVersion":{agreed},"capabilities":{{"tools":{{"listChanged":true}}}},"serverInfo":{{}}}}"#
            );
            let answer = Message::result_reply(message.id().unwrap(), &result);
            return Ok(Reply {
                session: Some(session.into()),
                ..Reply::one(200, answer)
            });
        }
        let session = session.unwrap_or_default();
        if !state.sessions.contains(session) {
            return Err(Fault::SessionGone);
        }
        state.log.push(format!("{method} {session}"));
        if message.kind() != Kind::Request {
            return Ok(Reply::accepted());
        }
        let left = state.answers_left.get_mut(session).unwrap();
        *left -= 1;
        if *left == 0 {
            state.sessions.remove(session);
        }
        Ok(Reply::one(
            200,
            Message::result_reply(message.id().unwrap(), "{}"),
        ))
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn discover(&self, _: &Headers) -> Result<Discovery, Error> {
        Ok(Discovery::Legacy)
    }

    async fn share(&self, _: &Pooled, _: &Headers) -> Result<Agreement, Error> {
        unreachable!("its revision is pinned")
    }

    async fn open(&self, conversation: &Conversation, _: Arc<Headers>) -> Result<Box<dyn Link>, Error> {
        let session = match conversation {
            Conversation::Session(session) => session.id.as_deref().map(str::to_owned),
            Conversation::Modern
            | Conversation::Bridged
            | Conversation::Greeting
            | Conversation::Pooled(_) => None,
        };
        Ok(Box::new(Line {
            server: self.clone(),
            session,
        }))
    }

    async fn listen(&self, session: &Session, _: Arc<Headers>) -> Result<Box<dyn MessageStream>, Error> {
        let mut state = self.locked();
        state
            .log
            .push(format!("listen {}", session.id.as_deref().unwrap_or("-")));
        if let Some(fault) = state.behaviour.deaf.clone() {
            return Err(fault.of(&"docs".into()));
        }
        if !state.sessions.contains(session.id.as_deref().unwrap_or_default()) {
            return Err(Fault::SessionGone.of(&"docs".into()));
        }
        let (ear, mouth) = mpsc::channel(64);
        state.ears.push(ear);
        Ok(Box::new(Stream(mouth)))
    }

    async fn end(&self, session: &Session, _: &Headers) {
        let mut state = self.locked();
        let id = session.id.as_deref().unwrap_or_default();
        state.sessions.remove(id);
        state.log.push(format!("end {id}"));
    }

    async fn stop(&self) {}

    fn kind(&self) -> &'static str {
        "http"
    }
}

struct Line {
    server: Scripted,
    session: Option<String>,
}

#[async_trait]
impl Link for Line {
    async fn send(&mut self, message: &Message) -> Result<Reply, Error> {
        // Long enough for others to come, and for a caller to leave.
        tokio::task::yield_now().await;
        let outcome = self.server.carry_out(self.session.as_deref(), message);
        outcome.map_err(|fault| fault.of(&"docs".into()))
    }

    async fn cancel(&mut self, _: &Message, _: &str) {}
}

struct Stream(mpsc::Receiver<Message>);

#[async_trait]
impl MessageStream for Stream {
    async fn next(&mut self) -> Result<Message, Error> {
        let next = self.0.recv().await;
        next.ok_or_else(|| Fault::Broken("it ended".into()).of(&"docs".into()))
    }
}

/// A request of this method.
pub(crate) fn request(method: &str, params: &str) -> Message {
    let message = Message::request(&Id::number(1), method, Some(params));
    Message::parse(message.bytes().clone(), &mcp::Limits::default()).unwrap()
}

/// A client's `initialize`, and the session that it begins.
pub(crate) async fn begin(upstream: &Arc<Upstream>) -> Session {
    let greeting = GREETING.replace("2025-11-25", AGREED.as_str());
    let mut exchange = upstream
        .open(Conversation::Greeting, Headers::default())
        .await
        .unwrap();
    let reply = exchange.send(&request("initialize", &greeting)).await.unwrap();
    Session {
        id: reply.session,
        revision: AGREED,
        greeting: Some(GREETING.into()),
    }
}

/// Sends a message in a session.
pub(crate) async fn send(
    upstream: &Arc<Upstream>,
    session: &Session,
    message: &Message,
) -> Result<Reply, Error> {
    let conversation = Conversation::Session(session.clone());
    let mut exchange = upstream.open(conversation, Headers::default()).await?;
    exchange.send(message).await
}

/// Calls a tool in a session.
pub(crate) async fn call(upstream: &Arc<Upstream>, session: &Session) -> Result<Reply, Error> {
    send(upstream, session, &request("tools/call", r#"{"name":"x"}"#)).await
}
