//! One exchange, as it is remembered.

use std::fmt;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

/// One exchange. Field names are the format of a line; times are in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Record<'a> {
    /// When it began, in UTC.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// The trace it belongs to: the client's, or one that began here.
    pub trace: &'a str,
    /// Who called; `anonymous` when nobody is asked.
    pub principal: &'a str,
    /// The client's address.
    pub source: Option<&'a str>,
    /// The route's path as configured.
    pub route: Option<&'a str>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// How the client reached us: `http`, or `sse` for the transport of 2024-11-05.
    pub door: &'a str,
    /// `legacy` or `modern`.
    pub era: Option<&'static str>,
    /// The client's revision.
    pub revision: Option<&'static str>,
    /// The method, as the client wrote it.
    pub method: Option<&'a str>,
    /// The tool, for `tools/call`; the prompt or the resource for their methods.
    #[serde(rename = "tool")]
    pub subject: Option<&'a str>,
    /// What the rules said of it: `allow`, `deny`, `ask`; `would_deny` and `would_ask` where they are only tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<&'static str>,
    /// The line of the rule that said so; absent where none spoke of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u32>,
    /// For a tool whose results are kept: `hit`, `joined` when another's call answered it, or `miss`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<&'static str>,
    /// For a call that did not reach its server, since its idempotency key had been used: `joined` when it waited for the
    /// first, `answered` when it was told the first one's answer, `unknown` when there is none to tell, `refused` when the
    /// key is another call's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<&'static str>,
    /// What became of it.
    pub outcome: Outcome,
    /// The HTTP status of our answer; absent when the client left before there was one.
    pub status: Option<u16>,
    /// From the request's head to the end of the answer.
    pub duration_ms: f64,
    /// Of that, until the first thing came back from the upstream.
    pub upstream_ms: Option<f64>,
    /// Bytes of the request's message.
    pub bytes_in: u64,
    /// Bytes of the answer.
    pub bytes_out: u64,
    /// What went wrong, in words that hold nothing secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
}

/// What became of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered.
    Ok,
    /// Answered, by a tool that says it failed.
    ToolError,
    /// Answered by a JSON-RPC error.
    RpcError,
    /// Refused by us: who, from where, or what.
    Denied,
    /// The client left, or took the call back.
    Cancelled,
    /// The upstream took longer than allowed.
    Timeout,
    /// The upstream could not be reached, or broke the exchange.
    UpstreamFailed,
    /// Answered, by a result that is not of its method's shape. It was passed on.
    Malformed,
}

impl Outcome {
    /// All of them: the closed set of a metric's label.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::ToolError,
        Self::RpcError,
        Self::Denied,
        Self::Cancelled,
        Self::Timeout,
        Self::UpstreamFailed,
        Self::Malformed,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::RpcError => "rpc_error",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::UpstreamFailed => "upstream_failed",
            Self::Malformed => "malformed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_whatever_it_holds() {
        let record = Record {
            time: SystemTime::UNIX_EPOCH,
            trace: "t",
            principal: "anonymous",
            source: None,
            route: Some("/mcp/{server}"),
            upstream: Some("demo"),
            era: Some("legacy"),
            revision: Some("2025-06-18"),
            door: "http",
            method: Some("tools/call"),
            subject: Some("line\nbreak \u{1b}[31m"),
            decision: None,
            rule: None,
            cache: None,
            repeat: None,
            outcome: Outcome::ToolError,
            status: Some(200),
            duration_ms: 1.5,
            upstream_ms: None,
            bytes_in: 1,
            bytes_out: 2,
            error: None,
        };
        let line = serde_json::to_string(&record).unwrap();
        assert!(!line.contains(['\n', '\u{1b}']), "{line}");
        assert!(
            line.starts_with(r#"{"time":"1970-01-01T00:00:00.000Z","trace":"t""#),
            "{line}"
        );
        assert!(
            line.contains(r#""tool":"line\nbreak \u001b[31m","outcome":"tool_error""#),
            "{line}"
        );
    }

    #[test]
    fn outcomes_are_written_as_they_are_named() {
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_string(&outcome).unwrap(), format!("\"{outcome}\""));
        }
    }
}
