//! Any message between any two revisions: a message stays one, its places stand where they say, and what is asked of
//! the text of a question, an answer or a capability is JSON if it was.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mcp::input::{InputRequired, Retry, result_type, url_requests};
use mcp::translate::Said;
use mcp::{Between, Id, Kind, Limits, Message, Method, Revision, code};
use serde_json::value::RawValue;

fuzz_target!(|input: (u8, u8, u8, &[u8])| {
    let (client, server, asked, bytes) = input;
    let revision = |number: u8| Revision::ALL[usize::from(number) % Revision::ALL.len()];
    let between = Between {
        client: revision(client),
        server: revision(server),
    };
    let asked = [
        Method::ToolsCall,
        Method::ToolsList,
        Method::PromptsGet,
        Method::ResourcesRead,
        Method::CompletionComplete,
        Method::ElicitationCreate,
        Method::SamplingCreateMessage,
        Method::RootsList,
    ]
    .into_iter()
    .cycle()
    .nth(usize::from(asked))
    .expect("it goes round");

    if let Ok(message) = Message::parse(Bytes::copy_from_slice(bytes), &Limits::default()) {
        whole(between, &asked, &message, bytes);
    }
    parts(between, &asked, bytes);
});

fn whole(between: Between, asked: &Method, message: &Message, bytes: &[u8]) {
    let said = Said {
        capabilities: bytes,
        client_info: Some(br#"{"name":"n","version":"1"}"#),
        log_level: Some("info"),
    };
    let translated = match message.kind() {
        Kind::Request => {
            check(&Retry::compose(
                message,
                &Id::number(1),
                [("k", bytes)],
                Some(bytes),
            ));
            _ = Retry::read(message);
            between.request(message, &said)
        }
        Kind::Notification => {
            check(&between.request(message, &said));
            let Some(notice) = between.notice(message) else {
                return;
            };
            notice
        }
        Kind::Result | Kind::Error => {
            _ = (
                result_type(message),
                InputRequired::read(message),
                url_requests(message),
            );
            between.answer(asked, message)
        }
    };
    if between.is_same() {
        assert_eq!(translated.bytes(), message.bytes());
    }
    assert_eq!(translated.id(), message.id());
    check(&translated);
}

/// An edited message is the message that its own text is.
fn check(edited: &Message) {
    let limits = Limits {
        depth: u8::MAX,
        ..Limits::default()
    };
    match Message::parse(edited.bytes().clone(), &limits) {
        Err(error) => assert_ne!(error.code(), code::PARSE_ERROR, "{error}"),
        Ok(read) => {
            assert_eq!(edited.kind(), read.kind());
            assert_eq!(edited.params(), read.params());
            assert_eq!(edited.result(), read.result());
            assert_eq!(edited.error(), read.error());
            assert_eq!(edited.error_code(), read.error_code());
            assert_eq!(edited.meta(), read.meta());
            assert_eq!(edited.subject(), read.subject());
            assert_eq!(edited.progress_token(), read.progress_token());
            assert_eq!(edited.subscription(), read.subscription());
            assert_eq!(edited.protocol_version(), read.protocol_version());
            assert_eq!(result_type(edited), result_type(&read));
        }
    }
}

fn parts(between: Between, asked: &Method, bytes: &[u8]) {
    let is_json = |text: &[u8]| serde_json::from_slice::<&RawValue>(text).is_ok();
    let was_json = is_json(bytes);
    if let Ok(Some(params)) = between.question(asked, Some(bytes), "n") {
        assert_eq!(is_json(&params), was_json);
    }
    if let Ok(result) = between.reply(asked, bytes) {
        assert_eq!(is_json(&result), was_json);
    }
    for text in [
        between.client_capabilities(bytes),
        between.server_capabilities(bytes),
    ] {
        assert!(between.is_same() || is_json(&text));
    }
}
