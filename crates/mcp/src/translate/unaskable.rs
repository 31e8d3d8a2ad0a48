//! What cannot be asked of a client, or answered to a server, of an earlier revision.

use std::fmt;

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
