//! A server of either era that lists what a test says, as it says, and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderValue, header};
use mcp::{Id, Message, Method, Revision};
use tokio::sync::mpsc;

use crate::catalog::Listing;
use crate::error::{Error, Fault};
use crate::metrics::Metrics;
use crate::registry::{Timeouts, Upstream};
use crate::transport::{
    Agreement, Conversation, Discovery, Headers, Link, MessageStream, Pooled, Reply, Session, Transport,
};

/// The server. A clone is the same one.
#[derive(Clone)]
pub(super) struct Lister {
    state: Arc<Mutex<State>>,
}

struct State {
    manner: Manner,
    log: Vec<String>,
    ears: Vec<(Option<Id>, mpsc::Sender<Message>)>,
}

/// How it is.
#[derive(Clone)]
pub(super) struct Manner {
    pub(super) modern: bool,
    pub(super) declares: String,
    /// What its results say besides: members with a comma before them.
    pub(super) says: String,
    /// Pages by method and cursor, which is JSON text: members of a result.
    pub(super) pages: BTreeMap<(&'static str, String), String>,
    /// What happens in place of an answer.
    pub(super) fails: Option<Fault>,
    /// Methods that it answers with this error.
    pub(super) refuses: BTreeMap<&'static str, i64>,
    /// How long an answer takes.
    pub(super) takes: Duration,
}

impl Lister {
    /// A server of 2026-07-28 with tools of these names.
    pub(super) fn modern(tools: &[&str]) -> Self {
        let manner = Manner {
            modern: true,
            declares: r#"{"tools":{"listChanged":true}}"#.into(),
            says: String::new(),
            pages: BTreeMap::new(),
            fails: None,
            refuses: BTreeMap::new(),
            takes: Duration::ZERO,
        };
        let lister = Self {
            state: Arc::new(Mutex::new(State {
                manner,
                log: Vec::new(),
                ears: Vec::new(),
            })),
        };
        lister.has(tools);
        lister
    }

    /// A server of 2025-06-18 with tools of these names.
    pub(super) fn legacy(tools: &[&str]) -> Self {
        let lister = Self::modern(tools);
        lister.is(|manner| manner.modern = false);
        lister
    }

    /// An upstream behind which this server is.
    pub(super) fn upstream(&self) -> Arc<Upstream> {
        Arc::new(self.unshared())
    }

    /// The same, to be furnished.
    pub(super) fn unshared(&self) -> Upstream {
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
        let transport = Box::new(self.clone());
        Upstream::new("docs".into(), Timeouts::default(), transport, None, metrics)
    }

    pub(super) fn is(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.locked().manner);
    }

    /// From now on it has tools of these names.
    pub(super) fn has(&self, tools: &[&str]) {
        self.lists(
            Listing::Tools,
            &tools.iter().map(|name| tool(name)).collect::<Vec<_>>(),
        );
    }

    /// From now on one of its lists is this, on one page.
    pub(super) fn lists(&self, listing: Listing, items: &[String]) {
        let page = format!(r#""{}":[{}]"#, listing.member(), items.join(","));
        self.turns(listing, &[("", &page)]);
    }

    /// From now on one of its lists has these pages, by their cursors; the first has none.
    pub(super) fn turns(&self, listing: Listing, pages: &[(&str, &str)]) {
        let method = method(listing);
        let all = &mut self.locked().manner.pages;
        all.retain(|(of, _), _| *of != method);
        let pages = pages.iter();
        all.extend(pages.map(|(cursor, page)| ((method, (*cursor).to_owned()), (*page).to_owned())));
    }

    /// Says this to all who listen.
    pub(super) fn tells(&self, method: &str) {
        let state = self.locked();
        for (id, ear) in &state.ears {
            let meta = id.as_ref().map(|id| {
                format!(
                    r#"{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{}}}}}"#,
                    id.raw()
                )
            });
            let message = Message::notification(method, meta.as_deref());
            let _ = ear.try_send(parsed(&message));
        }
    }

    /// How many listen.
    pub(super) fn ears(&self) -> usize {
        let mut state = self.locked();
        state.ears.retain(|(_, ear)| !ear.is_closed());
        state.ears.len()
    }

    /// How often it was asked this.
    pub(super) fn count(&self, method: &str) -> usize {
        self.locked()
            .log
            .iter()
            .filter(|line| line.starts_with(method))
            .count()
    }

    /// `method credentials`, for all that it was asked since the last look.
    pub(super) fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.locked().log)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn hear(&self, id: Option<Id>) -> (Told, mpsc::Sender<Message>) {
        let (ear, mouth) = mpsc::channel(64);
        self.locked().ears.push((id, ear.clone()));
        (Told(mouth), ear)
    }
}

/// A tool that can be called.
pub(super) fn tool(name: &str) -> String {
    format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#)
}

/// Credentials.
pub(super) fn headers(who: &str) -> Headers {
    Headers {
        injected: vec![(header::AUTHORIZATION, HeaderValue::from_str(who).unwrap())],
        passed: Vec::new(),
    }
}

