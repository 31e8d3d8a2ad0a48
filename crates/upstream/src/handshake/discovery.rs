//! What a server says of the revisions it speaks, by its answer to `server/discover` or by a refusal.

use std::sync::Arc;

use mcp::{Era, Message, Revision};

use crate::error::{Error, Fault};
use crate::transport::Discovery;

/// What an answer to `server/discover` says (§1.6 P1, the same for §1.7).
///
/// # Errors
/// When the server speaks only revisions that we do not, or says that our request is wrong.
pub(crate) fn judge_discovery(upstream: &Arc<str>, answer: &Message) -> Result<Discovery, Error> {
    if let Some(result) = answer.result() {
        let Some(versions) = string_list(result, "supportedVersions") else {
            // A catch-all server that answers anything is a legacy one.
            return Ok(Discovery::Legacy);
        };
        return match highest_modern(&versions) {
            Some(revision) => Ok(Discovery::Modern {
                revision,
                also_legacy: any_legacy(&versions),
            }),
            None => Ok(Discovery::Legacy),
        };
    }
    match answer.error_code() {
        Some(mcp::code::UNSUPPORTED_VERSION) => {
            let supported = supported(answer);
            match highest_modern(&supported) {
                Some(revision) => Ok(Discovery::Modern {
                    revision,
                    also_legacy: any_legacy(&supported),
                }),
                None => Ok(Discovery::Legacy),
            }
        }
        Some(code @ (mcp::code::HEADER_MISMATCH | mcp::code::MISSING_CAPABILITY)) => {
            // A modern server that finds fault with our question: falling back would hide it.
            Err(Fault::Broken(format!("it refuses `server/discover` with error {code}")).of(upstream))
        }
        Some(_) | None => Ok(Discovery::Legacy),
    }
}

/// Whether a refusal of a revision (`-32022`) says that 2026-07-28 is spoken nevertheless.
pub(crate) fn supports_modern(refusal: &Message) -> bool {
    highest_modern(&supported(refusal)).is_some()
}

/// The revisions that a `-32022` says are supported.
fn supported(refusal: &Message) -> Vec<String> {
    let supported = refusal
        .error()
        .and_then(|error| mcp::Object::parse(error).ok())
        .and_then(|error| error.get("data").and_then(|data| string_list(data, "supported")));
    supported.unwrap_or_default()
}

fn string_list(object: &[u8], member: &str) -> Option<Vec<String>> {
    let object = mcp::Object::parse(object).ok()?;
    serde_json::from_slice(object.get(member)?).ok()
}

fn highest_modern(versions: &[String]) -> Option<Revision> {
    known(versions)
        .filter(|revision| revision.era() == Era::Modern)
        .max()
}

fn any_legacy(versions: &[String]) -> bool {
    known(versions).any(|revision| revision.era() == Era::Legacy)
}

fn known(versions: &[String]) -> impl Iterator<Item = Revision> {
    versions.iter().filter_map(|version| Revision::parse(version))
}
