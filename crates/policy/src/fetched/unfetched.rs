//! Why there is no credential for an upstream, in the operator's words.

use std::fmt;

use config::scalar::shown;

/// Why there is none. None of these holds anything secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfetched {
    /// Nobody has logged in to this upstream, or the login is no longer good.
    NotLoggedIn {
        /// As the file calls it.
        upstream: String,
    },
    /// The caller brought no token that could be exchanged, or nobody knows who calls.
    NoSubject,
    /// It cannot be found out who gives tokens for the upstream.
    Undiscovered {
        /// Which document says so.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody who is to be asked does not answer, or not now.
    Unreachable {
        /// Whom.
        url: String,
        /// What became of the question.
        why: String,
    },
    /// The authorization server says no (RFC 6749 §5.2).
    Refused {
        /// Which one.
        url: String,
        /// Its code: `invalid_client`.
        error: String,
        /// A short piece of what else it says.
        said: Option<String>,
    },
    /// What it answers cannot be used.
    Unusable {
        /// Which one.
        url: String,
        /// What is wrong with its answer.
        why: String,
    },
    /// We cannot show who we are in a way that it takes.
    Client {
        /// Why not, and what to write.
        why: String,
    },
    /// The upstream refuses the token that was fetched for it just now.
    Rejected,
    /// Too many others wait.
    Busy,
    /// It took longer than ten seconds.
    Late,
    /// What was logged in with cannot be read, or kept.
    Unkept {
        /// Why not.
        why: String,
    },
}

impl Unfetched {
    /// Whether it is so for all who call: whoever gives tokens fails, and not one caller's token.
    pub fn is_of_all(&self) -> bool {
        match self {
            Self::Undiscovered { .. } | Self::Unreachable { .. } | Self::Client { .. } | Self::Late => true,
            Self::Refused { error, .. } => error == "invalid_client" || error == "unauthorized_client",
            Self::NotLoggedIn { .. }
            | Self::NoSubject
            | Self::Unusable { .. }
            | Self::Rejected
            | Self::Busy
            | Self::Unkept { .. } => false,
        }
    }

    /// Whether it is likely to be so for some seconds. A login is looked for at every call: it may have been made just
    /// now.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::NotLoggedIn { .. } | Self::NoSubject | Self::Busy => false,
            Self::Undiscovered { .. }
            | Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Unusable { .. }
            | Self::Client { .. }
            | Self::Rejected
            | Self::Late
            | Self::Unkept { .. } => true,
        }
    }

    /// In one word, of a closed set.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::NotLoggedIn { .. } => "login",
            Self::NoSubject => "subject",
            Self::Undiscovered { .. } => "discovery",
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { .. } => "refused",
            Self::Unusable { .. } => "unusable",
            Self::Client { .. } => "client",
            Self::Rejected => "rejected",
            Self::Busy => "busy",
            Self::Late => "late",
            Self::Unkept { .. } => "unkept",
        }
    }
}

impl fmt::Display for Unfetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoggedIn { upstream } => {
                write!(
                    f,
                    "nobody is logged in to `{upstream}`; run `causeway login {upstream}`"
                )
            }
            Self::NoSubject => f.write_str("the caller brought no token that could be exchanged"),
            Self::Undiscovered { url, why } => {
                write!(f, "who gives tokens is not known: `{}` {why}", shown(url))
            }
            Self::Unreachable { url, why } => write!(f, "`{}` cannot be asked: {why}", shown(url)),
            Self::Refused { url, error, said } => {
                write!(f, "`{}` refuses: {error}", shown(url))?;
                match said {
                    Some(said) => write!(f, " ({said})"),
                    None => Ok(()),
                }
            }
            Self::Unusable { url, why } => {
                write!(f, "`{}` gave no token that can be used: {why}", shown(url))
            }
            Self::Client { why } => f.write_str(why),
            Self::Rejected => f.write_str("the upstream refuses a token that was fetched for it just now"),
            Self::Busy => f.write_str("too many others wait for tokens"),
            Self::Late => f.write_str("no token was had in 10 s"),
            Self::Unkept { why } => write!(f, "the login cannot be used: {why}"),
        }
    }
}

impl std::error::Error for Unfetched {}
