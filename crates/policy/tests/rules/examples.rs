//! The examples of `docs/rules.md`, as they stand there.

use policy::rules::Subject;
use serde_json::json;

use super::*;

const PAGE: &str = include_str!("../../../../docs/rules.md");
const KNOWN: Known<'static> = Known {
    upstreams: &["crm"],
    routes: &["/mcp", "/t/{tenant}/mcp"],
    roles: Some(&["admin", "user", "operator"]),
    sources: &["key", "corp"],
};

/// Each block of YAML, which must be without fault.
fn examples() -> Vec<Rules> {
    let blocks = PAGE.split("```yaml\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap_or_default());
    let read = |block: &str| {
        let (rules, said) = read_with(block, &KNOWN);
        assert_eq!(said, "", "{block}");
        rules.unwrap()
    };
    blocks.map(read).collect()
}

#[test]
fn the_examples_do_what_is_said_of_them() {
    let [first, operators, tenants, machine] = examples().try_into().unwrap();
    let (ann, mut nightly) = (ann(), Identity::new(&"key".into(), "key", "nightly"));
    let mut operator = ci();
    operator.roles = vec!["operator".into()];
    nightly.roles = vec!["user".into()];
    let read_only = Subject::Tool {
        name: "find",
        annotations: Some(br#"{"readOnlyHint":true}"#),
    };
    let eu = json!({ "region": "eu" });
    for (which, rules, identity, subject, arguments, effect) in [
        ("first", &first, &ann, tool("delete_all"), json!({}), Effect::Ask),
        ("first", &first, &ann, tool("find"), eu.clone(), Effect::Allow),
        (
            "first",
            &first,
            &ann,
            tool("find"),
            json!({ "region": "us" }),
            Effect::Deny,
        ),
        ("first", &first, &ann, Subject::Other, json!({}), Effect::Deny),
        ("operators", &operators, &ann, read_only, json!({}), Effect::Allow),
        (
            "operators",
            &operators,
            &ann,
            tool("find"),
            json!({}),
            Effect::Deny,
        ),
        (
            "operators",
            &operators,
            &operator,
            tool("find"),
            json!({}),
            Effect::Allow,
        ),
        (
            "operators",
            &operators,
            &ann,
            Subject::Resource { uri: "docs://a" },
            json!({}),
            Effect::Allow,
        ),
        ("tenants", &tenants, &ann, tool("find"), eu, Effect::Allow),
        ("tenants", &tenants, &ann, tool("find"), json!({}), Effect::Allow),
        (
            "tenants",
            &tenants,
            &ann,
            tool("find"),
            json!({ "region": "us" }),
            Effect::Deny,
        ),
        (
            "tenants",
            &tenants,
            &ann,
            tool("send_mail"),
            json!({}),
            Effect::Ask,
        ),
        (
            "machine",
            &machine,
            &nightly,
            tool("export"),
            json!({}),
            Effect::Allow,
        ),
        (
            "machine",
            &machine,
            &nightly,
            tool("find"),
            json!({}),
            Effect::Deny,
        ),
        (
            "machine",
            &machine,
            &ann,
            tool("find_all"),
            json!({}),
            Effect::Allow,
        ),
        ("machine", &machine, &ann, tool("write"), json!({}), Effect::Deny),
    ] {
        let decided = call(rules, &at_mcp(Some(identity)), "crm", subject, &arguments);
        assert_eq!(decided, effect, "{which}: {subject:?} with {arguments}");
    }
    // She is told what would help.
    let selection = machine.select(&at_mcp(Some(&ann)));
    assert_eq!(
        selection.decide("crm", &tool("write"), None).scopes,
        ["crm.read", "crm.write"]
    );
}
