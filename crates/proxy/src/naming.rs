//! What a request names: a tool, a prompt, a resource. Told in one way to whoever does not see it.

use mcp::{Message, Method, Object, Refusal, code};
use policy::What;

use crate::failure::Failure;

/// Why a name leads to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nowhere {
    /// There is none, or none that its client is to know of.
    Unknown,
    /// Several may be meant.
    Ambiguous,
}

/// What a request names by its method; none when it names nothing of a server.
///
/// # Errors
/// When it does not say what it must.
pub(crate) fn named(request: &Message) -> Result<Option<(What, String)>, Failure> {
    let subject = |what, member| {
        let subject = request.subject().ok_or_else(|| unnamed(member))?;
        Ok(Some((what, subject.into_owned())))
    };
    match request.method() {
        Some(Method::ToolsCall) => subject(What::Tool, "name"),
        Some(Method::PromptsGet) => subject(What::Prompt, "name"),
        Some(Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe) => {
            subject(What::Resource, "uri")
        }
        Some(Method::CompletionComplete) => reference(request).map(Some),
        _ => Ok(None),
    }
}

fn reference(request: &Message) -> Result<(What, String), Failure> {
    let reference = request.params_member("ref");
    let reference = reference.and_then(|text| Object::parse(text).ok());
    let reference = reference.ok_or_else(|| unnamed("ref"))?;
    // Whichever of two spellings a server reads, it is the one that was judged.
    let mut seen: Vec<String> = reference
        .members()
        .iter()
        .map(|member| member.key.to_lowercase())
        .collect();
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(unnamed("ref"));
    }
    let text = |member: &str| reference.get_text(member).map(std::borrow::Cow::into_owned);
    let (what, name) = match text("type").as_deref() {
        Some("ref/prompt") => (What::Prompt, text("name")),
        Some("ref/resource") => (What::Resource, text("uri")),
        Some(_) | None => (What::Prompt, None),
    };
    name.map(|name| (what, name)).ok_or_else(|| unnamed("ref"))
}

/// What a client is told of a name that leads to nothing.
pub(crate) fn nowhere(what: What, named: &str, why: Nowhere) -> Failure {
    let kind = match what {
        What::Tool => "tool",
        What::Prompt => "prompt",
        What::Resource => "resource",
    };
    let shown: String = named.chars().take(200).collect();
    let words = match why {
        Nowhere::Unknown => format!("Unknown {kind}: {shown}"),
        Nowhere::Ambiguous => format!(
            "Unknown {kind}: {shown}; several servers here may be meant, call it by the name that is listed"
        ),
    };
    let data = (what == What::Resource)
        .then(|| serde_json::to_string(named).ok())
        .flatten()
        .map(|uri| format!(r#"{{"uri":{uri}}}"#));
    invalid(words, data)
}

fn unnamed(member: &str) -> Failure {
    invalid(format!("`params.{member}` does not say what is meant"), None)
}

fn invalid(words: String, data: Option<String>) -> Failure {
    // 400 would send a client of both eras to the other (`protocol.md` D-10).
    let mut refusal = Refusal::new(code::INVALID_PARAMS, words);
    refusal.status = 200;
    refusal.data = data;
    refusal.into()
}
