//! A server of 2024-11-05 that does what a test says, byte by byte, and what becomes of its clients.

mod lost;
mod peer;

mod opening;
mod posting;
mod cancelling;
mod pooled;

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use mcp::{Kind, Message, Method, Revision};

use super::*;
use crate::transport::Messages;
use peer::{Peer, Post, Stream};

const SMALL: usize = 4096;

fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &mcp::Limits::default()).unwrap()
}

fn call() -> Message {
    message(
        r#"{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"x","_meta":{"progressToken":"p"}}}"#,
    )
}

fn initialize() -> Message {
    message(r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#)
}

async fn soon<T>(expected: impl Future<Output = T>) -> T {
    let bounded = tokio::time::timeout(Duration::from_secs(10), expected);
    bounded.await.expect("this happens soon")
}

async fn open(sse: &Sse, conversation: Conversation) -> Result<Box<dyn Link>, Error> {
    sse.open(&conversation, Arc::default()).await
}

/// A session that a client began, and the server's side of its stream.
async fn session(sse: &Sse, peer: &mut Peer) -> (Session, Stream) {
    let client = async {
        let mut link = open(sse, Conversation::Greeting).await.unwrap();
        link.send(&initialize()).await.unwrap().session
    };
    let (id, stream) = soon(async { tokio::join!(client, peer.greet()) }).await;
    let session = Session {
        id,
        revision: Revision::V2024_11_05,
        greeting: None,
    };
    (session, stream)
}

/// A link of the shared session, and the server's side of its stream.
async fn shared(sse: &Sse, peer: &mut Peer) -> (Box<dyn Link>, Stream) {
    let server = async {
        let stream = peer.greet().await;
        peer.post().await.accept().await;
        stream
    };
    let (link, stream) =
        soon(async { tokio::join!(open(sse, Conversation::Pooled(Pooled::default())), server) }).await;
    (link.unwrap(), stream)
}

fn text(message: &Message) -> &str {
    std::str::from_utf8(message.bytes()).unwrap()
}

async fn fault<T>(outcome: impl Future<Output = Result<T, Error>>) -> Fault {
    soon(outcome).await.err().expect("it fails").fault
}

#[tokio::test]
async fn what_a_server_says_is_understood_wherever_its_bytes_are_cut() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (session, mut stream) = session(&sse, &mut peer).await;
    let mut link = open(&sse, Conversation::Session(session)).await.unwrap();
    let call = call();

    let server = async {
        let post = peer.post().await;
        assert_eq!(
            post.message["params"]["_meta"]["progressToken"],
            post.message["id"]
        );
        post.accept().await;
        let id = &post.message["id"];
        let said = format!(
            ": ping\r\n\r\nevent: message\r\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":{id},\"progress\":1,\"message\":\"ä\"}}}}\r\n\r\n\
             event: unknown\ndata: x\n\nid: 1\ndata: {{\"jsonrpc\":\"2.0\",\ndata: \"id\":{id},\"result\":{{}}}}\n\n"
        );
        for byte in said.as_bytes().chunks(1) {
            stream.say(byte).await;
        }
    };
    let client = async {
        let Messages::Stream(mut answer) = link.send(&call).await.unwrap().messages else {
            panic!("progress comes first");
        };
        [answer.next().await.unwrap(), answer.next().await.unwrap()]
    };
    let (heard, ()) = soon(async { tokio::join!(client, server) }).await;

    assert_eq!(heard[0].progress_token(), Some(&br#""p""#[..]));
    assert_eq!(heard[1].id(), call.id());
    assert_eq!(heard[1].kind(), Kind::Result);
    soon(sse.stop()).await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_fails_its_call_at_once_and_says_why() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (mut link, mut stream) = shared(&sse, &mut peer).await;
    let call = call();

    let server = async {
        let post = peer.post().await;
        post.accept().await;
        let (id, deep) = (&post.message["id"], "[".repeat(100) + &"]".repeat(100));
        let said = format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"a\":{deep}}}}}\n\n");
        stream.say(said.as_bytes()).await;
    };
    let (outcome, ()) = soon(async { tokio::join!(link.send(&call), server) }).await;

    let said = outcome.err().expect("it is no answer").to_string();
    assert!(
        said.contains("its answer is no JSON-RPC message: nested deeper"),
        "{said}"
    );
    assert!(said.contains("(`bounds.depth`)"), "{said}");
}

#[tokio::test]
async fn two_clients_with_equal_ids_at_once_hear_their_own() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (mut one, mut stream) = shared(&sse, &mut peer).await;
    let mut other = soon(open(&sse, Conversation::Pooled(Pooled::default())))
        .await
        .unwrap();
    let (first, second) = (
        message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#),
        message(r#"{"jsonrpc":"2.0","id":1,"method":"prompts/list"}"#),
    );

    let server = async {
        let (a, b) = (peer.post().await, peer.post().await);
        assert_ne!(a.message["id"], b.message["id"]);
        for post in [b, a] {
            stream
                .answer(
                    &post.message["id"],
                    &format!("{{\"of\":{}}}", post.message["method"]),
                )
                .await;
            post.accept().await;
        }
    };
    let (heard, also, ()) = soon(async { tokio::join!(one.send(&first), other.send(&second), server) }).await;

    for (reply, method) in [(heard, "tools/list"), (also, "prompts/list")] {
        let answer = soon(reply.unwrap().messages.answer()).await.unwrap().unwrap();
        assert_eq!(
            text(&answer),
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"of":"{method}"}}}}"#)
        );
    }
    soon(sse.stop()).await;
}