fn method(listing: Listing) -> &'static str {
    match listing {
        Listing::Tools => "tools/list",
        Listing::Prompts => "prompts/list",
        Listing::Resources => "resources/list",
        Listing::Templates => "resources/templates/list",
    }
}

fn parsed(message: &Message) -> Message {
    Message::parse(message.bytes().clone(), &mcp::Limits::default()).unwrap()
}

#[async_trait]
impl Transport for Lister {
    async fn discover(&self, _: &Headers) -> Result<Discovery, Error> {
        let manner = self.locked().manner.clone();
        match (manner.fails, manner.modern) {
            (Some(fault), _) => Err(fault.of(&"docs".into())),
            (None, true) => Ok(Discovery::Modern {
                revision: Revision::V2026_07_28,
                also_legacy: false,
            }),
            (None, false) => Ok(Discovery::Legacy),
        }
    }

    async fn share(&self, _: &Pooled, _: &Headers) -> Result<Agreement, Error> {
        let manner = self.locked().manner.clone();
        if let Some(fault) = manner.fails {
            return Err(fault.of(&"docs".into()));
        }
        let result = format!(
            r#"{{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{{"name":"docs"}},"instructions":"read"}}"#,
            manner.declares
        );
        Ok(Agreement {
            session: Session {
                id: Some("s".into()),
                revision: Revision::V2025_06_18,
                greeting: None,
            },
            result: parsed(&Message::result_reply(&Id::number(0), &result)),
        })
    }

    async fn open(&self, conversation: &Conversation, headers: Arc<Headers>) -> Result<Box<dyn Link>, Error> {
        let ours = match conversation {
            Conversation::Bridged => self.locked().manner.modern,
            Conversation::Pooled(pooled) => *pooled == Pooled::default() && !self.locked().manner.modern,
            Conversation::Modern | Conversation::Greeting | Conversation::Session(_) => false,
        };
        assert!(ours, "{conversation:?}");
        let who = headers.injected.first();
        let who = who.map_or(String::new(), |(_, value)| value.to_str().unwrap().to_owned());
        Ok(Box::new(Line {
            server: self.clone(),
            who,
        }))
    }

    async fn listen(&self, _: &Session, _: Arc<Headers>) -> Result<Box<dyn MessageStream>, Error> {
        Ok(Box::new(self.hear(None).0))
    }

    async fn end(&self, _: &Session, _: &Headers) {}
    async fn stop(&self) {}
    fn kind(&self) -> &'static str {
        "http"
    }
}

struct Line {
    server: Lister,
    who: String,
}

#[async_trait]
impl Link for Line {
    async fn send(&mut self, message: &Message) -> Result<Reply, Error> {
        // Long enough for others to come.
        tokio::task::yield_now().await;
        let id = message.id().unwrap().clone();
        let method = message.method().unwrap();
        let manner = self.server.locked().manner.clone();
        let line = format!("{method} {}", self.who);
        self.server.locked().log.push(line);
        tokio::time::sleep(manner.takes).await;
        if let Some(fault) = manner.fails {
            return Err(fault.of(&"docs".into()));
        }
        if let Some(code) = manner.refuses.get(method.as_str()) {
            let refusal = Message::error_reply(Some(&id), *code, "no", None);
            return Ok(Reply::one(200, parsed(&refusal)));
        }
        let result = match method {
            Method::ServerDiscover => format!(
                r#""supportedVersions":["2026-07-28"],"capabilities":{},"instructions":"read""#,
                manner.declares
            ),
            Method::SubscriptionsListen => return Ok(self.listened(message)),
            listed => {
                let cursor = message.params_member("cursor").unwrap_or_default();
                let cursor = String::from_utf8(cursor.to_vec()).unwrap();
                let pages = manner.pages.iter();
                let mut pages = pages.filter(|((of, at), _)| *of == listed.as_str() && *at == cursor);
                pages.next().expect("it has such a page").1.clone()
            }
        };
        let answer = Message::result_reply(&id, &format!("{{{result}{}}}", manner.says));
        Ok(Reply::one(200, parsed(&answer)))
    }

    async fn cancel(&mut self, _: &Message, _: &str) {}
}

impl Line {
    fn listened(&self, message: &Message) -> Reply {
        let id = message.id().unwrap();
        let asked = message.params_member("notifications").unwrap();
        let (stream, ear) = self.server.hear(Some(id.clone()));
        let params = format!(
            r#"{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{}}},"notifications":{}}}"#,
            id.raw(),
            std::str::from_utf8(asked).unwrap()
        );
        let method = "notifications/subscriptions/acknowledged";
        let acknowledged = Message::notification(method, Some(&params));
        ear.try_send(parsed(&acknowledged)).unwrap();
        Reply::stream(Box::new(stream))
    }
}

/// One of its streams.
struct Told(mpsc::Receiver<Message>);

#[async_trait]
impl MessageStream for Told {
    async fn next(&mut self) -> Result<Message, Error> {
        let next = self.0.recv().await;
        next.ok_or_else(|| Fault::Broken("it ended".into()).of(&"docs".into()))
    }
}
