//! Questions within a call, as 2026-07-28 asks them: the call ends with the questions, and the client calls again
//! with the answers (basic §Multi-round-trip requests).

mod retry;
mod url;

pub use retry::Retry;
pub use url::url_requests;

use crate::id::Id;
use crate::json::{self, Scanner, quote};
use crate::message::Message;
use crate::method::Method;
use crate::object::Object;
use std::borrow::Cow;
use std::fmt;

/// How many questions or answers one message may carry; more is [`Malformed::TooMany`].
pub const MOST: usize = 64;

/// What a result is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultType {
    /// The end of the call. Also what says nothing of its type, as every result before 2026-07-28.
    Complete,
    /// Questions; the call is to be made again with their answers.
    InputRequired,
    /// A task that goes on after the call (SEP-2663).
    Task,
    /// Anything else: a string's text, or the JSON text of what is none.
    Unknown(String),
}

/// What this result is. The place was found when the message was read: a long result is not read again.
pub fn result_type(message: &Message) -> ResultType {
    let Some(raw) = message.result_type() else {
        return ResultType::Complete;
    };
    match json::decode_bytes(raw) {
        Some(text) => match text.as_ref() {
            "complete" => ResultType::Complete,
            "input_required" => ResultType::InputRequired,
            "task" => ResultType::Task,
            other => ResultType::Unknown(other.to_owned()),
        },
        None => ResultType::Unknown(String::from_utf8_lossy(raw).into_owned()),
    }
}

/// The questions of a result, and what is to be echoed with their answers.
#[derive(Clone, Debug, Default)]
pub struct InputRequired<'a> {
    /// The questions in the order of the text. Empty where the server only wants to be called again.
    pub requests: Vec<InputRequest<'a>>,
    /// `requestState`: the text of a JSON string, to be echoed as it is.
    pub state: Option<&'a [u8]>,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequest<'a> {
    /// The name under which the answer is expected.
    pub key: Cow<'a, str>,
    /// `sampling/createMessage`, `elicitation/create` or `roots/list`.
    pub method: Method,
    /// The text of an object.
    pub params: Option<Cow<'a, [u8]>>,
}

/// Why questions or answers cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Neither questions nor a state.
    Empty,
    /// More than [`MOST`].
    TooMany,
    /// A member is no object, or has no `params` where the method needs them.
    Shape,
    /// Two of one name.
    Twice,
    /// A question of a method that asks no client anything.
    Method,
    /// `requestState` is no string.
    State,
}

impl Malformed {
    /// Why, in words for a log or an error. They repeat nothing of the message.
    pub fn as_str(self) -> &'static str {
        match self {
            Malformed::Empty => "neither `inputRequests` nor `requestState`",
            Malformed::TooMany => "too many questions or answers at once",
            Malformed::Shape => "a question or an answer is not of the form it must have",
            Malformed::Twice => "two questions or answers of one name",
            Malformed::Method => "a question of a method that asks clients nothing",
            Malformed::State => "`requestState` is not a string",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl std::error::Error for Malformed {}

impl InputRequired<'_> {
    /// Reads the questions of a result whose type is [`ResultType::InputRequired`]. A `null` counts as absent.
    ///
    /// # Errors
    /// If there is nothing in it, or something that is no question.
    pub fn read(message: &Message) -> Result<InputRequired<'_>, Malformed> {
        let result = Object::parse(message.result().unwrap_or_default()).map_err(|_| Malformed::Shape)?;
        let state = state(&result)?;
        let requests = entries(&result, "inputRequests")?.unwrap_or_default();
        if requests.is_empty() && state.is_none() {
            return Err(Malformed::Empty);
        }
        let requests = requests.into_iter().map(|(key, text)| request(key, text));
        Ok(InputRequired {
            requests: requests.collect::<Result<_, _>>()?,
            state,
        })
    }
}

/// A result that asks these questions in answer to `id`: name, method, and parameters (the text of an object).
pub fn input_required(
    id: &Id,
    requests: &[(String, Method, Option<Vec<u8>>)],
    state: Option<&str>,
) -> Message {
    let mut text = String::from(r#"{"resultType":"input_required""#);
    for (index, (key, method, params)) in requests.iter().enumerate() {
        text += if index == 0 { r#","inputRequests":{"# } else { "," };
        text += &quote(key);
        text += r#":{"method":"#;
        text += &quote(method.as_str());
        if let Some(params) = params.as_deref().filter(|params| is_object(params)) {
            text += r#","params":"#;
            text += &String::from_utf8_lossy(params);
        }
        text += "}";
    }
    if !requests.is_empty() {
        text += "}";
    }
    if let Some(state) = state {
        text += r#","requestState":"#;
        text += &quote(state);
    }
    text += "}";
    Message::result_reply(id, &text)
}

fn request<'a>(key: Cow<'a, str>, text: &'a [u8]) -> Result<InputRequest<'a>, Malformed> {
    let question = Object::parse(text).map_err(|_| Malformed::Shape)?;
    let method = question.get_text("method").ok_or(Malformed::Shape)?;
    let method = Method::parse(&method);
    let needs_params = match method {
        Method::ElicitationCreate | Method::SamplingCreateMessage => true,
        Method::RootsList => false,
        _ => return Err(Malformed::Method),
    };
    let params = question.get("params").filter(|text| *text != b"null");
    if params.is_none_or(|text| !text.starts_with(b"{")) && (needs_params || params.is_some()) {
        return Err(Malformed::Shape);
    }
    Ok(InputRequest {
        key,
        method,
        params: params.map(Cow::Borrowed),
    })
}

/// `requestState`, the text of a string.
fn state<'a>(object: &Object<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    match object.get("requestState") {
        None | Some(b"null") => Ok(None),
        Some(text) if json::decode_bytes(text).is_some() => Ok(Some(text)),
        Some(_) => Err(Malformed::State),
    }
}

/// The members of an object that is a member, none of them twice.
type Entries<'a> = Vec<(Cow<'a, str>, &'a [u8])>;

fn entries<'a>(object: &Object<'a>, name: &str) -> Result<Option<Entries<'a>>, Malformed> {
    let Some(text) = object.get(name).filter(|text| *text != b"null") else {
        return Ok(None);
    };
    let inner = Object::parse(text).map_err(|_| Malformed::Shape)?;
    let mut entries = Entries::new();
    for member in inner.members() {
        if entries.iter().any(|(key, _)| *key == member.key) {
            return Err(Malformed::Twice);
        }
        if entries.len() == MOST {
            return Err(Malformed::TooMany);
        }
        entries.push((member.key.clone(), member.value.of(text)));
    }
    Ok(Some(entries))
}

/// Whether this is the text of one object and nothing more.
pub(crate) fn is_object(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let mut scanner = Scanner::new(text, u8::MAX);
    // What lies too deep was passed over without a closer look.
    scanner.peek() == Some(b'{')
        && scanner.value().is_ok()
        && scanner.end().is_ok()
        && scanner.too_deep().is_none()
}
