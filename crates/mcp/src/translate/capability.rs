//! What the two sides may tell each other that they can do.

use super::patch::Patch;
use super::step::Capability;
use super::value::{Members, Value};

/// The capabilities without those that end, and with those that begin. What is no object declares nothing, and
/// comes out as `{}`.
pub(super) fn translate<'w>(
    text: &[u8],
    ends: impl Iterator<Item = &'w Capability> + Clone,
    put: impl Iterator<Item = &'w (&'static str, &'static str)>,
) -> Vec<u8> {
    let Some(declared) = Value::whole(text).and_then(Value::all_members) else {
        return b"{}".to_vec();
    };
    let mut patch = Patch::default();
    let gone = |name: &str| {
        ends.clone().any(|capability| match capability {
            Capability::Whole(whole) => *whole == name,
            Capability::Mode(whole, mode) => *whole == name && is_alone(&declared, whole, mode),
            Capability::Part(..) => false,
        })
    };
    let mut names: Vec<&str> = Vec::new();
    for capability in ends.clone() {
        let (Capability::Part(name, _) | Capability::Mode(name, _)) = capability else {
            continue;
        };
        if names.contains(name) {
            continue;
        }
        names.push(name);
        let ended = |part: &str| {
            ends.clone().any(|capability| match capability {
                Capability::Part(whole, ended) | Capability::Mode(whole, ended) => {
                    whole == name && *ended == part
                }
                Capability::Whole(_) => false,
            })
        };
        for members in declared.all(name).filter_map(Value::all_members) {
            members.change(ended, &[], &mut patch);
        }
    }
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
    let modes = declared.get(name).and_then(Value::all_members);
    modes.is_some_and(|modes| modes.get(mode).is_some() && modes.iter().all(|member| member.name == mode))
}
