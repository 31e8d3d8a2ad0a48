//! Calls that their clients take back.

use super::*;

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
