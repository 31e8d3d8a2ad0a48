//! What is decided of calls and lists.

use policy::rules::{Doubt, Effect, Found, Reason, Subject};
use serde_json::json;

use super::*;

#[test]
fn a_rule_says_who() {
    let (ann, ci) = (ann(), ci());
    for (who, of_ann, of_ci, of_nobody) in [
        ("{}", true, true, true),
        ("{ principals: ['corp:ann'] }", true, false, false),
        ("{ principals: ['corp:*'] }", true, false, false),
        ("{ principals: ['*:ci', 'key:ann'] }", false, true, false),
        ("{ roles: [admin, user] }", true, false, false),
        ("{ roles: ['us*'] }", true, false, false),
        ("{ roles: [admin] }", false, false, false),
        ("{ tenants: ['ac*'] }", true, false, false),
        ("{ tenants: [globex] }", false, false, false),
        ("{ scopes: [crm.read] }", true, false, false),
        ("{ scopes: [crm.read, crm.write] }", false, false, false),
        ("{ claims: { department: 'sales*' } }", true, false, false),
        ("{ claims: { department: 'Sales*' } }", false, false, false),
        ("{ claims: { level: 3.0 } }", true, false, false),
        ("{ claims: { level: '3' } }", false, false, false),
        ("{ claims: { level: [1, 3] } }", true, false, false),
        ("{ claims: { groups: b } }", true, false, false),
        ("{ claims: { org.unit: x, level: 3 } }", true, false, false),
        ("{ claims: { org.unit: x, level: 4 } }", false, false, false),
        ("{ anonymous: true }", false, false, true),
        ("{ anonymous: false }", true, true, false),
        ("{ roles: [user], tenants: [acme] }", true, false, false),
        ("{ roles: [user], tenants: [globex] }", false, false, false),
    ] {
        let rules = rules(&format!("- {who}"));
        for (identity, allowed) in [(Some(&ann), of_ann), (Some(&ci), of_ci), (None, of_nobody)] {
            let effect = call(&rules, &at_mcp(identity), "crm", tool("find"), &json!({}));
            assert_eq!(effect == Effect::Allow, allowed, "{who} of {identity:?}");
        }
    }
}

#[test]
fn a_rule_says_where() {
    let ann = ann();
    for (place, crm_at_mcp, crm_of_tenant, docs_at_mcp) in [
        ("{ routes: [/mcp] }", true, false, true),
        ("{ routes: ['/t/{tenant}/mcp'] }", false, true, false),
        ("{ upstreams: [crm] }", true, true, false),
        ("{ upstreams: ['crm*', docs] }", true, true, true),
        ("{ parameters: { tenant: 'ac*' } }", false, true, false),
        ("{ parameters: { tenant: [globex] } }", false, false, false),
    ] {
        let rules = rules(&format!("- {place}"));
        for (route, upstream, allowed) in [
            ("/mcp", "crm", crm_at_mcp),
            ("/t/{tenant}/mcp", "crm", crm_of_tenant),
            ("/mcp", "docs", docs_at_mcp),
        ] {
            let caller = if route == "/mcp" {
                at_mcp(Some(&ann))
            } else {
                by_route(Some(&ann), route)
            };
            let effect = call(&rules, &caller, upstream, tool("find"), &json!({}));
            assert_eq!(
                effect == Effect::Allow,
                allowed,
                "{place} at {route} of {upstream}"
            );
        }
    }
}

#[test]
fn a_rule_says_what() {
    let page = Subject::Resource { uri: "docs://h/a/b" };
    let private = Subject::Resource {
        uri: "docs://h/a/%2e%2e/private",
    };
    let ask = Subject::Prompt { name: "ask" };
    for (what, allowed) in [
        ("{}", [true; 6]),
        ("{ tools: [find] }", [true, false, false, false, false, false]),
        (
            "{ tools: ['f*', Find] }",
            [true, true, false, false, false, false],
        ),
        (
            "{ tools: [], prompts: ['*'] }",
            [false, false, true, false, false, false],
        ),
        (
            "{ resources: ['docs://h/a/*'] }",
            [false, false, false, true, false, false],
        ),
        (
            "{ resources: ['*'], tools: ['*'] }",
            [true, true, false, true, true, false],
        ),
    ] {
        let (rules, _) = read(&format!("allow:\n- {what}"));
        let subjects = [tool("find"), tool("Find"), ask, page, private, Subject::Other];
        for (subject, allowed) in subjects.into_iter().zip(allowed) {
            let effect = call(
                rules.as_ref().unwrap(),
                &at_mcp(None),
                "docs",
                subject,
                &json!({}),
            );
            assert_eq!(effect == Effect::Allow, allowed, "{what} of {subject:?}");
        }
    }
}

