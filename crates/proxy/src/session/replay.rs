//! What is told on the streams of sessions, kept for clients that come back for the rest (2025-11-25 basic/transports,
//! "Resumability and Redelivery").
//!
//! Who tells and who reads are two: a connection that is cut ends a reader, and another one goes on where it stopped.
//! While there is a reader, who tells waits for it; while there is none, the oldest events fall out. All of it is in
//! this process's memory only, and only where `resume` is set.

mod ring;
mod stream;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::time::Instant;

use super::token;

use stream::Session;

pub(crate) use stream::{Read, Reader, Teller};

/// Streams of all sessions that are told of or kept at once. Beyond it new ones cannot be resumed.
const STREAMS_OF_ALL: i64 = 65_536;

/// How often it is looked for what is not kept any more, as a part of how long it is kept.
const SWEEPS: u32 = 4;

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// Events of one session.
    pub events: usize,
    /// How long after the end of their stream.
    pub kept_for: Duration,
}

/// The streams of all sessions.
pub(crate) struct Replays {
    sessions: Mutex<HashMap<token::Id, Arc<Session>>>,
    swept: Mutex<bool>,
    gauges: Gauges,
}

/// What is kept now.
#[derive(Clone)]
pub(crate) struct Gauges {
    pub(crate) streams: IntGauge,
    pub(crate) bytes: IntGauge,
}

/// What there is of a stream behind an event.
pub(crate) enum Found {
    /// More, now or to come.
    Rest(Reader),
    /// A stream that listens and had ended: what is kept of it, and who tells on it from now on.
    Again(Reader, Teller),
    /// Nothing: it has ended with that event.
    Nothing,
    /// Nobody knows: it is not kept, or not from there on.
    Lost,
}

impl Replays {
    /// Nothing kept yet.
    pub(crate) fn new(gauges: Gauges) -> Self {
        Self {
            sessions: Mutex::default(),
            swept: Mutex::new(false),
            gauges,
        }
    }

    /// Begins a stream of a session, with a reader at its beginning; none when as many are kept as may be.
    pub(crate) fn begin(
        self: &Arc<Self>,
        session: &token::Id,
        listens: bool,
        resume: Resume,
    ) -> Option<(Teller, Reader)> {
        if self.gauges.streams.get() >= STREAMS_OF_ALL {
            return None;
        }
        let mut sessions = self.locked();
        let kept = sessions.entry(session.clone());
        let kept = Arc::clone(kept.or_insert_with(|| Session::new(resume.events, &self.gauges.bytes)));
        let mut ring = kept.locked();
        let before = ring.len();
        let begun = ring.make_room().then(|| kept.begin(&mut ring, listens, resume));
        self.count(before, ring.len());
        drop((ring, sessions));
        self.sweep_from_now_on(resume.kept_for);
        begun
    }

    /// A stream that nobody can come back to, with its reader: nothing of it is kept that was told.
    pub(crate) fn unkept(&self) -> (Teller, Reader) {
        let resume = Resume {
            events: 0,
            kept_for: Duration::ZERO,
        };
        let session = Session::new(resume.events, &self.gauges.bytes);
        session.begin(&mut session.locked(), false, resume)
    }

    /// Finds a stream of a session behind one of its events.
    pub(crate) fn find(&self, session: &token::Id, stream: u64, behind: u64) -> Found {
        let Some(session) = self.locked().get(session).map(Arc::clone) else {
            return Found::Lost;
        };
        let mut ring = session.locked();
        let Some(told) = ring.stream(stream) else {
            return Found::Lost;
        };
        if told.is_stale(Instant::now()) || !told.goes_on_behind(behind) {
            return Found::Lost;
        }
        let again = told.listens && told.ended.is_some();
        if again {
            told.ended = None;
        } else if told.ended.is_some() && behind + 1 == told.next() {
            return Found::Nothing;
        }
        // Nothing falls out before the reader has it: it is there before anybody else can tell.
        let reader = Reader::attach(&session, told, stream, behind);
        match again {
            true => Found::Again(reader, Teller::new(&session, stream, &told.changed)),
            false => Found::Rest(reader),
        }
    }

    /// A client listens anew: its streams that listen without a reader give way.
    pub(crate) fn make_way(&self, session: &token::Id) {
        let session = self.locked().get(session).map(Arc::clone);
        if let Some(session) = session {
            for told in session.locked().streams().filter(|told| told.listens) {
                told.gives_way = true;
                told.changed.notify_waiters();
            }
        }
    }

    /// The session was ended by its client: nothing of it is kept but what somebody still reads or tells.
    pub(crate) fn end(&self, session: &token::Id) {
        let sessions = self.locked();
        if let Some(session) = sessions.get(session) {
            let mut ring = session.locked();
            let before = ring.len();
            ring.over = true;
            ring.forget_stale(Instant::now());
            self.count(before, ring.len());
        }
    }

    /// Looks from time to time for what is not kept any more, until nothing is.
    fn sweep_from_now_on(self: &Arc<Self>, kept_for: Duration) {
        let mut swept = self.swept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if std::mem::replace(&mut *swept, true) {
            return;
        }
        let replays = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(kept_for / SWEEPS).await;
                match replays.upgrade() {
                    Some(replays) if replays.sweep() => {}
                    Some(_) | None => return,
                }
            }
        });
    }

    /// Forgets what is not kept any more; whether anything is left.
    fn sweep(&self) -> bool {
        let now = Instant::now();
        let mut sessions = self.locked();
        let mut streams = 0;
        sessions.retain(|_, session| {
            let mut ring = session.locked();
            ring.forget_stale(now);
            streams += ring.len();
            ring.len() > 0
        });
        self.gauges
            .streams
            .set(i64::try_from(streams).unwrap_or(i64::MAX));
        if sessions.is_empty() {
            sessions.shrink_to_fit();
            *self.swept.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = false;
        }
        !sessions.is_empty()
    }

    fn count(&self, before: usize, now: usize) {
        let difference = i64::try_from(now).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX);
        self.gauges.streams.add(difference);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<token::Id, Arc<Session>>> {
        self.sessions
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests;
