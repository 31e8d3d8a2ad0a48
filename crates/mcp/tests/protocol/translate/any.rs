//! What holds for any message between any two revisions.

use super::SAID;
use bytes::Bytes;
use mcp::{Between, Kind, Limits, Message, Method, Revision, input};
use proptest::prelude::*;

/// Members that no table names, each of which must arrive: numbers that no library would keep, odd white space.
const STRANGE: &str =
    r#""zz":12345678901234567890123, "aa" : 1.10 ,"m\u0061":[1e400,{"b":1,"a":{"deep":[true]}}]"#;

fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn revision() -> impl Strategy<Value = Revision> {
    prop::sample::select(Revision::ALL.to_vec())
}

fn between() -> impl Strategy<Value = Between> {
    (revision(), revision()).prop_map(|(client, server)| Between { client, server })
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(
        [
            "tools/list",
            "tools/call",
            "prompts/list",
            "prompts/get",
            "resources/read",
            "completion/complete",
            "server/discover",
            "sampling/createMessage",
            "elicitation/create",
            "roots/list",
            "notifications/message",
            "notifications/resources/updated",
            "vendor/any",
        ]
        .map(Method::parse)
        .to_vec(),
    )
}

/// JSON made of the names that translation looks for, in places where they belong and where they do not.
fn tempting() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-1.10".to_owned()),
        Just("12345678901234567890123".to_owned()),
        prop::sample::select(vec![
            "text",
            "audio",
            "resource_link",
            "video",
            "object",
            "array",
            "tool_use",
            "url",
            "form",
            "complete",
            "input_required",
            "required",
            "\\ud800",
            "é",
        ])
        .prop_map(|text| format!("\"{text}\"")),
    ];
    let name = prop::sample::select(vec![
        "_meta",
        "content",
        "messages",
        "tools",
        "structuredContent",
        "resultType",
        "ttlMs",
        "cacheScope",
        "type",
        "name",
        "uri",
        "data",
        "inputSchema",
        "outputSchema",
        "properties",
        "execution",
        "taskSupport",
        "requestedSchema",
        "oneOf",
        "const",
        "title",
        "default",
        "mode",
        "elicitationId",
        "roots",
        "elicitation",
        "url",
        "extensions",
        "code",
        "message",
        "inputRequests",
        "requestState",
        "method",
        "params",
        "vendor",
        "io.modelcontextprotocol/serverInfo",
        "io.modelcontextprotocol/tasks",
    ]);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|values| format!("[{}]", values.join(" ,"))),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\": {value}"))
                    .collect();
                format!("{{{}}}", members.join(", "))
            }),
        ]
    })
}

/// An edited message is the message that its own text is.
fn is_read_as_it_is(edited: &Message) -> Result<(), TestCaseError> {
    let read = Message::parse(
        edited.bytes().clone(),
        &Limits {
            depth: 255,
            ..Limits::default()
        },
    );
    let read = match read {
        Ok(read) => read,
        // What was refused before an edit may be made of it again; that the text is JSON is not up to the peer.
        Err(error) => {
            prop_assert_ne!(
                error.code(),
                mcp::code::PARSE_ERROR,
                "{}: {:?}",
                error,
                edited.bytes()
            );
            return Ok(());
        }
    };
    prop_assert_eq!(edited.kind(), read.kind());
    prop_assert_eq!(edited.id(), read.id());
    prop_assert_eq!(edited.method(), read.method());
    prop_assert_eq!(edited.params(), read.params());
    prop_assert_eq!(edited.result(), read.result());
    prop_assert_eq!(edited.error(), read.error());
    prop_assert_eq!(edited.error_code(), read.error_code());
    prop_assert_eq!(edited.meta(), read.meta());
    prop_assert_eq!(edited.progress_token(), read.progress_token());
    prop_assert_eq!(edited.subscription(), read.subscription());
    prop_assert_eq!(edited.protocol_version(), read.protocol_version());
    prop_assert_eq!(edited.subject(), read.subject());
    prop_assert_eq!(input::result_type(edited), input::result_type(&read));
    Ok(())
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok()
}

