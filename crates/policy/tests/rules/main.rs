//! Who may do what: the section `allow` as operators write it, and what comes of it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod decisions;
mod examples;
mod expressions;
mod mistakes;
mod oracle;
mod speed;

use std::borrow::Cow;

use config::{Field, Problems, Source};
use policy::Identity;
use policy::rules::{Caller, Decision, Effect, Known, Rules, Subject};
use serde_json::{Value, json};

const KNOWN: Known<'static> = Known {
    upstreams: &["crm", "crm-eu", "docs"],
    routes: &["/mcp", "/t/{tenant}/mcp"],
    roles: Some(&["admin", "user", "guest"]),
    sources: &["key", "corp"],
};

/// Reads `allow` from lines of YAML that begin with it, and what is said of it.
fn read(yaml: &str) -> (Option<Rules>, String) {
    read_with(yaml, &KNOWN)
}

fn read_with(yaml: &str, known: &Known<'_>) -> (Option<Rules>, String) {
    let source = Source::from_text("gateway.yaml", yaml);
    let problems = Problems::default();
    let node = source.parse(&problems).unwrap();
    let mut fields = Field::root(&node, &problems).fields().unwrap();
    let rules = Rules::check(&fields.optional("allow"), known);
    fields.finish();
    (rules, problems.render(&source))
}

/// Reads a list of rules, in which there is nothing to complain of.
fn rules(list: &str) -> Rules {
    let (rules, said) = read(&format!("allow:\n{list}"));
    assert_eq!(said, "", "{list}");
    rules.unwrap()
}

/// `corp:ann`, a `user` of `acme`, of `sales`.
fn ann() -> Identity {
    let mut ann = Identity::new(&"corp".into(), "https://login.example.com", "ann");
    ann.roles = vec!["user".into()];
    ann.tenant = Some("acme".into());
    ann.scopes = Some(vec!["crm.read".into()]);
    let claims = json!({
        "department": "sales-eu", "level": 3, "groups": ["a", "b"],
        "org": { "unit": "x" }, "region": "eu",
    });
    ann.claims = claims.as_object().unwrap().clone();
    ann
}

/// `key:ci`, which has no roles and no scopes.
fn ci() -> Identity {
    Identity::new(&"key".into(), "key", "ci")
}

fn tool(name: &str) -> Subject<'_> {
    Subject::Tool {
        name,
        annotations: None,
    }
}

fn by_route<'a>(identity: Option<&'a Identity>, route: &'a str) -> Caller<'a> {
    Caller {
        identity,
        route,
        parameters: &|name| (name == "tenant").then_some(Cow::Borrowed("acme")),
    }
}

fn at_mcp(identity: Option<&Identity>) -> Caller<'_> {
    Caller {
        identity,
        route: "/mcp",
        parameters: &|_| None,
    }
}

/// Calls once, and sees that what may be called is shown, and that the explanation says what was decided.
fn call(
    rules: &Rules,
    caller: &Caller<'_>,
    upstream: &str,
    subject: Subject<'_>,
    arguments: &Value,
) -> Effect {
    let json = arguments.to_string();
    call_json(rules, caller, upstream, subject, Some(&json))
}

fn call_json(
    rules: &Rules,
    caller: &Caller<'_>,
    upstream: &str,
    subject: Subject<'_>,
    arguments: Option<&str>,
) -> Effect {
    let arguments = arguments.map(str::as_bytes);
    let selection = rules.select(caller);
    let decision = selection.decide(upstream, &subject, arguments);
    let explained = rules.explain(caller, upstream, &subject, arguments);
    assert_eq!(of(&decision), of(&explained.decision), "{explained:?}");
    assert_eq!(decision.scopes, explained.decision.scopes, "{explained:?}");
    if decision.effect != Effect::Deny {
        assert!(
            selection.shows(upstream, &subject),
            "{subject:?} may be called and is not shown"
        );
    }
    decision.effect
}

fn of(decision: &Decision<'_>) -> (Effect, Option<usize>) {
    (decision.effect, decision.rule.map(policy::rules::Rule::index))
}
