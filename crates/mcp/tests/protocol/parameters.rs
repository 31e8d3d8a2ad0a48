//! Arguments of a tool that its calls repeat in headers: which, and whether they do.

use super::message;
use mcp::header::{InvalidAnnotation, Parameters, Unlisted, Values, listed, mirror};
use mcp::{Message, code};

const SCHEMA: &str = r#"{"type":"object","properties":{
    "region":{"type":"string","x-mcp-header":"Region"},
    "nested":{"type":"object","properties":{"count":{"type":["integer","null"],"x-mcp-header":"Count"}}},
    "dry":{"type":"boolean","x-mcp-header":"Dry-Run"},
    "x-mcp-header":{"type":"string"},
    "note":{"type":"string","default":{"x-mcp-header":"No"}}}}"#;

fn parameters() -> Parameters {
    Parameters::of_schema(SCHEMA.as_bytes()).expect("it is valid")
}

fn call(arguments: &str) -> Message {
    message(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"x","arguments":{arguments}}}}}"#
    ))
}

fn of_property(schema: &str) -> Result<Parameters, InvalidAnnotation> {
    Parameters::of_schema(format!(r#"{{"properties":{{"a":{schema}}}}}"#).as_bytes())
}

#[test]
fn every_primitive_value_has_its_form_in_a_header() {
    for (arguments, expected) in [
        ("{}", &[][..]),
        (r#"{"region":null,"nested":null}"#, &[]),
        (r#"{"region":{"a":1},"dry":[]}"#, &[]),
        (r#"{"region":"us-west1"}"#, &[("mcp-param-region", "us-west1")]),
        (r#"{"region":""}"#, &[("mcp-param-region", "")]),
        (
            r#"{"region":"Hello, 世界"}"#,
            &[("mcp-param-region", "=?base64?SGVsbG8sIOS4lueVjA==?=")],
        ),
        (
            r#"{"region":"line1\nline2"}"#,
            &[("mcp-param-region", "=?base64?bGluZTEKbGluZTI=?=")],
        ),
        (
            r#"{"region":"=?base64?literal?="}"#,
            &[("mcp-param-region", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=")],
        ),
        (r#"{"nested":{"count":-7}}"#, &[("mcp-param-count", "-7")]),
        (r#"{"nested":{"count":4.20e1}}"#, &[("mcp-param-count", "42")]),
        (r#"{"nested":{"count":1.5}}"#, &[("mcp-param-count", "1.5")]),
        (
            r#"{"nested":{"count":-9223372036854775808}}"#,
            &[("mcp-param-count", "-9223372036854775808")],
        ),
        (r#"{"nested":{"count":1e400}}"#, &[("mcp-param-count", "1e400")]),
        (r#"{"dry":true,"count":1}"#, &[("mcp-param-dry-run", "true")]),
    ] {
        let parameters = parameters();
        let headers = parameters.mirror(&call(arguments));
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(headers, expected, "{arguments}");
    }
}

#[test]
fn headers_agree_with_the_arguments_or_are_refused() {
    let count = |line: &'static str| ("mcp-param-count", Values::One(line.as_bytes()));
    let region = |line: &'static str| ("mcp-param-region", Values::One(line.as_bytes()));
    for (arguments, line, agrees) in [
        ("{}", None, true),
        ("{}", Some(region("us")), false),
        (r#"{"region":null}"#, Some(region("")), false),
        (r#"{"region":"us"}"#, None, false),
        (r#"{"region":"us"}"#, Some(region(" us\t")), true),
        (r#"{"region":"us"}"#, Some(region("US")), false),
        (r#"{"region":"us"}"#, Some(region("=?base64?dXM=?=")), true),
        (r#"{"region":"us"}"#, Some(region("=?base64?dXM?=")), false),
        (r#"{"region":"ü"}"#, Some(region("ü")), false),
        (r#"{"region":"42"}"#, Some(region("42.0")), false),
        (
            r#"{"region":"us"}"#,
            Some(("mcp-param-region", Values::Several(b"us"))),
            false,
        ),
        (r#"{"nested":{"count":42}}"#, Some(count("42.0")), true),
        (r#"{"nested":{"count":42.0}}"#, Some(count("42")), true),
        (r#"{"nested":{"count":42}}"#, Some(count("43")), false),
        (r#"{"nested":{"count":42}}"#, Some(count("inf")), false),
    ] {
        let lines = |name: &str| match line {
            Some((given, values)) if given == name => values,
            _ => Values::Absent,
        };
        let outcome = parameters().agree(lines, &call(arguments));
        assert_eq!(outcome.is_ok(), agrees, "{arguments} {line:?}: {outcome:?}");
        if let Err(refusal) = outcome {
            assert_eq!((refusal.status, refusal.code), (400, code::HEADER_MISMATCH));
        }
    }
}

#[test]
fn an_annotation_that_is_not_as_it_must_be_makes_the_tool_invalid() {
    use InvalidAnnotation::{Name, Place, Twice, Type, Unreadable};
    for (schema, why) in [
        (r#"{"type":"string","x-mcp-header":""}"#, Name),
        (r#"{"type":"string","x-mcp-header":7}"#, Name),
        (r#"{"type":"string","x-mcp-header":"a b"}"#, Name),
        (r#"{"type":"string","x-mcp-header":"a\r\nb"}"#, Name),
        (r#"{"type":"string","x-mcp-header":"ä"}"#, Name),
        (r#"{"type":"number","x-mcp-header":"A"}"#, Type),
        (r#"{"type":"object","x-mcp-header":"A"}"#, Type),
        (r#"{"type":["string","integer"],"x-mcp-header":"A"}"#, Type),
        (r#"{"x-mcp-header":"A"}"#, Type),
        (r#"{"items":{"type":"string","x-mcp-header":"A"}}"#, Place),
        (
            r#"{"anyOf":[{"properties":{"b":{"type":"string","x-mcp-\u0068eader":"A"}}}]}"#,
            Place,
        ),
        (r#"{"$defs":{"b":{"type":"string","x-mcp-header":"A"}}}"#, Place),
        (
            r#"{"properties":{"b":{"type":"string","x-mcp-header":"A"},"c":{"type":"string","x-mcp-header":"a"}}}"#,
            Twice,
        ),
        (r#"{"x-mcp-header":"#, Unreadable),
    ] {
        assert_eq!(of_property(schema), Err(why), "{schema}");
    }
    let root = Parameters::of_schema(br#"{"type":"string","x-mcp-header":"A"}"#);
    assert_eq!(root, Err(Place));
}

#[test]
fn a_schema_without_annotations_is_not_even_read() {
    let garbage = Parameters::of_schema(b"{garbage").unwrap();

    assert!(garbage.is_empty());
}

#[test]
fn annotations_have_a_bound() {
    let property = |number| format!(r#""p{number}":{{"type":"string","x-mcp-header":"p{number}"}}"#);
    let schema = |many| {
        let properties: Vec<_> = (0..many).map(property).collect();
        Parameters::of_schema(format!(r#"{{"properties":{{{}}}}}"#, properties.join(",")).as_bytes())
    };

    assert!(schema(64).is_ok());
    assert_eq!(schema(65), Err(InvalidAnnotation::TooMany));
    let deep = format!(
        r#"{}{{"x-mcp-header":"a"}}{}"#,
        r#"{"properties":{"a":"#.repeat(1000),
        "}}".repeat(1000)
    );
    assert_eq!(
        Parameters::of_schema(deep.as_bytes()),
        Err(InvalidAnnotation::Unreadable)
    );
}

#[test]
fn the_standard_headers_of_a_message_are_read_off_it() {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    let named = |method: &str, member: &str| {
        message(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{member}{meta}}}}}"#
        ))
    };
    for (sent, name) in [
        (
            named("tools/call", r#""name":"größe","#),
            Some("=?base64?Z3LDtsOfZQ==?="),
        ),
        (named("resources/read", r#""uri":"a://b","#), Some("a://b")),
        (named("resources/subscribe", r#""uri":"a://b","#), None),
        (named("tools/list", ""), None),
    ] {
        let headers = mirror(&sent);

        let value = |name| {
            headers
                .iter()
                .find(|(given, _)| *given == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(value("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(value("mcp-method"), sent.method().map(mcp::Method::as_str));
        assert_eq!(value("mcp-name"), name);
    }
    assert!(mirror(&message(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)).is_empty());
}

const GOOD: &str =
    r#"{"name":"good", "inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}} , "x":1.10}"#;
const BAD: &str =
    r#"{"name":"b\u0061d","inputSchema":{"properties":{"a":{"type":"number","x-mcp-\u0068eader":"A"}}}}"#;

fn list(tools: &str) -> Message {
    message(&format!(
        r#"{{"jsonrpc":"2.0","id":"x","result":{{"nextCursor":"2","tools":{tools},"_meta":{{}}}}}}"#
    ))
}

#[test]
fn a_tool_whose_annotations_are_invalid_is_taken_out_of_a_list() {
    let (left, unlisted) = listed(&list(&format!("[{BAD}, {GOOD},\n7,{BAD}]")));

    assert_eq!(left.bytes(), list(&format!("[{GOOD},7]")).bytes());
    let bad = Unlisted {
        name: "bad".into(),
        why: InvalidAnnotation::Type,
    };
    assert_eq!(unlisted, [bad.clone(), bad]);
    assert_eq!(listed(&list(&format!("[{BAD}]"))).0.bytes(), list("[]").bytes());
}

#[test]
fn a_list_without_such_tools_and_what_is_none_stay_as_they_are() {
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x-mcp-header"}}"#;
    for kept in [
        list(&format!("[ {GOOD} ]")),
        list("[]"),
        list(r#""x-mcp-header""#),
        list(r#"[{"inputSchema":"x-mcp-header"},"x-mcp-header",null]"#),
        message(error),
    ] {
        let (left, unlisted) = listed(&kept);
        assert_eq!(left.bytes(), kept.bytes());
        assert!(unlisted.is_empty());
    }
}
