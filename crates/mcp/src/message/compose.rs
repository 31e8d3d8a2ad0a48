//! Messages of our own.
//!
//! What is called JSON here is put in as it is and must be well-formed; in debug builds this is asserted.

use super::{Kind, Message};
use crate::id::Id;
use crate::json::quote;
use crate::method::Method;

impl Message {
    /// An error in answer to `id`; without one the member is left out (allowed since 2025-11-25, and what the
    /// schema of 2026-07-28 says of an error whose request could not be read).
    pub fn error_reply(id: Option<&Id>, code: i64, message: &str, data: Option<&str>) -> Message {
        let id_member = id.map(|id| format!(r#","id":{id}"#)).unwrap_or_default();
        let data_member = data.map(|data| format!(r#","data":{data}"#)).unwrap_or_default();
        let message = quote(message);
        let text = format!(
            r#"{{"jsonrpc":"2.0"{id_member},"error":{{"code":{code},"message":{message}{data_member}}}}}"#
        );
        Message::own(text, Kind::Error, id.cloned(), None)
    }

    /// A result, which is JSON text, in answer to `id`.
    pub fn result_reply(id: &Id, result_json: &str) -> Message {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result_json}}}"#);
        Message::own(text, Kind::Result, Some(id.clone()), None)
    }

    /// A request; its parameters are the JSON text of an object.
    pub fn request(id: &Id, method: &str, params_json: Option<&str>) -> Message {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":{}{}}}"#,
            quote(method),
            params_member(params_json)
        );
        Message::own(text, Kind::Request, Some(id.clone()), Some(Method::parse(method)))
    }

    /// A notification; its parameters are the JSON text of an object.
    pub fn notification(method: &str, params_json: Option<&str>) -> Message {
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":{}{}}}"#,
            quote(method),
            params_member(params_json)
        );
        Message::own(text, Kind::Notification, None, Some(Method::parse(method)))
    }
}

fn params_member(params_json: Option<&str>) -> String {
    params_json
        .map(|params| format!(r#","params":{params}"#))
        .unwrap_or_default()
}
