//! What the tables of the steps say of members, whatever message they stand in.

use super::step::{Put, Way};
use super::value::Members;
use crate::method::Method;
use crate::patch::Patch;

/// The members that a result of this method must have at the end of the way.
pub(super) fn put<'w>(ways: impl Iterator<Item = &'w Way>, asked: &Method) -> impl Iterator<Item = &'w Put> {
    ways.flat_map(|way| way.put)
        .filter(|put| put.of.is_empty() || put.of.contains(asked))
}

/// Takes the ending members out of `_meta`. Whether `_meta` has nothing left by that, and must go too: servers have
/// been seen to refuse requests for an empty one that they did not expect.
pub(super) fn meta<'w>(
    members: &Members<'_>,
    ways: impl Iterator<Item = &'w Way>,
    patch: &mut Patch,
) -> bool {
    let ending: Vec<&str> = ways.flat_map(|way| way.meta).copied().collect();
    let mut emptied = false;
    for meta in members.all("_meta").filter_map(|meta| meta.members(&ending)) {
        let touched = meta.iter().next().is_some();
        emptied |= !meta.change(|_| true, &[], patch) && touched;
    }
    emptied
}
