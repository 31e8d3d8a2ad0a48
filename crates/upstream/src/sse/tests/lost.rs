//! A shared connection whose server refuses one message for the session, as it says.

use super::*;
use crate::transport::Reply;

/// A call that runs over the shared connection, as the server knows it.
pub(super) async fn begun(
    waiting: &mut (impl Future<Output = Result<Reply, Error>> + Unpin),
    peer: &mut Peer,
) -> Post {
    let begun = async {
        tokio::select! {
            _ = waiting => panic!("it is not answered yet"),
            post = peer.post() => post,
        }
    };
    let post = soon(begun).await;
    post.accept().await;
    post
}

async fn other(sse: &Sse) -> Box<dyn Link> {
    let nobody = Conversation::Pooled(Pooled::default());
    soon(open(sse, nobody)).await.unwrap()
}

async fn answered(reply: Result<Reply, Error>) -> bool {
    soon(reply.unwrap().messages.answer()).await.unwrap().is_some()
}

#[tokio::test]
async fn one_client_s_words_about_sessions_end_nobody_s_call() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (mut link, mut stream) = shared(&sse, &mut peer).await;
    let mut other = other(&sse).await;
    let call = call();
    let mut waiting = link.send(&call);
    let running = begun(&mut waiting, &mut peer).await;

    // Servers of the TypeScript SDK repeat what they cannot read.
    let ours = message(r#"{"jsonrpc":"2.0","id":2,"method":"session/begin"}"#);
    let server = async {
        let post = peer.post().await;
        let body = format!("Invalid message: {}", post.message);
        post.respond(400, "text/plain", &body).await;
    };
    let (refused, ()) = soon(async { tokio::join!(other.send(&ours), server) }).await;

    assert!(matches!(
        refused.err().unwrap().fault,
        Fault::Status { status: 400, .. }
    ));
    stream.answer(&running.message["id"], "{}").await;
    assert!(answered(soon(waiting).await).await);
    soon(sse.stop()).await;
}

#[tokio::test]
async fn what_is_lost_in_words_alone_takes_nothing_new_and_what_runs_is_answered() {
    let mut peer = Peer::start().await;
    let sse = peer.client(SMALL);
    let (mut link, mut stream) = shared(&sse, &mut peer).await;
    let mut other = other(&sse).await;
    let call = call();
    let mut waiting = link.send(&call);
    let running = begun(&mut waiting, &mut peer).await;

    let server = async {
        peer.post()
            .await
            .respond(400, "text/plain", "No such session")
            .await;
        let mut anew = peer.greet().await;
        peer.post().await.accept().await;
        let again = peer.post().await;
        anew.answer(&again.message["id"], "{}").await;
        again.accept().await;
        anew
    };
    let (again, _anew) = soon(async { tokio::join!(other.send(&call), server) }).await;

    assert!(answered(again).await);
    stream.answer(&running.message["id"], "{}").await;
    assert!(answered(soon(waiting).await).await);
    soon(stream.closed()).await;
    soon(sse.stop()).await;
}
