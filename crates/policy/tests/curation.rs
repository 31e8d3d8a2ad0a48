//! What a file shows of a server: the same for an item of a list and for a call.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::Path;

use config::{Environment, Field, Lookup, Problems, Source};
use policy::{Curation, What};
use serde_json::{Value, json};

struct Machine;

impl Environment for Machine {
    fn var(&self, name: &str) -> Option<String> {
        (name == "KEY").then(|| "s3cret".into())
    }
    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A call with these parameters in its URL.
struct Url(HashMap<&'static str, &'static str>);

impl Lookup for Url {
    fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.get(name).copied().map(Cow::Borrowed)
    }
    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn claim(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn principal(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn user(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

fn read(yaml: &str) -> (Curation, Vec<String>) {
    let source = Source::from_text("gateway.yaml", yaml);
    let problems = Problems::default();
    let node = source.parse(&problems).unwrap();
    let mut fields = Field::root(&node, &problems).fields().unwrap();
    let curation = Curation::check(&mut fields, &Machine);
    fields.finish();
    let said = problems.into_sorted();
    (
        curation,
        said.iter().map(|problem| problem.text().to_owned()).collect(),
    )
}

fn curation(yaml: &str) -> Curation {
    let (curation, said) = read(yaml);
    assert!(said.is_empty(), "{said:?}");
    curation
}

fn arguments(curation: &Curation, tool: &str, given: Value) -> Value {
    let (given, url) = (given.to_string(), Url(HashMap::from([("tenant", "acme\"")])));
    let changed = curation.arguments(tool, Some(given.as_bytes()), &url).unwrap();
    serde_json::from_slice(changed.as_deref().unwrap_or(given.as_bytes())).unwrap()
}

#[test]
fn what_is_allowed_and_not_denied_is_shown() {
    for (yaml, shown, hidden) in [
        (
            "tools: [find, 'get_*']",
            &["find", "get_", "get_a"][..],
            &["found", "Find", "get"][..],
        ),
        ("tools: []", &[], &["find"]),
        (
            "tools: { deny: ['delete_*'] }",
            &["find"],
            &["delete_", "delete_all"],
        ),
        (
            "tools: { allow: ['get_?'], deny: [get_b] }",
            &["get_a"],
            &["get_b", "get_ab"],
        ),
        ("tools: {}", &["anything", ""], &[]),
        ("prompts: []", &["anything"], &[]),
    ] {
        let curation = curation(yaml);
        for name in shown {
            assert_eq!(curation.called(name), Some(*name), "{yaml}");
            assert_eq!(curation.meant(name), Some(*name), "{yaml}");
        }
        for name in hidden {
            assert_eq!(curation.called(name), None, "{yaml} {name}");
            assert_eq!(curation.meant(name), None, "{yaml} {name}");
        }
    }
}

#[test]
fn prompts_and_resources_are_picked_too() {
    let curation = curation("{ prompts: { deny: [secret] }, resources: ['note://*'] }");
    for (what, name, shown) in [
        (What::Prompt, "ask", true),
        (What::Prompt, "secret", false),
        (What::Resource, "note://a", true),
        (What::Resource, "note://{id}", true),
        (What::Resource, "file:///note://", false),
        (What::Resource, "NOTE://a", false),
        (What::Tool, "secret", true),
    ] {
        assert_eq!(curation.shows(what, name), shown, "{name}");
    }
}

#[test]
fn a_resource_is_hidden_however_it_is_spelled() {
    let curation =
        curation("{ resources: { allow: ['note://*', 'file:///public/*'], deny: ['note://private*'] } }");
    for hidden in [
        "note://private/p",
        "NOTE://private/p",
        "no\tte://private/p",
        " note://private/p",
        "note://%70rivate/p",
        "file:///public/../private/p",
    ] {
        assert!(!curation.shows(What::Resource, hidden), "{hidden:?}");
    }
    assert!(curation.shows(What::Resource, "file:///public/a%20b"));
}

#[test]
fn a_tool_is_listed_and_called_by_the_name_it_was_given() {
    let curation = curation("tools: { rename: { find: search, gone: kept }, deny: [gone] }");

    assert_eq!(curation.called("find"), Some("search"));
    assert_eq!(curation.meant("search"), Some("find"));
    // An application of the server at its client's knows no other name.
    assert_eq!(curation.meant("find"), Some("find"));
    // Another tool of the server with that name would not be reached.
    assert_eq!(curation.called("search"), None);
    // What is not shown gives its name to nobody.
    assert_eq!(curation.called("gone"), None);
    assert_eq!(curation.meant("kept"), Some("kept"));
}

#[test]
fn a_changed_tool_says_what_the_file_says_and_keeps_every_other_byte() {
    let curation = curation(
        r#"tools: { change: { find: {
            title: "Find it", description: "Finds \"it\"",
            annotations: { readOnlyHint: true },
            defaults: { limit: 10, key: "${env:KEY}" },
            fixed: { region: eu, deep: { a: [1, 1.50, true, null] } } } } }"#,
    );
    let item = r#"{"name":"find","description":"old", "annotations":{"readOnlyHint":false,"x":1e400},"inputSchema":{"type":"object","properties":{"q":{"type":"string"},"limit":{"type":"integer"},"key":{"type":"string"},"region":{"type":"string"}},"required":["q","region","limit"]},"x":1e400}"#;

    let changed = curation.tool("find", item.as_bytes()).unwrap();

    let expected = r#"{"name":"find","description":"Finds \"it\"", "annotations":{"readOnlyHint":true,"x":1e400},"inputSchema":{"type":"object","properties":{"q":{"type":"string"},"limit":{"type":"integer","default":10},"key":{"type":"string"}},"required":["q"]},"x":1e400,"title":"Find it"}"#;
    assert_eq!(String::from_utf8_lossy(&changed), expected);
    assert_eq!(curation.tool("other", item.as_bytes()), None);
}

#[test]
fn fixed_arguments_win_and_defaults_stand_in() {
    let curation = curation(
        r#"tools: { change: { find: {
            defaults: { limit: 10 },
            fixed: { region: eu, tenant: "${param:tenant}", key: "${env:KEY}" } } } }"#,
    );
    let ours = json!({ "region": "eu", "tenant": "acme\"", "key": "s3cret" });
    for (given, limit) in [
        (json!({}), json!(10)),
        (json!({ "limit": 3 }), json!(3)),
        (json!({ "limit": null }), json!(null)),
        (json!({ "region": "us", "tenant": "globex", "key": 1 }), json!(10)),
    ] {
        let mut expected = ours.clone();
        expected["limit"] = limit;
        assert_eq!(arguments(&curation, "find", given.clone()), expected, "{given}");
    }
    assert_eq!(
        arguments(&curation, "other", json!({ "a": 1 })),
        json!({ "a": 1 })
    );

    // Whichever of two a server would take, it is ours.
    let url = Url(HashMap::from([("tenant", "acme")]));
    let twice = br#"{"region":"us","r\u0065gion":"us","region":"us"}"#;
    let changed = curation.arguments("find", Some(twice), &url).unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&changed).contains("us"), "{changed:?}");
    let respelled = json!({ "region": "x", "Region": "us", "REGION": "us" });
    assert_eq!(
        arguments(&curation, "find", respelled)["Region"],
        Value::Null,
        "servers that know no case take the last"
    );
}

