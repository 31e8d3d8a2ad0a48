//! Picks: which of a server's names are shown, by patterns in which `*` stands for any letters and `?` for one.

mod uri;

use config::{Field, Located, Value, scalar};
use wildmatch::WildMatch;

/// Which names are shown: those that `allow` says, or all without it, less those that `deny` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pick {
    allow: Option<Vec<Pattern>>,
    deny: Vec<Pattern>,
}

/// A name as it is written in the file, or a pattern of such.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As it is written, and where.
    pub written: Located<String>,
    matches: WildMatch,
    /// The same, where both are URIs as their server may come to read them.
    read: WildMatch,
}

impl PartialEq for Pattern {
    /// Wherever they stand.
    fn eq(&self, other: &Self) -> bool {
        self.written.value == other.written.value
    }
}

impl Eq for Pattern {}

impl Pick {
    /// Reads a list, which allows, or a map of `allow` and `deny`.
    pub fn check(field: &Field<'_>) -> Self {
        if !matches!(field.node().map(|node| &node.value), Some(Value::Map(_))) {
            return Self {
                allow: patterns(field),
                deny: Vec::new(),
            };
        }
        let Some(mut fields) = field.fields() else {
            return Self::default();
        };
        let pick = Self::of(&fields.optional("allow"), &fields.optional("deny"));
        fields.finish();
        pick
    }

    /// Those that these fields allow and deny.
    pub(crate) fn of(allow: &Field<'_>, deny: &Field<'_>) -> Self {
        Self {
            allow: patterns(allow),
            deny: patterns(deny).unwrap_or_default(),
        }
    }

    /// Whether it shows everything.
    pub fn is_all(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }

    /// Whether a name is shown.
    pub fn shows(&self, name: &str) -> bool {
        let said_by = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches.matches(name));
        self.allow.as_deref().is_none_or(said_by) && !said_by(&self.deny)
    }

    /// Whether a URI is shown: as it is written, and as its server may come to read it.
    pub fn shows_uri(&self, uri: &str) -> bool {
        let read = uri::normal(uri);
        let said_by = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.read.matches(&read));
        let shown = self.allow.as_deref().is_none_or(said_by) && !said_by(&self.deny);
        shown && self.shows(uri)
    }

    /// All that it names. A pattern of what is denied may be there for what is still to come.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let denied = self
            .deny
            .iter()
            .filter(|pattern| !pattern.written.value.contains(['*', '?']));
        self.allow.iter().flatten().chain(denied)
    }
}

impl Pattern {
    pub(crate) fn new(written: Located<String>) -> Self {
        Self {
            matches: WildMatch::new(&written.value),
            read: WildMatch::new(&uri::normal(&written.value)),
            written,
        }
    }

    /// Whether it says this name.
    pub fn matches(&self, name: &str) -> bool {
        self.matches.matches(name)
    }

    /// Whether it says this URI, as its server may come to read it ([`read`]).
    pub(crate) fn matches_read(&self, read: &str) -> bool {
        self.read.matches(read)
    }
}

/// A URI as its server may come to read it.
pub(crate) fn read(uri: &str) -> String {
    uri::normal(uri)
}

/// Reads a list of them.
pub(crate) fn patterns(field: &Field<'_>) -> Option<Vec<Pattern>> {
    let items = field.list()?;
    let mut patterns: Vec<Pattern> = Vec::with_capacity(items.len());
    for item in items {
        let Some(written) = item.text() else { continue };
        if written.value.is_empty() {
            item.report("nothing has an empty name", Some("`*` is everything"));
        } else if patterns
            .iter()
            .any(|pattern| pattern.written.value == written.value)
        {
            let text = format!("`{}` is written twice", scalar::shown(&written.value));
            item.report(text, Some("keep one of them"));
        } else {
            patterns.push(Pattern::new(written));
        }
    }
    Some(patterns)
}
