//! The `_meta` members that the protocol reserves for itself.

/// Every member whose name begins so is the protocol's.
pub const RESERVED_PREFIX: &str = "io.modelcontextprotocol/";

/// Which revision a request is made under; required since 2026-07-28.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client can do, said on each request; required since 2026-07-28.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Who the client is.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// From which level on a request wants log messages.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Which `subscriptions/listen` a message belongs to: the id of that request, with its JSON type.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// Who the server is.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// 2025-11-25 only: which task a message belongs to.
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// Under which token progress is reported. The one reserved name without a prefix.
pub const PROGRESS_TOKEN: &str = "progressToken";

/// Which of [`LOG_LEVELS`] a JSON text says, by its place there.
pub fn log_level(raw: &[u8]) -> Option<usize> {
    let said = crate::json::decode_bytes(raw)?;
    LOG_LEVELS.iter().position(|level| *level == said)
}

/// The log levels, least grave first (RFC 5424).
pub const LOG_LEVELS: [&str; 8] = [
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];
