//! What is heard from servers that close, refuse and resume their streams.

use super::*;
use crate::metrics::Metrics;
use crate::streamable_http::{Bounds, StreamableHttp};
use crate::transport::Transport as _;
use egress::{Client, Target};
use mcp::Revision;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A server that answers one connection after the other as it was told, and tells the heads it was sent.
struct Peer {
    transport: StreamableHttp,
    heads: mpsc::Receiver<String>,
    _home: TempDir,
}

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

async fn peer(answers: Vec<String>) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
    let (told, heads) = mpsc::channel(64);
    tokio::spawn(async move {
        for answer in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                connection.read_buf(&mut head).await.unwrap();
            }
            told.send(String::from_utf8(head).unwrap().to_lowercase())
                .await
                .unwrap();
            // In two pieces, cut anywhere.
            let (one, other) = answer.as_bytes().split_at(answer.len() / 2);
            connection.write_all(one).await.unwrap();
            connection.flush().await.unwrap();
            connection.write_all(other).await.unwrap();
        }
    });
    let home = TempDir::new().unwrap();
    let client = Client::new(home.path(), None).unwrap();
    let bounds = Bounds {
        answer: 1024,
        limits: mcp::Limits::default(),
        idle: std::time::Duration::from_secs(900),
    };
    let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
    Peer {
        transport: StreamableHttp::new("docs".into(), client, Arc::new(target), bounds, metrics),
        heads,
        _home: home,
    }
}

fn session(id: Option<&str>) -> Session {
    Session {
        id: id.map(Into::into),
        revision: Revision::V2025_11_25,
        greeting: None,
    }
}

fn event(text: &str) -> String {
    format!("data: {}\n\n", log(text))
}

fn log(text: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":"{text}"}}}}"#)
}

async fn listen(peer: &Peer, id: Option<&str>) -> Result<Box<dyn MessageStream>, Error> {
    peer.transport.listen(&session(id), Arc::default()).await
}

#[tokio::test]
async fn the_session_is_listened_to_in_its_revision_and_only_messages_to_the_client_are_heard() {
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let long = "x".repeat(2000);
    let said = format!(
        "{EVENTS}: hello\n\nid: e1\ndata:\n\ndata: {answer}\n\nevent: other\ndata: {{}}\n\ndata: garbage\n\n{}{}",
        event(&long),
        event("a")
    );
    let mut peer = peer(vec![said]).await;

    let mut stream = listen(&peer, Some("s1")).await.unwrap();
    let heard = stream.next().await.unwrap();

    assert_eq!(heard.bytes(), log("a").as_bytes());
    let head = peer.heads.recv().await.unwrap();
    for line in [
        "get /mcp http/1.1",
        "accept: text/event-stream\r\n",
        "mcp-session-id: s1\r\n",
        "mcp-protocol-version: 2025-11-25\r\n",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    assert!(
        !head.contains("content-type") && !head.contains("last-event-id"),
        "{head}"
    );
}

#[tokio::test]
async fn a_stream_whose_server_numbers_its_events_goes_on_where_it_left_off() {
    let mut peer = peer(vec![
        format!("{EVENTS}retry: 100\nid: e1\n{}", event("a")),
        "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
        format!("{EVENTS}{}", event("b")),
    ])
    .await;

    let mut stream = listen(&peer, Some("s1")).await.unwrap();
    for expected in ["a", "b"] {
        assert_eq!(stream.next().await.unwrap().bytes(), log(expected).as_bytes());
    }

    let heads = [(); 3].map(|()| peer.heads.try_recv().unwrap());
    assert!(!heads[0].contains("last-event-id"));
    assert!(heads[1].contains("last-event-id: e1\r\n"), "{heads:?}");
    assert!(heads[2].contains("last-event-id: e1\r\n"), "{heads:?}");
}

#[tokio::test]
async fn a_stream_that_only_ends_is_its_listener_s_to_open_again() {
    let peer = peer(vec![format!("{EVENTS}{}", event("a"))]).await;

    let mut stream = listen(&peer, Some("s1")).await.unwrap();
    stream.next().await.unwrap();

    assert!(matches!(stream.next().await.unwrap_err().fault, Fault::Broken(_)));
}

#[tokio::test]
async fn a_refusal_says_whether_to_come_again() {
    let gone = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}"#;
    let other = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}"#;
    let status = |status| Fault::Status {
        status,
        retry_after: None,
    };
    for (code, body, id, expected) in [
        (405, "", Some("s1"), Fault::NotOffered),
        (405, "", None, Fault::NotOffered),
        (404, "", Some("s1"), Fault::SessionGone),
        (404, "", None, Fault::NotOffered),
        (400, gone, Some("s1"), Fault::SessionGone),
        (400, gone, None, Fault::NotOffered),
        (400, other, Some("s1"), Fault::NotOffered),
        (200, "{}", Some("s1"), Fault::NotOffered),
        (401, "", Some("s1"), Fault::Unauthorized(401)),
        (409, "", Some("s1"), status(409)),
        (429, "", Some("s1"), status(429)),
        (501, "", Some("s1"), Fault::NotOffered),
        (503, "", Some("s1"), status(503)),
    ] {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let peer = peer(vec![answer]).await;

        let refused = listen(&peer, id).await.err().unwrap();

        assert_eq!(refused.fault, expected, "{code} {body} {id:?}");
    }
}
