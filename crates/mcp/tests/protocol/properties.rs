//! What holds for any input.

use bytes::Bytes;
use mcp::header::{decode_value, encode_value};
use mcp::{Body, Id, Limits, LineReader, Message, Object, SseReader};
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

/// Any JSON value, not too deep.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Text made of the pieces JSON is made of: sometimes JSON, often nearly.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u00e9", "\\n", "a", "é", "\"k\":", "\"v\"", "0", "1",
        "-", ".", "e", "E+", "true", "false", "null", " ", "\n", "\t", "\r", "\u{7f}", "\u{1}", "1.5e-7",
        "{}", "[]", "nul",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// One member of an object: a small edit of its text, somewhere.
fn damaged(text: String) -> impl Strategy<Value = String> {
    let length = text.chars().count();
    (0..=length, 0..=length, prop::option::of(any::<char>())).prop_map(move |(from, to, with)| {
        let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 2));
        let kept = text.chars().take(from);
        kept.chain(with).chain(text.chars().skip(to)).collect()
    })
}

/// Our grammar is the grammar of `serde_json`, which we trust. `RawValue` checks it without bounds on numbers.
fn same_verdict(value: &str) -> Result<(), TestCaseError> {
    let text = format!(r#"{{"x":{value},"jsonrpc":"2.0","id":1,"method":"a"}}"#);
    let ours = Message::parse(Bytes::from(text.clone()), &Limits::default());
    let theirs = serde_json::from_str::<&RawValue>(&text);
    match ours {
        Ok(message) => {
            prop_assert!(theirs.is_ok(), "{}", text);
            prop_assert_eq!(message.bytes(), text.as_bytes());
        }
        Err(error) => prop_assert_eq!(
            error.code() == mcp::code::PARSE_ERROR,
            theirs.is_err(),
            "{}: {}",
            error,
            text
        ),
    }
    Ok(())
}

proptest! {
    #[test]
    fn json_is_read_if_and_only_if_it_is_json(value in json()) {
        same_verdict(&value.to_string())?;
        same_verdict(&format!("{value:#}"))?;
    }

    #[test]
    fn nearly_json_is_judged_rightly(text in nearly_json()) {
        same_verdict(&text)?;
    }

    #[test]
    fn damaged_json_is_judged_rightly(text in json().prop_flat_map(|value| damaged(value.to_string()))) {
        same_verdict(&text)?;
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        _ = Body::parse(bytes.clone(), &Limits::default());
        _ = Object::parse(&bytes);
        _ = Id::parse(&bytes);
        _ = decode_value(&bytes);
    }

    #[test]
    fn another_id_changes_nothing_else(params in json(), number: u64, text: String, first: bool) {
        let params = serde_json::json!({ "arguments": params, "name": text });
        let request = |id: &Id| {
            let id = format!(r#""id": {id} "#);
            let rest = format!(r#""jsonrpc":"2.0","params":{params},"method":"tools/call""#);
            if first { format!("{{{id},{rest}}}") } else { format!("{{{rest},{id}}}") }
        };
        let (old, new) = (Id::text(&text), Id::number(number));
        let original = Message::parse(request(&old).into(), &Limits::default()).expect("a good request");

        let edited = original.with_id(&new);

        let expected = Bytes::from(request(&new));
        prop_assert_eq!(edited.bytes(), &expected);
        prop_assert_eq!(edited.params(), original.params());
        let subject = edited.subject();
        prop_assert_eq!(subject.as_deref(), Some(&*text));
        let back = edited.with_id(&old);
        prop_assert_eq!(back.bytes(), original.bytes());
    }

    #[test]
    fn a_number_is_an_id_if_it_is_an_integer(whole in "(0|[1-9][0-9]{0,5})", fraction in "[0-9]{0,4}", exponent in -6..6_i32) {
        let point = if fraction.is_empty() { "" } else { "." };
        let text = format!("{whole}{point}{fraction}e{exponent}");
        // Scaled by ten to the tenth, all of these are integers that fit.
        let digits: u128 = format!("{whole}{fraction}").parse().expect("digits");
        let scaled = digits * 10_u128.pow(u32::try_from(10 + exponent - fraction.len() as i32).expect("positive"));
        let unit = 10_u128.pow(10);
        let expected = scaled.is_multiple_of(unit).then(|| Id::number(u64::try_from(scaled / unit).expect("it fits")));

        prop_assert_eq!(Id::parse(text.as_bytes()), expected, "{}", text);
    }

    #[test]
    fn removing_and_inserting_members_does_that_and_no_more(
        members in prop::collection::vec(("[a-d]", json()), 0..6),
        removed in "[a-d]",
        added: String,
    ) {
        let text = members.iter().map(|(key, value)| format!(" \"{key}\" : {value} ")).collect::<Vec<_>>().join(",");
        let text = format!("{{{text}}}");
        let object = Object::parse(text.as_bytes()).expect("it is an object");
        let mut edits = object.edit();
        edits.remove(&removed).insert(&added, "[5]");

        let text = edits.apply();

        let edited = Object::parse(&text).expect("it still is an object");
        let kept = members.iter().filter(|(key, _)| *key != removed).map(|(key, value)| (key.clone(), value.to_string()));
        let expected: Vec<_> = kept.chain([(added, "[5]".to_owned())]).collect();
        let value = |place: mcp::Span| String::from_utf8_lossy(place.of(&text)).into_owned();
        let found: Vec<_> =
            edited.members().iter().map(|member| (member.key.to_string(), value(member.value))).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_header_carries_any_text(text: String) {
        let value = encode_value(&text);

        prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let decoded = decode_value(value.as_bytes());
        prop_assert_eq!(decoded.as_deref(), Ok(&*text));
    }

    #[test]
    fn lines_do_not_depend_on_how_they_are_cut(text in "[ab\r\n]{0,60}", max in 0..6_usize) {
        let read = |chunks: &[&[u8]]| {
            let mut reader = LineReader::new(max);
            let mut lines = Vec::new();
            for chunk in chunks {
                reader.push(chunk);
                lines.extend(reader.by_ref());
            }
            lines
        };
        let whole = read(&[text.as_bytes(), b"\n"]);
        for at in 0..=text.len() {
            let (before, after) = text.as_bytes().split_at(at);
            let cut = read(&[before, after, b"\n"]);
            prop_assert_eq!(&cut, &whole, "at {}", at);
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).chain([&b"\n"[..]]).collect();
        prop_assert_eq!(read(&bytes), whole);
    }

    #[test]
    fn events_do_not_depend_on_how_they_are_cut(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "\u{feff}", "data", "data:", ": ", " ", "event: a", "id: 1", "id", "retry: 7", ":", "x", "é",
                "\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n", "\0",
            ]),
            0..40,
        ),
        max in 0..40_usize,
    ) {
        let text = pieces.concat();
        let read = |chunks: &[&[u8]]| {
            let mut reader = SseReader::new(max);
            let mut events = Vec::new();
            for chunk in chunks {
                reader.push(chunk);
                events.extend(reader.by_ref());
            }
            events
        };
        let whole = read(&[text.as_bytes(), b"\n\n"]);
        for at in 0..=text.len() {
            let (before, after) = text.as_bytes().split_at(at);
            let cut = read(&[before, after, b"\n\n"]);
            prop_assert_eq!(&cut, &whole, "at {}", at);
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).chain([&b"\n\n"[..]]).collect();
        prop_assert_eq!(read(&bytes), whole);
    }
}
