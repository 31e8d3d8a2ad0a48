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

/// Many lists and calls pass by a server that hangs: only the first of them pay for it.
#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_waited_for_once() {
    let server = Lister::modern(&["a"]);
    server.is(|manner| manner.takes = Duration::from_secs(25));
    let upstream = server.upstream();
    let begun = tokio::time::Instant::now();

    for _ in 0..100 {
        assert_eq!(refused(&upstream).await, Fault::Silent(WITHIN));
    }
    assert_eq!(begun.elapsed(), WITHIN);

    // It is there again, and is nobody's who would have to wait.
    server.is(|manner| manner.takes = Duration::ZERO);
    wait(Duration::from_secs(60)).await;
    assert_eq!(tools(&*read(&upstream).await), ["a"]);
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

const MINUTE: Duration = Duration::from_secs(60);
const TOLD: &str = "notifications/tools/list_changed";

/// Uses it for so many minutes, once in each, and counts how often it was read.
async fn used(server: &Lister, upstream: &Arc<Upstream>, minutes: usize) -> usize {
    let before = server.count("tools/list");
    for _ in 0..minutes {
        wait(MINUTE).await;
        read(upstream).await;
    }
    wait(Duration::from_secs(1)).await;
    server.count("tools/list") - before
}

#[tokio::test(start_paused = true)]
async fn a_change_that_the_server_tells_is_read_soon_and_once() {
    for server in [Lister::modern(&["a"]), Lister::legacy(&["a"])] {
        let upstream = server.upstream();
        let first = read(&upstream).await.generation;
        let mut news = upstream.catalog_changes(&Headers::default());
        wait(MINUTE).await;
        assert_eq!((server.ears(), *news.borrow_and_update()), (1, first));
        server.news();

        server.has(&["a", "b"]);
        for _ in 0..10 {
            server.tells(TOLD);
            wait(Duration::from_millis(10)).await;
        }
        assert!(!news.has_changed().unwrap(), "more may come");
        wait(Duration::from_millis(200)).await;

        let second = read(&upstream).await;
        assert_eq!(tools(&second), ["a", "b"]);
        assert_eq!(*news.borrow_and_update(), second.generation);
        wait(MINUTE).await;
        assert_eq!(server.count("tools/list"), 1);

        // That nothing changed after all is no news.
        server.tells(TOLD);
        wait(MINUTE).await;
        assert_eq!(server.count("tools/list"), 2);
        assert!(!news.has_changed().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_tells_without_end_is_read_once_a_second() {
    let server = Lister::modern(&["a"]);
    let upstream = server.upstream();
    read(&upstream).await;
    wait(MINUTE).await;
    server.news();

    for _ in 0..100 {
        server.tells(TOLD);
        wait(Duration::from_millis(100)).await;
    }

    let read = server.count("tools/list");
    assert!((8..=11).contains(&read), "{read}");
}

#[tokio::test(start_paused = true)]
async fn it_is_due_when_the_server_says_but_only_for_who_asks() {
    let server = Lister::modern(&["a"]);
    server.is(|manner| {
        manner.declares = r#"{"tools":{}}"#.into();
        manner.says = r#","ttlMs":0"#.into();
    });
    let upstream = server.upstream();
    read(&upstream).await;
    for _ in 0..10 {
        wait(Duration::from_millis(90)).await;
        read(&upstream).await;
    }
    assert_eq!(server.count("tools/list"), 1, "a second at the least");
    wait(MINUTE).await;
    assert_eq!(server.count("tools/list"), 1, "nobody asked");
    read(&upstream).await;
    wait(MINUTE).await;
    assert_eq!(server.count("tools/list"), 2);

    server.is(|manner| manner.says = r#","ttlMs":1800000"#.into());
    read(&upstream).await;
    wait(MINUTE).await;
    assert_eq!(used(&server, &upstream, 29).await, 1);
}

#[tokio::test(start_paused = true)]
async fn by_age_it_is_read_every_five_minutes_or_fifteen_where_all_changes_are_heard() {
    let silent = Lister::legacy(&["a"]);
    silent.is(|manner| manner.declares = r#"{"tools":{}}"#.into());
    let half = Lister::legacy(&["a"]);
    half.is(|manner| manner.declares = r#"{"tools":{"listChanged":true},"prompts":{}}"#.into());
    half.lists(Listing::Prompts, &[]);
    let telling = Lister::legacy(&["a"]);

    for (server, times) in [(silent, 6), (half, 6), (telling, 2)] {
        let upstream = server.upstream();
        read(&upstream).await;
        // Before the second reading nothing was heard for sure.
        used(&server, &upstream, 6).await;
        assert_eq!(used(&server, &upstream, 30).await, times);
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_is_let_go_of_and_what_somebody_watches_is_not() {
    let server = Lister::modern(&["a"]);
    let upstream = server.upstream();
    read(&upstream).await;
    wait(9 * MINUTE).await;
    assert_eq!(server.ears(), 1);
    wait(3 * MINUTE).await;
    assert_eq!(server.ears(), 0);
    server.news();
    wait(60 * MINUTE).await;
    assert_eq!(server.news(), [""; 0]);

    let watching = upstream.catalog_changes(&Headers::default());
    wait(60 * MINUTE).await;
    assert_eq!(server.ears(), 1);
    assert!(server.count("tools/list") >= 4);
    drop(watching);
    wait(2 * MINUTE).await;
    assert_eq!(server.ears(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_one_stands_in_for_ten_minutes() {
    let server = Lister::modern(&["a"]);
    let upstream = server.upstream();
    let first = read(&upstream).await.generation;
    let mut news = upstream.catalog_changes(&Headers::default());
    let down = Fault::Unreachable("it refuses connections".into());
    server.is(|manner| manner.fails = Some(down));
    wait(6 * MINUTE).await;

    // It failed a minute ago at the latest.
    for _ in 0..8 {
        assert_eq!(tools(&*read(&upstream).await), ["a"]);
        wait(MINUTE).await;
    }
    assert!(!news.has_changed().unwrap());
    wait(3 * MINUTE).await;
    let before = tokio::time::Instant::now();
    assert!(matches!(refused(&upstream).await, Fault::Unreachable(_)));
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(*news.borrow_and_update(), 0);

    server.is(|manner| manner.fails = None);
    wait(MINUTE).await;
    assert_eq!(read(&upstream).await.generation, first);
    assert_eq!(
        *news.borrow_and_update(),
        first,
        "it is there again, and the same"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_shown_to_credentials_that_are_refused_now_is_not_shown() {
    let server = Lister::modern(&["a"]);
    let upstream = server.upstream();
    read(&upstream).await;
    server.is(|manner| manner.fails = Some(Fault::Unauthorized(401)));
    server.tells(TOLD);
    wait(6 * MINUTE).await;

    assert_eq!(refused(&upstream).await, Fault::Unauthorized(401));

    server.is(|manner| manner.fails = None);
    wait(MINUTE).await;
    assert_eq!(tools(&*read(&upstream).await), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_tried_with_pauses_and_who_asks_meanwhile_is_told_at_once() {
    let server = Lister::modern(&["a"]);
    // It answers what it speaks, and no more than that.
    server.is(|manner| manner.refuses = [("tools/list", -32603)].into());
    let upstream = server.upstream();
    assert!(matches!(refused(&upstream).await, Fault::Broken(_)));
    let begun = tokio::time::Instant::now();

    for _ in 0..600 {
        let before = tokio::time::Instant::now();
        refused(&upstream).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
        wait(Duration::from_millis(100)).await;
    }
    let tried = server.count("tools/list");
    assert!((5..=10).contains(&tried), "{tried} in {:?}", begun.elapsed());

    server.is(|manner| manner.refuses.clear());
    wait(MINUTE).await;
    assert_eq!(tools(&*read(&upstream).await), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_later_is_shown_as_it_was_and_read_again() {
    let server = Lister::modern(&["a"]);
    server.is(|manner| manner.declares = r#"{"tools":{},"prompts":{}}"#.into());
    server.lists(Listing::Prompts, &[r#"{"name":"p"}"#.into()]);
    let upstream = server.upstream();
    read(&upstream).await;
    server.has(&["b"]);
    server.is(|manner| manner.refuses = [("prompts/list", -32603)].into());
    wait(6 * MINUTE).await;

    let catalog = read(&upstream).await;
    assert_eq!(
        (tools(&catalog), keys(&catalog, Listing::Prompts)),
        (vec!["b"], vec!["p"])
    );

    wait(11 * MINUTE).await;
    let catalog = read(&upstream).await;
    assert_eq!(tools(&catalog), ["b"]);
    assert!(catalog.lacks(Listing::Prompts), "it stands in for so long");

    server.lists(Listing::Prompts, &[r#"{"name":"q"}"#.into()]);
    server.is(|manner| manner.refuses.clear());
    wait(MINUTE).await;
    assert_eq!(keys(&*read(&upstream).await, Listing::Prompts), ["q"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_may_be_another_is_read_again_and_shown_meanwhile() {
    let server = Lister::modern(&["a"]);
    let upstream = server.upstream();
    read(&upstream).await;
    server.has(&["b"]);

    upstream.forget_eras();

    assert_eq!(tools(&*read(&upstream).await), ["a"]);
    wait(Duration::from_secs(2)).await;
    assert_eq!(tools(&*read(&upstream).await), ["b"]);
}
