//! The server's side: every stream and every POST in the hands of the test.

use std::sync::Arc;

use egress::{Client, Target};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::metrics::Metrics;
use crate::sse::{Bounds, Sse};

/// A server that only does what it is told.
pub(super) struct Peer {
    url: String,
    streams: mpsc::Receiver<Stream>,
    posts: mpsc::Receiver<Post>,
    home: TempDir,
}

/// A GET, and the connection it came by.
pub(super) struct Stream {
    socket: TcpStream,
}

/// A POST that waits for its response.
pub(super) struct Post {
    pub(super) message: Value,
    socket: tokio::sync::Mutex<TcpStream>,
}

impl Peer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/sse", listener.local_addr().unwrap());
        let (to_streams, streams) = mpsc::channel(64);
        let (to_posts, posts) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (to_streams, to_posts) = (to_streams.clone(), to_posts.clone());
                tokio::spawn(async move {
                    let Some((head, body)) = read(&mut socket).await else {
                        return;
                    };
                    if head.starts_with("GET /sse ") {
                        let _ = to_streams.send(Stream { socket }).await;
                    } else if head.starts_with("POST /m ") {
                        let message = serde_json::from_slice(&body).unwrap();
                        let socket = socket.into();
                        let _ = to_posts.send(Post { message, socket }).await;
                    }
                });
            }
        });
        Self {
            url,
            streams,
            posts,
            home: TempDir::new().unwrap(),
        }
    }

    pub(super) fn client(&self, answer: usize) -> Sse {
        self.client_of(answer, 16)
    }

    pub(super) fn client_of(&self, answer: usize, sessions: usize) -> Sse {
        let bounds = Bounds {
            answer,
            limits: mcp::Limits::default(),
            sessions,
            idle: std::time::Duration::from_secs(900),
        };
        Sse::new(
            "old".into(),
            Client::new(self.home.path(), None).unwrap(),
            Arc::new(Target::parse(&self.url).unwrap()),
            Handle::current(),
            bounds,
            Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap()),
        )
    }

    /// The next GET.
    pub(super) async fn stream(&mut self) -> Stream {
        self.streams.recv().await.unwrap()
    }

    /// The next POST.
    pub(super) async fn post(&mut self) -> Post {
        self.posts.recv().await.unwrap()
    }

    /// Whether nothing else has come.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.posts.try_recv().is_err() && self.streams.try_recv().is_err()
    }

    /// Takes the next stream through its handshake, as far as the server's part goes.
    pub(super) async fn greet(&mut self) -> Stream {
        let mut stream = self.stream().await;
        stream.begin("event: endpoint\ndata: m\n\n").await;
        let post = self.post().await;
        assert_eq!(post.message["method"], "initialize");
        post.accept().await;
        stream
            .answer(
                &post.message["id"],
                r#"{"protocolVersion":"2024-11-05","capabilities":{}}"#,
            )
            .await;
        stream
    }
}

impl Stream {
    /// Opens the stream, with its first bytes.
    pub(super) async fn begin(&mut self, first: &str) {
        self.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            .await;
        self.say(first).await;
    }

    pub(super) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        // The gateway may have gone, which then is what the test is about.
        let _ = self.socket.write_all(bytes.as_ref()).await;
        let _ = self.socket.flush().await;
        tokio::task::yield_now().await;
    }

    pub(super) async fn answer(&mut self, id: &Value, result: &str) {
        let event =
            format!("event: message\ndata: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n\n");
        self.say(event).await;
    }

    /// Answers the GET with something that is no stream.
    pub(super) async fn refuse(mut self, status: u16) {
        self.say(format!("HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\n{{}}"))
            .await;
    }

    /// Waits until the gateway has closed it.
    pub(super) async fn closed(mut self) {
        let mut byte = [0; 1];
        let read = self.socket.read(&mut byte).await;
        assert!(matches!(read, Ok(0) | Err(_)));
    }
}

impl Post {
    pub(super) async fn accept(&self) {
        self.respond(202, "text/plain", "Accepted").await;
    }

    pub(super) async fn respond(&self, status: u16, kind: &str, body: &str) {
        let length = body.len();
        let response = format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let _ = self.socket.lock().await.write_all(response.as_bytes()).await;
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
