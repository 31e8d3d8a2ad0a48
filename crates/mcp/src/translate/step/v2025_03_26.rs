//! What 2025-03-26 brought: audio, and the capability `completions`.

use super::{Step, Way};
use crate::code;
use crate::json::quote;
use crate::method::Method;
use crate::revision::Revision;
use crate::translate::content::{carried, raw};
use crate::translate::error::Recoded;
use crate::translate::unaskable::Unaskable;
use crate::translate::value::Value;

pub(super) static STEP: Step = Step {
    revision: Revision::V2025_03_26,
    down: Way {
        block: Some(audio_as_resource),
        unsayable: |kind| (kind == "audio").then_some(Unaskable::Audio),
        ..Way::PASS
    },
    up: Way {
        // A server of 2024-11-05 completes without a word about it, or it does not: one has to try.
        server_put: &[("completions", "{}")],
        error: |asked, code, _| match (asked, code) {
            (Method::CompletionComplete, code::METHOD_NOT_FOUND) => {
                Recoded::Result(r#"{"completion":{"values":[]}}"#)
            }
            _ => Recoded::Same,
        },
        ..Way::PASS
    },
};

/// A client of 2024-11-05 can keep or hand on what it cannot play.
fn audio_as_resource(kind: &str, block: Value<'_>, number: usize) -> Option<String> {
    if kind != "audio" {
        return None;
    }
    let audio = block.members(&["data", "mimeType", "annotations", "_meta"])?;
    let mime = raw(&audio, "mimeType").unwrap_or(r#""audio/*""#);
    Some(format!(
        r#"{{"type":"resource","resource":{{"uri":{},"mimeType":{mime},"blob":{}}}{}}}"#,
        quote(&format!("gateway:audio/{number}")),
        audio.get("data")?.raw(),
        carried(&audio),
    ))
}
