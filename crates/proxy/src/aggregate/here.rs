//! What an endpoint of many servers is asked itself: its greeting, its lists, and what concerns a session with it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mcp::{Era, Id, Message, Method, Refusal, code};
use upstream::Listing;

use super::view::{View, holds};
use super::{Aggregate, Audience, between, cursor, following, greeting};
use crate::admission;
use crate::answer::Answer;
use crate::bridge;
use crate::call::Call;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::handshake::begin_session_here;

/// Where a list says which servers are missing in it.
const DEGRADED: &str = "dev.causeway/degraded";

/// What a client tells that concerns no server: no more than that a call is taken back.
pub(super) fn taken(current: &Generation, call: &Call) -> Answer {
    if call.era == Era::Legacy {
        bridge::here::taken_up(current, call);
    }
    Answer::accepted()
}

/// The answer to a request that no single server is asked.
pub(super) async fn answer(
    current: &Arc<Generation>,
    call: &mut Call,
    aggregate: &Arc<Aggregate>,
) -> Result<Answer, Failure> {
    let (Some(id), Some(method)) = (call.message.id().cloned(), call.message.method().cloned()) else {
        return Ok(Answer::accepted());
    };
    admission::count(current, call)?;
    let audience = || Audience::of(current, &call.visit, aggregate);
    let legacy = call.era == Era::Legacy;
    let answer = match method {
        Method::Initialize if legacy => return greet(current, call, &id, &audience()).await,
        Method::ServerDiscover if !legacy => Message::result_reply(&id, &discovery(&audience()).await),
        Method::ToolsList => list(current, call, &id, Listing::Tools, &audience()).await?,
        Method::PromptsList => list(current, call, &id, Listing::Prompts, &audience()).await?,
        Method::ResourcesList => list(current, call, &id, Listing::Resources, &audience()).await?,
        Method::ResourcesTemplatesList => list(current, call, &id, Listing::Templates, &audience()).await?,
        Method::Ping if legacy => Message::result_reply(&id, "{}"),
        Method::LoggingSetLevel if legacy => bridge::here::set_level(current, call, &id),
        Method::ResourcesSubscribe | Method::ResourcesUnsubscribe if legacy => {
            bridge::here::watch(current, call, &id)
        }
        Method::SubscriptionsListen if !legacy => {
            return following::listen(current, call, audience()).await;
        }
        method => bridge::here::unknown(&id, &method),
    };
    Ok(Answer::said(answer))
}

async fn discovery(audience: &Audience) -> String {
    let view = View::of(audience).await;
    greeting::discovery(&view, audience.instructions.as_deref())
}

/// A session with the endpoint begins. It holds no session of any server.
async fn greet(
    current: &Arc<Generation>,
    call: &Call,
    id: &Id,
    audience: &Audience,
) -> Result<Answer, Failure> {
    let discovered = Message::result_reply(id, &discovery(audience).await);
    let result = bridge::greeting::of_discovery(&discovered, call.revision);
    let mut answer = Answer::said(Message::result_reply(id, &result.ok_or(Failure::Ended)?));
    begin_session_here(current, call, &mut answer);
    Ok(answer)
}

/// A page of a list of all servers. Those that are missing are named; only when all are does it fail.
async fn list(
    current: &Generation,
    call: &Call,
    id: &Id,
    listing: Listing,
    audience: &Audience,
) -> Result<Message, Failure> {
    let asked = call.message.params_member("cursor");
    let asked: Option<String> = match asked.filter(|text| *text != b"null") {
        Some(text) => Some(serde_json::from_slice(text).map_err(|_| stale())?),
        None => None,
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let sessions = &current.sessions;
    let after = match &asked {
        Some(text) => {
            let after = sessions.open_cursor(&call.visit, listing, text, now);
            Some(after.ok_or_else(stale)?)
        }
        None => None,
    };
    let (view, catalogs) = View::with_catalogs(audience).await;
    let missing: Vec<&str> = view.missing(Some(listing)).collect();
    if missing.len() == view.seen.len() && !view.seen.is_empty() {
        let words = format!("none of the servers here answers: {}", missing.join(", "));
        return Ok(Message::error_reply(Some(id), code::INTERNAL_ERROR, &words, None));
    }
    let between = between(call);
    let listed = view.listed(listing);
    let page = listed.page(&view, between, after.as_ref()).ok_or_else(stale)?;
    let mut end = String::new();
    if let Some(last) = page.last
        && let Some(next) = listed.cursor(&view, last, now + cursor::LIVES)
    {
        let next = sessions.seal_cursor(&call.visit, listing, &next);
        end += &format!(r#","nextCursor":"{next}""#);
    }
    if between.is_same() {
        let (ttl, scope) = holds(&catalogs, listing);
        end += &format!(r#","ttlMs":{ttl},"cacheScope":"{scope}""#);
    }
    if let Some(degraded) = degraded(missing.into_iter()) {
        end += &format!(r#","_meta":{{{degraded}}}"#);
    }
    Ok(page.answer(id, &end))
}

/// The member of a `_meta` that names missing servers, if there are any.
pub(super) fn degraded<'a>(missing: impl Iterator<Item = &'a str>) -> Option<String> {
    let missing: Vec<String> = missing.map(|alias| format!(r#""{alias}""#)).collect();
    (!missing.is_empty()).then(|| format!(r#""{DEGRADED}":[{}]"#, missing.join(",")))
}

fn stale() -> Failure {
    let words = "this cursor is not one of this list, or too old; list from the beginning";
    let mut refusal = Refusal::new(code::INVALID_PARAMS, words);
    // 400 would send a client of both eras to the other (`protocol.md` D-10).
    refusal.status = 200;
    refusal.into()
}
