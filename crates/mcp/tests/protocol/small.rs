//! The tables: methods, revisions, capabilities.

use mcp::revision::supported_versions_json;
use mcp::{ClientCapabilities, Era, Method, Revision};
use std::collections::HashSet;

/// The methods of the JSON Schema of a revision.
fn methods(revision: Revision) -> HashSet<String> {
    let path = format!(
        "{}/../../tests/fixtures/schema/{revision}/schema.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let schema = std::fs::read(path).expect("the fixtures are checked in");
    let schema: serde_json::Value = serde_json::from_slice(&schema).expect("a schema is JSON");
    let definitions = schema
        .get("$defs")
        .or(schema.get("definitions"))
        .and_then(|defs| defs.as_object());
    let constant = |definition: &serde_json::Value| {
        Some(
            definition
                .pointer("/properties/method/const")?
                .as_str()?
                .to_owned(),
        )
    };
    definitions
        .expect("a schema defines types")
        .values()
        .filter_map(constant)
        .collect()
}

#[test]
fn every_method_of_every_revision_is_known() {
    for revision in Revision::ALL {
        for name in methods(revision) {
            let method = Method::parse(&name);
            assert!(!matches!(method, Method::Other(_)), "{name} of {revision}");
            assert_eq!(method.as_str(), name);
            assert_eq!(method.label(), name);
        }
    }
}

#[test]
fn unknown_methods_share_one_place() {
    let other = Method::parse("extension/any");

    assert_eq!(other.as_str(), "extension/any");
    assert_eq!(other.label(), "other");
    assert_eq!(other.index(), Method::COUNT - 1);
    assert_ne!(other, Method::parse("extension/else"));
    assert_eq!(Method::Initialize.index(), 0);
    assert_eq!(
        Method::NotificationsSubscriptionsAcknowledged.index(),
        Method::COUNT - 2
    );
}

#[test]
fn what_may_have_effects_is_not_safe_to_repeat() {
    for name in [
        "tools/call",
        "logging/setLevel",
        "tasks/cancel",
        "extension/any",
        "elicitation/create",
    ] {
        assert!(!Method::parse(name).is_safe_to_repeat(), "{name}");
    }
    for name in [
        "tools/list",
        "resources/read",
        "prompts/get",
        "server/discover",
        "ping",
        "completion/complete",
    ] {
        assert!(Method::parse(name).is_safe_to_repeat(), "{name}");
    }
}

#[test]
fn revisions_are_ordered_and_written_newest_first() {
    assert!(Revision::ALL.is_sorted_by(|newer, older| newer > older));
    for revision in Revision::ALL {
        assert_eq!(revision.as_str().parse(), Ok(revision));
    }
    assert!("2026-07-29".parse::<Revision>().is_err());
    let listed: Vec<String> = serde_json::from_str(supported_versions_json()).expect("it is JSON");
    assert_eq!(listed, Revision::ALL.map(Revision::as_str));
}

#[test]
fn one_revision_is_modern_and_one_has_batches() {
    let modern: Vec<_> = Revision::ALL
        .into_iter()
        .filter(|revision| revision.era() == Era::Modern)
        .collect();
    let batches: Vec<_> = Revision::ALL
        .into_iter()
        .filter(|revision| revision.has_batches())
        .collect();

    assert_eq!(modern, [Revision::V2026_07_28]);
    assert_eq!(batches, [Revision::V2025_03_26]);
}

#[test]
fn capabilities_are_read_off_what_was_declared() {
    let capabilities = |json: &'static str| ClientCapabilities::new(json.as_bytes());

    let all = capabilities(r#"{"sampling":{},"roots":{},"tasks":{},"elicitation":{"form":{},"url":{}}}"#);
    assert!(all.sampling() && all.roots() && all.tasks() && all.elicitation_form() && all.elicitation_url());

    for json in [
        "{}",
        "[]",
        "",
        "{",
        r#"{"sampling":null,"roots":true,"elicitation":[],"extensions":{"x":null}}"#,
    ] {
        let none = capabilities(json);
        assert!(!none.sampling() && !none.roots() && !none.tasks(), "{json}");
        assert!(!none.elicitation_form() && !none.elicitation_url(), "{json}");
        assert_eq!(none.extension("x"), None, "{json}");
    }

    let extended = capabilities(r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"x":{"a":1}}}"#);
    assert!(extended.tasks());
    assert_eq!(extended.extension("x"), Some(&br#"{"a":1}"#[..]));
}

#[test]
fn elicitation_without_a_mode_means_forms() {
    for (json, form, url) in [
        (r#"{"elicitation":{}}"#, true, false),
        (r#"{"elicitation":{"form":{}}}"#, true, false),
        (r#"{"elicitation":{"url":{}}}"#, false, true),
        (r#"{"elicitation":{"vendor":{}}}"#, true, false),
    ] {
        let capabilities = ClientCapabilities::new(json.as_bytes());
        assert_eq!(
            (capabilities.elicitation_form(), capabilities.elicitation_url()),
            (form, url),
            "{json}"
        );
    }
}
