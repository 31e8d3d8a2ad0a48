//! A server of either era that tells of changes as a test says, and remembers what it was asked.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use mcp::{Id, Kind, Message, Method, Revision};
use tokio::sync::{Semaphore, mpsc};

use crate::error::{Error, Fault};
use crate::feed::Interest;
use crate::metrics::Metrics;
use crate::registry::{Timeouts, Upstream};
use crate::transport::{
    Agreement, Conversation, Discovery, Headers, Link, MessageStream, Pooled, Reply, Session, Transport,
};

pub(super) const TOOLS: &str = "notifications/tools/list_changed";
pub(super) const PROMPTS: &str = "notifications/prompts/list_changed";

/// The server. A clone is the same one.
#[derive(Clone)]
pub(super) struct Teller {
    state: Arc<Mutex<State>>,
    /// A place for each stream and subscription that is let be.
    gate: Arc<Semaphore>,
}

struct State {
    manner: Manner,
    log: Vec<String>,
    streams: Vec<Open>,
    opened: usize,
}

struct Open {
    number: usize,
    id: Option<Id>,
    ear: mpsc::Sender<Message>,
}

/// How it is.
#[derive(Clone)]
pub(super) struct Manner {
    pub(super) modern: bool,
    /// Whether streams and subscriptions wait until the test lets them be.
    pub(super) slow: bool,
    /// What it acknowledges, if not what it is asked.
    pub(super) acknowledges: Option<String>,
    /// What it says first.
    pub(super) babbles: Vec<Message>,
    /// An error in place of a stream.
    pub(super) refuses: Option<i64>,
    /// What happens in place of an answer.
    pub(super) fails: Option<Fault>,
    /// Whether it ends each stream as soon as it is acknowledged.
    pub(super) ends_at_once: bool,
    pub(super) declares: &'static str,
    /// URIs that it does not let be subscribed to.
    pub(super) denies: BTreeSet<String>,
    pub(super) tells_credentials_apart: bool,
}

impl Teller {
    pub(super) fn modern() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                manner: Manner {
                    modern: true,
                    slow: false,
                    acknowledges: None,
                    babbles: Vec::new(),
                    refuses: None,
                    fails: None,
                    ends_at_once: false,
                    declares: r#"{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true}}"#,
                    denies: BTreeSet::new(),
                    tells_credentials_apart: true,
                },
                log: Vec::new(),
                streams: Vec::new(),
                opened: 0,
            })),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    pub(super) fn legacy() -> Self {
        let teller = Self::modern();
        teller.is(|manner| manner.modern = false);
        teller
    }

    /// An upstream behind which this server is.
    pub(super) fn upstream(&self) -> Arc<Upstream> {
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
        let transport = Box::new(self.clone());
        Arc::new(Upstream::new(
            "docs".into(),
            Timeouts::default(),
            transport,
            None,
            metrics,
        ))
    }

    pub(super) fn is(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.locked().manner);
    }

    /// Lets so many more streams and subscriptions be, if it is slow.
    pub(super) fn lets(&self, many: usize) {
        self.gate.add_permits(many);
    }

    /// Says this on all its streams, as its era says it.
    pub(super) fn says(&self, method: &str, uri: Option<&str>) {
        let numbers: Vec<_> = self.locked().streams.iter().map(|open| open.number).collect();
        for number in numbers {
            self.says_on(number, method, uri);
        }
    }

    /// Says this on one of them.
    pub(super) fn says_on(&self, number: usize, method: &str, uri: Option<&str>) {
        let state = self.locked();
        let open = state.streams.iter().find(|open| open.number == number);
        let open = open.expect("it is open");
        open.says(&told(method, uri, open.id.as_ref()));
    }

    /// Says exactly this on its newest stream.
    pub(super) fn utters(&self, text: &str) {
        let message = Message::parse(text.to_owned().into(), &mcp::Limits::default()).unwrap();
        self.locked().streams.last().expect("one is open").says(&message);
    }

    /// The id of its newest subscription.
    pub(super) fn newest(&self) -> Id {
        self.locked().streams.last().unwrap().id.clone().unwrap()
    }

    /// Ends all streams.
    pub(super) fn cut(&self) {
        self.locked().streams.clear();
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.locked().log.clone()
    }

    pub(super) fn count(&self, what: &str) -> usize {
        self.log().iter().filter(|line| line.starts_with(what)).count()
    }

    /// What came since the last look.
    pub(super) fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.locked().log)
    }

    fn note(&self, line: String) {
        self.locked().log.push(line);
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn begin(&self, id: Option<Id>) -> (Told, mpsc::Sender<Message>) {
        let mut state = self.locked();
        let (ear, mouth) = mpsc::channel(64);
        state.opened += 1;
        let number = state.opened;
        state.streams.push(Open {
            number,
            id,
            ear: ear.clone(),
        });
        let stream = Told {
            server: self.clone(),
            number,
            mouth,
        };
        (stream, ear)
    }
}

