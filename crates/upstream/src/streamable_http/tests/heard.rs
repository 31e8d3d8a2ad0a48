//! What a server says outside of calls in a session whose clients may be asked something: who hears it, and for how
//! long it is listened for.

use super::*;
use crate::transport::Reply;

/// A session that is heard, and its stream at the server.
async fn heard(peer: &mut Peer, http: &StreamableHttp, session: &str) -> (Box<dyn Link>, peer::Asked) {
    let server = async {
        peer.greet(session).await;
        let stream = peer.listener().await;
        assert_eq!(stream.header("mcp-session-id"), Some(session));
        assert_eq!(stream.header("mcp-protocol-version"), Some("2025-06-18"));
        stream
    };
    join(open(http, &pooled(session)), server).await
}

fn question(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"elicitation/create","params":{{}}}}"#)
}

fn changed() -> String {
    r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned()
}

/// The answer to the question that was asked by this id.
async fn answered(peer: &mut Peer, id: &str) -> serde_json::Value {
    let answered = peer.next().await;
    let message = answered.message.clone();
    assert_eq!(message["id"], id);
    answered.accept().await;
    message
}

fn stream_of(reply: Reply) -> Box<dyn MessageStream> {
    match reply.messages {
        Messages::Stream(stream) => stream,
        Messages::One(_) | Messages::Accepted => panic!("something comes before the answer"),
    }
}

async fn soon<T>(expected: impl Future<Output = T>) -> T {
    let bounded = tokio::time::timeout(Duration::from_secs(10), expected);
    bounded.await.expect("this happens soon")
}

