//! A server of 2024-11-05 that does what a test says, byte by byte, and what becomes of its clients.

mod lost;
mod peer;
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
async fn the_first_event_must_name_a_place_of_the_server_s_own() {
    for (first, judged) in [
        ("data: {}\n\n", "no `endpoint`"),
        ("event: message\ndata: /messages\n\n", "no `endpoint`"),
        (
            "event: endpoint\ndata: http://127.0.0.1:1/messages\n\n",
            "own origin",
        ),
        ("event: endpoint\ndata: //evil.example/messages\n\n", "own origin"),
        ("event: endpoint\ndata: ftp:x\n\n", "own origin"),
    ] {
        let mut peer = Peer::start().await;
        let sse = peer.client(SMALL);
        let server = async {
            let mut stream = peer.stream().await;
            stream.begin("").await;
            stream.say(first).await;
            stream
        };
        let (outcome, stream) =
            soon(async { tokio::join!(open(&sse, Conversation::Greeting), server) }).await;
        let words = outcome.err().unwrap().to_string();
        assert!(words.contains(judged), "{first:?}: {words}");
        assert!(!words.contains("evil") && !words.contains("127.0.0.1"), "{words}");
        soon(stream.closed()).await;
    }
}

#[tokio::test]
async fn a_stream_that_names_no_place_in_time_is_none() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let opening = open(&sse, Conversation::Greeting);
    let server = async {
        let mut stream = peer.stream().await;
        stream.begin(": hello\n\n").await;
        tokio::time::pause();
        stream
    };

    let (outcome, _stream) = tokio::join!(opening, server);

    assert!(matches!(outcome.err().unwrap().fault, Fault::Misjudged(_)));
}

#[tokio::test]
async fn what_answers_the_get_otherwise_is_judged_by_its_status() {
    for (status, expected) in [
        (401, Fault::Unauthorized(401)),
        (
            503,
            Fault::Status {
                status: 503,
                retry_after: None,
            },
        ),
        (405, Fault::Misjudged(String::new())),
        (404, Fault::Misjudged(String::new())),
        (400, Fault::Misjudged(String::new())),
        (200, Fault::Misjudged(String::new())),
    ] {
        let mut peer = Peer::start().await;
        let sse = peer.client(SMALL);
        let server = async { peer.stream().await.refuse(status).await };
        let (outcome, ()) = soon(async { tokio::join!(open(&sse, Conversation::Greeting), server) }).await;
        let fault = outcome.err().unwrap().fault;
        let alike = std::mem::discriminant(&fault) == std::mem::discriminant(&expected);
        assert!(alike, "{status}: {fault:?}");
    }
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
async fn a_server_that_holds_its_posts_blocks_neither_others_nor_their_cancellation() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (session, mut stream) = session(&sse, &mut peer).await;
    let mut held = open(&sse, Conversation::Session(session.clone())).await.unwrap();
    let mut quick = open(&sse, Conversation::Session(session)).await.unwrap();
    let (call, other) = (call(), message(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#));

    let mut running = Box::pin(held.send(&call));
    assert!(running.as_mut().now_or_never().is_none());
    let kept = soon(async {
        tokio::select! { _ = &mut running => panic!("it is held"), post = peer.post() => post }
    })
    .await;
    let server = async {
        let post = peer.post().await;
        stream.answer(&post.message["id"], "{}").await;
        // This POST is never answered at all.
        post
    };
    let (reply, _also_kept) = soon(async { tokio::join!(quick.send(&other), server) }).await;
    assert!(reply.is_ok());

    drop(running);
    let cancelled = soon(peer.post()).await;
    assert_eq!(cancelled.message["method"], "notifications/cancelled");
    assert_eq!(cancelled.message["params"]["requestId"], kept.message["id"]);
    cancelled.accept().await;
    soon(sse.stop()).await;
}

#[tokio::test]
async fn a_client_s_own_cancellation_goes_on_under_the_id_on_the_wire() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (session, _stream) = session(&sse, &mut peer).await;
    let mut link = open(&sse, Conversation::Session(session.clone())).await.unwrap();
    let mut beside = open(&sse, Conversation::Session(session)).await.unwrap();
    let (call, cancel) = (
        call(),
        message(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"mine"}}"#),
    );

    let server = async {
        let asked = peer.post().await;
        asked.accept().await;
        let (cancelled, ()) = tokio::join!(
            async {
                let cancelled = peer.post().await;
                cancelled.accept().await;
                cancelled
            },
            async {
                beside.send(&cancel).await.unwrap();
            }
        );
        assert_eq!(cancelled.message["params"]["requestId"], asked.message["id"]);
    };
    let (outcome, ()) = soon(async { tokio::join!(link.send(&call), server) }).await;

    assert_eq!(outcome.err().unwrap().fault, Fault::Cancelled);
    soon(sse.stop()).await;
}

