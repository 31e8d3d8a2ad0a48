//! Why a text is not a message.

use crate::code;
use crate::id::Id;
use crate::json::Syntax;
use crate::message::Message;
use std::borrow::Cow;
use std::fmt;

/// A text that is not JSON, or JSON that is not a message.
///
/// Its words say what is wrong and where, and repeat nothing of the text but names of the protocol.
#[derive(Clone, Debug)]
pub struct ParseError {
    code: i64,
    text: Cow<'static, str>,
    id: Option<Id>,
}

impl ParseError {
    /// [`code::PARSE_ERROR`] or [`code::INVALID_REQUEST`].
    pub fn code(&self) -> i64 {
        self.code
    }

    /// The id to answer with, if it could be read.
    pub fn id(&self) -> Option<&Id> {
        self.id.as_ref()
    }

    /// The JSON-RPC error that says so to the sender.
    pub fn to_reply(&self) -> Message {
        Message::error_reply(self.id.as_ref(), self.code, &self.text, None)
    }

    pub(crate) fn not_json(text: impl Into<Cow<'static, str>>) -> ParseError {
        ParseError {
            code: code::PARSE_ERROR,
            text: text.into(),
            id: None,
        }
    }

    pub(crate) fn invalid(text: impl Into<Cow<'static, str>>) -> ParseError {
        ParseError {
            code: code::INVALID_REQUEST,
            text: text.into(),
            id: None,
        }
    }

    pub(crate) fn about(self, id: Option<Id>) -> ParseError {
        ParseError { id, ..self }
    }
}

impl From<Syntax> for ParseError {
    fn from(syntax: Syntax) -> ParseError {
        ParseError::not_json(format!(
            "invalid JSON: expected {} at byte {}",
            syntax.expected, syntax.at
        ))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for ParseError {}
