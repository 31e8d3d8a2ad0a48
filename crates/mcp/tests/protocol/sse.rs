//! Server-sent events.

use bytes::BytesMut;
use mcp::frame::sse::{COMMENT, Event, write_comment, write_event};
use mcp::{FrameError, SseReader};

fn read(max: usize, chunks: &[&[u8]]) -> Vec<Result<Event, FrameError>> {
    let mut reader = SseReader::new(max);
    let mut events = Vec::new();
    for chunk in chunks {
        reader.push(chunk);
        events.extend(reader.by_ref());
    }
    events
}

fn events(text: &str) -> Vec<Event> {
    read(1000, &[text.as_bytes()])
        .into_iter()
        .map(|event| event.expect("short enough"))
        .collect()
}

fn data(data: &str) -> Event {
    Event {
        data: data.to_owned().into(),
        ..Event::default()
    }
}

#[test]
fn the_three_line_endings_mean_the_same() {
    for end in ["\n", "\r", "\r\n"] {
        let text = ["event: message", "data: {}", "id: 1", "", ""].join(end);
        let event = Event {
            name: Some("message".into()),
            data: "{}".into(),
            id: Some("1".into()),
            retry: None,
        };

        assert_eq!(events(&text), [event], "{end:?}");
    }
    assert_eq!(events("data: a\r\ndata: b\rdata: c\n\r\n"), [data("a\nb\nc")]);
}

#[test]
fn a_line_ending_split_between_chunks_is_one() {
    assert_eq!(
        read(99, &[b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n"]),
        [Ok(data("a\nb"))]
    );
}

#[test]
fn a_byte_order_mark_may_stand_first_only() {
    assert_eq!(events("\u{feff}data: a\n\n"), [data("a")]);
    assert_eq!(events("\u{feff}\u{feff}data: a\n\n"), []);
    assert_eq!(read(99, &[b"\xEF", b"\xBB", b"\xBFdata: a\n\n"]), [Ok(data("a"))]);
}

#[test]
fn data_of_several_lines_is_joined() {
    assert_eq!(
        events("data: a\ndata:b\ndata:  c\ndata\n\n"),
        [data("a\nb\n c\n")]
    );
}

#[test]
fn comments_and_unknown_fields_are_ignored() {
    assert_eq!(
        events(": hello\n:\ncolour: red\n data: x\nDATA: y\ndata: a\n\n"),
        [data("a")]
    );
    assert_eq!(events(":\n\n: x\n\nevent\n\n"), []);
}

#[test]
fn an_event_without_data_is_told_if_it_says_something_else() {
    let id = Event {
        id: Some("7".into()),
        ..Event::default()
    };
    let retry = Event {
        retry: Some(1500),
        ..Event::default()
    };
    let name = Event {
        name: Some("endpoint".into()),
        ..Event::default()
    };

    assert_eq!(
        events("id: 7\ndata:\n\nretry: 1500\n\nevent: endpoint\n\ndata:\n\n"),
        [id, retry, name]
    );
}

#[test]
fn what_belongs_to_one_event_does_not_reach_the_next() {
    assert_eq!(
        events("event: a\nid: 1\nretry: 2\ndata: x\n\ndata: y\n\n")[1],
        data("y")
    );
}

#[test]
fn an_id_with_a_null_character_and_a_retry_that_is_no_number_are_ignored() {
    assert_eq!(
        events("id: a\0b\nretry: 1s\nretry: -1\nretry:\nretry: 99999999999999999999\ndata: x\n\n"),
        [data("x")]
    );
    assert_eq!(events("retry: 5\nretry:\n\n")[0].retry, Some(5));
}

#[test]
fn what_is_unfinished_at_the_end_is_no_event() {
    for text in ["data: a", "data: a\n", "data: a\r\n"] {
        assert_eq!(events(text), []);
    }
}

#[test]
fn an_overlong_event_is_reported_once_and_skipped() {
    let too_long = || Err(FrameError::TooLong { max: 10 });
    let good = || Ok(data("ok"));

    assert_eq!(read(10, &[b"data: 12345\n\ndata: ok\n\n"]), [too_long(), good()]);
    assert_eq!(
        read(10, &[b"data: 1\ndata: 2\ndata: 3\ndata: 4\n\ndata: ok\n\n"]),
        [too_long(), good()]
    );
    let long = [b'x'; 50];
    assert_eq!(
        read(
            10,
            &[
                b"data: 123456",
                &long,
                &long,
                b"\n",
                &long,
                b"\n",
                b"\ndata: ok\n\n"
            ]
        ),
        [too_long(), good()]
    );
}

#[test]
fn comments_of_any_length_cost_nothing() {
    let comment = [b":".as_slice(), &[b'x'; 100]].concat();

    assert_eq!(
        read(10, &[b"data: a\n", &comment, &comment, b"\n", b"\n"]),
        [Ok(data("a"))]
    );
    assert_eq!(
        read(10, &[b"data: a\n", &[&comment[..], b"\n\n"].concat()]),
        [Ok(data("a"))]
    );
}

#[test]
fn what_is_written_is_read_again() {
    let mut stream = BytesMut::new();
    write_event(&mut stream, Some("message"), br#"{"a":1}"#);
    write_comment(&mut stream, "still here\ndata: not this");
    stream.extend_from_slice(COMMENT);
    write_event(&mut stream, None, b"[1,\n2,\r3]\n");
    write_event(&mut stream, Some("a\nb"), b"");

    let events = read(1000, &[&stream]);

    let name = |name: &str, event| Event {
        name: Some(name.to_owned()),
        ..event
    };
    assert_eq!(
        events,
        [
            Ok(name("message", data(r#"{"a":1}"#))),
            Ok(data("[1,\n2,\n3]\n")),
            Ok(name("a", Event::default()))
        ]
    );
}
