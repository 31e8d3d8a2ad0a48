//! Values of a text by their places: looked at one level at a time, nothing copied.
//!
//! Only the members asked for are kept, so that a peer cannot make us hold more than it sent.

use crate::json::{self, Scanner};
use crate::patch::Patch;
use crate::span::Span;
use std::borrow::Cow;

/// A value within a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    text: &'a str,
    place: Span,
}

impl<'a> Value<'a> {
    /// An object without members.
    pub(super) const NOTHING: Value<'static> = Value {
        text: "{}",
        place: Span { start: 0, end: 2 },
    };

    /// What lies there in a text that is known to be JSON. `None` if the bytes are not text.
    pub(super) fn at(text: &'a [u8], place: Span) -> Option<Value<'a>> {
        let text = std::str::from_utf8(text).ok()?;
        Some(Value { text, place })
    }

    /// The one value that a text is. `None` if it is not one, or is nested deeper than 255 levels.
    pub(super) fn whole(text: &'a [u8]) -> Option<Value<'a>> {
        let text = std::str::from_utf8(text)
            .ok()
            .filter(|text| u32::try_from(text.len()).is_ok())?;
        let mut scanner = Scanner::new(text, u8::MAX);
        let place = scanner.value().ok()?;
        scanner.end().ok()?;
        scanner.too_deep().is_none().then_some(Value { text, place })
    }

    pub(super) fn place(self) -> Span {
        self.place
    }

    /// Its JSON.
    pub(super) fn raw(self) -> &'a str {
        self.text.get(self.place.range()).unwrap_or_default()
    }

    /// The text of a string.
    pub(super) fn string(self) -> Option<Cow<'a, str>> {
        json::decode(self.raw())
    }

    pub(super) fn is_object(self) -> bool {
        self.raw().starts_with('{')
    }

    /// The members of these names, if this is an object.
    pub(super) fn members(self, names: &[&str]) -> Option<Members<'a>> {
        self.members_where(|name| names.contains(&name))
    }

    /// The members whose names are wanted, if this is an object.
    pub(super) fn members_where(self, wanted: impl Fn(&str) -> bool) -> Option<Members<'a>> {
        if !self.is_object() {
            return None;
        }
        let mut members = Members {
            found: Vec::new(),
            count: 0,
            close: self.close(),
        };
        let mut row = Row::default();
        self.scanner()
            .object(|scanner, name| {
                let start = scanner.name_start();
                let value = scanner.value()?;
                let entry = row.next(self.place, start, value, &mut members.found, |member| {
                    &mut member.entry
                });
                members.count += 1;
                if wanted(&name) {
                    let value = Value {
                        place: entry.value,
                        ..self
                    };
                    members.found.push(Member { name, value, entry });
                }
                Ok(())
            })
            .ok()?;
        Some(members)
    }

    /// Visits the values of all members, if this is an object.
    pub(super) fn each_member(self, mut visit: impl FnMut(Value<'a>)) {
        // What is no object has no members.
        _ = self.scanner().object(|scanner, _| {
            let place = scanner.value()?;
            visit(self.within(place));
            Ok(())
        });
    }

    /// Visits the elements, if this is an array; those for which `keep` says no are cut out.
    ///
    /// `None` if it is none.
    pub(super) fn elements(
        self,
        patch: &mut Patch,
        mut keep: impl FnMut(Value<'a>, &mut Patch) -> bool,
    ) -> Option<()> {
        if !self.raw().starts_with('[') {
            return None;
        }
        let mut gone: Vec<Entry> = Vec::new();
        let mut row = Row::default();
        self.scanner()
            .array(|scanner| {
                let start = scanner.at();
                let value = scanner.value()?;
                let entry = row.next(self.place, start, value, &mut gone, |entry| entry);
                if !keep(
                    Value {
                        place: entry.value,
                        ..self
                    },
                    patch,
                ) {
                    gone.push(entry);
                }
                Ok(())
            })
            .ok()?;
        cut_all(gone, patch);
        Some(())
    }

    /// Visits the elements, if this is an array.
    pub(super) fn each(self, mut visit: impl FnMut(Value<'a>)) -> Option<()> {
        self.elements(&mut Patch::default(), |value, _| {
            visit(value);
            true
        })
    }

    /// Visits the elements of an array, each with its member of that name, in one pass over all of them. What is no
    /// array is visited itself. Whether it is one.
    pub(super) fn each_by(self, name: &str, mut visit: impl FnMut(Value<'a>, Option<Value<'a>>)) -> bool {
        let mut one = |scanner: &mut Scanner<'a>| {
            let mut found = None;
            let place = match scanner.peek() {
                Some(b'{') => scanner.object(|scanner, key| {
                    let value = scanner.value()?;
                    if key == name {
                        found = Some(value);
                    }
                    Ok(())
                })?,
                _ => scanner.value()?,
            };
            visit(self.within(place), found.map(|place| self.within(place)));
            Ok(())
        };
        let mut scanner = self.scanner();
        let is_array = scanner.peek() == Some(b'[');
        let walked = match is_array {
            true => scanner.array(one).map(|_| ()),
            false => one(&mut scanner),
        };
        // What does not end was no JSON, and came from no message.
        walked.is_ok() && is_array
    }

    /// Puts a member or an element behind the others.
    pub(super) fn append(self, json: &str, patch: &mut Patch) {
        let inner = self.raw().get(1..).unwrap_or_default().trim_start();
        let comma = if inner.starts_with(['}', ']']) { "" } else { "," };
        patch.replace(self.close(), format!("{comma}{json}"));
    }

    /// Where something can be put behind all the rest: before the closing bracket.
    fn close(self) -> Span {
        let at = (self.place.end as usize).saturating_sub(1);
        Span::new(at, at)
    }

    /// What lies there in the text of this value.
    fn within(self, place: Span) -> Value<'a> {
        let base = self.place.start as usize;
        Value {
            place: Span::new(base + place.range().start, base + place.range().end),
            ..self
        }
    }

    fn scanner(self) -> Scanner<'a> {
        Scanner::new(self.raw(), u8::MAX)
    }
}

