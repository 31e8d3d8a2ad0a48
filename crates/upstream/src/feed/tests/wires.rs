//! Feeds over real wires: Streamable HTTP of both eras, HTTP+SSE, and a child's pipes.

use super::site::{Site, Spoken};
use super::teller::TOOLS;
use super::*;
use crate::metrics::Metrics;
use crate::registry::Timeouts;
use crate::stdio::guard::Guard;
use crate::stdio::{self, Command, Stdio};
use crate::transport::{Conversation, Pooled};
use mcp::{Id, Message};
use tokio::runtime::Handle;

const UPDATED: &str = "notifications/resources/updated";

async fn soon<T>(expected: impl Future<Output = T>) -> T {
    let bounded = tokio::time::timeout(Duration::from_secs(10), expected);
    bounded.await.expect("this happens soon")
}

async fn follow(upstream: &Arc<Upstream>) -> Following {
    follow_in(upstream, &Pooled::default()).await
}

async fn follow_in(upstream: &Arc<Upstream>, pooled: &Pooled) -> Following {
    // Its start does not count: what is confirmed later than after 2 s is not honoured.
    soon(upstream.learn(&Headers::default())).await.unwrap();
    let following = upstream.follow(interest(&["tools", "prompts", "a://1"]), pooled, Arc::default());
    soon(following).await.unwrap()
}

