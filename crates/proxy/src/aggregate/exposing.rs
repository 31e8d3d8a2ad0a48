//! The edits between an endpoint and one of its servers: names and URIs, wherever they stand.

use std::borrow::Cow;

use bytes::Bytes;
use mcp::expose::place::{self, Place};
use mcp::expose::{Alias, uri};
use mcp::{Kind, Message, Method, Object};
use upstream::Listing;

use super::view::Target;

/// Where a tool or a prompt says what its server calls it, and which server that is.
const NAME: &str = "dev.causeway/name";

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

    /// The request in its server's words: what it names is called `original` there, and the URIs that its client was
    /// told of are the server's own again.
    pub(super) fn request(&self, request: &Message, target: &Target) -> Message {
        place::request(request, &mut |place, said| {
            if said == target.named {
                return Some(target.original.clone());
            }
            match place {
                Place::Uri | Place::Template => {
                    let ours = |alias: &str| (alias == self.alias.as_str()).then_some(());
                    uri::reveal(said, ours).map(|((), original)| original.into_owned())
                }
                Place::Tool | Place::Prompt => None,
            }
        })
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

/// An item under another name, with its own beside it.
pub(crate) fn renamed(item: &[u8], name: &str, server: &str, original: &str) -> Option<Bytes> {
    let item = Object::parse(item).ok()?;
    let text = |text: &str| serde_json::to_string(text).ok();
    let own = item.get("_meta").filter(|meta| meta.starts_with(b"{"));
    let own = Object::parse(own.unwrap_or(b"{}")).ok()?;
    let said = format!(r#"{{"server":{},"name":{}}}"#, text(server)?, text(original)?);
    let mut meta = own.edit();
    meta.set(NAME, said);
    let mut edits = item.edit();
    edits.set("name", text(name)?);
    edits.set("_meta", meta.apply());
    Some(edits.apply())
}

fn shown(alias: &Alias, place: Place, said: &str) -> Option<String> {
    match place {
        Place::Uri | Place::Template => Some(uri::expose(alias, said).into_owned()),
        Place::Tool | Place::Prompt => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mcp::Limits;

    use super::*;

    #[test]
    fn a_retry_says_what_its_server_calls_things_and_nothing_else_is_touched() {
        let text = |name: &str, uri: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}","arguments":{{"uri":"docs+note://a"}},"inputResponses":{{"r1":{{"role":"assistant","model":"m","content":{{"type":"resource_link","name":"a","uri":"{uri}"}}}}}}}}}}"#
            )
        };
        let parse = |text: String| Message::parse(Bytes::from(text), &Limits::default()).unwrap();
        let exposing = Exposing::new(&Alias::parse("docs").unwrap(), Some(&Method::ToolsCall));
        let target = Target {
            server: 0,
            named: "docs__find".into(),
            original: "find".into(),
        };

        for (said, there) in [("docs+note://a", "note://a"), ("crm+note://a", "crm+note://a")] {
            let request = exposing.request(&parse(text("docs__find", said)), &target);
            assert_eq!(
                String::from_utf8_lossy(request.bytes()),
                text("find", there),
                "{said}"
            );
        }
    }
}
