//! Questions within a call, their answers, and the call made again.

use super::message;
use bytes::Bytes;
use mcp::input::{
    InputRequired, MOST, Malformed, ResultType, Retry, input_required, result_type, url_requests,
};
use mcp::{Between, Id, Limits, Message, Method, Revision};
use std::path::Path;

fn result(json: &str) -> Message {
    message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{json}}}"#))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn a_result_says_what_it_is() {
    for (json, expected) in [
        (r#"{"resultType":"complete"}"#, ResultType::Complete),
        (r#"{"content":[]}"#, ResultType::Complete),
        ("[]", ResultType::Complete),
        ("null", ResultType::Complete),
        (
            r#"{"a":{"resultType":"task"},"result\u0054ype":"input\u005frequired"}"#,
            ResultType::InputRequired,
        ),
        (r#"{"resultType":"task","task":{}}"#, ResultType::Task),
        (
            r#"{"resultType":"later"}"#,
            ResultType::Unknown("later".to_owned()),
        ),
        (
            r#"{"resultType":[1.10]}"#,
            ResultType::Unknown("[1.10]".to_owned()),
        ),
        (
            r#"{"resultType":"\ud800"}"#,
            ResultType::Unknown(r#""\ud800""#.to_owned()),
        ),
        (
            r#"{"resultType":"task","resultType":"complete"}"#,
            ResultType::Complete,
        ),
    ] {
        assert_eq!(result_type(&result(json)), expected, "{json}");
        let elsewhere = result(json).with_id(&Id::text("a much longer id than before"));
        assert_eq!(result_type(&elsewhere), expected, "{json}");
    }
    let error = message(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"","resultType":"task"}}"#);
    assert_eq!(result_type(&error), ResultType::Complete);
}

#[test]
fn what_is_put_in_behind_the_type_of_a_result_is_no_part_of_it() {
    let between = Between {
        client: Revision::V2026_07_28,
        server: Revision::V2025_11_25,
    };
    let list = result(r#"{"tools":[],"resultType":"complete"}"#);

    let list = between.answer(&Method::ToolsList, &list);

    assert!(text(list.bytes()).ends_with(r#""resultType":"complete","ttlMs":0,"cacheScope":"private"}}"#));
    assert_eq!(result_type(&list), ResultType::Complete);
}

#[test]
fn questions_are_read_in_their_order() {
    let asking = result(
        r#"{"resultType":"input_required","requestState":"s\u0041","inputRequests":{
            "z":{"method":"elicitation/create","params":{"message":"?","n":1.10}},
            "a\u0062":{"params":{"messages":[]},"method":"sampling/createMessage"},
            "r":{"method":"roots/list"}, "n":{"method":"roots/list","params":null}}}"#,
    );

    let read = InputRequired::read(&asking).expect("questions");

    assert_eq!(read.state, Some(&br#""s\u0041""#[..]));
    let keys: Vec<&str> = read.requests.iter().map(|request| request.key.as_ref()).collect();
    assert_eq!(keys, ["z", "ab", "r", "n"]);
    assert_eq!(read.requests[0].method, Method::ElicitationCreate);
    let params = |index: usize| read.requests[index].params.as_deref().map(text);
    assert_eq!(params(0), Some(r#"{"message":"?","n":1.10}"#));
    assert_eq!(params(1), Some(r#"{"messages":[]}"#));
    assert_eq!((params(2), params(3)), (None, None));
}

#[test]
fn a_state_alone_asks_for_another_round() {
    for json in [
        r#"{"requestState":"s"}"#,
        r#"{"requestState":"s","inputRequests":{}}"#,
    ] {
        let asking = result(json);
        let read = InputRequired::read(&asking).expect("a state");
        assert!(read.requests.is_empty() && read.state.is_some(), "{json}");
    }
}

#[test]
fn what_is_no_question_is_malformed() {
    let many = |count: usize| {
        let all: Vec<String> = (0..count)
            .map(|key| format!(r#""{key}":{{"method":"roots/list"}}"#))
            .collect();
        format!(r#"{{"inputRequests":{{{}}}}}"#, all.join(","))
    };
    for (json, expected) in [
        ("{}", Malformed::Empty),
        (r#"{"inputRequests":{}}"#, Malformed::Empty),
        (r#"{"inputRequests":null,"requestState":null}"#, Malformed::Empty),
        ("7", Malformed::Shape),
        (r#"{"inputRequests":[]}"#, Malformed::Shape),
        (r#"{"inputRequests":{"a":7}}"#, Malformed::Shape),
        (r#"{"inputRequests":{"a":{}}}"#, Malformed::Shape),
        (
            r#"{"inputRequests":{"a":{"method":"elicitation/create"}}}"#,
            Malformed::Shape,
        ),
        (
            r#"{"inputRequests":{"a":{"method":"roots/list","params":[]}}}"#,
            Malformed::Shape,
        ),
        (
            r#"{"inputRequests":{"a":{"method":"tools/call","params":{}}}}"#,
            Malformed::Method,
        ),
        (
            r#"{"inputRequests":{"a":{"method":"roots/list"},"\u0061":{"method":"roots/list"}}}"#,
            Malformed::Twice,
        ),
        (r#"{"requestState":7}"#, Malformed::State),
        (r#"{"requestState":"\ud800"}"#, Malformed::State),
        (&many(MOST + 1), Malformed::TooMany),
    ] {
        assert_eq!(InputRequired::read(&result(json)).err(), Some(expected), "{json}");
    }
    assert!(InputRequired::read(&result(&many(MOST))).is_ok());
}

#[test]
fn the_official_examples_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/schema/2026-07-28/examples");
    let mut seen = 0;
    for file in std::fs::read_dir(root.join("InputRequiredResult")).expect("examples") {
        let example = std::fs::read_to_string(file.expect("readable").path()).expect("text");
        let asking = result(&example);
        assert_eq!(result_type(&asking), ResultType::InputRequired);
        InputRequired::read(&asking).unwrap_or_else(|malformed| panic!("{malformed}: {example}"));
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn what_is_composed_is_read_as_the_same() {
    let requests = [
        (
            "a \"quoted\" key".to_owned(),
            Method::ElicitationCreate,
            Some(br#"{"n":1.10}"#.to_vec()),
        ),
        ("r".to_owned(), Method::RootsList, None),
    ];

    let composed = input_required(&Id::text("x"), &requests, Some("sealed \u{e9}"));

    assert_eq!(result_type(&composed), ResultType::InputRequired);
    let again = Message::parse(Bytes::clone(composed.bytes()), &Limits::default()).expect("a message");
    let read = InputRequired::read(&again).expect("questions");
    assert_eq!(read.state.map(text), Some("\"sealed \u{e9}\""));
    let found: Vec<_> = read
        .requests
        .into_iter()
        .map(|request| {
            (
                request.key.into_owned(),
                request.method,
                request.params.map(|params| params.into_owned()),
            )
        })
        .collect();
    assert_eq!(found, requests);

    let bare = input_required(&Id::number(7), &[], Some("s"));
    assert_eq!(
        text(bare.bytes()),
        r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","requestState":"s"}}"#
    );
}

fn call(params: &str) -> Message {
    message(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#
    ))
}

#[test]
fn a_call_made_again_carries_answers_and_the_state() {
    let again = call(
        r#"{"name":"t","inputResponses":{"b":{"action":"accept","n":1.10},"a":{"roots":[]}},"requestState":"s\u0041"}"#,
    );

    let retry = Retry::read(&again)
        .expect("well-formed")
        .expect("not a first call");

    assert_eq!(retry.state.as_deref(), Some("sA"));
    let responses: Vec<_> = retry
        .responses
        .iter()
        .map(|(key, json)| (key.as_ref(), text(json)))
        .collect();
    assert_eq!(
        responses,
        [("b", r#"{"action":"accept","n":1.10}"#), ("a", r#"{"roots":[]}"#)]
    );

    for first in [
        r#"{"name":"t"}"#,
        r#"{"name":"t","requestState":null,"inputResponses":null}"#,
    ] {
        assert_eq!(Retry::read(&call(first)), Ok(None), "{first}");
    }
    let only = call(r#"{"name":"t","inputResponses":{}}"#);
    assert_eq!(Retry::read(&only), Ok(Some(Retry::default())));
    let bare = message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
    assert_eq!(Retry::read(&bare), Ok(None));
}

#[test]
fn answers_of_another_form_are_malformed() {
    for (params, expected) in [
        (r#"{"requestState":{}}"#, Malformed::State),
        (r#"{"inputResponses":"x"}"#, Malformed::Shape),
        (r#"{"inputResponses":{"a":null}}"#, Malformed::Shape),
        (r#"{"inputResponses":{"a":{},"a":{}}}"#, Malformed::Twice),
    ] {
        assert_eq!(Retry::read(&call(params)), Err(expected), "{params}");
    }
}

#[test]
fn a_call_is_made_again_with_nothing_else_changed() {
    let first = call(
        r#"{ "name":"t" ,"arguments":{"n":1.10},"requestState":"old","_meta":{"x":12345678901234567890123}}"#,
    );

    let responses = [("k", &br#"{"action":"decline"}"#[..]), ("garbage", b"]")];
    let again = Retry::compose(&first, &Id::number(9), responses, Some(br#""new""#));

    assert_eq!(
        text(again.bytes()),
        r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{ "name":"t" ,"arguments":{"n":1.10},"_meta":{"x":12345678901234567890123},"inputResponses":{"k":{"action":"decline"}},"requestState":"new"}}"#
    );
    assert_eq!(again.id(), Some(&Id::number(9)));
    assert_eq!(again.subject().as_deref(), Some("t"));
    let retry = Retry::read(&again).expect("well-formed").expect("another round");
    assert_eq!(retry.state.as_deref(), Some("new"));

    let none = Retry::compose(&again, &Id::number(10), [], None);
    assert_eq!(Retry::read(&none), Ok(None));

    let bare = message(r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get"}"#);
    let bare = Retry::compose(&bare, &Id::number(2), [], Some(br#""s""#));
    assert_eq!(
        text(bare.bytes()),
        r#"{"params":{"requestState":"s"},"jsonrpc":"2.0","id":2,"method":"prompts/get"}"#
    );
}

#[test]
fn visits_of_2025_11_25_are_questions_of_2026_07_28_and_back() {
    let error = message(
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"","data":{"elicitations":[
            {"mode":"url","elicitationId":"e","url":"https://a.example/","message":"in","n":1.10},
            {"url":"https://b.example/","message":"too"}]}}}"#,
    );

    let requests = url_requests(&error).expect("visits");

    let params: Vec<_> = requests
        .iter()
        .map(|request| text(request.params.as_deref().expect("parameters")))
        .collect();
    assert_eq!(
        params,
        [
            r#"{"mode":"url","url":"https://a.example/","message":"in","n":1.10}"#,
            r#"{"url":"https://b.example/","message":"too","mode":"url"}"#
        ]
    );
    let keys: Vec<_> = requests.iter().map(|request| request.key.as_ref()).collect();
    assert_eq!(keys, ["u0", "u1"]);
}

#[test]
fn garbage_in_place_of_visits_is_malformed() {
    for (error, expected) in [
        (r#"{"code":-32041,"message":"","data":{}}"#, Malformed::Empty),
        (r#"{"code":-32042,"message":""}"#, Malformed::Shape),
        (
            r#"{"code":-32042,"message":"","data":{"elicitations":{}}}"#,
            Malformed::Shape,
        ),
        (
            r#"{"code":-32042,"message":"","data":{"elicitations":[]}}"#,
            Malformed::Empty,
        ),
        (
            r#"{"code":-32042,"message":"","data":{"elicitations":[{"url":"https://a.example/"}]}}"#,
            Malformed::Shape,
        ),
        (
            r#"{"code":-32042,"message":"","data":{"elicitations":[7,{}]}}"#,
            Malformed::Shape,
        ),
    ] {
        let message = message(&format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#));
        assert_eq!(url_requests(&message).err(), Some(expected), "{error}");
    }
}
