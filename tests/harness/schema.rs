//! The official schemas, as judges of everything the gateway sends.
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::{LEGACY, MODERN};

/// Fails the test unless the value is what the revision's schema defines under this name.
#[track_caller]
pub fn check(revision: &str, definition: &str, value: &Value) {
    if let Err(problem) = judge(revision, definition, value) {
        panic!("{problem}");
    }
}

/// What is wrong with a message, in the eyes of its revision's schema.
pub fn judge(revision: &str, definition: &str, value: &Value) -> Result<(), String> {
    let validator = validator(revision, definition)?;
    let problems: Vec<_> = validator
        .iter_errors(value)
        .map(|error| format!("at `{}`: {error}", error.instance_path()))
        .collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "not a {definition} of {revision}: {}\n{value}",
            problems.join("; ")
        )),
    }
}

/// Judges a message from a server to its client: the envelope, and the result where the request's method is known.
pub fn judge_answer(revision: &str, method: &str, message: &Value) -> Result<(), String> {
    if is_answer_to_nothing(message) {
        return Ok(());
    }
    judge(revision, envelope(revision, message), message)?;
    match (message.get("result"), result_of(method)) {
        (Some(result), Some(_)) if result["resultType"] == "input_required" => {
            judge(revision, "InputRequiredResult", result)
        }
        (Some(result), Some(definition)) => judge(revision, definition, result),
        (None, _) | (_, None) => judge_notification(revision, message),
    }
}

/// Judges a message from a client to its server. Methods that the revision does not know are judged as messages only.
pub fn judge_request(revision: &str, message: &Value) -> Result<(), String> {
    judge(revision, envelope(revision, message), message)?;
    let definition = match message["method"].as_str().unwrap_or_default() {
        "initialize" if revision != MODERN => "InitializeRequest",
        "server/discover" if revision == MODERN => "DiscoverRequest",
        "tools/list" => "ListToolsRequest",
        "tools/call" => "CallToolRequest",
        "resources/list" => "ListResourcesRequest",
        "resources/read" => "ReadResourceRequest",
        "prompts/list" => "ListPromptsRequest",
        "prompts/get" => "GetPromptRequest",
        "completion/complete" => "CompleteRequest",
        "notifications/initialized" if revision != MODERN => "InitializedNotification",
        "notifications/cancelled" => "CancelledNotification",
        "notifications/progress" => "ProgressNotification",
        "subscriptions/listen" if revision == MODERN => "SubscriptionsListenRequest",
        "logging/setLevel" if revision != MODERN => "SetLevelRequest",
        "resources/subscribe" if revision != MODERN => "SubscribeRequest",
        "resources/unsubscribe" if revision != MODERN => "UnsubscribeRequest",
        "resources/templates/list" => "ListResourceTemplatesRequest",
        "ping" if revision != MODERN => "PingRequest",
        "notifications/roots/list_changed" if revision != MODERN => "RootsListChangedNotification",
        // An answer to a question: which one is not said, and so it must be one that answers some.
        "" if message.get("result").is_some() => return judge(revision, "ClientResult", &message["result"]),
        _ => return Ok(()),
    };
    judge(revision, definition, message)
}

/// The schemas before 2025-11-25 demand an id even where JSON-RPC has none to give.
fn is_answer_to_nothing(message: &Value) -> bool {
    message.get("error").is_some() && message.get("id").is_none_or(Value::is_null)
}

/// The strictest definition that a message must meet. `JSONRPCMessage` takes a request with a bad id for a notification.
fn envelope(revision: &str, message: &Value) -> &'static str {
    let split = matches!(revision, "2025-11-25" | MODERN);
    let has = |member| message.get(member).is_some();
    match (has("method"), has("id"), has("error")) {
        (true, true, _) => "JSONRPCRequest",
        (true, false, _) => "JSONRPCNotification",
        (false, _, true) if split => "JSONRPCErrorResponse",
        (false, _, true) => "JSONRPCError",
        (false, _, false) if split => "JSONRPCResultResponse",
        (false, _, false) => "JSONRPCResponse",
    }
}

