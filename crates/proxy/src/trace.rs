//! Trace ids: the client's own, or one that begins here.
//!
//! The gateway only reads them. What a client says of its trace goes on as it is, in headers and in `_meta`: who exports
//! no spans of its own and puts one of them in between would tear the trace of those who do.

use std::fmt;

use http::HeaderMap;
use mcp::Message;

use crate::app::single;

/// The trace of a request, and whether its client said so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace {
    pub(crate) id: TraceId,
    said: bool,
}

/// The trace an exchange belongs to, as W3C trace context has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(u128);

impl Trace {
    /// That of the headers, or one that begins here.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let said = single(headers, "traceparent").and_then(TraceId::from_traceparent);
        Self {
            id: said.unwrap_or_else(TraceId::new),
            said: said.is_some(),
        }
    }

    /// One that begins here.
    pub(crate) fn begun() -> Self {
        Self {
            id: TraceId::new(),
            said: false,
        }
    }

    /// That of a message in it, where the headers said none (2026-07-28 basic §`_meta`, trace context).
    #[must_use]
    pub(crate) fn in_message(self, message: &Message) -> Self {
        let said = || {
            let text = message.meta_member("traceparent")?;
            TraceId::from_traceparent(serde_json::from_slice(text).ok()?)
        };
        match said().filter(|_| !self.said) {
            Some(id) => Self { id, said: true },
            None => self,
        }
    }
}

impl TraceId {
    /// The id in a `traceparent`, if that is one.
    pub(crate) fn from_traceparent(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, id) = (parts.next()?, parts.next()?);
        let hexadecimal = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if version.len() != 2 || version == "ff" || id.len() != 32 || !hexadecimal(id) {
            return None;
        }
        u128::from_str_radix(id, 16).ok().filter(|id| *id != 0).map(Self)
    }

    /// A new one. Unpredictability is not asked of it, only that it differs from others.
    pub(crate) fn new() -> Self {
        Self(fastrand::u128(1..))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_trace_is_kept() {
        let id = TraceId::from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(id.unwrap().to_string(), "0af7651916cd43dd8448eb211c80319c");
    }

    #[test]
    fn a_message_says_it_where_the_headers_do_not() {
        const ONE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        const OTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let message = |traceparent: &str| {
            let params = format!(r#"{{"_meta":{{"traceparent":{traceparent}}}}}"#);
            Message::request(&mcp::Id::number(1), "tools/list", Some(&params))
        };
        let message = |traceparent: &str| {
            let bytes = message(traceparent).bytes().clone();
            Message::parse(bytes, &mcp::Limits::default()).unwrap()
        };
        let mut headers = HeaderMap::new();
        let silent = Trace::of(&headers);
        headers.insert("traceparent", OTHER.parse().unwrap());
        let saying = Trace::of(&headers);

        let said = silent.in_message(&message(&format!("\"{ONE}\"")));
        assert_eq!(Some(said.id), TraceId::from_traceparent(ONE));
        let said = saying.in_message(&message(&format!("\"{ONE}\"")));
        assert_eq!(Some(said.id), TraceId::from_traceparent(OTHER));
        for garbage in ["7", "null", "\"\"", "{}", "\"00-x\""] {
            assert_eq!(silent.in_message(&message(garbage)).id, silent.id, "{garbage}");
        }
    }

    #[test]
    fn what_is_no_trace_is_not_taken_for_one() {
        for text in [
            "",
            "00",
            "00-0-0-0",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b-01",
        ] {
            assert_eq!(TraceId::from_traceparent(text), None, "{text}");
        }
    }
}
