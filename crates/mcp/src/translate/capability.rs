//! What the two sides may tell each other that they can do.

use super::step::Capability;
use super::value::{Members, Value};
use crate::patch::Patch;

/// The capabilities without those that end, and with those that begin. What is no object declares nothing, and
/// comes out as `{}`.
pub(super) fn translate<'w>(
    text: &[u8],
    ends: impl Iterator<Item = &'w Capability> + Clone,
    put: impl Iterator<Item = &'w (&'static str, &'static str)> + Clone,
) -> Vec<u8> {
    let ending = |name: &str, judge: &dyn Fn(&Capability) -> bool| {
        ends.clone()
            .any(|capability| capability.name() == name && judge(capability))
    };
    let concerned = |name: &str| ending(name, &|_| true) || put.clone().any(|(put, _)| *put == name);
    let Some(declared) = Value::whole(text).and_then(|value| value.members_where(concerned)) else {
        return b"{}".to_vec();
    };
    let mut patch = Patch::default();
    for member in declared.iter() {
        let ends = |part: &str| ending(&member.name, &|capability| capability.part() == Some(part));
        if let Some(parts) = member.value.members_where(ends) {
            parts.change(|_| true, &[], &mut patch);
        }
    }
    let gone = |name: &str| {
        ending(name, &|capability| match capability {
            Capability::Whole(_) => true,
            Capability::Part(..) => false,
            Capability::Mode(_, mode) => is_alone(&declared, name, mode),
        })
    };
    let put: Vec<_> = put
        .filter(|(name, _)| declared.get(name).is_none())
        .copied()
        .collect();
    declared.change(gone, &put, &mut patch);
    let text = std::str::from_utf8(text).unwrap_or("{}");
    patch.text(text).into_owned().into_bytes()
}

/// Whether a capability is declared in this mode and in no other.
fn is_alone(declared: &Members<'_>, name: &str, mode: &str) -> bool {
    let modes = declared.get(name).and_then(|modes| modes.members(&[mode]));
    modes.is_some_and(|modes| modes.get(mode).is_some() && !modes.has_others())
}
