//! What is drawn: rules, callers and calls, such that each rule speaks of some.

use fastrand::Rng;
use policy::Identity;
use serde_json::{Map, Value, json};

use super::{Call, EXPRESSIONS, Thing, Written};

const REGIONS: [&str; 3] = ["eu", "us", "eu-2"];

pub(super) fn rule(rng: &mut Rng) -> Value {
    let mut rule = Map::new();
    let mut add = |rng: &mut Rng, odds: u32, key: &str, of: &[Value]| {
        if rng.u32(0..100) < odds {
            rule.insert(key.to_owned(), of[rng.usize(0..of.len())].clone());
        }
    };
    add(
        rng,
        12,
        "principals",
        &[json!(["corp:*"]), json!(["corp:a?n", "key:ci"]), json!(["*:b*"])],
    );
    add(
        rng,
        15,
        "roles",
        &[json!(["user"]), json!(["adm*", "guest"]), json!([])],
    );
    add(rng, 10, "tenants", &[json!(["acme"]), json!(["a*", "globex"])]);
    add(rng, 8, "scopes", &[json!(["a"]), json!(["a", "b"])]);
    add(
        rng,
        12,
        "claims",
        &[
            json!({ "region": "eu*" }),
            json!({ "level": 3 }),
            json!({ "org.unit": ["x", "y"] }),
        ],
    );
    add(rng, 8, "anonymous", &[json!(false), json!(true)]);
    add(
        rng,
        10,
        "routes",
        &[json!(["/mcp"]), json!(["/mcp", "/t/{tenant}/mcp"])],
    );
    add(
        rng,
        20,
        "upstreams",
        &[json!(["crm"]), json!(["crm*"]), json!(["docs", "crm-eu"])],
    );
    add(rng, 6, "parameters", &[json!({ "tenant": "ac*" })]);
    add(
        rng,
        50,
        "tools",
        &[
            json!(["find"]),
            json!(["f*"]),
            json!(["find", "drop"]),
            json!(["*"]),
            json!([]),
        ],
    );
    add(rng, 15, "prompts", &[json!(["ask"]), json!(["*"])]);
    add(
        rng,
        20,
        "resources",
        &[
            json!(["docs://h/open*"]),
            json!(["docs://h/closed*"]),
            json!(["*"]),
        ],
    );
    let region = json!(["eu", "us"]);
    let arguments = [
        json!({ "region": "eu*" }),
        json!({ "region": region }),
        json!({ "filter.kind": "inv*" }),
        json!({ "n": 3 }),
        json!({ "sure": true, "region": "us" }),
        json!({ "n": "3*" }),
    ];
    add(rng, 30, "arguments", &arguments);
    add(
        rng,
        12,
        "annotations",
        &[
            json!({ "readOnlyHint": true }),
            json!({ "destructiveHint": false }),
        ],
    );
    let expressions = EXPRESSIONS.map(|(text, _)| json!(text));
    add(rng, 25, "when", &expressions);
    add(rng, 60, "effect", &[json!("deny"), json!("ask"), json!("allow")]);
    Value::Object(rule)
}

