//! The table of `protocol.md` §1.6: what a server answers to each question, and what it is taken for.

use std::sync::Arc;

use egress::{Client, Target};
use mcp::Revision;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::*;
use crate::handshake::{Eras, Knowledge, Legacy};
use crate::metrics::Metrics;
use crate::{sse, streamable_http};

/// What a server answers to each of the three questions.
#[derive(Clone, Copy)]
struct Answers {
    discover: Answer,
    initialize: Answer,
    get: Answer,
}

#[derive(Clone, Copy)]
enum Answer {
    /// A status, and a JSON body with `ID` in place of the request's id.
    Json(u16, &'static str),
    /// A status with a page.
    Page(u16),
    /// A close.
    Nothing,
    /// An event stream that names a place for POSTs, answers there, and stays open.
    Stream,
}

const MODERN: &str = r#"{"jsonrpc":"2.0","id":ID,"result":{"supportedVersions":["2026-07-28"]}}"#;
const AGREED: &str =
    r#"{"jsonrpc":"2.0","id":ID,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}"#;
const UNKNOWN: &str = r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"?"}}"#;
const LEGACY_ONLY: &str =
    r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32022,"message":"?","data":{"supported":["2025-06-18"]}}}"#;
const MISMATCH: &str = r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32020,"message":"?"}}"#;
const NOT_ALLOWED: &str =
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Method not allowed."}}"#;

/// Serves until the test ends.
async fn serve(answers: Answers) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    // The one stream there may be, to which answers to POSTs elsewhere go.
    let stream = Arc::new(tokio::sync::Mutex::new(None::<TcpStream>));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(exchange(socket, answers, Arc::clone(&stream)));
        }
    });
    url
}

async fn exchange(
    mut socket: TcpStream,
    answers: Answers,
    stream: Arc<tokio::sync::Mutex<Option<TcpStream>>>,
) {
    let mut seen = Vec::new();
    let (head, body) = loop {
        if socket.read_buf(&mut seen).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&seen).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .to_ascii_lowercase()
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let message: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let answer = if head.starts_with("GET") {
        answers.get
    } else if head.starts_with("POST /m ") {
        if let Some(stream) = &mut *stream.lock().await {
            let event = format!("data: {}\n\n", AGREED.replace("ID", &message["id"].to_string()));
            let _ = stream.write_all(event.as_bytes()).await;
        }
        Answer::Page(202)
    } else {
        match message["method"].as_str() {
            Some("server/discover") => answers.discover,
            Some("initialize") => answers.initialize,
            _ => Answer::Page(202),
        }
    };
    let (status, kind, body) = match answer {
        Answer::Nothing => return,
        Answer::Stream => {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: endpoint\ndata: /m\n\n";
            let _ = socket.write_all(head.as_bytes()).await;
            *stream.lock().await = Some(socket);
            return;
        }
        Answer::Json(status, body) => (
            status,
            "application/json",
            body.replace("ID", &message["id"].to_string()),
        ),
        Answer::Page(status) => (status, "text/html", String::new()),
    };
    let response = format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = socket.write_all(response.as_bytes()).await;
}

fn by_url(url: &str, home: &TempDir) -> ByUrl {
    let client = Client::new(home.path(), None).unwrap();
    let target = Arc::new(Target::parse(url).unwrap());
    let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
    let limits = mcp::Limits::default();
    let http = StreamableHttp::new(
        "docs".into(),
        Arc::clone(&client),
        Arc::clone(&target),
        streamable_http::Bounds {
            answer: 1 << 20,
            limits,
            idle: std::time::Duration::from_secs(900),
        },
        Arc::clone(&metrics),
    );
    let bounds = sse::Bounds {
        answer: 1 << 20,
        limits,
        sessions: 8,
        idle: std::time::Duration::from_secs(900),
    };
    let sse = Sse::new("docs".into(), client, target, Handle::current(), bounds, metrics);
    ByUrl::new("docs".into(), http, sse, None)
}

