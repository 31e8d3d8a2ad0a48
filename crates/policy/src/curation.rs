//! Curation: what of a server is shown at a route, as what, and with which arguments its tools are called.
//!
//! Everything here is said on the names that the server gives (*original* ones), and says the same of a list and of a
//! call: what is not shown cannot be called. An upstream has one, for wherever it is shown; a route may have another
//! for each of its upstreams, which shows less of it ([`Curation::within`]). A curation knows no list: each item and
//! each call is judged by itself, so that it costs no memory and is the same on every replica.

mod argument;
mod change;

use std::collections::BTreeMap;

use bytes::Bytes;
use config::{Environment, Field, Fields, Located, Lookup, Value, scalar};

use crate::pick::{Pattern, Pick};
use change::Change;

pub use argument::Unfilled;

/// What of a server is shown, and as what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Curation {
    /// All of these must show a tool.
    tools: Vec<Pick>,
    prompts: Vec<Pick>,
    resources: Vec<Pick>,
    /// By original name.
    changes: BTreeMap<Box<str>, Change>,
    /// Original names by those that were given to them.
    renamed: BTreeMap<Box<str>, Box<str>>,
}

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource by its URI, or a template of such.
    Resource,
}

impl Curation {
    /// Reads `tools`, `prompts` and `resources` of an upstream, or of an upstream's part in a route.
    pub fn check(fields: &mut Fields<'_>, environment: &dyn Environment) -> Self {
        let mut curation = Self::default();
        let tools = fields.optional("tools");
        let is_map = matches!(tools.node().map(|node| &node.value), Some(Value::Map(_)));
        if is_map && let Some(mut fields) = tools.fields() {
            let pick = Pick::of(&fields.optional("allow"), &fields.optional("deny"));
            curation.tools.push(pick);
            curation.rename(&fields.optional("rename"));
            curation.change(&fields.optional("change"), environment);
            fields.finish();
        } else {
            curation.tools.push(Pick::check(&tools));
        }
        curation.prompts.push(Pick::check(&fields.optional("prompts")));
        curation
            .resources
            .push(Pick::check(&fields.optional("resources")));
        for picks in [
            &mut curation.tools,
            &mut curation.prompts,
            &mut curation.resources,
        ] {
            picks.retain(|pick| !pick.is_all());
        }
        curation.named();
        curation
    }

    /// What both show: this one, of a route, within that of the upstream. Where both change the same, this one does,
    /// but for an argument that the upstream fixes.
    #[must_use]
    pub fn within(self, upstream: &Self) -> Self {
        let all = |outer: &[Pick], inner: Vec<Pick>| outer.iter().cloned().chain(inner).collect();
        let mut changes = upstream.changes.clone();
        for (tool, change) in self.changes {
            let outer = changes.remove(&tool);
            let change = match outer {
                Some(outer) => change.within(outer),
                None => change,
            };
            changes.insert(tool, change);
        }
        let mut both = Self {
            tools: all(&upstream.tools, self.tools),
            prompts: all(&upstream.prompts, self.prompts),
            resources: all(&upstream.resources, self.resources),
            changes,
            renamed: BTreeMap::new(),
        };
        both.named();
        both
    }

    /// Two tools that are called the same, and what.
    pub fn clash(&self) -> Option<(&str, [&str; 2])> {
        let mut named: BTreeMap<&str, &str> = BTreeMap::new();
        let mut shown = self
            .changes
            .iter()
            .filter(|(original, _)| self.shows(What::Tool, original));
        shown.find_map(|(original, change)| {
            let before = named.insert(change.name()?, original);
            before.map(|before| (change.name().unwrap_or_default(), [before, &**original]))
        })
    }

    /// Whether it shows everything as it is.
    pub fn is_plain(&self) -> bool {
        self.tools.is_empty()
            && self.prompts.is_empty()
            && self.resources.is_empty()
            && self.changes.is_empty()
    }

