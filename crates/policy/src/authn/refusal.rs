//! Why a token is not believed: one word for the record, and for its bearer the same sentence whatever the word is.

use std::fmt;

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It is longer than a token may be.
    TooLong,
    /// It has not the parts of a token, or one of them cannot be read.
    Malformed,
    /// It is signed in a way that the file does not list.
    Algorithm,
    /// Its issuer has no such key, or it does not say which of several.
    Key,
    /// Its signature is of another text, or by another key.
    Signature,
    /// It is a token for something else, by its `typ`.
    Type,
    /// Another issuer than those of the file made it.
    Issuer,
    /// It is for another resource.
    Audience,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    Early,
    /// It names nobody, or with what cannot be a name.
    Subject,
    /// A claim is missing that has to be there, or is not what it has to be.
    Claim,
    /// Its issuer says that it is valid no longer, or never was.
    Inactive,
    /// Whoever could tell cannot be asked. The token may well be valid: this is no 401 but a 503.
    Unavailable,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::TooLong,
        Self::Malformed,
        Self::Algorithm,
        Self::Key,
        Self::Signature,
        Self::Type,
        Self::Issuer,
        Self::Audience,
        Self::Expired,
        Self::Early,
        Self::Subject,
        Self::Claim,
        Self::Inactive,
        Self::Unavailable,
    ];

    /// The cause in one word, for logs and as a label of metrics. It is not for the bearer, whom it would teach what
    /// to try next.
    pub fn cause(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Type => "type",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::Early => "early",
            Self::Subject => "subject",
            Self::Claim => "claim",
            Self::Inactive => "inactive",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What its bearer may know.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong
            | Self::Malformed
            | Self::Algorithm
            | Self::Key
            | Self::Signature
            | Self::Type
            | Self::Issuer
            | Self::Audience
            | Self::Expired
            | Self::Early
            | Self::Subject
            | Self::Claim
            | Self::Inactive => f.write_str("the token is not valid here"),
            Self::Unavailable => f.write_str("the token cannot be verified at the moment; try again later"),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_cause_has_its_word_and_the_bearer_learns_none() {
        let words: HashSet<_> = Refusal::ALL.iter().map(|refusal| refusal.cause()).collect();
        assert_eq!(words.len(), Refusal::ALL.len());
        let sentences: HashSet<_> = Refusal::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(sentences.len(), 2);
    }
}
