//! `when`: what expressions are given, and what they cannot do.

use policy::rules::{Doubt, Effect, Subject};
use serde_json::json;

use super::*;

/// What a rule with this expression says of ann, who calls by `/t/{tenant}/mcp`.
fn of_ann(when: &str, effect: &str, arguments: &str) -> Effect {
    let rule = json!([{ "tools": ["find"], "when": when, "effect": effect }]).to_string();
    let (rules, said) = read(&format!("allow: {}", rule.trim()));
    assert_eq!(said, "", "{when}");
    let ann = ann();
    let subject = Subject::Tool {
        name: "find",
        annotations: Some(br#"{"readOnlyHint":true}"#),
    };
    let rules = rules.unwrap();
    let caller = by_route(Some(&ann), "/t/{tenant}/mcp");
    match effect {
        "deny" => match rules
            .select(&caller)
            .decide("crm", &subject, Some(arguments.as_bytes()))
            .rule
        {
            Some(_) => Effect::Deny,
            None => Effect::Allow,
        },
        _ => call_json(&rules, &caller, "crm", subject, Some(arguments)),
    }
}

#[test]
fn an_expression_reads_the_caller_and_the_call() {
    for (when, arguments, is_true) in [
        ("args.region == claims.region", r#"{"region":"eu"}"#, true),
        ("args.region == claims.region", r#"{"region":"us"}"#, false),
        ("args['region'] in ['eu', 'us']", r#"{"region":"us"}"#, true),
        (
            "args.region == 'eu' && !has(claims.Region)",
            r#"{"region":"eu"}"#,
            true,
        ),
        (
            "args.Org == 'x' && claims.org.unit == 'x'",
            r#"{"Org":"x"}"#,
            true,
        ),
        ("!has(args.region)", "{}", true),
        ("!has(args.region)", r#"{"region":null}"#, false),
        ("claims.org.unit == 'x' && claims.level >= 3", "{}", true),
        ("'b' in claims.groups", "{}", true),
        (
            "args.ids.all(i, i in claims.groups)",
            r#"{"ids":["a","b"]}"#,
            true,
        ),
        (
            "args.ids.all(i, i in claims.groups)",
            r#"{"ids":["a","c"]}"#,
            false,
        ),
        (
            "args.ids.exists(i, i.startsWith('x'))",
            r#"{"ids":["a","xc"]}"#,
            true,
        ),
        (
            "principal.id == 'ann' && principal.source == 'corp' && 'user' in principal.roles",
            "{}",
            true,
        ),
        ("principal.tenant == params.tenant", "{}", true),
        ("has(principal.name)", "{}", false),
        ("tool == 'find' && prompt == null && resource == null", "{}", true),
        ("upstream == 'crm' && route == '/t/{tenant}/mcp'", "{}", true),
        (
            "annotations.readOnlyHint && annotations.destructiveHint && !annotations.idempotentHint",
            "{}",
            true,
        ),
        ("args.n == 1.10", r#"{"n":1.10}"#, true),
        ("args.n > 5", r#"{"n":18446744073709551615}"#, true),
        ("args.n > 5.0", r#"{"n":28446744073709551615}"#, true),
        ("size(args) == 2", r#"{"a":1,"b":2}"#, true),
        (
            "args.path.endsWith('.txt') && !args.path.contains('..')",
            r#"{"path":"a.txt"}"#,
            true,
        ),
    ] {
        let effect = of_ann(when, "allow", arguments);
        assert_eq!(effect == Effect::Allow, is_true, "{when} of {arguments}");
        let effect = of_ann(when, "deny", arguments);
        assert_eq!(effect == Effect::Deny, is_true, "{when} of {arguments}");
    }
}

#[test]
fn what_fails_allows_nothing_and_denies() {
    let (long, huge) = ("x".repeat(300_000), "1,".repeat(30_000));
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    for (when, arguments) in [
        ("args.region == 'us'", r#"{}"#),
        ("args.region == 'us'", r#"{"region":"eu","region":"us"}"#),
        ("args.region == 'us'", r#"{"region":"eu","Region":"us"}"#),
        ("has(args.region)", r#"{"Region":"us"}"#),
        ("args.f.kind == 'us'", r#"{"f":{"kind":"us","kind":"eu"}}"#),
        ("args.f.kind == 'us'", r#"{"f":{"kind":"us","x":{"A":1,"a":2}}}"#),
        ("args['f']['kind'] == 'us'", r#"{"f":{"KIND":"us"}}"#),
        ("args.f.exists(x, x.kind == 'us')", r#"{"f":[{"Kind":"us"}]}"#),
        (
            "args.region == 'eu' && claims.Region != 'x'",
            r#"{"region":"eu","Region":"us"}"#,
        ),
        ("args.region == 'eu' || args.Region == 'eu'", r#"{"region":"eu"}"#),
        ("size(args) == 1", r#"{"a":1,"A":2}"#),
        ("args.n == 1", r#"{"n":1e999}"#),
        ("args.n / 0 == 1", r#"{"n":1}"#),
        ("args.n + 1 > 0", r#"{"n":9223372036854775807}"#),
        ("args.n", r#"{"n":"true"}"#),
        ("claims.missing == 1", "{}"),
        ("args.x == 1", r#"["#),
        ("args.x == 1", &deep),
        ("args.x != ''", &format!(r#"{{"x":"{long}"}}"#)),
        (
            "args.x.exists(i, i in args.x && i == 2)",
            &format!(r#"{{"x":[{huge}0]}}"#),
        ),
    ] {
        let shown: String = arguments.chars().take(60).collect();
        assert_eq!(
            of_ann(when, "allow", arguments),
            Effect::Deny,
            "{when} of {shown}"
        );
        assert_eq!(of_ann(when, "deny", arguments), Effect::Deny, "{when} of {shown}");
    }
    // What is not read may be of any size.
    let arguments = format!(r#"{{"path":"a","content":"{long}","Path2":1}}"#);
    assert_eq!(of_ann("args.path == 'a'", "allow", &arguments), Effect::Allow);
}

#[test]
fn a_tool_is_hidden_where_no_arguments_would_make_it_true() {
    let ann = ann();
    for (when, shown) in [
        ("args.x == 1", true),
        ("claims.level == 3 && args.x == 1", true),
        ("claims.level == 4 && args.x == 1", false),
        ("args.x == 1 && claims.level == 4", false),
        ("claims.level == 4 || args.x == 1", true),
        ("claims.level == 4", false),
        ("tool == 'find'", true),
    ] {
        let rule = json!([{ "tools": ["find"], "when": when }]);
        let (rules, said) = read(&format!("allow: {rule}"));
        assert_eq!(said, "", "{when}");
        assert_eq!(
            rules
                .unwrap()
                .select(&at_mcp(Some(&ann)))
                .shows("crm", &tool("find")),
            shown,
            "{when}"
        );
    }
}

#[test]
fn a_digest_holds_what_expressions_read_and_no_more() {
    let (mut ann, mut bob) = (ann(), ann());
    ann.claims.insert("jti".into(), json!("1"));
    bob.claims.insert("jti".into(), json!("2"));
    let rules = rules("- { when: \"claims.region == 'eu'\" }");
    let digest = |identity: &Identity| rules.select(&at_mcp(Some(identity))).digest();
    assert_eq!(digest(&ann), digest(&bob));
    bob.claims.insert("region".into(), json!("us"));
    assert_ne!(digest(&ann), digest(&bob));
}

#[test]
fn an_expression_that_cannot_be_is_told() {
    let (motif, unclosed) = ("!!(!!!!!!(!!!!(((((!!(!!(!!!!((".repeat(5), "[".repeat(1000));
    let long = format!("tool == '{}'", "x".repeat(5000));
    let (deep, wide) = (
        format!("{}tool == 'a'{}", "(".repeat(30), ")".repeat(30)),
        format!("1 > 0{}", " + 1".repeat(200)),
    );
    for (when, wanted) in [
        ("arg.x == 1", "there is no variable `arg`; did you mean `args`?"),
        (
            "params.tennant == 'a'",
            "no route has a parameter `tennant`; did you mean `tenant`?",
        ),
        (
            "size(params) == 1",
            "`params` alone says nothing; name the parameter: `params.tenant`",
        ),
        (
            "principal.rolls == []",
            "a principal has no `rolls`; did you mean `roles`?",
        ),
        (
            "annotations.readonlyHint",
            "no tool is annotated with `readonlyHint`; did you mean `readOnlyHint`?",
        ),
        (
            "args.x.matches('a+')",
            "`matches` cannot be used here; what it costs has no bound; use `startsWith`, `endsWith` or `contains`",
        ),
        (
            "size(args.x.map(y, y + y)) > 1",
            "`map` cannot be used here; ask with `all`, `exists` or `in`",
        ),
        (
            "args.x.all(y, args.z.exists(z, z == y))",
            "a loop stands in a loop, and may take as long as a caller wishes; for one of many values write \
             `x in claims.groups`",
        ),
        (
            "args.x.startWith('a')",
            "`startWith` cannot be used here; did you mean `startsWith`?",
        ),
        ("google.Type{a: 1}", "`google.Type` is no type that we know"),
        (
            &long,
            "the expression has 5010 bytes, and at most 4096 can be; put what stays the same into claims or roles",
        ),
        (
            &motif,
            "the expression nests deeper than 10 levels; write two rules, or list what is the same on one level",
        ),
        (
            &unclosed,
            "the expression nests deeper than 10 levels; write two rules, or list what is the same on one level",
        ),
        (
            &deep,
            "the expression nests deeper than 10 levels; write two rules, or list what is the same on one level",
        ),
        (
            &wide,
            "the expression nests deeper than 40 levels; for one of many values write `args.x in ['a', 'b']`",
        ),
        (
            "args.x ==",
            "the expression cannot be read from its character 10: mismatched input '<EOF>'; write CEL, as in \
             `args.region == claims.region`",
        ),
    ] {
        let (_, said) = read(&format!("allow:\n- {}", json!({ "when": when })));
        let first = said.lines().next().unwrap_or_default();
        assert_eq!(
            first,
            format!("gateway.yaml:2: allow[0].when: {wanted}"),
            "{when}"
        );
    }
}

#[test]
fn a_doubt_is_told() {
    let rules = rules("- { when: \"args.x == 1\", effect: deny }\n- {}");
    let selection = rules.select(&at_mcp(None));
    let decision = selection.decide("crm", &tool("find"), Some(br#"{"x":1,"X":2}"#));
    assert_eq!(
        (decision.effect, decision.doubt),
        (Effect::Deny, Some(Doubt::TwoReadings))
    );
    let decision = selection.decide("crm", &tool("find"), Some(br#"{"x":2}"#));
    assert_eq!((decision.effect, decision.doubt), (Effect::Allow, None));
}

/// Expressions and arguments that nobody would write. What they are worth does not matter here, only that they are
/// worth something: no panic, and no end of the stack.
#[test]
fn an_expression_of_any_words_is_read_or_refused() {
    const WORDS: [&str; 40] = [
        "args",
        "args.x",
        "claims",
        "params.tenant",
        "principal",
        "tool",
        "x",
        "y",
        "1",
        "-9223372036854775808",
        "1.5",
        "2u",
        "'a'",
        "true",
        "null",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ".",
        ",",
        ":",
        "?",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        "==",
        "<",
        "in",
        "&&",
        "||",
        ".all(x, ",
        ".exists_one(y, ",
        "has(",
        "size(",
    ];
    const VALUES: [&str; 8] = [
        "{}",
        "[]",
        "null",
        r#"{"x":1}"#,
        r#"{"x":[1,"a",null]}"#,
        r#"{"x":{"y":-1}}"#,
        r#"{"x":9223372036854775807}"#,
        r#"{"x":1.10}"#,
    ];
    let mut read_well = 0;
    for seed in 0..2_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut text = String::new();
        let mut open = Vec::new();
        for _ in 0..rng.usize(1..12) {
            // Brackets close more often than chance would have it, so that more of this can be read.
            let word = if !open.is_empty() && rng.u8(0..4) == 0 {
                ")"
            } else {
                WORDS[rng.usize(0..WORDS.len())]
            };
            match word {
                ")" => drop(open.pop()),
                word if word.contains('(') => open.push(()),
                _ => {}
            }
            text += word;
            text += if rng.u8(0..3) == 0 { " == " } else { " " };
        }
        text += &")".repeat(open.len());
        let (rules, said) = read(&format!("allow: {}", json!([{ "when": text }])));
        if !said.is_empty() {
            continue;
        }
        read_well += 1;
        let rules = rules.unwrap();
        for arguments in VALUES {
            call_json(&rules, &at_mcp(None), "crm", tool("find"), Some(arguments));
        }
    }
    assert!(read_well > 20, "only {read_well} can be read");
}
