//! Content that the reader's revision does not know, as something that it knows.

use super::step::Way;
use super::value::{Members, Value};
use crate::patch::Patch;

/// Rewrites the blocks of a `content` array, or the one block that stands in its place.
///
/// Blocks are looked at by their `type`; what has none passes. Audio that becomes a resource is numbered by its
/// place among the blocks.
pub(super) fn rewrite<'w>(
    content: Value<'_>,
    ways: impl Iterator<Item = &'w Way> + Clone,
    patch: &mut Patch,
) {
    if ways.clone().all(|way| way.block.is_none()) {
        return;
    }
    let mut number = 0;
    content.each_by("type", |block, kind| {
        number += 1;
        let kind = kind.and_then(Value::string);
        if let Some(json) = kind.and_then(|kind| replacement(&kind, block, ways.clone(), number)) {
            patch.replace(block.place(), json);
        }
    });
}

/// What stands for a block of this kind, if a step that does not know it says so.
pub(super) fn replacement<'w>(
    kind: &str,
    block: Value<'_>,
    mut ways: impl Iterator<Item = &'w Way>,
    number: usize,
) -> Option<String> {
    ways.find_map(|way| (way.block?)(kind, block, number))
}

/// The JSON of a member that is a string.
pub(super) fn raw<'a>(block: &Members<'a>, name: &str) -> Option<&'a str> {
    let value = block.get(name)?;
    value.string().is_some().then(|| value.raw())
}

/// What a block of any kind can say beside its content, to be said of what stands for it.
pub(super) fn carried(block: &Members<'_>) -> String {
    let said = ["annotations", "_meta"].into_iter().filter_map(|name| {
        let value = block.get(name).filter(|value| value.is_object())?;
        Some(format!(r#","{name}":{}"#, value.raw()))
    });
    said.collect()
}
