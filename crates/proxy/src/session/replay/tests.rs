//! Streams that are told, cut, taken over and come back to.

use futures_util::FutureExt as _;

use super::*;

const RESUME: Resume = Resume {
    events: 10,
    kept_for: Duration::from_secs(300),
};

fn replays() -> Arc<Replays> {
    let gauge = |name: &str| IntGauge::new(name, "kept").unwrap();
    Arc::new(Replays::new(Gauges {
        streams: gauge("streams"),
        bytes: gauge("bytes"),
    }))
}

/// What is read now, if it need not be waited for.
fn reads(reader: &mut Reader) -> Option<Read> {
    reader.next().now_or_never()
}

fn event(number: u64, text: &'static str) -> Option<Read> {
    Some(Read::Event(number, text.into()))
}

async fn tell(teller: &Teller, events: &[&str]) {
    for event in events {
        teller.tell(event.as_bytes()).await;
    }
}

/// The rest of a stream, which must be there.
fn rest(found: Found) -> Reader {
    match found {
        Found::Rest(reader) => reader,
        Found::Again(..) | Found::Nothing | Found::Lost => panic!("no rest"),
    }
}

#[tokio::test]
async fn who_comes_back_reads_on_behind_what_was_read_last() {
    let (replays, session) = (replays(), token::Id::new());
    let (teller, mut reader) = replays.begin(&session, false, RESUME).unwrap();
    let stream = reader.stream();
    tell(&teller, &["a"]).await;
    assert_eq!(reads(&mut reader), event(1, "a"));
    drop(reader);

    tell(&teller, &["b", "c"]).await;
    let mut reader = rest(replays.find(&session, stream, 1));

    assert_eq!(reads(&mut reader), event(2, "b"));
    assert_eq!(reads(&mut reader), event(3, "c"));
    assert_eq!(reads(&mut reader), None);
    tell(&teller, &["d"]).await;
    drop(teller);
    assert_eq!(reads(&mut reader), event(4, "d"));
    assert_eq!(reads(&mut reader), Some(Read::End(None)));
}

#[tokio::test]
async fn who_tells_waits_for_a_reader_that_is_behind_and_for_nobody_else() {
    let (replays, session) = (replays(), token::Id::new());
    let (teller, mut reader) = replays.begin(&session, false, RESUME).unwrap();
    tell(&teller, &["a"]).await;

    assert_eq!(teller.tell(b"b").now_or_never(), None);
    assert_eq!(reads(&mut reader), event(1, "a"));
    assert_eq!(teller.tell(b"b").now_or_never(), None, "it may not have arrived");
    assert_eq!(reads(&mut reader), None);
    assert_eq!(teller.tell(b"b").now_or_never(), Some(()));

    let waits = teller.tell(b"c");
    let leaves = async { drop(reader) };
    tokio::join!(waits, leaves);
}

#[tokio::test]
async fn a_second_reader_takes_over_from_the_first() {
    let (replays, session) = (replays(), token::Id::new());
    let (teller, mut first) = replays.begin(&session, false, RESUME).unwrap();
    let stream = first.stream();
    tell(&teller, &["a"]).await;

    let mut second = rest(replays.find(&session, stream, 0));

    assert_eq!(reads(&mut first), Some(Read::TakenOver));
    drop(first);
    assert_eq!(
        teller.tell(b"b").now_or_never(),
        None,
        "the second is still there"
    );
    assert_eq!(reads(&mut second), event(1, "a"));
}

#[tokio::test(start_paused = true)]
async fn what_has_fallen_out_or_expired_or_is_another_sessions_is_lost() {
    let (replays, session) = (replays(), token::Id::new());
    let (teller, reader) = replays.begin(&session, false, RESUME).unwrap();
    let stream = reader.stream();
    drop(reader);
    for _ in 0..15 {
        teller.tell(b"x").await;
    }

    assert!(matches!(replays.find(&session, stream, 4), Found::Lost));
    assert!(matches!(replays.find(&session, stream, 16), Found::Lost));
    assert!(matches!(replays.find(&token::Id::new(), stream, 5), Found::Lost));
    drop(rest(replays.find(&session, stream, 5)));

    drop(teller);
    assert!(matches!(replays.find(&session, stream, 15), Found::Nothing));
    tokio::time::sleep(RESUME.kept_for).await;
    assert!(matches!(replays.find(&session, stream, 5), Found::Lost));
    tokio::time::sleep(RESUME.kept_for).await;
    assert!(
        replays.locked().is_empty(),
        "it is forgotten without being asked for"
    );
    assert_eq!((replays.gauges.streams.get(), replays.gauges.bytes.get()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_listens_goes_on_alone_for_a_while_and_is_begun_again() {
    let (replays, session) = (replays(), token::Id::new());
    let (teller, reader) = replays.begin(&session, true, RESUME).unwrap();
    let stream = reader.stream();
    assert!(teller.deserted(RESUME.kept_for).now_or_never().is_none());
    drop(reader);
    let since = Instant::now();
    teller.tell(b"a").await;

    teller.deserted(RESUME.kept_for).await;
    assert_eq!(since.elapsed(), RESUME.kept_for);
    teller.end(Some(7));

    let Found::Again(mut reader, teller) = replays.find(&session, stream, 0) else {
        panic!("not begun again");
    };
    assert_eq!(reads(&mut reader), event(1, "a"));
    assert_eq!(reads(&mut reader), None);
    teller.end(Some(7));
    assert_eq!(reads(&mut reader), Some(Read::End(Some(7))));
}

#[tokio::test]
async fn a_stream_without_a_reader_gives_way_to_a_new_one_and_one_with_a_reader_does_not() {
    let (replays, session) = (replays(), token::Id::new());
    let (teller, reader) = replays.begin(&session, true, RESUME).unwrap();

    replays.make_way(&session);
    assert!(teller.deserted(RESUME.kept_for).now_or_never().is_none());

    drop(reader);
    assert!(teller.deserted(RESUME.kept_for).now_or_never().is_some());
}

#[tokio::test]
async fn nothing_is_kept_of_a_session_that_was_ended_but_what_goes_on() {
    let (replays, session) = (replays(), token::Id::new());
    let (teller, reader) = replays.begin(&session, false, RESUME).unwrap();
    let ended = reader.stream();
    drop((teller, reader));
    let (teller, mut reader) = replays.begin(&session, false, RESUME).unwrap();

    replays.end(&session);

    assert!(matches!(replays.find(&session, ended, 0), Found::Lost));
    teller.tell(b"a").await;
    drop(teller);
    assert_eq!(reads(&mut reader), event(1, "a"));
    let stream = reader.stream();
    drop(reader);
    assert!(matches!(replays.find(&session, stream, 0), Found::Lost));
}

#[tokio::test]
async fn an_unkept_stream_keeps_nothing_that_was_read() {
    let replays = replays();
    let (teller, mut reader) = replays.unkept();
    teller.tell(b"a").await;
    assert_eq!(reads(&mut reader), event(1, "a"));
    assert_eq!(reads(&mut reader), None);
    drop(reader);
    teller.tell(b"b").await;
    assert_eq!(replays.gauges.bytes.get(), 0);
}