impl Open {
    fn says(&self, message: &Message) {
        self.ear.try_send(message.clone()).unwrap();
    }
}

/// A notification of a change, in the words of a server.
fn told(method: &str, uri: Option<&str>, subscription: Option<&Id>) -> Message {
    let meta = subscription.map(|id| {
        format!(
            r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{}}}"#,
            id.raw()
        )
    });
    let uri = uri.map(|uri| format!(r#""uri":"{uri}""#));
    let members: Vec<_> = uri.into_iter().chain(meta).collect();
    let params = (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")));
    let message = Message::notification(method, params.as_deref());
    Message::parse(message.bytes().clone(), &mcp::Limits::default()).unwrap()
}

#[async_trait]
impl Transport for Teller {
    async fn discover(&self, _: &Headers) -> Result<Discovery, Error> {
        match self.locked().manner.modern {
            true => Ok(Discovery::Modern {
                revision: Revision::V2026_07_28,
                also_legacy: false,
            }),
            false => Ok(Discovery::Legacy),
        }
    }

    async fn share(&self, pooled: &Pooled, _: &Headers) -> Result<Agreement, Error> {
        let result = format!(
            r#"{{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{{}}}}"#,
            self.locked().manner.declares
        );
        let answer = Message::result_reply(&Id::number(0), &result);
        Ok(Agreement {
            session: Session {
                id: Some(scope(pooled).into()),
                revision: Revision::V2025_06_18,
                greeting: None,
            },
            result: Message::parse(answer.bytes().clone(), &mcp::Limits::default()).unwrap(),
        })
    }

    async fn open(&self, conversation: &Conversation, _: Arc<Headers>) -> Result<Box<dyn Link>, Error> {
        let ours = match conversation {
            Conversation::Bridged => self.locked().manner.modern,
            Conversation::Pooled(_) => !self.locked().manner.modern,
            Conversation::Modern | Conversation::Greeting | Conversation::Session(_) => false,
        };
        assert!(ours, "{conversation:?}");
        let scope = match conversation {
            Conversation::Pooled(pooled) => scope(pooled),
            _ => String::new(),
        };
        let server = self.clone();
        Ok(Box::new(Line { server, scope }))
    }

    async fn listen(&self, session: &Session, _: Arc<Headers>) -> Result<Box<dyn MessageStream>, Error> {
        let scope = session.id.as_deref().unwrap_or_default();
        self.note(format!("get{scope}"));
        let manner = self.locked().manner.clone();
        if manner.slow {
            self.gate.acquire().await.unwrap().forget();
        }
        match manner.fails {
            Some(fault) => Err(fault.of(&"docs".into())),
            None => Ok(Box::new(self.begin(None).0)),
        }
    }

    fn tells_credentials_apart(&self) -> bool {
        self.locked().manner.tells_credentials_apart
    }

    async fn end(&self, _: &Session, _: &Headers) {}
    async fn stop(&self) {}
    fn kind(&self) -> &'static str {
        "http"
    }
}

/// Whose session it is, behind a space; nothing where it is everybody's.
fn scope(pooled: &Pooled) -> String {
    let whose = String::from_utf8_lossy(&pooled.scope);
    whose
        .chars()
        .next()
        .map_or_else(String::new, |_| format!(" {whose}"))
}

/// What carries a message to it, and in whose session.
struct Line {
    server: Teller,
    scope: String,
}

#[async_trait]
impl Link for Line {
    async fn send(&mut self, message: &Message) -> Result<Reply, Error> {
        // Long enough for others to come.
        tokio::task::yield_now().await;
        let id = message.id().unwrap().clone();
        let manner = self.server.locked().manner.clone();
        if let Some(fault) = manner.fails {
            self.server.note("failed".into());
            return Err(fault.of(&"docs".into()));
        }
        let error = |code| Reply::one(200, Message::error_reply(Some(&id), code, "no", None));
        let params: serde_json::Value = serde_json::from_slice(message.params().unwrap()).unwrap();
        match message.method().unwrap() {
            Method::SubscriptionsListen => {
                let asked = message.params_member("notifications").unwrap();
                let asked = String::from_utf8(asked.to_vec()).unwrap();
                self.server.note(format!("listen {asked}"));
                if let Some(code) = manner.refuses {
                    return Ok(error(code));
                }
                let (stream, ear) = self.server.begin(Some(id.clone()));
                if manner.slow {
                    self.server.gate.acquire().await.unwrap().forget();
                }
                for message in manner.babbles {
                    ear.try_send(message).unwrap();
                }
                let acknowledged = manner.acknowledges.unwrap_or(asked);
                let method = "notifications/subscriptions/acknowledged";
                let text = format!(
                    r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{}}},"notifications":{acknowledged}}}}}"#,
                    id.raw()
                );
                let acknowledged = Message::parse(text.into(), &mcp::Limits::default()).unwrap();
                ear.try_send(acknowledged).unwrap();
                if manner.ends_at_once {
                    self.server.cut();
                }
                Ok(Reply::stream(Box::new(stream)))
            }
            method @ (Method::ResourcesSubscribe | Method::ResourcesUnsubscribe) => {
                let uri = params["uri"].as_str().unwrap().to_owned();
                let verb = method.as_str().trim_start_matches("resources/");
                self.server.note(format!("{verb} {uri}{}", self.scope));
                if manner.slow {
                    self.server.gate.acquire().await.unwrap().forget();
                }
                if manner.denies.contains(&uri) {
                    return Ok(error(-32002));
                }
                Ok(Reply::one(200, Message::result_reply(&id, "{}")))
            }
            other => panic!("{other} was not to be expected"),
        }
    }

    async fn cancel(&mut self, _: &Message, _: &str) {}
}

