//! A message of one revision, as a peer of another is to read it.
//!
//! Between a client and a server of the same revision nothing is read and nothing is changed: the very same bytes.

use crate::message::Message;
use crate::method::Method;
use crate::revision::Revision;
use std::borrow::Cow;
use std::fmt;

/// The two revisions of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Between {
    /// What the client speaks.
    pub client: Revision,
    /// What the server speaks.
    pub server: Revision,
}

/// What a request of 2026-07-28 says on itself, and a client of an earlier revision has said once.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// The text of the object of client capabilities, as [`Between::client_capabilities`] made it.
    pub capabilities: &'a [u8],
    /// The text of an `Implementation`: who is calling.
    pub client_info: Option<&'a [u8]>,
    /// From which level on log messages are wanted; one of [`crate::meta::LOG_LEVELS`].
    pub log_level: Option<&'a str>,
}

/// Why a question, or its answer, cannot be put into words that the other revision has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unaskable {
    /// The client's revision, before 2025-06-18, has no elicitation.
    Elicitation,
    /// The client's revision, before 2025-11-25, cannot send its user to a URL.
    Url,
    /// The client's revision, before 2025-11-25, has no choice of several values.
    SeveralValues,
    /// The other revision, 2024-11-05, has no audio in the messages of a model.
    Audio,
    /// The other revision, before 2025-11-25, has no use of tools by the client's model.
    ToolUse,
}

impl Unaskable {
    /// Why, in words for a log or an error. They repeat nothing of the question.
    pub fn as_str(self) -> &'static str {
        match self {
            Unaskable::Elicitation => "the client's revision has no elicitation",
            Unaskable::Url => "the client's revision has no elicitation by URL",
            Unaskable::SeveralValues => "the client's revision has no choice of several values",
            Unaskable::Audio => "the other revision has no audio in messages of a model",
            Unaskable::ToolUse => "the other revision has no use of tools by the client's model",
        }
    }

    /// The result to give the server in the client's place: a form that no one can fill in is cancelled.
    ///
    /// `None` where only an error can say it.
    pub fn stands_for(self) -> Option<&'static str> {
        match self {
            Unaskable::Elicitation | Unaskable::Url | Unaskable::SeveralValues => {
                Some(r#"{"action":"cancel"}"#)
            }
            Unaskable::Audio | Unaskable::ToolUse => None,
        }
    }
}

impl fmt::Display for Unaskable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::error::Error for Unaskable {}

impl Between {
    /// Whether there is nothing to translate.
    pub fn is_same(self) -> bool {
        self.client == self.server
    }

    /// A client's request or notification as its server is to read it.
    pub fn request(self, message: &Message, said: &Said<'_>) -> Message {
        _ = said;
        message.clone()
    }

    /// The server's answer to a request of the method `asked`, as its client is to read it.
    pub fn answer(self, asked: &Method, message: &Message) -> Message {
        _ = asked;
        message.clone()
    }

    /// A notification of the server as its client is to read it; `None` if that revision has no such thing.
    pub fn notice(self, message: &Message) -> Option<Message> {
        Some(message.clone())
    }

    /// The parameters of a server's question as its client is to read them. `name` becomes the `elicitationId` of a
    /// question by URL that needs one and has none (2025-11-25): unique among the questions of the gateway.
    ///
    /// # Errors
    /// If the client's revision cannot be asked this.
    pub fn question<'a>(
        self,
        method: &Method,
        params: Option<&'a [u8]>,
        name: &str,
    ) -> Result<Option<Cow<'a, [u8]>>, Unaskable> {
        _ = (method, name);
        Ok(params.map(Cow::Borrowed))
    }

    /// What the client answered to a question of that method, a result, as the server is to read it.
    ///
    /// # Errors
    /// If the server's revision has no words for it.
    pub fn reply<'a>(self, method: &Method, result: &'a [u8]) -> Result<Cow<'a, [u8]>, Unaskable> {
        _ = method;
        Ok(Cow::Borrowed(result))
    }

    /// The client's capabilities, the text of an object, as they may be declared to this server.
    pub fn client_capabilities(self, text: &[u8]) -> Vec<u8> {
        text.to_vec()
    }

    /// The server's capabilities, the text of an object, as this client may be told of them.
    pub fn server_capabilities(self, text: &[u8]) -> Vec<u8> {
        text.to_vec()
    }
}
