//! What is told of a section in which something is wrong.

use super::read;

/// What is told of these rules, which begin in line 2.
fn told(list: &str) -> String {
    let (_, said) = read(&format!("allow:\n{list}\n"));
    let shown = said.lines().filter(|line| !line.starts_with("    "));
    shown
        .map(|line| line.trim_start_matches("gateway.yaml:"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn each_mistake_is_told_with_its_line() {
    for (list, wanted) in [
        (
            "- { role: [admin] }",
            "2: allow[0]: `role` is not a key we know; did you mean `roles`?",
        ),
        (
            "- { tools: [x] }\n- { roles: [admn] }",
            "3: allow[1].roles[0]: nobody has the role `admn`; did you mean `admin`?",
        ),
        (
            "- { principals: [ann] }",
            "2: allow[0].principals[0]: `ann` names no principal; write who says so and what it calls them: `key:ann`",
        ),
        (
            "- { principals: [corp] }",
            "2: allow[0].principals[0]: `corp` names no principal; write `corp:*` for all of `corp`",
        ),
        (
            "- { principals: ['*'] }",
            "2: allow[0].principals[0]: `*` names no principal; leave `principals` out for everybody, or write \
             `anonymous: false` for all who are known",
        ),
        (
            "- { principals: ['crop:ann'] }",
            "2: allow[0].principals[0]: `crop` is not a source of identities; did you mean `corp`?",
        ),
        (
            "- { upstreams: [doc] }",
            "2: allow[0].upstreams[0]: `doc` is not an upstream; did you mean `docs`?",
        ),
        (
            "- { routes: [/mpc] }",
            "2: allow[0].routes[0]: `/mpc` is not the path of a route; did you mean `/mcp`?",
        ),
        (
            "- { parameters: { tennant: x } }",
            "2: allow[0].parameters.tennant: no route has a parameter `tennant`; did you mean `tenant`?",
        ),
        (
            "- { tools: find }",
            "2: allow[0].tools: expected a list, found text; write `[find]`",
        ),
        (
            "- { roles: [] }",
            "2: warning: allow[0].roles: an empty list matches nobody; leave the key out if it does not matter",
        ),
        (
            "- { tools: [] }",
            "2: warning: allow[0].tools: an empty list matches nothing; leave the key out if it does not matter",
        ),
        (
            "- { claims: { a: [] } }",
            "2: warning: allow[0].claims.a: an empty list matches nobody; leave the key out if it does not matter",
        ),
        (
            "- { claims: { a: { b: 1 } } }",
            "2: allow[0].claims.a: expected text, a number, `true` or `false`; to compare parts of it write a path: \
             `filter.kind: inv*`",
        ),
        (
            "- { arguments: { a: 0x10 } }",
            "2: allow[0].arguments.a: `0x10` is no number that JSON knows; write its digits alone, or put it in quotes",
        ),
        (
            "- { arguments: { a..b: 1 } }",
            "2: allow[0].arguments.a..b: `a..b` is not the path of an argument; write the names of objects and of what \
             is in them with dots between: `filter.kind`",
        ),
        (
            "- { annotations: { readonlyHint: true } }",
            "2: allow[0].annotations: `readonlyHint` is not a key we know; did you mean `readOnlyHint`?",
        ),
        (
            "- { effect: permit }",
            "2: allow[0].effect: `permit` is not a choice here; there are `allow`, `deny`, `ask`",
        ),
        (
            "- { within: 5m }",
            "2: allow[0]: `within` says how long an approval is waited for, and this rule asks for none; write \
             `effect: ask`, or leave it out",
        ),
        (
            "- { effect: ask, within: 2d }",
            "2: allow[0].within: an approval is waited for from 1s to 24h",
        ),
        (
            "- { message: no }",
            "2: allow[0]: `message` is told when a rule denies or asks, and this one allows; leave it out",
        ),
        (
            "- { anonymous: true, roles: [admin] }",
            "2: allow[0]: nothing is known of an anonymous caller, so that the rule matches nobody; leave out \
             `anonymous`, or what else is said of the caller",
        ),
        (
            "  rules: [{ roles: [admn] }]",
            "2: allow.rules[0].roles[0]: nobody has the role `admn`; did you mean `admin`?",
        ),
        ("  dry_run: true", "1: allow: `rules` is missing"),
        (
            "  []",
            "1: warning: allow: without a rule nobody may do anything; write `- {}` to allow everything to everybody who \
             may come in",
        ),
    ] {
        assert_eq!(told(list), wanted, "{list}");
    }
}

#[test]
fn a_rule_that_is_never_reached_is_told() {
    let mistake = "3: allow[1]: this rule is never reached: the one in line 2 decides before it; the first rule that \
                   matches decides: put it before line 2";
    let warning =
        "3: warning: allow[1]: this rule is never reached: the one in line 2 decides before it; leave it out";
    for (earlier, later, wanted) in [
        ("{}", "{ tools: [drop], effect: deny }", mistake),
        ("{}", "{ tools: [drop] }", warning),
        ("{ tools: ['d*'] }", "{ tools: [drop, delete] }", warning),
        ("{ tools: ['d*'] }", "{ tools: [drop, find] }", ""),
        ("{ tools: ['*'] }", "{ prompts: ['*'] }", ""),
        ("{ tools: ['*'] }", "{}", ""),
        ("{ roles: [user] }", "{ roles: [user], tools: [find] }", warning),
        ("{ roles: [user] }", "{ roles: [user, admin] }", ""),
        (
            "{ roles: [user, admin] }",
            "{ roles: [user], tenants: [acme] }",
            warning,
        ),
        ("{ scopes: [a] }", "{ scopes: [a, b] }", warning),
        ("{ scopes: [a, b] }", "{ scopes: [a] }", ""),
        (
            "{ principals: ['corp:*'] }",
            "{ principals: ['corp:ann'] }",
            warning,
        ),
        ("{ claims: { a: 'x*' } }", "{ claims: { a: xy, b: 1 } }", warning),
        ("{ upstreams: ['crm*'] }", "{ upstreams: [crm-eu] }", warning),
        ("{ anonymous: false }", "{ roles: [user] }", warning),
        ("{ anonymous: false }", "{ tools: [find] }", ""),
        ("{ arguments: { a: 1 } }", "{ arguments: { a: 1 } }", ""),
        ("{ resources: ['a*'] }", "{ resources: ['a*'], effect: deny }", ""),
        (
            "{ resources: ['*'] }",
            "{ resources: ['a*'], effect: deny }",
            mistake,
        ),
    ] {
        assert_eq!(
            told(&format!("- {earlier}\n- {later}")),
            wanted,
            "{earlier}, then {later}"
        );
    }
}
