//! What 2025-11-25 brought: elicitation by URL, richer forms, tools for the client's model, several blocks in a
//! model's message, tasks.

mod form;

use super::{Capability, Ends, Listing, Step, Way, ends};
use crate::code;
use crate::json::quote;
use crate::method::Method;
use crate::revision::Revision;
use crate::translate::error::Recoded;
use crate::translate::unaskable::Unaskable;
use crate::translate::value::Value;

pub(super) static STEP: Step = Step {
    revision: Revision::V2025_11_25,
    down: Way {
        params: TASK,
        notices: &[
            Method::NotificationsElicitationComplete,
            Method::NotificationsTasksStatus,
        ],
        question: &[
            ends(&[], "task"),
            ends(&[Method::ElicitationCreate], "mode"),
            ends(&[Method::SamplingCreateMessage], "tools"),
            ends(&[Method::SamplingCreateMessage], "toolChoice"),
        ],
        client: CLIENT,
        server: SERVER,
        block: Some(unknown_as_text),
        unsayable: |kind| matches!(kind, "tool_use" | "tool_result").then_some(Unaskable::ToolUse),
        tool: Some(|tool, _| needs_no_task(tool)),
        error: |_, code, _| match code {
            code::URL_ELICITATION => Recoded::Words(
                code::INTERNAL_ERROR,
                "the user must visit a URL first; see `data.elicitations`".into(),
            ),
            _ => Recoded::Same,
        },
        ask: form::ask,
        one_block: true,
        ..Way::PASS
    },
    up: Way {
        params: TASK,
        client: CLIENT,
        server: SERVER,
        ..Way::PASS
    },
};

/// Who knows no tasks would pass the wish for one on unread.
const TASK: &[Ends] = &[ends(&[Method::ToolsCall], "task")];

/// Neither side of the step can have them, whichever the client is on.
const CLIENT: &[Capability] = &[Capability::Whole("tasks"), Capability::Mode("elicitation", "url")];
const SERVER: &[Capability] = &[Capability::Whole("tasks")];

/// The kinds of content that 2025-06-18 has. Of these each earlier revision lacks the last one or two, which is the
/// business of other steps.
const KINDS: [&str; 5] = ["text", "image", "resource", "audio", "resource_link"];

/// A client with a strict union would drop the whole result for one block that it does not know.
fn unknown_as_text(kind: &str, _: Value<'_>, _: usize) -> Option<String> {
    /// Enough for any name; what is longer would only be echoed.
    const ENOUGH: usize = 64;
    if KINDS.contains(&kind) {
        return None;
    }
    let kind: String = kind.chars().take(ENOUGH).collect();
    let words = format!("[content of type `{kind}`, which this client's protocol revision does not have]");
    Some(format!(r#"{{"type":"text","text":{}}}"#, quote(&words)))
}

/// A tool that only runs as a task cannot be called by who knows no tasks (2025-11-25 tasks §Tool-Level Negotiation).
pub(super) fn needs_no_task(tool: Value<'_>) -> Listing {
    let execution = tool
        .members(&["execution"])
        .and_then(|tool| tool.get("execution"));
    let support = execution.and_then(|execution| execution.members(&["taskSupport"])?.string("taskSupport"));
    match support.as_deref() {
        Some("required") => Listing::Hidden,
        _ => Listing::Shown,
    }
}