#[tokio::test]
async fn what_a_server_answers_tells_what_it_is() {
    use Answer::{Json, Nothing, Page, Stream};
    let modern = Some((Some(Revision::V2026_07_28), Way::Modern));
    let streamable = Some((None, Way::Streamable));
    let sse = Some((None, Way::Sse));
    for (case, discover, initialize, get, expected) in [
        ("modern", Json(200, MODERN), Page(500), Page(500), modern),
        (
            "its -32022",
            Json(400, LEGACY_ONLY),
            Json(200, AGREED),
            Stream,
            streamable,
        ),
        (
            "fault found",
            Json(400, MISMATCH),
            Json(200, AGREED),
            Stream,
            None,
        ),
        ("credentials", Page(401), Json(200, AGREED), Stream, None),
        ("refused", Page(403), Json(200, AGREED), Stream, None),
        ("too many", Page(429), Json(200, AGREED), Stream, None),
        ("slow", Page(408), Json(200, AGREED), Stream, None),
        ("down", Page(503), Json(200, AGREED), Stream, None),
        (
            "unknown method",
            Json(200, UNKNOWN),
            Json(200, AGREED),
            Stream,
            streamable,
        ),
        ("a page", Page(404), Json(200, AGREED), Stream, streamable),
        ("an error", Page(500), Json(200, AGREED), Stream, streamable),
        (
            "an echo",
            Json(200, r#"{"jsonrpc":"2.0","id":ID,"result":{}}"#),
            Json(200, AGREED),
            Stream,
            streamable,
        ),
        ("SSE by 404", Page(404), Page(404), Stream, sse),
        ("SSE by 405", Page(405), Page(405), Stream, sse),
        ("SSE by 400", Page(400), Page(400), Stream, sse),
        ("SSE by 422", Page(422), Page(422), Stream, sse),
        (
            "SSE by 405 in JSON",
            Json(405, NOT_ALLOWED),
            Json(405, NOT_ALLOWED),
            Stream,
            sse,
        ),
        (
            "SSE by 400 in JSON",
            Json(400, NOT_ALLOWED),
            Json(400, NOT_ALLOWED),
            Stream,
            sse,
        ),
        ("a stream whatever is asked", Stream, Stream, Stream, sse),
        ("401 to initialize", Page(404), Page(401), Stream, None),
        ("403 to initialize", Page(404), Page(403), Stream, None),
        ("408 to initialize", Page(404), Page(408), Stream, None),
        ("429 to initialize", Page(404), Page(429), Stream, None),
        ("503 to initialize", Page(404), Page(503), Stream, None),
        ("no stream either", Page(404), Page(404), Page(405), None),
        ("another stream", Page(404), Page(404), Json(200, "{}"), None),
        ("closed", Page(404), Nothing, Stream, None),
    ] {
        let home = TempDir::new().unwrap();
        let answers = Answers {
            discover,
            initialize,
            get,
        };
        let transport = Arc::new(by_url(&serve(answers).await, &home));
        let asked: Arc<dyn Transport> = transport.clone();
        let knowledge = Knowledge::new(None);

        let learned = knowledge.learn(&asked, &Headers::default()).await;

        let Some((modern, way)) = expected else {
            assert!(learned.is_err(), "{case}: {learned:?}");
            assert!(knowledge.known().is_none(), "{case}: nothing is remembered");
            assert_ne!(transport.found.way(), Some(Way::Sse), "{case}");
            continue;
        };
        let eras = learned.unwrap_or_else(|error| panic!("{case}: {error}"));
        let legacy = match modern {
            Some(_) => Legacy::Unasked,
            None => Legacy::Spoken(Revision::V2025_06_18),
        };
        assert_eq!(*eras, Eras { modern, legacy }, "{case}");
        assert_eq!(transport.found.way(), Some(way), "{case}");
        assert_eq!(
            transport.kind(),
            if way == Way::Sse { "sse" } else { "http" },
            "{case}"
        );
        transport.stop().await;
    }
}
