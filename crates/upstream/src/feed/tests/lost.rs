//! Servers of 2026-07-28 that are not there, refuse, or end what they tell.

use super::teller::TOOLS;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_is_asked_again_for_the_next_who_comes() {
    for fault in [
        None,
        Some(Fault::Status {
            status: 404,
            retry_after: None,
        }),
    ] {
        let case = case(Teller::modern());
        case.server.is(|manner| {
            manner.refuses = Some(-32601);
            manner.fails = fault;
        });
        let mut first = case.follows(&["tools"]).await;
        assert!(first.honoured().is_empty());
        assert!(
            heard_within(&mut first, Duration::from_secs(3600))
                .await
                .is_empty()
        );
        assert_eq!(case.server.news().len(), 1, "it is left alone");

        case.server.is(|manner| {
            manner.refuses = None;
            manner.fails = None;
        });
        let second = case.follows(&["tools"]).await;
        assert!(second.honoured().tools);
        assert!(first.honoured().is_empty(), "fixed at the beginning");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_cannot_be_reached_is_no_feed() {
    let case = case(Teller::modern());
    let fault = Fault::Unreachable("refused".into());
    case.server.is(|manner| manner.fails = Some(fault.clone()));

    assert_eq!(case.fails(&["tools"]).await, fault);

    wait(SOON).await;
    assert_eq!(case.feeds(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_lost_is_opened_again_and_everything_may_have_changed() {
    let case = case(Teller::modern());
    let mut first = case.follows(&["tools", "a://1"]).await;
    let mut second = case.follows(&["tools"]).await;
    case.server.news();

    case.server.cut();

    assert_eq!(
        heard_within(&mut first, Duration::from_secs(2)).await,
        ["tools", "a://1"]
    );
    assert_eq!(heard(&mut second).await, ["tools"]);
    case.server.says(TOOLS, None);
    assert_eq!(heard(&mut first).await, ["tools"]);
    assert_eq!(case.server.count("listen"), 1);
    assert_eq!(case.upstream.feeds_lost(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_the_server_ends_in_good_order_is_begun_again() {
    let case = case(Teller::modern());
    let mut following = case.follows(&["tools"]).await;
    for ending in ["result", "error", "cancelled"] {
        let id = case.server.newest();
        case.server.utters(&match ending {
            "cancelled" => format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{}}}}}"#,
                id.raw()
            ),
            "result" => format!(
                r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete"}}}}"#,
                id.raw()
            ),
            _ => format!(
                r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-32603,"message":"x"}}}}"#,
                id.raw()
            ),
        });
        let told = heard_within(&mut following, Duration::from_secs(5)).await;
        assert_eq!(told, ["tools"], "{ending}");
        assert_ne!(case.server.newest(), id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_every_stream_at_once_is_not_asked_without_pause() {
    let case = case(Teller::modern());
    case.server.is(|manner| manner.ends_at_once = true);
    let _following = case.follows(&["tools"]).await;

    wait(Duration::from_secs(600)).await;

    let asked = case.server.count("listen");
    assert!((20..=60).contains(&asked), "{asked} times in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn one_who_comes_while_it_is_lost_is_a_reason_to_try_at_once() {
    let case = case(Teller::modern());
    let mut first = case.follows(&["tools"]).await;
    let fault = Fault::Status {
        status: 503,
        retry_after: None,
    };
    case.server.is(|manner| manner.fails = Some(fault.clone()));
    case.server.cut();
    wait(Duration::from_secs(30)).await;

    assert_eq!(case.fails(&["tools"]).await, fault);
    case.server.is(|manner| manner.fails = None);
    let begun = tokio::time::Instant::now();
    let second = case
        .upstream
        .follow(interest(&["tools"]), &Pooled::default(), Arc::default())
        .await;

    // The breaker may have the last word; the feed comes back by itself.
    assert!(begun.elapsed() <= CONFIRMED_WITHIN);
    drop(second);
    assert_eq!(heard_within(&mut first, Duration::from_secs(60)).await, ["tools"]);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_widened_is_tried_again_for_those_who_come_later() {
    let case = case(Teller::modern());
    let _first = case.follows(&["tools"]).await;
    case.server
        .is(|manner| manner.fails = Some(Fault::Broken("reset".into())));
    let second = case.follows(&["prompts"]).await;
    assert!(second.honoured().is_empty());
    case.server.is(|manner| manner.fails = None);

    wait(Duration::from_secs(60)).await;

    assert_eq!(case.server.count("listen"), 2);
    assert!(case.follows(&["prompts"]).await.honoured().prompts);
    assert_eq!(case.server.count("listen"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_left_alone_where_nobody_is_told_anything() {
    let case = case(Teller::modern());
    case.server.is(|manner| manner.slow = true);
    let _following = case.follows(&["tools"]).await;
    wait(Duration::from_secs(24 * 3600)).await;
    assert_eq!(case.server.count("listen"), 1);
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_a_loss_does_not_hear_of_it() {
    let case = case(Teller::modern());
    let mut first = case.follows(&["tools"]).await;
    case.server.cut();
    wait(Duration::from_millis(1)).await;

    let mut second = case.follows(&["tools"]).await;

    assert_eq!(heard(&mut first).await, ["tools"]);
    assert!(heard(&mut second).await.is_empty());
}
