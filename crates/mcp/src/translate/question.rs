//! A server's question as its client is to read it, and the client's answer as the server is to.

use super::answer;
use super::content::replacement;
use super::shape;
use super::step::{Way, ending};
use super::unaskable::Unaskable;
use super::value::Value;
use crate::json::quote;
use crate::method::Method;
use crate::patch::Patch;
use std::borrow::Cow;

/// The parameters of a question. What is no object passes as it is.
pub(super) fn ask<'w, 'a>(
    ways: impl Iterator<Item = &'w Way> + Clone,
    method: &Method,
    params: &'a [u8],
    name: &str,
) -> Result<Cow<'a, [u8]>, Unaskable> {
    let mut patch = Patch::default();
    let mut extra = Vec::new();
    let value = Value::whole(params);
    for way in ways.clone() {
        // Whether a client can be asked at all does not hang on what it is asked.
        extra.extend((way.ask)(
            method,
            value.unwrap_or(Value::NOTHING),
            name,
            &mut patch,
        )?);
    }
    let ending: Vec<&str> = ways
        .clone()
        .flat_map(|way| ending(way.question, method))
        .collect();
    let wanted: Vec<&str> = ending
        .iter()
        .copied()
        .chain(["_meta", "messages", "tools"])
        .collect();
    let Some(members) = value.and_then(|value| value.members(&wanted)) else {
        return Ok(Cow::Borrowed(params));
    };
    if *method == Method::SamplingCreateMessage {
        for messages in members.all("messages") {
            conversation(messages, ways.clone(), &mut patch)?;
        }
        for tools in members.all("tools") {
            answer::list(tools, ways.clone(), &mut patch);
        }
    }
    let meta_gone = shape::meta(&members, ways, &mut patch);
    let gone = |name: &str| ending.contains(&name) || name == "_meta" && meta_gone;
    let put: Vec<(&str, &str)> = extra
        .iter()
        .filter(|(name, _)| !ending.contains(name))
        .map(|(name, json)| (*name, json.as_str()))
        .collect();
    members.change(gone, &put, &mut patch);
    Ok(edited(params, patch))
}

/// The result of a client that was asked. What is no object passes as it is.
pub(super) fn reply<'w, 'a>(
    ways: impl Iterator<Item = &'w Way> + Clone,
    method: &Method,
    result: &'a [u8],
) -> Result<Cow<'a, [u8]>, Unaskable> {
    let ending: Vec<&str> = ways.clone().flat_map(|way| ending(way.reply, method)).collect();
    let wanted: Vec<&str> = ending.iter().copied().chain(["content"]).collect();
    let members = Value::whole(result).and_then(|value| value.members(&wanted));
    let Some(members) = members else {
        return Ok(Cow::Borrowed(result));
    };
    let mut patch = Patch::default();
    if *method == Method::SamplingCreateMessage {
        for content in members.all("content") {
            let blocks = blocks(content, ways.clone())?;
            if blocks.is_array && ways.clone().any(|way| way.one_block) {
                patch.replace(content.place(), joined(&blocks));
            } else {
                blocks.rewrite(&mut patch);
            }
        }
    }
    members.change(|name| ending.contains(&name), &[], &mut patch);
    Ok(edited(result, patch))
}

/// The content of one message of a model: its blocks, and what stands for them.
struct Blocks<'a> {
    is_array: bool,
    all: Vec<(Value<'a>, Option<String>)>,
}

impl Blocks<'_> {
    fn rewrite(self, patch: &mut Patch) {
        for (block, json) in self.all {
            if let Some(json) = json {
                patch.replace(block.place(), json);
            }
        }
    }
}

fn blocks<'w, 'a>(
    content: Value<'a>,
    ways: impl Iterator<Item = &'w Way> + Clone,
) -> Result<Blocks<'a>, Unaskable> {
    let mut all = Vec::new();
    let mut refused = None;
    let is_array = content.each_by("type", |block, kind| {
        let kind = kind.and_then(Value::string);
        let json = kind.and_then(|kind| {
            refused = refused.or_else(|| ways.clone().find_map(|way| (way.unsayable)(&kind)));
            replacement(&kind, block, ways.clone(), all.len() + 1)
        });
        all.push((block, json));
    });
    if let Some(reason) = refused {
        return Err(reason);
    }
    Ok(Blocks { is_array, all })
}

