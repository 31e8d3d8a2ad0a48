//! A server behind the gateway: by default a small decent one, and as indecent as a test wants it.
mod reply;
mod violations;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt, ReadHalf, WriteHalf},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{
    MODERN,
    sse_server::Streams,
    wire::{Headers, Reader},
    within,
};

pub use reply::Reply;
use reply::{Act, Body, chunk, event};
use violations::violations;

/// Where servers listen. A port there is nobody else's while a server is stopped and another takes its place:
/// connections that go out to loopback take theirs from 127.0.0.1.
const HOME: &str = if cfg!(target_os = "linux") {
    "127.0.0.2"
} else {
    "127.0.0.1"
};

/// A listening server that remembers every request. When it is dropped, it fails the test if it was sent something
/// that no server should be sent.
pub struct Server {
    address: String,
    facts: watch::Receiver<Log>,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// How a server answers what a test has not scripted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It speaks 2026-07-28 and nothing else.
    Modern,
    /// It speaks one earlier revision, without sessions.
    Legacy(&'static str),
    /// It speaks one earlier revision, and demands the session that it gave.
    Sessionful(&'static str),
    /// It speaks both eras, without sessions.
    Dual,
    /// It speaks one earlier revision over HTTP+SSE, and nothing else at its URL.
    Sse(&'static str),
}

type Script = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

struct Shared {
    mood: Mood,
    scripts: HashMap<String, Script>,
    every: Option<Script>,
    capabilities: Value,
    checked: bool,
    sessions: Mutex<HashSet<String>>,
    streams: Streams,
    log: watch::Sender<Log>,
}

/// What has happened to a server so far.
#[derive(Clone, Debug, Default)]
struct Log {
    connections: usize,
    count: usize,
    requests: Vec<Request>,
    left: HashSet<usize>,
    violations: Vec<String>,
}

/// A request as it arrived.
#[derive(Clone)]
pub struct Request {
    /// `POST`, `GET`, `DELETE`.
    pub verb: String,
    /// The path with its query.
    pub path: String,
    /// The header.
    pub headers: Headers,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// Its place among all requests to this server.
    pub number: usize,
}

impl fmt::Debug for Request {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        write!(to, "\n{} {} {:?}\n  {body}", self.verb, self.path, self.headers.0)
    }
}

impl Request {
    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The JSON-RPC method, or nothing.
    pub fn method(&self) -> String {
        self.json()["method"].as_str().unwrap_or_default().to_owned()
    }

    /// The JSON-RPC parameters.
    pub fn params(&self) -> Value {
        self.json()["params"].clone()
    }

    /// The revision in whose words it came.
    pub fn revision(&self) -> String {
        let message = self.json();
        let params = &message["params"];
        let said = match message["method"].as_str() {
            Some("initialize") => params["protocolVersion"].as_str(),
            _ => params["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str(),
        };
        said.or(self.headers.get("mcp-protocol-version"))
            .unwrap_or("2025-03-26")
            .to_owned()
    }
}

/// Builds a [`Server`].
pub struct Builder {
    mood: Mood,
    scripts: HashMap<String, Script>,
    every: Option<Script>,
    capabilities: Value,
    checked: bool,
    port: u16,
}

impl Builder {
    /// Answers one method (or, by verb, `GET` and `DELETE`) by a script.
    #[must_use]
    pub fn on(mut self, method: &str, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        self.scripts.insert(method.to_owned(), Box::new(script));
        self
    }

    /// Answers everything by a script.
    #[must_use]
    pub fn always(mut self, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        self.every = Some(Box::new(script));
        self
    }

    /// Says that it can do this, in place of tools alone.
    #[must_use]
    pub fn able_to(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Does not judge what it is sent.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        self.checked = false;
        self
    }

    /// Listens where another server has listened before.
    #[must_use]
    pub fn in_place_of(mut self, other: &Server) -> Self {
        self.port = other
            .address
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("an address has a port");
        self
    }

    /// Listens.
    pub async fn start(self) -> Server {
        let listener = TcpListener::bind((HOME, self.port))
            .await
            .expect("a port on loopback is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (log, facts) = watch::channel(Log::default());
        let shared = Arc::new(Shared {
            mood: self.mood,
            scripts: self.scripts,
            every: self.every,
            capabilities: self.capabilities,
            checked: self.checked,
            sessions: Mutex::default(),
            streams: Streams::default(),
            log,
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Server {
            address,
            facts,
            shared,
            accepting,
        }
    }
}

impl Server {
    /// A server of this mood, to be scripted and started.
    pub fn of(mood: Mood) -> Builder {
        Builder {
            mood,
            scripts: HashMap::new(),
            every: None,
            capabilities: json!({ "tools": {} }),
            checked: true,
            port: 0,
        }
    }

    /// A server of this mood as it is.
    pub async fn start(mood: Mood) -> Self {
        Self::of(mood).start().await
    }

    /// An address on loopback where nobody listens.
    pub async fn nowhere() -> String {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port on loopback is free");
        format!("http://{}/mcp", listener.local_addr().expect("it is bound"))
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Its address and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.facts.borrow().requests.clone()
    }

    /// All requests of one JSON-RPC method so far.
    pub fn asked(&self, method: &str) -> Vec<Request> {
        self.requests()
            .into_iter()
            .filter(|request| request.method() == method)
            .collect()
    }

    /// The only request of this method so far.
    #[track_caller]
    pub fn only(&self, method: &str) -> Request {
        let all = self.asked(method);
        assert_eq!(all.len(), 1, "not exactly one {method}: {:?}", self.requests());
        all.into_iter().next().expect("there is one")
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.facts.borrow().connections
    }

    /// Waits until a request has arrived that is what the test waits for.
    pub async fn request(&self, fact: &str, is: impl Fn(&Request) -> bool) -> Request {
        let mut facts = self.facts.clone();
        let found = |log: &Log| log.requests.iter().find(|request| is(request)).cloned();
        let seen = within(format!("a server to be sent {fact}"), async {
            let log = facts
                .wait_for(|log| found(log).is_some())
                .await
                .expect("the server lives");
            found(&log)
        });
        seen.await.expect("it was waited for")
    }

    /// Waits until a request of this JSON-RPC method has arrived.
    pub async fn asked_for(&self, method: &str) -> Request {
        self.request(method, |request| request.method() == method).await
    }

    /// Waits until the gateway has closed the connection of a request while its answer was held back.
    pub async fn abandoned(&self, request: &Request) {
        let mut facts = self.facts.clone();
        let number = request.number;
        let left = facts.wait_for(|log| log.left.contains(&number));
        within(format!("the gateway to abandon {request:?}"), left)
            .await
            .expect("the server lives");
    }

    /// Whether the gateway has closed the connection of a request while its answer was held back.
    pub fn is_abandoned(&self, request: &Request) -> bool {
        self.facts.borrow().left.contains(&request.number)
    }

    /// Forgets all requests so far: those by which a gateway gets to know its servers when it starts.
    pub fn forget(&self) {
        self.shared.log.send_modify(|log| log.requests.clear());
    }

    /// Forgets all sessions, as a server does that is started again.
    pub fn forget_sessions(&self) {
        self.shared
            .sessions
            .lock()
            .expect("nobody panics with it")
            .clear();
    }

    /// Ends the streams of all clients of HTTP+SSE, as a platform does after some minutes.
    pub fn close_streams(&self) {
        self.shared.streams.close_all();
    }

    /// Closes the listener and all connections.
    pub async fn stop(&mut self) {
        self.accepting.abort();
        // The end of an aborted task is an error by definition.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        let violations = self.facts.borrow().violations.clone();
        if !thread::panicking() {
            assert!(
                violations.is_empty(),
                "the gateway sent a server what it should not:\n{}",
                violations.join("\n")
            );
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.log.send_modify(|log| log.connections += 1);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A gateway that closes in the middle of something is recorded where a test can ask for it.
            let _ = serve(stream, &shared).await;
        });
    }
}

async fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (from, mut to) = tokio::io::split(stream);
    let mut from = Reader::new(from);
    while let Some(head) = from.head().await? {
        let body = from.request_body(&head).await?;
        let mut words = head.first.split(' ').map(str::to_owned);
        let mut request = Request {
            verb: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            headers: head.headers,
            body,
            number: 0,
        };
        shared.log.send_modify(|log| {
            request.number = log.count;
            log.count += 1;
            log.requests.push(request.clone());
            if shared.checked {
                log.violations.extend(violations(&request, shared.mood));
            }
        });
        let acts = shared.answer(&request).acts();
        let mut answers = Vec::new();
        for act in acts {
            match act {
                Act::Bytes(bytes) => to.write_all(&bytes).await?,
                Act::Hear(question) => {
                    tokio::select! {
                        answer = shared.answer_to(&question) => answers.push(answer),
                        () = from.closed() => {
                            shared.log.send_modify(|log| log.left.extend([request.number]));
                            return Ok(());
                        }
                    }
                }
                Act::Tell(script) => to.write_all(&chunk(&event(&script(&answers)))).await?,
                Act::Wait(gate) => {
                    tokio::select! {
                        () = gate.passed() => {}
                        () = from.closed() => {
                            shared.log.send_modify(|log| log.left.extend([request.number]));
                            return Ok(());
                        }
                    }
                }
                // Not a wait for something: the time that this server's work takes is what such a test is about.
                Act::Work(time) => tokio::time::sleep(time).await,
                Act::Feed(mut messages) => loop {
                    tokio::select! {
                        message = messages.recv() => match message {
                            Some(message) => to.write_all(&chunk(message.as_bytes())).await?,
                            None => return Ok(()),
                        },
                        () = from.closed() => {
                            shared.log.send_modify(|log| log.left.extend([request.number]));
                            return Ok(());
                        }
                    }
                },
                Act::Close => return Ok(()),
                Act::Reset => {
                    reset(from, to);
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Ends a connection with a reset rather than a close.
fn reset(from: Reader<ReadHalf<TcpStream>>, to: WriteHalf<TcpStream>) {
    let stream = from.into_inner().unsplit(to);
    stream.set_zero_linger().expect("a socket can linger for nothing");
}

impl Shared {
    fn answer(&self, request: &Request) -> Reply {
        if !matches!(self.mood, Mood::Sse(_)) {
            return self.spoken(request);
        }
        if request.verb == "GET" && request.path == "/mcp" {
            let (first, messages) = self.streams.open(request.number);
            return Reply::stream().raw(first).then(Act::Feed(messages));
        }
        let said = self
            .streams
            .of(&request.path)
            .map(|stream| (stream, self.spoken(request)));
        match said {
            Some((stream, reply)) => match reply.body {
                Body::Whole(body) if (200..300).contains(&reply.status) => {
                    stream.say(&body);
                    Reply::new(202)
                }
                body => Reply { body, ..reply },
            },
            None if request.path == "/mcp" => Reply::new(405),
            None => Reply::new(404),
        }
    }

    /// What a client answers to the question with this id, as soon as it does.
    async fn answer_to(&self, question: &Value) -> Value {
        let mut log = self.log.subscribe();
        let found = |log: &Log| {
            let mut messages = log.requests.iter().map(Request::json);
            messages.find(|message| message["id"] == *question && message.get("method").is_none())
        };
        let heard = log.wait_for(|log| found(log).is_some()).await;
        heard.ok().and_then(|log| found(&log)).unwrap_or_default()
    }

    fn spoken(&self, request: &Request) -> Reply {
        if let Some(script) = &self.every {
            return script(request);
        }
        let key = if request.verb == "POST" {
            request.method()
        } else {
            request.verb.clone()
        };
        if let Some(script) = self.scripts.get(&key)
            && (key == "initialize" || self.admits(request).is_ok())
        {
            return script(request);
        }
        match self.admits(request) {
            Err(refusal) => refusal,
            Ok(()) if request.verb == "DELETE" => {
                let session = request.headers.get("mcp-session-id").unwrap_or_default();
                self.sessions
                    .lock()
                    .expect("nobody panics with it")
                    .remove(session);
                Reply::new(204)
            }
            Ok(()) if request.verb != "POST" => Reply::new(405),
            Ok(()) => self.decent(request),
        }
    }

    /// Whether a server of this mood listens to the request at all.
    fn admits(&self, request: &Request) -> Result<(), Reply> {
        let message = request.json();
        let modern = message["params"]["_meta"]
            .get("io.modelcontextprotocol/protocolVersion")
            .is_some();
        let notifies = message.get("id").is_none() && request.verb == "POST";
        match self.mood {
            Mood::Modern if !modern && !notifies => {
                let data = json!({ "supported": [MODERN], "requested": request.revision() });
                let error =
                    json!({ "code": -32022, "message": "Unsupported protocol version", "data": data });
                Err(Reply::json(
                    400,
                    &json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }),
                ))
            }
            Mood::Sessionful(_) if request.method() != "initialize" => {
                let known = self.sessions.lock().expect("nobody panics with it");
                match request.headers.get("mcp-session-id") {
                    Some(session) if known.contains(session) => Ok(()),
                    Some(_) => Err(Reply::id_less(404, -32001, "Session not found")),
                    None => Err(Reply::id_less(400, -32000, "Bad Request: Server not initialized")),
                }
            }
            Mood::Modern | Mood::Dual | Mood::Legacy(_) | Mood::Sessionful(_) | Mood::Sse(_) => Ok(()),
        }
    }

    fn decent(&self, request: &Request) -> Reply {
        let message = request.json();
        let params = &message["params"];
        let modern = params["_meta"]
            .get("io.modelcontextprotocol/protocolVersion")
            .is_some();
        // Notifications, and answers to questions of ours.
        if message.get("id").is_none() || message.get("method").is_none() {
            return Reply::new(202);
        }
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" => return self.greet(request),
            "server/discover" if matches!(self.mood, Mood::Modern | Mood::Dual) => json!({
                "supportedVersions": self.revisions(),
                "capabilities": self.capabilities,
                "ttlMs": 0,
                "cacheScope": "private",
            }),
            "ping" => json!({}),
            "tools/list" if modern => json!({ "tools": [echo()], "ttlMs": 0, "cacheScope": "private" }),
            "tools/list" => json!({ "tools": [echo()] }),
            "tools/call" => {
                let said = &params["arguments"]["message"];
                json!({ "content": [{ "type": "text", "text": said.as_str().unwrap_or_default() }] })
            }
            other => return Reply::error(request, -32601, &format!("Method not found: {other}")),
        };
        let mut result = result;
        if modern {
            result["resultType"] = json!("complete");
        }
        Reply::result(request, &result)
    }

    fn greet(&self, request: &Request) -> Reply {
        let revision = match self.mood {
            Mood::Legacy(revision) | Mood::Sessionful(revision) | Mood::Sse(revision) => revision.to_owned(),
            Mood::Modern | Mood::Dual => request.revision(),
        };
        let reply = Reply::result(
            request,
            &json!({
                "protocolVersion": revision,
                "capabilities": self.capabilities,
                "serverInfo": { "name": "harness server", "version": "1" },
            }),
        );
        if !matches!(self.mood, Mood::Sessionful(_)) {
            return reply;
        }
        let session = format!("upstream-session-{}", request.number);
        self.sessions
            .lock()
            .expect("nobody panics with it")
            .insert(session.clone());
        reply.header("Mcp-Session-Id", &session)
    }

    fn revisions(&self) -> Vec<&'static str> {
        match self.mood {
            Mood::Modern => vec![MODERN],
            Mood::Legacy(revision) | Mood::Sessionful(revision) | Mood::Sse(revision) => vec![revision],
            Mood::Dual => vec![MODERN, "2025-11-25", "2025-06-18", "2025-03-26"],
        }
    }
}

/// The one tool of a decent server.
fn echo() -> Value {
    json!({
        "name": "echo",
        "description": "Says what it is told.",
        "inputSchema": { "type": "object", "properties": { "message": { "type": "string" } } },
    })
}