proptest! {
    #[test]
    fn garbage_where_structure_is_needed_stays_a_message(between in between(), asked in method(), value in tempting()) {
        for text in [
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{value}}}"#),
            format!(r#"{{"error":{{"code":-32042,"data":{value}}},"jsonrpc":"2.0","id":"x"}}"#),
            format!(r#"{{"error":{{"message":{value},"code":-32602}},"jsonrpc":"2.0","id":"x"}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{asked}","params":{{"arguments":{value}}}}}"#),
            format!(r#"{{"jsonrpc":"2.0","method":"{asked}","params":{value}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{asked}","params":{value}}}"#),
        ] {
            let Ok(given) = Message::parse(text.into(), &Limits::default()) else { continue };
            let edited = match given.kind() {
                Kind::Request => between.request(&given, &SAID),
                Kind::Notification => {
                    is_read_as_it_is(&between.request(&given, &SAID))?;
                    let Some(edited) = between.notice(&given) else { continue };
                    edited
                }
                Kind::Result | Kind::Error => between.answer(&asked, &given),
            };
            is_read_as_it_is(&edited)?;
            prop_assert_eq!(edited.id(), given.id());
        }
        let text = value.as_bytes();
        if let Ok(Some(params)) = between.question(&asked, Some(text), "n") {
            prop_assert!(is_json(&params), "{:?}", params);
        }
        if let Ok(result) = between.reply(&asked, text) {
            prop_assert!(is_json(&result), "{:?}", result);
        }
        prop_assert!(is_json(&between.client_capabilities(text)));
        prop_assert!(is_json(&between.server_capabilities(text)));
    }

    #[test]
    fn no_bytes_make_translation_panic(between in between(), asked in method(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        _ = between.question(&asked, Some(&bytes), "n");
        _ = between.reply(&asked, &bytes);
        _ = between.client_capabilities(&bytes);
        _ = between.server_capabilities(&bytes);
    }

    #[test]
    fn what_no_table_names_arrives_as_it_was_sent(between in between(), asked in method(), value in tempting()) {
        let vendor = format!(r#"{STRANGE},"vendor.example/any":{value}"#);
        let result = message(&format!(
            r#"{{"x":{{{vendor}}},"jsonrpc":"2.0","id":1.0,"result":{{"resultType":"complete","_meta":{{{vendor}}},{vendor}}} }}"#
        ));
        let request = message(&format!(
            r#"{{"jsonrpc":"2.0","id":1.0,"method":"{asked}","params":{{"_meta":{{"progressToken":1.0,{vendor}}},"arguments":{{{vendor}}},{vendor}}}}}"#
        ));

        let answered = between.answer(&asked, &result);
        let requested = between.request(&request, &SAID);

        let times = |message: &Message| {
            std::str::from_utf8(message.bytes()).expect("text").matches(&vendor).count()
        };
        prop_assert_eq!(times(&answered), 3);
        prop_assert_eq!(times(&requested), 3);
        prop_assert_eq!(answered.id().map(|id| id.raw()), Some("1.0"));
        prop_assert_eq!(requested.progress_token(), Some(&b"1.0"[..]));
        is_read_as_it_is(&answered)?;
        is_read_as_it_is(&requested)?;
    }

    #[test]
    fn there_and_back_a_request_is_what_it_was(client in revision(), asked in method(), value in tempting()) {
        let (there, back) = (
            Between { client, server: Revision::V2026_07_28 },
            Between { client: Revision::V2026_07_28, server: client },
        );
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1.0,"method":"{asked}","params":{{{STRANGE},"arguments":{value},"_meta":{{{STRANGE}}}}}}}"#
        );
        let original = message(&text);

        let returned = back.request(&there.request(&original, &SAID), &SAID);

        // The comma that one edit put in, the other takes out.
        prop_assert_eq!(std::str::from_utf8(returned.bytes()).expect("text"), text.as_str());
    }
}
