//! What a message is, and what is found in it.

use super::message;
use mcp::{Id, Kind, Method};

/// A call with these parameters, whose id is 7.
pub(super) fn call(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#)
}

#[test]
fn a_request_is_read() {
    let text = call(r#"{"_meta":{"progressToken":"t"},"name":"get_weather","arguments":{"city":"Bern"}}"#);
    let request = message(&text);

    assert_eq!(request.kind(), Kind::Request);
    assert_eq!(request.id(), Some(&Id::number(7)));
    assert_eq!(request.method(), Some(&Method::ToolsCall));
    assert_eq!(request.subject().as_deref(), Some("get_weather"));
    assert_eq!(request.meta(), Some(&br#"{"progressToken":"t"}"#[..]));
    assert_eq!(request.progress_token(), Some(&br#""t""#[..]));
    assert_eq!(
        request.params_member("arguments"),
        Some(&br#"{"city":"Bern"}"#[..])
    );
    assert_eq!(request.result(), None);
    assert_eq!(request.error(), None);
    assert_eq!(request.bytes(), text.as_bytes());
}

#[test]
fn a_notification_has_no_id() {
    let notification = message(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);

    assert_eq!(notification.kind(), Kind::Notification);
    assert_eq!(notification.id(), None);
    assert_eq!(notification.params(), None);
}

#[test]
fn a_result_may_be_null() {
    let result = message(r#"{"jsonrpc":"2.0","id":"a","result":null}"#);

    assert_eq!(result.kind(), Kind::Result);
    assert_eq!(result.result(), Some(&b"null"[..]));
}

#[test]
fn an_error_may_have_a_null_id_or_none() {
    for text in [
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#,
        r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}"#,
    ] {
        let error = message(text);

        assert_eq!(error.kind(), Kind::Error);
        assert_eq!(error.id(), None);
        assert_eq!(error.error_code(), Some(-32700));
    }
}

#[test]
fn the_order_of_members_does_not_matter() {
    let text = r#"{"params":{"name":"a","uri":"b"},"method":"resources/read","id":1,"jsonrpc":"2.0"}"#;

    assert_eq!(message(text).subject().as_deref(), Some("b"));
}

#[test]
fn unknown_members_and_odd_numbers_are_kept() {
    let text = "\t{\"jsonrpc\":\"2.0\",\"x\":1e400,\r\n\"id\":1,\"method\":\"ping\",\"y\":[1.10,-0,{\"y\":1,\"y\":2}]} ";

    assert_eq!(message(text).bytes(), text.as_bytes());
}

#[test]
fn escapes_in_names_and_values_are_read_as_what_they_mean() {
    let text = r#"{"json\u0072pc":"2.\u0030","id":1,"method":"to\u006fls/call","par\u0061ms":{"n\u0061me":"\u0061b"}}"#;
    let request = message(text);

    assert_eq!(request.method(), Some(&Method::ToolsCall));
    assert_eq!(request.subject().as_deref(), Some("ab"));
}

#[test]
fn the_subject_is_what_the_method_names() {
    for (method, subject) in [
        ("tools/call", Some("n")),
        ("prompts/get", Some("n")),
        ("resources/read", Some("u")),
        ("resources/subscribe", Some("u")),
        ("resources/unsubscribe", Some("u")),
        ("tasks/get", Some("t")),
        ("tasks/update", Some("t")),
        ("tasks/cancel", Some("t")),
        ("tasks/result", Some("t")),
        ("tools/list", None),
        ("extension/any", None),
    ] {
        let params = r#"{"name":"n","uri":"u","taskId":"t"}"#;
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);

        assert_eq!(message(&text).subject().as_deref(), subject, "{method}");
    }
}

#[test]
fn a_subject_that_is_no_string_is_none() {
    assert_eq!(message(&call(r#"{"name":5}"#)).subject(), None);
    assert_eq!(message(&call("{}")).subject(), None);
}

#[test]
fn reserved_meta_is_found() {
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","vendor":[1],"vendor":[2]}"#;
    let request = message(&call(&format!(r#"{{"_meta":{meta},"name":"n"}}"#)));

    assert_eq!(request.protocol_version().as_deref(), Some("2026-07-28"));
    assert_eq!(request.meta_member("vendor"), Some(&b"[2]"[..]));
    assert_eq!(request.meta_member("other"), None);
}

#[test]
fn a_version_that_is_no_string_is_none() {
    let text = call(r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":5}}"#);

    assert_eq!(message(&text).protocol_version(), None);
}

#[test]
fn progress_and_cancellation_name_what_they_are_about() {
    let progress = message(
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":5,"progress":1}}"#,
    );
    let cancelled =
        message(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"5"}}"#);

    assert_eq!(progress.progress_token(), Some(&b"5"[..]));
    assert_eq!(cancelled.cancelled_request(), Some(Id::text("5")));
    assert_eq!(cancelled.progress_token(), None);
}

#[test]
fn a_subscription_is_named_by_notifications_and_results() {
    let meta = r#""_meta":{"io.modelcontextprotocol/subscriptionId":1}"#;
    let notification = format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{{meta}}}}}"#);
    let result = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{{meta}}}}}"#);

    assert_eq!(message(&notification).subscription(), Some(Id::number(1)));
    assert_eq!(message(&result).subscription(), Some(Id::number(1)));
    assert_eq!(message(&result).meta(), None);
    assert_eq!(message(&call(&format!("{{{meta}}}"))).subscription(), None);
}

#[test]
fn a_result_that_claims_a_version_says_nothing_about_a_request() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

    assert_eq!(message(text).protocol_version(), None);
}

#[test]
fn a_failed_tool_is_recognized() {
    let result = |result: &str| message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#));

    assert!(result(r#"{"content":[],"isError":true}"#).is_tool_error());
    assert!(!result(r#"{"content":[],"isError":false}"#).is_tool_error());
    assert!(!result(r#"{"content":[],"structuredContent":{"isError":true}}"#).is_tool_error());
    assert!(!result(r#"{"content":[]}"#).is_tool_error());
}

#[test]
fn debug_output_carries_no_arguments() {
    let shown = format!(
        "{:?}",
        message(&call(r#"{"name":"a","arguments":{"password":"hunter2"}}"#))
    );

    assert!(!shown.contains("hunter2"), "{shown}");
}
