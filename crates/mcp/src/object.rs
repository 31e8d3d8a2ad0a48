//! A JSON object, read by member and edited by splice, the rest untouched.

use crate::json::{self, Scanner};
use crate::message::ParseError;
use crate::span::Span;
use bytes::{Bytes, BytesMut};
use std::borrow::Cow;

/// One level of an object: its members in order, their values as places in the text.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    text: &'a [u8],
    members: Vec<Member<'a>>,
}

/// One member.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// Its name, decoded.
    pub key: Cow<'a, str>,
    /// Where its value lies.
    pub value: Span,
    /// Where its name begins.
    start: u32,
}

impl<'a> Object<'a> {
    /// Reads one level of the object that `text` is.
    ///
    /// # Errors
    /// `-32700` if it is not UTF-8 or not JSON, `-32600` if it is no object or nested deeper than 255 levels.
    pub fn parse(text: &'a [u8]) -> Result<Object<'a>, ParseError> {
        let utf8 = std::str::from_utf8(text).map_err(|error| {
            ParseError::not_json(format!("invalid UTF-8 at byte {}", error.valid_up_to()))
        })?;
        if u32::try_from(text.len()).is_err() {
            return Err(ParseError::invalid("the object is longer than 4 GiB"));
        }
        let mut scanner = Scanner::new(utf8, u8::MAX);
        if !matches!(scanner.peek(), Some(b'{')) {
            scanner.value()?;
            scanner.end()?;
            return Err(ParseError::invalid("not an object"));
        }
        let mut members = Vec::new();
        scanner.object(|scanner, key| {
            let start = Span::new(scanner.name_start(), 0).start;
            let value = scanner.value()?;
            members.push(Member { key, value, start });
            Ok(())
        })?;
        scanner.end()?;
        if scanner.too_deep().is_some() {
            return Err(ParseError::invalid("nested deeper than 255 levels"));
        }
        Ok(Object { text, members })
    }

    /// The text that the members' values lie in.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The members in order; names that stand twice are here twice.
    pub fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// The value of that member; of several the last, as most parsers take it.
    pub fn get(&self, key: &str) -> Option<&'a [u8]> {
        self.place(key).map(|span| span.of(self.text))
    }

    /// The value of that member, if it is a string.
    pub fn get_text(&self, key: &str) -> Option<Cow<'a, str>> {
        json::decode_bytes(self.get(key)?)
    }

    /// Where the value of that member lies.
    pub fn place(&self, key: &str) -> Option<Span> {
        self.members
            .iter()
            .rev()
            .find(|member| member.key == key)
            .map(|member| member.value)
    }

    /// Begins an edit.
    pub fn edit(&self) -> Edits<'_, 'a> {
        Edits {
            object: self,
            replaced: Vec::new(),
            removed: Vec::new(),
            kept: Vec::new(),
            inserted: Vec::new(),
        }
    }
}

/// Edits to one object, applied together.
#[derive(Clone, Debug)]
pub struct Edits<'o, 'a> {
    object: &'o Object<'a>,
    replaced: Vec<(Span, Bytes)>,
    removed: Vec<&'o str>,
    /// Members that stay while others of their name go.
    kept: Vec<usize>,
    inserted: Vec<(String, Bytes)>,
}

impl<'o> Edits<'o, '_> {
    /// Puts JSON text in place of a value, at any depth within the object.
    ///
    /// Of places that overlap the one that begins first is replaced, the other is not.
    pub fn replace(&mut self, place: Span, json: impl Into<Bytes>) -> &mut Self {
        self.replaced.push((place, json.into()));
        self
    }

    /// Adds a member behind the others.
    pub fn insert(&mut self, key: &str, json: impl Into<Bytes>) -> &mut Self {
        self.inserted.push((json::quote(key), json.into()));
        self
    }

    /// Gives a member this value, or adds it. It stands once then: of several of that name the last one is it, and
    /// the others go, so that nobody can have the value written more often than once.
    pub fn set(&mut self, key: &str, json: impl Into<Bytes>) -> &mut Self {
        let members = &self.object.members;
        let Some(last) = members.iter().rposition(|member| member.key == key) else {
            return self.insert(key, json);
        };
        self.kept.push(last);
        self.replace(members[last].value, json)
    }

    /// Takes out every member of that name.
    pub fn remove(&mut self, key: &'o str) -> &mut Self {
        self.removed.push(key);
        self
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        let removes = |key: &&str| self.object.place(key).is_some();
        self.replaced.is_empty() && self.inserted.is_empty() && !self.removed.iter().any(removes)
    }

    fn is_gone(&self, index: usize, member: &Member<'_>) -> bool {
        let another_is_kept = |kept: &usize| {
            let key = &self.object.members[*kept].key;
            *kept != index && *key == member.key
        };
        self.removed.iter().any(|key| *key == member.key) || self.kept.iter().any(another_is_kept)
    }

    /// The text of the edited object.
    pub fn apply(&self) -> Bytes {
        let mut replaced: Vec<&(Span, Bytes)> = self.replaced.iter().collect();
        replaced.sort_by_key(|(place, _)| place.start);
        let added: usize = self
            .inserted
            .iter()
            .map(|(key, json)| key.len() + json.len() + 2)
            .sum();
        let grown: usize = replaced.iter().map(|(_, json)| json.len()).sum();
        let mut copy = Copy {
            text: self.object.text,
            replaced: &replaced,
            out: BytesMut::with_capacity(self.object.text.len() + added + grown),
        };

        let members = &self.object.members;
        let open = memchr::memchr(b'{', self.object.text).map_or(0, |at| at + 1);
        let (mut end, mut first) = (open, true);
        for (index, member) in members.iter().enumerate() {
            let (before, start) = (end, member.start as usize);
            end = member.value.end as usize;
            if index == 0 {
                copy.range(0, start);
            }
            if self.is_gone(index, member) {
                continue;
            }
            // What stands before a member, its comma included, goes and stays with it; but the first needs none.
            copy.range(if first { start } else { before }, end);
            first = false;
        }
        if members.is_empty() {
            copy.range(0, open);
        }
        for (key, json) in &self.inserted {
            if !first {
                copy.out.extend_from_slice(b",");
            }
            copy.out.extend_from_slice(key.as_bytes());
            copy.out.extend_from_slice(b":");
            copy.out.extend_from_slice(json);
            first = false;
        }
        copy.range(end, self.object.text.len());
        copy.out.freeze()
    }
}

/// Copies ranges of the text in ascending order, with the replacements that lie in them.
struct Copy<'t> {
    text: &'t [u8],
    replaced: &'t [&'t (Span, Bytes)],
    out: BytesMut,
}

impl Copy<'_> {
    fn range(&mut self, mut from: usize, to: usize) {
        while let Some(((place, json), rest)) =
            self.replaced.split_first().map(|(first, rest)| (*first, rest))
        {
            let place = place.range();
            if place.start >= to {
                break;
            }
            self.replaced = rest;
            // Within a member that was removed, within another replacement, or across what may not be touched.
            if place.start < from || place.end > to || place.end < place.start {
                continue;
            }
            self.out.extend_from_slice(&self.text[from..place.start]);
            self.out.extend_from_slice(json);
            from = place.end;
        }
        self.out.extend_from_slice(&self.text[from..to]);
    }
}
