//! GET within a session: what its server says outside of calls (2025-11-25 basic/transports,
//! "Listening for Messages from the Server").

use std::sync::Arc;

use audit::Outcome;
use bytes::Bytes;
use mcp::{Message, Revision};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use upstream::Error;

use super::hearing::{Followed, Hearing, Left, Source};
use super::held::{Ends, Held, HeldBy};
use super::refusal::turn_away;
use super::reply::{Door, Extra, Gone};
use crate::account::Entry;
use crate::call::Visit;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::session::Claims;
use crate::session::listeners::{Floor, Listener};
use crate::session::questions::Asker;
use crate::session::settings::Settings;
use crate::session::unheard::Unheard;

/// A stream that listens to one session.
pub(crate) struct Listen {
    /// While this stream is the one that hears. The server's stream is let go of before the floor, and
    /// the floor before the place, so that the next one never hears at the same time.
    hearing: Option<(Hearing, Floor)>,
    listener: Listener,
    ended: CancellationToken,
    claims: Arc<Claims>,
    source: Source,
    asker: Asker,
    settings: Arc<Settings>,
    unheard: Arc<Unheard<Followed>>,
    ends: Ends,
    /// When the session expires.
    until: Instant,
}

/// Opens a stream for the session of a request. The head is written at once: clients give up on one
/// that waits for the server's first word.
pub(crate) async fn listen(
    current: &Arc<Generation>,
    visit: &Visit,
    door: &mut Door<'_>,
    entry: Entry,
    claims: &Arc<Claims>,
) -> Result<Option<Held>, Gone> {
    let listen = match claim(current, visit, claims) {
        Ok(listen) => listen,
        Err(failure) => return turn_away(door, entry, &failure).await.map(|()| None),
    };
    door.begin_events(Extra::default()).await?;
    entry.finish(Outcome::Ok, Some(200), None);
    let gauge = &current.account.metrics().held[HeldBy::Http as usize];
    Ok(Some(Held::listen(
        listen,
        current.bearers.bearer(&visit.principal),
        gauge,
    )))
}

/// Takes a place among those that listen to a session.
pub(super) fn claim(current: &Generation, visit: &Visit, claims: &Arc<Claims>) -> Result<Listen, Failure> {
    let source = Source::of(current, visit)?;
    let listener = current
        .sessions
        .listen(claims)
        .ok_or(Failure::Busy("this session has as many streams as it may have"))?;
    Ok(Listen {
        ended: listener.ended(),
        listener,
        hearing: None,
        claims: Arc::clone(claims),
        source,
        asker: current.sessions.asker(claims),
        settings: Arc::clone(current.sessions.settings()),
        unheard: Arc::clone(current.sessions.unheard()),
        ends: Ends {
            health: Arc::clone(&current.health),
            to: visit.to.clone(),
        },
        until: Instant::now() + claims.time_left(),
    })
}

impl Listen {
    /// Whether its client knows what to make of an event without data, which older ones break on
    /// (2025-11-25 basic/transports, "Sending Messages to the Server"), and has a session to return to.
    pub(super) fn may_be_told_when_to_return(&self) -> bool {
        self.claims.revision() >= Revision::V2025_11_25
            && !self.ended.is_cancelled()
            && Instant::now() < self.until
    }

    /// The next message as one line; none when the session ends or expires, or its upstream or the
    /// gateway ends.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let ended = self.ended.clone();
        let over = self.ends.over();
        tokio::select! {
            biased;
            () = ended.cancelled() => None,
            () = tokio::time::sleep_until(self.until) => None,
            () = over => None,
            heard = hear(&mut self.listener, &mut self.hearing, || {
                let watched = || self.settings.enter(&self.claims.id).watched();
                let left = Left {
                    session: self.claims.id.clone(),
                    unheard: Arc::clone(&self.unheard),
                };
                let asking = self.asker.listening();
                Hearing::begin(&self.source, &self.claims, asking, watched, Some(left))
            }) => heard.ok().map(|message| message.one_line()),
        }
    }
}

/// Waits for the floor, and for what is to be heard there.
async fn hear(
    listener: &mut Listener,
    hearing: &mut Option<(Hearing, Floor)>,
    begin: impl Fn() -> Hearing,
) -> Result<Message, Error> {
    loop {
        match hearing {
            Some((heard, _)) => tokio::select! {
                biased;
                message = heard.next() => return message,
                () = listener.superseded() => *hearing = None,
            },
            None => {
                let floor = listener.floor().await;
                *hearing = Some((begin(), floor));
            }
        }
    }
}
