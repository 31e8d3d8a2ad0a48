//! The sentinel encoding, and the agreement of headers and body.

use super::message;
use mcp::header::{HeaderError, Mirrored, Values, agree, decode_value, encode_value};
use mcp::{Message, code};

#[test]
fn plain_values_stand_for_themselves() {
    for (value, text) in [
        (&b"get_weather"[..], "get_weather"),
        (b" \tget weather \t", "get weather"),
        (b"", ""),
        (b"=?BASE64?QQ==?=", "=?BASE64?QQ==?="),
        (b"=?base64?QQ==", "=?base64?QQ=="),
        (b"x=?base64?QQ==?=", "x=?base64?QQ==?="),
    ] {
        assert_eq!(decode_value(value).as_deref(), Ok(text));
    }
}

#[test]
fn encoded_values_are_decoded_whatever_they_hold() {
    for (value, text) in [
        (&b"=?base64?SGVsbG8=?="[..], "Hello"),
        (b"  =?base64?SGVsbG8=?=\t", "Hello"),
        (b"=?base64??=", ""),
        ("=?base64?w6k=?=".as_bytes(), "é"),
        (b"=?base64?Cg==?=", "\n"),
    ] {
        assert_eq!(decode_value(value).as_deref(), Ok(text));
    }
}

#[test]
fn what_cannot_be_decoded_is_never_taken_literally() {
    for value in [
        &b"=?base64?SGVsbG8?="[..],
        b"=?base64?SGVsbG9=?=",
        b"=?base64?SGVs bG8=?=",
        b"=?base64?_-==?=",
        b"=?base64?/w==?=",
        b"=?base64?=",
    ] {
        assert_eq!(
            decode_value(value),
            Err(HeaderError::Undecodable),
            "{}",
            value.escape_ascii()
        );
    }
}

#[test]
fn forbidden_characters_are_refused() {
    for value in ["é".as_bytes(), b"a\tb", b"a\x00b", b"a\x7f", b"\xff"] {
        assert_eq!(
            decode_value(value),
            Err(HeaderError::Forbidden),
            "{}",
            value.escape_ascii()
        );
    }
}

#[test]
fn only_what_a_header_cannot_carry_is_encoded() {
    for text in ["get_weather", "two words", "", "=?base64?QQ==", "file:///a?b=%20"] {
        assert_eq!(encode_value(text), text);
    }
    for text in [
        "é",
        " a",
        "a ",
        "\ta",
        "a\t",
        "a\tb",
        "a\nb",
        "\u{7f}",
        "=?base64?QQ==?=",
        "=?base64?=",
    ] {
        let value = encode_value(text);
        assert!(value.starts_with("=?base64?"), "{text:?}");
        assert_eq!(decode_value(value.as_bytes()).as_deref(), Ok(text));
    }
}

const VERSION: &[u8] = b"2026-07-28";

fn request(method: &str, members: &str) -> Message {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    message(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{meta}{members}}}}}"#
    ))
}

fn headers<'a>(method: &'a [u8], name: Values<'a>) -> Mirrored<'a> {
    Mirrored {
        version: Values::One(VERSION),
        method: Values::One(method),
        name,
    }
}

fn mismatch(headers: &Mirrored<'_>, message: &Message) -> String {
    let refusal = agree(headers, message).expect_err("they differ");
    assert_eq!((refusal.status, refusal.code), (400, code::HEADER_MISMATCH));
    refusal.message.into_owned()
}

#[test]
fn lines_of_a_header_are_counted() {
    let lines = |lines: &[&'static [u8]]| lines.iter().copied().collect::<Values<'static>>();

    assert_eq!(lines(&[]), Values::Absent);
    assert_eq!(lines(&[b"a"]), Values::One(b"a"));
    assert_eq!(lines(&[b"a", b"a"]), Values::Several(b"a"));
}

#[test]
fn headers_that_repeat_the_body_agree() {
    let call = request("tools/call", r#","name":"é""#);

    for name in [&b"=?base64?w6k=?="[..], b" =?base64?w6k=?= "] {
        assert_eq!(
            agree(&headers(b"\ttools/call ", Values::One(name)), &call),
            Ok(())
        );
    }
    assert_eq!(
        agree(
            &headers(b"tools/list", Values::Absent),
            &request("tools/list", "")
        ),
        Ok(())
    );
}

#[test]
fn each_header_that_is_missing_doubled_or_different_is_named() {
    let call = request("tools/call", r#","name":"a""#);
    let good = headers(b"tools/call", Values::One(b"a"));
    assert_eq!(agree(&good, &call), Ok(()));

    for (bad, words) in [
        (Values::Absent, "is missing"),
        (Values::Several(b"a"), "more than once"),
        (Values::One(&b"A"[..]), "does not match"),
        (Values::One(&b"\xff"[..]), "must be encoded"),
    ] {
        for (headers, name) in [
            (Mirrored { version: bad, ..good }, "MCP-Protocol-Version"),
            (Mirrored { method: bad, ..good }, "Mcp-Method"),
            (Mirrored { name: bad, ..good }, "Mcp-Name"),
        ] {
            let said = mismatch(&headers, &call);
            assert!(said.contains(name) && said.contains(words), "{said}");
        }
    }
}

#[test]
fn every_method_with_a_name_header_needs_it() {
    for (method, member) in [
        ("tools/call", "name"),
        ("prompts/get", "name"),
        ("resources/read", "uri"),
    ] {
        let request = request(method, &format!(r#","{member}":"a""#));

        mismatch(&headers(method.as_bytes(), Values::Absent), &request);
        assert_eq!(
            agree(&headers(method.as_bytes(), Values::One(b"a")), &request),
            Ok(())
        );
    }
}

#[test]
fn a_name_for_a_body_without_one_is_a_mismatch() {
    let call = request("tools/call", "");

    mismatch(&headers(b"tools/call", Values::One(b"a")), &call);
    assert_eq!(agree(&headers(b"tools/call", Values::Absent), &call), Ok(()));
}

#[test]
fn a_task_needs_its_header_only_from_who_declares_the_extension() {
    let plain = request("tasks/get", r#","taskId":"t""#);
    let declared = message(
        r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t","_meta":{
            "io.modelcontextprotocol/protocolVersion":"2026-07-28",
            "io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}"#,
    );

    assert_eq!(agree(&headers(b"tasks/get", Values::Absent), &plain), Ok(()));
    mismatch(&headers(b"tasks/get", Values::One(b"u")), &plain);
    mismatch(&headers(b"tasks/get", Values::Absent), &declared);
    assert_eq!(
        agree(&headers(b"tasks/get", Values::One(b"t")), &declared),
        Ok(())
    );
}

#[test]
fn notifications_are_not_held_to_headers() {
    let notification = message(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}"#);

    assert_eq!(agree(&Mirrored::default(), &notification), Ok(()));
}
