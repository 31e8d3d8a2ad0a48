//! The official example messages: each survives the envelope byte for byte.

use bytes::Bytes;
use mcp::{Kind, Limits, Message, Object};
use std::path::{Path, PathBuf};

fn examples() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/schema/2026-07-28/examples");
    let folders = std::fs::read_dir(&root).expect("the fixtures are checked in");
    let mut files: Vec<PathBuf> = folders
        .flat_map(|folder| std::fs::read_dir(folder.expect("readable").path()).expect("a folder per type"))
        .map(|file| file.expect("readable").path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).expect("readable")))
        .collect()
}

fn is_whole(text: &[u8]) -> bool {
    Object::parse(text).is_ok_and(|object| object.get("jsonrpc").is_some())
}

#[test]
fn every_whole_message_survives_unchanged() {
    let mut seen = 0;
    for (path, text) in examples().into_iter().filter(|(_, text)| is_whole(text)) {
        let message = Message::parse(Bytes::from(text.clone()), &Limits::default());
        let message = message.unwrap_or_else(|error| panic!("{}: {error}", path.display()));

        assert_eq!(message.bytes(), &text, "{}", path.display());
        let object = Object::parse(&text).expect("it has just been read");
        assert_eq!(message.params(), object.get("params"), "{}", path.display());
        assert_eq!(message.result(), object.get("result"), "{}", path.display());
        assert_eq!(message.error(), object.get("error"), "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 32);
}

#[test]
fn every_fragment_survives_as_parameters_and_as_a_result() {
    let mut seen = 0;
    for (path, fragment) in examples().into_iter().filter(|(_, text)| !is_whole(text)) {
        for (before, kind) in [
            (
                &br#"{"jsonrpc":"2.0","id":1,"method":"extension/any","params":"#[..],
                Kind::Request,
            ),
            (&br#"{"jsonrpc":"2.0","id":1,"result":"#[..], Kind::Result),
        ] {
            let text = [before, &fragment, b"}"].concat();
            let message = Message::parse(Bytes::from(text.clone()), &Limits::default());
            let message = message.unwrap_or_else(|error| panic!("{}: {error}", path.display()));

            assert_eq!(message.kind(), kind);
            assert_eq!(message.bytes(), &text);
            let embedded = message.params().or(message.result()).expect("one of them");
            assert_eq!(embedded, fragment.trim_ascii(), "{}", path.display());
        }
        seen += 1;
    }
    assert_eq!(seen, 97);
}

#[test]
fn every_response_has_the_shape_of_its_method() {
    let methods = [
        ("CallToolResultResponse", "tools/call"),
        ("CompleteResultResponse", "completion/complete"),
        ("DiscoverResultResponse", "server/discover"),
        ("GetPromptResultResponse", "prompts/get"),
        ("ListPromptsResultResponse", "prompts/list"),
        ("ListResourceTemplatesResultResponse", "resources/templates/list"),
        ("ListResourcesResultResponse", "resources/list"),
        ("ListToolsResultResponse", "tools/list"),
        ("ReadResourceResultResponse", "resources/read"),
        ("SubscriptionsListenResultResponse", "subscriptions/listen"),
    ];
    let mut seen = 0;
    for (path, text) in examples() {
        let folder = path
            .parent()
            .and_then(Path::file_name)
            .expect("a folder per type");
        let Some((_, method)) = methods.iter().find(|(name, _)| folder == *name) else {
            continue;
        };
        let message = Message::parse(Bytes::from(text), &Limits::default()).expect("an official example");

        assert!(
            message.result_has_shape_of(&mcp::Method::parse(method)),
            "{}",
            path.display()
        );
        seen += 1;
    }
    assert!(seen >= methods.len());
}
