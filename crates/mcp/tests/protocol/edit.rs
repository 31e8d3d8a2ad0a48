//! Edits to a message, and messages of our own.

use super::message;
use bytes::Bytes;
use mcp::{Id, Kind, Limits, Message, Method};

/// What an edited message says of itself is what reading its bytes says.
fn check(edited: &Message, text: &str) {
    assert_eq!(std::str::from_utf8(edited.bytes()), Ok(text));
    let read = message(text);
    assert_eq!(edited.kind(), read.kind());
    assert_eq!(edited.id().map(Id::raw), read.id().map(Id::raw));
    assert_eq!(edited.method(), read.method());
    assert_eq!(edited.params(), read.params());
    assert_eq!(edited.result(), read.result());
    assert_eq!(edited.error(), read.error());
    assert_eq!(edited.error_code(), read.error_code());
    assert_eq!(edited.subject(), read.subject());
    assert_eq!(edited.meta(), read.meta());
    assert_eq!(edited.protocol_version(), read.protocol_version());
    assert_eq!(edited.progress_token(), read.progress_token());
    assert_eq!(edited.cancelled_request(), read.cancelled_request());
    assert_eq!(edited.subscription(), read.subscription());
}

const META: &str = r#"{ "io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":"t" }"#;

#[test]
fn another_id_changes_nothing_else() {
    for id in [
        Id::number(0),
        Id::number(u64::MAX),
        Id::text("a \"quoted\" id that is rather long for an id"),
    ] {
        for old in ["1", "\"a\"", "1.0e2"] {
            let request = |id: &str| {
                format!(
                    r#"{{"params":{{"name":"n","_meta":{META}}}, "id" : {id} ,"jsonrpc":"2.0","method":"tools/call"}}"#
                )
            };
            let result = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"isError":true}}}}"#);
            let error = |id: &str| format!(r#"{{"error":{{"code":-1}},"id":{id},"jsonrpc":"2.0"}}"#);

            check(&message(&request(old)).with_id(&id), &request(id.raw()));
            check(&message(&result(old)).with_id(&id), &result(id.raw()));
            check(&message(&error(old)).with_id(&id), &error(id.raw()));
        }
    }
}

#[test]
fn an_error_without_id_gets_one() {
    let id = Id::number(5);
    let null = message(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1}}"#).with_id(&id);
    let absent = message(r#" {"jsonrpc":"2.0","error":{"code":-1}}"#).with_id(&id);

    check(&null, r#"{"jsonrpc":"2.0","id":5,"error":{"code":-1}}"#);
    check(&absent, r#" {"id":5,"jsonrpc":"2.0","error":{"code":-1}}"#);
    check(
        &absent.with_id(&Id::text("b")),
        r#" {"id":"b","jsonrpc":"2.0","error":{"code":-1}}"#,
    );
}

#[test]
fn a_notification_gets_no_id() {
    let text = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

    check(&message(text).with_id(&Id::number(5)), text);
}

#[test]
fn tokens_and_subscriptions_are_replaced_where_they_stand() {
    let request = |token: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"_meta":{{"progressToken":{token}}},"name":"n"}}}}"#
        )
    };
    let progress = |token: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
        )
    };
    let cancelled = |id: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"r"}}}}"#
        )
    };
    let result = |id: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","result":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}},"id":1}}"#
        )
    };

    check(
        &message(&request("\"abc\"")).with_progress_token(b"7"),
        &request("7"),
    );
    check(
        &message(&progress("7")).with_progress_token(b"\"abc\""),
        &progress("\"abc\""),
    );
    check(
        &message(&cancelled("7")).with_cancelled_request(&Id::text("abc")),
        &cancelled("\"abc\""),
    );
    check(
        &message(&result("7")).with_subscription(&Id::text("abc")),
        &result("\"abc\""),
    );
}

#[test]
fn what_is_not_there_is_not_added() {
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n"}}"#;
    let request = message(text);

    check(&request.with_progress_token(b"1"), text);
    check(&request.with_cancelled_request(&Id::number(1)), text);
    check(&request.with_subscription(&Id::number(1)), text);
}

#[test]
fn edits_follow_one_another() {
    let request = |id: &str, token: &str| {
        format!(
            r#"{{"id":{id},"params":{{"_meta":{{"progressToken":{token}}},"uri":"u"}},"method":"resources/read","jsonrpc":"2.0"}}"#
        )
    };
    let edited = message(&request("1", "2"))
        .with_id(&Id::text("long"))
        .with_progress_token(b"123456")
        .with_id(&Id::number(3));

    check(&edited, &request("3", "123456"));
}

#[test]
fn one_line_is_the_same_json() {
    let many = message("{\r\n\"jsonrpc\":\"2.0\",\n\"id\":1,\r\"method\":\"a\\nb\"}\n");
    let one = message(r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#);

    assert_eq!(
        many.one_line(),
        "{  \"jsonrpc\":\"2.0\", \"id\":1, \"method\":\"a\\nb\"} "
    );
    assert_eq!(one.one_line().as_ptr(), one.bytes().as_ptr());
}

#[test]
fn our_own_messages_are_read_as_what_they_were_made() {
    let id = Id::text("a\"b");
    let params = format!(r#"{{"_meta":{META},"name":"n"}}"#);
    let messages = [
        Message::request(&id, "tools/call", Some(&params)),
        Message::request(&id, "odd \"method\"", None),
        Message::notification("notifications/cancelled", Some(r#"{"requestId":1}"#)),
        Message::result_reply(&id, r#"{"content":[],"isError":true}"#),
        Message::error_reply(Some(&id), -32602, "line\nbreak", Some("[1]")),
        Message::error_reply(None, -32700, "no", None),
    ];
    for made in messages {
        let text = String::from_utf8(made.bytes().to_vec()).expect("JSON is UTF-8");
        check(&made, &text);
        assert_eq!(made.is_tool_error(), message(&text).is_tool_error());
    }
}

#[test]
fn an_error_without_id_leaves_the_member_out() {
    let error = Message::error_reply(None, -32600, "no", None);

    assert_eq!(
        error.bytes(),
        r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"no"}}"#
    );
    assert_eq!(error.kind(), Kind::Error);
}

#[test]
fn our_own_messages_carry_what_we_would_refuse_from_others() {
    let depth = "[".repeat(300) + &"]".repeat(300);
    let reply = Message::result_reply(
        &Id::number(1),
        &format!(r#"{{"_meta":{{}},"_meta":{{}},"x":{depth}}}"#),
    );

    assert_eq!(reply.id(), Some(&Id::number(1)));
    assert!(reply.result_has_shape_of(&Method::Ping));
    assert!(Message::parse(Bytes::clone(reply.bytes()), &Limits::default()).is_err());
}