/// The longest role, as JSON text, of a message that is taken apart: `"assistant"` and some.
const LONGEST_ROLE: usize = 32;

/// The messages of a question to a model. Where a message can only have one block, those of one become messages.
fn conversation<'w>(
    messages: Value<'_>,
    ways: impl Iterator<Item = &'w Way> + Clone,
    patch: &mut Patch,
) -> Result<(), Unaskable> {
    let one_block = ways.clone().any(|way| way.one_block);
    let mut refused = None;
    messages.elements(patch, |message, patch| {
        let Some(members) = message.members(&["role", "content"]) else {
            return true;
        };
        let Some(content) = members.get("content") else {
            return true;
        };
        let blocks = match blocks(content, ways.clone()) {
            Ok(blocks) => blocks,
            Err(reason) => {
                refused = Some(reason);
                return true;
            }
        };
        // What is no role would only be said again and again.
        let role = members.get("role").filter(|role| role.string().is_some());
        let Some(role) = role.filter(|role| blocks.is_array && one_block && role.raw().len() <= LONGEST_ROLE)
        else {
            blocks.rewrite(patch);
            return true;
        };
        let split = split(message, role, content, &blocks);
        let says_something = !split.is_empty();
        if says_something {
            patch.replace(message.place(), split);
        }
        says_something
    });
    refused.map_or(Ok(()), Err)
}

/// A message of several blocks as messages of one. What else it says is said once, by the first of them: it may be
/// long, and the blocks many.
fn split(message: Value<'_>, role: Value<'_>, content: Value<'_>, blocks: &Blocks<'_>) -> String {
    let (before, after) = around(message, content);
    let role = role.raw();
    let one = |(index, (block, json)): (usize, &(Value<'_>, Option<String>))| {
        let block = json.as_deref().unwrap_or(block.raw());
        match index {
            0 => format!("{before}{block}{after}"),
            _ => format!(r#"{{"role":{role},"content":{block}}}"#),
        }
    };
    blocks
        .all
        .iter()
        .enumerate()
        .map(one)
        .collect::<Vec<_>>()
        .join(",")
}

/// The text of a value before and behind another within it.
fn around<'a>(outer: Value<'a>, inner: Value<'a>) -> (&'a str, &'a str) {
    let start = inner.place().start.saturating_sub(outer.place().start) as usize;
    let end = inner.place().end.saturating_sub(outer.place().start) as usize;
    let raw = outer.raw();
    (
        raw.get(..start).unwrap_or_default(),
        raw.get(end..).unwrap_or_default(),
    )
}

/// One block that says what several did: the only one, or their texts, or the first of those without any.
fn joined(blocks: &Blocks<'_>) -> String {
    let json =
        |(block, json): &(Value<'_>, Option<String>)| json.clone().unwrap_or_else(|| block.raw().to_owned());
    if let [only] = &blocks.all[..] {
        return json(only);
    }
    let texts: Vec<Cow<'_, str>> = blocks.all.iter().filter_map(|(block, _)| text(*block)).collect();
    match blocks.all.first() {
        Some(first) if texts.is_empty() => json(first),
        _ => format!(r#"{{"type":"text","text":{}}}"#, quote(&texts.join("\n\n"))),
    }
}

fn text(block: Value<'_>) -> Option<Cow<'_, str>> {
    let block = block.members(&["type", "text"])?;
    (block.string("type")? == "text")
        .then(|| block.string("text"))
        .flatten()
}

fn edited(text: &[u8], patch: Patch) -> Cow<'_, [u8]> {
    let whole = match std::str::from_utf8(text) {
        Ok(whole) if !patch.is_empty() => whole,
        _ => return Cow::Borrowed(text),
    };
    match patch.text(whole) {
        Cow::Borrowed(same) => Cow::Borrowed(same.as_bytes()),
        Cow::Owned(edited) => Cow::Owned(edited.into_bytes()),
    }
}
