//! A client of the gateway that shows every byte, in any of the five revisions and in none.
use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt, ReadHalf, WriteHalf},
    net::TcpStream,
};

use crate::{
    MODERN, schema,
    wire::{Body, Event, Events, Headers, Reader},
    within,
};

/// Somebody who sends requests to one path of the gateway. Cloning it gives another one with the same words to say.
#[derive(Debug)]
pub struct Client {
    address: String,
    path: String,
    headers: Headers,
    revision: Option<String>,
    capabilities: Value,
    checked: bool,
    next: AtomicU64,
}

impl Clone for Client {
    fn clone(&self) -> Self {
        Self {
            address: self.address.clone(),
            path: self.path.clone(),
            headers: self.headers.clone(),
            revision: self.revision.clone(),
            capabilities: self.capabilities.clone(),
            checked: self.checked,
            next: AtomicU64::new(1),
        }
    }
}

impl Client {
    /// A client that speaks no revision yet: it sends what it is given, with the usual two headers.
    pub fn new(address: &str, path: &str) -> Self {
        let headers = [
            ("Host", address),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            address: address.to_owned(),
            path: path.to_owned(),
            headers: Headers(headers.into()),
            revision: None,
            capabilities: json!({}),
            checked: true,
            next: AtomicU64::new(1),
        }
    }

