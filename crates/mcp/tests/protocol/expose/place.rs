//! Where names and URIs stand: pairs of files, and what holds for any message.
//!
//! `fixtures/expose/<up|down>/<what>.{in,out}.json`: `down` is what a server says, given names and URIs of the endpoint,
//! `up` what a client says, given those of the server. `<what>` is a message (`request`, or `answer.<method>`) or a part
//! of one (`params.<method>`, `result.<method>`, `item.<method>`), then a title; of a method `/` is written `-`. Bytes
//! are compared, white space included.

use super::alias;
use crate::message;
use bytes::Bytes;
use mcp::expose::place::{self, Place};
use mcp::expose::uri;
use mcp::header::mirror;
use mcp::{Id, Limits, Message, Method};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

type Edit = fn(Place, &str) -> Option<String>;

/// What stands in a place of the server, as the endpoint says it.
fn expose(place: Place, text: &str) -> Option<String> {
    Some(match place {
        Place::Tool | Place::Prompt => format!("docs__{text}"),
        Place::Uri | Place::Template => uri::expose(&alias("docs"), text).into_owned(),
    })
}

/// The way back.
fn reveal(place: Place, text: &str) -> Option<String> {
    match place {
        Place::Tool | Place::Prompt => text.strip_prefix("docs__").map(str::to_owned),
        Place::Uri | Place::Template => {
            uri::reveal(text, |alias| (alias == "docs").then_some(())).map(|((), uri)| uri.into_owned())
        }
    }
}

/// The pairs of one direction by name: what goes in, and what comes out.
fn pairs(direction: &str) -> BTreeMap<String, [String; 2]> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/expose")
        .join(direction);
    let mut pairs: BTreeMap<String, [String; 2]> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the fixtures are checked in") {
        let path = entry.expect("readable").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a plain name");
        let (name, side) = match (name.strip_suffix(".in.json"), name.strip_suffix(".out.json")) {
            (Some(name), _) => (name, 0),
            (_, Some(name)) => (name, 1),
            _ => panic!("{direction}/{name} is no side of a pair"),
        };
        pairs.entry(name.to_owned()).or_default()[side] = std::fs::read_to_string(&path).expect("text");
    }
    pairs
}

/// The text of what has this name, edited.
fn edited(name: &str, text: &str, mut edit: impl FnMut(Place, &str) -> Option<String>) -> String {
    let mut parts = name.split('.');
    let (what, about) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let method = Method::parse(&about.replace('-', "/"));
    let bytes = match what {
        "request" => place::request(&message(text), &mut edit).bytes().to_vec(),
        "answer" => place::answer(&method, &message(text), &mut edit).bytes().to_vec(),
        "params" => place::params(&method, text.as_bytes(), &mut edit).into_owned(),
        "result" => place::result(&method, text.as_bytes(), &mut edit).into_owned(),
        "item" => place::item(&method, text.as_bytes(), &mut edit).into_owned(),
        other => panic!("{name}: {other} has no places"),
    };
    String::from_utf8(bytes).expect("text")
}

#[test]
fn every_pair_of_files_is_what_is_done_to_a_message() {
    let mut problems = Vec::new();
    for (direction, edit, back) in [("down", expose as Edit, reveal as Edit), ("up", reveal, expose)] {
        for (name, [given, expected]) in pairs(direction) {
            let found = edited(&name, &given, edit);
            if found != expected {
                problems.push(format!("{direction}/{name}:\n  {found}\nnot\n  {expected}"));
            }
            if edited(&name, &expected, back) != given {
                problems.push(format!("{direction}/{name} does not come back"));
            }
            if edited(&name, &given, |_, _| None) != given {
                problems.push(format!("{direction}/{name} is not left alone"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn what_does_not_change_is_the_very_same_text() {
    let bytes = Bytes::from_static(
        br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"resource_link","uri":"https://x\u002fy"}]}}"#,
    );
    let result = Message::parse(bytes.clone(), &Limits::default()).expect("a message");
    for mut edit in [expose as Edit, reveal, |_, _| None] {
        let same = place::answer(&Method::ToolsCall, &result, &mut edit);

        assert_eq!(same.bytes().as_ptr(), bytes.as_ptr());
    }
    let item = place::item(&Method::ToolsList, br#"{"name":"x"}"#, &mut |_, _| None);
    assert!(matches!(item, std::borrow::Cow::Borrowed(_)));
}

#[test]
fn an_edited_request_is_about_what_was_put_in() {
    let call = message(
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"docs__show","_meta":{"progressToken":"t"}},"id":5}"#,
    );

    let edited = place::request(&call, &mut reveal)
        .with_id(&Id::number(70))
        .with_progress_token(b"12");

    assert_eq!(edited.subject().as_deref(), Some("show"));
    assert!(mirror(&edited).contains(&("mcp-name", "show".to_owned())));
    assert_eq!(
        edited.bytes(),
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"show","_meta":{"progressToken":12}},"id":70}"#
    );
}