/// The session of one who may be asked something.
fn ann() -> Pooled {
    Pooled {
        capabilities: Some(r#"{"elicitation":{}}"#.into()),
        scope: b"ann"[..].into(),
    }
}

async fn hears(following: &mut Following, expected: &[&str]) {
    for expected in expected {
        assert_eq!(said(&soon(following.next()).await.unwrap()), *expected);
    }
}

#[tokio::test]
async fn changes_are_heard_over_every_transport_and_again_after_a_cut() {
    for (spoken, honoured) in [
        (Spoken::Modern, &["tools", "prompts", "a://1"][..]),
        (Spoken::Streamable, &["tools", "a://1"]),
        (Spoken::Sse, &["tools", "a://1"]),
    ] {
        for pooled in [Pooled::default(), ann()] {
            let site = Site::start(spoken).await;
            let upstream = site.upstream();

            let mut following = follow_in(&upstream, &pooled).await;

            assert_eq!(*following.honoured(), interest(honoured), "{spoken:?}");
            site.says(TOOLS, None);
            hears(&mut following, &["tools"]).await;
            site.says(UPDATED, Some("a://1"));
            hears(&mut following, &["a://1"]).await;

            site.cut();
            hears(&mut following, honoured).await;
            site.says(TOOLS, None);
            hears(&mut following, &["tools"]).await;
            drop(following);
            soon(upstream.stop()).await;
        }
    }
}

#[tokio::test]
async fn a_session_that_a_call_found_lost_is_followed_where_it_was_begun_anew() {
    let site = Site::start(Spoken::Streamable).await;
    let upstream = site.upstream();
    let mut following = follow(&upstream).await;
    // The server forgets the session and leaves its stream open.
    site.forget();

    let conversation = Conversation::Pooled(Pooled::default());
    let mut exchange = upstream.open(conversation, Headers::default()).await.unwrap();
    let call = Message::request(&Id::number(1), "tools/list", None);
    soon(exchange.send(&call)).await.unwrap();

    hears(&mut following, &["tools", "a://1"]).await;
    assert_eq!(site.count("initialize"), 2);
    assert_eq!(site.count("get"), 2);
    assert_eq!(site.count("resources/subscribe"), 2);
    soon(upstream.stop()).await;
}

#[tokio::test]
async fn a_session_that_is_found_lost_when_its_stream_is_opened_again_is_begun_anew() {
    let site = Site::start(Spoken::Streamable).await;
    let upstream = site.upstream();
    let mut following = follow(&upstream).await;

    site.forget();
    site.cut();

    hears(&mut following, &["tools", "a://1"]).await;
    assert_eq!(site.count("initialize"), 2);
    soon(upstream.stop()).await;
}

fn child(script: &str) -> Arc<Upstream> {
    let command = Command {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: Vec::new(),
        directory: None,
    };
    let bounds = stdio::Bounds {
        line: 1 << 20,
        limits: mcp::Limits::default(),
        children: 1,
        idle: Duration::from_secs(900),
    };
    let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
    // `grep guard` reads its input to the end, as a guard does.
    let guard = Arc::new(Guard::new("grep".into()));
    let (runtime, counted) = (Handle::current(), Arc::clone(&metrics));
    let transport = Stdio::new("docs".into(), command, guard, runtime, bounds, counted);
    let transport = Box::new(transport);
    Arc::new(Upstream::new(
        "docs".into(),
        Timeouts::default(),
        transport,
        None,
        metrics,
    ))
}

#[tokio::test]
async fn what_a_legacy_child_says_of_its_lists_is_the_feed_s_and_no_running_call_s() {
    // Tells of its tools as soon as one is called, and answers no call.
    let script = r#"n=0
        while read -r line; do
            case "$line" in
            *'"initialize"'*)
                n=$((n + 1))
                echo '{"jsonrpc":"2.0","id":'$n',"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true}}}}' ;;
            *tools/call*)
                n=$((n + 1))
                echo '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}' ;;
            *resources/subscribe*)
                n=$((n + 1))
                echo '{"jsonrpc":"2.0","id":'$n',"result":{}}' ;;
            *'"id"'*)
                n=$((n + 1))
                echo '{"jsonrpc":"2.0","id":'$n',"error":{"code":-32601,"message":"unknown"}}' ;;
            esac
        done"#;
    for pooled in [Pooled::default(), ann()] {
        let upstream = child(script);
        let mut following = follow_in(&upstream, &pooled).await;
        assert_eq!(*following.honoured(), interest(&["tools", "a://1"]));

        let conversation = Conversation::Pooled(pooled);
        let mut exchange = upstream.open(conversation, Headers::default()).await.unwrap();
        let call = Message::request(&Id::number(1), "tools/call", Some(r#"{"name":"x"}"#));
        tokio::select! {
            _ = exchange.send(&call) => panic!("it belongs to no call"),
            () = hears(&mut following, &["tools"]) => {}
        }
        drop(following);
        soon(upstream.stop()).await;
    }
}

#[tokio::test]
async fn a_modern_child_is_subscribed_to_and_told_when_nobody_follows_any_more() {
    // Ends as soon as a subscription is taken back.
    let upstream = child(
        r#"while read -r line; do
            case "$line" in
            *server/discover*)
                echo '{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}' ;;
            *subscriptions/listen*)
                meta='"_meta":{"io.modelcontextprotocol/subscriptionId":2}'
                echo '{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{'$meta',"notifications":{"toolsListChanged":true}}}'
                echo '{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{'$meta'}}' ;;
            *notifications/cancelled*) exit 0 ;;
            esac
        done"#,
    );
    let mut following = follow(&upstream).await;
    assert_eq!(*following.honoured(), interest(&["tools"]));
    hears(&mut following, &["tools"]).await;
    assert_eq!(upstream.children(), 1);

    drop(following);

    // It ends by itself: nothing else ends it before the stop.
    soon(async {
        while upstream.children() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    soon(upstream.stop()).await;
}

#[tokio::test]
async fn a_child_that_ends_its_subscription_or_itself_is_subscribed_to_again() {
    // The first time it takes the subscription back, the second time it ends.
    let upstream = child(
        r#"while read -r line; do
            case "$line" in
            *server/discover*)
                echo '{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}' ;;
            *subscriptions/listen*)
                id=${line#*\"id\":}; id=${id%%,*}
                meta='"_meta":{"io.modelcontextprotocol/subscriptionId":'$id'}'
                echo '{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{'$meta',"notifications":{"toolsListChanged":true}}}'
                test $id = 3 && exit 1
                test $id = 2 && echo '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}' ;;
            esac
        done"#,
    );
    let mut following = follow(&upstream).await;
    assert_eq!(*following.honoured(), interest(&["tools"]));

    hears(&mut following, &["tools", "tools"]).await;

    drop(following);
    soon(upstream.stop()).await;
}
