//! The resources: a text, a picture, one that changes, and a template.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::call::Call;
use super::message::Fault;
use super::revision::Revision;
use super::server::page;

pub(super) const COUNTER: &str = "demo://counter";
pub(super) const NOTES: &str = "demo://notes/{id}";

/// The ids that notes have, from one on.
pub(super) const LAST_NOTE: u32 = 150;

/// One grey pixel.
pub(super) const LOGO: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";

pub(super) fn list(call: &Call) -> Result<Value, Fault> {
    let resources = vec![
        json!({
            "uri": "demo://greeting", "name": "greeting", "title": "Greeting",
            "description": "A friendly text.", "mimeType": "text/plain", "size": GREETING.len(),
        }),
        json!({
            "uri": "demo://logo.png", "name": "logo", "title": "Logo",
            "description": "A picture of one pixel.", "mimeType": "image/png",
        }),
        json!({
            "uri": COUNTER, "name": "counter", "title": "Counter",
            "description": "How often the tool `counter` was called. Can be subscribed to.",
            "mimeType": "text/plain",
        }),
    ];
    page(call, "resources", worded(resources, call.revision()), 50)
}

pub(super) fn templates(call: &Call) -> Result<Value, Fault> {
    let templates = vec![json!({
        "uriTemplate": NOTES, "name": "note", "title": "Note",
        "description": format!("A note; ids go from 1 to {LAST_NOTE}."), "mimeType": "text/plain",
    })];
    page(call, "resourceTemplates", worded(templates, call.revision()), 50)
}

pub(super) fn read(call: &Call) -> Result<Value, Fault> {
    let uri = uri(call)?;
    let contents = match uri {
        "demo://greeting" => greeting(),
        "demo://logo.png" => json!({ "uri": uri, "mimeType": "image/png", "blob": LOGO }),
        COUNTER => text(uri, call.server.counter.load(Ordering::Relaxed).to_string()),
        _ => match note(uri) {
            Some(id) => text(uri, format!("This is note {id}.")),
            None => return Err(not_found(call, uri)),
        },
    };
    Ok(json!({ "contents": [contents] }))
}

pub(super) fn greeting() -> Value {
    text("demo://greeting", GREETING.to_owned())
}

pub(super) fn exists(uri: &str) -> bool {
    matches!(uri, "demo://greeting" | "demo://logo.png" | COUNTER) || note(uri).is_some()
}

/// The `uri` of a request's params.
pub(super) fn uri(call: &Call) -> Result<&str, Fault> {
    let uri = call.param("uri").and_then(Value::as_str);
    uri.ok_or_else(|| Fault::invalid_params("Invalid params: uri must be a string"))
}

/// 2026-07-28 retired -32002 (server/resources §Error Handling).
pub(super) fn not_found(call: &Call, uri: &str) -> Fault {
    let code = if call.revision().is_modern() {
        -32602
    } else {
        -32002
    };
    Fault::new(code, "Resource not found").data(json!({ "uri": uri }))
}

const GREETING: &str = "Hello from the demo server.";

fn note(uri: &str) -> Option<u32> {
    let id = uri.strip_prefix("demo://notes/")?;
    let number = id
        .parse()
        .ok()
        .filter(|number| (1..=LAST_NOTE).contains(number))?;
    // `+1` and `01` parse as well, but name no note.
    (number.to_string() == id).then_some(number)
}

fn text(uri: &str, text: String) -> Value {
    json!({ "uri": uri, "mimeType": "text/plain", "text": text })
}

/// Titles came with 2025-06-18.
pub(super) fn worded(mut items: Vec<Value>, revision: Revision) -> Vec<Value> {
    if revision < Revision::V2506 {
        for members in items.iter_mut().filter_map(Value::as_object_mut) {
            members.remove("title");
        }
    }
    items
}
