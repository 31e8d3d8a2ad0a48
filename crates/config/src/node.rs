//! The document as a tree that remembers where everything stood, and how its numbers were written.
//!
//! Parsing is `serde-saphyr`'s: YAML 1.2, where `yes`, `on` and `off` are text, with anchors and merge keys,
//! and with bounds on depth, size and what aliases may unfold to. Keys written twice are kept until they have
//! been reported with both lines.

mod explain;
mod found;

use std::collections::HashMap;
use std::fmt;

use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Spanned};

use found::{Found, Shape};

use crate::problem::{self, Problem, Problems};
use crate::source::Source;

/// How deep lists and maps may nest. Parsing recurses, and a debug build spends 33 KiB of a 2 MiB stack on
/// each level.
const DEEPEST: usize = 24;
/// How many nodes a document may hold.
const MOST_NODES: usize = 250_000;
/// How many its aliases may add.
const MOST_ALIASED: usize = 25_000;

/// A value and the place where it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins; for an alias, where it is used.
    pub at: Location,
    /// What it is.
    pub value: Value,
}

/// What a node can be.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// `~`, `null`, or nothing after the colon.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// Anything else that is one word or many.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the document, each key once.
    Map(Vec<Entry>),
}

/// A key of a mapping and what it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub at: Location,
    /// Its value.
    pub node: Node,
}

/// A line and a column, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl Value {
    /// The kind, as an operator would call it: `a list`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// The shape alone: any value may be a secret.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => f.write_str(self.kind()),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Map(entries) => f
                .debug_map()
                .entries(entries.iter().map(|entry| (&entry.key, &entry.node)))
                .finish(),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.key, self.node)
    }
}

impl From<serde_saphyr::Location> for Location {
    fn from(found: serde_saphyr::Location) -> Self {
        let bounded = |count: u64| u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        Self {
            line: bounded(found.line()),
            column: bounded(found.column()),
        }
    }
}

/// Reads a document; see [`Source::parse`].
pub(crate) fn parse(source: &Source, problems: &Problems) -> Option<Node> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEEPEST, max_nodes: MOST_NODES, flow_nesting_limit: DEEPEST },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_ALIASED },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Found>(source.text(), options) {
        Ok(found) => Some(settle(found, "", source, problems)),
        Err(error) => {
            problems.add(explain::explain(&error, source));
            None
        }
    }
}

/// Turns what was found into a tree with each key once, and tells of those that were written twice.
fn settle(Found(found): Found, path: &str, source: &Source, problems: &Problems) -> Node {
    let at = found.referenced.into();
    let value = match found.value {
        Shape::Null => Value::Null,
        Shape::Bool(flag) => Value::Bool(flag),
        Shape::Number(number) => Value::Number(as_written(found.defined, source).unwrap_or(number)),
        Shape::Text(text) => Value::Text(text),
        Shape::List(items) => Value::List(
            items
                .into_iter()
                .enumerate()
                .map(|(index, item)| settle(item, &problem::item(path, index), source, problems))
                .collect(),
        ),
        Shape::Map(pairs) => Value::Map(settle_pairs(pairs, path, source, problems)),
    };
    Node { at, value }
}

fn settle_pairs(
    pairs: Vec<(Spanned<String>, Found)>,
    path: &str,
    source: &Source,
    problems: &Problems,
) -> Vec<Entry> {
    let mut first_seen = HashMap::<String, Location>::new();
    let mut entries = Vec::with_capacity(pairs.len());
    for (key, found) in pairs {
        let at = Location::from(key.referenced);
        let below = problem::join(path, &key.value);
        if let Some(first) = first_seen.get(&key.value) {
            let text = format!(
                "`{}` is written twice, here and in line {}",
                key.value, first.line
            );
            problems.add(Problem::new(Some(at), path, text).hint("keep one of them"));
            continue;
        }
        let node = settle(found, &below, source, problems);
        first_seen.insert(key.value.clone(), at);
        entries.push(Entry {
            key: key.value,
            at,
            node,
        });
    }
    entries
}

/// A number's own text: `1_000` and `007` are not ours to change.
fn as_written(defined: serde_saphyr::Location, source: &Source) -> Option<String> {
    let start = usize::try_from(defined.span().byte_offset()?).ok()?;
    let length = usize::try_from(defined.span().byte_len()?).ok()?;
    let written = source.text().get(start..start.checked_add(length)?)?.trim();
    let plain =
        !written.is_empty() && !written.contains(|c: char| c.is_whitespace() || c == '"' || c == '\'');
    plain.then(|| written.to_owned())
}
