//! The official schemas, as judges of what a pair of files says.

use jsonschema::Validator;
use mcp::Revision;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

/// What is wrong with one side of a pair, in the eyes of its revision.
pub(super) fn judge(revision: Revision, what: &str, value: &Value) -> Result<(), String> {
    let (what, about) = what.split_once('.').unwrap_or((what, ""));
    let about = about.replace('-', "/");
    match what {
        "client" => check(revision, "ClientCapabilities", value),
        "server" => check(revision, "ServerCapabilities", value),
        "request" | "notice" => {
            let method = value["method"].as_str().unwrap_or_default();
            check(revision, definition(method).0, value)
        }
        "question" => {
            let request = json!({ "jsonrpc": "2.0", "id": 1, "method": about, "params": value });
            check(revision, definition(&about).0, &request)
        }
        "reply" => check(revision, definition(&about).1, value),
        _ => {
            let split = revision >= Revision::V2025_11_25;
            if value.get("error").is_some() {
                check(
                    revision,
                    if split {
                        "JSONRPCErrorResponse"
                    } else {
                        "JSONRPCError"
                    },
                    value,
                )
            } else {
                check(
                    revision,
                    if split {
                        "JSONRPCResultResponse"
                    } else {
                        "JSONRPCResponse"
                    },
                    value,
                )?;
                check(revision, definition(&about).1, &value["result"])
            }
        }
    }
}

/// What the schemas call a method's message and its result.
fn definition(method: &str) -> (&'static str, &'static str) {
    match method {
        "tools/list" => ("ListToolsRequest", "ListToolsResult"),
        "tools/call" => ("CallToolRequest", "CallToolResult"),
        "prompts/list" => ("ListPromptsRequest", "ListPromptsResult"),
        "prompts/get" => ("GetPromptRequest", "GetPromptResult"),
        "resources/list" => ("ListResourcesRequest", "ListResourcesResult"),
        "resources/templates/list" => ("ListResourceTemplatesRequest", "ListResourceTemplatesResult"),
        "resources/read" => ("ReadResourceRequest", "ReadResourceResult"),
        "completion/complete" => ("CompleteRequest", "CompleteResult"),
        "ping" => ("PingRequest", "EmptyResult"),
        "logging/setLevel" => ("SetLevelRequest", "EmptyResult"),
        "elicitation/create" => ("ElicitRequest", "ElicitResult"),
        "sampling/createMessage" => ("CreateMessageRequest", "CreateMessageResult"),
        "roots/list" => ("ListRootsRequest", "ListRootsResult"),
        "notifications/cancelled" => ("CancelledNotification", ""),
        "notifications/progress" => ("ProgressNotification", ""),
        "notifications/message" => ("LoggingMessageNotification", ""),
        "notifications/tools/list_changed" => ("ToolListChangedNotification", ""),
        "notifications/resources/updated" => ("ResourceUpdatedNotification", ""),
        "notifications/elicitation/complete" => ("ElicitationCompleteNotification", ""),
        "notifications/tasks/status" => ("TaskStatusNotification", ""),
        "notifications/subscriptions/acknowledged" => ("SubscriptionsAcknowledgedNotification", ""),
        other => panic!("the schemas are not asked about {other} yet"),
    }
}

fn check(revision: Revision, definition: &str, value: &Value) -> Result<(), String> {
    let validator = validator(revision, definition);
    let problems: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("at `{}`: {error}", error.instance_path()))
        .collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(format!("no {definition} of {revision}: {}", problems.join("; "))),
    }
}

fn validator(revision: Revision, definition: &str) -> Arc<Validator> {
    type Compiled = Mutex<HashMap<(Revision, String), Arc<Validator>>>;
    static COMPILED: OnceLock<Compiled> = OnceLock::new();
    let mut compiled = COMPILED
        .get_or_init(Compiled::default)
        .lock()
        .expect("no judge panics here");
    let entry = compiled.entry((revision, definition.to_owned()));
    Arc::clone(entry.or_insert_with(|| Arc::new(compile(revision, definition))))
}

fn compile(revision: Revision, definition: &str) -> Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/schema")
        .join(revision.as_str())
        .join("schema.json");
    let text = std::fs::read_to_string(&path).expect("the schemas are checked in");
    let mut schema: Value = serde_json::from_str(&text).expect("a schema");
    // 2025-11-25 moved the definitions to a newer dialect of JSON Schema.
    let at = if schema.get("$defs").is_some() {
        "$defs"
    } else {
        "definitions"
    };
    assert!(
        schema[at].get(definition).is_some(),
        "{revision} defines no {definition}"
    );
    schema["allOf"] = json!([{ "$ref": format!("#/{at}/{definition}") }]);
    jsonschema::validator_for(&schema).expect("an official schema compiles")
}
