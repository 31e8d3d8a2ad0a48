//! The server's side: every request in the hands of the test.

use std::sync::Arc;
use std::time::Duration;

use egress::{Client, Target};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::metrics::Metrics;
use crate::streamable_http::{Bounds, StreamableHttp};

/// How long a session may be unused.
pub(crate) const IDLE: Duration = Duration::from_secs(900);

/// A server that only does what it is told.
pub(crate) struct Peer {
    url: String,
    requests: mpsc::Receiver<Asked>,
    /// GETs of a server that says something outside of calls.
    streams: Option<mpsc::Receiver<Asked>>,
    metrics: Arc<Metrics>,
    home: TempDir,
}

/// A request that waits for its response.
pub(crate) struct Asked {
    /// `POST`, `GET` or `DELETE`.
    pub(crate) verb: String,
    /// Its body; `null` where there is none.
    pub(crate) message: Value,
    head: String,
    socket: TcpStream,
}

impl Peer {
    /// A server that says nothing outside of calls.
    pub(crate) async fn start() -> Self {
        Self {
            streams: None,
            ..Self::talkative().await
        }
    }

    /// A server that may say something outside of calls.
    pub(crate) async fn talkative() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel(64);
        let (opens, streams) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (sender, opens) = (sender.clone(), opens.clone());
                tokio::spawn(async move {
                    let Some((head, body)) = read(&mut socket).await else {
                        return;
                    };
                    let asked = Asked {
                        verb: head.split(' ').next().unwrap().to_owned(),
                        message: serde_json::from_slice(&body).unwrap_or_default(),
                        head,
                        socket,
                    };
                    if asked.verb != "GET" {
                        let _ = sender.send(asked).await;
                    } else if let Err(refused) = opens.send(asked).await {
                        refused.0.respond(405, "", "text/plain", "").await;
                    }
                });
            }
        });
        Self {
            url,
            requests,
            streams: Some(streams),
            metrics: Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap()),
            home: TempDir::new().unwrap(),
        }
    }

    /// The gateway's side.
    pub(crate) fn client(&self) -> StreamableHttp {
        StreamableHttp::new(
            "new".into(),
            Client::new(self.home.path(), None).unwrap(),
            Arc::new(Target::parse(&self.url).unwrap()),
            Bounds {
                answer: 1 << 20,
                limits: mcp::Limits::default(),
                idle: IDLE,
            },
            Arc::clone(&self.metrics),
        )
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Asked {
        let next = tokio::time::timeout(Duration::from_secs(10), self.requests.recv());
        next.await.expect("it comes soon").unwrap()
    }

    /// The next GET.
    pub(crate) async fn get(&mut self) -> Asked {
        let streams = self.streams.as_mut().expect("it says something outside of calls");
        let next = tokio::time::timeout(Duration::from_secs(10), streams.recv());
        next.await.expect("it comes soon").unwrap()
    }

    /// The same, answered by a stream.
    pub(crate) async fn listener(&mut self) -> Asked {
        let mut asked = self.get().await;
        asked.begin_stream().await;
        asked
    }

    /// Streams outside of calls that the gateway holds open.
    pub(crate) fn session_streams(&self) -> i64 {
        self.metrics.session_streams.with_label_values(&["new"]).get()
    }

    /// Messages of the server that reached nobody.
    pub(crate) fn dropped(&self) -> u64 {
        self.metrics.dropped.with_label_values(&["new"]).get()
    }

    /// The next request, which is a POST of this method.
    pub(crate) async fn post(&mut self, method: &str) -> Asked {
        let next = self.next().await;
        assert_eq!(next.message["method"], method);
        next
    }

    /// Whether nothing else has come.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }

    /// Takes a handshake of the gateway's own, and tells what it declared.
    pub(crate) async fn greet(&mut self, session: &str) -> Value {
        let asked = self.post("initialize").await;
        let declared = asked.message["params"]["capabilities"].clone();
        asked
            .begin_session(
                session,
                r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}}}"#,
            )
            .await;
        let ready = self.post("notifications/initialized").await;
        assert_eq!(ready.header("mcp-session-id"), Some(session));
        ready.accept().await;
        declared
    }
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    pub(crate) fn id(&self) -> String {
        self.message["id"].to_string()
    }

    pub(crate) async fn accept(self) {
        self.respond(202, "", "text/plain", "").await;
    }

    pub(crate) async fn result(self, result: &str) {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id());
        self.respond(200, "", "application/json", &body).await;
    }

    pub(crate) async fn error(self, status: u16, code: i64) {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":{code},"message":"no"}}}}"#,
            self.id()
        );
        self.respond(status, "", "application/json", &body).await;
    }

    async fn begin_session(self, session: &str, result: &str) {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, self.id());
        let more = format!("Mcp-Session-Id: {session}\r\n");
        self.respond(200, &more, "application/json", &body).await;
    }

    pub(crate) async fn respond(mut self, status: u16, more: &str, kind: &str, body: &str) {
        let length = body.len();
        let response = format!(
            "HTTP/1.1 {status} Whatever\r\n{more}Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let _ = self.socket.write_all(response.as_bytes()).await;
    }

    /// Begins to answer by a stream of events.
    pub(crate) async fn begin_stream(&mut self) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        let _ = self.socket.write_all(head.as_bytes()).await;
    }

    /// One event of it.
    pub(crate) async fn say(&mut self, message: &str) {
        let event = format!("data: {message}\n\n");
        let _ = self.socket.write_all(event.as_bytes()).await;
        let _ = self.socket.flush().await;
    }

    /// Waits until the gateway has closed the connection.
    pub(crate) async fn closed(mut self) {
        let mut byte = [0; 1];
        let read = self.socket.read(&mut byte).await;
        assert!(matches!(read, Ok(0) | Err(_)));
    }
}

/// One request: its head, and its body.
async fn read(socket: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut seen = Vec::new();
    let end = loop {
        if let Some(at) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut seen).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&seen[..end]).into_owned();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, length)| length.trim().parse().unwrap());
    while seen.len() < end + length {
        if socket.read_buf(&mut seen).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, seen.split_off(end)))
}
