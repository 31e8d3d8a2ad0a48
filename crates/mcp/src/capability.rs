//! What a client says it can do, read off the JSON it sent.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::json;

/// The identifier of the tasks extension (SEP-2663).
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// The identifier of the extension for user interfaces (MCP Apps, SEP-1865).
pub const UI_EXTENSION: &str = "io.modelcontextprotocol/ui";

/// A view of a `ClientCapabilities` object, of any revision.
///
/// It only answers whether something was declared. What is not an object declares nothing.
#[derive(Clone, Copy, Debug)]
pub struct ClientCapabilities<'a> {
    json: &'a [u8],
}

impl<'a> ClientCapabilities<'a> {
    /// A view of that JSON text.
    pub fn new(json: &'a [u8]) -> ClientCapabilities<'a> {
        ClientCapabilities { json }
    }

    /// May be asked for a completion by a model.
    pub fn sampling(self) -> bool {
        self.object("sampling").is_some()
    }

    /// May be asked for its roots.
    pub fn roots(self) -> bool {
        self.object("roots").is_some()
    }

    /// May be asked to fill in a form. Saying neither mode means this one (2025-11-25 client/elicitation).
    pub fn elicitation_form(self) -> bool {
        self.object("elicitation").is_some_and(|modes| {
            json::member(modes, "form").is_some_and(is_object) || json::member(modes, "url").is_none()
        })
    }

    /// May be asked to send its user to a URL.
    pub fn elicitation_url(self) -> bool {
        self.object("elicitation")
            .and_then(|modes| json::member(modes, "url"))
            .is_some_and(is_object)
    }

    /// Knows tasks, in the form of 2025-11-25 or as the extension that followed.
    pub fn tasks(self) -> bool {
        self.object("tasks").is_some() || self.extension(TASKS_EXTENSION).is_some()
    }

    /// The settings of an extension, if it was declared.
    pub fn extension(self, identifier: &str) -> Option<&'a [u8]> {
        json::member(self.object("extensions")?, identifier).filter(|settings| is_object(settings))
    }

    /// What this client can be asked and shown, as the JSON text of an object that is the same for all who declare
    /// the same: what is known of it, in one order, without anything else that a client may write there. `{}` for
    /// one that can be asked nothing and shown nothing more.
    ///
    /// Of extensions the one that servers of every revision know passes, [`UI_EXTENSION`], with its settings.
    pub fn canonical(self) -> String {
        let mut members = Vec::new();
        let mut declare = |name: &str, parts: &[&str]| {
            if let Some(declared) = self.object(name) {
                let known = parts
                    .iter()
                    .filter(|part| json::member(declared, part).is_some_and(is_object));
                let known: Vec<_> = known.map(|part| format!(r#""{part}":{{}}"#)).collect();
                members.push(format!(r#""{name}":{{{}}}"#, known.join(",")));
            }
        };
        declare("elicitation", &["form", "url"]);
        declare("roots", &[]);
        declare("sampling", &["context", "tools"]);
        let settings = self.extension(UI_EXTENSION);
        if let Some(settings) = settings.and_then(|settings| serde_json::from_slice(settings).ok()) {
            let settings = sorted(settings);
            members.push(format!(r#""extensions":{{"{UI_EXTENSION}":{settings}}}"#));
        }
        format!("{{{}}}", members.join(","))
    }

    fn object(self, name: &str) -> Option<&'a [u8]> {
        json::member(self.json, name).filter(|value| is_object(value))
    }
}

/// The same value with the members of every object in the order of their names.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<_, _> = members.into_iter().collect();
            members
                .into_iter()
                .map(|(name, value)| (name, sorted(value)))
                .collect()
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn is_object(json: &[u8]) -> bool {
    json.starts_with(b"{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_declares_the_same_declares_it_in_the_same_words() {
        for (declared, canonical) in [
            ("{}", "{}"),
            ("[]", "{}"),
            (r#"{"tasks":{},"roots":"no","sampling":true}"#, "{}"),
            (
                r#"{ "sampling" : {"tools":{"x":1},"context":{},"y":{}}, "z":{}, "roots":{"listChanged":true},
                     "elicitation":{"url":{},"form":{}}}"#,
                r#"{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{"context":{},"tools":{}}}"#,
            ),
            (
                r#"{"extensions":{"x":{},"io.modelcontextprotocol/ui":{"b":[{"d":1,"c":2}], "a":"1"}},"elicitation":{}}"#,
                r#"{"elicitation":{},"extensions":{"io.modelcontextprotocol/ui":{"a":"1","b":[{"c":2,"d":1}]}}}"#,
            ),
        ] {
            assert_eq!(
                ClientCapabilities::new(declared.as_bytes()).canonical(),
                canonical,
                "{declared}"
            );
        }
    }
}