pub(super) fn call(rng: &mut Rng) -> Call {
    let tenant = [None, Some("acme"), Some("other")][rng.usize(0..3)];
    let tools = [
        ("find", ""),
        ("find", r#"{"readOnlyHint":true}"#),
        ("drop", "{}"),
        ("Find", ""),
        ("fetch", r#"{"destructiveHint":false,"readOnlyHint":1}"#),
    ];
    let uris = [
        ("docs://h/open/a", "docs://h/open/a"),
        ("docs://h/open/%2e%2e/closed", "docs://h/closed"),
        ("DOCS://h/closed", "docs://h/closed"),
        ("docs://h/else", "docs://h/else"),
    ];
    Call {
        identity: rng.bool().then(|| identity(rng)),
        route: if tenant.is_some() {
            "/t/{tenant}/mcp"
        } else {
            "/mcp"
        },
        tenant,
        upstream: ["crm", "crm-eu", "docs"][rng.usize(0..3)],
        thing: match rng.u8(0..8) {
            0..5 => {
                let (name, annotations) = tools[rng.usize(0..tools.len())];
                Thing::Tool(name, annotations)
            }
            5 => Thing::Prompt(["ask", "tell"][rng.usize(0..2)]),
            6 => {
                let (uri, read) = uris[rng.usize(0..uris.len())];
                Thing::Resource(uri, read)
            }
            _ => Thing::Other,
        },
        arguments: (rng.u8(0..8) > 0).then(|| arguments(rng)),
    }
}

fn identity(rng: &mut Rng) -> Identity {
    let (source, subject) =
        [("corp", "ann"), ("corp", "bob"), ("key", "ci"), ("key", "bot")][rng.usize(0..4)];
    let mut identity = Identity::new(&source.into(), source, subject);
    for role in ["user", "admin", "guest"] {
        if rng.u8(0..3) == 0 {
            identity.roles.push(role.into());
        }
    }
    identity.tenant = [None, Some("acme"), Some("globex")][rng.usize(0..3)].map(str::to_owned);
    identity.scopes = [
        None,
        Some(vec!["a".to_owned()]),
        Some(vec!["b".into(), "a".into()]),
    ][rng.usize(0..3)]
    .clone();
    let mut claim = |name: &str, of: &[Value]| {
        if rng.bool() {
            identity
                .claims
                .insert(name.to_owned(), of[rng.usize(0..of.len())].clone());
        }
    };
    claim(
        "region",
        &[json!("eu"), json!("us"), json!(["us", "eu-2"]), json!(null)],
    );
    claim(
        "level",
        &[json!(3), json!(3.0), json!("3"), json!([1, 3]), json!(4)],
    );
    claim(
        "org",
        &[json!({ "unit": "x" }), json!({ "unit": "z" }), json!("x")],
    );
    identity
}

fn arguments(rng: &mut Rng) -> Written {
    let mut members = Vec::new();
    for key in ["region", "n", "sure", "filter", "Region", "region"] {
        let is_odd = matches!(key, "Region") || members.iter().any(|(before, _)| *before == key);
        if rng.u8(0..100) < if is_odd { 6 } else { 60 } {
            let value = match key {
                "filter" => filter(rng),
                _ => value(rng, 0),
            };
            members.push((key, value));
        }
    }
    rng.shuffle(&mut members);
    Written::Object(members)
}

fn filter(rng: &mut Rng) -> Written {
    let object = |rng: &mut Rng| {
        let kinds = [
            Written::Text("invoice"),
            Written::Text("order"),
            Written::Null,
            Written::Flag(true),
        ];
        let mut members = vec![(
            ["kind", "kind", "kind", "Kind", "of"][rng.usize(0..5)],
            kinds[rng.usize(0..4)].clone(),
        )];
        if rng.u8(0..10) == 0 {
            members.push(("kind", Written::Text("invoice")));
        }
        Written::Object(members)
    };
    match rng.u8(0..6) {
        0 => value(rng, 0),
        1 => Written::List((0..rng.usize(0..3)).map(|_| object(rng)).collect()),
        _ => object(rng),
    }
}

fn value(rng: &mut Rng, depth: u8) -> Written {
    match rng.u8(0..12) {
        0..5 => Written::Text(REGIONS[rng.usize(0..3)]),
        5 => Written::Text(["3", "true", "1", "inv"][rng.usize(0..4)]),
        6 | 7 => Written::Number(["3", "3.0", "0", "1", "30e-1", "33"][rng.usize(0..6)]),
        8 => Written::Flag(rng.bool()),
        9 => Written::Null,
        10 if depth < 2 => Written::List((0..rng.usize(0..3)).map(|_| value(rng, depth + 1)).collect()),
        _ => Written::Object(vec![("a", Written::Number("1"))]),
    }
}
