//! Names that may stand once in an object, and only in their own spelling.
//!
//! Of two equal names some parsers take the first and some the last; of two that differ in case, Go's
//! `encoding/json` takes either. A caller could so show one tool to policy and another to the server.

use crate::meta;

/// How a member's name relates to the names that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// None of them.
    Unknown,
    /// This one, seen for the first time.
    First(&'static str),
    /// This one, seen before.
    Again(&'static str),
    /// Equal to this one for a parser that ignores case.
    Respelled(&'static str),
    /// One reserved name too many to compare with the others.
    Crowded,
}

pub(super) const META: [&str; 7] = [
    meta::PROTOCOL_VERSION,
    meta::CLIENT_CAPABILITIES,
    meta::CLIENT_INFO,
    meta::LOG_LEVEL,
    meta::SUBSCRIPTION_ID,
    meta::SERVER_INFO,
    meta::PROGRESS_TOKEN,
];

/// How many members of one `_meta` may be reserved to the protocol without being known to us. Each is compared
/// with the others, so there must be a bound; the protocol defines two or three.
pub(super) const MOST_RESERVED: usize = 32;

/// Watches the members of one object.
pub(super) struct Once<'n> {
    place: &'static str,
    names: &'n [&'static str],
    seen: u8,
    /// Names with the reserved prefix that are not in `names`, if these are watched too.
    reserved: Option<Vec<String>>,
}

impl<'n> Once<'n> {
    /// `names` must be at most eight.
    pub(super) fn new(place: &'static str, names: &'n [&'static str]) -> Once<'n> {
        Once {
            place,
            names,
            seen: 0,
            reserved: None,
        }
    }

    /// Watches every name with the protocol's prefix as well.
    pub(super) fn and_reserved(self) -> Once<'n> {
        Once {
            reserved: Some(Vec::new()),
            ..self
        }
    }

    /// The object, in words.
    pub(super) fn place(&self) -> &'static str {
        self.place
    }

    /// Whether any name with the protocol's prefix was seen.
    pub(super) fn has_reserved(&self) -> bool {
        let known = |(index, name): (usize, &&str)| {
            self.seen & (1 << index) != 0 && name.starts_with(meta::RESERVED_PREFIX)
        };
        self.names.iter().enumerate().any(known)
            || self.reserved.as_ref().is_some_and(|names| !names.is_empty())
    }

    pub(super) fn see(&mut self, name: &str) -> Named {
        if let Some(index) = self.names.iter().position(|known| *known == name) {
            let bit = 1 << index;
            let again = self.seen & bit != 0;
            self.seen |= bit;
            return if again {
                Named::Again(self.names[index])
            } else {
                Named::First(self.names[index])
            };
        }
        if let Some(known) = self.names.iter().find(|known| same_but_for_case(name, known)) {
            return Named::Respelled(known);
        }
        match &mut self.reserved {
            Some(reserved) => see_reserved(reserved, name),
            None => Named::Unknown,
        }
    }
}

fn see_reserved(seen: &mut Vec<String>, name: &str) -> Named {
    let mut letters = name.chars().map(fold);
    if !meta::RESERVED_PREFIX
        .chars()
        .all(|letter| letters.next() == Some(letter))
    {
        return Named::Unknown;
    }
    if !name.starts_with(meta::RESERVED_PREFIX) {
        return Named::Respelled(meta::RESERVED_PREFIX);
    }
    let rest: String = letters.collect();
    if seen.contains(&rest) {
        return Named::Again("io.modelcontextprotocol/…");
    }
    if seen.len() == MOST_RESERVED {
        return Named::Crowded;
    }
    seen.push(rest);
    Named::Unknown
}

/// Whether a parser that ignores case takes `name` for `known`, which is ASCII.
fn same_but_for_case(name: &str, known: &str) -> bool {
    if name.is_ascii() {
        return name.eq_ignore_ascii_case(known);
    }
    name.chars().map(fold).eq(known.chars().map(fold))
}

/// Lower case by Unicode's simple folding, as far as it can end in ASCII: two letters beside `A` to `Z` do.
fn fold(letter: char) -> char {
    match letter {
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}
