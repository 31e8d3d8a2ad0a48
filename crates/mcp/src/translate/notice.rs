//! A server's notification as its client is to read it.

use super::shape;
use super::step::Way;
use super::value::Value;
use crate::message::Message;
use crate::patch::Patch;

pub(super) fn translate<'w>(
    ways: impl Iterator<Item = &'w Way> + Clone,
    message: &Message,
) -> Option<Message> {
    let method = message.method()?;
    if ways.clone().any(|way| way.notices.contains(method)) {
        return None;
    }
    let params = message
        .params_place()
        .and_then(|place| Value::at(message.bytes(), place)?.members(&["_meta"]));
    let Some(params) = params else {
        return Some(message.clone());
    };
    let mut patch = Patch::default();
    let meta_gone = shape::meta(&params, ways, &mut patch);
    params.change(|name| name == "_meta" && meta_gone, &[], &mut patch);
    Some(patch.message(message))
}
