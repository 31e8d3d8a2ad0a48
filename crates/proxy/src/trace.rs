//! Trace ids: the client's own, or one that begins here.

use std::fmt;

/// The trace an exchange belongs to, as W3C trace context has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(u128);

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
