//! What a follower wants to hear of, and what of it a server says it will tell.

use std::collections::BTreeSet;
use std::fmt;

use mcp::Object;

/// The members of a `notifications` filter (2026-07-28 basic/patterns/subscriptions).
const TOOLS: &str = "toolsListChanged";
const PROMPTS: &str = "promptsListChanged";
const RESOURCES: &str = "resourcesListChanged";
const URIS: &str = "resourceSubscriptions";

/// Kinds of changes: of three lists, and of resources by their URI.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// `notifications/tools/list_changed`.
    pub tools: bool,
    /// `notifications/prompts/list_changed`.
    pub prompts: bool,
    /// `notifications/resources/list_changed`.
    pub resources: bool,
    /// `notifications/resources/updated` of these, and of what lies below them in their path.
    pub uris: BTreeSet<Box<str>>,
}

impl Interest {
    /// What a `notifications` filter names, whether it is a client's wish or a server's word. Members of
    /// other names, and values that are no part of a filter, name nothing.
    pub fn of_filter(text: &[u8]) -> Self {
        let Ok(filter) = Object::parse(text) else {
            return Self::default();
        };
        let named = |kind: &str| filter.get(kind) == Some(b"true");
        let uris = filter.get(URIS).unwrap_or_default();
        let uris: Vec<serde_json::Value> = serde_json::from_slice(uris).unwrap_or_default();
        Self {
            tools: named(TOOLS),
            prompts: named(PROMPTS),
            resources: named(RESOURCES),
            uris: uris
                .iter()
                .filter_map(|uri| uri.as_str().map(Into::into))
                .collect(),
        }
    }

    /// The filter that names this: the JSON text of an object. What is not wanted is left out.
    pub fn filter(&self) -> String {
        let kinds = [
            (TOOLS, self.tools),
            (PROMPTS, self.prompts),
            (RESOURCES, self.resources),
        ];
        let mut members: Vec<String> = kinds
            .iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(kind, _)| format!(r#""{kind}":true"#))
            .collect();
        if !self.uris.is_empty() {
            let uris = serde_json::to_string(&self.uris).unwrap_or_default();
            members.push(format!(r#""{URIS}":{uris}"#));
        }
        format!("{{{}}}", members.join(","))
    }

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        !self.tools && !self.prompts && !self.resources && self.uris.is_empty()
    }

    /// Whether all of it is in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        (!self.tools || other.tools)
            && (!self.prompts || other.prompts)
            && (!self.resources || other.resources)
            && self.uris.is_subset(&other.uris)
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            tools: self.tools || other.tools,
            prompts: self.prompts || other.prompts,
            resources: self.resources || other.resources,
            uris: self.uris.union(&other.uris).cloned().collect(),
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            tools: self.tools && other.tools,
            prompts: self.prompts && other.prompts,
            resources: self.resources && other.resources,
            uris: self.uris.intersection(&other.uris).cloned().collect(),
        }
    }

    /// What is in this and not in the other.
    pub(super) fn without(&self, other: &Self) -> Self {
        Self {
            tools: self.tools && !other.tools,
            prompts: self.prompts && !other.prompts,
            resources: self.resources && !other.resources,
            uris: self.uris.difference(&other.uris).cloned().collect(),
        }
    }

    /// Whether a change of the resource at this URI is wanted: of itself, or of one that it lies below.
    pub(super) fn names(&self, uri: &str) -> bool {
        !self.uris.is_empty() && (self.uris.contains(uri) || self.ancestor(uri).is_some())
    }

    /// The nearest of the wanted URIs that this one lies below. Only the path counts, and one with steps
    /// back in it lies below nothing: where it leads is the server's to say.
    pub(super) fn ancestor(&self, uri: &str) -> Option<&str> {
        let end = uri.find(['?', '#']).unwrap_or(uri.len());
        let path = uri.get(..end)?;
        let start = path
            .find("://")
            .map_or_else(|| path.find(':'), |at| Some(at + 2))?
            + 1;
        if path
            .get(start..)?
            .split('/')
            .any(|step| matches!(step, "." | ".."))
        {
            return None;
        }
        let slashes = path.rmatch_indices('/').map(|(at, _)| at);
        // With its slash and without: `file:///a/` and `file:///a` both contain `file:///a/b`.
        slashes
            .take_while(|at| *at >= start)
            .flat_map(|at| [at + 1, at])
            .filter(|end| *end < uri.len())
            .find_map(|end| self.uris.get(uri.get(..end)?))
            .map(AsRef::as_ref)
    }
}

/// Which lists, and how many resources: their URIs are the business of those who follow them.
impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest")
            .field("tools", &self.tools)
            .field("prompts", &self.prompts)
            .field("resources", &self.resources)
            .field("uris", &self.uris.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uris(uris: &[&str]) -> Interest {
        Interest {
            uris: uris.iter().map(|uri| (*uri).into()).collect(),
            ..Interest::default()
        }
    }

    #[test]
    fn a_filter_is_read_as_it_is_written() {
        let interest = Interest {
            tools: true,
            resources: true,
            ..uris(&["file:///a", "x:\"quoted\"\n"])
        };
        let text = interest.filter();
        assert_eq!(Interest::of_filter(text.as_bytes()), interest);
        assert_eq!(Interest::default().filter(), "{}");
    }

    #[test]
    fn what_is_no_filter_names_nothing() {
        for text in [
            "",
            "null",
            "[]",
            "7",
            "{",
            "{}",
            r#"{"toolsListChanged":1,"promptsListChanged":"true","resourcesListChanged":null}"#,
            r#"{"resourceSubscriptions":"file:///a"}"#,
            r#"{"resourceSubscriptions":{"file:///a":true},"taskIds":["t"]}"#,
            "\u{0}\u{ff}",
        ] {
            assert!(Interest::of_filter(text.as_bytes()).is_empty(), "{text}");
        }
        let some = Interest::of_filter(br#"{"resourceSubscriptions":[1,"a:b",null,["c"]]}"#);
        assert_eq!(some, uris(&["a:b"]));
    }

    #[test]
    fn a_resource_is_named_by_itself_and_by_what_it_lies_below() {
        for (wanted, told, named) in [
            ("file:///a", "file:///a", true),
            ("file:///a", "file:///a/b", true),
            ("file:///a/", "file:///a/b", true),
            ("file:///a", "file:///a/b/c", true),
            ("file:///", "file:///a", true),
            ("x://host", "x://host/a", true),
            ("urn:a", "urn:a/b", true),
            ("file:///a", "file:///a/", true),
            ("file:///a/", "file:///a", false),
            ("file:///a", "file:///ab", false),
            ("file:///a/b", "file:///a", false),
            ("file:///a", "file:///a/../b", false),
            ("file:///a", "file:///a/./b", false),
            ("file:///a", "file:///a?x=/b", false),
            ("file:///a?x=", "file:///a?x=/b", false),
            ("file:///a", "file:///a/b?x=/../c", true),
            ("file:", "file:///a", false),
            ("", "/a", false),
            ("é://ü", "é://ü/ö", true),
        ] {
            assert_eq!(uris(&[wanted]).names(told), named, "{wanted} {told}");
        }
    }

    #[test]
    fn the_nearest_is_found() {
        let wanted = uris(&["file:///a", "file:///a/b"]);
        assert_eq!(wanted.ancestor("file:///a/b/c"), Some("file:///a/b"));
    }
}
