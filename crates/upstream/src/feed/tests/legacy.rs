//! Servers of earlier revisions.

use super::teller::{PROMPTS, TOOLS};
use super::*;

const UPDATED: &str = "notifications/resources/updated";

/// Requests of one kind go side by side.
fn sorted(mut news: Vec<String>) -> Vec<String> {
    news.sort_unstable();
    news
}

#[tokio::test(start_paused = true)]
async fn what_the_server_declares_is_honoured() {
    let case = case(Teller::legacy());
    case.server.is(|manner| manner.denies = ["a://2".into()].into());

    let mut following = case
        .follows(&["tools", "prompts", "resources", "a://1", "a://2"])
        .await;

    assert_eq!(*following.honoured(), interest(&["tools", "a://1"]));
    assert_eq!(
        sorted(case.server.news()),
        ["get", "subscribe a://1", "subscribe a://2"]
    );
    case.server.says(TOOLS, None);
    case.server.says(PROMPTS, None);
    case.server.says(UPDATED, Some("a://1/below"));
    case.server.says(UPDATED, Some("a://2"));
    case.server.says("notifications/message", None);
    assert_eq!(heard(&mut following).await, ["tools", "a://1/below"]);
}

#[tokio::test(start_paused = true)]
async fn who_may_be_asked_something_is_told_in_the_session_of_its_calls() {
    let case = case(Teller::legacy());
    let ann = Pooled {
        capabilities: Some(r#"{"elicitation":{}}"#.into()),
        scope: b"ann"[..].into(),
    };

    let mut ours = case.follows_in(&ann, &["tools", "a://1"]).await;
    let mut theirs = case.follows(&["tools", "a://1"]).await;
    let also_ours = case.follows_in(&ann, &["a://1"]).await;

    assert_eq!(
        case.server.news(),
        ["get ann", "subscribe a://1 ann", "get", "subscribe a://1"]
    );
    assert_eq!(case.feeds(), 2);
    case.server.says_on(1, TOOLS, None);
    assert_eq!(heard(&mut ours).await, ["tools"]);
    assert_eq!(heard(&mut theirs).await, [""; 0]);
    drop((ours, theirs, also_ours));
    wait(SOON).await;
    assert_eq!(case.feeds(), 0);
    assert_eq!(case.server.count("unsubscribe a://1 ann"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_declares_no_subscriptions_is_not_asked_for_any() {
    for declares in [
        "{}",
        r#"{"resources":{"listChanged":true}}"#,
        r#"{"resources":7}"#,
        "[]",
    ] {
        let case = case(Teller::legacy());
        case.server.is(|manner| manner.declares = declares);
        let following = case.follows(&["tools", "a://1"]).await;
        assert!(following.honoured().is_empty(), "{declares}");
        assert_eq!(case.server.news(), ["get"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_stream_honours_nothing() {
    let case = case(Teller::legacy());
    case.server.is(|manner| manner.fails = Some(Fault::NotOffered));

    let following = case.follows(&["tools", "a://1"]).await;

    assert!(following.honoured().is_empty());
    wait(Duration::from_secs(3600)).await;
    assert_eq!(case.server.news(), ["get"], "it is left alone");
}

#[tokio::test(start_paused = true)]
async fn a_resource_is_subscribed_to_once_for_all_and_until_the_last_has_left() {
    let case = case(Teller::legacy());
    let first = case.follows(&["a://1", "a://2"]).await;
    let second = case.follows(&["a://1"]).await;
    let third = case.follows(&["a://3"]).await;
    assert_eq!(
        sorted(case.server.news()),
        ["get", "subscribe a://1", "subscribe a://2", "subscribe a://3"]
    );

    drop(first);
    wait(Duration::from_secs(60)).await;
    assert_eq!(case.server.news(), ["unsubscribe a://2"]);
    drop(third);
    drop(second);
    wait(SOON).await;

    let mut news = case.server.news();
    assert_eq!(news.pop().unwrap(), "closed 1", "not before it was told");
    assert_eq!(sorted(news), ["unsubscribe a://1", "unsubscribe a://3"]);
    assert_eq!(case.feeds(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_new_is_subscribed_to_before_the_old_is_given_up() {
    let case = case(Teller::legacy());
    let mut following = case.follows(&["a://1"]).await;
    case.server.news();

    following.change(interest(&["a://2"])).await.unwrap();
    assert_eq!(*following.honoured(), interest(&["a://2"]));
    assert_eq!(case.server.news(), ["subscribe a://2"]);
    wait(Duration::from_secs(60)).await;
    assert_eq!(case.server.news(), ["unsubscribe a://1"]);

    following.change(interest(&["a://1"])).await.unwrap();
    assert_eq!(*following.honoured(), interest(&["a://1"]), "it can be had again");
    case.server.says(UPDATED, Some("a://1"));
    assert_eq!(heard(&mut following).await, ["a://1"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_stream_is_opened_again_with_all_that_was_subscribed_to() {
    let case = case(Teller::legacy());
    let mut following = case.follows(&["tools", "a://1"]).await;
    case.server.news();

    case.server.cut();

    let told = heard_within(&mut following, Duration::from_secs(2)).await;
    assert_eq!(told, ["tools", "a://1"]);
    assert_eq!(case.server.news(), ["closed 1", "get", "subscribe a://1"]);
    case.server.says(TOOLS, None);
    assert_eq!(heard(&mut following).await, ["tools"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_confirmed_in_time_is_honoured_though_the_rest_is_not() {
    let case = case(Teller::legacy());
    let many: Vec<String> = (0..20).map(|number| format!("a://{number}")).collect();
    let mut words: Vec<&str> = many.iter().map(String::as_str).collect();
    words.push("tools");
    // It opens its stream, takes three of them, and is silent from then on.
    case.server.is(|manner| manner.slow = true);
    case.server.lets(4);

    let following = case.follows(&words).await;

    assert!(following.honoured().tools);
    assert_eq!(following.honoured().uris.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn resources_are_subscribed_to_beside_calls_that_take_every_place() {
    let server = Teller::legacy();
    let upstream = Arc::into_inner(server.upstream()).expect("nobody else has it");
    let upstream = Arc::new(upstream.at_once(1));
    let _call = upstream.slots.take().await.ok();

    let following = upstream
        .follow(interest(&["a://1"]), &Pooled::default(), Arc::default())
        .await;

    assert_eq!(*following.unwrap().honoured(), interest(&["a://1"]));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_became_modern_is_followed_as_one() {
    let case = case(Teller::legacy());
    let mut following = case.follows(&["tools", "a://1"]).await;
    case.server.is(|manner| manner.modern = true);
    case.upstream.forget_eras();
    case.server.news();

    case.server.cut();

    let told = heard_within(&mut following, Duration::from_secs(2)).await;
    assert_eq!(told, ["tools", "a://1"]);
    assert_eq!(
        case.server.news(),
        [
            "closed 1",
            r#"listen {"toolsListChanged":true,"resourceSubscriptions":["a://1"]}"#
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn one_who_comes_while_the_last_is_cleared_away_is_served() {
    let case = case(Teller::legacy());
    drop(case.follows(&["a://1"]).await);

    let mut following = case.follows(&["a://1"]).await;

    assert_eq!(*following.honoured(), interest(&["a://1"]));
    wait(SOON).await;
    let log = case.server.log();
    let last = log.iter().rfind(|line| line.ends_with("a://1")).unwrap();
    assert_eq!(last, "subscribe a://1", "{log:?}");
    case.server.says(UPDATED, Some("a://1"));
    assert_eq!(heard(&mut following).await, ["a://1"]);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_was_denied_is_asked_for_again_when_it_is_wanted_anew() {
    let case = case(Teller::legacy());
    case.server.is(|manner| manner.denies = ["a://1".into()].into());
    let mut following = case.follows(&["a://1"]).await;
    assert!(following.honoured().is_empty());
    wait(Duration::from_secs(3600)).await;
    assert_eq!(case.server.count("subscribe"), 1);
    case.server.is(|manner| manner.denies.clear());

    let other = case.follows(&["a://2"]).await;
    assert_eq!(
        case.server.count("subscribe"),
        2,
        "not for those who want another"
    );
    following.change(interest(&["a://1"])).await.unwrap();

    assert_eq!(*following.honoured(), interest(&["a://1"]));
    assert_eq!(*other.honoured(), interest(&["a://2"]));
}
