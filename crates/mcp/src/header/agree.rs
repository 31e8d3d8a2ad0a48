//! Whether the headers of a modern request repeat its body.

use super::{HeaderError, decode_value};
use crate::capability::{ClientCapabilities, TASKS_EXTENSION};
use crate::code;
use crate::message::{Kind, Message};
use crate::method::Method;
use crate::refusal::Refusal;

/// All lines of one header: collect them into this, in any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Values<'a> {
    /// The header is not there.
    #[default]
    Absent,
    /// It is there once, with this value.
    One(&'a [u8]),
    /// It is there several times; this is the first. Which one counts is anyone's guess, so none does.
    Several(&'a [u8]),
}

impl<'a> Values<'a> {
    /// Whether the header is there at all.
    pub fn is_present(self) -> bool {
        self != Values::Absent
    }
}

impl<'a> FromIterator<&'a [u8]> for Values<'a> {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(lines: I) -> Values<'a> {
        let mut lines = lines.into_iter();
        match (lines.next(), lines.next()) {
            (None, _) => Values::Absent,
            (Some(value), None) => Values::One(value),
            (Some(first), Some(_)) => Values::Several(first),
        }
    }
}

/// The headers that repeat the body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mirrored<'a> {
    /// The lines of [`super::MCP_PROTOCOL_VERSION`].
    pub version: Values<'a>,
    /// The lines of [`super::MCP_METHOD`].
    pub method: Values<'a>,
    /// The lines of [`super::MCP_NAME`].
    pub name: Values<'a>,
}

/// Checks that the headers repeat the request. For other messages they are not defined, and not checked.
///
/// # Errors
/// 400 and `-32020` if a required header is missing, stands twice, cannot be read, or says something else.
pub fn agree(headers: &Mirrored<'_>, message: &Message) -> Result<(), Refusal> {
    let (Kind::Request, Some(method)) = (message.kind(), message.method()) else {
        return Ok(());
    };

    let version = message.protocol_version();
    repeats(
        "MCP-Protocol-Version",
        headers.version,
        version.as_deref().unwrap_or_default(),
        plain,
    )?;
    repeats("Mcp-Method", headers.method, method.as_str(), plain)?;

    if !has_name_header(method) {
        return Ok(());
    }
    match (headers.name, message.subject()) {
        // A request without subject is refused for that, later and in better words.
        (Values::Absent, None) => Ok(()),
        (Values::Absent, Some(_)) if name_is_optional(method, message) => Ok(()),
        (_, None) => Err(mismatch("Mcp-Name", "repeats nothing in the body")),
        (name, Some(subject)) => repeats("Mcp-Name", name, &subject, decode_value),
    }
}

type Read<'a> = fn(&'a [u8]) -> Result<std::borrow::Cow<'a, str>, HeaderError>;

fn repeats<'a>(name: &str, values: Values<'a>, expected: &str, read: Read<'a>) -> Result<(), Refusal> {
    let value = match values {
        Values::Absent => return Err(mismatch(name, "is missing")),
        Values::Several(_) => return Err(mismatch(name, "stands more than once")),
        Values::One(value) => value,
    };
    match read(value) {
        Ok(value) if value == expected => Ok(()),
        Ok(_) => Err(mismatch(name, "does not match the body")),
        Err(error) => Err(mismatch(name, &error.to_string())),
    }
}

/// A value that is never encoded.
fn plain(value: &[u8]) -> Result<std::borrow::Cow<'_, str>, HeaderError> {
    let text = std::str::from_utf8(value).map_err(|_| HeaderError::Forbidden)?;
    Ok(text.trim_matches([' ', '\t']).into())
}

pub(super) fn has_name_header(method: &Method) -> bool {
    matches!(
        method,
        Method::ToolsCall
            | Method::PromptsGet
            | Method::ResourcesRead
            | Method::TasksGet
            | Method::TasksUpdate
            | Method::TasksCancel
    )
}

/// Only the tasks extension asks for the header on `tasks/*`, so only who declares it is held to that.
fn name_is_optional(method: &Method, message: &Message) -> bool {
    let about_task = matches!(
        method,
        Method::TasksGet | Method::TasksUpdate | Method::TasksCancel
    );
    let declared = |json| ClientCapabilities::new(json).extension(TASKS_EXTENSION).is_some();
    about_task && !message.client_capabilities().is_some_and(declared)
}

pub(super) fn mismatch(name: &str, words: &str) -> Refusal {
    Refusal::new(code::HEADER_MISMATCH, format!("Header mismatch: {name} {words}"))
}
