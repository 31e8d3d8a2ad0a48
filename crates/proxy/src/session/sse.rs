//! Sessions of the 2024-11-05 transport: each lives as long as its one stream, in this process.
//!
//! The token in the address that its client POSTs to is no memory, since everything that is sent there
//! is answered on the stream. It is sealed all the same: an address ends up in every proxy's log, and
//! must be of no use to whoever reads it there (`protocol.md` D-04).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use bytes::Bytes;
use mcp::{Id, Message};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::shrink::shrink;
use super::{Claims, token};

/// Messages that may wait for a stream's reader. Whoever has one more waits, and so does its server.
const WAITING: usize = 4;

/// Requests that one session may have running.
const RUNNING: usize = 256;

/// The sessions of all open streams.
#[derive(Default)]
pub(crate) struct SseSessions {
    open: Mutex<HashMap<token::Id, Arc<SseSession>>>,
}

/// A session, for as long as its stream is open.
pub(crate) struct SseSession {
    id: token::Id,
    principal: Vec<u8>,
    outbox: mpsc::Sender<Bytes>,
    /// What its handshake agreed on, once there was one.
    begun: OnceLock<Arc<Claims>>,
    /// Whether a handshake is under way.
    greeting: AtomicBool,
    ready: CancellationToken,
    /// Told when the last running request has ended.
    idle: Notify,
    running: Mutex<HashMap<Id, CancellationToken>>,
    ended: CancellationToken,
}

/// The stream's side of a session. When it is dropped the session is over.
pub(crate) struct Stream {
    pub(crate) session: Arc<SseSession>,
    pub(crate) outbox: mpsc::Receiver<Bytes>,
    sessions: Arc<SseSessions>,
}

/// A running request. When it is dropped the request is over.
pub(crate) struct Running {
    session: Arc<SseSession>,
    id: Id,
    greets: bool,
    taken_back: CancellationToken,
}

/// Why a request is not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotBegun {
    /// Another one with this id is running.
    Duplicate,
    /// Too many are running.
    TooMany,
    /// It is a handshake, and the session had one or has it now.
    Greeted,
}

impl SseSessions {
    /// Opens a session.
    pub(crate) fn open(self: &Arc<Self>, id: token::Id, principal: Vec<u8>) -> Stream {
        let (sender, outbox) = mpsc::channel(WAITING);
        let session = Arc::new(SseSession {
            id: id.clone(),
            principal,
            outbox: sender,
            begun: OnceLock::new(),
            greeting: AtomicBool::new(false),
            ready: CancellationToken::new(),
            idle: Notify::new(),
            running: Mutex::default(),
            ended: CancellationToken::new(),
        });
        self.locked().insert(id, Arc::clone(&session));
        Stream {
            session,
            outbox,
            sessions: Arc::clone(self),
        }
    }

