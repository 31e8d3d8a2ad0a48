//! What somebody hears who listens to a server that loses streams and sessions.

use super::*;
use crate::scripted::{Behaviour, Scripted, begin, call};
use std::time::Duration;

const CHANGED: &str = "notifications/tools/list_changed";

struct Case {
    server: Scripted,
    upstream: Arc<Upstream>,
    session: Session,
    listening: Listening,
}

async fn listening() -> Case {
    let server = Scripted::default();
    let upstream = server.upstream();
    let session = begin(&upstream).await;
    let listening = upstream.listen(session.clone(), Arc::default());
    Case {
        server,
        upstream,
        session,
        listening,
    }
}

fn log(text: &str) -> Message {
    Message::notification("notifications/message", Some(&format!(r#"{{"data":"{text}"}}"#)))
}

impl Case {
    /// Waits for a message that does not come yet, as one who looks elsewhere from time to time.
    async fn wait(&mut self, time: Duration) {
        let heard = tokio::time::timeout(time, self.listening.next()).await;
        assert!(heard.is_err(), "something was heard: {heard:?}");
    }

    async fn hears(&mut self, expected: &Message) {
        let heard = self.listening.next().await.unwrap();
        assert_eq!(heard.bytes(), expected.bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn it_costs_nothing_until_it_is_asked_and_then_hears_all() {
    let mut case = listening().await;
    assert_eq!(case.server.count("listen"), 0);
    case.wait(Duration::from_secs(60)).await;

    case.server.say(log("a"));
    case.server.say(log("b"));

    case.hears(&log("a")).await;
    case.hears(&log("b")).await;
    assert_eq!(case.server.count("listen"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ended_is_opened_again_after_a_pause_that_grows_until_something_is_heard() {
    let mut case = listening().await;
    case.wait(Duration::from_secs(1)).await;
    let broken = Behaviour {
        deaf: Some(Fault::Broken("reset".into())),
        ..Behaviour::default()
    };
    case.server.is(broken);
    case.server.cut();

    case.wait(Duration::from_secs(600)).await;
    let tries = case.server.count("listen");
    assert!((20..=60).contains(&tries), "{tries} times in ten minutes");

    case.server.is(Behaviour::default());
    case.wait(Duration::from_secs(30)).await;
    case.server.say(log("a"));
    case.hears(&log("a")).await;
    case.server.cut();
    case.wait(Duration::from_millis(500)).await;
    case.server.say(log("b"));
    case.hears(&log("b")).await;
    assert_eq!(case.server.count("initialize"), 1, "the session lived on");
}

#[tokio::test(start_paused = true)]
async fn one_who_gives_up_and_asks_again_loses_neither_messages_nor_pauses() {
    let mut case = listening().await;
    case.wait(Duration::from_secs(1)).await;
    case.server.cut();
    for _ in 0..500 {
        case.wait(Duration::from_millis(1)).await;
    }
    case.server.say(log("a"));
    case.hears(&log("a")).await;
    assert_eq!(case.server.count("listen"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_outside_of_calls_is_quiet() {
    let mut case = listening().await;
    case.server.is(Behaviour {
        deaf: Some(Fault::NotOffered),
        ..Behaviour::default()
    });
    case.wait(Duration::from_secs(24 * 3600)).await;
    assert_eq!(case.server.count("listen"), 1);

    case.upstream.remove();
    assert_eq!(case.listening.next().await.unwrap_err().fault, Fault::Removed);
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_is_begun_anew_and_its_client_hears_that_lists_may_have_changed() {
    let mut case = listening().await;
    case.wait(Duration::from_secs(1)).await;
    let subscribe = crate::scripted::request("resources/subscribe", r#"{"uri":"a://1"}"#);
    crate::scripted::send(&case.upstream, &case.session, &subscribe)
        .await
        .unwrap();

    case.server.restart();

    case.hears(&Message::notification(CHANGED, None)).await;
    let updated = Message::notification("notifications/resources/updated", Some(r#"{"uri":"a://1"}"#));
    case.hears(&updated).await;
    case.wait(Duration::from_secs(30)).await;
    case.server.say(log("a"));
    case.hears(&log("a")).await;
    assert!(call(&case.upstream, &case.session).await.is_ok());
    assert_eq!(
        case.server.count("initialize"),
        2,
        "once for the call and the listener"
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_a_call_began_anew_is_listened_to() {
    let mut case = listening().await;
    case.wait(Duration::from_secs(1)).await;
    // The server forgot the session, and left its stream open.
    case.server.forget();
    assert!(call(&case.upstream, &case.session).await.is_ok());

    case.hears(&Message::notification(CHANGED, None)).await;
    case.wait(Duration::from_secs(1)).await;

    assert_eq!(case.server.log().last().unwrap(), "listen s2");
}

#[tokio::test(start_paused = true)]
async fn who_only_listens_does_not_keep_a_platform_awake() {
    let mut case = listening().await;
    case.wait(Duration::from_secs(1)).await;
    case.server.is(Behaviour {
        deaf: Some(Fault::SessionGone),
        ..Behaviour::default()
    });
    case.server.cut();
    while let Ok(heard) = tokio::time::timeout(Duration::from_secs(3600), case.listening.next()).await {
        heard.unwrap();
    }
    assert_eq!(case.server.count("initialize"), 1 + BEGUN_IN_VAIN as usize);

    case.server.is(Behaviour::default());
    case.server.forget();
    assert!(call(&case.upstream, &case.session).await.is_ok());
    case.hears(&Message::notification(CHANGED, None)).await;
    case.wait(Duration::from_secs(60)).await;
    case.server.say(log("a"));
    case.hears(&log("a")).await;
}

#[tokio::test(start_paused = true)]
async fn listening_ends_with_the_session() {
    let mut case = listening().await;
    case.wait(Duration::from_secs(1)).await;

    case.upstream.end(&case.session, &Headers::default()).await;

    assert_eq!(case.listening.next().await.unwrap_err().fault, Fault::SessionGone);
}

#[tokio::test(start_paused = true)]
async fn listening_ends_where_a_lost_session_cannot_be_begun_anew() {
    let mut case = listening().await;
    let mute = Session {
        greeting: None,
        ..case.session.clone()
    };
    case.listening = case.upstream.listen(mute, Arc::default());
    case.wait(Duration::from_secs(1)).await;

    case.server.restart();

    assert_eq!(case.listening.next().await.unwrap_err().fault, Fault::SessionGone);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_at_streams_alone_is_called_as_ever() {
    let mut case = listening().await;
    case.server.is(Behaviour {
        deaf: Some(Fault::Status {
            status: 500,
            retry_after: None,
        }),
        ..Behaviour::default()
    });

    for _ in 0..120 {
        case.wait(Duration::from_secs(1)).await;
        assert!(case.upstream.breaker.admit().is_ok());
    }

    assert!(case.server.count("listen") > 5);
    assert!(call(&case.upstream, &case.session).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_session_of_which_nothing_is_known_is_forgotten_by_the_last_who_listens() {
    let mut case = listening().await;
    let mut other = case.upstream.listen(case.session.clone(), Arc::default());
    case.wait(Duration::from_secs(1)).await;
    assert!(
        tokio::time::timeout(Duration::from_secs(1), other.next())
            .await
            .is_err()
    );
    assert_eq!(case.upstream.renewals.count(), 1);

    drop(other);
    assert_eq!(case.upstream.renewals.count(), 1);
    drop(case.listening);
    assert_eq!(case.upstream.renewals.count(), 0);

    case.server.restart();
    assert!(call(&case.upstream, &case.session).await.is_ok());
    let mut listening = case.upstream.listen(case.session.clone(), Arc::default());
    assert!(
        tokio::time::timeout(Duration::from_secs(1), listening.next())
            .await
            .is_err()
    );
    drop(listening);
    assert_eq!(
        case.upstream.renewals.count(),
        1,
        "what stands behind it is remembered"
    );
}
