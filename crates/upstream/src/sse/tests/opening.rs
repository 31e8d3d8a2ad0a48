//! Opening a connection: what its first event must be, and what becomes of one that nobody keeps.

use super::*;

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
async fn a_connection_counts_from_before_its_opening_until_it_has_ended() {
    let mut peer = Peer::start().await;
    let sse = peer.client_of(SMALL, 1);
    let (session, stream) = session(&sse, &mut peer).await;
    let listening = soon(sse.listen(&session, Arc::default())).await.unwrap();

    let second = fault(open(&sse, Conversation::Greeting)).await;
    assert!(matches!(second, Fault::Full(_)), "{second:?}");

    drop(listening);
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
