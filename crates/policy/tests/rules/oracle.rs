//! A second opinion: the rules once more, read from `docs/rules.md` and written without a thought for speed.
//!
//! Rules, callers and calls are drawn at random, rules as JSON, which both read. Each set of rules has a seed, which a
//! failure prints.

mod draw;

use fastrand::Rng;

use super::*;

/// Sets of rules, and calls that each is asked about.
const SETS: u64 = 1_000;
const CALLS: usize = 100;

/// An argument, as it may be written: keys may stand twice.
#[derive(Debug, Clone)]
enum Written {
    Text(&'static str),
    Number(&'static str),
    Flag(bool),
    Null,
    List(Vec<Written>),
    Object(Vec<(&'static str, Written)>),
}

/// One call.
#[derive(Debug)]
struct Call {
    identity: Option<Identity>,
    route: &'static str,
    tenant: Option<&'static str>,
    upstream: &'static str,
    thing: Thing,
    arguments: Option<Written>,
}

#[derive(Debug)]
enum Thing {
    Tool(&'static str, &'static str),
    Prompt(&'static str),
    /// As it is written, and as it may be read.
    Resource(&'static str, &'static str),
    Other,
}

/// Whether something is so; nothing where that is in doubt.
type Opinion = Option<bool>;

#[test]
fn a_second_opinion_is_the_same() {
    let mut met = std::collections::BTreeMap::new();
    for seed in 0..SETS {
        let mut rng = Rng::with_seed(seed);
        let list: Vec<Value> = (0..rng.usize(1..7)).map(|_| draw::rule(&mut rng)).collect();
        let (rules, said) = read(&format!("allow: {}", json!({ "rules": list })));
        let rules = rules.unwrap_or_else(|| panic!("seed {seed}: {said}"));
        assert_eq!(rules.all().len(), list.len(), "seed {seed}: {said}");
        for _ in 0..CALLS {
            let call = draw::call(&mut rng);
            let wanted = opinion(&list, &call);
            let found = decided(&rules, &call);
            assert_eq!(found, wanted, "seed {seed}: {call:#?}\n{}", json!(list));
            *met.entry(format!("{:?}", wanted.0)).or_insert(0) += 1;
        }
    }
    // It says little if it is always the same.
    for effect in ["Allow", "Deny", "Ask"] {
        assert!(met.get(effect).is_some_and(|count| *count > 5_000), "{met:?}");
    }
}

fn decided(rules: &Rules, call: &Call) -> (Effect, Option<usize>) {
    let tenant = call.tenant;
    let caller = Caller {
        identity: call.identity.as_ref(),
        route: call.route,
        parameters: &|name| tenant.filter(|_| name == "tenant").map(Cow::Borrowed),
    };
    let subject = match call.thing {
        Thing::Tool(name, annotations) => Subject::Tool {
            name,
            annotations: (!annotations.is_empty()).then_some(annotations.as_bytes()),
        },
        Thing::Prompt(name) => Subject::Prompt { name },
        Thing::Resource(uri, _) => Subject::Resource { uri },
        Thing::Other => Subject::Other,
    };
    let text = call.arguments.as_ref().map(written);
    call_json(rules, &caller, call.upstream, subject, text.as_deref());
    let selection = rules.select(&caller);
    of(&selection.decide(call.upstream, &subject, text.as_deref().map(str::as_bytes)))
}

/// What the rules say, read one after another.
fn opinion(list: &[Value], call: &Call) -> (Effect, Option<usize>) {
    for (index, rule) in list.iter().enumerate() {
        let effect = match rule["effect"].as_str() {
            Some("deny") => Effect::Deny,
            Some("ask") => Effect::Ask,
            _ => Effect::Allow,
        };
        let denies = effect == Effect::Deny;
        let conditions = conditions(rule, call, denies);
        let are_met = conditions.iter().all(|met| met.unwrap_or(denies));
        if who(rule, call) && place(rule, call) && what(rule, call, denies) && are_met {
            return (effect, Some(index));
        }
    }
    (Effect::Deny, None)
}

fn who(rule: &Value, call: &Call) -> bool {
    let Some(caller) = &call.identity else {
        let needs = ["principals", "roles", "tenants", "scopes", "claims"];
        let needs_none = needs.iter().all(|key| rule.get(key).is_none());
        return needs_none && rule["anonymous"] != json!(false);
    };
    let full = format!("{}:{}", caller.source, caller.subject);
    let principals = any_text(rule, "principals", |pattern| glob(pattern, &full));
    let roles = any_text(rule, "roles", |pattern| {
        caller.roles.iter().any(|role| glob(pattern, role))
    });
    let tenants = any_text(rule, "tenants", |pattern| {
        caller.tenant.as_ref().is_some_and(|tenant| glob(pattern, tenant))
    });
    let scopes = rule.get("scopes").is_none_or(|scopes| {
        let has = |scope: &Value| caller.scopes.iter().flatten().any(|granted| scope == granted);
        scopes.as_array().unwrap().iter().all(has)
    });
    let claims = rule.get("claims").is_none_or(|claims| {
        claims.as_object().unwrap().iter().all(|(path, wanted)| {
            let claim = path
                .split('.')
                .try_fold(&json!(caller.claims), |at, key| at.get(key))
                .cloned();
            match claim {
                Some(Value::Array(all)) => all.iter().any(|one| same(wanted, one)),
                Some(one) => same(wanted, &one),
                None => false,
            }
        })
    });
    principals && roles && tenants && scopes && claims && rule["anonymous"] != json!(true)
}

fn place(rule: &Value, call: &Call) -> bool {
    any_text(rule, "routes", |route| route == call.route)
        && any_text(rule, "upstreams", |pattern| glob(pattern, call.upstream))
        && rule.get("parameters").is_none_or(|parameters| {
            call.tenant
                .is_some_and(|tenant| glob(parameters["tenant"].as_str().unwrap(), tenant))
        })
}

fn what(rule: &Value, call: &Call, denies: bool) -> bool {
    if ["tools", "prompts", "resources"]
        .iter()
        .all(|key| rule.get(key).is_none())
    {
        return true;
    }
    let among = |key: &str, name: &str| rule.get(key).is_some() && any_text(rule, key, |one| glob(one, name));
    match call.thing {
        Thing::Tool(name, _) => among("tools", name),
        Thing::Prompt(name) => among("prompts", name),
        Thing::Resource(uri, read) if denies => among("resources", uri) || among("resources", read),
        Thing::Resource(uri, read) => among("resources", uri) && among("resources", read),
        Thing::Other => false,
    }
}

fn conditions(rule: &Value, call: &Call, denies: bool) -> Vec<Opinion> {
    let mut all = Vec::new();
    for (path, wanted) in rule
        .get("arguments")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let path: Vec<_> = path.split('.').collect();
        all.push(argued(&path, wanted, call.arguments.as_ref(), denies));
    }
    for (key, wanted) in rule
        .get("annotations")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        all.push(declared(call, key).map(|declared| declared == *wanted));
    }
    if let Some(when) = rule.get("when") {
        let (_, meaning) = EXPRESSIONS.iter().find(|(text, _)| when == text).unwrap();
        all.push(meaning(call));
    }
    all
}

fn declared(call: &Call, key: &str) -> Option<Value> {
    let Thing::Tool(_, annotations) = call.thing else {
        // It is of no tool, and not as wanted.
        return Some(Value::Null);
    };
    match annotations {
        "" | "{}" => Some(json!(key == "destructiveHint")),
        r#"{"readOnlyHint":true}"# if key == "readOnlyHint" => Some(json!(true)),
        r#"{"readOnlyHint":true}"# => Some(json!(key == "destructiveHint")),
        r#"{"destructiveHint":false,"readOnlyHint":1}"# if key == "readOnlyHint" => None,
        r#"{"destructiveHint":false,"readOnlyHint":1}"# => Some(json!(false)),
        other => panic!("{other}"),
    }
}

fn argued(path: &[&str], wanted: &Value, arguments: Option<&Written>, denies: bool) -> Opinion {
    let Some(values) = arguments.map_or(Some(None), |arguments| found(arguments, path, true))? else {
        return Some(false);
    };
    let wanted: Vec<&Value> = match wanted {
        Value::Array(wanted) => wanted.iter().collect(),
        wanted => vec![wanted],
    };
    let opinions: Vec<Opinion> = values.iter().map(|value| met(&wanted, value)).collect();
    if denies {
        if opinions.contains(&Some(true)) {
            return Some(true);
        }
        return if opinions.contains(&None) {
            None
        } else {
            Some(false)
        };
    }
    Some(opinions.iter().all(|opinion| *opinion == Some(true)))
}

/// The values at a path; the outer nothing where it is in doubt which.
#[allow(clippy::option_option, reason = "both are said")]
fn found(at: &Written, path: &[&str], is_first: bool) -> Option<Option<Vec<Written>>> {
    let Some((key, rest)) = path.split_first() else {
        return Some(match at {
            Written::List(items) if items.is_empty() => None,
            Written::List(items) => Some(items.clone()),
            one => Some(vec![one.clone()]),
        });
    };
    match at {
        Written::Object(members) => {
            let close: Vec<_> = members
                .iter()
                .filter(|(name, _)| name.to_lowercase() == key.to_lowercase())
                .collect();
            match close.as_slice() {
                [] => Some(None),
                [(name, value)] if name == key => found(value, rest, false),
                _ => None,
            }
        }
        Written::List(items) if !is_first => {
            let mut all = Vec::new();
            for item in items {
                if let Written::List(_) = item {
                    return None;
                }
                all.extend(found(item, path, false)?.unwrap_or_else(|| vec![Written::Null]));
            }
            Some((!all.is_empty()).then_some(all))
        }
        Written::Null => Some(None),
        _ => None,
    }
}

fn met(wanted: &[&Value], value: &Written) -> Opinion {
    let (exact, loose): (Value, Value) = match value {
        Written::Text(text) => (json!(text), serde_json::from_str(text).unwrap_or_default()),
        Written::Number(number) => (serde_json::from_str(number).unwrap(), json!(number)),
        Written::Flag(flag) => (json!(flag), json!(flag.to_string())),
        Written::Null => return Some(false),
        Written::List(_) | Written::Object(_) => return None,
    };
    if wanted.iter().any(|wanted| same(wanted, &exact)) {
        return Some(true);
    }
    if wanted.iter().any(|wanted| same(wanted, &loose)) {
        return None;
    }
    // 1 may be taken for true, and 0 for false.
    let as_flag = match (value, &exact) {
        (Written::Number(_), number) => Some(json!(number.as_f64() != Some(0.0))),
        (Written::Text("1"), _) => Some(json!(true)),
        _ => None,
    };
    if as_flag.is_some_and(|flag| wanted.contains(&&flag)) {
        None
    } else {
        Some(false)
    }
}

/// Equal, or as the pattern says.
fn same(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::Array(wanted), value) => wanted.iter().any(|wanted| same(wanted, value)),
        (Value::String(pattern), Value::String(text)) => glob(pattern, text),
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (wanted, value) => wanted == value,
    }
}

fn any_text(rule: &Value, key: &str, is_so: impl Fn(&str) -> bool) -> bool {
    let texts = rule.get(key).map(|texts| texts.as_array().unwrap());
    texts.is_none_or(|texts| texts.iter().any(|text| is_so(text.as_str().unwrap())))
}

fn glob(pattern: &str, text: &str) -> bool {
    let mut letters = text.chars();
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            glob(rest, text) || letters.next().is_some() && glob(pattern, letters.as_str())
        }
        Some(wanted) => {
            let found = letters.next();
            let is_so = found.is_some_and(|letter| wanted == '?' || wanted == letter);
            is_so && glob(&pattern[wanted.len_utf8()..], letters.as_str())
        }
    }
}

