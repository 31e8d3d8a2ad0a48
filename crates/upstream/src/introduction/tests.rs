//! What an upstream is asked of itself, how often, and by whom.

use std::future::Future;

use futures_util::future::join;

use super::*;
use crate::metrics::Metrics;
use crate::registry::Timeouts;
use crate::streamable_http::tests::peer::Peer;

fn upstream(peer: &Peer) -> Arc<Upstream> {
    Arc::new(Upstream::new(
        "new".into(),
        Timeouts::default(),
        Box::new(peer.client()),
        None,
        Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap()),
    ))
}

fn headers(who: &'static str) -> Headers {
    Headers {
        injected: vec![(http::header::AUTHORIZATION, HeaderValue::from_static(who))],
        passed: Vec::new(),
    }
}

fn discovered(ttl: &str) -> String {
    format!(r#"{{"supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{{"tools":{{}}}}{ttl}}}"#)
}

async fn introduced(
    upstream: &Arc<Upstream>,
    who: &'static str,
    server: impl Future,
) -> Result<Arc<Introduction>, Error> {
    let headers = headers(who);
    join(upstream.introduction(&headers), server).await.0
}

/// Answers this many questions, each of them for these credentials.
async fn discover(peer: &mut Peer, who: &str, times: usize, ttl: &str) {
    for _ in 0..times {
        let asked = peer.post("server/discover").await;
        assert_eq!(asked.header("authorization"), Some(who));
        assert_eq!(asked.header("mcp-method"), Some("server/discover"));
        asked.result(&discovered(ttl)).await;
    }
}

async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn it_is_asked_once_per_credentials_and_for_as_long_as_it_says_but_not_for_long() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer);
    let long = r#","ttlMs":3600000"#;

    // Once for the eras, once for what it says of itself to her.
    let server = discover(&mut peer, "ann", 2, long);
    let (first, second) = {
        let both = join(
            introduced(&upstream, "ann", async {}),
            introduced(&upstream, "ann", server),
        );
        both.await
    };
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(first.revision, Revision::V2026_07_28);
    assert!(first.result.result_member("capabilities").is_some());

    introduced(&upstream, "bob", discover(&mut peer, "bob", 1, long))
        .await
        .unwrap();
    introduced(&upstream, "ann", async {}).await.unwrap();
    assert!(peer.is_quiet());

    pass(KEPT_FOR).await;
    introduced(&upstream, "ann", discover(&mut peer, "ann", 1, long))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_asked_each_time_and_what_is_wrong_is_forgotten() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer);

    let server = discover(&mut peer, "ann", 2, "");
    introduced(&upstream, "ann", server).await.unwrap();
    introduced(&upstream, "ann", discover(&mut peer, "ann", 1, r#","ttlMs":-1"#))
        .await
        .unwrap();
    introduced(
        &upstream,
        "ann",
        discover(&mut peer, "ann", 1, r#","ttlMs":9000"#),
    )
    .await
    .unwrap();

    upstream.forget_eras();

    introduced(&upstream, "ann", discover(&mut peer, "ann", 2, ""))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_of_both_eras_says_what_it_is_in_either() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer);
    let ann = headers("ann");

    let server = async {
        discover(&mut peer, "ann", 1, "").await;
        peer.greet("s1").await;
    };
    let (legacy, ()) = join(upstream.introduction_in(Era::Legacy, &ann), server).await;
    let legacy = legacy.unwrap();
    assert_eq!(legacy.revision, Revision::V2025_06_18);
    assert!(legacy.eras.modern.is_some());
    assert!(legacy.result.result_member("protocolVersion").is_some());

    // As long as the session lives.
    upstream.introduction_in(Era::Legacy, &ann).await.unwrap();
    assert!(peer.is_quiet());
}

#[tokio::test]
async fn a_server_that_speaks_another_era_by_now_says_what_it_is_in_that() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer);

    let server = async {
        discover(&mut peer, "ann", 1, "").await;
        // It was replaced: an old one answers from now on.
        for _ in 0..2 {
            peer.post("server/discover").await.error(200, -32601).await;
        }
        peer.greet("s1").await;
    };
    let introduction = introduced(&upstream, "ann", server).await.unwrap();

    assert_eq!(introduction.revision, Revision::V2025_06_18);
    assert_eq!(introduction.eras.modern, None);
}

#[tokio::test]
async fn only_an_answer_says_that_a_greeting_is_not_understood() {
    let mut peer = Peer::start().await;
    let upstream = upstream(&peer);
    let ann = headers("ann");
    let only_modern = r#"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#;

    // A connection that breaks says nothing of eras.
    let server = async {
        peer.post("server/discover").await.result(only_modern).await;
        drop(peer.post("initialize").await);
    };
    let (learned, ()) = join(upstream.learn_both(&ann), server).await;
    assert!(matches!(learned.unwrap_err().fault, Fault::Broken(_)));
    assert_eq!(upstream.eras().unwrap().legacy, Legacy::Unasked);

    let server = async { peer.post("initialize").await.error(200, -32602).await };
    let (learned, ()) = join(upstream.learn_both(&ann), server).await;
    assert_eq!(learned.unwrap().legacy, Legacy::NotSpoken);
}

#[test]
fn credentials_have_a_bound() {
    let introductions = Introductions::default();
    for number in 0..=REMEMBERED {
        let value = HeaderValue::from_str(&number.to_string()).unwrap();
        introductions.entry(&vec![(http::header::AUTHORIZATION, value)]);
    }

    assert_eq!(introductions.locked().by_credentials.len(), REMEMBERED);
}