#[test]
fn what_is_put_in_is_written_as_json() {
    let text = br#"{"name":"a \u00e9","x":"\u00e9"}"#;

    let edited = place::item(&Method::PromptsList, text, &mut |place, name| {
        assert_eq!((place, name), (Place::Prompt, "a é"));
        Some("\"\\\n".to_owned())
    });

    assert_eq!(edited.as_ref(), br#"{"name":"\"\\\n","x":"\u00e9"}"#);
}

#[test]
fn what_is_not_json_is_left_alone() {
    for text in [
        "",
        "{",
        r#"{"name":"x"} y"#,
        r#"{"name":"x",}"#,
        r#"["name"]"#,
        "null",
        "\u{feff}{}",
    ] {
        let same = place::item(&Method::ToolsList, text.as_bytes(), &mut expose);
        assert_eq!(same.as_ref(), text.as_bytes());
    }
    assert_eq!(
        place::item(&Method::ToolsList, b"{\"name\":\"\xff\"}", &mut expose).as_ref(),
        b"{\"name\":\"\xff\"}"
    );
    let deep = format!(r#"{{"name":"x","y":{}{}}}"#, "[".repeat(300), "]".repeat(300));
    assert_eq!(
        place::item(&Method::ToolsList, deep.as_bytes(), &mut expose).as_ref(),
        deep.as_bytes()
    );
}

/// As many links as a hostile server can send: each is looked at once, and nothing is looked at for each of them.
#[test]
fn a_result_of_very_many_places_is_edited_at_once() {
    const LINKS: usize = 300_000;
    let link = r#"{"uri":"note://x","type":"resource_link","name":"n"},"#;
    let links = link.repeat(LINKS);
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{}]}}}}"#,
        links.trim_end_matches(',')
    );
    let result = message(&text);
    let mut places = 0;

    let edited = place::answer(&Method::ToolsCall, &result, &mut |place, uri| {
        places += 1;
        expose(place, uri)
    });

    assert_eq!(places, LINKS);
    assert_eq!(edited.bytes().len(), text.len() + LINKS * "docs+".len());
}

/// JSON made of the names that places have, where they belong and where they do not.
fn tempting() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        2 => prop::sample::select(vec![
            "resource_link", "resource", "tool_result", "ref/prompt", "ref/resource", "user", "sampling/createMessage",
        ])
        .prop_map(|text| format!("\"{text}\"")),
        3 => "(ui://|https://|x:|docs[+]|docs__)?[a-z+]{0,3}".prop_map(|text| format!("\"{text}\"")),
        1 => Just("1.10".to_owned()),
        1 => Just("null".to_owned()),
    ];
    let names = vec![
        "type",
        "uri",
        "name",
        "resource",
        "content",
        "role",
        "method",
        "params",
        "messages",
        "_meta",
        "ui",
        "ui/resourceUri",
        "resourceUri",
        "data",
        "ref",
        "result",
        "inputRequests",
        "inputResponses",
        "tools",
        "contents",
        "resources",
        "uriTemplate",
        "notifications",
        "resourceSubscriptions",
    ];
    leaf.prop_recursive(7, 60, 5, move |inner| {
        let member = (prop::sample::select(names.clone()), inner.clone());
        prop_oneof![
            3 => prop::collection::btree_map(member.0, member.1, 0..5).prop_map(|members| {
                let members = members.iter().map(|(name, value)| format!("\"{name}\": {value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(" ,"))
            }),
            1 => prop::collection::vec(inner, 0..4).prop_map(|values| format!("[{} ]", values.join(", "))),
        ]
    })
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(
        [
            "tools/call",
            "tools/list",
            "prompts/get",
            "resources/read",
            "resources/list",
            "completion/complete",
            "subscriptions/listen",
            "tasks/get",
            "tasks/update",
            "sampling/createMessage",
        ]
        .map(Method::parse)
        .to_vec(),
    )
}

proptest! {
    #[test]
    fn what_is_edited_there_and_back_is_what_it_was(method in method(), text in tempting()) {
        for what in ["params", "result", "item"] {
            let name = format!("{what}.{}", method.as_str().replace('/', "-"));

            let exposed = edited(&name, &text, expose);

            prop_assert!(serde_json::from_str::<serde_json::Value>(&exposed).is_ok());
            prop_assert_eq!(edited(&name, &exposed, reveal), text.as_str());
            prop_assert_eq!(edited(&name, &text, |_, _| None), text.as_str());
        }
    }

    #[test]
    fn an_edited_message_is_read_as_it_says(method in method(), text in tempting()) {
        let requests = format!(r#"{{"jsonrpc":"2.0","params":{text},"method":"{method}","id":1}}"#);
        let results = format!(r#"{{"jsonrpc":"2.0","result":{text},"id":1}}"#);
        let errors = format!(r#"{{"jsonrpc":"2.0","error":{{"code":1,"message":"m","data":{text}}},"id":1}}"#);
        for text in [requests, results, errors] {
            let Ok(message) = Message::parse(Bytes::from(text), &Limits::default()) else { continue };

            let request = place::request(&message, &mut expose);
            let edited = place::answer(&method, &request, &mut expose);

            let read = Message::parse(edited.bytes().clone(), &Limits::default()).expect("still a message");
            prop_assert_eq!(edited.subject(), read.subject());
            prop_assert_eq!(edited.params(), read.params());
            prop_assert_eq!(edited.result(), read.result());
            prop_assert_eq!(edited.error(), read.error());
            prop_assert_eq!(edited.meta(), read.meta());
            prop_assert_eq!(mcp::input::result_type(&edited), mcp::input::result_type(&read));
        }
    }
}
