//! One tool, changed: what its clients read of it, and which arguments it is given besides theirs.

use bytes::Bytes;
use config::{Environment, Fields, Located, Lookup};
use mcp::Object;

use super::argument::{Argument, Unfilled, arguments, quoted};

/// Hints that an operator may know better than a server (2026-07-28, `ToolAnnotations`).
const HINTS: [&str; 4] = [
    "readOnlyHint",
    "destructiveHint",
    "idempotentHint",
    "openWorldHint",
];

/// What is changed of one tool.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// Its original name, and where it is written.
    written: Located<String>,
    what: Changes,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Changes {
    name: Option<Box<str>>,
    title: Option<String>,
    description: Option<String>,
    hints: Vec<(&'static str, bool)>,
    /// What it is given when its client does not say …
    defaults: Vec<Argument>,
    /// … and whatever its client says, who is not shown these.
    fixed: Vec<Argument>,
}

impl PartialEq for Change {
    /// Wherever it is written.
    fn eq(&self, other: &Self) -> bool {
        self.written.value == other.written.value && self.what == other.what
    }
}

impl Eq for Change {}

impl Change {
    /// Nothing yet, of the tool that is written here.
    pub(super) fn of(written: Located<String>) -> Self {
        Self {
            written,
            what: Changes::default(),
        }
    }

    pub(super) fn rename(&mut self, name: &str) {
        self.what.name = Some(name.into());
    }

    /// Reads what is changed besides its name.
    pub(super) fn check(&mut self, fields: &mut Fields<'_>, environment: &dyn Environment) {
        let what = &mut self.what;
        let mut text = |key| {
            let text = fields.optional(key).resolved_text(environment);
            text.map(Located::into_value)
        };
        what.title = text("title");
        what.description = text("description");
        if let Some(mut hints) = fields.optional("annotations").fields() {
            for hint in HINTS {
                let said = hints.optional(hint).flag();
                what.hints.extend(said.map(|said| (hint, said.value)));
            }
            hints.finish();
        }
        what.defaults = arguments(&fields.optional("defaults"), environment);
        let fixed = fields.optional("fixed");
        what.fixed = arguments(&fixed, environment);
        for argument in &what.fixed {
            if what.defaults.iter().any(|default| default.name == argument.name) {
                let name = config::scalar::shown(&argument.name);
                let text = format!("`{name}` has a default too, which would never be used");
                fixed.report(text, Some("keep it in one of `defaults` and `fixed`"));
            }
        }
    }

    /// Both: where they differ this one, of a route, but for what that of the upstream fixes.
    pub(super) fn within(self, upstream: Self) -> Self {
        let (inner, outer) = (self.what, upstream.what);
        Self {
            written: self.written,
            what: Changes {
                name: inner.name.or(outer.name),
                title: inner.title.or(outer.title),
                description: inner.description.or(outer.description),
                hints: first_of_each(inner.hints, outer.hints, |(hint, _)| hint),
                defaults: first_of_each(inner.defaults, outer.defaults, |argument| &argument.name),
                fixed: first_of_each(outer.fixed, inner.fixed, |argument| &argument.name),
            },
        }
    }

    pub(super) fn written(&self) -> &Located<String> {
        &self.written
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.what.name.as_deref()
    }

    /// The tool as its clients read it, but for its name; `None` when that is what it was.
    pub(super) fn item(&self, item: &[u8]) -> Option<Bytes> {
        let item = Object::parse(item).ok()?;
        let mut edits = item.edit();
        for (member, text) in [
            ("title", &self.what.title),
            ("description", &self.what.description),
        ] {
            if let Some(text) = text {
                edits.set(member, quoted(text));
            }
        }
        if !self.what.hints.is_empty() {
            let own = item.get("annotations").and_then(|own| Object::parse(own).ok());
            let own = own.map_or_else(|| Object::parse(b"{}"), Ok).ok()?;
            let mut annotations = own.edit();
            for (hint, said) in &self.what.hints {
                annotations.set(hint, if *said { "true" } else { "false" });
            }
            edits.set("annotations", annotations.apply());
        }
        if let Some(schema) = item.get("inputSchema").and_then(|schema| self.schema(schema)) {
            edits.set("inputSchema", schema);
        }
        (!edits.is_empty()).then(|| edits.apply())
    }

    /// Its schema, without what its client cannot say, and with what it need not say.
    fn schema(&self, schema: &[u8]) -> Option<Bytes> {
        let Changes { defaults, fixed, .. } = &self.what;
        if defaults.is_empty() && fixed.is_empty() {
            return None;
        }
        let schema = Object::parse(schema).ok()?;
        let mut edits = schema.edit();
        let properties = schema.get("properties");
        let properties = properties.and_then(|text| Object::parse(text).ok());
        if let Some(properties) = &properties {
            let mut kept = properties.edit();
            for argument in fixed {
                kept.remove(&argument.name);
            }
            for argument in defaults {
                let property = properties.get(&argument.name);
                let property = property.and_then(|text| Object::parse(text).ok());
                if let (Some(property), Some(shown)) = (property, &argument.shown) {
                    let with_default = property.edit().set("default", shown.clone()).apply();
                    kept.set(&argument.name, with_default);
                }
            }
            edits.set("properties", kept.apply());
        }
        let required = schema.get("required");
        let required = required.and_then(|text| serde_json::from_slice::<Vec<String>>(text).ok());
        if let Some(mut required) = required {
            required.retain(|name| fixed.iter().chain(defaults).all(|given| given.name != *name));
            match required.is_empty() {
                // Older drafts of JSON Schema know no empty one.
                true => edits.remove("required"),
                false => edits.set("required", serde_json::to_string(&required).ok()?),
            };
        }
        Some(edits.apply())
    }

    /// The arguments it is called with; `None` when these are those that its client gave.
    pub(super) fn arguments(
        &self,
        given: Option<&[u8]>,
        call: &dyn Lookup,
    ) -> Result<Option<Bytes>, Unfilled> {
        let Changes { defaults, fixed, .. } = &self.what;
        if defaults.is_empty() && fixed.is_empty() {
            return Ok(None);
        }
        let given = Object::parse(given.unwrap_or(b"{}")).map_err(|_| Unfilled::NoObject)?;
        let mut edits = given.edit();
        // Some servers read names without their case, and take the last.
        for member in given.members() {
            let is_like = |argument: &Argument| {
                argument.name != *member.key && argument.name.to_lowercase() == member.key.to_lowercase()
            };
            if fixed.iter().any(is_like) {
                edits.remove(&member.key);
            }
        }
        for argument in fixed {
            edits.set(&argument.name, argument.text(call)?);
        }
        for argument in defaults {
            if given.get(&argument.name).is_none() {
                edits.set(&argument.name, argument.text(call)?);
            }
        }
        Ok((!edits.is_empty()).then(|| edits.apply()))
    }
}

/// All of both, and of those with the same name the first.
fn first_of_each<T>(mut first: Vec<T>, then: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<T> {
    for item in then {
        if first.iter().all(|other| name(other) != name(&item)) {
            first.push(item);
        }
    }
    first
}
