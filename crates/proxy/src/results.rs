//! Results of tools, kept for the next who asks the same (docs/caching.md). Only what the operator names is kept.
//!
//! What is kept stands under a [`Key`] made of everything that the answer may depend on, the state of the server's
//! catalog included: what changes that is another question from then on. Who asks what is being asked waits for that
//! answer ([`flight`]), and makes a call of its own as soon as it is known that it will not be kept.

mod rules;
mod key;
mod flight;
mod store;

use std::sync::Arc;
use std::time::Duration;

use mcp::input::{ResultType, result_type};
use mcp::{Id, Kind, Message, Method, Object};
use upstream::{Headers, Listing, Upstream};

use crate::answer::{Answer, First};
use crate::call::Call;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::serve::{admit, reach};
use crate::waiting::wait;

pub use rules::{CacheRule, Caching};
pub use store::Results;

use flight::{End, Lead};
use key::Key;
use store::{Found, Kept};

/// Bytes of the longest answer that is kept.
const LONGEST: usize = 1 << 20;

/// How many calls of others one waits for: more than one, so that a first client which leaves does not set all who
/// wait upon the server at once; and few, so that nobody waits in a row.
const WAITED_FOR: usize = 2;

/// How a call of a tool that a rule names was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// From what is kept.
    Hit,
    /// By the answer to another's call.
    Joined,
    /// By its server.
    Miss,
}

impl Lookup {
    pub(crate) const ALL: [Self; 3] = [Self::Hit, Self::Joined, Self::Miss];

    /// As it is recorded and counted.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Joined => "joined",
            Self::Miss => "miss",
        }
    }
}

/// Answers a call of a tool that this rule names: by what is kept, by what another's call brings, or by its server.
pub(crate) async fn serve(
    current: &Arc<Generation>,
    call: &mut Call,
    upstream: &Arc<Upstream>,
    rule: &CacheRule,
) -> Result<Answer, Failure> {
    // Who may not make this call is told so, whatever is kept.
    let headers = admit(current, &call.visit, upstream)?;
    let mut deadline = Deadline::of_call(upstream);
    if rule.read_only && !is_read_only(call, upstream, &headers).await {
        return reach(current, call, upstream, deadline).await;
    }
    for _ in 0..WAITED_FOR {
        // Anew each time: what has changed meanwhile is another question.
        let stamp = upstream.catalog_stamp(&headers);
        let Some(key) = Key::of(call, &upstream.name, &headers, stamp, rule.shared) else {
            return reach(current, call, upstream, deadline).await;
        };
        match current.results.find(key, rule.ttl) {
            Found::Kept(kept) => return Ok(told(current, call, &kept, Lookup::Hit)),
            Found::Running(flight) => match wait(current, call, &mut deadline, flight.end()).await? {
                End::Kept(kept) => return Ok(told(current, call, &kept, Lookup::Joined)),
                End::NotKept => break,
                End::Left => {}
            },
            Found::Nothing(lead) => {
                note(current, call, Lookup::Miss);
                let outcome = reach(current, call, upstream, deadline).await;
                let room = current.bounds.results;
                let unchanged = upstream.catalog_stamp(&headers) == stamp;
                conclude(lead, &outcome, (rule.ttl, room), unchanged);
                return outcome;
            }
        }
    }
    note(current, call, Lookup::Miss);
    reach(current, call, upstream, deadline).await
}

/// Ends the wait of those who asked the same.
fn conclude(lead: Lead, outcome: &Result<Answer, Failure>, keep: (Duration, usize), unchanged: bool) {
    let kept = match outcome {
        Ok(answer) => keepable(answer),
        // Its client has left in words: one of those who wait asks in its place.
        Err(failure) if failure.is_taken_back() => return drop(lead),
        Err(_) => None,
    };
    match kept {
        Some(kept) if unchanged => lead.keep(kept, keep.0, keep.1),
        // Those who wait asked before the change, and are told what was so then.
        Some(kept) => lead.tell(kept),
        None => lead.give_up(),
    }
}

/// What of an answer can be kept: a result that is the whole answer to the call, and no more than that.
fn keepable(answer: &Answer) -> Option<Kept> {
    let First::Answer(message) = &answer.first else {
        return None;
    };
    let whole = message.kind() == Kind::Result
        && answer.is_alone()
        && !message.is_tool_error()
        && message.result_has_shape_of(&Method::ToolsCall)
        && result_type(message) == ResultType::Complete
        // A task of 2025-11-25, which has no type.
        && message.result_member("task").is_none();
    (whole && message.bytes().len() <= LONGEST).then(|| Kept {
        // Under another id it is a copy, which keeps nothing else in memory that was read with it.
        message: message.with_id(&Id::number(0)),
        status: answer.status,
    })
}

fn told(current: &Generation, call: &mut Call, kept: &Kept, lookup: Lookup) -> Answer {
    note(current, call, lookup);
    let message = match call.message.id() {
        Some(id) => kept.message.with_id(id),
        None => kept.message.clone(),
    };
    let mut answer = Answer::said(message);
    answer.status = kept.status;
    answer
}

fn note(current: &Generation, call: &mut Call, lookup: Lookup) {
    current.account.metrics().results_lookups[lookup as usize].inc();
    call.entry.looked_up(lookup);
}

/// Whether the server lists the tool as one that changes nothing. As long as its list is not known, none is.
async fn is_read_only(call: &Call, upstream: &Arc<Upstream>, headers: &Headers) -> bool {
    let (Ok(catalog), Some(tool)) = (
        upstream.catalog(headers, Duration::ZERO).await,
        call.message.subject(),
    ) else {
        return false;
    };
    let listed = catalog.list(Listing::Tools).and_then(|tools| tools.get(&tool));
    listed.is_some_and(|item| says_read_only(&item.text))
}

fn says_read_only(tool: &[u8]) -> bool {
    let annotations = Object::parse(tool).ok().and_then(|tool| tool.get("annotations"));
    let annotations = annotations.and_then(|text| Object::parse(text).ok());
    annotations.is_some_and(|annotations| annotations.get("readOnlyHint") == Some(b"true"))
}

/// The text that was kept, for its weight.
fn weight_of(message: &Message) -> usize {
    message.bytes().len()
}

#[cfg(test)]
mod tests;
