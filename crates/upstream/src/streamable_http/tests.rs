//! Sessions of the gateway's own, as a server sees them: who shares one, who is asked and answers in it,
//! and when it ends.

pub(crate) mod peer;
mod heard;

use std::future::Future;

use bytes::Bytes;
use futures_util::future::join;
use mcp::Kind;
use serde_json::json;

use super::*;
use crate::transport::Messages;
use peer::{IDLE, Peer};

const CAPABILITIES: &str = r#"{"elicitation":{}}"#;

fn pooled(scope: &str) -> Pooled {
    Pooled {
        capabilities: Some(CAPABILITIES.into()),
        scope: scope.as_bytes().into(),
    }
}

fn call() -> Message {
    let text = r#"{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"x"}}"#;
    Message::parse(Bytes::from_static(text.as_bytes()), &mcp::Limits::default()).unwrap()
}

async fn open(http: &StreamableHttp, pooled: &Pooled) -> Box<dyn Link> {
    let conversation = Conversation::Pooled(pooled.clone());
    http.open(&conversation, Arc::default()).await.unwrap()
}

/// What both come to, the server's side last.
async fn both<T>(client: impl Future<Output = T>, server: impl Future) -> T {
    let both = tokio::time::timeout(Duration::from_secs(10), join(client, server));
    both.await.expect("this happens soon").0
}

/// A call in this session that goes through.
async fn goes_through(link: &mut Box<dyn Link>, peer: &mut Peer, session: &str) {
    let server = async {
        let asked = peer.post("tools/call").await;
        assert_eq!(asked.header("mcp-session-id"), Some(session));
        asked.result("{}").await;
    };
    let reply = both(link.send(&call()), server).await.unwrap();
    assert!(matches!(reply.messages, Messages::One(answer) if answer.id() == call().id()));
}

/// Time passes, with nobody there to notice how.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_session_is_shared_by_equal_credentials_capabilities_and_principals() {
    let mut peer = Peer::start().await;
    let http = peer.client();

    let (mut ours, declared) = join(open(&http, &pooled("ann")), peer.greet("s1")).await;
    assert_eq!(declared, json!({"elicitation": {}}));
    goes_through(&mut ours, &mut peer, "s1").await;
    let mut again = open(&http, &pooled("ann")).await;
    goes_through(&mut again, &mut peer, "s1").await;

    let (mut theirs, _) = join(open(&http, &pooled("bob")), peer.greet("s2")).await;
    goes_through(&mut theirs, &mut peer, "s2").await;
    let (mut anybody, declared) = join(open(&http, &Pooled::default()), peer.greet("s3")).await;
    assert_eq!(declared, json!({}));
    goes_through(&mut anybody, &mut peer, "s3").await;
    let injected = vec![(header::AUTHORIZATION, HeaderValue::from_static("other"))];
    let headers = Arc::new(Headers {
        injected,
        ..Headers::default()
    });
    let conversation = Conversation::Pooled(pooled("ann"));
    let (other, _) = join(http.open(&conversation, headers), peer.greet("s4")).await;
    goes_through(&mut other.unwrap(), &mut peer, "s4").await;
}

/// A session that is lost is begun anew and the call made in the next one; a call that was carried out is not.
#[tokio::test]
async fn a_404_is_of_the_session_unless_it_is_the_call_s_own_error() {
    for (id, code, words, of_the_call) in [
        (Some("mine"), -32602, "no such order", true),
        (Some("mine"), 5, "no such order", true),
        (Some("mine"), -32601, "no such method", true),
        (Some("mine"), -32600, "no such order", true),
        (Some("mine"), -32600, "Session not found", false),
        (Some("mine"), -32001, "Session not found", false),
        (Some("server-error"), -32600, "no such order", false),
        (None, -32602, "no such order", false),
    ] {
        let mut peer = Peer::start().await;
        let http = peer.client();
        let session = Session {
            id: Some("s1".into()),
            revision: Revision::V2025_06_18,
            greeting: None,
        };
        let conversation = Conversation::Session(session);
        let mut link = http.open(&conversation, Arc::default()).await.unwrap();

        let server = async {
            let asked = peer.post("tools/call").await;
            let error = json!({
                "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": words },
            });
            asked
                .respond(404, "", "application/json", &error.to_string())
                .await;
        };
        let outcome = both(link.send(&call()), server).await;

        match of_the_call {
            true => {
                let Ok(Messages::One(answer)) = outcome.map(|reply| reply.messages) else {
                    panic!("{id:?} {code} {words}: it is an answer");
                };
                assert_eq!(answer.error_code(), Some(code), "{id:?} {words}");
            }
            false => {
                let fault = outcome.err().map(|error| error.fault);
                assert_eq!(fault, Some(Fault::SessionGone), "{id:?} {code} {words}");
            }
        }
    }
}

