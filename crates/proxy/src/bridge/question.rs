//! What a server asks a user, whichever way it asks: whether its client has offered that, and what stands for an
//! answer that cannot be had.

use std::borrow::Cow;

use mcp::translate::Unaskable;
use mcp::{ClientCapabilities, Id, Message, Method, Object, code};

/// Whether a client with these capabilities has offered to be asked this.
pub(super) fn is_offered(capabilities: &[u8], method: &Method, params: Option<&[u8]>) -> bool {
    let offered = ClientCapabilities::new(capabilities);
    match method {
        Method::SamplingCreateMessage => offered.sampling(),
        Method::RootsList => offered.roots(),
        Method::ElicitationCreate if address(method, params).is_some() => offered.elicitation_url(),
        Method::ElicitationCreate => offered.elicitation_form(),
        _ => false,
    }
}

/// What a client declares that can be asked this, in the words of its capabilities.
pub(super) fn wanted(method: &Method, params: Option<&[u8]>) -> &'static str {
    match method {
        Method::SamplingCreateMessage => "sampling",
        Method::RootsList => "roots",
        _ if address(method, params).is_some() => "elicitation.url",
        _ => "elicitation",
    }
}

/// Where a question sends its user, if it does.
pub(super) fn address(method: &Method, params: Option<&[u8]>) -> Option<String> {
    let params = Object::parse(params?).ok()?;
    let by_url = *method == Method::ElicitationCreate && params.get_text("mode").as_deref() == Some("url");
    by_url.then(|| params.get_text("url").map_or_else(String::new, Cow::into_owned))
}

/// Whether a user agreed to what an elicitation asked.
pub(super) fn is_accepted(response: &[u8]) -> bool {
    let response = Object::parse(response).ok();
    response.is_some_and(|response| response.get_text("action").as_deref() == Some("accept"))
}

/// What a server hears to a question that the client's revision has no words for.
pub(super) fn unaskable(id: &Id, why: Unaskable) -> Message {
    match why.stands_for() {
        Some(result) => Message::result_reply(id, result),
        None => Message::error_reply(Some(id), code::INVALID_PARAMS, why.as_str(), None),
    }
}
