//! Any bytes: reading does not panic, agrees with `serde_json` on what is JSON, and editing breaks nothing.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mcp::header::{Mirrored, Values};
use mcp::{Body, Id, Limits, Message, Method, code, era};
use serde_json::value::RawValue;

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    let limits = Limits::default();
    let is_json = serde_json::from_slice::<&RawValue>(&bytes).is_ok();

    match Body::parse(bytes.clone(), &limits) {
        Err(error) if error.code() == code::PARSE_ERROR => assert!(!is_json, "{error}"),
        // What is nested too deep is passed over without a closer look.
        Err(error) => assert!(is_json || error.to_string().contains("deeper"), "{error}"),
        Ok(Body::One(message)) => {
            assert!(is_json);
            assert_eq!(message.bytes(), &bytes);
            check(&message, &limits);
        }
        Ok(Body::Batch(messages)) => {
            for message in messages.iter().flatten() {
                check(message, &limits);
            }
        }
    }
});

fn check(message: &Message, limits: &Limits) {
    let id = Id::text("another");
    let edited = message
        .with_id(&id)
        .with_progress_token(b"[1]")
        .with_cancelled_request(&id)
        .with_subscription(&id);
    let read = Message::parse(edited.bytes().clone(), limits).expect("an edited message is a message");
    assert_eq!(edited.id(), read.id());
    assert_eq!(edited.params(), read.params());
    assert_eq!(edited.result(), read.result());
    assert_eq!(edited.error(), read.error());
    assert_eq!(edited.subject(), message.subject());
    assert_eq!(edited.subject(), read.subject());
    assert_eq!(edited.meta(), read.meta());
    assert_eq!(edited.protocol_version(), message.protocol_version());
    assert_eq!(edited.progress_token(), read.progress_token());
    assert_eq!(edited.cancelled_request(), read.cancelled_request());
    assert_eq!(edited.subscription(), read.subscription());

    let line = message.one_line();
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
    Message::parse(line, limits).expect("the same JSON on one line");

    _ = message.result_has_shape_of(&Method::Initialize);
    let version = message.protocol_version();
    let headers = Mirrored {
        version: version
            .as_ref()
            .map_or(Values::Absent, |version| Values::One(version.as_bytes())),
        method: message
            .method()
            .map_or(Values::Absent, |method| Values::One(method.as_str().as_bytes())),
        name: Values::Absent,
    };
    if let Err(refusal) = era::decide(&headers, None, message) {
        refusal.to_reply(message.id());
    }
}
