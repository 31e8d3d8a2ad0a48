//! A range of bytes within a message.

use std::ops::Range;

/// Where something lies in a message: the bytes from `start` up to, not including, `end`.
///
/// Thirty-two bits suffice because [`crate::Message::parse`] refuses longer input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes of `text` this span names; empty if `text` is not the text the span was made for.
    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.range()).unwrap_or_default()
    }

    /// The span as a range for slicing.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// How many bytes it covers.
    pub fn len(self) -> usize {
        self.range().len()
    }

    /// Whether it covers nothing.
    pub fn is_empty(self) -> bool {
        self.range().is_empty()
    }

    /// Callers have bounded the text to `u32::MAX` bytes, so saturation is never seen.
    pub(crate) fn new(start: usize, end: usize) -> Span {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span {
            start: narrow(start),
            end: narrow(end),
        }
    }

    /// Whether all of it lies in the other.
    pub(crate) fn is_within(self, other: Span) -> bool {
        self.start >= other.start && self.end <= other.end
    }

    /// Where this span lies after the bytes of `hole` gave way to `length` others.
    ///
    /// A span around the hole grows or shrinks with it, one behind it moves, one before it stays, also if it ends
    /// just where something is put in.
    pub(crate) fn after_splice(self, hole: Span, length: usize) -> Span {
        let moved = |at: u32| at as usize - hole.len() + length;
        let start = if self.start >= hole.end {
            moved(self.start)
        } else {
            self.start as usize
        };
        let end = if self.end > hole.end || self.end == hole.end && !hole.is_empty() {
            moved(self.end)
        } else {
            self.end as usize
        };
        Span::new(start, end)
    }
}
