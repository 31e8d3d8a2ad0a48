//! The `Mcp-*` headers: their names, their encoding, and whether they repeat what the body says.
//!
//! Since 2026-07-28 a request shows its version, method and subject in headers, for the sake of those who route
//! without reading bodies. A server must refuse a request whose headers say something else, lest the two be
//! judged differently (basic/transports/streamable-http §Request Headers).

mod agree;
mod mirror;
mod parameters;
mod listed;
mod sentinel;

pub use agree::{Mirrored, Values, agree};
pub use listed::{Unlisted, listed};
pub use mirror::mirror;
pub use parameters::{InvalidAnnotation, Parameters};
pub use sentinel::{HeaderError, decode_value, encode_value};

/// The revision a request is made under; since 2025-06-18.
pub const MCP_PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// The session of a legacy request, 2025-03-26 to 2025-11-25.
pub const MCP_SESSION_ID: &str = "mcp-session-id";
/// Repeats `method`; since 2026-07-28.
pub const MCP_METHOD: &str = "mcp-method";
/// Repeats what the request is about, see [`crate::Method::subject_member`]; since 2026-07-28.
pub const MCP_NAME: &str = "mcp-name";
/// Begins the headers that repeat annotated arguments of a tool; since 2026-07-28.
pub const MCP_PARAM_PREFIX: &str = "mcp-param-";
/// The last event a legacy client has seen of a stream it wants resumed.
pub const LAST_EVENT_ID: &str = "last-event-id";
