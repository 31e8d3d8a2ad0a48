//! Edits: one member replaced, every other byte as it was.
//!
//! On a wire that several callers share, ids and tokens must be ours. Nothing else is, and a member that is not
//! there is not added: servers have been seen to answer 400 to a request into which a proxy put an empty `_meta`.

use super::{Kind, Message, Places};
use crate::id::Id;
use crate::span::Span;
use bytes::{Bytes, BytesMut};
use std::borrow::Cow;

impl Message {
    /// The same message under another id. A notification stays as it is; an error without id gets one.
    pub fn with_id(&self, id: &Id) -> Message {
        let mut message = match (self.kind, self.places.id) {
            (Kind::Notification, _) => return self.clone(),
            (_, Some(place)) => self.splice(place, id.raw().as_bytes()),
            (_, None) => return self.with_first_id(id),
        };
        message.id = Some(id.clone());
        message
    }

    /// The same message with another progress token, which is JSON text; as it is if it has none.
    pub fn with_progress_token(&self, raw: &[u8]) -> Message {
        self.splice_if(self.places.progress_token, raw)
    }

    /// The same `notifications/cancelled` about another request; as it is if it names none.
    pub fn with_cancelled_request(&self, id: &Id) -> Message {
        self.splice_if(self.places.cancelled, id.raw().as_bytes())
    }

    /// The same message belonging to another subscription; as it is if it belongs to none.
    pub fn with_subscription(&self, id: &Id) -> Message {
        self.splice_if(self.places.subscription, id.raw().as_bytes())
    }

    /// The same request or notification with other parameters: the text of an object. As it is if the text is none,
    /// or if this is an answer.
    pub fn with_params(&self, params: &[u8]) -> Message {
        let Ok(params) = std::str::from_utf8(params) else {
            return self.clone();
        };
        let (hole, text) = match (self.kind, self.places.payload) {
            (Kind::Result | Kind::Error, _) => return self.clone(),
            (_, Some(place)) => (place, Cow::Borrowed(params)),
            // A message has other members, so that the comma is right.
            (_, None) => (self.first_place(), Cow::Owned(format!(r#""params":{params},"#))),
        };
        self.splice(hole, text.as_bytes()).read_again()
    }

    /// The same answer with another result: the text of an object. As it is if the text is none, or if this is no
    /// result.
    pub fn with_result(&self, result: &[u8]) -> Message {
        match (self.kind, self.places.payload, std::str::from_utf8(result)) {
            (Kind::Result, Some(place), Ok(_)) => self.splice(place, result).read_again(),
            _ => self.clone(),
        }
    }

    /// The same JSON on one line, for wires that end a message with the line.
    pub fn one_line(&self) -> Bytes {
        let Some(first) = memchr::memchr2(b'\n', b'\r', &self.bytes) else {
            return self.bytes.clone();
        };
        // Within strings JSON writes these characters as escapes, so here they stand between tokens.
        let mut line = BytesMut::from(&self.bytes[..]);
        for byte in line
            .iter_mut()
            .skip(first)
            .filter(|byte| matches!(byte, b'\n' | b'\r'))
        {
            *byte = b' ';
        }
        line.freeze()
    }

    fn with_first_id(&self, id: &Id) -> Message {
        let member = format!(r#""id":{},"#, id.raw());
        let place = self.first_place();
        let mut message = self.splice(place, member.as_bytes());
        let start = place.start as usize + r#""id":"#.len();
        message.places.id = Some(Span::new(start, start + id.raw().len()));
        message.id = Some(id.clone());
        message
    }

    /// Where a member can be put before all others: behind the brace.
    fn first_place(&self) -> Span {
        let at = memchr::memchr(b'{', &self.bytes).map_or(0, |brace| brace + 1);
        Span::new(at, at)
    }

    fn splice_if(&self, place: Option<Span>, text: &[u8]) -> Message {
        place.map_or_else(|| self.clone(), |place| self.splice(place, text))
    }

    /// Replaces the bytes of `hole`, and moves the places with the bytes they name.
    fn splice(&self, hole: Span, text: &[u8]) -> Message {
        self.splice_all(&[(hole, text)])
    }

    /// Replaces the bytes of all these holes in one copy, and moves the places with the bytes they name. What has a
    /// place within a hole has none afterwards.
    ///
    /// The holes stand in the order of the text and do not overlap; what is put in keeps the text JSON.
    pub(crate) fn splice_all(&self, holes: &[(Span, &[u8])]) -> Message {
        let grown: usize = holes.iter().map(|(_, text)| text.len()).sum();
        let mut bytes = BytesMut::with_capacity(self.bytes.len() + grown);
        let mut copied = 0;
        for (hole, text) in holes {
            bytes.extend_from_slice(&self.bytes[copied..hole.range().start]);
            bytes.extend_from_slice(text);
            copied = hole.range().end;
        }
        bytes.extend_from_slice(&self.bytes[copied..]);

        let mut places = self.places;
        // Backwards, so that the holes still to come stand where they say.
        for (hole, text) in holes.iter().rev() {
            places.move_by(*hole, text.len());
        }
        Message {
            bytes: bytes.freeze(),
            kind: self.kind,
            id: self.id.clone(),
            method: self.method.clone(),
            places,
            left_out: self.left_out.clone(),
            is_ours: self.is_ours,
        }
    }
}

impl Places {
    fn move_by(&mut self, hole: Span, length: usize) {
        let places = self;
        for place in [
            &mut places.id,
            &mut places.payload,
            &mut places.subject,
            &mut places.meta,
            &mut places.version,
            &mut places.capabilities,
            &mut places.progress_token,
            &mut places.cancelled,
            &mut places.subscription,
            &mut places.result_type,
        ] {
            *place = place
                .filter(|span| *span == hole || !span.is_within(hole))
                .map(|span| span.after_splice(hole, length));
        }
    }
}
