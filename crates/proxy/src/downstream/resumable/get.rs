//! GET within a session whose streams can be resumed: one that listens, or the rest of any.

use std::sync::Arc;

use audit::Outcome;
use mcp::header::Values;

use super::following::Following;
use crate::account::Entry;
use crate::call::Visit;
use crate::downstream::held::{Held, HeldBy, pause_of};
use crate::downstream::listen::{Listen, claim, listen};
use crate::downstream::refusal::turn_away;
use crate::downstream::reply::{Door, Extra, Gone};
use crate::failure::Failure;
use crate::generation::Generation;
use crate::session::Claims;
use crate::session::event_id::{Place, Stamp};
use crate::session::replay::{Found, Reader, Resume, Teller};

/// The id of the event that a client has seen last.
const LAST_EVENT_ID: &str = "last-event-id";

/// Opens a stream, or goes on with one.
pub(crate) async fn open(
    current: &Arc<Generation>,
    visit: &Visit,
    door: &mut Door<'_>,
    entry: Entry,
    (session, resume): (&Arc<Claims>, Resume),
) -> Result<Option<Held>, Gone> {
    let metrics = current.account.metrics();
    let stamp = current.sessions.stamp(session);
    let found = match visit.lines(LAST_EVENT_ID) {
        Values::Absent => None,
        Values::One(id) => match std::str::from_utf8(id).ok().and_then(|id| stamp.place(id)) {
            Some(place) => Some((place, current.sessions.find_replay(session, place))),
            None => Some((Place::default(), Found::Lost)),
        },
        Values::Several(_) => Some((Place::default(), Found::Lost)),
    };
    let following = match found {
        Some((place, Found::Rest(reader))) if place.listens => {
            Ok(Following::listening(reader, stamp, session))
        }
        Some((_, Found::Rest(reader))) => Ok(Following::call(reader, Some(stamp), session)),
        Some((_, Found::Again(reader, teller))) => {
            hear(current, visit, (session, resume), stamp, (teller, reader))
        }
        Some((_, Found::Nothing)) => {
            entry.finish(Outcome::Ok, Some(204), None);
            return door.empty(204, Extra::default(), &[]).await.map(|()| None);
        }
        Some((place, Found::Lost)) if !place.listens => Err(Failure::EventUnknown),
        // What was said meanwhile is lost, as it would be without resuming. A refusal would cost the rest too: the
        // official clients listen no more once they were refused twice.
        Some((_, Found::Lost)) | None => {
            current.sessions.make_way(session);
            match current.sessions.replay_listening(session, resume) {
                Some(begun) => hear(current, visit, (session, resume), stamp, begun),
                None => return listen(current, visit, door, entry, session).await,
            }
        }
    };
    match following {
        Ok(following) => {
            if visit.lines(LAST_EVENT_ID).is_present() {
                metrics.streams_resumed.inc();
            }
            door.begin_events(Extra::default()).await?;
            entry.finish(Outcome::Ok, Some(200), None);
            let gauge = &metrics.held[HeldBy::Http as usize];
            Ok(Some(Held::following(
                following,
                current.bearers.bearer(&visit.principal),
                gauge,
            )))
        }
        Err(failure) => {
            if matches!(failure, Failure::EventUnknown) {
                metrics.resumptions_refused.inc();
            }
            turn_away(door, entry, &failure).await.map(|()| None)
        }
    }
}

/// Begins to hear the server of a session, in a task of its own: it goes on without a client for as long as its events
/// are kept.
fn hear(
    current: &Arc<Generation>,
    visit: &Visit,
    (session, resume): (&Arc<Claims>, Resume),
    stamp: Stamp,
    (teller, reader): (Teller, Reader),
) -> Result<Following, Failure> {
    let listen = claim(current, visit, session)?;
    current.held.spawn(pass_on(listen, teller, resume));
    Ok(Following::listening(reader, stamp, session))
}

async fn pass_on(mut listen: Listen, teller: Teller, resume: Resume) {
    loop {
        let line = tokio::select! {
            biased;
            line = listen.next() => line,
            () = teller.deserted(resume.kept_for) => None,
        };
        match line {
            Some(line) => teller.tell(&line).await,
            None => break,
        }
    }
    teller.end(pause_of(&listen));
}