    /// Whether that of this original name is shown.
    pub fn shows(&self, what: What, original: &str) -> bool {
        match what {
            What::Tool => self.tools.iter().all(|pick| pick.shows(original)),
            What::Prompt => self.prompts.iter().all(|pick| pick.shows(original)),
            What::Resource => self.resources.iter().all(|pick| pick.shows_uri(original)),
        }
    }

    /// What a tool is called; none when it is not shown, be it that another one has its name now.
    pub fn called<'n>(&'n self, original: &'n str) -> Option<&'n str> {
        if !self.shows(What::Tool, original) {
            return None;
        }
        if let Some(name) = self.name_of(original) {
            return Some(name);
        }
        (!self.renamed.contains_key(original)).then_some(original)
    }

    /// Which tool is called so; none when none is that is shown. A tool that was given a name answers to its own too:
    /// the parts of a server that run at its client's (MCP Apps) know no other.
    pub fn meant<'n>(&'n self, called: &'n str) -> Option<&'n str> {
        let original = self.renamed.get(called).map_or(called, |original| &**original);
        self.shows(What::Tool, original).then_some(original)
    }

    /// The tool of this original name as it is shown, but for its name: `None` when nothing of it is changed.
    pub fn tool(&self, original: &str, item: &[u8]) -> Option<Bytes> {
        self.changes.get(original)?.item(item)
    }

    /// The arguments that this tool is called with, of those that its client gave: `None` when these are they.
    ///
    /// # Errors
    /// When the call does not bring what one of ours is made of, or its own are no object.
    pub fn arguments(
        &self,
        original: &str,
        given: Option<&[u8]>,
        call: &dyn Lookup,
    ) -> Result<Option<Bytes>, Unfilled> {
        match self.changes.get(original) {
            Some(change) => change.arguments(given, call),
            None => Ok(None),
        }
    }

    /// What it says of names that are not among these, which are all there are of that kind.
    pub fn unknown(&self, what: What, known: &[&str]) -> Vec<&Located<String>> {
        let picks = match what {
            What::Tool => &self.tools,
            What::Prompt => &self.prompts,
            What::Resource => &self.resources,
        };
        let patterns = picks.iter().flat_map(Pick::patterns);
        let of_nothing = |pattern: &&Pattern| !known.iter().any(|name| pattern.matches(name));
        let mut unknown: Vec<_> = patterns
            .filter(of_nothing)
            .map(|pattern| &pattern.written)
            .collect();
        if what == What::Tool {
            let changes = self.changes.values().map(Change::written);
            unknown.extend(changes.filter(|written| !known.contains(&written.value.as_str())));
        }
        unknown
    }

    fn rename(&mut self, field: &Field<'_>) {
        for (original, field) in field.entries().unwrap_or_default() {
            let Some(name) = field.text() else { continue };
            if name.value.is_empty() {
                field.report("a tool needs a name", None);
                continue;
            }
            let change = self.changes.entry(original.value.as_str().into());
            change.or_insert_with(|| Change::of(original)).rename(&name.value);
        }
        if let Some((called, [one, other])) = self.clash() {
            let (one, other) = (scalar::shown(one), scalar::shown(other));
            let text = format!(
                "`{one}` and `{other}` are both to be called `{}`",
                scalar::shown(called)
            );
            field.report(text, Some("give each a name of its own"));
        }
    }

    fn change(&mut self, field: &Field<'_>, environment: &dyn Environment) {
        for (original, field) in field.entries().unwrap_or_default() {
            let Some(mut fields) = field.fields() else {
                continue;
            };
            let change = self.changes.entry(original.value.as_str().into());
            change
                .or_insert_with(|| Change::of(original))
                .check(&mut fields, environment);
            fields.finish();
        }
    }

    fn name_of(&self, original: &str) -> Option<&str> {
        self.changes.get(original)?.name()
    }

    /// Finds which names are given, to tools that are shown.
    fn named(&mut self) {
        let named = self.changes.iter().filter_map(|(original, change)| {
            let shown = self.shows(What::Tool, original);
            Some((change.name().filter(|_| shown)?.into(), original.clone()))
        });
        self.renamed = named.collect();
    }
}
