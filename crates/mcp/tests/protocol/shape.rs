//! Results and the methods they answer.

use super::message;
use mcp::Method;

fn fits(method: &str, result: &str) -> bool {
    message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#))
        .result_has_shape_of(&Method::parse(method))
}

#[test]
fn a_result_needs_the_members_its_method_promises() {
    for (method, good, bad) in [
        ("tools/call", r#"{"content":[]}"#, r#"{"content":{}}"#),
        (
            "tools/call",
            r#"{"x":1,"c\u006fntent":[]}"#,
            r#"{"structuredContent":{}}"#,
        ),
        ("tools/list", r#"{"tools":[]}"#, r#"{"tools":null}"#),
        ("resources/list", r#"{"resources":[]}"#, "{}"),
        (
            "resources/templates/list",
            r#"{"resourceTemplates":[]}"#,
            r#"{"resources":[]}"#,
        ),
        ("resources/read", r#"{"contents":[]}"#, r#"{"content":[]}"#),
        ("prompts/list", r#"{"prompts":[]}"#, "{}"),
        ("prompts/get", r#"{"messages":[]}"#, "{}"),
        (
            "completion/complete",
            r#"{"completion":{}}"#,
            r#"{"completion":[]}"#,
        ),
        (
            "initialize",
            r#"{"protocolVersion":"x","capabilities":{},"serverInfo":{}}"#,
            r#"{"protocolVersion":1,"capabilities":{},"serverInfo":{}}"#,
        ),
        (
            "server/discover",
            r#"{"supportedVersions":[],"capabilities":{}}"#,
            r#"{"supportedVersions":["2026-07-28"]}"#,
        ),
        ("tasks/list", r#"{"tasks":[]}"#, "{}"),
        ("roots/list", r#"{"roots":[]}"#, "{}"),
        (
            "sampling/createMessage",
            r#"{"role":"user","model":"m","content":{}}"#,
            r#"{"role":"user"}"#,
        ),
        ("elicitation/create", r#"{"action":"accept"}"#, "{}"),
        ("ping", "{}", "[]"),
        ("resources/subscribe", r#"{"resultType":"complete"}"#, "null"),
        ("extension/any", r#"{"a":1}"#, "\"a\""),
    ] {
        assert!(fits(method, good), "{method} {good}");
        assert!(!fits(method, bad), "{method} {bad}");
    }
}

#[test]
fn three_methods_may_answer_with_questions() {
    let questions = r#"{"resultType":"input_required","requestState":"s"}"#;
    for method in ["tools/call", "prompts/get", "resources/read"] {
        assert!(fits(method, questions));
    }
    assert!(!fits("tools/list", questions));
    assert!(!fits("tools/call", r#"{"resultType":"complete"}"#));
}

#[test]
fn a_tool_call_may_answer_with_a_task() {
    assert!(fits("tools/call", r#"{"resultType":"task","taskId":"t"}"#));
    assert!(fits("tools/call", r#"{"task":{"taskId":"t"}}"#));
    assert!(!fits("prompts/get", r#"{"task":{"taskId":"t"}}"#));
}

#[test]
fn a_duplicate_does_not_stand_for_two_members() {
    assert!(!fits(
        "server/discover",
        r#"{"supportedVersions":[],"supportedVersions":[]}"#
    ));
}

#[test]
fn what_is_no_result_has_no_shape() {
    assert!(!message(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#).result_has_shape_of(&Method::Ping));
    assert!(!message(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).result_has_shape_of(&Method::Ping));
}
