//! A client's request or notification as its server is to read it.

use super::Said;
use super::shape;
use super::step::{Way, ending};
use super::value::{Members, Value};
use crate::era::Era;
use crate::input::is_object;
use crate::message::{Kind, Message};
use crate::meta;
use crate::patch::Patch;
use crate::revision::Revision;

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
    let statement = says.then(|| statement(said));
    let (meta_gone, whole) = match &statement {
        Some(statement) => (false, state(&params, statement, ways, &mut patch)),
        None => (shape::meta(&params, ways, &mut patch), None),
    };
    let gone = |name: &str| ending.contains(&name) || name == "_meta" && meta_gone;
    let added = whole.as_deref().map(|meta| ("_meta", meta));
    params.change(gone, added.as_slice(), &mut patch);
    let edited = patch.message(message);
    // What was put in has places of its own; what was taken out has none any more.
    if says { edited.read_again() } else { edited }
}

/// Puts the statement into `_meta`, before what else it says; or gives the `_meta` to add.
fn state<'w>(
    params: &Members<'_>,
    statement: &str,
    ways: impl Iterator<Item = &'w Way> + Clone,
    patch: &mut Patch,
) -> Option<String> {
    let whole = format!("{{{statement}}}");
    let Some(meta) = params.get("_meta") else {
        return Some(whole);
    };
    // What a legacy client says under these names was never a statement to its server; ours takes its place.
    let own = |name: &str| STATED.contains(&name) || ways.clone().any(|way| way.meta.contains(&name));
    let Some(members) = meta.members_where(own) else {
        patch.replace(meta.place(), whole);
        return None;
    };
    let comma = if members.change(|_| true, &[], patch) {
        ","
    } else {
        ""
    };
    patch.put_in_front(meta.place(), format!("{statement}{comma}"));
    None
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
    let object = |text| std::str::from_utf8(text).ok().filter(|_| is_object(text));
    let capabilities = object(said.capabilities).unwrap_or("{}");
    let info = said.client_info.and_then(object);
    // Enough for the names and the version.
    let length = 256 + capabilities.len() + info.map_or(0, str::len);
    let mut members = String::with_capacity(length);
    let mut say = |name: &str, json: &[&str]| {
        members += if members.is_empty() { "\"" } else { ",\"" };
        members += name;
        members += "\":";
        members.extend(json.iter().copied());
    };
    say(
        meta::PROTOCOL_VERSION,
        &["\"", Revision::V2026_07_28.as_str(), "\""],
    );
    say(meta::CLIENT_CAPABILITIES, &[capabilities]);
    if let Some(info) = info {
        say(meta::CLIENT_INFO, &[info]);
    }
    if let Some(level) = said.log_level.filter(|level| meta::LOG_LEVELS.contains(level)) {
        say(meta::LOG_LEVEL, &["\"", level, "\""]);
    }
    members
}