    /// The session with this id, of this principal.
    pub(crate) fn find(&self, id: &token::Id, principal: &[u8]) -> Option<Arc<SseSession>> {
        let session = self.locked().get(id).cloned();
        session.filter(|session| session.principal == principal)
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<token::Id, Arc<SseSession>>> {
        self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl SseSession {
    /// What tells it apart.
    pub(crate) fn id(&self) -> &token::Id {
        &self.id
    }

    /// What its handshake agreed on.
    pub(crate) fn begun(&self) -> Option<Arc<Claims>> {
        self.begun.get().cloned()
    }

    /// Its handshake is done. A second one changes nothing, and tells so.
    pub(crate) fn begin(&self, claims: Claims) -> bool {
        self.begun.set(Arc::new(claims)).is_ok()
    }

    /// Its client has said that it is ready: the server may speak outside of calls.
    pub(crate) fn note_ready(&self) {
        self.ready.cancel();
    }

    /// Waits until its client is ready.
    pub(crate) async fn ready(&self) {
        self.ready.cancelled().await;
    }

    /// Hands a message to the stream, and waits for its place there. False when the session is over.
    pub(crate) async fn tell(&self, message: &Message) -> bool {
        tokio::select! {
            sent = self.outbox.send(message.one_line()) => sent.is_ok(),
            () = self.ended() => false,
        }
    }

    /// Notes that a request runs.
    pub(crate) fn run(self: &Arc<Self>, id: &Id) -> Result<Running, NotBegun> {
        let mut running = self.locked();
        if running.contains_key(id) {
            return Err(NotBegun::Duplicate);
        }
        if running.len() >= RUNNING {
            return Err(NotBegun::TooMany);
        }
        let taken_back = CancellationToken::new();
        running.insert(id.clone(), taken_back.clone());
        Ok(Running {
            session: Arc::clone(self),
            id: id.clone(),
            greets: false,
            taken_back,
        })
    }

    /// Notes that a handshake runs. One that has failed may be followed by another.
    pub(crate) fn greet(self: &Arc<Self>, id: &Id) -> Result<Running, NotBegun> {
        let mut running = self.run(id)?;
        if self.greeting.swap(true, Ordering::SeqCst) {
            return Err(NotBegun::Greeted);
        }
        running.greets = true;
        // Looked at only now: the one before may have ended, well, a moment ago.
        match self.begun.get() {
            Some(_) => Err(NotBegun::Greeted),
            None => Ok(running),
        }
    }

    /// Its client takes a request back: nothing more is said of it.
    pub(crate) fn take_back(&self, id: &Id) {
        if let Some(taken_back) = self.locked().get(id) {
            taken_back.cancel();
        }
    }

    /// Waits until no request runs.
    pub(crate) async fn idle(&self) {
        loop {
            // Made before the look, so that nothing is missed between the two.
            let idle = self.idle.notified();
            if self.locked().is_empty() {
                return;
            }
            idle.await;
        }
    }

    /// Waits until it is over.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Id, CancellationToken>> {
        self.running
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Running {
    /// Waits until nobody wants the answer any more: the request was taken back, or the session is over.
    pub(crate) async fn unwanted(&self) {
        tokio::select! {
            () = self.taken_back.cancelled() => {}
            () = self.session.ended() => {}
        }
    }
}

impl Running {
    /// Whether its client has taken it back.
    pub(crate) fn is_taken_back(&self) -> bool {
        self.taken_back.is_cancelled()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.greets {
            self.session.greeting.store(false, Ordering::SeqCst);
        }
        let mut running = self.session.locked();
        running.remove(&self.id);
        if running.is_empty() {
            self.session.idle.notify_waiters();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.session.ended.cancel();
        let mut open = self.sessions.locked();
        open.remove(&self.session.id);
        shrink(&mut open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn open(sessions: &Arc<SseSessions>) -> Stream {
        sessions.open(token::Id::new(), b"somebody".to_vec())
    }

    #[test]
    fn a_session_is_found_by_its_principal_while_its_stream_is_open() {
        let sessions = Arc::new(SseSessions::default());
        let stream = open(&sessions);
        let id = stream.session.id().clone();

        assert!(sessions.find(&id, b"somebody").is_some());
        assert!(sessions.find(&id, b"somebody else").is_none());
        drop(stream);
        assert!(sessions.find(&id, b"somebody").is_none());
    }

    #[test]
    fn an_id_runs_once_at_a_time() {
        let sessions = Arc::new(SseSessions::default());
        let stream = open(&sessions);

        let running = stream.session.run(&Id::number(1)).unwrap();
        assert_eq!(
            stream.session.run(&Id::number(1)).err(),
            Some(NotBegun::Duplicate)
        );
        drop(running);

        assert!(stream.session.run(&Id::number(1)).is_ok());
    }

    #[test]
    fn a_session_runs_so_many_requests_and_no_more() {
        let sessions = Arc::new(SseSessions::default());
        let stream = open(&sessions);
        let run = |id| stream.session.run(&Id::number(id));
        let _running: Vec<_> = (0..RUNNING as u64).map(|id| run(id).unwrap()).collect();

        assert_eq!(run(RUNNING as u64).err(), Some(NotBegun::TooMany));
    }

    #[test]
    fn a_session_has_one_handshake_and_another_only_if_it_failed() {
        let sessions = Arc::new(SseSessions::default());
        let session = Arc::clone(&open(&sessions).session);
        let greet = |id| session.greet(&Id::number(id));

        let failing = greet(1).unwrap();
        assert_eq!(greet(2).err(), Some(NotBegun::Greeted), "one is under way");
        drop(failing);
        let greeted = greet(3).unwrap();
        session.begin(Claims {
            id: session.id().clone(),
            expires: 0,
            revision: "2024-11-05".into(),
            server: None,
            principal: Vec::new(),
            upstream: None,
            greeting: None,
        });
        drop(greeted);

        assert_eq!(greet(4).err(), Some(NotBegun::Greeted));
        assert_eq!(
            greet(5).err(),
            Some(NotBegun::Greeted),
            "a refused one changes nothing"
        );
        assert!(session.locked().is_empty());
    }

    #[tokio::test]
    async fn what_is_told_to_a_session_that_is_over_is_told_to_nobody() {
        let sessions = Arc::new(SseSessions::default());
        let stream = open(&sessions);
        let session = Arc::clone(&stream.session);
        let message = Message::notification("notifications/message", None);
        for _ in 0..WAITING {
            assert!(session.tell(&message).await);
        }
        assert!(
            session.tell(&message).now_or_never().is_none(),
            "its reader is slow"
        );

        drop(stream);

        assert!(!session.tell(&message).await);
    }

    #[tokio::test]
    async fn a_request_is_unwanted_once_it_is_taken_back() {
        let sessions = Arc::new(SseSessions::default());
        let stream = open(&sessions);
        let (one, other) = (
            stream.session.run(&Id::number(1)).unwrap(),
            stream.session.run(&Id::number(2)).unwrap(),
        );

        stream.session.take_back(&Id::number(1));

        one.unwanted().await;
        assert!(other.unwanted().now_or_never().is_none());
    }
}
