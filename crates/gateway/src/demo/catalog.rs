//! What the tools say about themselves, in the words of each revision.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::level::Level;
use super::revision::Revision;

/// The argument of `headers` that clients mirror into a header (2026-07-28 SEP-2243).
pub(super) const MIRRORED: (&str, &str, &str) = ("headers", "region", "Region");

/// The definitions as this revision knows them.
pub(super) fn tools(revision: Revision, extra: bool) -> Vec<Value> {
    let listed = TOOLS.iter().filter(|tool| extra || tool["name"] != "extra");
    listed.map(|tool| worded(tool, revision)).collect()
}

/// Leaves out what came later. Older schemas would allow it, but a server of that time would not send it.
fn worded(tool: &Value, revision: Revision) -> Value {
    let mut tool = tool.clone();
    if let Some(members) = tool.as_object_mut() {
        if revision < Revision::V2506 {
            members.remove("title");
            members.remove("outputSchema");
        }
        if revision < Revision::V2503 {
            members.remove("annotations");
        }
    }
    if revision < Revision::V26 {
        let (name, argument, _) = MIRRORED;
        if tool["name"] == name
            && let Some(schema) = tool["inputSchema"]["properties"][argument].as_object_mut()
        {
            schema.remove("x-mcp-header");
        }
    }
    tool
}

static TOOLS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    vec![
        tool(
            "echo",
            "Echo",
            "Returns the text it is given.",
            arguments(json!({ "text": { "type": "string" } })),
            READS,
        ),
        with_output(
            tool(
                "add",
                "Add",
                "Adds two numbers.",
                arguments(json!({ "a": { "type": "number" }, "b": { "type": "number" } })),
                READS,
            ),
            json!({ "type": "object", "properties": { "sum": { "type": "number" } }, "required": ["sum"] }),
        ),
        tool(
            "slow",
            "Slow",
            "Works in steps, reports each as it begins and can be cancelled.",
            arguments(json!({
                "steps": { "type": "integer", "minimum": 1, "maximum": 100 },
                "delay_ms": { "type": "integer", "minimum": 0, "maximum": 60000 },
            })),
            READS,
        ),
        tool(
            "fail",
            "Fail",
            "Fails, as a tool does: with a result that says so.",
            arguments(json!({})),
            READS,
        ),
        tool(
            "error",
            "Error",
            "Answers with a JSON-RPC error.",
            json!({ "type": "object", "properties": { "code": { "type": "integer", "default": -32603 } } }),
            READS,
        ),
        tool(
            "image",
            "Image",
            "Returns a small PNG.",
            arguments(json!({})),
            READS,
        ),
        with_output(
            tool(
                "structured",
                "Structured",
                "Returns nested structured content.",
                arguments(json!({})),
                READS,
            ),
            json!({
                "type": "object",
                "properties": {
                    "place": {
                        "type": "object",
                        "properties": {
                            "name": { "type": "string" },
                            "coordinates": {
                                "type": "object",
                                "properties": { "latitude": { "type": "number" }, "longitude": { "type": "number" } },
                                "required": ["latitude", "longitude"],
                            },
                        },
                        "required": ["name", "coordinates"],
                    },
                    "readings": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "hour": { "type": "integer" },
                                "celsius": { "type": "number" },
                                "rain": { "type": "boolean" },
                            },
                            "required": ["hour", "celsius", "rain"],
                        },
                    },
                },
                "required": ["place", "readings"],
            }),
        ),
        tool(
            "big",
            "Big",
            "Returns a text of that many bytes.",
            arguments(json!({ "bytes": { "type": "integer", "minimum": 0, "maximum": 67108864 } })),
            READS,
        ),
        tool(
            "log",
            "Log",
            "Sends log messages before it answers.",
            json!({
                "type": "object",
                "properties": {
                    "level": { "type": "string", "enum": Level::NAMES, "default": "info" },
                    "count": { "type": "integer", "minimum": 0, "maximum": 1000, "default": 1 },
                },
            }),
            READS,
        ),
        tool(
            "ask",
            "Ask",
            "Asks the user a question and returns the answer.",
            arguments(json!({ "question": { "type": "string" } })),
            OPEN,
        ),
        tool(
            "sample",
            "Sample",
            "Has the client's model answer a prompt.",
            arguments(json!({ "prompt": { "type": "string" } })),
            OPEN,
        ),
        tool(
            "roots",
            "Roots",
            "Lists the client's roots.",
            arguments(json!({})),
            OPEN,
        ),
        tool(
            "headers",
            "Headers",
            "Returns the HTTP headers of this very request as JSON.",
            json!({
                "type": "object",
                "properties": { "region": { "type": "string", "x-mcp-header": MIRRORED.2 } },
            }),
            READS,
        ),
        tool(
            "environment",
            "Environment",
            "Returns the values of environment variables as JSON.",
            arguments(json!({ "names": { "type": "array", "items": { "type": "string" } } })),
            READS,
        ),
        tool(
            "counter",
            "Counter",
            "Counts its calls in this process.",
            arguments(json!({})),
            WRITES,
        ),
        tool(
            "pid",
            "Process",
            "Returns the id of the server's process.",
            arguments(json!({})),
            READS,
        ),
        tool(
            "touch",
            "Touch",
            "Adds the tool `extra`, or removes it, and tells those who listen.",
            arguments(json!({})),
            DESTROYS,
        ),
        tool(
            "link",
            "Link",
            "Returns a link to a resource and a resource itself.",
            arguments(json!({})),
            READS,
        ),
        tool(
            "cancelled",
            "Cancelled",
            "Tells how many calls were cancelled so far.",
            arguments(json!({})),
            READS,
        ),
        tool(
            "extra",
            "Extra",
            "Comes and goes with `touch`.",
            arguments(json!({})),
            READS,
        ),
    ]
});

/// What a tool does to the world: read only, destructive, idempotent, open world.
type Hints = (bool, bool, bool, bool);
const READS: Hints = (true, false, true, false);
const OPEN: Hints = (true, false, false, true);
const WRITES: Hints = (false, false, false, false);
const DESTROYS: Hints = (false, true, false, false);

fn tool(name: &str, title: &str, description: &str, input: Value, hints: Hints) -> Value {
    let (reads, destroys, repeats, open) = hints;
    json!({
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": input,
        "annotations": {
            "title": title,
            "readOnlyHint": reads,
            "destructiveHint": destroys,
            "idempotentHint": repeats,
            "openWorldHint": open,
        },
    })
}

/// An input schema whose properties are all required.
fn arguments(properties: Value) -> Value {
    let required: Vec<String> = properties
        .as_object()
        .into_iter()
        .flat_map(|members| members.keys().cloned())
        .collect();
    if required.is_empty() {
        return json!({ "type": "object" });
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

fn with_output(mut tool: Value, schema: Value) -> Value {
    tool["outputSchema"] = schema;
    tool
}
