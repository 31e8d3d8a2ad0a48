//! One level of an object, read and edited.

use mcp::{Object, code};

fn object(text: &str) -> Object<'_> {
    Object::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn members_are_found_by_their_decoded_names() {
    let object = object(r#" { "a" : [1, 2] , "\u0062":"x\ty" ,"":null} "#);

    assert_eq!(object.get("a"), Some(&b"[1, 2]"[..]));
    assert_eq!(object.get_text("a"), None);
    assert_eq!(object.get("b"), Some(&br#""x\ty""#[..]));
    assert_eq!(object.get_text("b").as_deref(), Some("x\ty"));
    assert_eq!(object.get(""), Some(&b"null"[..]));
    assert_eq!(object.get("c"), None);
}

#[test]
fn of_duplicates_the_last_counts_and_all_are_kept() {
    let object = object(r#"{"a":1,"b":2,"a":3}"#);

    assert_eq!(object.get("a"), Some(&b"3"[..]));
    assert_eq!(object.members().len(), 3);
}

#[test]
fn what_is_no_object_is_refused() {
    for (text, code) in [
        (&b"[]"[..], code::INVALID_REQUEST),
        (b"1", code::INVALID_REQUEST),
        (b"", code::PARSE_ERROR),
        (b"{", code::PARSE_ERROR),
        (b"{} x", code::PARSE_ERROR),
        (b"{\"\xff\":1}", code::PARSE_ERROR),
    ] {
        assert_eq!(Object::parse(text).expect_err("no object").code(), code);
    }
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(255), "]".repeat(255));
    assert_eq!(
        Object::parse(deep.as_bytes()).expect_err("too deep").code(),
        code::INVALID_REQUEST
    );
}

#[test]
fn removing_takes_one_comma_along() {
    for (text, keys, left) in [
        (r#"{"a":1,"b":2,"c":3}"#, &["a"][..], r#"{"b":2,"c":3}"#),
        (r#"{"a":1,"b":2,"c":3}"#, &["b"], r#"{"a":1,"c":3}"#),
        (r#"{"a":1,"b":2,"c":3}"#, &["c"], r#"{"a":1,"b":2}"#),
        (r#"{"a":1,"b":2,"c":3}"#, &["a", "b"], r#"{"c":3}"#),
        (r#"{"a":1,"b":2,"c":3}"#, &["a", "b", "c"], "{}"),
        (r#"{"a":1,"b":2,"a":3}"#, &["a"], r#"{"b":2}"#),
        (r#"{"a":1}"#, &["x"], r#"{"a":1}"#),
        ("{\n  \"a\": 1,\n  \"b\": 2\n}\n", &["a"], "{\n  \"b\": 2\n}\n"),
        ("{\n  \"a\": 1,\n  \"b\": 2\n}\n", &["b"], "{\n  \"a\": 1\n}\n"),
    ] {
        let object = object(text);
        let mut edits = object.edit();
        for key in keys {
            edits.remove(key);
        }
        assert_eq!(edits.apply(), left, "{text}");
    }
}

#[test]
fn inserting_adds_behind_the_others() {
    for (text, with) in [
        ("{}", r#"{"n\"":[1]}"#),
        (" { } ", r#" {"n\"":[1] } "#),
        (r#"{"a":1}"#, r#"{"a":1,"n\"":[1]}"#),
        ("{\"a\":1\n}", "{\"a\":1,\"n\\\"\":[1]\n}"),
    ] {
        let object = object(text);
        let mut edits = object.edit();
        edits.insert("n\"", "[1]");
        assert_eq!(edits.apply(), with, "{text}");
    }
}

#[test]
fn setting_replaces_or_inserts() {
    for (text, edited) in [
        (r#"{"a":1,"b":2}"#, r#"{"a":{},"b":2,"c":null}"#),
        (r#"{"a":1,"b":2,"a":3}"#, r#"{"b":2,"a":{},"c":null}"#),
        (r#"{"a":1,"a":2,"a":3,"c":4}"#, r#"{"a":{},"c":null}"#),
        ("{}", r#"{"a":{},"c":null}"#),
    ] {
        let object = object(text);
        let mut edits = object.edit();
        edits.set("a", "{}").set("c", "null");

        assert_eq!(edits.apply(), edited, "{text}");
    }
}

/// A server could make us hold much more than it sent, if what is set were written as often as the member stands there.
#[test]
fn what_is_set_is_written_once_however_often_the_member_stands_there() {
    let text = format!("{{{}}}", vec![r#""a":1"#; 10_000].join(","));
    let object = object(&text);
    let long = format!("\"{}\"", "x".repeat(10_000));

    let edited = object.edit().set("a", long.clone()).apply();

    assert_eq!(edited, format!(r#"{{"a":{long}}}"#));
}

#[test]
fn edits_of_all_kinds_go_together() {
    let text = r#"{"a":{"deep":[1,2]},"b":2,"c":{"uri":"x"}}"#;
    let object = object(text);
    let at = |needle: &str| {
        let start = text.find(needle).expect("it is there") as u32;
        mcp::Span {
            start,
            end: start + needle.len() as u32,
        }
    };
    let mut edits = object.edit();
    edits
        .replace(at("\"x\""), "\"y\"")
        .replace(at("1,2"), "")
        .remove("b")
        .insert("d", "4");

    assert_eq!(edits.apply(), r#"{"a":{"deep":[]},"c":{"uri":"y"},"d":4}"#);
}

#[test]
fn a_replacement_within_a_removed_member_is_removed_too() {
    let object = object(r#"{"a":1,"b":2}"#);
    let mut edits = object.edit();
    edits.set("a", "5").remove("a");

    assert_eq!(edits.apply(), r#"{"b":2}"#);
}

#[test]
fn of_overlapping_replacements_the_first_holds() {
    let object = object(r#"{"a":[1,2]}"#);
    let mut edits = object.edit();
    edits.replace(mcp::Span { start: 6, end: 7 }, "9").set("a", "[]");

    assert_eq!(edits.apply(), r#"{"a":[]}"#);
}

#[test]
fn no_edits_change_nothing() {
    let text = " {\t\"a\" : 1 ,\n\"b\":2 } ";
    let object = object(text);

    assert!(object.edit().is_empty());
    assert!(object.edit().remove("x").is_empty());
    assert!(!object.edit().remove("a").is_empty());
    assert_eq!(object.edit().apply(), text);
}
