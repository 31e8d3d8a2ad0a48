//! JSON-RPC messages: what a client may send, what is sent back.

use serde_json::{Map, Value, json};

/// The members of `params`.
pub(super) type Params = Map<String, Value>;

/// One message from a client, its shape checked.
pub(super) enum Message {
    Request(Request),
    Notification {
        method: String,
        params: Params,
    },
    /// The client's answer to a question of ours; `Err` holds its error object.
    Response {
        id: Value,
        outcome: Result<Value, Value>,
    },
}

pub(super) struct Request {
    pub(super) id: Value,
    pub(super) method: String,
    pub(super) params: Params,
}

impl Message {
    /// Reads one message, or gives the answer that a misshapen one deserves.
    pub(super) fn read(value: Value) -> Result<Message, Answer> {
        let Value::Object(mut members) = value else {
            return Err(Answer::fault(
                None,
                Fault::invalid_request("a message is an object"),
            ));
        };
        let id = members.remove("id");
        // An id that JSON-RPC does not allow cannot be echoed either.
        let echo = id.clone().filter(is_id);
        let refuse = |why: &str| Err(Answer::fault(echo.clone(), Fault::invalid_request(why)));

        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return refuse("jsonrpc must be \"2.0\"");
        }
        if id.as_ref().is_some_and(|id| !is_id(id)) {
            return refuse("an id is a string or an integer");
        }
        let Some(method) = members.remove("method") else {
            let outcome = match (members.remove("result"), members.remove("error")) {
                (Some(result), None) => Ok(result),
                (None, Some(error)) => Err(error),
                _ => return refuse("a message has a method, a result or an error"),
            };
            return match id {
                Some(id) => Ok(Message::Response { id, outcome }),
                None => refuse("a response needs an id"),
            };
        };
        let Value::String(method) = method else {
            return refuse("a method is a string");
        };
        let params = match members.remove("params") {
            None => Params::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return refuse("params must be an object"),
        };
        Ok(match id {
            Some(id) => Message::Request(Request { id, method, params }),
            None => Message::Notification { method, params },
        })
    }
}

/// Strings and integers; an integer written as `1.0` is one.
fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64() || id.is_u64() || id.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// An answer on its way out: the message, and the HTTP status it would travel under.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) message: Value,
}

impl Answer {
    pub(super) fn result(id: Value, result: Value) -> Answer {
        let mut message = Map::new();
        message.insert("jsonrpc".into(), "2.0".into());
        message.insert("id".into(), id);
        message.insert("result".into(), result);
        Answer {
            status: 200,
            message: Value::Object(message),
        }
    }

    pub(super) fn fault(id: Option<Value>, fault: Fault) -> Answer {
        let mut error = json!({ "code": fault.code, "message": fault.message });
        if let Some(data) = fault.data {
            error["data"] = data;
        }
        let mut message = json!({ "jsonrpc": "2.0", "error": error });
        // Where the id could not be read it is left out: no revision's schema has a null id.
        if let Some(id) = id {
            message["id"] = id;
        }
        Answer {
            status: fault.status,
            message,
        }
    }
}

/// A JSON-RPC error in the making.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Option<Value>,
    pub(super) status: u16,
}

impl Fault {
    /// An error of a handler, which is a successful exchange as far as HTTP is concerned.
    pub(super) fn new(code: i64, message: impl Into<String>) -> Fault {
        Fault {
            code,
            message: message.into(),
            data: None,
            status: 200,
        }
    }

    pub(super) fn data(self, data: Value) -> Fault {
        Fault {
            data: Some(data),
            ..self
        }
    }

    pub(super) fn status(self, status: u16) -> Fault {
        Fault { status, ..self }
    }

    pub(super) fn parse(why: &dyn std::fmt::Display) -> Fault {
        Fault::new(-32700, format!("Parse error: {why}")).status(400)
    }

    pub(super) fn invalid_request(why: &str) -> Fault {
        Fault::new(-32600, format!("Invalid request: {why}")).status(400)
    }

    pub(super) fn invalid_params(why: impl Into<String>) -> Fault {
        Fault::new(-32602, why)
    }
}

pub(super) fn notification(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

pub(super) fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}
