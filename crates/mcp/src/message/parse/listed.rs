//! Lists with an item that is nested too deep: the rest of such a list is read as if it had never been there.
//!
//! One tool whose schema goes deeper than a bound of ours would otherwise cost its server all of its tools. Only
//! items can go; what is too deep anywhere else still has the message refused.

use crate::json::{self, Scanner, Syntax};
use crate::limit::Limits;
use crate::span::Span;
use std::sync::Arc;

/// The members of results that are lists, and the member that names an item.
const LISTS: [(&str, &str); 4] = [
    ("tools", "name"),
    ("prompts", "name"),
    ("resources", "uri"),
    ("resourceTemplates", "uriTemplate"),
];

/// The levels above an item: the message, its result, the list.
const ABOVE: u8 = 3;

/// The text of an answer without the items of its lists that are too deep, and what these are called; `None` if there
/// are none.
pub(super) fn without_deep_items(text: &str, limits: &Limits) -> Option<(String, Arc<[Box<str>]>)> {
    let limit = limits.depth.checked_sub(ABOVE)?;
    let mut kept = String::with_capacity(text.len());
    let mut copied = 0;
    let mut left_out = Vec::new();
    let mut scanner = Scanner::new(text, u8::MAX);
    let walked = scanner.object(|scanner, member| {
        if member != "result" || scanner.peek() != Some(b'{') {
            return scanner.value().map(drop);
        }
        let result = scanner.object(|scanner, member| {
            let list = LISTS.iter().find(|(list, _)| *list == member);
            let (Some((_, key)), Some(b'[')) = (list, scanner.peek()) else {
                return scanner.value().map(drop);
            };
            let (mut all, mut shallow) = (0_usize, Vec::new());
            let list = scanner.array(|scanner| {
                let item = scanner.value()?;
                let item = scanner.text(item);
                all += 1;
                match is_deep(item, limit) {
                    true => left_out.push(name(item, key)),
                    false => shallow.push(item),
                }
                Ok(())
            })?;
            if shallow.len() < all {
                kept += scanner.text(Span::new(copied, list.range().start));
                kept += &format!("[{}]", shallow.join(","));
                copied = list.range().end;
            }
            Ok(())
        });
        result.map(drop)
    });
    walked.ok()?;
    kept += text.get(copied..)?;
    (!left_out.is_empty()).then(|| (kept, left_out.into()))
}

fn is_deep(item: &str, limit: u8) -> bool {
    let mut scanner = Scanner::new(item, limit);
    let read: Result<Span, Syntax> = scanner.value();
    read.is_err() || scanner.too_deep().is_some()
}

fn name(item: &str, key: &str) -> Box<str> {
    let name = json::member(item.as_bytes(), key).and_then(json::decode_bytes);
    name.unwrap_or_default().into()
}