#[test]
fn a_uri_is_denied_in_every_spelling() {
    let rules = rules("- { resources: ['docs://private*'], effect: deny }\n- {}");
    for uri in [
        "docs://private/a",
        "DOCS://private/a",
        "docs://%70rivate/a",
        "docs:\\\\private\\a",
    ] {
        let effect = call(
            &rules,
            &at_mcp(None),
            "docs",
            Subject::Resource { uri },
            &json!({}),
        );
        assert_eq!(effect, Effect::Deny, "{uri}");
    }
}

#[test]
fn a_rule_says_on_what_condition() {
    let read_only = br#"{"readOnlyHint":true}"#;
    for (condition, arguments, annotations, allowed) in [
        ("arguments: { region: eu }", r#"{"region":"eu"}"#, None, true),
        ("arguments: { region: eu }", r#"{"region":"us"}"#, None, false),
        ("arguments: { region: eu }", r#"{}"#, None, false),
        (
            "arguments: { region: eu }",
            r#"{"region":["eu","us"]}"#,
            None,
            false,
        ),
        (
            "arguments: { region: eu }",
            r#"{"region":"eu","region":"us"}"#,
            None,
            false,
        ),
        (
            "arguments: { region: eu }",
            r#"{"region":"eu","Region":"us"}"#,
            None,
            false,
        ),
        (
            "arguments: { 'filter.kind': 'inv*' }",
            r#"{"filter":{"kind":"invoice"}}"#,
            None,
            true,
        ),
        (
            "arguments: { n: 18446744073709551617 }",
            r#"{"n":18446744073709551617}"#,
            None,
            true,
        ),
        (
            "arguments: { n: 18446744073709551617 }",
            r#"{"n":18446744073709551616}"#,
            None,
            false,
        ),
        ("arguments: { n: 1.1 }", r#"{"n":1.10}"#, None, true),
        (
            "arguments: { sure: true, n: [1, 2] }",
            r#"{"n":2,"sure":true}"#,
            None,
            true,
        ),
        (
            "arguments: { sure: true, n: [1, 2] }",
            r#"{"n":2,"sure":false}"#,
            None,
            false,
        ),
        ("annotations: { readOnlyHint: true }", "{}", None, false),
        (
            "annotations: { readOnlyHint: true }",
            "{}",
            Some(&read_only[..]),
            true,
        ),
        (
            "annotations: { destructiveHint: true }",
            "{}",
            Some(&b"{}"[..]),
            true,
        ),
        (
            "annotations: { readOnlyHint: true }",
            "{}",
            Some(&br#"{"readOnlyHint":1}"#[..]),
            false,
        ),
    ] {
        let rules = rules(&format!("- {{ tools: [find], {condition} }}"));
        let subject = Subject::Tool {
            name: "find",
            annotations,
        };
        let effect = call_json(&rules, &at_mcp(None), "crm", subject, Some(arguments));
        assert_eq!(effect == Effect::Allow, allowed, "{condition} of {arguments}");
    }
}

#[test]
fn what_is_in_doubt_is_denied_by_whom_it_may_concern() {
    let rules = rules("- { tools: [find], arguments: { region: us }, effect: deny }\n- {}");
    let at = at_mcp(None);
    for (arguments, doubt) in [
        (r#"{"region":"eu","region":"us"}"#, Doubt::TwoReadings),
        (r#"{"Region":"us"}"#, Doubt::TwoReadings),
        (r#"{"region":{"is":"us"}}"#, Doubt::Shape),
        ("[", Doubt::Unreadable),
    ] {
        let selection = rules.select(&at);
        let decision = selection.decide("crm", &tool("find"), Some(arguments.as_bytes()));
        assert_eq!(
            (decision.effect, decision.doubt),
            (Effect::Deny, Some(doubt)),
            "{arguments}"
        );
    }
    assert_eq!(
        call(&rules, &at, "crm", tool("find"), &json!({ "region": "eu" })),
        Effect::Allow
    );
    assert_eq!(
        call(
            &rules,
            &at,
            "crm",
            tool("find"),
            &json!({ "region": ["eu", "us"] })
        ),
        Effect::Deny
    );
    assert_eq!(call_json(&rules, &at, "crm", tool("find"), None), Effect::Allow);
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = rules(concat!(
        "- { tools: [drop], arguments: { table: 'tmp_*' } }\n",
        "- { tools: ['d*'], effect: ask, within: 10m, message: 'that deletes' }\n",
        "- { upstreams: [docs], effect: deny }\n",
        "- { tools: ['*'] }\n",
    ));
    let at = at_mcp(None);
    for (upstream, name, table, effect) in [
        ("crm", "drop", "tmp_a", Effect::Allow),
        ("crm", "drop", "users", Effect::Ask),
        ("crm", "find", "", Effect::Allow),
        ("docs", "find", "", Effect::Deny),
        ("unheard", "find", "", Effect::Allow),
    ] {
        let subject = tool(name);
        assert_eq!(
            call(&rules, &at, upstream, subject, &json!({ "table": table })),
            effect,
            "{upstream} {name}"
        );
    }
    assert_eq!(call(&rules, &at, "crm", Subject::Other, &json!({})), Effect::Deny);
    let selection = rules.select(&at);
    let asked = selection.decide("crm", &tool("delete"), None).rule.unwrap();
    assert_eq!(
        (asked.line(), asked.within().as_secs(), asked.message()),
        (3, 600, Some("that deletes"))
    );
}

#[test]
fn a_tool_is_shown_if_some_arguments_would_do() {
    for (list, shown) in [
        ("- { tools: [find], arguments: { region: eu } }", true),
        (
            "- { tools: [find], arguments: { region: eu }, effect: ask }",
            true,
        ),
        (
            "- { tools: [find], arguments: { region: eu }, effect: deny }",
            false,
        ),
        (
            "- { tools: [find], arguments: { region: eu }, effect: deny }\n- {}",
            true,
        ),
        ("- { tools: [find], effect: deny }\n- {}", false),
        (
            "- { tools: [find], annotations: { readOnlyHint: true }, arguments: { a: 1 } }",
            false,
        ),
    ] {
        let rules = rules(list);
        assert_eq!(
            rules.select(&at_mcp(None)).shows("crm", &tool("find")),
            shown,
            "{list}"
        );
    }
}

#[test]
fn a_denial_says_which_scopes_would_help() {
    let list = "- { tools: [drop], scopes: [crm.read, crm.write] }\n- { tools: [find] }";
    let rules = rules(list);
    let (ann, ci) = (ann(), ci());
    for (identity, name, scopes) in [
        (Some(&ann), "drop", &["crm.read", "crm.write"][..]),
        (Some(&ann), "find", &[]),
        (Some(&ann), "other", &[]),
        (Some(&ci), "drop", &[]),
        (None, "drop", &[]),
    ] {
        let selection = rules.select(&at_mcp(identity));
        assert_eq!(
            selection.decide("crm", &tool(name), None).scopes,
            scopes,
            "{name}"
        );
        assert!(name == "find" || !selection.shows("crm", &tool(name)));
    }
}

#[test]
fn a_digest_is_that_of_what_is_seen() {
    let list = "- { roles: [admin] }\n- { tenants: [acme], tools: ['f*'] }";
    let rules_of_yesterday = rules(list);
    let now = rules(list);
    let (ann, ci) = (ann(), ci());
    let mut bob = Identity::new(&"corp".into(), "https://login.example.com", "bob");
    bob.tenant = Some("acme".into());
    let digest = |rules: &Rules, identity| rules.select(&at_mcp(Some(identity))).digest();
    assert_eq!(digest(&now, &ann), digest(&now, &bob));
    assert_ne!(digest(&now, &ann), digest(&now, &ci));
    assert_eq!(digest(&now, &ann), digest(&rules_of_yesterday, &ann));
    let others = rules("- { roles: [admin] }\n- { tenants: [acme], tools: ['g*'] }");
    assert_ne!(digest(&now, &ann), digest(&others, &ann));
}

#[test]
fn an_explanation_tells_each_rule_that_was_come_to() {
    let rules = rules(concat!(
        "- { roles: [admin] }\n",
        "- { upstreams: [docs] }\n",
        "- { prompts: ['*'] }\n",
        "- { tools: [drop] }\n",
        "- { tools: ['f*'], arguments: { region: us } }\n",
        "- { tools: ['f*'], arguments: { a.b: 1 }, effect: deny }\n",
        "- { tools: [find] }\n",
        "- {}\n",
    ));
    let ann = ann();
    let arguments = json!({ "region": "eu", "a": "?" }).to_string();

    let explained = rules.explain(
        &at_mcp(Some(&ann)),
        "crm",
        &tool("find"),
        Some(arguments.as_bytes()),
    );

    let found: Vec<_> = explained
        .steps
        .iter()
        .map(|step| (step.line, step.found))
        .collect();
    assert_eq!(
        found,
        [
            (2, Found::Passes(Reason::Role)),
            (3, Found::Passes(Reason::Upstream)),
            (4, Found::Passes(Reason::Kind)),
            (5, Found::Passes(Reason::Name)),
            (6, Found::Passes(Reason::Argument("region"))),
            (7, Found::DeniesInDoubt(Doubt::Shape)),
        ]
    );
    let listed = rules.explain_listed(&at_mcp(Some(&ann)), "crm", &tool("find"));
    let found: Vec<_> = listed
        .steps
        .iter()
        .skip(4)
        .map(|step| step.found.to_string())
        .collect();
    assert_eq!(
        found,
        ["depends on the arguments", "depends on the arguments", "decides"]
    );
}
