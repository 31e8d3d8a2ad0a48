//! A server's answer as its client is to read it.
//!
//! A result is walked at most twice, once over its members and once over its content, and copied at most once.

use super::step::{Listing, Put, Structured, Way, ending};
use super::structured::as_text;
use super::value::Value;
use super::{content, error, shape};
use crate::message::{Kind, Message};
use crate::method::Method;
use crate::patch::Patch;

pub(super) fn translate<'w>(
    ways: impl Iterator<Item = &'w Way> + Clone,
    asked: &Method,
    message: &Message,
) -> Message {
    match message.kind() {
        Kind::Error => match error::translate(ways.clone(), asked, message) {
            error::Answer::Error(message) => message,
            error::Answer::Result(message) => result(ways, asked, &message),
        },
        Kind::Result => result(ways, asked, message),
        Kind::Request | Kind::Notification => message.clone(),
    }
}

fn result<'w>(ways: impl Iterator<Item = &'w Way> + Clone, asked: &Method, message: &Message) -> Message {
    let put: Vec<&Put> = shape::put(ways.clone(), asked).collect();
    let ending: Vec<&str> = ways.clone().flat_map(|way| ending(way.result, asked)).collect();
    let ends_meta = ways.clone().any(|way| !way.meta.is_empty());
    let rewrites = match asked {
        Method::ToolsCall | Method::PromptsGet => ways.clone().any(|way| way.block.is_some()),
        Method::ToolsList => ways.clone().any(|way| way.tool.is_some()),
        _ => false,
    };
    if put.is_empty() && ending.is_empty() && !ends_meta && !rewrites {
        return message.clone();
    }
    let Some(result) = message
        .result_place()
        .and_then(|place| Value::at(message.bytes(), place))
    else {
        return message.clone();
    };
    let mut wanted = vec!["_meta", "content", "messages", "tools", "structuredContent"];
    wanted.extend(ending.iter().copied().chain(put.iter().map(|put| put.member)));
    // What is no object is no result of any revision: it passes, for its client to judge.
    let Some(members) = result.members(&wanted) else {
        return message.clone();
    };

    let mut patch = Patch::default();
    match asked {
        Method::ToolsCall => {
            for value in members.all("content") {
                content::rewrite(value, ways.clone(), &mut patch);
            }
        }
        Method::PromptsGet => {
            for messages in members.all("messages") {
                prompt(messages, ways.clone(), &mut patch);
            }
        }
        Method::ToolsList => {
            for tools in members.all("tools") {
                list(tools, ways.clone(), &mut patch);
            }
        }
        _ => {}
    }
    let meta_gone = shape::meta(&members, ways.clone(), &mut patch);
    let unstructured = *asked == Method::ToolsCall
        && ways.clone().any(|way| way.structured == Structured::Objects)
        && as_text(&members, &mut patch);

    let mut added = Vec::new();
    for put in &put {
        let mut there = members.all(put.member).peekable();
        if there.peek().is_none() {
            added.push((put.member, put.json));
        }
        for value in there.filter(|value| !(put.fits)(value.raw())) {
            patch.replace(value.place(), put.json);
        }
    }
    let gone = |name: &str| {
        ending.contains(&name) || name == "_meta" && meta_gone || name == "structuredContent" && unstructured
    };
    members.change(gone, &added, &mut patch);
    patch.message(message)
}

/// The messages of a prompt, each with its content.
fn prompt<'w>(messages: Value<'_>, ways: impl Iterator<Item = &'w Way> + Clone, patch: &mut Patch) {
    messages.elements(patch, |message, patch| {
        let message = message.members(&["content"]);
        for value in message.iter().flat_map(|message| message.all("content")) {
            content::rewrite(value, ways.clone(), patch);
        }
        true
    });
}

/// A list of tools, without those that its reader could not call.
pub(super) fn list<'w>(tools: Value<'_>, ways: impl Iterator<Item = &'w Way> + Clone, patch: &mut Patch) {
    tools.elements(patch, |tool, patch| {
        let mut ways = ways.clone();
        ways.all(|way| way.tool.is_none_or(|judge| judge(tool, patch) == Listing::Shown))
    });
}
