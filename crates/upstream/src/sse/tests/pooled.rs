//! A principal's own connection: who is asked on it, and what becomes of it.

use super::lost::begun;
use super::*;

fn pooled(scope: &str) -> Pooled {
    Pooled {
        capabilities: Some(r#"{"roots":{}}"#.into()),
        scope: scope.as_bytes().into(),
    }
}

/// A link of a principal's session, and the server's side of its stream.
async fn own(sse: &Sse, peer: &mut Peer, scope: &str) -> (Box<dyn Link>, Stream) {
    let server = async {
        let mut stream = peer.stream().await;
        stream.begin("event: endpoint\ndata: m\n\n").await;
        let post = peer.post().await;
        assert_eq!(
            post.message["params"]["capabilities"],
            serde_json::json!({"roots": {}})
        );
        post.accept().await;
        let agreed = r#"{"protocolVersion":"2024-11-05","capabilities":{}}"#;
        stream.answer(&post.message["id"], agreed).await;
        peer.post().await.accept().await;
        stream
    };
    let conversation = Conversation::Pooled(pooled(scope));
    let (link, stream) = soon(async { tokio::join!(open(sse, conversation), server) }).await;
    (link.unwrap(), stream)
}

#[tokio::test]
async fn a_principal_has_a_connection_of_its_own_whose_question_is_the_only_call_s() {
    let mut peer = Peer::start().await;
    let sse = peer.client_of(SMALL, 2);
    let (mut link, mut stream) = own(&sse, &mut peer, "ann").await;
    let call = call();

    let server = async {
        let post = peer.post().await;
        stream
            .say("data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"roots/list\"}\n\n")
            .await;
        post.accept().await;
        post
    };
    let (reply, running) = soon(async { tokio::join!(link.send(&call), server) }).await;
    let Messages::Stream(mut messages) = reply.unwrap().messages else {
        panic!("the question comes first");
    };
    let question = soon(messages.next()).await.unwrap();
    assert_eq!(question.kind(), Kind::Request);
    let answer = Message::result_reply(question.id().unwrap(), r#"{"roots":[]}"#);
    let server = async {
        let post = peer.post().await;
        assert_eq!(post.message["id"], "q");
        post.accept().await;
    };
    let (sent, ()) = soon(async { tokio::join!(link.send(&answer), server) }).await;
    sent.unwrap();

    link.cancel(&call, "enough").await;
    let cancelled = soon(peer.post()).await;
    assert_eq!(cancelled.message["params"]["requestId"], running.message["id"]);
    assert_eq!(cancelled.message["params"]["reason"], "enough");
    cancelled.accept().await;
    assert_eq!(fault(messages.next()).await, Fault::Cancelled);
    drop(messages);
    assert!(peer.is_quiet(), "it is told once");

    // A third gets the place of who is idle, and a fourth none where all are used.
    let (mut bob, _bob) = own(&sse, &mut peer, "bob").await;
    let mut bobs = bob.send(&call);
    begun(&mut bobs, &mut peer).await;
    let (mut eve, _eve) = own(&sse, &mut peer, "eve").await;
    soon(stream.closed()).await;
    let mut eves = eve.send(&call);
    begun(&mut eves, &mut peer).await;
    let full = fault(open(&sse, Conversation::Pooled(pooled("joe")))).await;
    assert!(matches!(full, Fault::Full(_)), "{full:?}");
    soon(sse.stop()).await;
}

#[tokio::test]
async fn a_principal_s_connection_that_was_lost_is_opened_when_it_is_used() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (mut link, stream) = own(&sse, &mut peer, "ann").await;
    drop(stream);
    soon(async {
        while sse.connections.seats_taken() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(peer.is_quiet());

    let call = call();
    let again = async {
        let mut stream = peer.greet().await;
        peer.post().await.accept().await;
        let post = peer.post().await;
        stream.answer(&post.message["id"], "{}").await;
        post.accept().await;
        stream
    };
    let (reply, _stream) = soon(async { tokio::join!(link.send(&call), again) }).await;

    assert!(soon(reply.unwrap().messages.answer()).await.unwrap().is_some());
    soon(sse.stop()).await;
}

#[tokio::test]
async fn places_are_kept_for_connections_alone() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (link, stream) = own(&sse, &mut peer, "ann").await;
    for scope in ["bob", "eve"] {
        let refused = async { peer.stream().await.refuse(503).await };
        let (opened, ()) =
            soon(async { tokio::join!(open(&sse, Conversation::Pooled(pooled(scope))), refused) }).await;
        assert!(opened.is_err());
        assert_eq!(sse.connections.places(), 1);
    }

    // One whose connection ended goes when another is needed.
    drop((link, stream));
    soon(async {
        while sse.connections.seats_taken() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let _joe = own(&sse, &mut peer, "joe").await;
    assert_eq!(sse.connections.places(), 1);
    soon(sse.stop()).await;
}
