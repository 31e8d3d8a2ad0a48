//! The prompt: one with an argument that is required and one that is not.

use serde_json::{Value, json};

use super::call::Call;
use super::message::Fault;
use super::resources;
use super::server::page;

pub(super) fn list(call: &Call) -> Result<Value, Fault> {
    let prompts = vec![json!({
        "name": "greet", "title": "Greet", "description": "Has somebody greeted.",
        "arguments": [
            { "name": "name", "description": "Who is greeted", "required": true },
            { "name": "style", "description": "How they are greeted", "required": false },
        ],
    })];
    page(call, "prompts", resources::worded(prompts, call.revision()), 50)
}

pub(super) fn get(call: &Call) -> Result<Value, Fault> {
    let name = call.param("name").and_then(Value::as_str).unwrap_or_default();
    if name != "greet" {
        return Err(Fault::invalid_params(format!("Unknown prompt: {name}")));
    }
    let argument = |name: &str| {
        call.param("arguments")
            .and_then(|arguments| arguments.get(name)?.as_str())
    };
    let Some(who) = argument("name") else {
        return Err(Fault::invalid_params(
            "Invalid params: the argument name is required",
        ));
    };
    let style = argument("style").unwrap_or("friendly");
    Ok(json!({
        "description": "Has somebody greeted.",
        "messages": [
            { "role": "user", "content": { "type": "text", "text": format!("Greet {who} in a {style} way.") } },
            { "role": "user", "content": { "type": "resource", "resource": resources::greeting() } },
            { "role": "assistant", "content": { "type": "text", "text": format!("Hello, {who}.") } },
        ],
    }))
}
