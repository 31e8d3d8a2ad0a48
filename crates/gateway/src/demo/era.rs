//! Which half of the protocol a request belongs to.

use super::message::Request;
use super::revision::Revision;
use super::terms::{CAPABILITIES, VERSION};

/// The half of the protocol a demo server speaks.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    /// 2024-11-05 to 2025-11-25: a handshake, then a session
    Legacy,
    /// 2026-07-28: every request stands alone
    Modern,
    Both,
}

impl Era {
    /// The revisions spoken, newest first.
    pub(super) fn revisions(self) -> impl Iterator<Item = &'static str> {
        Revision::ALL
            .into_iter()
            .filter(move |revision| self.speaks(*revision))
            .map(Revision::date)
    }

    pub(super) fn speaks(self, revision: Revision) -> bool {
        match self {
            Era::Both => true,
            Era::Modern => revision.is_modern(),
            Era::Legacy => !revision.is_modern(),
        }
    }

    /// Decides how to read a request; `header` is its `MCP-Protocol-Version`, over HTTP.
    ///
    /// 2026-07-28 basic/versioning §Backward Compatibility: modern `_meta` is served statelessly, even for
    /// a method that only the older half knows; `initialize` without it opens a session.
    pub(super) fn of(self, request: &Request, header: Option<&str>) -> Era {
        match self {
            Era::Legacy | Era::Modern => return self,
            Era::Both => {}
        }
        let is_legacy = |date: &str| Revision::parse(date).is_some_and(|revision| !revision.is_modern());
        let meta = request.params.get("_meta");
        if let Some(version) = meta.and_then(|meta| meta.get(VERSION)) {
            let named_legacy = version.as_str().is_some_and(is_legacy);
            return if named_legacy && header.is_none_or(is_legacy) {
                Era::Legacy
            } else {
                Era::Modern
            };
        }
        match request.method.as_str() {
            "initialize" => Era::Legacy,
            // These two exist in the newer half only, so what they lack is `_meta`.
            "server/discover" | "subscriptions/listen" => Era::Modern,
            _ if header == Some(Revision::V26.date()) => Era::Modern,
            _ if meta.is_some_and(|meta| meta.get(CAPABILITIES).is_some()) => Era::Modern,
            _ => Era::Legacy,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::message::{Message, Request};
    use super::Era;

    fn request(method: &str, meta: Value) -> Option<Request> {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": { "_meta": meta } });
        match Message::read(message) {
            Ok(Message::Request(request)) => Some(request),
            Ok(_) | Err(_) => None,
        }
    }

    #[test]
    fn the_request_itself_tells_its_era() {
        let modern = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
        let unknown = json!({ "io.modelcontextprotocol/protocolVersion": "2099-01-01" });
        let legacy = json!({ "io.modelcontextprotocol/protocolVersion": "2025-11-25" });
        let check = |method: &str, meta: &Value, header: Option<&str>, era: Era| {
            let request = request(method, meta.clone());
            assert_eq!(
                request.map(|request| Era::Both.of(&request, header)),
                Some(era),
                "{method} {meta} {header:?}"
            );
        };

        check("initialize", &json!({}), Some("2026-07-28"), Era::Legacy);
        check("initialize", &modern, None, Era::Modern);
        check("tools/list", &json!({}), None, Era::Legacy);
        check("tools/list", &json!({}), Some("2026-07-28"), Era::Modern);
        check("tools/list", &unknown, None, Era::Modern);
        check("tools/list", &legacy, None, Era::Legacy);
        check("tools/list", &legacy, Some("2025-06-18"), Era::Legacy);
        check("tools/list", &legacy, Some("2026-07-28"), Era::Modern);
        check("server/discover", &json!({}), None, Era::Modern);
    }
}
