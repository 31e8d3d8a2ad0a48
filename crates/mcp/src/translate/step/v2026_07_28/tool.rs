//! What tools may say of their schemas, and their results be, before and since 2026-07-28.

use super::super::Listing;
use super::super::v2025_11_25::needs_no_task;
use crate::patch::Patch;
use crate::translate::structured::as_text;
use crate::translate::value::Value;

const SCHEMAS: [&str; 2] = ["inputSchema", "outputSchema"];

/// Before, a result's schema is of an object, and so is each property's.
pub(super) fn down(tool: Value<'_>, patch: &mut Patch) -> Listing {
    let Some(tool) = tool.members(&SCHEMAS) else {
        return Listing::Shown;
    };
    let others = tool
        .all("outputSchema")
        .any(|schema| of_object(schema) != Some(true));
    tool.change(|name| name == "outputSchema" && others, &[], patch);
    for schema in SCHEMAS.iter().flat_map(|name| tool.all(name)) {
        let schema = schema.members(&["properties"]);
        for properties in schema.iter().flat_map(|schema| schema.all("properties")) {
            properties.each_member(|property| match property.raw() {
                "true" => patch.replace(property.place(), "{}"),
                "false" => patch.replace(property.place(), r#"{"not":{}}"#),
                _ => {}
            });
        }
    }
    Listing::Shown
}

/// Since, the arguments' schema says that they are an object. Servers have been seen to leave that out; what says
/// something else cannot be called. A tool that must be called as a task cannot either.
pub(super) fn up(tool: Value<'_>, patch: &mut Patch) -> Listing {
    if needs_no_task(tool) == Listing::Hidden {
        return Listing::Hidden;
    }
    let Some(members) = tool.members(&SCHEMAS) else {
        return Listing::Shown;
    };
    let Some(input) = members.get("inputSchema") else {
        tool.append(r#""inputSchema":{"type":"object"}"#, patch);
        return Listing::Shown;
    };
    match of_object(input) {
        Some(true) => Listing::Shown,
        None if input.is_object() => {
            input.append(r#""type":"object""#, patch);
            Listing::Shown
        }
        _ => Listing::Hidden,
    }
}

/// Before, what a tool of the client's model has found out is an object, also within a conversation.
pub(super) fn results_down(params: Value<'_>, patch: &mut Patch) {
    let params = params.members(&["messages"]);
    for messages in params.iter().flat_map(|params| params.all("messages")) {
        messages.each(|message| {
            let message = message.members(&["content"]);
            for content in message.iter().flat_map(|message| message.all("content")) {
                content.each_by("type", |block, kind| {
                    if kind.and_then(Value::string).as_deref() == Some("tool_result") {
                        result_down(block, patch);
                    }
                });
            }
        });
    }
}

fn result_down(block: Value<'_>, patch: &mut Patch) {
    let Some(block) = block.members(&["structuredContent", "content"]) else {
        return;
    };
    let unstructured = as_text(&block, patch);
    block.change(|name| name == "structuredContent" && unstructured, &[], patch);
}

/// Whether a schema's `type` is `object`, if it has any.
fn of_object(schema: Value<'_>) -> Option<bool> {
    let kind = schema.members(&["type"])?.get("type")?;
    Some(kind.string().as_deref() == Some("object"))
}
