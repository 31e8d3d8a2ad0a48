//! What a 2026-07-28 server over HTTP sees of a request that the gateway made.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use http::HeaderValue;
use mcp::Revision;

use super::*;
use crate::metrics::Metrics;
use crate::registry::Timeouts;
use crate::streamable_http::tests::peer::{Asked, Peer};
use crate::transport::MessageStream;

const REGION: &str = r#"{"name":"größe","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}"#;
const ZONE: &str = r#"{"name":"größe","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Zone"}}}}"#;

/// A server of 2026-07-28 over HTTP.
fn upstream(peer: &Peer) -> Arc<Upstream> {
    Arc::new(Upstream::new(
        "new".into(),
        Timeouts::default(),
        Box::new(peer.client()),
        Some(Revision::V2026_07_28),
        Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap()),
    ))
}

fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &mcp::Limits::default()).unwrap()
}

fn request(method: &str, members: &str) -> Message {
    message(&format!(
        r#"{{"jsonrpc":"2.0","id":"mine","method":"{method}","params":{{{members}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}}}"#
    ))
}

fn call() -> Message {
    request("tools/call", r#""name":"größe","arguments":{"region":"us"},"#)
}

/// Sends a message, and finds nothing else to do until it is answered.
async fn send(upstream: &Arc<Upstream>, message: &Message) -> Result<Reply, Error> {
    let headers = Headers {
        injected: Vec::new(),
        passed: vec![
            line("mcp-protocol-version", "2025-06-18").unwrap(),
            line("mcp-session-id", "theirs").unwrap(),
            line("mcp-param-region", "theirs").unwrap(),
            line("traceparent", "kept").unwrap(),
        ],
    };
    let mut exchange = upstream.open(Conversation::Bridged, headers).await?;
    exchange.send(message).await
}

async fn both(client: impl Future<Output = Result<Reply, Error>>, server: impl Future) -> Message {
    let (reply, _) = tokio::time::timeout(Duration::from_secs(10), join(client, server))
        .await
        .expect("this happens soon");
    reply.unwrap().messages.answer().await.unwrap().unwrap()
}

async fn list(peer: &mut Peer, tools: &str) {
    let asked = peer.post("tools/list").await;
    assert_eq!(asked.header("mcp-method"), Some("tools/list"));
    asked.result(&format!(r#"{{"tools":[{tools}]}}"#)).await;
}

fn mirrored_value<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.header(&format!("mcp-param-{name}"))
}

#[tokio::test]
async fn headers_repeat_the_message_and_nothing_that_a_client_wrote() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer);

    let read = request("resources/read", r#""uri":"file:///ä","#);
    let server = async {
        let asked = peer.post("resources/read").await;
        assert_eq!(asked.header("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(asked.header("mcp-method"), Some("resources/read"));
        assert_eq!(asked.header("mcp-name"), Some("=?base64?ZmlsZTovLy/DpA==?="));
        assert_eq!(asked.header("mcp-session-id"), None);
        assert_eq!(mirrored_value(&asked, "region"), None);
        assert_eq!(asked.header("traceparent"), Some("kept"));
        assert_eq!(asked.id(), r#""mine""#);
        asked.result("{}").await;
    };
    both(send(&upstream, &read), server).await;

    assert!(peer.is_quiet());
}

#[tokio::test]
async fn arguments_are_repeated_as_the_tool_was_listed_which_is_asked_once() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer);

    let server = async {
        list(&mut peer, REGION).await;
        for _ in 0..3 {
            let asked = peer.post("tools/call").await;
            assert_eq!(mirrored_value(&asked, "region"), Some("us"));
            assert_eq!(asked.header("mcp-name"), Some("=?base64?Z3LDtsOfZQ==?="));
            asked.result("{}").await;
        }
    };
    let calls = async {
        let (one, other) = join(send(&upstream, &call()), send(&upstream, &call())).await;
        assert!(one.is_ok() && other.is_ok());
        send(&upstream, &call()).await
    };
    both(calls, server).await;

    assert!(peer.is_quiet());
}

#[tokio::test]
async fn a_call_refused_for_its_headers_goes_once_more_with_those_of_the_list_as_it_is_now() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer);

    let server = async {
        list(&mut peer, REGION).await;
        peer.post("tools/call")
            .await
            .error(400, code::HEADER_MISMATCH)
            .await;
        list(&mut peer, ZONE).await;
        let asked = peer.post("tools/call").await;
        assert_eq!(mirrored_value(&asked, "zone"), Some("us"));
        assert_eq!(mirrored_value(&asked, "region"), None);
        asked.error(400, code::HEADER_MISMATCH).await;
    };
    let answer = both(send(&upstream, &call()), server).await;

    assert_eq!(answer.error_code(), Some(code::HEADER_MISMATCH));
    assert_eq!(answer.id(), call().id());
    assert!(peer.is_quiet(), "not a third time");
}

#[tokio::test]
async fn a_call_refused_for_headers_that_are_as_listed_is_not_sent_again() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer);

    let server = async {
        list(&mut peer, REGION).await;
        peer.post("tools/call")
            .await
            .error(400, code::HEADER_MISMATCH)
            .await;
        list(&mut peer, REGION).await;
    };
    let answer = both(send(&upstream, &call()), server).await;

    assert_eq!(answer.error_code(), Some(code::HEADER_MISMATCH));
    assert!(peer.is_quiet());
}

#[tokio::test]
async fn a_call_goes_without_headers_where_no_list_can_be_read() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer);

    let server = async {
        peer.post("tools/list")
            .await
            .respond(500, "", "text/plain", "")
            .await;
        let asked = peer.post("tools/call").await;
        assert_eq!(mirrored_value(&asked, "region"), None);
        asked.result("{}").await;
    };
    let answer = both(send(&upstream, &call()), server).await;

    assert_eq!(answer.result(), Some(&b"{}"[..]));
}

#[tokio::test]
async fn whoever_drops_the_stream_of_an_answer_closes_it() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer);
    let list = request("prompts/list", "");

    let server = async {
        let mut asked = peer.post("prompts/list").await;
        asked.begin_stream().await;
        asked
            .say(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}"#)
            .await;
        asked
    };
    let (reply, asked) = join(send(&upstream, &list), server).await;
    let Messages::Stream(mut stream) = reply.unwrap().messages else {
        panic!("a notification comes first");
    };
    stream.next().await.unwrap();

    drop::<Box<dyn MessageStream>>(stream);

    let closed = tokio::time::timeout(Duration::from_secs(10), asked.closed());
    closed.await.expect("it is closed");
    assert!(peer.is_quiet(), "and nothing else is said");
}

#[tokio::test]
async fn credentials_are_told_apart_by_what_is_listed_to_them() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer);
    let headers = |who: &'static str| Headers {
        injected: vec![(http::header::AUTHORIZATION, HeaderValue::from_static(who))],
        passed: Vec::new(),
    };

    for (who, tool) in [("ann", REGION), ("bob", ZONE)] {
        let (ours, ()) = join(upstream.parameters("größe", &headers(who)), list(&mut peer, tool)).await;
        let name = ours.unwrap().unwrap().mirror(&call())[0].0.to_owned();
        assert_eq!(name.ends_with("region"), who == "ann");
    }
    upstream.parameters("größe", &headers("ann")).await.unwrap();
    assert!(peer.is_quiet());
}
