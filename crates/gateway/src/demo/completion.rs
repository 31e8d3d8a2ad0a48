//! Completion of what one types for a prompt or a template.

use serde_json::{Value, json};

use super::call::Call;
use super::message::Fault;
use super::resources::{self, LAST_NOTE};

const STYLES: [&str; 4] = ["formal", "friendly", "poetic", "short"];

pub(super) fn complete(call: &Call) -> Result<Value, Fault> {
    let member = |path: [&str; 2]| {
        call.param(path[0])
            .and_then(|object| object.get(path[1])?.as_str())
    };
    let (Some(argument), Some(typed)) = (member(["argument", "name"]), member(["argument", "value"])) else {
        return Err(Fault::invalid_params(
            "Invalid params: argument needs a name and a value",
        ));
    };
    let choices: Vec<String> = match (
        member(["ref", "type"]),
        member(["ref", "name"]),
        member(["ref", "uri"]),
    ) {
        (Some("ref/prompt"), Some("greet"), _) if argument == "style" => {
            STYLES.into_iter().map(str::to_owned).collect()
        }
        (Some("ref/prompt"), Some("greet"), _) => Vec::new(),
        (Some("ref/resource"), _, Some(resources::NOTES)) if argument == "id" => {
            (1..=LAST_NOTE).map(|id| id.to_string()).collect()
        }
        (Some("ref/resource"), _, Some(resources::NOTES)) => Vec::new(),
        _ => {
            return Err(Fault::invalid_params(
                "Invalid params: ref names no prompt or template",
            ));
        }
    };
    let mut values: Vec<String> = choices
        .into_iter()
        .filter(|choice| choice.starts_with(typed))
        .collect();
    let total = values.len();
    // No revision allows more than a hundred.
    values.truncate(100);
    Ok(json!({ "completion": { "hasMore": values.len() < total, "total": total, "values": values } }))
}
