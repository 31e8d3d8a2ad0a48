//! Who hears what a server says outside of calls: of several streams that listen to one session the
//! newest, since each message goes to exactly one (2025-11-25 basic/transports, "Multiple Connections").
//!
//! The older ones stay open and take over again when the newer ones end: a client whose connection was
//! lost opens another before the loss of the first is noticed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

use super::shrink::shrink;
use super::token;

/// Streams that may listen to one session at once.
const STREAMS: usize = 4;

/// The sessions that are listened to.
#[derive(Default)]
pub(crate) struct Listeners {
    by_session: Mutex<HashMap<token::Id, Arc<Session>>>,
}

struct Session {
    /// The streams by number, in the order they came; the last one hears.
    streams: watch::Sender<Vec<u64>>,
    /// Held by the stream that hears, until it has let go of the server's own.
    floor: Arc<tokio::sync::Mutex<()>>,
    ended: CancellationToken,
}

/// One stream's place among those that listen to its session.
pub(crate) struct Listener {
    listeners: Arc<Listeners>,
    id: token::Id,
    session: Arc<Session>,
    number: u64,
    streams: watch::Receiver<Vec<u64>>,
}

/// Held by the stream that hears.
pub(crate) type Floor = OwnedMutexGuard<()>;

impl Listeners {
    /// Takes a place, the newest; `None` when the session has too many already.
    pub(crate) fn join(self: &Arc<Self>, id: &token::Id) -> Option<Listener> {
        let mut sessions = self.locked();
        let session = sessions.entry(id.clone()).or_insert_with(|| {
            Arc::new(Session {
                streams: watch::Sender::new(Vec::new()),
                floor: Arc::default(),
                ended: CancellationToken::new(),
            })
        });
        let session = Arc::clone(session);
        let numbers = session.streams.borrow().clone();
        if numbers.len() >= STREAMS {
            return None;
        }
        let number = numbers.last().map_or(0, |last| last + 1);
        session.streams.send_modify(|streams| streams.push(number));
        let streams = session.streams.subscribe();
        Some(Listener {
            listeners: Arc::clone(self),
            id: id.clone(),
            session,
            number,
            streams,
        })
    }

    /// The session was ended by its client: so are its streams.
    pub(crate) fn end(&self, id: &token::Id) {
        if let Some(session) = self.locked().get(id) {
            session.ended.cancel();
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<token::Id, Arc<Session>>> {
        self.by_session
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Listener {
    /// Waits until this stream is the newest, and the one before it has let go.
    pub(crate) async fn floor(&mut self) -> Floor {
        loop {
            let number = self.number;
            // Its sender is kept by `session`, so this waits for nothing but its turn.
            let _ = self
                .streams
                .wait_for(|streams| streams.last() == Some(&number))
                .await;
            let floor = Arc::clone(&self.session.floor).lock_owned().await;
            if self.streams.borrow().last() == Some(&number) {
                return floor;
            }
        }
    }

    /// Waits until a newer stream is there.
    pub(crate) async fn superseded(&mut self) {
        let number = self.number;
        let _ = self
            .streams
            .wait_for(|streams| streams.last() != Some(&number))
            .await;
    }

    /// Cancelled when the session is ended.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.session.ended.clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut sessions = self.listeners.locked();
        self.session
            .streams
            .send_modify(|streams| streams.retain(|number| *number != self.number));
        if self.session.streams.borrow().is_empty() {
            sessions.remove(&self.id);
            shrink(&mut sessions);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn hears(listener: &mut Listener) -> Option<Floor> {
        listener.floor().now_or_never()
    }

    #[tokio::test]
    async fn the_newest_stream_hears_and_the_older_takes_over_when_it_ends() {
        let listeners = Arc::new(Listeners::default());
        let id = token::Id::new();
        let mut first = listeners.join(&id).unwrap();
        let floor = hears(&mut first).unwrap();

        let mut second = listeners.join(&id).unwrap();
        first.superseded().await;
        assert!(hears(&mut second).is_none(), "the first has not let go");
        drop(floor);
        let floor = hears(&mut second).unwrap();
        assert!(hears(&mut first).is_none());

        drop((floor, second));
        assert!(hears(&mut first).is_some());
    }

    #[tokio::test]
    async fn sessions_do_not_hear_each_other_and_leave_nothing_behind() {
        let listeners = Arc::new(Listeners::default());
        let mut one = listeners.join(&token::Id::new()).unwrap();
        let mut other = listeners.join(&token::Id::new()).unwrap();

        assert!(hears(&mut one).is_some());
        assert!(hears(&mut other).is_some());

        drop((one, other));
        assert!(listeners.locked().is_empty());
    }

    #[test]
    fn a_session_has_so_many_streams_and_no_more() {
        let listeners = Arc::new(Listeners::default());
        let id = token::Id::new();
        let open: Vec<_> = (0..STREAMS).map(|_| listeners.join(&id).unwrap()).collect();

        assert!(listeners.join(&id).is_none());

        drop(open);
        assert!(listeners.join(&id).is_some());
    }

    #[test]
    fn the_end_of_a_session_is_told_to_its_streams() {
        let listeners = Arc::new(Listeners::default());
        let id = token::Id::new();
        let listener = listeners.join(&id).unwrap();
        assert!(!listener.ended().is_cancelled());

        listeners.end(&id);

        assert!(listener.ended().is_cancelled());
    }
}