/// The one top-level argument of that name; nothing where there could be two, or something in it could be.
fn argument<'c>(call: &'c Call, name: &str) -> Option<Option<&'c Written>> {
    let Some(Written::Object(members)) = &call.arguments else {
        return Some(None);
    };
    let close: Vec<_> = members
        .iter()
        .filter(|(key, _)| key.to_lowercase() == name)
        .collect();
    match close.as_slice() {
        [] => Some(None),
        [(key, value)] if *key == name => is_plain(value).then_some(Some(value)),
        _ => None,
    }
}

fn is_plain(value: &Written) -> bool {
    match value {
        Written::Object(members) => {
            let keys: std::collections::HashSet<_> =
                members.iter().map(|(key, _)| key.to_lowercase()).collect();
            keys.len() == members.len() && members.iter().all(|(_, value)| is_plain(value))
        }
        Written::List(items) => items.iter().all(is_plain),
        _ => true,
    }
}

type Meaning = fn(&Call) -> Opinion;

/// Expressions, and what they mean.
const EXPRESSIONS: [(&str, Meaning); 5] = [
    ("args.region == 'eu'", |call| match argument(call, "region")?? {
        Written::Text(text) => Some(*text == "eu"),
        _ => Some(false),
    }),
    ("has(args.region) && args.region == claims.region", |call| {
        let region = argument(call, "region")?;
        let claim = call
            .identity
            .as_ref()
            .and_then(|caller| caller.claims.get("region"));
        match (region, claim) {
            (None, _) => Some(false),
            (Some(_), None) => None,
            (Some(region), Some(claim)) => {
                Some(serde_json::from_str::<Value>(&written(region)).unwrap() == *claim)
            }
        }
    }),
    ("args.region.exists(r, r == 'us')", |call| {
        match argument(call, "region")?? {
            Written::List(items) => Some(items.iter().any(|item| matches!(item, Written::Text("us")))),
            // One goes over the keys of an object.
            Written::Object(_) => Some(false),
            _ => None,
        }
    }),
    ("tool == 'find' || upstream == 'docs'", |call| {
        Some(matches!(call.thing, Thing::Tool("find", _)) || call.upstream == "docs")
    }),
    ("principal != null && principal.tenant == params.tenant", |call| {
        let Some(caller) = &call.identity else {
            return Some(false);
        };
        Some(caller.tenant.as_ref()? == call.tenant?)
    }),
];

/// As JSON.
fn written(value: &Written) -> String {
    match value {
        Written::Text(text) => format!("{text:?}"),
        Written::Number(number) => (*number).to_owned(),
        Written::Flag(flag) => flag.to_string(),
        Written::Null => "null".to_owned(),
        Written::List(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Written::Object(members) => {
            let members = members
                .iter()
                .map(|(key, value)| format!("{key:?}: {}", written(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}
