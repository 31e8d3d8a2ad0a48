//! Batches, which only 2025-03-26 has.

use bytes::Bytes;
use mcp::{Body, Id, Limits, Message, ParseError, code};

fn body(text: &str) -> Result<Body, ParseError> {
    Body::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
}

fn batch(text: &str) -> Vec<Result<Message, ParseError>> {
    match body(text) {
        Ok(Body::Batch(messages)) => messages,
        other => panic!("{other:?}: {text}"),
    }
}

#[test]
fn an_object_is_one_message() {
    assert!(matches!(
        body(r#" {"jsonrpc":"2.0","id":1,"method":"ping"}"#),
        Ok(Body::One(_))
    ));
}

#[test]
fn each_element_has_its_own_bytes() {
    let first = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let second = r#"{"jsonrpc":"2.0", "method":"notifications/initialized"}"#;

    let messages = batch(&format!("\n[ {first} ,\t{second}\r\n]"));

    let bytes: Vec<_> = messages
        .iter()
        .map(|message| message.as_ref().expect("good").bytes())
        .collect();
    assert_eq!(bytes, [first, second]);
}

#[test]
fn a_bad_element_does_not_spoil_the_others() {
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":4,"method":"a","x":{}{}}}"#,
        "[".repeat(300),
        "]".repeat(300)
    );
    let messages = batch(&format!(
        r#"[5,{{"id":3}},{deep},{{"jsonrpc":"2.0","id":1,"method":"ping"}}]"#
    ));

    let ids: Vec<_> = messages
        .iter()
        .map(|message| {
            message
                .as_ref()
                .map_or_else(|error| error.id().cloned(), |message| message.id().cloned())
        })
        .collect();
    assert_eq!(
        ids,
        [
            None,
            Some(Id::number(3)),
            Some(Id::number(4)),
            Some(Id::number(1))
        ]
    );
    assert!(messages[..3].iter().all(|message| message.is_err()));
    assert!(messages[3].is_ok());
}

#[test]
fn an_empty_or_overlong_batch_is_refused_as_a_whole() {
    let of = |count: usize| format!("[{}]", vec!["{}"; count].join(","));

    assert_eq!(body("[ ]").expect_err("empty").code(), code::INVALID_REQUEST);
    assert_eq!(batch(&of(50)).len(), 50);
    assert_eq!(body(&of(51)).expect_err("too many").code(), code::INVALID_REQUEST);
}

#[test]
fn a_batch_that_is_not_json_is_refused_as_a_whole() {
    for text in ["[", "[{}", "[{},]", "[{}]]", "[{}}", "\u{feff}[{}]"] {
        assert_eq!(body(text).expect_err(text).code(), code::PARSE_ERROR, "{text}");
    }
}
