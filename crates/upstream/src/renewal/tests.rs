//! What happens to calls in sessions that their server has lost.

use super::*;
use crate::scripted::{Behaviour, Scripted, begin, call, request, send};
use crate::transport::Conversation;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use std::time::Duration;

async fn begun() -> (Scripted, Arc<Upstream>, Session) {
    let server = Scripted::default();
    let upstream = server.upstream();
    let session = begin(&upstream).await;
    (server, upstream, session)
}

fn fault<T>(outcome: Result<T, Error>) -> Fault {
    outcome.err().expect("it fails").fault
}

#[tokio::test]
async fn a_lost_session_is_begun_anew_unseen_and_the_call_carried_out_once() {
    let (server, upstream, session) = begun().await;
    server.restart();

    assert!(call(&upstream, &session).await.is_ok());
    assert!(call(&upstream, &session).await.is_ok());

    assert_eq!(
        server.log(),
        [
            "initialize s1",
            "initialize s2",
            "notifications/initialized s2",
            "tools/call s2",
            "tools/call s2",
        ]
    );
}

#[tokio::test]
async fn it_is_begun_once_for_all_who_wait() {
    let (server, upstream, session) = begun().await;
    server.restart();

    let outcomes = join_all((0..10).map(|_| call(&upstream, &session))).await;

    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(server.count("initialize"), 2);
    assert_eq!(server.count("tools/call"), 10);
}