fn judge_notification(revision: &str, message: &Value) -> Result<(), String> {
    match message["method"].as_str().unwrap_or_default() {
        "notifications/progress" => judge(revision, "ProgressNotification", message),
        "notifications/message" => judge(revision, "LoggingMessageNotification", message),
        "notifications/resources/updated" => judge(revision, "ResourceUpdatedNotification", message),
        "notifications/tools/list_changed" => judge(revision, "ToolListChangedNotification", message),
        "notifications/prompts/list_changed" => judge(revision, "PromptListChangedNotification", message),
        "notifications/resources/list_changed" => judge(revision, "ResourceListChangedNotification", message),
        "notifications/cancelled" => judge(revision, "CancelledNotification", message),
        "notifications/elicitation/complete" if revision == "2025-11-25" => {
            judge(revision, "ElicitationCompleteNotification", message)
        }
        "notifications/subscriptions/acknowledged" if revision == MODERN => {
            judge(revision, "SubscriptionsAcknowledgedNotification", message)
        }
        _ if message.get("method").is_some() && message.get("id").is_some() => {
            judge_question(revision, message)
        }
        _ => Ok(()),
    }
}

/// Judges a request of a server to its client, of which 2026-07-28 has none.
fn judge_question(revision: &str, message: &Value) -> Result<(), String> {
    let definition = match message["method"].as_str().unwrap_or_default() {
        method if revision == MODERN => return Err(format!("a request of a server ({method}) in {MODERN}")),
        "sampling/createMessage" => "CreateMessageRequest",
        "roots/list" => "ListRootsRequest",
        "elicitation/create" if revision >= "2025-06-18" => "ElicitRequest",
        "ping" => "PingRequest",
        _ => return Ok(()),
    };
    judge(revision, definition, message)
}

fn result_of(method: &str) -> Option<&'static str> {
    Some(match method {
        "initialize" => "InitializeResult",
        "server/discover" => "DiscoverResult",
        "tools/list" => "ListToolsResult",
        "tools/call" => "CallToolResult",
        "resources/list" => "ListResourcesResult",
        "resources/templates/list" => "ListResourceTemplatesResult",
        "resources/read" => "ReadResourceResult",
        "prompts/list" => "ListPromptsResult",
        "prompts/get" => "GetPromptResult",
        "completion/complete" => "CompleteResult",
        "subscriptions/listen" => "SubscriptionsListenResult",
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => "EmptyResult",
        _ => return None,
    })
}

type Compiled = Mutex<HashMap<(String, String), Arc<Validator>>>;

/// An error names what the revision does not have, or a revision that is none.
fn validator(revision: &str, definition: &str) -> Result<Arc<Validator>, String> {
    static COMPILED: OnceLock<Compiled> = OnceLock::new();
    let key = (revision.to_owned(), definition.to_owned());
    let mut compiled = COMPILED
        .get_or_init(Compiled::default)
        .lock()
        .expect("no validator panics while it is compiled");
    if let Some(validator) = compiled.get(&key) {
        return Ok(Arc::clone(validator));
    }
    let validator = Arc::new(compile(revision, definition)?);
    compiled.insert(key, Arc::clone(&validator));
    Ok(validator)
}

fn compile(revision: &str, definition: &str) -> Result<Validator, String> {
    if !LEGACY.contains(&revision) && revision != MODERN {
        return Err(format!("there is no revision `{revision}`"));
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/schema")
        .join(revision)
        .join("schema.json");
    let broken = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|error| broken(&error))?;
    let mut schema: Value = serde_json::from_str(&text).map_err(|error| broken(&error))?;
    // 2025-11-25 moved the definitions to a newer dialect of JSON Schema.
    let at = match schema.get("$defs") {
        Some(_) => "$defs",
        None => "definitions",
    };
    if schema[at].get(definition).is_none() {
        return Err(format!("{revision} defines no {definition}"));
    }
    schema["allOf"] = json!([{ "$ref": format!("#/{at}/{definition}") }]);
    jsonschema::validator_for(&schema).map_err(|error| broken(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_revision_has_a_judge_that_can_say_no() {
        for revision in LEGACY.into_iter().chain([MODERN]) {
            let good = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
            check(revision, "JSONRPCMessage", &good);

            let bad = json!({ "jsonrpc": "2.0", "id": [], "method": "tools/list" });
            judge_request(revision, &bad).unwrap_err();
            let bad = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": [{ "title": "nameless" }] } });
            judge_answer(revision, "tools/list", &bad).unwrap_err();
        }
    }
}