#[tokio::test]
async fn a_question_is_answered_on_the_exchange_whose_stream_is_open() {
    let mut peer = Peer::start().await;
    let http = peer.client();
    let (mut link, _) = join(open(&http, &pooled("ann")), peer.greet("s1")).await;

    let server = async {
        let mut asked = peer.post("tools/call").await;
        asked.begin_stream().await;
        asked
            .say(r#"{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{}}"#)
            .await;
        asked
    };
    let (reply, mut running) = join(link.send(&call()), server).await;
    let Messages::Stream(mut stream) = reply.unwrap().messages else {
        panic!("the question comes first");
    };
    let question = stream.next().await.unwrap();
    assert_eq!(question.id().unwrap().raw(), r#""q1""#);
    let answer = Message::result_reply(question.id().unwrap(), r#"{"action":"accept"}"#);
    let server = async {
        let answered = peer.next().await;
        assert_eq!(answered.header("mcp-session-id"), Some("s1"));
        assert_eq!(
            answered.message,
            json!({"jsonrpc": "2.0", "id": "q1", "result": {"action": "accept"}})
        );
        answered.accept().await;
    };
    both(link.send(&answer), server).await.unwrap();

    // What is taken back is the call, not the answer that was sent since.
    let server = async {
        let cancelled = peer.post("notifications/cancelled").await;
        assert_eq!(cancelled.message["params"]["requestId"].to_string(), running.id());
        assert_eq!(cancelled.message["params"]["reason"], "enough");
        cancelled.accept().await;
    };
    both(link.cancel(&call(), "enough"), server).await;
    running
        .say(&format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#,
            running.id()
        ))
        .await;
    assert_eq!(stream.next().await.unwrap().id(), call().id());
}

#[tokio::test]
async fn a_principal_s_session_that_nobody_uses_is_ended_but_never_under_a_call() {
    let mut peer = Peer::start().await;
    let http = peer.client();
    let (shared, _) = join(open(&http, &Pooled::default()), peer.greet("shared")).await;
    drop(shared);
    let (idle, _) = join(open(&http, &pooled("ann")), peer.greet("idle")).await;
    drop(idle);
    let (mut busy, _) = join(open(&http, &pooled("bob")), peer.greet("busy")).await;
    let server = async {
        let mut asked = peer.post("tools/call").await;
        asked.begin_stream().await;
        asked
    };
    let (reply, running) = join(busy.send(&call()), server).await;
    drop(busy);

    pass(IDLE + Duration::from_secs(1)).await;
    let ended = peer.next().await;
    assert_eq!(
        (&*ended.verb, ended.header("mcp-session-id")),
        ("DELETE", Some("idle"))
    );
    ended.accept().await;
    assert!(peer.is_quiet());

    drop((reply, running));
    pass(IDLE + Duration::from_secs(1)).await;
    let ended = peer.next().await;
    assert_eq!(
        (&*ended.verb, ended.header("mcp-session-id")),
        ("DELETE", Some("busy"))
    );
    ended.accept().await;
    // One that all share is kept, and one that was ended is begun anew.
    let mut shared = open(&http, &Pooled::default()).await;
    goes_through(&mut shared, &mut peer, "shared").await;
    let (mut anew, _) = join(open(&http, &pooled("ann")), peer.greet("anew")).await;
    goes_through(&mut anew, &mut peer, "anew").await;
}

#[tokio::test]
async fn a_session_that_makes_place_for_another_ends_with_its_last_call() {
    let mut peer = Peer::start().await;
    let http = peer.client();
    let mut links = Vec::new();
    for number in 0..pooled::REMEMBERED {
        let session = number.to_string();
        let (link, _) = join(open(&http, &pooled(&session)), peer.greet(&session)).await;
        links.push(link);
    }

    // All are in use: one goes on until it is not.
    let (_one_more, _) = join(open(&http, &pooled("one more")), peer.greet("one more")).await;
    goes_through(&mut links[0], &mut peer, "0").await;
    assert!(peer.is_quiet());
    drop(links);

    let ended = peer.next().await;
    assert_eq!(
        (&*ended.verb, ended.header("mcp-session-id")),
        ("DELETE", Some("0"))
    );
    ended.accept().await;
    assert!(peer.is_quiet(), "the others have their places");
}

#[tokio::test]
async fn what_runs_in_a_session_that_is_lost_goes_into_a_new_one_and_what_speaks_of_it_nowhere() {
    let mut peer = Peer::start().await;
    let http = peer.client();
    let (mut link, _) = join(open(&http, &pooled("ann")), peer.greet("s1")).await;

    let server = async {
        peer.post("tools/call")
            .await
            .respond(404, "", "text/plain", "")
            .await;
        assert_eq!(peer.greet("s2").await, json!({"elicitation": {}}));
        let asked = peer.post("tools/call").await;
        assert_eq!(asked.header("mcp-session-id"), Some("s2"));
        asked.result("{}").await;
    };
    both(link.send(&call()), server).await.unwrap();

    let answer = Message::result_reply(&Id::number(7), "{}");
    let server = async { peer.next().await.respond(404, "", "text/plain", "").await };
    let reply = both(link.send(&answer), server).await.unwrap();
    assert!(matches!(reply.messages, Messages::Accepted));
    assert!(peer.is_quiet());
}

#[tokio::test]
async fn of_an_array_only_what_answers_the_call_is_its_answer() {
    let mut peer = Peer::start().await;
    let http = peer.client();
    let (mut link, _) = join(open(&http, &pooled("ann")), peer.greet("s1")).await;

    let server = async {
        let asked = peer.post("tools/call").await;
        let (foreign, ours) = (r#"{"jsonrpc":"2.0","id":99,"result":{"theirs":1}}"#, asked.id());
        let body = format!(r#"[{foreign},{{"jsonrpc":"2.0","id":{ours},"result":{{"ours":1}}}}]"#);
        asked.respond(200, "", "application/json", &body).await;
    };
    let reply = both(link.send(&call()), server).await.unwrap();

    let answer = reply.messages.answer().await.unwrap().unwrap();
    assert_eq!(answer.result(), Some(&br#"{"ours":1}"#[..]));
    assert_eq!(
        http.server
            .metrics
            .foreign_answers
            .with_label_values(&["new"])
            .get(),
        1
    );
}

#[tokio::test]
async fn a_400_that_repeats_what_a_client_said_of_sessions_loses_none() {
    let mut peer = Peer::start().await;
    let http = peer.client();
    let (mut link, _) = join(open(&http, &pooled("ann")), peer.greet("s1")).await;
    let text = r#"{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":"session_begin"}}"#;
    let call = Message::parse(Bytes::from_static(text.as_bytes()), &mcp::Limits::default()).unwrap();

    let server = async {
        let asked = peer.post("tools/call").await;
        let error = r#"{"code":-32000,"message":"no tool `session_begin`"}"#;
        let body = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, asked.id());
        asked.respond(400, "", "application/json", &body).await;
    };
    let reply = both(link.send(&call), server).await.unwrap();

    assert!(reply.refuses());
    assert!(peer.is_quiet(), "it is not sent again");
}

#[tokio::test]
async fn a_server_that_greets_nobody_fills_no_places() {
    let mut peer = Peer::start().await;
    let http = peer.client();
    let (_kept, _) = join(open(&http, &pooled("ann")), peer.greet("s1")).await;
    for scope in ["bob", "eve"] {
        let conversation = Conversation::Pooled(pooled(scope));
        let server = async { peer.post("initialize").await.error(200, -32603).await };
        let opened = both(http.open(&conversation, Arc::default()), server).await;
        assert!(opened.is_err());
    }

    // Nor does who leaves before he is greeted.
    let conversation = Conversation::Pooled(pooled("joe"));
    tokio::select! {
        biased;
        _ = http.open(&conversation, Arc::default()) => panic!("nobody was greeted"),
        _ = peer.post("initialize") => {}
    }

    assert_eq!(http.server.pooled.places(), 1);
}

#[tokio::test]
async fn what_stops_ends_the_sessions_of_principals() {
    let mut peer = Peer::start().await;
    let http = peer.client();
    let (link, _) = join(open(&http, &pooled("ann")), peer.greet("s1")).await;
    drop(link);

    let server = async {
        let ended = peer.next().await;
        assert_eq!(
            (&*ended.verb, ended.header("mcp-session-id")),
            ("DELETE", Some("s1"))
        );
        ended.accept().await;
    };
    both(http.stop(), server).await;
}
