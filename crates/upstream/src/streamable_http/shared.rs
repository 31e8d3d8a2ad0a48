//! Legacy sessions that the gateway began, for requests that come without one.
//!
//! One per set of injected headers, since those are the credentials: two callers share a session
//! only when the server cannot tell them apart anyway.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::{HeaderName, HeaderValue};
use mcp::Id;
use tokio::sync::OnceCell;

use crate::error::Error;
use crate::transport::Session;

/// Sets of credentials remembered at once; beyond it the one unused longest is forgotten, which
/// costs its next caller a handshake.
const REMEMBERED: usize = 1024;

type Credentials = Vec<(HeaderName, HeaderValue)>;

#[derive(Default)]
pub(super) struct SharedSessions {
    by_credentials: Mutex<HashMap<Credentials, Entry>>,
    clock: AtomicU64,
    last_id: AtomicU64,
}

struct Entry {
    session: Arc<OnceCell<Session>>,
    used: u64,
}

impl SharedSessions {
    /// The session for these credentials; `begin` runs once for all who wait for it.
    pub(super) async fn get<F, W>(&self, credentials: &Credentials, begin: F) -> Result<Session, Error>
    where
        F: FnOnce() -> W,
        W: Future<Output = Result<Session, Error>>,
    {
        let cell = self.cell(credentials);
        cell.get_or_try_init(begin).await.cloned()
    }

    /// The server forgot this one: the next caller begins another. One that somebody else has begun
    /// since stays.
    pub(super) fn forget(&self, credentials: &Credentials, gone: Option<&Session>) {
        let mut entries = self.locked();
        let known = entries.get(credentials).and_then(|entry| entry.session.get());
        if known.is_some_and(|known| gone.is_some_and(|gone| gone.id == known.id)) {
            entries.remove(credentials);
        }
    }

    /// Whatever session there is for these credentials, the next caller begins another.
    pub(super) fn forget_any(&self, credentials: &Credentials) {
        self.locked().remove(credentials);
    }

    /// An id that no other request on a shared session has.
    pub(super) fn next_id(&self) -> Id {
        Id::number(self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn cell(&self, credentials: &Credentials) -> Arc<OnceCell<Session>> {
        let used = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut entries = self.locked();
        if let Some(entry) = entries.get_mut(credentials) {
            entry.used = used;
            return Arc::clone(&entry.session);
        }
        if entries.len() >= REMEMBERED {
            let oldest = entries
                .iter()
                .min_by_key(|(_, entry)| entry.used)
                .map(|(key, _)| key.clone());
            oldest.and_then(|oldest| entries.remove(&oldest));
        }
        let session = Arc::new(OnceCell::new());
        entries.insert(
            credentials.clone(),
            Entry {
                session: Arc::clone(&session),
                used,
            },
        );
        session
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<Credentials, Entry>> {
        self.by_credentials
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
