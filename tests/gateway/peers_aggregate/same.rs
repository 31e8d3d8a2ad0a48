//! Whether two answers are the same, but for what the endpoint calls things and for what differs with the hour.
use serde_json::{Map, Value, json};

/// A URI of the server of this alias, as the endpoint has it.
pub(super) fn exposed_uri(alias: &str, uri: &str) -> String {
    match uri.strip_prefix("ui://") {
        _ if uri.starts_with("https://") || uri.starts_with("http://") => uri.to_owned(),
        Some(view) => format!("ui://{alias}+{view}"),
        None => format!("{alias}+{uri}"),
    }
}

/// What was got directly, with the URIs of the endpoint: in the result, and of what was read at those in it.
pub(super) fn exposed(alias: &str, got: &Value) -> Value {
    let Some(result) = got.get("result") else {
        return got.clone();
    };
    let read = got["read"].as_object().into_iter().flatten();
    let read: Map<String, Value> = read
        .map(|(uri, read)| (exposed_uri(alias, uri), with_uris(alias, read)))
        .collect();
    json!({ "result": with_uris(alias, result), "read": read })
}

fn with_uris(alias: &str, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| {
                let member = match (name.as_str(), member) {
                    ("uri" | "resourceUri", Value::String(uri)) => exposed_uri(alias, uri).into(),
                    // What it holds is for the model, and nobody's address.
                    ("structuredContent", content) => content.clone(),
                    (_, other) => with_uris(alias, other),
                };
                (name.clone(), member)
            });
            Value::Object(members.collect())
        }
        Value::Array(elements) => elements.iter().map(|element| with_uris(alias, element)).collect(),
        other => other.clone(),
    }
}

/// Of a loose answer only the shape counts.
pub(super) fn is_the_same(got: &Value, expected: &Value, is_loose: bool) -> bool {
    let settled = |value: &Value| match is_loose {
        true => shape(&settled(value)),
        false => settled(value),
    };
    settled(got) == settled(expected)
}

/// Members that a revision adds or an SDK fills in.
const OF_A_REVISION: [&str; 4] = ["_meta", "resultType", "ttlMs", "cacheScope"];

/// Without what differs from one revision, one SDK or one minute to the next.
fn settled(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let uri = members.get("uri").and_then(Value::as_str);
            let is_dated = uri.is_some_and(|uri| uri.contains("/dynamic/blob/"));
            let is_empty = |name: &str, member: &Value| match name {
                "isError" => *member == json!(false),
                "blob" => is_dated,
                _ => member.is_null() || OF_A_REVISION.contains(&name),
            };
            let kept = members.iter().filter(|(name, member)| !is_empty(name, member));
            Value::Object(
                kept.map(|(name, member)| (name.clone(), settled(member)))
                    .collect(),
            )
        }
        Value::Array(elements) => elements.iter().map(settled).collect(),
        // Python writes 1.0 for 1.
        Value::Number(number) => json!(number.as_f64()),
        Value::String(text) => undated(text).into(),
        other => other.clone(),
    }
}

fn undated(text: &str) -> String {
    let line = |line: &str| {
        let is_time = ["created: ", "modified: ", "accessed: "]
            .iter()
            .any(|what| line.starts_with(what));
        match line.split_once(" created at ") {
            Some((before, _)) => before.to_owned(),
            None if is_time => String::new(),
            None => line.to_owned(),
        }
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The same with a stand-in for each text and number.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| (name.clone(), shape(member)));
            Value::Object(members.collect())
        }
        Value::Array(elements) => elements.iter().map(shape).collect(),
        Value::String(_) => json!("text"),
        Value::Number(_) => json!(0),
        other => other.clone(),
    }
}
