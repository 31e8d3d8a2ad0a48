//! A call made again, with what was answered.

use super::{Entries, Malformed, entries, is_object, state};
use crate::id::Id;
use crate::json;
use crate::message::Message;
use crate::object::Object;
use std::borrow::Cow;

/// The members of `params` that make a request another round of a call.
const RESPONSES: &str = "inputResponses";
const STATE: &str = "requestState";

/// The answers that a request carries, and the state it echoes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry<'a> {
    /// The answers: the name of the question, and the text of an object.
    pub responses: Vec<(Cow<'a, str>, &'a [u8])>,
    /// `requestState`, decoded.
    pub state: Option<Cow<'a, str>>,
}

impl<'a> Retry<'a> {
    /// Reads a client's request; `None` if it is a first one, with neither answers nor state.
    ///
    /// # Errors
    /// If either is not of the form it must have.
    pub fn read(request: &'a Message) -> Result<Option<Retry<'a>>, Malformed> {
        let Some(params) = request.params() else {
            return Ok(None);
        };
        let params = Object::parse(params).map_err(|_| Malformed::Shape)?;
        let state = state(&params)?;
        let responses: Option<Entries<'a>> = entries(&params, RESPONSES)?;
        if state.is_none() && responses.is_none() {
            return Ok(None);
        }
        let responses = responses.unwrap_or_default();
        if !responses.iter().all(|(_, text)| text.starts_with(b"{")) {
            return Err(Malformed::Shape);
        }
        Ok(Some(Retry {
            responses,
            state: state.and_then(json::decode_bytes),
        }))
    }

    /// Whether this is an answer that [`Retry::compose`] takes: the text of one object.
    pub fn can_carry(response: &[u8]) -> bool {
        is_object(response)
    }

    /// The request under another id, with these answers and this state instead of those it may have had.
    ///
    /// `state` is the text of a JSON string, as [`super::InputRequired`] has it. What is not well-formed is left out.
    pub fn compose<'r>(
        request: &Message,
        id: &Id,
        responses: impl IntoIterator<Item = (&'r str, &'r [u8])>,
        state: Option<&[u8]>,
    ) -> Message {
        let mut text = String::from("{");
        for (key, response) in responses.into_iter().filter(|(_, text)| is_object(text)) {
            if text.len() > 1 {
                text += ",";
            }
            text += &json::quote(key);
            text += ":";
            text += &String::from_utf8_lossy(response);
        }
        text += "}";
        let params = Object::parse(request.params().unwrap_or(b"{}"));
        let Ok(params) = params else {
            return request.with_id(id);
        };
        let mut edits = params.edit();
        edits.remove(RESPONSES).remove(STATE);
        if text.len() > 2 {
            edits.insert(RESPONSES, text);
        }
        if let Some(state) = state.filter(|state| json::decode_bytes(state).is_some()) {
            edits.insert(STATE, state.to_vec());
        }
        request.with_params(&edits.apply()).with_id(id)
    }
}
