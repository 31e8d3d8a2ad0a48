//! Arguments that the operator gives a tool: JSON, in which text may have holes.

use std::fmt;

use config::{Environment, Field, Lookup, Missing, Node, Template, Value, scalar};
use serde_json::value::RawValue;

use crate::principal;

/// An argument, and what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) name: String,
    given: Given,
    /// What is given as JSON, where clients may read it: nothing of it came from the environment, a file or a call.
    pub(super) shown: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
enum Given {
    Json(String),
    PerCall(Template),
}

/// Arguments that a call cannot be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfilled {
    /// The call does not bring what one is made of.
    Missing {
        /// The argument.
        argument: String,
        /// What is missing.
        missing: Missing,
    },
    /// Those of its client are no object.
    NoObject,
}

impl Argument {
    /// JSON, for one call.
    pub(super) fn text(&self, call: &dyn Lookup) -> Result<String, Unfilled> {
        let template = match &self.given {
            Given::Json(text) => return Ok(text.clone()),
            Given::PerCall(template) => template,
        };
        let text = template.render(call).map_err(|missing| Unfilled::Missing {
            argument: self.name.clone(),
            missing,
        })?;
        Ok(quoted(&text))
    }
}

/// Never what is given: it may have come from a file of secrets.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Display for Unfilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { argument, missing } => write!(
                f,
                "the tool's argument `{argument}` needs `{}:{}`, which this request does not bring",
                missing.kind, missing.name
            ),
            Self::NoObject => f.write_str("`params.arguments` is no object"),
        }
    }
}

/// Reads a map of arguments.
pub(super) fn arguments(field: &Field<'_>, environment: &dyn Environment) -> Vec<Argument> {
    let entries = field.entries().unwrap_or_default().into_iter();
    let arguments = entries.filter_map(|(name, field)| {
        let (given, shown) = given(&field, environment)?;
        Some(Argument {
            name: name.value,
            given,
            shown,
        })
    });
    arguments.collect()
}

fn given(field: &Field<'_>, environment: &dyn Environment) -> Option<(Given, Option<String>)> {
    let node = field.node()?;
    let Value::Text(written) = &node.value else {
        let mut json = String::new();
        if let Err(number) = write(node, &mut json) {
            let text = format!("`{}` is no number that JSON knows", scalar::shown(&number));
            field.report(text, Some("write its digits alone, or put it in quotes"));
            return None;
        }
        return Some((Given::Json(json.clone()), Some(json)));
    };
    let template = field.template(environment)?.value;
    if !principal::has_what(&template, field) {
        return None;
    }
    match template.as_static().map(quoted) {
        Some(json) => {
            let shown = (!written.contains("${")).then(|| json.clone());
            Some((Given::Json(json), shown))
        }
        None => Some((Given::PerCall(template), None)),
    }
}

/// Writes a node as JSON.
///
/// # Errors
/// The number that has no form there.
fn write(node: &Node, json: &mut String) -> Result<(), String> {
    match &node.value {
        Value::Null => *json += "null",
        Value::Bool(said) => *json += if *said { "true" } else { "false" },
        Value::Number(number) => {
            serde_json::from_str::<&RawValue>(number).map_err(|_| number.clone())?;
            *json += number;
        }
        Value::Text(said) => *json += &quoted(said),
        Value::List(items) => {
            for (place, item) in items.iter().enumerate() {
                json.push(if place == 0 { '[' } else { ',' });
                write(item, json)?;
            }
            *json += if items.is_empty() { "[]" } else { "]" };
        }
        Value::Map(entries) => {
            for (place, entry) in entries.iter().enumerate() {
                json.push(if place == 0 { '{' } else { ',' });
                *json += &quoted(&entry.key);
                json.push(':');
                write(&entry.node, json)?;
            }
            *json += if entries.is_empty() { "{}" } else { "}" };
        }
    }
    Ok(())
}

/// Text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
