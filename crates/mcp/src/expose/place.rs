//! Where in a message a name or a URI of a server stands, in both directions.
//!
//! What stands there is given to an `edit`, with its [`Place`], and gives way to what that returns; `None` leaves it.
//! Every other byte stays as it was sent, and a text in which nothing changes is the very same. A place that holds no
//! string is none.
//!
//! Which members of which message are places is one table (`place/table.rs`), for all revisions at once. Not in it,
//! since they are said to models and users and to nobody's router: text, `structuredContent`, arguments, `instructions`;
//! and what is not of a server: the roots and the tools of its questions, ids, tokens, cursors, tasks.
//!
//! A text is walked once, however many places it has, and copied at most once. Of members that stand twice each is
//! edited, so that it does not matter which a reader takes.

mod shape;
mod table;

use crate::json::{self, Scanner, quote};
use crate::message::{Kind, Message};
use crate::method::Method;
use crate::patch::Patch;
use crate::span::Span;
use shape::{Shape, places};
use std::borrow::Cow;

/// What stands in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The name of a tool.
    Tool,
    /// The name of a prompt.
    Prompt,
    /// The URI of a resource.
    Uri,
    /// A template of URIs; in a reference of `completion/complete` a URI may stand there too.
    Template,
}

/// A request or a notification, of a client or of a server, by its method: its parameters edited.
///
/// [`Message::subject`] is then what was put in, and with it what [`crate::header::mirror`] says.
pub fn request(message: &Message, edit: &mut impl FnMut(Place, &str) -> Option<String>) -> Message {
    let shape = message.method().and_then(table::params);
    edited(message, message.params_place(), shape, edit)
}

/// The answer to a request of the method `asked`, of a server or of a client: its result or its error edited.
///
/// A result may be one that ends the call, one that asks (2026-07-28), or one that is a task.
pub fn answer(
    asked: &Method,
    message: &Message,
    edit: &mut impl FnMut(Place, &str) -> Option<String>,
) -> Message {
    match message.kind() {
        Kind::Result => edited(message, message.result_place(), table::result(asked), edit),
        Kind::Error => edited(message, message.error_place(), Some(&table::ERROR), edit),
        Kind::Request | Kind::Notification => message.clone(),
    }
}

/// The parameters, the text of an object, of a request or a notification of that method.
pub fn params<'t>(
    method: &Method,
    params: &'t [u8],
    edit: &mut impl FnMut(Place, &str) -> Option<String>,
) -> Cow<'t, [u8]> {
    edited_text(params, table::params(method), edit)
}

/// The result, the text of an object, of a request of that method.
pub fn result<'t>(
    asked: &Method,
    result: &'t [u8],
    edit: &mut impl FnMut(Place, &str) -> Option<String>,
) -> Cow<'t, [u8]> {
    edited_text(result, table::result(asked), edit)
}

/// One element, the text of an object, of the list that a request of that method asks for.
pub fn item<'t>(
    listing: &Method,
    item: &'t [u8],
    edit: &mut impl FnMut(Place, &str) -> Option<String>,
) -> Cow<'t, [u8]> {
    edited_text(item, table::item(listing), edit)
}

fn edited(
    message: &Message,
    place: Option<Span>,
    shape: Option<&'static Shape>,
    edit: &mut impl FnMut(Place, &str) -> Option<String>,
) -> Message {
    let (Some(place), Some(shape)) = (place, shape) else {
        return message.clone();
    };
    match patch(place.of(message.bytes()), place.start, shape, edit) {
        Some(patch) => patch.message(message),
        None => message.clone(),
    }
}

fn edited_text<'t>(
    text: &'t [u8],
    shape: Option<&'static Shape>,
    edit: &mut impl FnMut(Place, &str) -> Option<String>,
) -> Cow<'t, [u8]> {
    let (Ok(whole), Some(shape)) = (std::str::from_utf8(text), shape) else {
        return Cow::Borrowed(text);
    };
    match patch(text, 0, shape, edit).map(|patch| patch.text(whole)) {
        Some(Cow::Owned(edited)) => Cow::Owned(edited.into_bytes()),
        Some(Cow::Borrowed(_)) | None => Cow::Borrowed(text),
    }
}

/// What the edits come to, in a text of which this is the part from `start` on. `None` if it is not JSON, which may
/// only be seen at its end.
fn patch(
    text: &[u8],
    start: u32,
    shape: &'static Shape,
    edit: &mut impl FnMut(Place, &str) -> Option<String>,
) -> Option<Patch> {
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| u32::try_from(text.len()).is_ok())?;
    let mut scanner = Scanner::new(text, u8::MAX);
    let found = places(shape, &mut scanner)?;
    let mut patch = Patch::default();
    for (place, span) in found {
        let quoted = scanner.text(span);
        let Some(said) = json::decode(quoted) else {
            continue;
        };
        // The same again would only be written in other letters.
        if let Some(instead) = edit(place, &said).filter(|instead| *instead != said) {
            let start = start as usize;
            let hole = Span::new(start + span.range().start, start + span.range().end);
            patch.replace(hole, quote(&instead));
        }
    }
    Some(patch)
}