#[tokio::test]
async fn a_stream_that_ends_fails_its_calls_at_once_and_the_session_is_gone() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (session, stream) = session(&sse, &mut peer).await;
    let mut link = open(&sse, Conversation::Session(session.clone())).await.unwrap();
    let call = call();
    let mut listening = soon(sse.listen(&session, Arc::default())).await.unwrap();

    let server = async {
        peer.post().await.accept().await;
        drop(stream);
    };
    let (outcome, ()) = soon(async { tokio::join!(link.send(&call), server) }).await;

    assert!(matches!(outcome.err().unwrap().fault, Fault::Broken(_)));
    assert_eq!(fault(listening.next()).await, Fault::SessionGone);
    let again = fault(open(&sse, Conversation::Session(session))).await;
    assert_eq!(
        again,
        Fault::SessionGone,
        "nothing was sent, so it may begin anew"
    );
    assert!(peer.is_quiet(), "what was sent is not sent again");
    soon(sse.stop()).await;
}

#[tokio::test]
async fn a_shared_stream_that_ended_is_opened_again_before_the_next_call() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (mut link, mut stream) = shared(&sse, &mut peer).await;
    let call = call();
    let used = async {
        let post = peer.post().await;
        post.accept().await;
        stream.answer(&post.message["id"], "{}").await;
    };
    let (reply, ()) = soon(async { tokio::join!(link.send(&call), used) }).await;
    assert!(reply.is_ok());

    drop(stream);
    let reopened = async {
        let stream = peer.greet().await;
        peer.post().await.accept().await;
        stream
    };
    let mut stream = soon(reopened).await;

    let server = async {
        let post = peer.post().await;
        assert_eq!(post.message["method"], "tools/call");
        post.accept().await;
        stream.answer(&post.message["id"], "{}").await;
    };
    // The link was opened on the stream before.
    let (reply, ()) = soon(async { tokio::join!(link.send(&call), server) }).await;
    assert!(reply.is_ok());
    drop(stream);
    soon(sse.stop()).await;
}

#[tokio::test]
async fn an_oversized_event_ends_the_connection_and_says_so() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (session, mut stream) = session(&sse, &mut peer).await;
    let mut link = open(&sse, Conversation::Session(session)).await.unwrap();
    let call = call();

    let server = async {
        peer.post().await.accept().await;
        stream.say(&format!("data: {}", "x".repeat(SMALL * 2))).await;
        stream.closed().await;
    };
    let (outcome, ()) = soon(async { tokio::join!(link.send(&call), server) }).await;

    assert_eq!(outcome.err().unwrap().fault, Fault::TooLong(SMALL));
    soon(sse.stop()).await;
}

#[tokio::test]
async fn answers_to_nothing_and_garbage_are_counted_and_left_out() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (session, mut stream) = session(&sse, &mut peer).await;
    let mut link = open(&sse, Conversation::Session(session)).await.unwrap();
    let call = call();

    let server = async {
        let post = peer.post().await;
        post.accept().await;
        stream.answer(&serde_json::json!(4711), "{}").await;
        stream.say("data: not json\n\n").await;
        stream.say("event: endpoint\ndata: http://evil/\n\n").await;
        stream.answer(&post.message["id"], "{}").await;
        stream.answer(&post.message["id"], "{}").await;
    };
    let (reply, ()) = soon(async { tokio::join!(link.send(&call), server) }).await;

    assert!(reply.is_ok());
    let metrics = &sse.connections.metrics();
    soon(async {
        while metrics.foreign_answers.with_label_values(&["old"]).get() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(metrics.garbage.with_label_values(&["old"]).get(), 1);
    soon(sse.stop()).await;
}

#[tokio::test]
async fn what_is_said_outside_of_calls_waits_for_a_listener() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (session, mut stream) = session(&sse, &mut peer).await;
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let question = r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#;

    // Nobody listens: the change waits, the question is refused.
    stream
        .say(&format!("data: {changed}\n\ndata: {question}\n\n"))
        .await;
    let refused = soon(peer.post()).await;
    assert_eq!(refused.message["error"]["code"], -32601);
    refused.accept().await;
    let mut listening = soon(sse.listen(&session, Arc::default())).await.unwrap();
    assert_eq!(text(&soon(listening.next()).await.unwrap()), changed);

    stream.say(&format!("data: {question}\n\n")).await;
    assert_eq!(text(&soon(listening.next()).await.unwrap()), question);
    assert!(peer.is_quiet());
    soon(sse.stop()).await;
}
