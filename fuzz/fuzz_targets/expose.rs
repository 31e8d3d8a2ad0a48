//! Any message and any names at an endpoint of many servers: what is put in and taken out again is what it was, and
//! each name and each URI leads back to what it stands for.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mcp::expose::place::{self, Place};
use mcp::expose::{Alias, Named, Names, Style, aliases, uri};
use mcp::{Kind, Limits, Message, Method};
use std::collections::HashSet;

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (number, style, bytes) = input;
    let asked = [
        "tools/call",
        "tools/list",
        "prompts/get",
        "prompts/list",
        "resources/read",
        "resources/list",
        "resources/templates/list",
        "completion/complete",
        "subscriptions/listen",
        "tasks/get",
        "tasks/update",
        "sampling/createMessage",
    ];
    let asked = Method::parse(asked[usize::from(number) % asked.len()]);
    if let Ok(message) = Message::parse(Bytes::copy_from_slice(bytes), &Limits::default()) {
        whole(&asked, &message);
    }
    for part in [place::params, place::result, place::item] {
        let exposed = part(&asked, bytes, &mut expose);
        let is_json = |text: &[u8]| serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok();
        assert_eq!(is_json(&exposed), is_json(bytes));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        names(style, text);
        uris(text);
    }
});

fn alias() -> Alias {
    Alias::parse("a-1").expect("an alias")
}

fn expose(place: Place, text: &str) -> Option<String> {
    Some(match place {
        Place::Tool | Place::Prompt => format!("a-1__{text}"),
        Place::Uri | Place::Template => uri::expose(&alias(), text).into_owned(),
    })
}

/// An edited message is the message that its own text is.
fn whole(asked: &Method, message: &Message) {
    let exposed = match message.kind() {
        Kind::Request | Kind::Notification => place::request(message, &mut expose),
        Kind::Result | Kind::Error => place::answer(asked, message, &mut expose),
    };
    let limits = Limits {
        depth: u8::MAX,
        ..Limits::default()
    };
    let read = Message::parse(exposed.bytes().clone(), &limits).expect("still a message");
    assert_eq!(exposed.kind(), read.kind());
    assert_eq!(exposed.id(), read.id());
    assert_eq!(exposed.subject(), read.subject());
    assert_eq!(exposed.params(), read.params());
    assert_eq!(exposed.result(), read.result());
    assert_eq!(exposed.error(), read.error());
    assert_eq!(exposed.meta(), read.meta());
    assert_eq!(exposed.progress_token(), read.progress_token());
}

/// The lines of a text as names of servers and of what they have.
fn names(style: u8, text: &str) {
    let style = [Style::LlmSafe, Style::Spec, Style::Bare][usize::from(style) % 3];
    let servers: Vec<(&str, Vec<&str>)> = text
        .split("\n\n")
        .take(8)
        .map(|server| {
            (
                server.lines().next().unwrap_or_default(),
                server.lines().skip(1).collect(),
            )
        })
        .collect();
    let mut seen = HashSet::new();
    let distinct = servers.iter().filter(|(name, _)| seen.insert(*name));
    let distinct: Vec<_> = distinct.collect();
    let aliases = aliases(distinct.iter().map(|(name, _)| (*name, None)));
    assert_eq!(aliases.iter().collect::<HashSet<_>>().len(), distinct.len());

    let table = Names::new(
        style,
        aliases
            .into_iter()
            .zip(distinct.iter().map(|(_, names)| names.iter().copied())),
    );
    for (server, (_, names)) in distinct.iter().enumerate() {
        for place in 0..names.len() {
            let named = Named { server, place };
            if let Some(exposed) = table.exposed(named) {
                assert_eq!(table.resolve(&exposed, |_| true), Ok(named));
                assert!(style != Style::LlmSafe || exposed.len() <= 64);
            }
        }
    }
    _ = table.resolve(text, |_| true);
}

fn uris(text: &str) {
    let known = |alias: &str| (alias == "a-1").then_some(());
    let exposed = uri::expose(&alias(), text);
    match uri::is_shared(text) {
        true => assert_eq!(exposed, text),
        false => assert_eq!(uri::reveal(&exposed, known), Some(((), text.into()))),
    }
    _ = uri::reveal(text, known);
}
