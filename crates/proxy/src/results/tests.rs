//! What outsiders cannot see: time, room, and the order in which those who wait are told.

use prometheus::Registry;
use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const ROOM: usize = 1 << 20;

fn results() -> Arc<Results> {
    Results::new(&crate::metrics::Metrics::new(&Registry::new()).unwrap())
}

fn kept(text: &str) -> Kept {
    let result = format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#);
    Kept {
        message: Message::result_reply(&Id::number(0), &result),
        status: 200,
    }
}

fn lead(results: &Arc<Results>, key: Key) -> Lead {
    match results.find(key, 60 * SECOND) {
        Found::Nothing(lead) => lead,
        Found::Kept(_) => panic!("it is kept"),
        Found::Running(_) => panic!("it is being asked"),
    }
}

fn is_kept(results: &Arc<Results>, key: Key, ttl: Duration) -> bool {
    matches!(results.find(key, ttl), Found::Kept(_))
}

#[tokio::test(start_paused = true)]
async fn a_result_holds_as_long_as_its_rule_says() {
    let results = results();
    let key = Key::number(1);
    lead(&results, key).keep(kept("a"), 60 * SECOND, ROOM);

    advance(59 * SECOND).await;
    assert!(is_kept(&results, key, 60 * SECOND));
    // Being used makes it no younger.
    advance(SECOND).await;
    assert!(!is_kept(&results, key, 60 * SECOND));
    assert_eq!(results.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_got_shorter_holds_at_once() {
    let results = results();
    lead(&results, Key::number(1)).keep(kept("a"), 60 * SECOND, ROOM);

    advance(10 * SECOND).await;

    assert!(!is_kept(&results, Key::number(1), 5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn what_was_used_longest_ago_makes_room() {
    let results = results();
    let text = "x".repeat(1000);
    lead(&results, Key::number(0)).keep(kept(&text), SECOND, ROOM);
    let each = results.bytes();
    assert!(each > 1000, "what is beside the text weighs, too");
    let room = 3 * each;
    for number in [1, 2] {
        lead(&results, Key::number(number)).keep(kept(&text), SECOND, room);
    }
    assert!(is_kept(&results, Key::number(0), SECOND));

    lead(&results, Key::number(3)).keep(kept(&text), SECOND, room);

    assert_eq!(results.bytes(), room);
    for (number, there) in [(0, true), (1, false), (2, true), (3, true)] {
        assert_eq!(is_kept(&results, Key::number(number), SECOND), there, "{number}");
    }
    lead(&results, Key::number(4)).keep(kept(&"x".repeat(room)), SECOND, room);
    assert!(
        !is_kept(&results, Key::number(4), SECOND),
        "it is longer than all room"
    );
    assert!(results.bytes() <= room);
}

#[tokio::test]
async fn those_who_wait_are_told_what_became_of_it() {
    let results = results();
    let key = Key::number(1);
    let join = || match results.find(key, SECOND) {
        Found::Running(flight) => flight,
        Found::Kept(_) | Found::Nothing(_) => panic!("nobody asks"),
    };

    let asks = lead(&results, key);
    let (one, other) = (join(), join());
    asks.keep(kept("a"), SECOND, ROOM);
    assert!(matches!(one.end().await, End::Kept(_)));
    assert!(matches!(other.end().await, End::Kept(_)));

    let key = Key::number(2);
    let join = || match results.find(key, SECOND) {
        Found::Running(flight) => flight,
        Found::Kept(_) | Found::Nothing(_) => panic!("nobody asks"),
    };
    let asks = lead(&results, key);
    let waits = join();
    asks.give_up();
    assert!(matches!(waits.end().await, End::NotKept));

    let asks = lead(&results, key);
    let waits = join();
    drop(asks);
    assert!(matches!(waits.end().await, End::Left));
    // Whoever is told so may ask in its place.
    let asks = lead(&results, key);
    asks.tell(kept("a"));
    assert!(!is_kept(&results, key, SECOND), "what was told only is not kept");
}

#[test]
fn a_hint_is_a_hint_where_it_stands() {
    for (tool, is) in [
        (r#"{"name":"a","annotations":{"readOnlyHint":true}}"#, true),
        (r#"{"name":"a","annotations":{"readOnlyHint":"true"}}"#, false),
        (r#"{"name":"a","annotations":{"readOnlyHint":false}}"#, false),
        (r#"{"name":"a","readOnlyHint":true}"#, false),
        (r#"{"name":"a","annotations":[]}"#, false),
    ] {
        assert_eq!(says_read_only(tool.as_bytes()), is, "{tool}");
    }
}
