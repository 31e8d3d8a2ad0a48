//! What becomes of a refused call, of what is known of its server, and of those who call next.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;

use super::*;
use crate::handshake;
use crate::metrics::Metrics;
use crate::registry::Timeouts;
use crate::streamable_http::tests::peer::{Asked, Peer};
use crate::transport::Conversation;

const MODERN: &str = r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#;

/// `-32022` of a server that knows only earlier revisions.
const EARLIER: &str = r#"{"code":-32022,"message":"?","data":{"supported":["2025-11-25"]}}"#;

fn call() -> Message {
    let text = r#"{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    Message::parse(Bytes::from_static(text.as_bytes()), &mcp::Limits::default()).unwrap()
}

async fn refuse(asked: Asked, status: u16, error: &str) {
    let body = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, asked.id());
    asked.respond(status, "", "application/json", &body).await;
}

/// A server that said that it speaks 2026-07-28.
async fn modern(peer: &mut Peer) -> Arc<Upstream> {
    let upstream = Arc::new(Upstream::new(
        "new".into(),
        Timeouts::default(),
        Box::new(peer.client()),
        None,
        Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap()),
    ));
    let headers = Headers::default();
    let server = async { peer.post("server/discover").await.result(MODERN).await };
    join(upstream.learn(&headers), server).await.0.unwrap();
    upstream
}

/// What a call comes to, its server doing this meanwhile.
async fn called(upstream: &Arc<Upstream>, server: impl Future) -> Result<Message, Error> {
    let client = async {
        let mut exchange = upstream
            .open(Conversation::Modern, Headers::default())
            .await
            .unwrap();
        let reply = exchange.send(&call()).await?;
        Ok(reply.messages.answer().await.unwrap().unwrap())
    };
    let both = tokio::time::timeout(Duration::from_secs(10), join(client, server));
    both.await.expect("this happens soon").0
}

async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn is_modern(upstream: &Upstream) -> bool {
    upstream.eras().is_some_and(|eras| eras.modern.is_some())
}

#[tokio::test]
async fn a_server_that_was_rolled_back_is_known_by_the_words_of_its_refusal() {
    for error in [
        EARLIER,
        r#"{"code":-32022,"message":"?"}"#,
        r#"{"code":-32600,"message":"there is no session"}"#,
        r#"{"code":-32000,"message":"there is no session"}"#,
    ] {
        let mut peer = Peer::start().await;
        let upstream = modern(&mut peer).await;

        let server = async {
            refuse(peer.post("tools/call").await, 400, error).await;
            peer.post("server/discover").await.error(400, -32600).await;
            peer.greet("s1").await;
        };
        let outcome = called(&upstream, server).await;

        let fault = outcome.unwrap_err().fault;
        assert_eq!(fault, Fault::NotSpoken { wanted: Era::Modern }, "{error}");
        assert!(!is_modern(&upstream), "{error}");
        assert!(peer.is_quiet(), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_moment_says_nothing_of_eras() {
    let mut peer = Peer::start().await;
    let upstream = modern(&mut peer).await;
    for status in [402, 409, 422, 429] {
        let server = async { peer.post("tools/call").await.error(status, -32000).await };
        let answer = called(&upstream, server).await.unwrap();
        assert_eq!(answer.error_code(), Some(-32000), "{status}");
        assert!(peer.is_quiet() && is_modern(&upstream), "{status}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_keeps_its_answer_and_what_was_known_of_it() {
    let mut peer = Peer::start().await;
    let upstream = modern(&mut peer).await;

    let server = async {
        peer.post("tools/call").await.error(400, -32000).await;
        peer.post("server/discover").await.error(503, -32000).await;
    };
    let answer = called(&upstream, server).await.unwrap();
    assert_eq!(answer.error_code(), Some(-32000));
    assert!(is_modern(&upstream));

    // It is let alone for a while, whatever it says.
    let server = async { peer.post("tools/call").await.error(400, -32000).await };
    let answer = called(&upstream, server).await.unwrap();
    assert_eq!(answer.error_code(), Some(-32000));
    assert!(peer.is_quiet());

    pass(Duration::from_secs(60)).await;
    let server = async {
        peer.post("tools/call").await.error(400, -32000).await;
        peer.post("server/discover").await.error(400, -32600).await;
        peer.greet("s1").await;
    };
    assert!(called(&upstream, server).await.is_err());
    assert!(!is_modern(&upstream));
}

#[tokio::test]
async fn that_a_revision_is_not_spoken_is_never_told_a_client() {
    let mut peer = Peer::start().await;
    let upstream = modern(&mut peer).await;

    let server = async {
        refuse(peer.post("tools/call").await, 400, EARLIER).await;
        peer.post("server/discover").await.result(MODERN).await;
        peer.post("tools/call").await.result("{}").await;
    };
    let answer = called(&upstream, server).await.unwrap();
    assert_eq!(answer.result(), Some(&b"{}"[..]));

    let server = async { refuse(peer.post("tools/call").await, 400, EARLIER).await };
    let fault = called(&upstream, server).await.unwrap_err().fault;
    assert!(matches!(fault, Fault::Broken(_)), "{fault:?}");
    assert!(peer.is_quiet() && is_modern(&upstream));
}

#[tokio::test]
async fn a_refused_greeting_is_asked_about_in_a_session_that_is_new() {
    let mut peer = Peer::start().await;
    let upstream = modern(&mut peer).await;
    let headers = Headers::default();
    // It also spoke an earlier revision, until now.
    join(upstream.learn_both(&headers), peer.greet("s1"))
        .await
        .0
        .unwrap();

    let greeting = handshake::initialize_request(&mcp::Id::number(1), &crate::Pooled::default());
    let client = async {
        let mut exchange = upstream.open(Conversation::Greeting, Headers::default()).await?;
        exchange.send(&greeting).await
    };
    let server = async { refuse(peer.post("initialize").await, 400, EARLIER).await };
    let refused = join(client, server).await.0.err().unwrap().fault;
    assert_eq!(refused, Fault::NotSpoken { wanted: Era::Legacy });

    let server = async { refuse(peer.post("initialize").await, 400, EARLIER).await };
    let both = join(upstream.learn_both(&headers), server);
    let eras = tokio::time::timeout(Duration::from_secs(10), both)
        .await
        .expect("it is asked");
    assert_eq!(eras.0.unwrap().legacy, Legacy::NotSpoken);
}
