//! What a server does with what is POSTed to it: takes, holds, refuses or answers it.

use super::*;

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
