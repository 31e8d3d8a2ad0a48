//! What can go wrong on the way out, in words that name the server and never its credentials.

use std::fmt;
use std::time::Duration;

/// One failed exchange with a server.
#[derive(Debug)]
pub struct Error {
    /// `host:port` of the server, as the operator wrote it.
    pub server: String,
    /// What happened.
    pub reason: Reason,
    /// Whether a byte of the request may have reached the server. When it may have, only a request
    /// that is safe to repeat may be sent again.
    pub sent: bool,
}

/// What happened, as far as a caller could treat it differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The name has no address, or the resolver did not answer.
    Unresolved(String),
    /// No address of the server accepted a connection.
    Refused,
    /// Connecting took longer than allowed.
    ConnectTimeout(Duration),
    /// The TLS handshake failed: certificate, name or protocol.
    Tls(String),
    /// The server accepted the request and sent nothing for this long.
    Silent(Duration),
    /// The server stopped reading our request for this long.
    Stalled(Duration),
    /// The connection ended before the answer was complete.
    Closed,
    /// What came back is not HTTP.
    Garbage(String),
    /// The answer is longer than its bound, in bytes.
    TooLong(usize),
    /// The request could not be expressed in HTTP, for instance a header value with a line break.
    Inexpressible(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.server, self.reason)
    }
}

impl fmt::Display for Reason {
    /// Without the server's address: for readers who may not know it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Unresolved(_) => f.write_str("its name has no address"),
            Reason::Refused => f.write_str("it refuses connections"),
            Reason::ConnectTimeout(after) => write!(f, "it did not accept a connection within {after:?}"),
            Reason::Tls(why) => write!(f, "no TLS connection: {why}"),
            Reason::Silent(after) => write!(f, "it sent nothing for {after:?}"),
            Reason::Stalled(after) => write!(f, "it stopped reading for {after:?}"),
            Reason::Closed => f.write_str("it closed the connection before its answer was complete"),
            Reason::Garbage(why) => write!(f, "it answered with something that is not HTTP ({why})"),
            Reason::TooLong(bound) => write!(f, "its answer is longer than {bound} bytes"),
            Reason::Inexpressible(why) => write!(f, "the request cannot be sent: {why}"),
        }
    }
}

impl std::error::Error for Error {}
