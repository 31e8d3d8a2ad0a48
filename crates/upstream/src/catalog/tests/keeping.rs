//! When a catalog is read, and what is shown meanwhile.

use futures_util::future::join_all;

use super::*;

#[tokio::test(start_paused = true)]
async fn it_is_read_once_for_all_who_wait() {
    let server = Lister::modern(&["a"]);
    let upstream = server.upstream();
    let headers = Headers::default();

    let all = join_all((0..10).map(|_| upstream.catalog(&headers, WITHIN))).await;

    assert!(
        all.iter()
            .all(|catalog| tools(catalog.as_ref().unwrap()) == ["a"])
    );
    assert_eq!(
        (server.count("server/discover"), server.count("tools/list")),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_leaves_and_the_next_finds_it() {
    let server = Lister::modern(&["a"]);
    server.is(|manner| manner.takes = Duration::from_secs(4));
    let upstream = server.upstream();

    assert_eq!(refused(&upstream).await, Fault::Silent(WITHIN));
    wait(Duration::from_secs(6)).await;

    let asked = server.count("tools/list");
    assert_eq!(tools(&*read(&upstream).await), ["a"]);
    assert_eq!(asked, 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_is_shown_at_once_while_it_is_read_anew() {
    let server = Lister::modern(&["a"]);
    let upstream = server.upstream();
    read(&upstream).await;
    wait(Duration::from_secs(3600)).await;
    server.has(&["a", "b"]);
    server.is(|manner| manner.takes = Duration::from_secs(3));
    server.news();

    let before = tokio::time::Instant::now();
    assert_eq!(tools(&*read(&upstream).await), ["a"]);
    assert_eq!(before.elapsed(), Duration::ZERO);

    wait(Duration::from_secs(7)).await;
    assert_eq!(tools(&*read(&upstream).await), ["a", "b"]);
    assert_eq!(server.count("tools/list"), 1);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_apart_and_have_a_bound() {
    let server = Lister::modern(&["a"]);
    let upstream = server.upstream();
    for who in ["ann", "bob", "ann"] {
        upstream.catalog(&headers(who), WITHIN).await.unwrap();
    }
    assert_eq!(
        (server.count("tools/list ann"), server.count("tools/list bob")),
        (1, 1)
    );

    let mut news = upstream.catalog_changes(&headers("ann"));
    upstream.catalog(&headers("bob"), WITHIN).await.unwrap();
    for number in 0..63 {
        upstream
            .catalog(&headers(&number.to_string()), WITHIN)
            .await
            .unwrap();
    }

    assert_eq!(upstream.catalogs.credentials().len(), 64);
    upstream.catalog(&headers("bob"), WITHIN).await.unwrap();
    assert_eq!(server.count("tools/list bob"), 1, "it was used after the other");
    news.mark_unchanged();
    assert!(news.changed().await.is_err(), "it made place");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_when_the_upstream_is_removed() {
    let server = Lister::modern(&["a"]);
    server.is(|manner| manner.takes = Duration::from_secs(1));
    let upstream = server.upstream();
    let headers = Headers::default();
    let removed = async {
        wait(Duration::from_millis(10)).await;
        upstream.stop().await;
    };

    let (outcome, ()) = futures_util::future::join(upstream.catalog(&headers, WITHIN), removed).await;

    assert_eq!(outcome.unwrap_err().fault, Fault::Removed);
    assert_eq!(refused(&upstream).await, Fault::Removed);
}