#[tokio::test]
async fn a_question_that_comes_while_a_call_is_cancelled_is_for_the_other_call() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (session, mut stream) = session(&sse, &mut peer).await;
    let link = || open(&sse, Conversation::Session(session.clone()));
    let (first, second, beside) = tokio::join!(link(), link(), link());
    let (mut first, mut second, mut beside) = (first.unwrap(), second.unwrap(), beside.unwrap());
    let (call, other) = (
        call(),
        message(r#"{"jsonrpc":"2.0","id":2,"method":"tools/call"}"#),
    );
    let cancel =
        message(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"mine"}}"#);

    let server = async {
        peer.post().await.accept().await;
        let cancelling = async {
            let cancelled = peer.post().await;
            assert_eq!(cancelled.message["method"], "notifications/cancelled");
            // It is known to the server, which takes its time to say so.
            let asked = async {
                let post = peer.post().await;
                post.accept().await;
                stream
                    .say("data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"roots/list\"}\n\n")
                    .await;
            };
            let (reply, ()) = tokio::join!(second.send(&other), asked);
            cancelled.accept().await;
            reply
        };
        tokio::join!(cancelling, beside.send(&cancel)).0
    };
    let (cancelled, reply) = soon(async { tokio::join!(first.send(&call), server) }).await;

    assert_eq!(cancelled.err().unwrap().fault, Fault::Cancelled);
    let Messages::Stream(mut heard) = reply.unwrap().messages else {
        panic!("the question comes first");
    };
    assert_eq!(heard.next().await.unwrap().method(), Some(&Method::RootsList));
    drop(heard);
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
async fn a_refused_post_fails_its_call_and_no_other() {
    for (status, body, expected, session_lives) in [
        (401, "", Fault::Unauthorized(401), true),
        (
            429,
            "",
            Fault::Status {
                status: 429,
                retry_after: None,
            },
            true,
        ),
        (
            500,
            "",
            Fault::Status {
                status: 500,
                retry_after: None,
            },
            true,
        ),
        (404, "", Fault::SessionGone, false),
        (410, "", Fault::SessionGone, false),
        (400, "Invalid session ID", Fault::SessionGone, false),
        (
            400,
            "bad",
            Fault::Status {
                status: 400,
                retry_after: None,
            },
            true,
        ),
    ] {
        let mut peer = Peer::start().await;
        let sse = peer.client(SMALL);
        let (session, _stream) = session(&sse, &mut peer).await;
        let mut link = open(&sse, Conversation::Session(session.clone())).await.unwrap();
        let call = call();

        let server = async { peer.post().await.respond(status, "text/plain", body).await };
        let (outcome, ()) = soon(async { tokio::join!(link.send(&call), server) }).await;

        assert_eq!(outcome.err().unwrap().fault, expected, "{status} {body}");
        assert_eq!(sse.keeps(&session), session_lives, "{status} {body}");
        soon(sse.stop()).await;
    }
}

#[tokio::test]
async fn a_refusal_that_answers_the_call_is_its_answer_whatever_words_are_in_it() {
    for (code, answered) in [(-32602, true), (-32001, false)] {
        let mut peer = Peer::start().await;
        let sse = peer.client(SMALL);
        let (session, _stream) = session(&sse, &mut peer).await;
        let mut link = open(&sse, Conversation::Session(session.clone())).await.unwrap();
        let call = call();

        let server = async {
            let post = peer.post().await;
            let id = &post.message["id"];
            let error = format!(r#"{{"code":{code},"message":"no such session"}}"#);
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
            post.respond(400, "application/json", &body).await;
        };
        let (outcome, ()) = soon(async { tokio::join!(link.send(&call), server) }).await;

        match outcome {
            Ok(reply) => assert!(answered && reply.refuses()),
            Err(error) => assert!(!answered && error.fault == Fault::SessionGone, "{error}"),
        }
        assert_eq!(sse.keeps(&session), answered);
        soon(sse.stop()).await;
    }
}

#[tokio::test]
async fn an_answer_in_the_response_to_the_post_is_taken_too() {
    for (kind, before, after) in [
        ("application/json", "", ""),
        (
            "text/event-stream; charset=utf-8",
            "event: message\ndata: ",
            "\n\n",
        ),
    ] {
        let mut peer = Peer::start().await;
        let sse = peer.client(SMALL);
        let (session, _stream) = session(&sse, &mut peer).await;
        let mut link = open(&sse, Conversation::Session(session)).await.unwrap();
        let call = call();

        let server = async {
            let post = peer.post().await;
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, post.message["id"]);
            post.respond(200, kind, &format!("{before}{answer}{after}")).await;
        };
        let (reply, ()) = soon(async { tokio::join!(link.send(&call), server) }).await;

        let answer = soon(reply.unwrap().messages.answer()).await.unwrap().unwrap();
        assert_eq!(answer.id(), call.id());
        soon(sse.stop()).await;
    }
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

#[tokio::test]
async fn a_connection_counts_from_before_its_opening_until_it_has_ended() {
    let mut peer = Peer::start().await;
    let sse = peer.client_of(SMALL, 1);
    let (session, stream) = session(&sse, &mut peer).await;

    let second = fault(open(&sse, Conversation::Greeting)).await;
    assert!(matches!(second, Fault::Full(_)), "{second:?}");

    soon(sse.end(&session, &Headers::default())).await;
    soon(stream.closed()).await;
    soon(async {
        while sse.connections.seats_taken() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let server = async {
        let mut stream = peer.stream().await;
        stream.begin("event: endpoint\ndata: m\n\n").await;
        stream
    };
    let (third, _stream) = soon(async { tokio::join!(open(&sse, Conversation::Greeting), server) }).await;
    assert!(third.is_ok());
    soon(sse.stop()).await;
}

#[tokio::test]
async fn a_client_that_leaves_its_handshake_leaves_no_connection() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);

    let server = async {
        let mut stream = peer.stream().await;
        stream.begin("event: endpoint\ndata: m\n\n").await;
        stream
    };
    let (link, stream) = soon(async { tokio::join!(open(&sse, Conversation::Greeting), server) }).await;
    drop(link);

    soon(stream.closed()).await;
    soon(sse.stop()).await;
}
