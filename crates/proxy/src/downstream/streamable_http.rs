//! Clients of Streamable HTTP, from 2025-03-26 to 2026-07-28: POST a message, get an answer.

use std::sync::Arc;
use std::time::Duration;

use mcp::{Body, Decision, Era, Kind, Message, Revision, era, header};
use tokio::time::Instant;

use super::batch::batch;
use super::body;
use super::parting::leave;
use super::refusal::{cut, refuse};
use super::reply::{Door, Extra, Gone};
use super::telling::{HEARTBEAT, tell};
use crate::account::Entry;
use crate::call::{Call, Visit};
use crate::failure::Failure;
use crate::generation::Generation;
use crate::serve::{Served, carry};

/// A client that takes events gets the head of its stream after this long, so that nothing between
/// it and us takes the silence for a dead connection (`protocol.md` D-12).
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Serves a POST.
pub(crate) async fn post(current: &Arc<Generation>, visit: Visit, door: &mut Door<'_>) -> Result<(), Gone> {
    let visit = Arc::new(visit);
    let bounds = &current.bounds;
    let entry = current.account.open(&visit);
    let read = match body::check_length(&visit.headers, bounds.body)
        .and_then(|()| body::check_type(&visit.headers))
    {
        Ok(()) => match visit.accepts.anything() {
            Ok(()) => body::read(door.http(), bounds.body, bounds.body_within).await,
            Err(failure) => Err(failure),
        },
        Err(failure) => Err(failure),
    };
    let bytes = match read {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(Gone),
        Err(failure) => {
            // What is left of the body is not worth reading.
            door.close();
            return refuse(door, entry, &failure, Era::Legacy, None).await;
        }
    };
    match Body::parse(bytes, &bounds.limits) {
        Ok(Body::One(message)) => one(current, &visit, door, entry, message).await,
        Ok(Body::Batch(messages)) => batch(current, &visit, door, entry, messages).await,
        Err(error) => refuse(door, entry, &Failure::Unreadable(error), Era::Legacy, None).await,
    }
}

/// Serves one message.
async fn one(
    current: &Arc<Generation>,
    visit: &Arc<Visit>,
    door: &mut Door<'_>,
    mut entry: Entry,
    message: Message,
) -> Result<(), Gone> {
    entry.carries(&message);
    let call = match begin(current, visit, message.clone(), entry) {
        Ok(call) => call,
        Err(begun) => {
            let (entry, failure, era) = *begun;
            return refuse(door, entry, &failure, era, message.id()).await;
        }
    };
    let (era, takes_events) = (call.era, visit.accepts.events && message.kind() == Kind::Request);
    let mut work = Box::pin(carry(Arc::clone(current), call));
    let mut sign_of_life = Instant::now() + HEAD_WITHIN;
    let served = loop {
        tokio::select! {
            biased;
            served = &mut work => break served,
            () = door.gone() => {
                leave(current, era, work);
                return Err(Gone);
            }
            () = current.health.is_cut() => {
                // Its entry goes with the call, and says that it was cancelled.
                drop(work);
                return cut(door, message.id()).await;
            }
            () = tokio::time::sleep_until(sign_of_life), if takes_events => {
                let told = if door.is_streaming() { door.heartbeat().await } else { door.begin_events(Extra::default()).await };
                if told.is_err() {
                    leave(current, era, work);
                    return Err(Gone);
                }
                sign_of_life = Instant::now() + HEARTBEAT;
            }
        }
    };
    let Served { call, outcome } = served;
    match outcome {
        Ok(answer) => tell(current, door, call, answer).await,
        Err(failure) => refuse(door, call.entry, &failure, era, message.id()).await,
    }
}

/// From a message to a call: its session, its era, and what the protocol asks of it.
pub(crate) fn begin(
    current: &Generation,
    visit: &Arc<Visit>,
    message: Message,
    mut entry: Entry,
) -> Result<Call, Box<(Entry, Failure, Era)>> {
    let principal = policy::Principal::Anonymous;
    entry.comes_from(&principal);
    let mirrored = header::Mirrored {
        version: lines(visit, header::MCP_PROTOCOL_VERSION),
        method: lines(visit, header::MCP_METHOD),
        name: lines(visit, header::MCP_NAME),
    };
    let mut lines = visit.headers.get_all(header::MCP_SESSION_ID).iter();
    let named = (lines.next(), lines.next());
    let session = match named {
        (Some(id), None) => id
            .to_str()
            .ok()
            .and_then(|id| current.sessions.recognize(visit, &principal, id)),
        _ => None,
    };
    let agreed = session.as_ref().map(|session| session.revision());
    let Decision {
        era,
        revision,
        handshake,
    } = match era::decide(&mirrored, agreed, &message) {
        Ok(decision) => decision,
        Err(refusal) => {
            let era = if message.protocol_version().is_some() {
                Era::Modern
            } else {
                Era::Legacy
            };
            return Err(Box::new((entry, refusal.into(), era)));
        }
    };
    entry.speaks(era, revision);
    let belongs = era == Era::Legacy && !handshake;
    if belongs && named.0.is_some() && session.is_none() {
        current.account.metrics().sessions_unknown.inc();
        return Err(Box::new((entry, Failure::SessionUnknown, era)));
    }
    if belongs && agreed.is_some_and(|agreed| names_another(mirrored.version, agreed)) {
        current.account.metrics().revision_differs.inc();
    }
    let session = if belongs { session } else { None };
    Ok(Call {
        visit: Arc::clone(visit),
        message,
        era,
        handshake,
        session,
        principal,
        entry,
    })
}

/// All lines of a header.
pub(crate) fn lines<'a>(visit: &'a Visit, name: &str) -> header::Values<'a> {
    visit
        .headers
        .get_all(name)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect()
}

/// Whether the version header says something else than what the session agreed on.
fn names_another(version: header::Values<'_>, agreed: Revision) -> bool {
    match version {
        header::Values::One(version) => version != agreed.as_str().as_bytes(),
        header::Values::Absent | header::Values::Several(_) => false,
    }
}
