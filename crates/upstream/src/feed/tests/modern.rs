//! Servers of 2026-07-28.

use super::teller::{PROMPTS, TOOLS};
use super::*;
use mcp::Message;

const UPDATED: &str = "notifications/resources/updated";

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_told_and_nothing_else() {
    let case = case(Teller::modern());
    case.server.is(|manner| {
        manner.acknowledges = Some(r#"{"toolsListChanged":true,"resourcesListChanged":true}"#.into());
    });

    let mut following = case.follows(&["tools", "prompts", "a://1"]).await;

    assert_eq!(
        *following.honoured(),
        interest(&["tools"]),
        "not what nobody asked for"
    );
    case.server.says(PROMPTS, None);
    case.server.says(UPDATED, Some("a://1"));
    case.server.says("notifications/resources/list_changed", None);
    case.server.says(TOOLS, None);
    assert_eq!(heard(&mut following).await, ["tools"]);
}

#[tokio::test(start_paused = true)]
async fn followers_share_one_subscription_and_each_hears_its_own() {
    let case = case(Teller::modern());
    let mut all = case.follows(&["tools", "prompts", "a://1"]).await;
    let mut some = case.follows(&["a://1"]).await;
    assert_eq!(case.server.count("listen"), 1);

    case.server.says(TOOLS, None);
    case.server.says(UPDATED, Some("a://1/below"));
    case.server.says(UPDATED, Some("a://2"));

    assert_eq!(heard(&mut all).await, ["tools", "a://1/below"]);
    assert_eq!(heard(&mut some).await, ["a://1/below"]);
    assert_eq!(case.feeds(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wider_subscription_stands_before_the_narrower_one_is_closed() {
    let case = case(Teller::modern());
    let mut first = case.follows(&["tools"]).await;
    let mut second = case.follows(&["prompts"]).await;
    assert_eq!(
        case.server.news(),
        [
            r#"listen {"toolsListChanged":true}"#,
            r#"listen {"toolsListChanged":true,"promptsListChanged":true}"#,
        ]
    );

    // It was on its way over the first.
    case.server.says_on(1, TOOLS, None);

    assert_eq!(heard(&mut first).await, ["tools"]);
    wait(Duration::from_secs(2)).await;
    assert_eq!(case.server.news(), ["closed 1"]);
    case.server.says(TOOLS, None);
    case.server.says(PROMPTS, None);
    assert_eq!(heard(&mut first).await, ["tools"]);
    assert_eq!(heard(&mut second).await, ["prompts"]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_any_more_is_given_up_after_a_while() {
    let case = case(Teller::modern());
    let mut first = case.follows(&["tools"]).await;
    for _ in 0..10 {
        drop(case.follows(&["prompts", "a://1"]).await);
        wait(SOON).await;
    }
    assert_eq!(case.server.count("listen"), 2, "not for each that comes and goes");
    case.server.news();

    wait(Duration::from_secs(20)).await;

    let news = case.server.news();
    assert_eq!(
        news,
        ["closed 1", r#"listen {"toolsListChanged":true}"#, "closed 2"][usize::from(news.len() == 2)..]
    );
    case.server.says(TOOLS, None);
    assert_eq!(heard(&mut first).await, ["tools"]);
    wait(Duration::from_secs(3600)).await;
    assert!(case.server.news().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_comes_late_or_never_honours_nothing() {
    let case = case(Teller::modern());
    case.server.is(|manner| manner.slow = true);
    let begun = tokio::time::Instant::now();

    let mut following = case.follows(&["tools"]).await;

    assert_eq!(begun.elapsed(), CONFIRMED_WITHIN);
    assert!(following.honoured().is_empty());
    case.server.lets(1);
    wait(SOON).await;
    case.server.says(TOOLS, None);
    assert!(heard(&mut following).await.is_empty());

    let mut later = case.follows(&["tools"]).await;
    assert!(later.honoured().tools, "it is known by now");
    following.change(interest(&["tools"])).await.unwrap();
    assert!(following.honoured().tools, "it was asked again");
    case.server.says(TOOLS, None);
    assert_eq!(heard(&mut later).await, ["tools"]);
    assert_eq!(heard(&mut following).await, ["tools"]);
    assert_eq!(case.server.count("listen"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_before_the_acknowledgement_is_not_heard() {
    let case = case(Teller::modern());
    case.server.is(|manner| {
        let acknowledged = "notifications/subscriptions/acknowledged";
        let foreign = r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":7},"notifications":{"promptsListChanged":true}}"#;
        let foreign = Message::notification(acknowledged, Some(foreign));
        let foreign = Message::parse(foreign.bytes().clone(), &mcp::Limits::default()).unwrap();
        manner.babbles = vec![
            Message::notification(TOOLS, None),
            Message::request(&mcp::Id::number(1), "ping", None),
            foreign,
        ];
    });

    let mut following = case.follows(&["tools", "prompts"]).await;

    assert_eq!(*following.honoured(), interest(&["tools", "prompts"]));
    assert!(heard(&mut following).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn garbage_in_an_acknowledgement_honours_nothing() {
    for garbage in [
        "null",
        "[]",
        "7",
        r#"{"toolsListChanged":"yes","resourceSubscriptions":{}}"#,
    ] {
        let case = case(Teller::modern());
        case.server
            .is(|manner| manner.acknowledges = Some(garbage.into()));
        let following = case.follows(&["tools", "a://1"]).await;
        assert!(following.honoured().is_empty(), "{garbage}");
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_on_the_stream_is_passed_over() {
    let case = case(Teller::modern());
    let mut following = case.follows(&["tools", "a://1"]).await;

    for garbage in [
        r#"{"jsonrpc":"2.0","method":"notifications/resources/updated"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":[1]}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"another"}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}"#,
        r#"{"jsonrpc":"2.0","id":4,"method":"roots/list"}"#,
        r#"{"jsonrpc":"2.0","method":"x/y"}"#,
    ] {
        case.server.utters(garbage);
    }

    assert!(heard(&mut following).await.is_empty());
    case.server.says(TOOLS, None);
    assert_eq!(heard(&mut following).await, ["tools"]);
    assert_eq!(case.server.news().len(), 1, "the stream lives on");
}

#[tokio::test(start_paused = true)]
async fn one_who_does_not_read_is_told_each_change_once_and_holds_up_nobody() {
    let case = case(Teller::modern());
    let mut idle = case.follows(&["tools", "a://1", "a://2"]).await;
    let mut keen = case.follows(&["tools"]).await;

    for _ in 0..1000 {
        case.server.says(TOOLS, None);
        case.server.says(UPDATED, Some("a://2"));
        assert_eq!(said(&keen.next().await.unwrap()), "tools");
    }

    assert_eq!(heard(&mut idle).await, ["tools", "a://2"]);
}

#[tokio::test(start_paused = true)]
async fn one_who_gives_up_and_asks_again_loses_nothing() {
    let case = case(Teller::modern());
    let mut following = case.follows(&["tools"]).await;
    for _ in 0..100 {
        let given_up = tokio::time::timeout(Duration::from_millis(1), following.next()).await;
        assert!(given_up.is_err());
    }
    case.server.says(TOOLS, None);
    assert_eq!(heard(&mut following).await, ["tools"]);
}

#[tokio::test(start_paused = true)]
async fn the_feed_ends_with_its_last_follower() {
    let case = case(Teller::modern());
    let first = case.follows(&["tools"]).await;
    let second = case.follows(&["tools"]).await;

    drop(first);
    wait(SOON).await;
    assert_eq!(case.server.count("closed"), 0);
    drop(second);
    wait(SOON).await;

    assert_eq!(case.server.count("closed"), 1);
    assert_eq!(case.feeds(), 0);
    assert_eq!(Arc::strong_count(&case.upstream), 1, "nothing holds it any more");
    let mut third = case.follows(&["tools"]).await;
    case.server.says(TOOLS, None);
    assert_eq!(heard(&mut third).await, ["tools"]);
}

#[tokio::test(start_paused = true)]
async fn one_who_leaves_during_the_opening_takes_it_along() {
    let case = case(Teller::modern());
    case.server.is(|manner| manner.slow = true);
    let leaving = tokio::time::timeout(SOON, case.follows(&["tools"])).await;
    assert!(leaving.is_err());
    wait(SOON).await;
    assert_eq!(
        case.server.news(),
        [r#"listen {"toolsListChanged":true}"#, "closed 1"]
    );
    assert_eq!(case.feeds(), 0);

    // Unless somebody else waits for it.
    case.server.is(|manner| manner.slow = true);
    let upstream = Arc::clone(&case.upstream);
    let staying = tokio::spawn(async move {
        upstream
            .follow(interest(&["tools"]), &Pooled::default(), Arc::default())
            .await
    });
    assert!(
        tokio::time::timeout(SOON, case.follows(&["tools"]))
            .await
            .is_err()
    );
    case.server.lets(1);
    assert!(staying.await.unwrap().unwrap().honoured().tools);
}

#[tokio::test(start_paused = true)]
async fn all_who_follow_hear_that_the_upstream_was_removed() {
    let case = case(Teller::modern());
    let mut following = case.follows(&["tools"]).await;
    case.server.says(TOOLS, None);
    wait(SOON).await;
    case.server.is(|manner| manner.slow = true);
    let upstream = Arc::clone(&case.upstream);
    let waiting = tokio::spawn(async move {
        upstream
            .follow(interest(&["prompts"]), &Pooled::default(), Arc::default())
            .await
    });
    wait(SOON).await;

    case.upstream.remove();

    assert_eq!(
        said(&following.next().await.unwrap()),
        "tools",
        "what waited is still read"
    );
    assert_eq!(following.next().await.unwrap_err().fault, Fault::Removed);
    assert_eq!(
        following.change(interest(&["prompts"])).await.unwrap_err().fault,
        Fault::Removed
    );
    assert_eq!(waiting.await.unwrap().err().unwrap().fault, Fault::Removed);
    assert_eq!(case.fails(&["tools"]).await, Fault::Removed);
    case.upstream.stop().await;
    assert_eq!(case.server.count("closed"), 2);
    assert_eq!(case.feeds(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_may_change_without_a_gap() {
    let case = case(Teller::modern());
    let mut following = case.follows(&["tools", "a://1"]).await;
    case.server.is(|manner| manner.slow = true);

    let changing = async {
        wait(SOON).await;
        case.server.says_on(1, TOOLS, None);
        wait(SOON).await;
        case.server.lets(1);
    };
    let (changed, ()) = tokio::join!(following.change(interest(&["tools", "a://2"])), changing);

    changed.unwrap();
    assert_eq!(*following.honoured(), interest(&["tools", "a://2"]));
    assert_eq!(heard(&mut following).await, ["tools"]);
    case.server.says(UPDATED, Some("a://1"));
    case.server.says(UPDATED, Some("a://2"));
    assert_eq!(heard(&mut following).await, ["a://2"]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_cannot_be_widened_goes_on_as_it_is() {
    for (refuses, fails) in [(Some(-32600), None), (None, Some(Fault::Broken("reset".into())))] {
        let case = case(Teller::modern());
        let mut first = case.follows(&["tools"]).await;
        case.server.is(|manner| {
            manner.refuses = refuses;
            manner.fails = fails.clone();
        });

        let second = case.follows(&["tools", "prompts"]).await;

        assert_eq!(*second.honoured(), interest(&["tools"]));
        case.server.says(TOOLS, None);
        assert_eq!(heard(&mut first).await, ["tools"]);
        assert_eq!(case.server.count("closed"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn each_set_of_credentials_is_a_feed_of_its_own_where_the_server_sees_them() {
    for apart in [true, false] {
        let case = case(Teller::modern());
        case.server.is(|manner| manner.tells_credentials_apart = apart);
        let headers = |key: &'static str| {
            Arc::new(Headers {
                injected: vec![(http::header::AUTHORIZATION, http::HeaderValue::from_static(key))],
                passed: Vec::new(),
            })
        };
        let wanted = || interest(&["tools"]);
        let _one = case
            .upstream
            .follow(wanted(), &Pooled::default(), headers("a"))
            .await
            .unwrap();
        let _two = case
            .upstream
            .follow(wanted(), &Pooled::default(), headers("b"))
            .await
            .unwrap();
        let _also = case
            .upstream
            .follow(wanted(), &Pooled::default(), headers("a"))
            .await
            .unwrap();
        assert_eq!(case.feeds(), if apart { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn there_are_only_so_many_followers_and_uris() {
    let case = case(Teller::modern());
    let many: Vec<String> = (0..10_000).map(|number| format!("a://{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut following = case.follows(&many).await;
    assert_eq!(following.honoured().uris.len(), 10_000);
    let Fault::Full(why) = case.fails(&["b://1"]).await else {
        panic!("it is full");
    };
    assert!(why.contains("10000 resources"), "{why}");
    following.change(interest(&["a://1"])).await.unwrap();

    let mut all = Vec::new();
    for _ in 1..1024 {
        all.push(case.follows(&["tools"]).await);
    }
    let Fault::Full(why) = case.fails(&["tools"]).await else {
        panic!("it is full");
    };
    assert!(why.contains("1024 clients"), "{why}");
    all.pop();
    case.follows(&["tools"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_fails_leaves_what_was_wanted_before() {
    let case = case(Teller::modern());
    let mut following = case.follows(&["tools"]).await;
    let fault = Fault::Broken("reset".into());
    case.server.is(|manner| manner.fails = Some(fault.clone()));
    case.server.cut();
    wait(SOON).await;

    assert_eq!(
        following.change(interest(&["prompts"])).await.unwrap_err().fault,
        fault
    );

    assert_eq!(*following.honoured(), interest(&["tools"]));
    case.server.is(|manner| manner.fails = None);
    assert_eq!(
        heard_within(&mut following, Duration::from_secs(60)).await,
        ["tools"]
    );
    assert_eq!(
        case.server.log().last().unwrap(),
        r#"listen {"toolsListChanged":true}"#
    );
}

#[tokio::test(start_paused = true)]
async fn who_wants_nothing_costs_the_server_nothing() {
    let case = case(Teller::modern());
    let mut following = case.follows(&[]).await;
    wait(Duration::from_secs(3600)).await;
    assert!(case.server.log().is_empty());

    following.change(interest(&["tools"])).await.unwrap();
    case.server.says(TOOLS, None);
    assert_eq!(heard(&mut following).await, ["tools"]);
}

#[tokio::test(start_paused = true)]
async fn who_wants_nothing_any_more_is_no_reason_to_subscribe() {
    let case = case(Teller::modern());
    let mut following = case.follows(&["tools"]).await;
    following.change(Interest::default()).await.unwrap();
    wait(Duration::from_secs(60)).await;
    assert_eq!(
        case.server.news(),
        [r#"listen {"toolsListChanged":true}"#, "closed 1"]
    );

    following.change(interest(&["tools"])).await.unwrap();
    case.server
        .is(|manner| manner.fails = Some(Fault::Broken("reset".into())));
    case.server.cut();
    wait(SOON).await;
    following.change(Interest::default()).await.unwrap();
    case.server.news();
    wait(Duration::from_secs(3600)).await;
    assert!(case.server.news().is_empty(), "nor to try again");
}
