//! The edits between an endpoint and one of its servers: names and URIs, wherever they stand.

use std::borrow::Cow;

use mcp::expose::place::{self, Place};
use mcp::expose::{Alias, uri};
use mcp::{Kind, Message, Method};
use upstream::Listing;

/// The edits of one call.
#[derive(Clone)]
pub(crate) struct Exposing {
    alias: Alias,
    asked: Option<Method>,
}

impl Exposing {
    /// Of a call of this method to the server of this alias.
    pub(super) fn new(alias: &Alias, asked: Option<&Method>) -> Self {
        Self {
            alias: alias.clone(),
            asked: asked.cloned(),
        }
    }

    /// The request in its server's words: what it names is called so there.
    pub(super) fn request(&self, request: &Message, original: &str) -> Message {
        place::request(request, &mut |_, _| Some(original.to_owned()))
    }

    /// A message of the server in the endpoint's words.
    pub(crate) fn shown(&self, message: &Message) -> Message {
        let edit = &mut |place, said: &str| shown(&self.alias, place, said);
        match (message.kind(), &self.asked) {
            (Kind::Result | Kind::Error, Some(asked)) => place::answer(asked, message, edit),
            (Kind::Result | Kind::Error, None) => message.clone(),
            (Kind::Request | Kind::Notification, _) => place::request(message, edit),
        }
    }
}

/// An item of a list with the URIs of the endpoint; its name is another's to choose.
pub(super) fn expose_item<'t>(alias: &Alias, listing: Listing, item: &'t [u8]) -> Cow<'t, [u8]> {
    place::item(&listing.method(), item, &mut |place, said: &str| {
        shown(alias, place, said)
    })
}

fn shown(alias: &Alias, place: Place, said: &str) -> Option<String> {
    match place {
        Place::Uri | Place::Template => Some(uri::expose(alias, said).into_owned()),
        Place::Tool | Place::Prompt => None,
    }
}
