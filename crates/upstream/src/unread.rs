//! What a server says that is no message: why, in words, and the call that it would have answered.

use bytes::Bytes;
use mcp::{Body, Message, Object, ParseError};

use crate::error::Fault;
use crate::pending::Pending;

/// Why an answer cannot be read.
pub(crate) fn fault(error: &ParseError) -> Fault {
    Fault::Broken(format!("its answer is no JSON-RPC message: {}", why(error)))
}

/// The reason, which names the bound that can be raised where there is one.
pub(crate) fn why(error: &ParseError) -> String {
    let words = error.to_string();
    match words.contains("nested deeper than") {
        true => format!("{words} (`bounds.depth`)"),
        false => words,
    }
}

/// Reads the messages of one line or event of a shared wire. The call that an unreadable one would have answered
/// ends at once, rather than when its time is over. What is none stands as the reason.
pub(crate) fn read(text: Bytes, limits: &mcp::Limits, pending: &Pending) -> Vec<Result<Message, String>> {
    let whole = text.clone();
    let messages = match Body::parse(text, limits) {
        Ok(Body::One(message)) => return vec![Ok(message)],
        Ok(Body::Batch(messages)) => messages,
        Err(error) => {
            // A question may have any id, also one of ours.
            let is_answer = Object::parse(&whole).map_or(true, |text| text.get("method").is_none());
            if is_answer && let Some(id) = error.id() {
                pending.break_off(id, fault(&error));
            }
            return vec![Err(why(&error))];
        }
    };
    let read = |message: Result<Message, ParseError>| message.map_err(|error| why(&error));
    messages.into_iter().map(read).collect()
}
