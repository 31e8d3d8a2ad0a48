//! Reading a message: one pass over the text, then the rules of the envelope.
//!
//! A wrong member does not end the pass, for its id may stand behind it and the refusal should carry that; only
//! text that is not JSON does.

mod error;
mod listed;
mod walk;

pub use error::ParseError;
pub(super) use walk::Places;

use super::{Kind, Message};
use crate::id::Id;
use crate::json;
use crate::limit::Limits;
use crate::method::Method;
use bytes::Bytes;
use walk::{Envelope, Refused};

impl Message {
    /// Reads one message.
    ///
    /// # Errors
    /// `-32700` if the bytes are not UTF-8 (a byte order mark included) or not JSON, with the place; `-32600` if
    /// the JSON is no message by the rules of JSON-RPC 2.0 and MCP, is nested deeper than
    /// [`Limits::depth`], or could be read differently by another parser. The latter carries the id
    /// whenever there is exactly one that can be read.
    ///
    /// A list is not refused for an item that is nested too deep: it is read without it, see
    /// [`Message::left_out`].
    pub fn parse(bytes: Bytes, limits: &Limits) -> Result<Message, ParseError> {
        let text = utf8(&bytes)?;
        let envelope = Envelope::read(text, limits)?;
        if envelope.is_too_deep
            && let Some((rest, left_out)) = listed::without_deep_items(text, limits)
        {
            let envelope = Envelope::read(&rest, limits)?;
            let message = judge(envelope, rest.into())?;
            return Ok(Message {
                left_out: Some(left_out),
                ..message
            });
        }
        judge(envelope, bytes)
    }

    /// A message of our own: its places are found the same way, but nothing is refused.
    pub(super) fn own(text: String, kind: Kind, id: Option<Id>, method: Option<Method>) -> Message {
        let message = Message {
            bytes: text.into(),
            kind,
            id,
            method,
            places: Places::default(),
            left_out: None,
            is_ours: true,
        };
        message.read_again()
    }

    /// The same message, its places found anew after an edit of its text. Nothing is refused.
    pub(crate) fn read_again(mut self) -> Message {
        let limits = Limits {
            depth: u8::MAX,
            ..Limits::default()
        };
        let envelope = utf8(&self.bytes).map(|text| Envelope::read(text, &limits));
        debug_assert!(
            matches!(envelope, Ok(Ok(_))),
            "raw JSON given to a message of ours is not JSON"
        );
        self.places = match envelope {
            Ok(Ok(envelope)) => envelope.places(self.method.as_ref()),
            _ => Places::default(),
        };
        self
    }
}

pub(super) fn utf8(bytes: &Bytes) -> Result<&str, ParseError> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(ParseError::not_json("a byte order mark stands before the JSON"));
    }
    if u32::try_from(bytes.len()).is_err() {
        return Err(ParseError::invalid("the message is longer than 4 GiB"));
    }
    std::str::from_utf8(bytes)
        .map_err(|error| ParseError::not_json(format!("invalid UTF-8 at byte {}", error.valid_up_to())))
}

/// Makes a message of what the pass has found, or says what is wrong with it.
fn judge(envelope: Envelope, bytes: Bytes) -> Result<Message, ParseError> {
    let verdict = kind(&envelope).and_then(|kind| {
        let places = envelope.places(envelope.method.as_ref());
        check_subject(&envelope, &places, &bytes)?;
        Ok((kind, places))
    });
    match verdict {
        Ok((kind, places)) => Ok(Message {
            bytes,
            kind,
            id: envelope.id,
            method: envelope.method,
            places,
            left_out: None,
            is_ours: false,
        }),
        Err(refused) => Err(ParseError::invalid(refused.0).about(envelope.readable_id())),
    }
}

/// Which kind of message it is, by the members it has.
fn kind(envelope: &Envelope) -> Result<Kind, Refused> {
    if let Some(refused) = &envelope.refused {
        return Err(refused.clone());
    }
    if !envelope.has.jsonrpc {
        return Err(Refused::because("`jsonrpc` is missing"));
    }
    if envelope.has.result && envelope.has.error {
        return Err(Refused::because("`result` and `error` exclude each other"));
    }
    if envelope.has.method {
        if envelope.has.result || envelope.has.error {
            return Err(Refused::because(
                "a message with `method` cannot be an answer too",
            ));
        }
        if !envelope.has.id {
            return Ok(Kind::Notification);
        }
        if envelope.id.is_none() {
            return Err(Refused::because("`id` of a request is null"));
        }
        return Ok(Kind::Request);
    }
    if envelope.has.params {
        return Err(Refused::because("`params` without `method`"));
    }
    if envelope.has.error {
        return Ok(Kind::Error);
    }
    if !envelope.has.result {
        return Err(Refused::because(
            "one of `method`, `result` and `error` is needed",
        ));
    }
    if envelope.id.is_none() {
        return Err(Refused::because("a result needs the `id` of its request"));
    }
    Ok(Kind::Result)
}

/// A name that is a string but no text would be judged as one thing and forwarded as another.
fn check_subject(envelope: &Envelope, places: &Places, bytes: &Bytes) -> Result<(), Refused> {
    let Some(subject) = places.subject else {
        return Ok(());
    };
    let raw = subject.of(bytes);
    if raw.starts_with(b"\"") && json::decode_bytes(raw).is_none() {
        let member = envelope
            .method
            .as_ref()
            .and_then(Method::subject_member)
            .unwrap_or("name");
        return Err(Refused(format!("`params.{member}` is not Unicode text").into()));
    }
    Ok(())
}
