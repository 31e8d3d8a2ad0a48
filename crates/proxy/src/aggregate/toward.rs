//! A call that names something of one server goes there, as on a route with that server alone.

use std::sync::Arc;

use mcp::{Message, Method, Object, Refusal, code};
use upstream::Listing;

use super::view::{Nowhere, Target, View};
use super::{Aggregate, Audience, Exposing};
use crate::answer::Answer;
use crate::call::Call;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::serve::transparent;

/// Carries the call to its server, up to the first thing that comes back.
pub(super) async fn carry(
    current: &Arc<Generation>,
    call: &mut Call,
    aggregate: &Arc<Aggregate>,
) -> Result<Answer, Failure> {
    let audience = Audience::of(current, &call.visit, aggregate);
    let view = View::of(&audience).await;
    let target = find(&view, &call.message)?;
    let (member, _) = &audience.members[target.server];
    let exposing = Exposing::new(&member.alias, call.message.method());
    // From here on it is a call of that server, and recorded as one.
    call.message = exposing.request(&call.message, &target);
    call.entry.leads_to(&member.upstream.name);
    call.entry.carries(&call.message);
    let answer = transparent(current, call, &member.upstream).await?;
    Ok(answer.exposed(exposing))
}

/// Where a call leads, by what it names. What its caller does not see does not exist.
fn find(view: &View, request: &Message) -> Result<Target, Failure> {
    let text = |member: &[u8]| serde_json::from_slice::<String>(member).ok();
    let (kind, named, found) = match request.method() {
        Some(Method::ToolsCall) => {
            let name = request.subject().ok_or_else(|| unnamed("name"))?;
            let found = view.named(Listing::Tools, &name);
            ("tool", name.into_owned(), found)
        }
        Some(Method::PromptsGet) => {
            let name = request.subject().ok_or_else(|| unnamed("name"))?;
            let found = view.named(Listing::Prompts, &name);
            ("prompt", name.into_owned(), found)
        }
        Some(Method::ResourcesRead) => {
            let uri = request.subject().ok_or_else(|| unnamed("uri"))?;
            let found = view.located(&uri);
            ("resource", uri.into_owned(), found)
        }
        _ => {
            let reference = request
                .params_member("ref")
                .and_then(|text| Object::parse(text).ok());
            let reference = reference.ok_or_else(|| unnamed("ref"))?;
            let member = |name: &str| reference.get(name).and_then(text);
            match (member("name"), member("uri")) {
                (Some(name), None) => {
                    let found = view.named(Listing::Prompts, &name);
                    ("prompt", name, found)
                }
                (_, Some(uri)) => {
                    let found = view.located(&uri);
                    ("resource", uri, found)
                }
                (None, None) => return Err(unnamed("ref")),
            }
        }
    };
    found.map_err(|why| nowhere(kind, &named, why))
}

fn unnamed(member: &str) -> Failure {
    invalid(format!("`params.{member}` does not say what is meant"), None)
}

fn nowhere(kind: &str, named: &str, why: Nowhere) -> Failure {
    let shown: String = named.chars().take(200).collect();
    let words = match why {
        Nowhere::Unknown => format!("Unknown {kind}: {shown}"),
        Nowhere::Ambiguous => {
            format!(
                "Unknown {kind}: {shown}; several servers here may be meant, call it by the name that is listed"
            )
        }
    };
    let data = (kind == "resource")
        .then(|| serde_json::to_string(named).ok())
        .flatten()
        .map(|uri| format!(r#"{{"uri":{uri}}}"#));
    invalid(words, data)
}

fn invalid(words: String, data: Option<String>) -> Failure {
    // 400 would send a client of both eras to the other (`protocol.md` D-10).
    let mut refusal = Refusal::new(code::INVALID_PARAMS, words);
    refusal.status = 200;
    refusal.data = data;
    refusal.into()
}
