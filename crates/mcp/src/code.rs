//! JSON-RPC error codes: the protocol's, by revision, and our own.
//!
//! The protocol keeps −32768…−32000 to itself; what we mint lies outside (2026-07-28 basic/index).

/// The text is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// The JSON is not a message, or not one that may be sent here.
pub const INVALID_REQUEST: i64 = -32600;
/// No such method. HTTP 404 in the modern era, 200 in the legacy one.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// Parameters are missing or wrong; since 2026-07-28 also an unknown resource.
pub const INVALID_PARAMS: i64 = -32602;
/// Something failed that is not the caller's fault.
pub const INTERNAL_ERROR: i64 = -32603;

/// An unknown resource, in every revision before 2026-07-28; not to be sent since.
pub const RESOURCE_NOT_FOUND: i64 = -32002;
/// 2025-11-25 only: the user must visit a URL first.
pub const URL_ELICITATION: i64 = -32042;

/// 2026-07-28: an `Mcp-*` header does not repeat what the body says.
pub const HEADER_MISMATCH: i64 = -32020;
/// 2026-07-28: the request needs a client capability that it did not declare.
pub const MISSING_CAPABILITY: i64 = -32021;
/// 2026-07-28: a protocol version that is not implemented here.
pub const UNSUPPORTED_VERSION: i64 = -32022;

/// Ours: the caller has used up its quota.
pub const OVER_QUOTA: i64 = -31001;
/// Ours: the server behind the gateway cannot be reached.
pub const UPSTREAM_UNAVAILABLE: i64 = -31002;
/// Ours: the rules of the gateway do not allow the request as it stands.
pub const NOT_ALLOWED: i64 = -31003;