/// Some members of an object.
#[derive(Debug)]
pub(super) struct Members<'a> {
    found: Vec<Member<'a>>,
    /// How many there are in all.
    count: usize,
    close: Span,
}

#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) value: Value<'a>,
    entry: Entry,
}

impl<'a> Members<'a> {
    /// The value of that member; of several the last, as most parsers take it.
    pub(super) fn get(&self, name: &str) -> Option<Value<'a>> {
        self.all(name).last()
    }

    /// The values of all members of that name: whichever a peer takes, it has been seen to.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = Value<'a>> {
        self.iter()
            .filter(move |member| member.name == name)
            .map(|member| member.value)
    }

    /// Whether the object has other members than these.
    pub(super) fn has_others(&self) -> bool {
        self.count > self.found.len()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Member<'a>> {
        self.found.iter()
    }

    /// The text of that member, if it is a string.
    pub(super) fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.string()
    }

    /// Gives these members these values, or puts them behind the others; their names are ours and need no escapes. Each
    /// stands once then: of several of a name the last one is it, and the others go.
    ///
    /// To be called once, and not along with [`Members::change`].
    pub(super) fn set(&self, mut values: Vec<(&str, String)>, patch: &mut Patch) {
        let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        let mut gone = Vec::new();
        // From behind, since the last one stays.
        for member in self.found.iter().rev() {
            let value = values.iter().position(|(name, _)| member.name == *name);
            match value.map(|at| values.remove(at)) {
                Some((_, json)) => patch.replace(member.value.place(), json),
                None if names.contains(&member.name.as_ref()) => gone.push(member.entry),
                None => {}
            }
        }
        gone.reverse();
        let left = self.count - gone.len();
        cut_all(gone, patch);
        for (before, (name, json)) in (left..).zip(values) {
            let comma = if before == 0 { "" } else { "," };
            patch.replace(self.close, format!("{comma}\"{name}\":{json}"));
        }
    }

    /// Takes these members out and puts others in, behind those that stay, whose names are ours and need no escapes.
    /// Whether anything stays or is put in.
    ///
    /// To be called once: a second call would not know what the first has left.
    pub(super) fn change(
        &self,
        gone: impl Fn(&str) -> bool,
        put: &[(&str, &str)],
        patch: &mut Patch,
    ) -> bool {
        let gone: Vec<Entry> = self
            .iter()
            .filter(|member| gone(&member.name))
            .map(|member| member.entry)
            .collect();
        let mut left = self.count - gone.len();
        cut_all(gone, patch);
        for (name, json) in put {
            let comma = if left == 0 { "" } else { "," };
            patch.replace(self.close, format!("{comma}\"{name}\":{json}"));
            left += 1;
        }
        left > 0
    }
}

/// Where one of a row of members or elements lies, all in the whole text.
#[derive(Clone, Copy, Debug)]
struct Entry {
    index: usize,
    /// Where it begins, its name included.
    start: usize,
    value: Span,
    /// Where the one before it ends.
    before: usize,
    /// Where the one behind it begins, if there is one.
    next: Option<usize>,
}

/// What is known of a row while it is walked.
#[derive(Default)]
struct Row {
    count: usize,
    end: usize,
}

impl Row {
    /// The entry that was just walked over; tells the last of those kept that it has a neighbour, if it has.
    fn next<K>(
        &mut self,
        outer: Span,
        start: usize,
        value: Span,
        kept: &mut [K],
        entry: impl Fn(&mut K) -> &mut Entry,
    ) -> Entry {
        let base = outer.start as usize;
        let value = Span::new(base + value.range().start, base + value.range().end);
        let found = Entry {
            index: self.count,
            start: base + start,
            value,
            before: self.end,
            next: None,
        };
        if let Some(last) = kept
            .last_mut()
            .map(entry)
            .filter(|last| last.index + 1 == found.index)
        {
            last.next = Some(found.start);
        }
        self.count += 1;
        self.end = value.range().end;
        found
    }
}

/// Cuts entries of one row out, each with the comma that has lost its purpose.
fn cut_all(gone: Vec<Entry>, patch: &mut Patch) {
    for (place, entry) in gone.iter().enumerate() {
        let end = entry.value.range().end;
        // With all before it gone too, the comma behind it goes; else the one before it.
        patch.cut(if place == entry.index {
            Span::new(entry.start, entry.next.unwrap_or(end))
        } else {
            Span::new(entry.before, end)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_is_set_stands_once() {
        for (text, edited) in [
            (r#"{"a":1,"b":2}"#, r#"{"a":[],"b":2,"c":{}}"#),
            (r#"{"a":1,"a":2,"b":3}"#, r#"{"a":[],"b":3,"c":{}}"#),
            (r#"{"b":1,"a":2,"c":3,"a":4,"c":5}"#, r#"{"b":1,"a":[],"c":{}}"#),
            (r#"{"c":1,"c":2}"#, r#"{"c":{},"a":[]}"#),
            ("{}", r#"{"a":[],"c":{}}"#),
        ] {
            let value = Value::whole(text.as_bytes()).unwrap();
            let members = value.members(&["a", "c", "b"]).unwrap();
            let mut patch = Patch::default();

            members.set(vec![("a", "[]".into()), ("c", "{}".into())], &mut patch);

            assert_eq!(patch.text(text), edited, "{text}");
        }
    }
}
