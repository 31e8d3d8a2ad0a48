//! What no server should be sent.
use crate::{MODERN, schema};

use super::{Mood, Request};

/// What is wrong with a request to a server of this mood, whoever made the gateway send it.
pub(super) fn violations(request: &Request, mood: Mood) -> Vec<String> {
    let mut found = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            found.push(format!("{what}: {request:?}"));
        }
    };
    if request.verb != "POST" {
        return found;
    }
    let message = request.json();
    let header = |name: &str| request.headers.get(name);
    must(
        header("content-type").is_some_and(|kind| kind.starts_with("application/json")),
        "not sent as JSON",
    );
    let accepts = header("accept").unwrap_or_default();
    must(
        accepts.contains("application/json") && accepts.contains("text/event-stream"),
        "a client must accept both forms of an answer",
    );
    for name in ["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id"] {
        must(request.headers.all(name).len() < 2, "one header stands twice");
    }
    let revision = request.revision();
    if revision == MODERN {
        must(
            header("mcp-protocol-version") == Some(MODERN),
            "the version in the header is not that of the body",
        );
        must(
            header("mcp-method") == message["method"].as_str(),
            "the method in the header is not that of the body",
        );
        must(header("mcp-session-id").is_none(), "2026-07-28 knows no sessions");
    }
    // No header says what was agreed on over HTTP+SSE.
    let revision = match (mood, message["method"].as_str()) {
        (Mood::Sse(agreed), method) if method != Some("initialize") => agreed.to_owned(),
        _ => revision,
    };
    match schema::judge_request(&revision, &message) {
        Ok(()) => {}
        Err(problem) => must(false, &problem),
    }
    found
}
