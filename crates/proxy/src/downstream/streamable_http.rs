//! Clients of Streamable HTTP, from 2025-03-26 to 2026-07-28: POST a message, get an answer.

use std::sync::Arc;
use std::time::Duration;

use mcp::{Body, Decision, Era, Kind, Message, Method, Revision, era, header};
use tokio::time::Instant;

use super::batch::batch;
use super::body;
use super::parting::leave;
use super::refusal::{cut_dropped, refuse, turn_away};
use super::reply::{Door, Extra, Gone};
use super::resumable::call as resumable;
use super::telling::{HEARTBEAT, tell};
use crate::account::Entry;
use crate::app::draining;
use crate::call::{Call, Visit};
use crate::failure::Failure;
use crate::generation::Generation;
use crate::serve::{Served, carry};
use crate::session::Claims;

/// A client that takes events gets the head of its stream after this long, so that nothing between
/// it and us takes the silence for a dead connection (`protocol.md` D-12).
pub(super) const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Serves a POST.
pub(crate) async fn post(
    current: &Arc<Generation>,
    visit: Visit,
    door: &mut Door<'_>,
    entry: Entry,
) -> Result<(), Gone> {
    let visit = Arc::new(visit);
    let bounds = &current.bounds;
    let read = match body::check_length(&visit.headers, bounds.body)
        .and_then(|()| body::check_type(&visit.headers))
    {
        Ok(()) => match visit.accepts.anything() {
            Ok(()) => body::read(door.http(), bounds.body, bounds.arrival).await,
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
            return turn_away(door, entry, &failure).await;
        }
    };
    match Body::parse(bytes, &bounds.limits) {
        Ok(Body::One(message)) => one(current, &visit, door, entry, message).await,
        Ok(Body::Batch(messages)) => batch(current, &visit, door, entry, messages).await,
        Err(error) => turn_away(door, entry, &Failure::Unreadable(error)).await,
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
            let (entry, failure) = *begun;
            return refuse(door, entry, &failure, message.id()).await;
        }
    };
    if let Some(session) = resumable::session_of(current, &call) {
        // Large, and only where it was asked for.
        return Box::pin(resumable::serve(current, door, call, &session)).await;
    }
    let goes_on = call.goes_on();
    // The id of the session that a handshake begins is told with the head, which must wait for it.
    let takes_events = visit.accepts.events && message.kind() == Kind::Request && !call.handshake;
    let mut work = Box::pin(carry(Arc::clone(current), call));
    let mut sign_of_life = Instant::now() + HEAD_WITHIN;
    let served = loop {
        tokio::select! {
            biased;
            served = &mut work => break served,
            () = door.gone() => {
                leave(current, goes_on, work);
                return Err(Gone);
            }
            () = current.health.is_cut() => {
                // Its entry goes with the call, and says that it was cancelled.
                drop(work);
                return cut_dropped(door, message.id()).await;
            }
            () = tokio::time::sleep_until(sign_of_life), if takes_events => {
                let told = if door.is_streaming() { door.heartbeat().await } else { door.begin_events(Extra::default()).await };
                if told.is_err() {
                    leave(current, goes_on, work);
                    return Err(Gone);
                }
                sign_of_life = Instant::now() + HEARTBEAT;
            }
        }
    };
    let Served { call, outcome } = served;
    match outcome {
        Ok(answer) => tell(current, door, call, answer).await,
        Err(failure) => refuse(door, call.entry, &failure, message.id()).await,
    }
}

/// From a message to a call: its session, its era, and what the protocol asks of it.
pub(crate) fn begin(
    current: &Generation,
    visit: &Arc<Visit>,
    message: Message,
    mut entry: Entry,
) -> Result<Call, Box<(Entry, Failure)>> {
    if message.kind() == Kind::Request
        && let Some(failure) = draining(current)
    {
        return Err(Box::new((entry, failure)));
    }
    let mirrored = header::Mirrored {
        version: visit.lines(header::MCP_PROTOCOL_VERSION),
        method: visit.lines(header::MCP_METHOD),
        name: visit.lines(header::MCP_NAME),
    };
    let named = named_session(current, visit);
    let agreed = match &named {
        Ok(Some(session)) => Some(session.revision()),
        Ok(None) | Err(_) => None,
    };
    let Decision {
        era,
        revision,
        handshake,
    } = match era::decide(&mirrored, agreed, &message) {
        Ok(decision) => decision,
        Err(refusal) => {
            return Err(Box::new((entry, refusal.into())));
        }
    };
    entry.speaks(era, revision);
    let subscribes =
        message.kind() == Kind::Request && message.method() == Some(&Method::SubscriptionsListen);
    if subscribes && era == Era::Modern && !visit.accepts.events {
        return Err(Box::new((entry, Failure::EventsOnly)));
    }
    let session = if era == Era::Legacy && !handshake {
        if agreed.is_some_and(|agreed| names_another(mirrored.version, agreed)) {
            current.account.metrics().revision_differs.inc();
        }
        match named {
            Ok(session) => session,
            Err(failure) => {
                current.account.metrics().sessions_unknown.inc();
                return Err(Box::new((entry, failure)));
            }
        }
    } else {
        None
    };
    Ok(Call {
        visit: Arc::clone(visit),
        message,
        said: None,
        era,
        revision,
        handshake,
        session,
        sse: None,
        askable: visit.accepts.events,
        promise: None,
        entry,
    })
}

/// The session that a request names, if it names one. Of two names, which one would be meant?
pub(crate) fn named_session(current: &Generation, visit: &Visit) -> Result<Option<Arc<Claims>>, Failure> {
    let mut lines = visit.headers.get_all(header::MCP_SESSION_ID).iter();
    let session = match (lines.next(), lines.next()) {
        (None, _) => return Ok(None),
        (Some(id), None) => id
            .to_str()
            .ok()
            .and_then(|id| current.sessions.recognize(visit, id)),
        (Some(_), Some(_)) => None,
    };
    session.map(Some).ok_or(Failure::SessionUnknown)
}

/// Whether the version header says something else than what the session agreed on.
fn names_another(version: header::Values<'_>, agreed: Revision) -> bool {
    match version {
        header::Values::One(version) => version != agreed.as_str().as_bytes(),
        header::Values::Absent | header::Values::Several(_) => false,
    }
}
