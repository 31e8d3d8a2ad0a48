//! A list of tools without those that no client may list: a call of one could not be made, since its schema wants
//! arguments repeated in headers that do not work (2026-07-28 basic/transports/streamable-http §Custom Headers).

use serde_json::value::RawValue;

use super::parameters::{ANNOTATION, InvalidAnnotation, Parameters};
use crate::message::Message;
use crate::object::Object;

/// A tool that was taken out of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlisted {
    /// Its name, as its server wrote it; empty if that is no text.
    pub name: String,
    /// What is wrong with it.
    pub why: InvalidAnnotation,
}

/// The answer to a `tools/list` without the tools whose annotations are invalid, and which they were. The very same
/// bytes if there are none, and whatever is no such answer as it is; the other tools are always as they were.
pub fn listed(answer: &Message) -> (Message, Vec<Unlisted>) {
    let nothing = || (answer.clone(), Vec::new());
    // Hardly any list has one, and a name may be written with escapes.
    let may_have = |word: &str| memchr::memmem::find(answer.bytes(), word.as_bytes()).is_some();
    if !may_have(ANNOTATION) && !may_have("\\u") {
        return nothing();
    }
    let result = answer.result().and_then(|result| Object::parse(result).ok());
    let (Some(result), Some(id)) = (result, answer.id()) else {
        return nothing();
    };
    let tools = result.get("tools");
    let Some(tools) = tools.and_then(|tools| serde_json::from_slice::<Vec<&RawValue>>(tools).ok()) else {
        return nothing();
    };
    let mut unlisted = Vec::new();
    let mut kept: Vec<&str> = Vec::with_capacity(tools.len());
    for tool in tools.iter().map(|tool| tool.get()) {
        match judge(tool) {
            Some(found) => unlisted.push(found),
            None => kept.push(tool),
        }
    }
    if unlisted.is_empty() {
        return nothing();
    }
    let mut edits = result.edit();
    edits.set("tools", format!("[{}]", kept.join(",")).into_bytes());
    let result = edits.apply();
    (
        Message::result_reply(id, &String::from_utf8_lossy(&result)),
        unlisted,
    )
}

/// What is wrong with a tool, if it is that.
fn judge(tool: &str) -> Option<Unlisted> {
    let tool = Object::parse(tool.as_bytes()).ok()?;
    let schema = tool.get("inputSchema")?;
    let why = Parameters::of_schema(schema).err()?;
    let name = tool.get_text("name").unwrap_or_default().into_owned();
    Some(Unlisted { name, why })
}
