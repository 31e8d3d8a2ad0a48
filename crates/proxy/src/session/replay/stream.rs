//! One stream between who tells and who reads: the one waits for the other while there is one.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use prometheus::IntGauge;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Resume;
use super::ring::{Ended, Ring, Told};

/// The streams of one session.
pub(super) struct Session {
    ring: Mutex<Ring>,
}

impl Session {
    /// Without streams yet; `all` measures the bytes of all sessions.
    pub(super) fn new(events: usize, all: &IntGauge) -> Arc<Self> {
        Arc::new(Self {
            ring: Mutex::new(Ring::new(events, all)),
        })
    }

    /// Begins a stream, with a reader at its beginning. There must be room for it in the `ring`, which is its own.
    pub(super) fn begin(
        self: &Arc<Self>,
        ring: &mut Ring,
        listens: bool,
        resume: Resume,
    ) -> (Teller, Reader) {
        ring.events = resume.events;
        // One of them twice is as unlikely as a guessed session.
        let stream = fastrand::u64(..);
        let told = ring.begin(stream, listens, resume.kept_for);
        let reader = Reader::attach(self, told, stream, 0);
        (Teller::new(self, stream, &reader.changed), reader)
    }

    pub(super) fn locked(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Tells on a stream, whoever reads. When it is dropped the stream ends.
pub(crate) struct Teller {
    session: Arc<Session>,
    stream: u64,
    changed: Arc<Notify>,
    pause: Option<u64>,
}

/// Reads a stream from a place on.
pub(crate) struct Reader {
    session: Arc<Session>,
    stream: u64,
    changed: Arc<Notify>,
    turn: u64,
    next: u64,
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// An event, and its number.
    Event(u64, Bytes),
    /// The stream has ended. How long its client is to stay away, in milliseconds, when it may come for another.
    End(Option<u64>),
    /// Another reader has taken over.
    TakenOver,
}

impl Teller {
    pub(super) fn new(session: &Arc<Session>, stream: u64, changed: &Arc<Notify>) -> Self {
        Self {
            session: Arc::clone(session),
            stream,
            changed: Arc::clone(changed),
            pause: None,
        }
    }

    /// Tells one message, which is one line. While a reader has not taken everything before it, this waits: that is
    /// the back-pressure. May be given up.
    pub(crate) async fn tell(&self, line: &[u8]) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut ring = self.session.locked();
                if ring.stream(self.stream).is_none_or(|told| !told.is_behind()) {
                    self.keep(&mut ring, line);
                    return;
                }
            }
            changed.await;
        }
    }

    /// The same without waiting: for the last word of all.
    pub(crate) fn tell_at_once(&self, line: &[u8]) {
        self.keep(&mut self.session.locked(), line);
    }

    fn keep(&self, ring: &mut Ring, line: &[u8]) {
        ring.keep(self.stream, line);
        self.changed.notify_waiters();
    }

    /// Waits until nobody has read for so long, or until it has no reader and is to give way.
    pub(crate) async fn deserted(&self, within: Duration) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let until = {
                let mut ring = self.session.locked();
                let Some(told) = ring.stream(self.stream) else {
                    return;
                };
                match told.unread {
                    Some(_) => None,
                    None if told.gives_way => return,
                    None => Some(told.deserted + within),
                }
            };
            match until {
                None => changed.await,
                Some(until) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(until) => return,
                },
            }
        }
    }

    /// Waits until somebody reads.
    pub(crate) async fn attended(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut ring = self.session.locked();
                if ring.stream(self.stream).is_none_or(|told| told.unread.is_some()) {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Ends the stream, and asks its client to come back for another after so many milliseconds.
    pub(crate) fn end(mut self, pause: Option<u64>) {
        self.pause = pause;
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let mut ring = self.session.locked();
        let over = ring.over;
        if let Some(told) = ring.stream(self.stream) {
            let since = Instant::now();
            told.ended = Some(Ended {
                since,
                pause: self.pause,
            });
            if over && told.unread.is_none() {
                ring.forget(self.stream);
            }
        }
        drop(ring);
        self.changed.notify_waiters();
    }
}

impl Reader {
    /// Takes over from whoever reads, and reads on behind an event, which must be kept or the last one told.
    pub(super) fn attach(session: &Arc<Session>, told: &mut Told, stream: u64, behind: u64) -> Self {
        told.turn += 1;
        told.unread = Some(behind + 1);
        told.gives_way = false;
        told.changed.notify_waiters();
        Self {
            session: Arc::clone(session),
            stream,
            changed: Arc::clone(&told.changed),
            turn: told.turn,
            next: behind + 1,
        }
    }

    /// Which stream it reads.
    pub(crate) fn stream(&self) -> u64 {
        self.stream
    }

    /// The number of the event that was read last.
    pub(crate) fn last(&self) -> u64 {
        self.next - 1
    }

    /// The next event. Asking for it says that the one before has reached the client's connection. May be given up
    /// and asked again.
    pub(crate) async fn next(&mut self) -> Read {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut ring = self.session.locked();
                let told = ring.stream(self.stream).filter(|told| told.turn == self.turn);
                let Some(told) = told else {
                    return Read::TakenOver;
                };
                if told.unread != Some(self.next) {
                    told.unread = Some(self.next);
                    self.changed.notify_waiters();
                }
                if let Some(event) = told.event(self.next) {
                    let number = self.next;
                    self.next += 1;
                    return Read::Event(number, event.clone());
                }
                if let Some(ended) = told.ended {
                    return Read::End(ended.pause);
                }
            }
            changed.await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut ring = self.session.locked();
        let over = ring.over;
        if let Some(told) = ring.stream(self.stream).filter(|told| told.turn == self.turn) {
            told.unread = None;
            told.deserted = Instant::now();
            if over && told.ended.is_some() {
                ring.forget(self.stream);
            }
        }
        drop(ring);
        self.changed.notify_waiters();
    }
}
