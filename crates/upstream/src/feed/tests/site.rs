//! A server behind a URL, over one of three transports, that knows just enough to be followed.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use egress::{Client, Target};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::metrics::Metrics;
use crate::registry::{Timeouts, Upstream};
use crate::sse::{self, Sse};
use crate::streamable_http::{self, StreamableHttp};
use crate::transport::Transport;

/// What it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Modern,
    Streamable,
    Sse,
}

/// The server. A clone is the same one.
#[derive(Clone)]
pub(super) struct Site {
    spoken: Spoken,
    state: Arc<Mutex<State>>,
    url: Arc<str>,
    home: Arc<TempDir>,
}

#[derive(Default)]
struct State {
    sessions: Vec<String>,
    begun: usize,
    log: Vec<String>,
    /// The streams that are open, each with the id of its subscription if it is one.
    streams: Vec<(Value, mpsc::Sender<String>)>,
}

enum Answer {
    Whole(String),
    Stream(String, mpsc::Receiver<String>),
}

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

impl Site {
    pub(super) async fn start(spoken: Spoken) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Self {
            spoken,
            state: Arc::default(),
            url: format!("http://{}/mcp", listener.local_addr().unwrap()).into(),
            home: Arc::new(TempDir::new().unwrap()),
        };
        let serving = site.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(socket));
            }
        });
        site
    }

    pub(super) fn upstream(&self) -> Arc<Upstream> {
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
        let client = Client::new(self.home.path(), None).unwrap();
        let target = Arc::new(Target::parse(&self.url).unwrap());
        let (name, counted) = (Arc::from("docs"), Arc::clone(&metrics));
        let (answer, limits, idle) = (1 << 20, mcp::Limits::default(), Duration::from_secs(900));
        let transport: Box<dyn Transport> = match self.spoken {
            Spoken::Modern | Spoken::Streamable => {
                let bounds = streamable_http::Bounds { answer, limits, idle };
                Box::new(StreamableHttp::new(name, client, target, bounds, counted))
            }
            Spoken::Sse => {
                let sessions = 1;
                let bounds = sse::Bounds {
                    answer,
                    limits,
                    sessions,
                    idle,
                };
                Box::new(Sse::new(name, client, target, Handle::current(), bounds, counted))
            }
        };
        Arc::new(Upstream::new(
            "docs".into(),
            Timeouts::default(),
            transport,
            None,
            metrics,
        ))
    }

    /// Says this on every stream, under its subscription if it is one.
    pub(super) fn says(&self, method: &str, uri: Option<&str>) {
        for (subscription, stream) in &self.locked().streams {
            let mut params = json!({});
            if let Some(uri) = uri {
                params["uri"] = uri.into();
            }
            if !subscription.is_null() {
                params["_meta"]["io.modelcontextprotocol/subscriptionId"] = subscription.clone();
            }
            let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
            // One that its client has closed hears nothing.
            let _ = stream.try_send(format!("data: {message}\n\n"));
        }
    }

    /// Ends all streams.
    pub(super) fn cut(&self) {
        self.locked().streams.clear();
    }

    /// Forgets all sessions, and leaves their streams open.
    pub(super) fn forget(&self) {
        self.locked().sessions.clear();
    }

    /// How often it was asked this.
    pub(super) fn count(&self, asked: &str) -> usize {
        self.locked().log.iter().filter(|line| *line == asked).count()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn serve(self, mut socket: TcpStream) {
        while let Some((head, body)) = read(&mut socket).await {
            let answer = match head.starts_with("get ") {
                true => self.opens(&head),
                false => self.answers(&head, &body),
            };
            match answer {
                Answer::Stream(begin, says) => return tell(socket, begin, says).await,
                Answer::Whole(text) => socket.write_all(text.as_bytes()).await.unwrap(),
            }
        }
    }

    fn opens(&self, head: &str) -> Answer {
        let mut state = self.locked();
        state.log.push("get".into());
        match self.spoken {
            Spoken::Sse => state.stream(Value::Null, "event: endpoint\ndata: /mcp\n\n"),
            Spoken::Streamable if state.knows(head) => state.stream(Value::Null, ": hello\n\n"),
            Spoken::Streamable => status("404 Not Found"),
            Spoken::Modern => status("405 Method Not Allowed"),
        }
    }

    fn answers(&self, head: &str, body: &[u8]) -> Answer {
        let message: Value = serde_json::from_slice(body).unwrap();
        let method = message["method"].as_str().unwrap_or_default();
        let mut state = self.locked();
        state.log.push(method.to_owned());
        let declared = json!({ "tools": { "listChanged": true }, "resources": { "subscribe": true } });
        let mut extra = String::new();
        let result = match (self.spoken, method) {
            (Spoken::Modern, "server/discover") => {
                json!({ "supportedVersions": ["2026-07-28"], "capabilities": declared })
            }
            (Spoken::Modern, "subscriptions/listen") => {
                assert!(head.contains("mcp-method: subscriptions/listen\r\n"), "{head}");
                assert!(head.contains("mcp-protocol-version: 2026-07-28\r\n"), "{head}");
                let id = &message["id"];
                let acknowledged = json!({
                    "jsonrpc": "2.0",
                    "method": "notifications/subscriptions/acknowledged",
                    "params": {
                        "_meta": { "io.modelcontextprotocol/subscriptionId": id },
                        "notifications": message["params"]["notifications"],
                    },
                });
                return state.stream(id.clone(), &format!("data: {acknowledged}\n\n"));
            }
            (Spoken::Streamable | Spoken::Sse, "initialize") => {
                state.begun += 1;
                let session = format!("s{}", state.begun);
                extra = format!("Mcp-Session-Id: {session}\r\n");
                state.sessions.push(session);
                json!({ "protocolVersion": "2025-03-26", "capabilities": declared, "serverInfo": {} })
            }
            (_, notification) if notification.starts_with("notifications/") => {
                return status("202 Accepted");
            }
            (Spoken::Streamable, "server/discover") => return status("400 Bad Request"),
            (Spoken::Streamable, _) if !state.knows(head) => return status("404 Not Found"),
            _ => json!({}),
        };
        let reply = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string();
        if self.spoken == Spoken::Sse {
            for (_, stream) in &state.streams {
                let _ = stream.try_send(format!("data: {reply}\n\n"));
            }
            return status("202 Accepted");
        }
        Answer::Whole(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{extra}Content-Length: {}\r\n\r\n{reply}",
            reply.len()
        ))
    }
}

impl State {
    fn knows(&self, head: &str) -> bool {
        let mut sessions = self.sessions.iter();
        sessions.any(|session| head.contains(&format!("mcp-session-id: {session}\r\n")))
    }

    fn stream(&mut self, subscription: Value, begin: &str) -> Answer {
        let (stream, says) = mpsc::channel(64);
        self.streams.push((subscription, stream));
        Answer::Stream(format!("{EVENTS}{begin}"), says)
    }
}

fn status(status: &str) -> Answer {
    Answer::Whole(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
}

/// Writes what is said until it is over or the client leaves.
async fn tell(mut socket: TcpStream, begin: String, mut says: mpsc::Receiver<String>) {
    socket.write_all(begin.as_bytes()).await.unwrap();
    let mut byte = [0];
    loop {
        tokio::select! {
            said = says.recv() => match said {
                Some(said) => socket.write_all(said.as_bytes()).await.unwrap(),
                None => return,
            },
            _ = socket.read(&mut byte) => return,
        }
    }
}

/// One request: its head in small letters, and its body.
async fn read(socket: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let mut body = bytes.split_off(end);
    while body.len() < length.unwrap_or(0) {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}
