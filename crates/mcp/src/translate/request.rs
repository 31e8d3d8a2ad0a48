//! A client's request or notification as its server is to read it.

use super::Said;
use super::patch::Patch;
use super::shape;
use super::step::{Way, ending};
use super::value::Value;
use crate::era::Era;
use crate::input::is_object;
use crate::json::quote;
use crate::message::{Kind, Message};
use crate::meta;
use crate::revision::Revision;
use std::fmt::Write;

pub(super) fn translate<'w>(
    ways: impl Iterator<Item = &'w Way> + Clone,
    server: Revision,
    message: &Message,
    said: &Said<'_>,
) -> Message {
    let Some(method) = message.method() else {
        return message.clone();
    };
    // Only what crosses into the modern era has to say what was said once before; and a notification never has.
    let says = message.kind() == Kind::Request && server.era() == Era::Modern;
    let Some(place) = message.params_place() else {
        return match says {
            true => message.with_params(format!(r#"{{"_meta":{{{}}}}}"#, statement(said)).as_bytes()),
            false => message.clone(),
        };
    };
    let ending: Vec<&str> = ways.clone().flat_map(|way| ending(way.params, method)).collect();
    let wanted: Vec<&str> = ending.iter().copied().chain(["_meta"]).collect();
    let params = Value::at(message.bytes(), place).and_then(|params| params.members(&wanted));
    let Some(params) = params else {
        return message.clone();
    };

    let mut patch = Patch::default();
    let mut added = Vec::new();
    let mut meta_gone = false;
    let statement = if says { statement(said) } else { String::new() };
    let whole = format!("{{{statement}}}");
    if !says {
        meta_gone = shape::meta(&params, ways, &mut patch);
    } else if let Some(value) = params.get("_meta") {
        // What a legacy client says under these names was never a statement to its server; ours takes its place.
        let own = |name: &str| STATED.contains(&name) || ways.clone().any(|way| way.meta.contains(&name));
        match value.all_members() {
            Some(members) => {
                let left = members.change(own, &[], &mut patch);
                let comma = if left { "," } else { "" };
                let open = value.place();
                patch.put_in_front(open, format!("{statement}{comma}"));
            }
            None => patch.replace(value.place(), whole.clone()),
        }
    } else {
        added.push(("_meta", whole.as_str()));
    }
    let gone = |name: &str| ending.contains(&name) || name == "_meta" && meta_gone;
    params.change(gone, &added, &mut patch);
    let edited = patch.message(message);
    // What was put in has places of its own; what was taken out has none any more.
    if says { edited.read_again() } else { edited }
}

/// The members of `_meta` that are ours to say.
const STATED: [&str; 5] = [
    meta::PROTOCOL_VERSION,
    meta::CLIENT_CAPABILITIES,
    meta::CLIENT_INFO,
    meta::LOG_LEVEL,
    meta::SUBSCRIPTION_ID,
];

/// What a request of 2026-07-28 says on itself: members, without the braces.
fn statement(said: &Said<'_>) -> String {
    let object = |text: &[u8]| is_object(text).then(|| String::from_utf8_lossy(text).into_owned());
    let capabilities = object(said.capabilities).unwrap_or_else(|| "{}".to_owned());
    let mut members = format!(
        r#""{}":"{}","{}":{capabilities}"#,
        meta::PROTOCOL_VERSION,
        Revision::V2026_07_28,
        meta::CLIENT_CAPABILITIES,
    );
    if let Some(info) = said.client_info.and_then(object) {
        _ = write!(members, r#","{}":{info}"#, meta::CLIENT_INFO);
    }
    if let Some(level) = said.log_level.filter(|level| meta::LOG_LEVELS.contains(level)) {
        _ = write!(members, r#","{}":{}"#, meta::LOG_LEVEL, quote(level));
    }
    members
}
