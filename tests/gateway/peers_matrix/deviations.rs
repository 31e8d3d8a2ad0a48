//! What official SDKs say that the official schema does not allow. They say it directly too; the gateway passes it on.
use harness::{Side, Wrong};

/// Who says it, the words of the problem that tell it apart, and what it is.
const DEVIATIONS: &[(Side, &[&str], &str)] = &[(
    Side::Server,
    &["not a ElicitRequest of 2025-06-18", "titledMultipleSelectEnum"],
    "server-everything asks with choices of 2025-11-25, whatever its client speaks",
)];

/// Why this is no fault of the gateway's, if it is none.
pub(crate) fn reason(wrong: &Wrong) -> Option<&'static str> {
    let found = DEVIATIONS.iter().find(|(side, words, _)| {
        *side == wrong.side && words.iter().all(|word| wrong.problem.contains(word))
    });
    found.map(|(_, _, why)| *why)
}
