//! Error codes, which mean one thing in one revision and another, or nothing, in the next.

use super::step::Way;
use super::value::{Members, Value};
use crate::code;
use crate::json::quote;
use crate::message::Message;
use crate::method::Method;
use crate::patch::Patch;

/// What a step makes of an error.
pub(super) enum Recoded {
    /// It passes.
    Same,
    /// The same under another code.
    Code(i64),
    /// Another code and other words; the data pass.
    Words(i64, String),
    /// `-32603`, with all that the server said as `data.upstream`; in other words, if there are any.
    Wrapped(Option<String>),
    /// No error after all, but this result.
    Result(&'static str),
}

/// An error that has gone all its way.
pub(super) enum Answer {
    Error(Message),
    /// A result that has yet to go its own.
    Result(Message),
}

/// What does not have the form of an error passes as it is.
pub(super) fn translate<'w>(
    ways: impl Iterator<Item = &'w Way>,
    asked: &Method,
    message: &Message,
) -> Answer {
    let mut message = message.clone();
    for way in ways {
        let Some((code, error)) = message.error_code().zip(read(&message)) else {
            break;
        };
        message = match (way.error)(asked, code, &error) {
            Recoded::Same => continue,
            Recoded::Code(code) => edited(&message, &error, code, None, None),
            Recoded::Words(code, words) => edited(&message, &error, code, Some(&words), None),
            Recoded::Wrapped(words) => {
                let upstream = String::from_utf8_lossy(message.error().unwrap_or(b"{}"));
                let data = format!(r#"{{"upstream":{upstream}}}"#);
                edited(
                    &message,
                    &error,
                    code::INTERNAL_ERROR,
                    words.as_deref(),
                    Some(data),
                )
            }
            Recoded::Result(json) => match message.id() {
                Some(id) => return Answer::Result(Message::result_reply(id, json)),
                None => continue,
            },
        };
    }
    Answer::Error(message)
}

/// Whether an error speaks of a resource that is not there: it names the resource, or says so in words.
pub(super) fn speaks_of_nothing_found(error: &Members<'_>) -> bool {
    let data = error.get("data").and_then(|data| data.members(&["uri"]));
    if data.is_some_and(|data| data.string("uri").is_some()) {
        return true;
    }
    let words = error.string("message").unwrap_or_default().to_lowercase();
    [
        "not found",
        "unknown resource",
        "no such resource",
        "does not exist",
    ]
    .iter()
    .any(|phrase| words.contains(phrase))
}

/// The capabilities that `-32021` names, in one line; no more of them than the protocol has.
pub(super) fn capabilities_named(error: &Members<'_>) -> Option<String> {
    const MOST: usize = 8;
    let data = error.get("data")?.members(&["requiredCapabilities"])?;
    let required = data.get("requiredCapabilities")?.members(&[
        "elicitation",
        "experimental",
        "extensions",
        "roots",
        "sampling",
    ])?;
    let names: Vec<&str> = required
        .iter()
        .map(|member| member.name.as_ref())
        .take(MOST)
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn read(message: &Message) -> Option<Members<'_>> {
    Value::at(message.bytes(), message.error_place()?)?.members(&["code", "message", "data"])
}

fn edited(
    message: &Message,
    error: &Members<'_>,
    code: i64,
    words: Option<&str>,
    data: Option<String>,
) -> Message {
    let mut values = vec![("code", code.to_string())];
    values.extend(words.map(|words| ("message", quote(words))));
    values.extend(data.map(|data| ("data", data)));
    let mut patch = Patch::default();
    error.set(values, &mut patch);
    patch.message(message).read_again()
}