async fn until(fact: impl Fn() -> bool) {
    soon(async {
        while !fact() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_question_outside_of_calls_is_the_only_call_s_whether_its_post_is_answered_or_not() {
    for begins_stream in [false, true] {
        let mut peer = Peer::talkative().await;
        let http = peer.client();
        let (mut link, mut stream) = heard(&mut peer, &http, "s1").await;

        let server = async {
            let mut asked = peer.post("tools/call").await;
            if begins_stream {
                asked.begin_stream().await;
            }
            stream.say(&question("q1")).await;
            asked
        };
        let (reply, mut running) = soon(join(link.send(&call()), server)).await;
        let mut reply = stream_of(reply.unwrap());
        let asked = soon(reply.next()).await.unwrap();
        assert_eq!(asked.id().unwrap().raw(), r#""q1""#);

        let answer = Message::result_reply(asked.id().unwrap(), r#"{"action":"accept"}"#);
        let server = answered(&mut peer, "q1");
        let (sent, told) = soon(join(link.send(&answer), server)).await;
        sent.unwrap();
        assert_eq!(told["result"]["action"], "accept");
        if begins_stream {
            let id = running.id();
            running
                .say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))
                .await;
        } else {
            running.result("{}").await;
        }
        assert_eq!(soon(reply.next()).await.unwrap().id(), call().id());
    }
}

#[tokio::test]
async fn a_question_that_belongs_to_no_call_or_to_any_of_two_is_refused() {
    let mut peer = Peer::talkative().await;
    let http = peer.client();
    let (mut one, mut stream) = heard(&mut peer, &http, "s1").await;

    stream.say(&question("q1")).await;
    let refused = answered(&mut peer, "q1").await;
    assert_eq!(refused["error"]["code"], -32601, "{refused}");

    let mut two = open(&http, &pooled("s1")).await;
    let server = async {
        let first = peer.post("tools/call").await;
        let second = peer.post("tools/call").await;
        stream.say(&question("q2")).await;
        let refused = answered(&mut peer, "q2").await;
        first.result("{}").await;
        second.result("{}").await;
        refused
    };
    let (first, second) = (call(), call());
    let calls = join(one.send(&first), two.send(&second));
    let ((first, second), refused) = soon(join(calls, server)).await;
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
    assert_eq!(peer.dropped(), 2);
}

#[tokio::test]
async fn a_question_after_a_call_was_taken_back_is_the_other_s() {
    let mut peer = Peer::talkative().await;
    let http = peer.client();
    let (mut one, mut stream) = heard(&mut peer, &http, "s1").await;
    let mut two = open(&http, &pooled("s1")).await;
    let server = async {
        let mut first = peer.post("tools/call").await;
        first.begin_stream().await;
        first
            .say(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#)
            .await;
        first
    };
    let (taken_back, _first) = soon(join(one.send(&call()), server)).await;
    let _still_read = taken_back.unwrap();

    let server = async {
        peer.post("notifications/cancelled").await.accept().await;
        let second = peer.post("tools/call").await;
        stream.say(&question("q1")).await;
        second
    };
    let called = call();
    let client = async {
        one.cancel(&call(), "enough").await;
        stream_of(two.send(&called).await.unwrap()).next().await
    };
    let (asked, _second) = soon(join(client, server)).await;

    assert_eq!(asked.unwrap().kind(), Kind::Request);
}

#[tokio::test]
async fn progress_finds_its_call_on_either_stream_under_its_own_token() {
    let mut peer = Peer::talkative().await;
    let http = peer.client();
    let (mut one, mut stream) = heard(&mut peer, &http, "s1").await;
    let mut two = open(&http, &pooled("s1")).await;
    let text = r#"{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"x","_meta":{"progressToken":"t"}}}"#;
    let with_token = Message::parse(Bytes::from_static(text.as_bytes()), &mcp::Limits::default()).unwrap();
    let progress = |token: &serde_json::Value| {
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": token, "progress": 1 } })
            .to_string()
    };

    let server = async {
        let mut first = peer.post("tools/call").await;
        let mut second = peer.post("tools/call").await;
        let token = |asked: &peer::Asked| asked.message["params"]["_meta"]["progressToken"].clone();
        assert_ne!(token(&first), token(&second), "two calls of one session");
        stream.say(&progress(&token(&first))).await;
        second.begin_stream().await;
        second.say(&progress(&token(&second))).await;
        first.begin_stream().await;
        (first, second)
    };
    let calls = join(one.send(&with_token), two.send(&with_token));
    let ((first, second), _running) = soon(join(calls, server)).await;

    for reply in [first, second] {
        let told = soon(stream_of(reply.unwrap()).next()).await.unwrap();
        assert_eq!(
            told.progress_token().map(<[u8]>::to_vec),
            Some(br#""t""#.to_vec())
        );
    }
}

#[tokio::test]
async fn what_changed_is_told_to_who_follows_and_to_no_call() {
    let mut peer = Peer::talkative().await;
    let http = peer.client();
    let (mut link, mut stream) = heard(&mut peer, &http, "s1").await;
    let overheard = http.overhear(&pooled("s1"), &Arc::default()).await.unwrap();
    let mut following = overheard.stream;

    let server = async {
        let mut asked = peer.post("tools/call").await;
        stream.say(&changed()).await;
        assert!(soon(following.next()).await.is_ok());
        asked.begin_stream().await;
        asked.say(&changed()).await;
        let id = asked.id();
        asked
            .say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))
            .await;
        assert!(
            soon(following.next()).await.is_ok(),
            "also on the call's own stream"
        );
    };
    let call = async {
        let mut reply = stream_of(link.send(&call()).await.unwrap());
        reply.next().await.unwrap()
    };
    let (first, ()) = soon(join(call, server)).await;
    assert_eq!(first.kind(), Kind::Result);
    assert!(peer.is_quiet(), "one session, and one stream");
}

#[tokio::test]
async fn a_stream_that_breaks_is_opened_again_and_who_follows_is_told() {
    let mut peer = Peer::talkative().await;
    let http = peer.client();
    let (_link, stream) = heard(&mut peer, &http, "s1").await;
    let overheard = http.overhear(&pooled("s1"), &Arc::default()).await.unwrap();
    let mut following = overheard.stream;
    assert_eq!(peer.session_streams(), 1);

    drop(stream);
    assert!(matches!(
        soon(following.next()).await.unwrap_err().fault,
        Fault::Broken(_)
    ));
    // Asked to hear again, it does not wait for its pause to pass.
    let opened = async { peer.listener().await };
    let wanted = async { http.overhear(&pooled("s1"), &Arc::default()).await };
    let (again, mut stream) = soon(join(wanted, opened)).await;
    let mut following = again.unwrap().stream;

    stream.say(&changed()).await;
    assert!(soon(following.next()).await.is_ok());
}

#[tokio::test]
async fn a_server_that_says_nothing_outside_of_calls_is_asked_once() {
    for status in [405, 404, 400] {
        let mut peer = Peer::talkative().await;
        let http = peer.client();
        let server = async {
            peer.greet("s1").await;
            peer.get().await.respond(status, "", "text/plain", "").await;
        };
        let (mut link, ()) = soon(join(open(&http, &pooled("ann")), server)).await;

        let overheard = http.overhear(&pooled("ann"), &Arc::default()).await;
        assert_eq!(overheard.err().unwrap().fault, Fault::NotOffered, "{status}");
        goes_through(&mut link, &mut peer, "s1").await;
        assert!(peer.is_quiet());
    }
}

#[tokio::test]
async fn a_session_found_lost_by_its_stream_is_begun_anew_for_who_follows() {
    let mut peer = Peer::talkative().await;
    let http = peer.client();
    let (link, stream) = heard(&mut peer, &http, "s1").await;
    drop(link);
    let overheard = http.overhear(&pooled("s1"), &Arc::default()).await.unwrap();
    let mut following = overheard.stream;

    drop(stream);
    assert!(soon(following.next()).await.is_err());
    let server = async {
        peer.get().await.respond(404, "", "text/plain", "").await;
        peer.greet("s2").await;
        peer.listener().await
    };
    let wanted = async { http.overhear(&pooled("s1"), &Arc::default()).await };
    let (again, mut stream) = soon(join(wanted, server)).await;
    let mut following = again.unwrap().stream;

    assert_eq!(stream.header("mcp-session-id"), Some("s2"));
    stream.say(&changed()).await;
    assert!(soon(following.next()).await.is_ok());
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let mut peer = Peer::talkative().await;
    let http = peer.client();
    let (link, stream) = heard(&mut peer, &http, "s1").await;
    until(|| peer.session_streams() == 1).await;
    drop(link);

    pass(IDLE + Duration::from_secs(1)).await;
    let ended = peer.next().await;
    assert_eq!(
        (&*ended.verb, ended.header("mcp-session-id")),
        ("DELETE", Some("s1"))
    );
    ended.accept().await;
    soon(stream.closed()).await;
    until(|| peer.session_streams() == 0).await;

    let (_link, stream) = heard(&mut peer, &http, "s2").await;
    let server = async { peer.next().await.accept().await };
    soon(join(http.stop(), server)).await;
    soon(stream.closed()).await;
    assert_eq!(peer.session_streams(), 0);
}

#[tokio::test]
async fn a_session_that_is_followed_is_not_idle() {
    let mut peer = Peer::talkative().await;
    let http = peer.client();
    let (link, _stream) = heard(&mut peer, &http, "s1").await;
    drop(link);
    let overheard = http.overhear(&pooled("s1"), &Arc::default()).await.unwrap();

    pass(IDLE + Duration::from_secs(1)).await;
    let mut link = open(&http, &pooled("s1")).await;
    goes_through(&mut link, &mut peer, "s1").await;

    drop((overheard, link));
    pass(IDLE + Duration::from_secs(1)).await;
    assert_eq!(peer.next().await.verb, "DELETE");
}
