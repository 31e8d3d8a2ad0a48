//! What is refused as no message: for what, in which words, and whom the refusal answers.

use super::message;
use super::message::call;
use bytes::Bytes;
use mcp::{Id, Kind, Limits, Message, code};
use std::fmt::Write;

/// The text is refused with this code, and words that contain these.
fn refused(text: impl AsRef<[u8]>, code: i64, words: &str) -> mcp::ParseError {
    let text = text.as_ref();
    let shown = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
    let error = Message::parse(Bytes::copy_from_slice(text), &Limits::default()).expect_err(&shown);
    assert_eq!(error.code(), code, "{error}: {shown}");
    assert!(error.to_string().contains(words), "{error}: {shown}");
    error
}

fn invalid(text: &str, words: &str) -> mcp::ParseError {
    refused(text, code::INVALID_REQUEST, words)
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (text, words) in [
        ("", "expected a value at byte 0"),
        ("  ", "at byte 2"),
        ("{", "expected a string at byte 1"),
        (r#"{"a""#, "expected `:` at byte 4"),
        (r#"{"a":1,}"#, "expected a string at byte 7"),
        (r#"{"a":[1,]}"#, "expected a value at byte 8"),
        (r#"{"a":[1}"#, "expected `,` or `]` at byte 7"),
        (r#"{"a":{"b":1]}"#, "expected `,` or `}` at byte 11"),
        (r#"{"a":01}"#, "at byte 6"),
        (r#"{"a":1.}"#, "expected a digit at byte 7"),
        (r#"{"a":-}"#, "expected a digit at byte 6"),
        (r#"{"a":1e+}"#, "expected a digit at byte 8"),
        (r#"{"a":+1}"#, "expected a value at byte 5"),
        (r#"{"a":tru}"#, "expected a value at byte 5"),
        (r#"{"a":"\x"}"#, "expected an escape at byte 7"),
        (r#"{"a":"\u12g4"}"#, "four hexadecimal digits"),
        ("{\"a\":\"\n\"}", "no control character"),
        (r#"{"a":"b"#, "the end of a string"),
        (r#"{"a":1} {"#, "the end of the text at byte 8"),
        ("{'a':1}", "expected a string at byte 1"),
        ("{\u{a0}\"a\":1}", "expected a string at byte 1"),
    ] {
        let error = refused(text, code::PARSE_ERROR, words);
        assert_eq!(error.id(), None);
    }
}

#[test]
fn a_byte_order_mark_is_refused() {
    refused("\u{feff}{}", code::PARSE_ERROR, "byte order mark");
}

#[test]
fn invalid_utf8_is_refused_with_its_place() {
    refused(b"{\"a\":\"\xff\"}", code::PARSE_ERROR, "invalid UTF-8 at byte 6");
}

#[test]
fn what_is_no_message_is_refused() {
    for (text, words) in [
        ("5", "is a JSON object"),
        ("[]", "is a JSON object"),
        ("{}", "`jsonrpc` is missing"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "is not \"2.0\""),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, "is not \"2.0\""),
        (r#"{"jsonrpc":"2.0","id":1}"#, "one of"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
            "`method` is not a string",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#,
            "`method` is not a string",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}"#,
            "`params` is not an object",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":null}"#,
            "`params` is not an object",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
            "cannot be an answer",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1}}"#,
            "exclude each other",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#,
            "`error` is not an object",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#,
            "`params` without `method`",
        ),
        (r#"{"jsonrpc":"2.0","result":{}}"#, "needs the `id`"),
        (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, "needs the `id`"),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{},"_meta":{}}}"#,
            "`_meta` stands twice",
        ),
    ] {
        invalid(text, words);
    }
}

#[test]
fn an_id_that_is_neither_string_nor_integer_is_refused() {
    for id in [
        "null",
        "1.5",
        "true",
        "{}",
        "[]",
        "1e-1",
        r#""\ud800""#,
        "1e9999999999",
    ] {
        let error = invalid(
            &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#),
            "`id`",
        );
        assert_eq!(error.id(), None, "{id}");
    }
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#,
        "x".repeat(mcp::id::LONGEST)
    );
    invalid(&long, "longer than 4096");
}

#[test]
fn a_duplicate_member_of_the_envelope_is_refused() {
    for member in [
        r#""jsonrpc":"2.0""#,
        r#""id":7"#,
        r#""method":"ping""#,
        r#""params":{}"#,
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"a","params":{{}},{member}}}"#);
        invalid(&text, "twice");
    }
    for member in [r#""result":{}"#, r#""error":{}"#] {
        invalid(
            &format!(r#"{{"jsonrpc":"2.0","id":7,{member},{member}}}"#),
            "twice",
        );
    }
}

#[test]
fn a_duplicate_of_what_an_error_says_is_refused() {
    let error = |members: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"error":{{{members}}}}}"#);
    for member in [
        r#""code":-32603"#,
        r#""message":"no""#,
        r#""data":{}"#,
        r#""d\u0061ta":{}"#,
    ] {
        let once = r#""code":-32602,"message":"m","data":1"#;
        invalid(&error(&format!("{once},{member}")), "`error` has");
    }
    let own = message(&error(r#""code":1,"Code":2,"hint":3,"hint":4"#));
    assert_eq!(own.error_code(), Some(1), "a server's own members are its own");
}

#[test]
fn a_member_of_the_envelope_in_another_case_is_refused() {
    for name in [
        "Method",
        "ID",
        "PARAMS",
        "jsonRPC",
        "Result",
        "error\u{17F}",
        "re\u{17F}ult",
        "param\u{17F}",
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"a","{name}":{{}}}}"#);
        if name.starts_with("error") {
            message(&text);
        } else {
            invalid(&text, "another spelling");
        }
    }
}

#[test]
fn an_escaped_duplicate_is_refused() {
    invalid(
        r#"{"jsonrpc":"2.0","id":1,"method":"a","m\u0065thod":"b"}"#,
        "twice",
    );
    invalid(&call(r#"{"name":"a","n\u0061me":"b"}"#), "twice");
}

#[test]
fn a_duplicate_of_what_decides_over_a_call_is_refused() {
    for name in [
        "name",
        "uri",
        "taskId",
        "arguments",
        "_meta",
        "requestId",
        "progressToken",
    ] {
        let error = invalid(&call(&format!(r#"{{"{name}":{{}},"{name}":{{}}}}"#)), "twice");
        assert_eq!(error.id(), Some(&Id::number(7)));
    }
    for name in ["Name", "URI", "taskID", "Arguments", "_META"] {
        invalid(&call(&format!(r#"{{"{name}":{{}}}}"#)), "another spelling");
    }
}

#[test]
fn another_spelling_of_a_request_to_cancel_is_refused_where_it_means_something() {
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestID":1}}"#;
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"ProgressToken":1}}"#;

    invalid(cancel, "another spelling");
    invalid(progress, "another spelling");
    message(&call(r#"{"name":"a","requestID":1}"#));
}

#[test]
fn a_duplicate_of_reserved_meta_is_refused() {
    let meta = |members: &str| call(&format!(r#"{{"_meta":{{{members}}}}}"#));
    let prefix = "io.modelcontextprotocol/";
    for name in [
        "protocolVersion",
        "clientCapabilities",
        "clientInfo",
        "logLevel",
        "subscriptionId",
        "unheard",
    ] {
        invalid(
            &meta(&format!(r#""{prefix}{name}":1,"{prefix}{name}":1"#)),
            "twice",
        );
    }
    invalid(&meta(r#""progressToken":1,"progressToken":2"#), "twice");
    invalid(&meta(r#""ProgressToken":1"#), "another spelling");
    invalid(
        &meta(&format!(r#""{prefix}protocolversion":1"#)),
        "another spelling",
    );
    invalid(&meta(r#""IO.modelcontextprotocol/any":1"#), "another spelling");
    invalid(&meta(&format!(r#""{prefix}any":1,"{prefix}ANY":1"#)), "twice");
    message(&meta(r#""traceparent":1,"traceparent":2,"TraceParent":3"#));
}

#[test]
fn there_is_a_bound_to_unknown_reserved_meta() {
    let meta = |count: usize| {
        let members: Vec<_> = (0..count)
            .map(|n| format!(r#""io.modelcontextprotocol/{n}":1"#))
            .collect();
        call(&format!(r#"{{"_meta":{{{}}}}}"#, members.join(",")))
    };

    message(&meta(32));
    invalid(&meta(33), "more than 32");
}

#[test]
fn a_name_that_is_no_text_is_refused() {
    invalid(&call(r#"{"name":"a\udc00"}"#), "`params.name` is not Unicode");
}

#[test]
fn depth_is_bounded_and_the_id_behind_it_still_read() {
    let nested = |depth: usize, open: &str, close: &str| {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        format!(r#"{{"jsonrpc":"2.0","method":"a","params":{{"x":{open}1{close}}},"id":9}}"#)
    };

    // The message is one level, its parameters another.
    message(&nested(62, "[", "]"));
    message(&nested(62, r#"{"a":"#, "}"));
    for text in [
        nested(63, "[", "]"),
        nested(63, r#"{"a":"#, "}"),
        nested(100_000, "[", "]"),
    ] {
        assert_eq!(invalid(&text, "deeper than 64").id(), Some(&Id::number(9)));
    }
}

/// A tool whose message is this many levels deep.
fn tool(name: &str, levels: usize) -> String {
    // The message, its result, the list and the tool are four.
    let (open, close) = ("[".repeat(levels - 4), "]".repeat(levels - 4));
    format!(r#"{{"inputSchema":{open}{close},"name":"{name}"}}"#)
}

#[test]
fn a_list_is_read_without_what_is_too_deep_in_it() {
    let list = |tools: &[String]| {
        format!(
            r#"{{"jsonrpc":"2.0","result":{{ "tools": [{}] ,"resources":[1],"nextCursor":"2"}},"id":9}}"#,
            tools.join(", ")
        )
    };
    let names = |message: &mcp::Message| message.left_out().join(",");

    let whole = message(&list(&[tool("a", 64), tool("b", 5)]));
    assert_eq!(names(&whole), "");
    for (tools, left_out, rest) in [
        (vec![tool("a", 65), tool("b", 5)], "a", tool("b", 5)),
        (vec![tool("a", 5), tool("b", 400)], "b", tool("a", 5)),
        (
            vec![tool("a", 100_000), tool("b", 5), tool("\\u0063", 65)],
            "a,c",
            tool("b", 5),
        ),
        (vec!["[".repeat(90) + &"]".repeat(90)], "", String::new()),
    ] {
        let read = message(&list(&tools));

        assert_eq!(names(&read), left_out);
        let result = format!(r#"{{ "tools": [{rest}] ,"resources":[1],"nextCursor":"2"}}"#);
        assert_eq!(read.result(), Some(result.as_bytes()));
        assert_eq!(read.id(), Some(&Id::number(9)));
        assert_eq!(names(&read.with_id(&Id::number(1))), left_out);
    }
}

#[test]
fn what_is_too_deep_elsewhere_is_refused_whatever_a_list_holds() {
    let deep = "[".repeat(70) + &"]".repeat(70);
    for text in [
        format!(
            r#"{{"jsonrpc":"2.0","id":9,"result":{{"tools":[{}],"x":{deep}}}}}"#,
            tool("a", 65)
        ),
        format!(r#"{{"jsonrpc":"2.0","id":9,"result":{{"content":[{deep}]}}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":9,"method":"a","params":{{"tools":[{deep}]}}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":9,"result":{{"tools":{{"a":{deep}}}}}}}"#),
    ] {
        assert_eq!(invalid(&text, "deeper than 64").id(), Some(&Id::number(9)));
    }
}

#[test]
fn brackets_in_strings_are_not_depth() {
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"a","x":"{}"}}"#,
        "[".repeat(100)
    );

    message(&text);
}

#[test]
fn any_limit_of_depth_is_safe() {
    for depth in [0, 1, 2, 3, 255] {
        let mut text = String::from(r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"a":"#);
        write!(text, "{}{}}}}}}}", "[".repeat(400), "]".repeat(400)).expect("a string takes anything");
        let limits = Limits {
            depth,
            ..Limits::default()
        };

        let error = Message::parse(Bytes::from(text), &limits).expect_err("too deep");

        assert_eq!(error.code(), code::INVALID_REQUEST);
        let list = Bytes::from(r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","x":[[[]]]}]}}"#);
        let read = Message::parse(list, &limits);
        assert!(read.map_or(true, |read| read.left_out().len() == usize::from(depth == 3)));
    }
}

#[test]
fn the_id_is_read_even_when_the_envelope_is_refused() {
    for text in [
        r#"{"jsonrpc":"1.0","id":"x","method":"a"}"#,
        r#"{"jsonrpc":"2.0","Method":"a","id":"x"}"#,
        r#"{"params":5,"method":"a","id":"x","jsonrpc":"2.0"}"#,
        r#"{"id":"x"}"#,
    ] {
        assert_eq!(invalid(text, "").id(), Some(&Id::text("x")), "{text}");
    }
}

#[test]
fn of_two_ids_none_is_answered() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":1,"Id":2,"method":"a"}"#,
    ] {
        assert_eq!(invalid(text, "").id(), None);
    }
}

#[test]
fn a_refusal_answers_its_sender() {
    let reply = invalid(r#"{"jsonrpc":"2.0","id":"x","method":5}"#, "").to_reply();

    assert_eq!(reply.kind(), Kind::Error);
    assert_eq!(reply.id(), Some(&Id::text("x")));
    assert_eq!(reply.error_code(), Some(code::INVALID_REQUEST));
}