#[test]
fn a_call_that_cannot_be_given_an_argument_is_refused() {
    let curation = curation("tools: { change: { find: { fixed: { t: '${param:tenant}' } } } }");
    let nothing = Url(HashMap::new());

    let missing = curation.arguments("find", None, &nothing).unwrap_err();
    assert!(
        missing.to_string().contains("`t` needs `param:tenant`"),
        "{missing}"
    );
    let list = curation.arguments("find", Some(b"[]"), &nothing).unwrap_err();
    assert!(list.to_string().contains("no object"), "{list}");
}

#[test]
fn a_route_shows_less_than_its_upstream_and_never_more() {
    let upstream = curation(
        "{ tools: { deny: [rm], rename: { find: search }, change: { find: { fixed: { r: eu }, description: u, defaults: { a: 1 } } } }, prompts: [ask] }",
    );
    let route = curation(
        "{ tools: { allow: [find, rm], change: { find: { fixed: { r: us, s: 1 }, description: r, defaults: { a: 2 } } } }, prompts: [ask, more] }",
    );

    let both = route.within(&upstream);

    assert_eq!(both.called("find"), Some("search"));
    assert_eq!(both.called("rm"), None);
    assert_eq!(both.called("other"), None);
    assert!(both.shows(What::Prompt, "ask") && !both.shows(What::Prompt, "more"));
    assert_eq!(
        arguments(&both, "find", json!({})),
        json!({ "r": "eu", "s": 1, "a": 2 })
    );
    let item = both.tool("find", br#"{"name":"find"}"#).unwrap();
    assert!(String::from_utf8_lossy(&item).contains(r#""description":"r""#));
}

#[test]
fn what_is_said_of_nothing_is_found() {
    let curation = curation(
        "{ tools: { deny: ['drop_*', 'delete_*', drop], rename: { fnd: search } }, prompts: [ask], resources: ['note://*'] }",
    );
    let stray = |what, known: &[&str]| -> Vec<String> {
        curation
            .unknown(what, known)
            .iter()
            .map(|written| written.value.clone())
            .collect()
    };

    assert_eq!(stray(What::Tool, &["find", "delete_all"]), ["drop", "fnd"]);
    assert_eq!(stray(What::Prompt, &[]), ["ask"]);
    assert_eq!(stray(What::Resource, &["note://a"]), [""; 0]);
}

#[test]
fn mistakes_are_told_in_the_words_of_the_file() {
    for (yaml, words) in [
        ("tools: { rename: { a: x, b: x } }", "both to be called `x`"),
        ("tools: { rename: { a: '' } }", "needs a name"),
        ("tools: [find, find]", "written twice"),
        ("tools: ['']", "empty name"),
        ("tools: { alow: [a] }", "`alow` is not a key"),
        (
            "tools: { change: { a: { annotations: { readonly: true } } } }",
            "`readonly` is not a key",
        ),
        (
            "tools: { change: { a: { fixed: { x: 0x10 } } } }",
            "no number that JSON knows",
        ),
        (
            "tools: { change: { a: { fixed: { x: 1 }, defaults: { x: 2 } } } }",
            "never be used",
        ),
        (
            "tools: { change: { a: { fixed: { x: '${claims:email}' } } } }",
            "is not a template we know",
        ),
        ("tools: find", "a list"),
        ("prompts: { rename: { a: b } }", "`rename` is not a key"),
    ] {
        let (_, said) = read(yaml);
        assert!(said.iter().any(|said| said.contains(words)), "{yaml}: {said:?}");
    }
}
