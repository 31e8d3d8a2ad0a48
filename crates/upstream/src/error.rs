//! What an upstream can do to a call, as far as the call's fate depends on it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use egress::Reason;
use mcp::Era;

/// One failed exchange with an upstream. Its text is for clients: it names the upstream and what
/// happened, never an address, a header or a body.
#[derive(Debug, Clone)]
pub struct Error {
    /// The upstream's name in the configuration.
    pub upstream: Arc<str>,
    /// What happened.
    pub fault: Fault,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No connection: the name, the port or the TLS handshake. Nothing was sent.
    Unreachable(String),
    /// It took the request and sent nothing for this long.
    Silent(Duration),
    /// The exchange began and broke: a reset, garbage, an answer to something else.
    Broken(String),
    /// It answered with an HTTP status that is no MCP answer.
    Status {
        /// The status.
        status: u16,
        /// Seconds it asked us to wait, if it did.
        retry_after: Option<u64>,
    },
    /// It does not accept our credentials (401) or refuses them this (403).
    Unauthorized(u16),
    /// It does not know our session any more; nothing was processed.
    SessionGone,
    /// It does not speak the era it was assumed to speak; nothing was processed.
    Misjudged(String),
    /// It does not speak the era it was spoken to in; nothing was processed.
    NotSpoken {
        /// That era.
        wanted: Era,
    },
    /// It answered our `initialize` neither with an agreement nor as a server that knows none.
    NotAgreed,
    /// It says nothing outside of calls.
    NotOffered,
    /// A reload of the configuration removed it, or put another in its place.
    Removed,
    /// Its answer is longer than `bounds.answer`, in bytes.
    TooLong(usize),
    /// Its process could not be started.
    NotStarted(String),
    /// Its process ended while the call was running.
    Exited(String),
    /// Its client took the call back.
    Cancelled,
    /// A bound of ours is reached; the text names it.
    Full(String),
}

impl Fault {
    /// For [`Error::fault`] where the upstream's name is at hand.
    pub fn of(self, upstream: &Arc<str>) -> Error {
        Error {
            upstream: Arc::clone(upstream),
            fault: self,
        }
    }
}

impl From<Reason> for Fault {
    /// The operator's log names the address; clients are only told what happened there.
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unresolved(_) | Reason::Refused | Reason::ConnectTimeout(_) | Reason::Tls(_) => {
                Self::Unreachable(reason.to_string())
            }
            Reason::Silent(after) | Reason::Stalled(after) => Self::Silent(after),
            Reason::TooLong(bound) => Self::TooLong(bound),
            Reason::Closed | Reason::Garbage(_) | Reason::Inexpressible(_) => {
                Self::Broken(reason.to_string())
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.upstream;
        match &self.fault {
            Fault::Unreachable(why) => write!(f, "upstream `{name}` cannot be reached: {why}"),
            Fault::Silent(after) => write!(f, "upstream `{name}` did not answer within {after:?}"),
            Fault::Broken(what) => write!(f, "upstream `{name}` broke the exchange: {what}"),
            Fault::Status {
                status,
                retry_after: None,
            } => {
                write!(
                    f,
                    "upstream `{name}` answered with HTTP status {status} instead of a message"
                )
            }
            Fault::Status {
                status,
                retry_after: Some(seconds),
            } => {
                write!(
                    f,
                    "upstream `{name}` answered with HTTP status {status} and asks to wait {seconds} s"
                )
            }
            Fault::Unauthorized(status) => write!(
                f,
                "upstream `{name}` does not accept the gateway's credentials (HTTP status {status}); \
                 its `headers` in the gateway's configuration need attention"
            ),
            Fault::SessionGone => write!(f, "upstream `{name}` no longer knows this session"),
            Fault::Misjudged(what) => write!(f, "upstream `{name}` does not speak as it did before: {what}"),
            Fault::NotSpoken { wanted } => {
                let spoken = match wanted {
                    Era::Modern => "MCP revision 2026-07-28",
                    Era::Legacy => "the MCP revisions before 2026-07-28",
                };
                write!(f, "upstream `{name}` does not speak {spoken}, as it seemed to")
            }
            Fault::NotAgreed => write!(
                f,
                "upstream `{name}` answers `initialize` neither with an agreement nor as a server without one"
            ),
            Fault::NotOffered => write!(f, "upstream `{name}` says nothing outside of calls"),
            Fault::Removed => write!(
                f,
                "upstream `{name}` was removed from the configuration, or changed in it"
            ),
            Fault::TooLong(bound) => {
                write!(
                    f,
                    "the answer of upstream `{name}` is longer than {bound} bytes (`bounds.answer`)"
                )
            }
            Fault::NotStarted(why) => write!(f, "upstream `{name}` could not be started: {why}"),
            Fault::Exited(how) => write!(
                f,
                "the process of upstream `{name}` ended during the call ({how})"
            ),
            Fault::Cancelled => write!(f, "the call to upstream `{name}` was taken back"),
            Fault::Full(bound) => write!(f, "upstream `{name}` is at a bound of the gateway: {bound}"),
        }
    }
}

impl std::error::Error for Error {}