/// One of its streams.
struct Told {
    server: Teller,
    number: usize,
    mouth: mpsc::Receiver<Message>,
}

#[async_trait]
impl MessageStream for Told {
    async fn next(&mut self) -> Result<Message, Error> {
        let next = self.mouth.recv().await;
        next.ok_or_else(|| Fault::Broken("it ended".into()).of(&"docs".into()))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let mut state = self.server.locked();
        state.streams.retain(|open| open.number != self.number);
        let line = format!("closed {}", self.number);
        state.log.push(line);
    }
}

/// What somebody wants: `tools`, `prompts`, `resources` and URIs.
pub(super) fn interest(words: &[&str]) -> Interest {
    let mut interest = Interest::default();
    for word in words {
        match *word {
            "tools" => interest.tools = true,
            "prompts" => interest.prompts = true,
            "resources" => interest.resources = true,
            uri => drop(interest.uris.insert(uri.into())),
        }
    }
    interest
}

/// What a message says: `tools`, or the URI that was updated.
pub(super) fn said(message: &Message) -> String {
    assert_eq!(message.kind(), Kind::Notification);
    assert_eq!(message.subscription(), None, "{message:?}");
    let uri = message.params_member("uri");
    match uri.and_then(|uri| serde_json::from_slice(uri).ok()) {
        Some(uri) => uri,
        None => {
            let method = message.method().unwrap().as_str();
            method.split('/').nth(1).unwrap().to_owned()
        }
    }
}