    /// The same client with one header more, or with another value for it.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.set(name, value);
        self
    }

    /// The same client with one header line more, whatever stands there already.
    #[must_use]
    pub fn with_another(mut self, name: &str, value: &str) -> Self {
        self.headers.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same client without a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.0.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    /// The same client at another path.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The same client in front of a gateway that listens elsewhere now.
    #[must_use]
    pub fn moved_to(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self.with("Host", address)
    }

    /// The same client with these capabilities, which it declares where its era does.
    #[must_use]
    pub fn able_to(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The same client, not surprised by answers that break the schema, for servers that send such; and free to break it
    /// itself.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        self.checked = false;
        self
    }

    /// A client of 2026-07-28.
    #[must_use]
    pub fn modern(mut self) -> Self {
        self.revision = Some(MODERN.to_owned());
        self.with("MCP-Protocol-Version", MODERN)
    }

    /// A client of an earlier revision that has skipped `initialize`.
    #[must_use]
    pub fn sessionless(mut self, revision: &str) -> Self {
        self.revision = Some(revision.to_owned());
        self.with("MCP-Protocol-Version", revision)
    }

    /// A client of an earlier revision after its handshake.
    pub async fn legacy(self, revision: &str) -> Self {
        self.initialize(revision).await.0
    }

    /// The same, with the answer to `initialize`.
    pub async fn initialize(mut self, revision: &str) -> (Self, Answer) {
        self.revision = Some(revision.to_owned());
        let answer = self.ask("initialize", self.greeting(revision)).await;
        assert_eq!(answer.status, 200, "initialize was refused: {answer:?}");
        let agreed = answer.result()["protocolVersion"]
            .as_str()
            .expect("an InitializeResult names a version")
            .to_owned();
        self.revision = Some(agreed.clone());
        self = self.with("MCP-Protocol-Version", &agreed);
        if let Some(session) = answer.headers.get("mcp-session-id") {
            self = self.with("Mcp-Session-Id", session);
        }
        let accepted = self.notify("notifications/initialized", json!({})).await;
        assert_eq!(
            accepted.status, 202,
            "notifications/initialized was refused: {accepted:?}"
        );
        (self, answer)
    }

    /// The parameters of this client's `initialize`.
    pub fn greeting(&self, revision: &str) -> Value {
        json!({
            "protocolVersion": revision,
            "capabilities": self.capabilities,
            "clientInfo": { "name": "harness", "version": "1" },
        })
    }

    /// The session it has been given, if any.
    pub fn session(&self) -> Option<&str> {
        self.headers.get("mcp-session-id")
    }

    /// Calls a tool and gives its result; anything else fails the test.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        let answer = self
            .ask("tools/call", json!({ "name": tool, "arguments": arguments }))
            .await;
        assert_eq!(answer.status, 200, "the call was refused: {answer:?}");
        answer.result()
    }

    /// Sends a request in the way of this client's era and waits for the whole answer.
    pub async fn ask(&self, method: &str, params: Value) -> Answer {
        self.send(method, params).await.answer().await
    }

    /// Sends a request in the way of this client's era and does not wait.
    pub async fn send(&self, method: &str, params: Value) -> Sent {
        self.send_message(&self.request(method, params)).await
    }

    /// A request in the words of this client's era, with an id of its own.
    pub fn request(&self, method: &str, params: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": self.stamped(params) })
    }

    /// Answers a question of the server, on a request of its own as the earlier revisions do.
    pub async fn answer(&self, question: &Value, result: Value) -> Answer {
        let message = json!({ "jsonrpc": "2.0", "id": question["id"], "result": result });
        self.send_message(&message).await.answer().await
    }

    /// Answers a question of the server by an error.
    pub async fn refuse(&self, question: &Value, code: i64, words: &str) -> Answer {
        let error = json!({ "code": code, "message": words });
        let message = json!({ "jsonrpc": "2.0", "id": question["id"], "error": error });
        self.send_message(&message).await.answer().await
    }

    /// Sends a notification.
    pub async fn notify(&self, method: &str, params: Value) -> Answer {
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": self.stamped(params) });
        self.send_message(&message).await.answer().await
    }

    /// Sends a message as it is, with the headers that its era wants for it.
    #[track_caller]
    pub fn send_message(&self, message: &Value) -> impl Future<Output = Sent> {
        self.judge(message);
        self.transmit_message(message)
    }

    async fn transmit_message(&self, message: &Value) -> Sent {
        let mut headers = self.headers.clone();
        if self.revision.as_deref() == Some(MODERN) {
            headers = self.clone().headers_for(message);
        }
        let sent = self
            .transmit("POST", &headers, message.to_string().as_bytes())
            .await;
        Sent {
            method: message["method"].as_str().unwrap_or_default().to_owned(),
            ..sent
        }
    }

    /// What a test lets a client say is right unless the client is [`Client::unchecked`], or posts raw bytes.
    #[track_caller]
    fn judge(&self, message: &Value) {
        if let Some(revision) = self.revision.as_deref().filter(|_| self.checked)
            && let Err(problem) = schema::judge_request(revision, message)
        {
            panic!("a test says something that is {problem}");
        }
    }

    /// Posts any bytes with this client's headers.
    pub async fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        self.transmit("POST", &self.headers, body.as_ref())
            .await
            .answer()
            .await
    }

    /// Sends a request without a body: GET, DELETE, OPTIONS, …
    pub async fn fetch(&self, verb: &str) -> Answer {
        self.fetching(verb).await.answer().await
    }

    /// The same, without waiting.
    pub async fn fetching(&self, verb: &str) -> Sent {
        self.transmit(verb, &self.headers, b"").await
    }

    /// Sends exactly these bytes on a connection of their own.
    pub async fn say(&self, bytes: impl AsRef<[u8]>) -> Sent {
        let stream = within("a connection to the gateway", TcpStream::connect(&self.address)).await;
        let stream = stream.unwrap_or_else(|error| panic!("cannot connect to {}: {error}", self.address));
        let (from, mut to) = tokio::io::split(stream);
        // The gateway may refuse and close before it has read all of it; the answer tells.
        let _ = to.write_all(bytes.as_ref()).await;
        Sent {
            method: String::new(),
            revision: self.revision.clone().filter(|_| self.checked),
            from: Reader::new(from),
            to,
        }
    }

    async fn transmit(&self, verb: &str, headers: &Headers, body: &[u8]) -> Sent {
        let mut bytes = format!("{verb} {} HTTP/1.1\r\n", self.path).into_bytes();
        for (name, value) in &headers.0 {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        if !body.is_empty() || verb == "POST" {
            bytes.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(body);
        self.say(bytes).await
    }

    /// What 2026-07-28 says about a message in its header.
    fn headers_for(mut self, message: &Value) -> Headers {
        let method = message["method"].as_str().unwrap_or_default();
        self.headers.set("Mcp-Method", method);
        let name = match method {
            "tools/call" | "prompts/get" => message["params"]["name"].as_str(),
            "resources/read" => message["params"]["uri"].as_str(),
            _ => None,
        };
        if let Some(name) = name {
            self.headers.set("Mcp-Name", name);
        }
        self.headers
    }

    /// Parameters with the `_meta` that 2026-07-28 wants, where the test has not given its own.
    fn stamped(&self, mut params: Value) -> Value {
        if self.revision.as_deref() != Some(MODERN) {
            return params;
        }
        let meta = &mut params["_meta"];
        for (name, value) in [
            ("io.modelcontextprotocol/protocolVersion", json!(MODERN)),
            (
                "io.modelcontextprotocol/clientCapabilities",
                self.capabilities.clone(),
            ),
            (
                "io.modelcontextprotocol/clientInfo",
                json!({ "name": "harness", "version": "1" }),
            ),
        ] {
            if meta.get(name).is_none() {
                meta[name] = value;
            }
        }
        params
    }
}

/// A request that is on its way; dropping it is how a client leaves before the answer.
pub struct Sent {
    method: String,
    revision: Option<String>,
    from: Reader<ReadHalf<TcpStream>>,
    to: WriteHalf<TcpStream>,
}

impl Sent {
    /// Says some more bytes on the same connection.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.to.write_all(bytes.as_ref()).await;
    }

    /// Says that nothing more will be said, and still listens.
    pub async fn hush(&mut self) {
        let _ = self.to.shutdown().await;
    }

    /// Waits for the head of the answer.
    pub async fn begun(self) -> Exchange {
        let method = self.method.clone();
        self.try_begun()
            .await
            .unwrap_or_else(|| panic!("the gateway closed the connection without answering {method:?}"))
    }

    /// Waits for the head of the answer, or for the gateway to close the connection instead.
    pub async fn try_begun(mut self) -> Option<Exchange> {
        let head = within("the head of an answer", self.from.head()).await;
        let head = match head {
            Ok(head) => head?,
            // A reset is a rude way to close.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("the head of the answer to {:?}: {error}", self.method),
        };
        let status = head
            .first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {:?}", head.first));
        let body = self
            .from
            .response_body(&head)
            .await
            .unwrap_or_else(|error| panic!("{head:?}: {error}"));
        Some(Exchange {
            status,
            headers: head.headers,
            method: self.method,
            revision: self.revision,
            body,
            events: Events::default(),
            from: self.from,
            to: self.to,
        })
    }

    /// Waits for the whole answer.
    pub async fn answer(self) -> Answer {
        self.begun().await.answer().await
    }

    /// Waits for the whole answer, and gives back the connection for the next one on it.
    pub async fn answer_and_rest(self) -> (Answer, Self) {
        self.begun().await.whole().await
    }
}

