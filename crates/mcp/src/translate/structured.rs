//! Structured content that is no object, which no revision before 2026-07-28 has, as text.

use super::value::{Members, Value};
use crate::json::quote;
use crate::patch::Patch;
use std::borrow::Cow;

/// Sees to it that a tool's result says in text what it says in `structuredContent`, if that is no object. Whether it
/// is none, and must be taken out.
pub(in crate::translate) fn as_text(result: &Members<'_>, patch: &mut Patch) -> bool {
    let Some(structured) = result.get("structuredContent").filter(|value| !value.is_object()) else {
        return false;
    };
    // Nothing needs no words.
    if structured.raw() == "null" {
        return true;
    }
    let Some(content) = result.get("content") else {
        return true;
    };
    let structured = Structured::of(structured);
    let mut said = false;
    let blocks = content.each(|block| said = said || structured.is_said_by(block));
    if blocks.is_some() && !said {
        let text = quote(&String::from_utf8_lossy(&structured.dense));
        content.append(&format!(r#"{{"type":"text","text":{text}}}"#), patch);
    }
    true
}

/// What each block is compared with. It is read once, whatever its length and however many blocks there are.
struct Structured<'a> {
    dense: Vec<u8>,
    /// Of a string.
    string: Option<Cow<'a, str>>,
}

impl<'a> Structured<'a> {
    fn of(value: Value<'a>) -> Self {
        Self {
            dense: dense(value.raw()).collect(),
            string: value.string(),
        }
    }

    /// Whether a block is text that says the same: the same JSON but for white space, or the string itself. Reads no
    /// more than the block.
    fn is_said_by(&self, block: Value<'_>) -> bool {
        let Some(block) = block.members(&["type", "text"]) else {
            return false;
        };
        if block.string("type").as_deref() != Some("text") {
            return false;
        }
        let Some(text) = block.string("text") else {
            return false;
        };
        let same = text.len() >= self.dense.len() && dense(&text).eq(self.dense.iter().copied());
        same || self.string.as_ref().is_some_and(|string| *string == text)
    }
}

/// The bytes of JSON without the white space between its tokens.
fn dense(json: &str) -> impl Iterator<Item = u8> {
    let (mut quoted, mut escaped) = (false, false);
    json.bytes().filter(move |byte| {
        let white = !quoted && byte.is_ascii_whitespace();
        if *byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && *byte == b'\\' && !escaped;
        !white
    })
}
