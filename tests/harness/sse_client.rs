//! A client of the 2024-11-05 transport: everything it is told comes on one stream, and it POSTs to where the first
//! event of that stream says.
use std::collections::HashMap;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{Answer, Client, Exchange, Headers, schema, wire::Reader};

/// Somebody with an open stream. Dropping it is how such a client leaves.
pub struct SseClient {
    /// Posts to the address that the stream told.
    poster: Client,
    endpoint: String,
    stream: Exchange,
    revision: String,
    capabilities: Value,
    asked: HashMap<u64, String>,
    last: u64,
}

impl SseClient {
    /// Opens a stream where `client` would send its requests, and reads where to POST.
    pub async fn connect(client: &Client) -> Self {
        let client = client
            .clone()
            .without("Content-Type")
            .with("Accept", "text/event-stream");
        let mut stream = client.fetching("GET").await.begun().await;
        assert_eq!(stream.status, 200, "the stream was refused: {:?}", stream.headers);
        let first = stream.event().await.expect("the stream begins with an event");
        assert_eq!(first.name, "endpoint", "the first event must say where to POST");
        assert!(
            first.data.starts_with('/') && !first.data.starts_with("//"),
            "clients refuse an address that may be of another origin: {}",
            first.data
        );
        Self {
            poster: client
                .with("Content-Type", "application/json")
                .without("Accept")
                .at(&first.data),
            endpoint: first.data,
            stream,
            revision: "2024-11-05".to_owned(),
            capabilities: json!({}),
            asked: HashMap::new(),
            last: 0,
        }
    }

    /// The same client with these capabilities, which it declares in its handshake.
    #[must_use]
    pub fn able_to(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The same client after its handshake in this revision.
    pub async fn initialized(mut self, revision: &str) -> Self {
        self.revision = revision.to_owned();
        let greeting = json!({
            "protocolVersion": revision,
            "capabilities": self.capabilities,
            "clientInfo": { "name": "harness", "version": "1" },
        });
        let agreement = self.ask("initialize", greeting).await;
        assert!(agreement["result"]["protocolVersion"].is_string(), "{agreement}");
        self.notify("notifications/initialized", json!({})).await;
        self
    }

    /// Where it POSTs, as its stream told it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Somebody who knows that address, and nothing else.
    pub fn poster(&self) -> Client {
        self.poster.clone()
    }

    /// Asks, and waits for the answer, which must be what is told next.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        let answer = self.message().await;
        assert_eq!(answer["id"], id, "not the answer to {method}: {answer}");
        assert!(answer.get("method").is_none(), "not an answer: {answer}");
        answer
    }

    /// Calls a tool and gives its result.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self
            .ask("tools/call", json!({ "name": tool, "arguments": arguments }))
            .await;
        answer
            .get("result")
            .unwrap_or_else(|| panic!("not a result: {answer}"))
            .clone()
    }

    /// Sends a request and does not wait for its answer; gives the id it has.
    pub async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.last += 1;
        let id = self.last;
        self.asked.insert(id, method.to_owned());
        self.post(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .await;
        id
    }

    /// Sends a notification.
    pub async fn notify(&self, method: &str, params: Value) {
        self.post(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
            .await;
    }

    /// Answers a question of the server.
    pub async fn answer(&self, question: &Value, result: Value) {
        self.post(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": result }))
            .await;
    }

    /// Sends a message that must be accepted, without a word where it was sent.
    async fn post(&self, message: &Value) {
        if let Err(problem) = schema::judge_request(&self.revision, message) {
            panic!("a test says something that is {problem}");
        }
        let answer = self.try_post(message.to_string()).await;
        assert_eq!(answer.status, 202, "{message} was refused: {answer:?}");
        assert!(answer.body.is_empty(), "{answer:?}");
    }

    /// Sends anything.
    pub async fn try_post(&self, body: impl AsRef<[u8]>) -> Answer {
        self.poster.post(body).await
    }

    /// The next message on the stream.
    pub async fn message(&mut self) -> Value {
        self.next().await.expect("the stream goes on")
    }

    /// The next message on the stream; `None` when it has ended cleanly.
    pub async fn next(&mut self) -> Option<Value> {
        let message = self.stream.message().await?;
        let of = message["id"].as_u64().filter(|_| message.get("method").is_none());
        let method = of.and_then(|id| self.asked.get(&id)).map_or("", String::as_str);
        if let Err(problem) = schema::judge_answer(&self.revision, method, &message) {
            panic!("the gateway told a client something that is {problem}");
        }
        Some(message)
    }
}

/// A reverse proxy that serves a gateway below a path, and takes that path off what it passes on, as nginx does with
/// `location /tools/ { proxy_pass http://gateway/; }`.
pub struct Stripping {
    address: String,
    accepting: JoinHandle<()>,
}

impl Stripping {
    /// Serves the gateway at `address` below `prefix`.
    pub async fn before(address: &str, prefix: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port on loopback is free");
        let own = listener.local_addr().expect("it is bound").to_string();
        let to = address.to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let to = to.clone();
                tokio::spawn(async move {
                    // Whoever closes in the middle is judged by the test, not here.
                    let _ = pass(from, &to, prefix).await;
                });
            }
        });
        Self {
            address: own,
            accepting,
        }
    }

    /// Somebody in front of it.
    pub fn client(&self, path: &str) -> Client {
        Client::new(&self.address, path)
    }
}

impl Drop for Stripping {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Passes on one request and whatever comes back: the harness uses each connection once.
async fn pass(from: TcpStream, to: &str, prefix: &str) -> std::io::Result<()> {
    let mut reader = Reader::new(from);
    let Some(mut head) = reader.head().await? else {
        return Ok(());
    };
    let Some(first) = head
        .first
        .split_once(' ')
        .and_then(|(verb, rest)| Some(format!("{verb} {}", rest.strip_prefix(prefix)?)))
    else {
        return Ok(());
    };
    head.headers.set("Host", to);
    let Headers(lines) = head.headers;
    let lines: String = lines
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let (mut from, early) = reader.into_parts();
    let mut to = TcpStream::connect(to).await?;
    to.write_all(format!("{first}\r\n{lines}\r\n").as_bytes()).await?;
    to.write_all(&early).await?;
    copy_bidirectional(&mut from, &mut to).await.map(drop)
}
