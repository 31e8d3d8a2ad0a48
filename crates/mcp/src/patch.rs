//! Edits to a text at any depth of it, applied in one copy.

use crate::message::Message;
use crate::span::Span;
use std::borrow::Cow;
use std::cmp::Reverse;

/// Which places of a text give way to what. All places are those of the text as it was.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    holes: Vec<(Span, Cow<'static, str>)>,
}

impl Patch {
    /// Puts JSON in place of a value, or of nothing where the place is empty.
    ///
    /// Of places of which one lies in the other the outer one wins: what was rewritten whole needs no rewriting.
    pub(crate) fn replace(&mut self, place: Span, json: impl Into<Cow<'static, str>>) {
        self.holes.push((place, json.into()));
    }

    /// Takes bytes out.
    pub(crate) fn cut(&mut self, place: Span) {
        self.replace(place, "");
    }

    /// Puts JSON behind the opening bracket of a value.
    pub(crate) fn put_in_front(&mut self, value: Span, json: String) {
        let at = value.range().start + 1;
        self.replace(Span::new(at, at), json);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.holes.is_empty()
    }

    /// The message so edited: its very bytes if there is nothing to edit.
    pub(crate) fn message(mut self, message: &Message) -> Message {
        if self.is_empty() {
            return message.clone();
        }
        self.settle();
        let holes = self.holes.iter().map(|(place, json)| (*place, json.as_bytes()));
        message.splice_all(&holes.collect::<Vec<_>>())
    }

    /// The text so edited.
    pub(crate) fn text<'a>(mut self, text: &'a str) -> Cow<'a, str> {
        if self.is_empty() {
            return Cow::Borrowed(text);
        }
        self.settle();
        let mut edited = String::with_capacity(text.len());
        let mut copied = 0;
        for (place, json) in &self.holes {
            edited += text.get(copied..place.range().start).unwrap_or_default();
            edited += json;
            copied = place.range().end;
        }
        edited += text.get(copied..).unwrap_or_default();
        Cow::Owned(edited)
    }

    /// Brings the holes into the order of the text, and lets go of those within another.
    fn settle(&mut self) {
        // What is put in front of something comes before what replaces that.
        self.holes
            .sort_by_key(|(place, _)| (place.start, !place.is_empty(), Reverse(place.end)));
        let mut end = 0;
        self.holes.retain(|(place, _)| {
            let free = place.start >= end && place.end >= place.start;
            if free {
                end = place.end;
            }
            free
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_places_within_one_another_the_outer_one_is_replaced() {
        let mut patch = Patch::default();
        patch.replace(Span::new(1, 2), "inner");
        patch.cut(Span::new(1, 4));
        patch.replace(Span::new(2, 3), "inner");
        patch.replace(Span::new(1, 1), "before");
        patch.replace(Span::new(4, 4), "behind");
        patch.replace(Span::new(4, 4), ", too");

        assert_eq!(patch.text("0123456"), "0beforebehind, too456");
    }
}
