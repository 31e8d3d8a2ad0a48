//! A route with one server of which the file says what is shown, and how: names are its own or those of the file, URIs
//! its own, and everything else passes as it is.

use std::sync::Arc;

use bytes::Bytes;
use mcp::{Kind, Message, Method, Object};
use policy::{Curation, What};
use serde_json::value::RawValue;
use upstream::{Listing, Upstream};

use crate::aggregate::renamed;
use crate::answer::Answer;
use crate::call::{Call, Visit};
use crate::failure::Failure;
use crate::generation::Generation;
use crate::naming::{Nowhere, named, nowhere};
use crate::serve::transparent;
use crate::shown::Shown;

/// The edits of a list that was asked for.
pub(crate) struct Curated {
    shown: Shown,
    listing: Listing,
    /// What the server is called in the file.
    server: Arc<str>,
}

/// Carries a message to the server, up to the first thing that comes back.
pub(crate) async fn serve(
    current: &Arc<Generation>,
    call: &mut Call,
    upstream: &Arc<Upstream>,
    shown: Shown,
) -> Result<Answer, Failure> {
    match (call.message.kind(), call.message.method()) {
        (Kind::Request, _) => {
            let edited = admitted(&shown, &call.visit, &call.message)?;
            call.tells(edited);
            call.entry.carries(&call.message);
        }
        // A request without an id: nobody would be answered, and its server might still do it.
        (Kind::Notification, Some(method)) if !method.as_str().starts_with("notifications/") => {
            return Ok(Answer::accepted());
        }
        (Kind::Notification | Kind::Result | Kind::Error, _) => {}
    }
    let listing = call.message.method().and_then(listing_of);
    let answer = transparent(current, call, upstream).await?;
    Ok(match listing {
        Some(listing) => answer.curated(Curated {
            shown,
            listing,
            server: Arc::clone(&upstream.name),
        }),
        None => answer,
    })
}

/// The request as its server is to read it.
///
/// # Errors
/// What it names is not shown.
fn admitted(shown: &Shown, visit: &Visit, request: &Message) -> Result<Message, Failure> {
    if request.method() == Some(&Method::SubscriptionsListen) {
        return Ok(without_hidden(shown, request));
    }
    // What the rules hide they judge themselves, when the call is made.
    let Some(curation) = &shown.curation else {
        return Ok(request.clone());
    };
    let Some((what, name)) = named(request)? else {
        return Ok(request.clone());
    };
    if what != What::Tool {
        return match curation.shows(what, &name) {
            true => Ok(request.clone()),
            false => Err(nowhere(what, &name, Nowhere::Unknown)),
        };
    }
    let Some(original) = curation.meant(&name) else {
        return Err(nowhere(what, &name, Nowhere::Unknown));
    };
    let params = request.params().and_then(|params| Object::parse(params).ok());
    let request = match params.filter(|_| *original != name) {
        Some(params) => {
            let mut edits = params.edit();
            edits.set("name", serde_json::Value::from(original).to_string());
            request.with_params(&edits.apply())
        }
        None => request.clone(),
    };
    given(curation, visit, &request)
}

/// A `tools/call` by its original name, with the arguments that the file gives it.
///
/// # Errors
/// When the request does not bring what one of them is made of.
pub(crate) fn given(curation: &Curation, visit: &Visit, request: &Message) -> Result<Message, Failure> {
    let tool = request.subject().unwrap_or_default();
    let own = request.params_member("arguments").filter(|own| *own != b"null");
    let Some(arguments) = curation.arguments(&tool, own, visit)? else {
        return Ok(request.clone());
    };
    let params = request.params().and_then(|params| Object::parse(params).ok());
    Ok(match params {
        Some(params) => {
            let mut edits = params.edit();
            edits.set("arguments", arguments);
            request.with_params(&edits.apply())
        }
        None => request.clone(),
    })
}

/// A `subscriptions/listen` that asks for no resource that is not shown.
fn without_hidden(shown: &Shown, request: &Message) -> Message {
    let edited = || -> Option<Bytes> {
        let params = Object::parse(request.params()?).ok()?;
        let wanted = Object::parse(params.get("notifications")?).ok()?;
        let uris = wanted.get("resourceSubscriptions")?;
        let uris: Vec<serde_json::Value> = serde_json::from_slice(uris).unwrap_or_default();
        let uris = uris.iter().filter_map(serde_json::Value::as_str);
        let shown: Vec<&str> = uris
            .filter(|uri| shown.shows(What::Resource, uri, None))
            .collect();
        let mut edits = wanted.edit();
        edits.set("resourceSubscriptions", serde_json::to_string(&shown).ok()?);
        let wanted = edits.apply();
        let mut edits = params.edit();
        edits.set("notifications", wanted);
        Some(edits.apply())
    };
    edited().map_or_else(|| request.clone(), |params| request.with_params(&params))
}

impl Curated {
    /// A message of the server as its client reads it.
    pub(crate) fn shown(&self, message: &Message) -> Message {
        self.listed(message).unwrap_or_else(|| message.clone())
    }

    /// The page of a list with what is shown of it.
    fn listed(&self, page: &Message) -> Option<Message> {
        let result = Object::parse(page.result()?).ok()?;
        let items = result.get(self.listing.member())?;
        let items: Vec<&RawValue> = serde_json::from_slice(items).ok()?;
        let mut text = Vec::from(b"[");
        for item in items {
            let Some(item) = self.item(item.get().as_bytes()) else {
                continue;
            };
            if text.len() > 1 {
                text.push(b',');
            }
            text.extend_from_slice(&item);
        }
        text.push(b']');
        let mut edits = result.edit();
        edits.set(self.listing.member(), text);
        Some(page.with_result(&edits.apply()))
    }

    /// An item as it is shown; none when it is not.
    fn item(&self, item: &[u8]) -> Option<Bytes> {
        let key = Object::parse(item)
            .ok()?
            .get_text(self.listing.key())?
            .into_owned();
        let what = match self.listing {
            Listing::Tools => What::Tool,
            Listing::Prompts => What::Prompt,
            Listing::Resources | Listing::Templates => What::Resource,
        };
        if !self.shown.shows(what, &key, Some(item)) {
            return None;
        }
        if what != What::Tool {
            return Some(Bytes::copy_from_slice(item));
        }
        let called = self.shown.called(&key);
        let changed = self.shown.tool(&key, item);
        let item = changed.unwrap_or_else(|| Bytes::copy_from_slice(item));
        match called == key {
            true => Some(item),
            false => renamed(&item, called, &self.server, &key),
        }
    }
}

fn listing_of(method: &Method) -> Option<Listing> {
    Listing::ALL
        .into_iter()
        .find(|listing| listing.method() == *method)
}