#[tokio::test]
async fn one_who_was_about_to_call_when_it_was_lost_goes_over_to_the_session_that_another_began() {
    let (server, upstream, session) = begun().await;
    let open = || upstream.open(Conversation::Session(session.clone()), Headers::default());
    let (mut first, mut second) = (open().await.unwrap(), open().await.unwrap());
    server.restart();
    let call = request("tools/call", r#"{"name":"x"}"#);

    first.send(&call).await.unwrap();
    second.send(&call).await.unwrap();

    assert_eq!(server.count("initialize"), 2);
    assert_eq!(server.count("tools/call s2"), 2);
}

#[tokio::test]
async fn where_a_session_ends_with_each_answer_all_calls_are_carried_out_once() {
    let (server, upstream, session) = begun().await;
    server.is(Behaviour {
        answers: Some(1),
        ..Behaviour::default()
    });
    server.restart();

    let outcomes = join_all((0..8).map(|_| call(&upstream, &session))).await;

    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(server.count("tools/call"), 8);
    assert!(server.count("initialize") <= 1 + 8);
}

#[tokio::test]
async fn a_server_that_forgets_every_session_at_once_is_not_asked_for_ever() {
    let (server, upstream, session) = begun().await;
    server.is(Behaviour {
        forgets_at_once: true,
        ..Behaviour::default()
    });
    server.restart();

    let outcomes = join_all((0..5).map(|_| call(&upstream, &session))).await;

    for outcome in outcomes {
        assert!(matches!(fault(outcome), Fault::Broken(why) if why.contains("forgets every session")));
    }
    assert!(server.count("initialize") <= 1 + 16);
}

#[tokio::test]
async fn one_that_cannot_be_begun_as_it_was_is_gone_and_leaves_nothing_behind() {
    let (server, upstream, session) = begun().await;
    server.restart();

    let mute = Session {
        greeting: None,
        ..session.clone()
    };
    assert_eq!(fault(call(&upstream, &mute).await), Fault::SessionGone);
    assert_eq!(server.count("initialize"), 1);

    server.is(Behaviour {
        agrees: Some("2024-11-05"),
        ..Behaviour::default()
    });
    assert_eq!(fault(call(&upstream, &session).await), Fault::SessionGone);
    assert_eq!(server.log().last().unwrap(), "end s2");
}

#[tokio::test]
async fn while_the_upstream_is_away_its_sessions_are_not_given_up() {
    let (server, upstream, session) = begun().await;
    server.restart();
    let unreachable = Fault::Unreachable("it refuses connections".into());
    server.is(Behaviour {
        fails: Some(unreachable.clone()),
        ..Behaviour::default()
    });
    assert_eq!(fault(call(&upstream, &session).await), unreachable);

    server.is(Behaviour::default());
    assert!(call(&upstream, &session).await.is_ok());
}

#[tokio::test]
async fn what_speaks_of_the_lost_session_only_is_taken_and_goes_nowhere() {
    let (server, upstream, session) = begun().await;
    server.restart();

    let cancelled = Message::notification("notifications/cancelled", Some(r#"{"requestId":1}"#));
    let answer = Message::result_reply(&mcp::Id::number(7), "{}");
    for message in [cancelled, answer] {
        assert_eq!(send(&upstream, &session, &message).await.unwrap().status, 202);
    }

    assert_eq!(server.log(), ["initialize s1"]);
}

#[tokio::test]
async fn what_the_session_had_set_is_set_again() {
    let (server, upstream, session) = begun().await;
    let level = request("logging/setLevel", r#"{"level":"debug"}"#);
    let subscribe = request("resources/subscribe", r#"{"uri":"a://1"}"#);
    send(&upstream, &session, &level).await.unwrap();
    send(&upstream, &session, &subscribe).await.unwrap();
    server.restart();

    assert!(call(&upstream, &session).await.is_ok());

    assert_eq!(
        server.log()[3..],
        [
            "initialize s2",
            "notifications/initialized s2",
            "logging/setLevel s2",
            "resources/subscribe s2",
            "tools/call s2",
        ]
    );

    // Where setting it uses the session up, the call matters more.
    server.is(Behaviour {
        answers: Some(1),
        ..Behaviour::default()
    });
    server.restart();
    assert!(call(&upstream, &session).await.is_ok());
    assert_eq!(server.count("tools/call"), 2);
}

#[tokio::test]
async fn a_session_that_its_client_ended_does_not_come_back() {
    let (server, upstream, session) = begun().await;
    server.restart();
    assert!(call(&upstream, &session).await.is_ok());

    upstream.end(&session, &Headers::default()).await;

    assert_eq!(server.log().last().unwrap(), "end s2");
    assert_eq!(fault(call(&upstream, &session).await), Fault::SessionGone);
    assert_eq!(server.count("initialize"), 2);
}

#[tokio::test]
async fn one_that_is_ended_while_it_is_begun_anew_is_ended_too() {
    let (server, upstream, session) = begun().await;
    server.restart();
    let mut running = Box::pin(call(&upstream, &session));
    while server.count("initialize") < 2 {
        assert!(running.as_mut().now_or_never().is_none());
    }

    upstream.end(&session, &Headers::default()).await;

    assert_eq!(fault(running.await), Fault::SessionGone);
    assert_eq!(server.log().last().unwrap(), "end s2");
}

#[tokio::test]
async fn one_that_was_begun_half_way_is_ended_with_the_client_s() {
    let (server, upstream, session) = begun().await;
    server.restart();
    let mut running = Box::pin(call(&upstream, &session));
    while server.count("initialize") < 2 {
        assert!(running.as_mut().now_or_never().is_none());
    }
    drop(running);

    upstream.end(&session, &Headers::default()).await;

    assert_eq!(server.log().last().unwrap(), "end s2");
}

#[tokio::test]
async fn one_that_is_ended_while_it_is_begun_anew_in_vain_is_ended_too() {
    let (server, upstream, session) = begun().await;
    server.restart();
    let mut running = Box::pin(call(&upstream, &session));
    for _ in 0..2 {
        assert!(running.as_mut().now_or_never().is_none());
    }
    upstream.end(&session, &Headers::default()).await;
    while server.count("initialize") < 2 {
        assert!(running.as_mut().now_or_never().is_none());
    }
    server.is(Behaviour {
        fails: Some(Fault::Unreachable("it refuses connections".into())),
        ..Behaviour::default()
    });

    assert_eq!(fault(running.await), Fault::SessionGone);
    assert_eq!(server.log().last().unwrap(), "end s2");
}

#[tokio::test]
async fn a_caller_who_leaves_half_way_leaves_the_rest_to_the_next() {
    let (server, upstream, session) = begun().await;
    server.restart();
    let mut running = Box::pin(call(&upstream, &session));
    while server.count("initialize") < 2 {
        assert!(running.as_mut().now_or_never().is_none());
    }
    drop(running);

    assert!(call(&upstream, &session).await.is_ok());

    assert_eq!(
        server.log()[1..],
        ["initialize s2", "notifications/initialized s2", "tools/call s2"]
    );
}

#[tokio::test]
async fn one_that_is_forgotten_here_is_only_begun_anew_once_more() {
    let (server, upstream, session) = begun().await;
    server.restart();
    assert!(call(&upstream, &session).await.is_ok());
    upstream.renewals.locked().clear();

    assert!(call(&upstream, &session).await.is_ok());

    assert_eq!(server.count("initialize"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_crashes_in_call_after_call_is_given_pauses() {
    let (server, upstream, session) = begun().await;
    let mut last = String::new();
    for _ in 0..6 {
        server.is(Behaviour {
            fails: Some(Fault::Exited("signal: 11".into())),
            ..Behaviour::default()
        });
        assert!(matches!(fault(call(&upstream, &session).await), Fault::Exited(_)));
        server.is(Behaviour::default());
        server.restart();
        match call(&upstream, &session).await {
            Ok(_) => {}
            Err(error) => last = error.to_string(),
        }
        if !last.is_empty() {
            break;
        }
    }
    assert!(last.contains("the next start is in"), "{last}");

    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(call(&upstream, &session).await.is_ok());
}

#[tokio::test]
async fn what_is_remembered_is_bounded_and_what_is_listened_to_stays() {
    let (_, upstream, session) = begun().await;
    let headers = Headers::default();
    let listened = upstream.renewals.of(&session, &headers).unwrap();
    for number in 0..REMEMBERED * 2 {
        let other = Session {
            id: Some(format!("other {number}").into()),
            ..session.clone()
        };
        upstream.renewals.of(&other, &headers);
    }
    assert_eq!(upstream.renewals.locked().len(), REMEMBERED);
    assert!(Arc::ptr_eq(
        &listened,
        &upstream.renewals.of(&session, &headers).unwrap()
    ));
}
