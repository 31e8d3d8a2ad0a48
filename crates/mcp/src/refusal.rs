//! A request refused by the rules of the protocol, before anything was asked of a server.

use crate::code;
use crate::id::Id;
use crate::json::quote;
use crate::message::Message;
use crate::revision::supported_versions_json;
use std::borrow::Cow;
use std::fmt;

/// Why a request is refused, as HTTP and JSON-RPC say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The JSON-RPC code.
    pub code: i64,
    /// Words for whoever wrote the client. They repeat nothing of the request.
    pub message: Cow<'static, str>,
    /// The error's `data`, as JSON text.
    pub data: Option<String>,
}

impl Refusal {
    /// The JSON-RPC error in answer to `id`.
    pub fn to_reply(&self, id: Option<&Id>) -> Message {
        Message::error_reply(id, self.code, &self.message, self.data.as_deref())
    }

    /// 400 with a code and words.
    pub fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal {
            status: 400,
            code,
            message: message.into(),
            data: None,
        }
    }

    /// 400 and `-32022`, with what is supported and what was asked for (2026-07-28 basic/versioning). Whatever
    /// server stands behind it, an endpoint of ours speaks every revision.
    pub fn unsupported_version(requested: &str) -> Refusal {
        /// Enough for any date; what is longer would only be echoed.
        const ENOUGH: usize = 64;
        let requested: String = requested.chars().take(ENOUGH).collect();
        let supported = supported_versions_json();
        Refusal {
            data: Some(format!(
                r#"{{"supported":{supported},"requested":{}}}"#,
                quote(&requested)
            )),
            ..Refusal::new(code::UNSUPPORTED_VERSION, "Unsupported protocol version")
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Refusal {}
