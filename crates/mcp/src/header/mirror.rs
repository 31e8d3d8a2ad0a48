//! What the headers of a modern request repeat of its body, for who makes one.

use std::borrow::Cow;

use super::agree::has_name_header;
use super::{MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, encode_value};
use crate::message::Message;
use crate::revision::Revision;

/// The headers that a request or a notification of 2026-07-28 has to carry, arguments of tools aside: their
/// names in lower case, and their values as they stand on the wire. An answer carries none.
pub fn mirror(message: &Message) -> Vec<(&'static str, String)> {
    let Some(method) = message.method() else {
        return Vec::new();
    };
    let version = message.protocol_version();
    let version = version.unwrap_or(Cow::Borrowed(Revision::V2026_07_28.as_str()));
    let mut headers = vec![
        (MCP_PROTOCOL_VERSION, encode_value(&version).into_owned()),
        (MCP_METHOD, encode_value(method.as_str()).into_owned()),
    ];
    if has_name_header(method)
        && let Some(subject) = message.subject()
    {
        headers.push((MCP_NAME, encode_value(&subject).into_owned()));
    }
    headers
}