/// An answer whose head has arrived; dropping it is how a client leaves in the middle.
pub struct Exchange {
    /// The HTTP status.
    pub status: u16,
    /// The header.
    pub headers: Headers,
    method: String,
    revision: Option<String>,
    body: Body,
    events: Events,
    from: Reader<ReadHalf<TcpStream>>,
    // Kept, since closing this half would tell the gateway that its client has left.
    to: WriteHalf<TcpStream>,
}

impl Exchange {
    /// Whether the answer comes as a stream of events.
    pub fn is_stream(&self) -> bool {
        is_stream(&self.headers)
    }

    /// The next message of a stream, as it comes; `None` after the last.
    pub async fn message(&mut self) -> Option<Value> {
        let event = self.event().await?;
        assert_eq!(event.name, "message", "an unknown kind of event");
        let message =
            serde_json::from_str(&event.data).unwrap_or_else(|error| panic!("{error}: {}", event.data));
        self.judge(&message);
        Some(message)
    }

    /// The next event of a stream, whatever it is.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        assert!(
            self.is_stream(),
            "not a stream: {} {:?}",
            self.status,
            self.headers
        );
        let (body, from, events, method) = (&mut self.body, &mut self.from, &mut self.events, &self.method);
        // Signs of life that mean nothing put the deadline off for nobody.
        within("the next event", async {
            loop {
                if let Some(event) = events.next() {
                    return Some(event);
                }
                let part = body.part(from).await;
                let part = part.unwrap_or_else(|error| panic!("the stream that answers {method:?}: {error}"));
                events.feed(&part?);
            }
        })
        .await
    }

    /// The id of the last event, if any had one.
    pub fn last_event_id(&self) -> Option<&str> {
        self.events.last_id.as_deref()
    }

    /// Waits for an id before any message.
    pub async fn greeted(&mut self) -> String {
        let (body, from, events) = (&mut self.body, &mut self.from, &mut self.events);
        within("an id before any message", async {
            loop {
                let message = events.next();
                assert!(message.is_none(), "a message before any id: {message:?}");
                if let Some(id) = &events.last_id {
                    return id.clone();
                }
                let part = body.part(from).await.expect("a stream that goes on");
                events.feed(&part.expect("more of the stream"));
            }
        })
        .await
    }

    /// Waits for the end of a stream; one that is cut before its end fails the test.
    pub async fn rest(&mut self) -> Vec<u8> {
        let rest = std::mem::replace(&mut self.body, Body::ended());
        let whole = within("the end of a stream", rest.whole(&mut self.from)).await;
        whole.unwrap_or_else(|error| panic!("the stream that answers {:?}: {error}", self.method))
    }

    /// All the rest.
    pub async fn answer(self) -> Answer {
        self.whole().await.0
    }

    async fn whole(mut self) -> (Answer, Sent) {
        let mut body = Vec::new();
        let mut messages = Vec::new();
        if self.is_stream() {
            while let Some(message) = self.message().await {
                messages.push(message);
            }
        } else {
            let rest = std::mem::replace(&mut self.body, Body::ended());
            let whole = within("the body of an answer", rest.whole(&mut self.from)).await;
            body = whole.unwrap_or_else(|error| panic!("the answer to {:?}: {error}", self.method));
            match serde_json::from_slice(&body) {
                Ok(Value::Array(all)) => messages = all,
                Ok(message) => messages.push(message),
                Err(_) => {}
            }
            messages.iter().for_each(|message| self.judge(message));
        }
        let rest = Sent {
            method: self.method,
            revision: self.revision,
            from: self.from,
            to: self.to,
        };
        (
            Answer {
                status: self.status,
                headers: self.headers,
                body,
                messages,
            },
            rest,
        )
    }

    fn judge(&self, message: &Value) {
        let Some(revision) = &self.revision else { return };
        if message.get("jsonrpc").is_some()
            && let Err(problem) = schema::judge_answer(revision, &self.method, message)
        {
            panic!("the gateway sent a client something that is {problem}");
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header.
    pub headers: Headers,
    /// The body as it came, unless it was a stream.
    pub body: Vec<u8>,
    /// What it says: the messages of the stream, or the one (or the batch) of the body.
    pub messages: Vec<Value>,
}

impl Answer {
    /// Whether it came as a stream of events.
    pub fn is_stream(&self) -> bool {
        is_stream(&self.headers)
    }

    /// The only final message.
    #[track_caller]
    pub fn last(&self) -> &Value {
        let finals: Vec<_> = self
            .messages
            .iter()
            .filter(|one| one.get("method").is_none())
            .collect();
        assert_eq!(finals.len(), 1, "not exactly one final message: {self:?}");
        finals[0]
    }

    /// The result; an error fails the test.
    #[track_caller]
    pub fn result(&self) -> Value {
        let last = self.last();
        last.get("result")
            .unwrap_or_else(|| panic!("not a result: {last}"))
            .clone()
    }

    /// The JSON-RPC error code; a result fails the test.
    #[track_caller]
    pub fn code(&self) -> i64 {
        let last = self.last();
        last["error"]["code"]
            .as_i64()
            .unwrap_or_else(|| panic!("not an error: {last}"))
    }

    /// The words of the JSON-RPC error.
    #[track_caller]
    pub fn complaint(&self) -> String {
        let last = self.last();
        last["error"]["message"]
            .as_str()
            .unwrap_or_else(|| panic!("not an error: {last}"))
            .to_owned()
    }

    /// The text of the body.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn is_stream(headers: &Headers) -> bool {
    headers
        .get("content-type")
        .is_some_and(|kind| kind.starts_with("text/event-stream"))
}
