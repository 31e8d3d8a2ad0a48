//! What all HTTP connections share.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::pipe::Delivery;
use super::reply::Form;
use super::server::Server;
use super::serverless::Serverless;
use super::session::Session;

/// How many sessions may be open at once.
const MOST_SESSIONS: usize = 100_000;

/// How answers are given and sessions kept.
pub(super) struct Manners {
    pub(super) sessions: bool,
    pub(super) answers: Form,
    pub(super) serverless: Option<Serverless>,
}

/// What the connections share.
pub(super) struct Site {
    pub(super) server: Arc<Server>,
    pub(super) manners: Manners,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    /// The HTTP+SSE connections, by the token in their endpoint.
    pub(super) doors: Mutex<HashMap<String, mpsc::Sender<Delivery>>>,
    tokens: Tokens,
}

impl Site {
    pub(super) fn new(server: Arc<Server>, manners: Manners) -> Site {
        Site {
            server,
            manners,
            sessions: Mutex::default(),
            doors: Mutex::default(),
            tokens: Tokens::default(),
        }
    }

    /// Keeps a session and names it; `None` when there are too many.
    pub(super) fn keep(&self, session: Arc<Session>) -> Option<String> {
        let mut sessions = self.sessions();
        if sessions.len() >= MOST_SESSIONS {
            return None;
        }
        let id = self.token();
        sessions.insert(id.clone(), session);
        Some(id)
    }

    pub(super) fn session(&self, id: &str) -> Option<Arc<Session>> {
        self.sessions().get(id).cloned()
    }

    /// Ends a session; false when there was none.
    pub(super) fn forget(&self, id: &str) -> bool {
        let session = self.sessions().remove(id);
        session.inspect(|session| session.end()).is_some()
    }

    /// A name that cannot be guessed.
    pub(super) fn token(&self) -> String {
        self.tokens.next()
    }

    pub(super) fn kill(&self) -> Option<Duration> {
        self.manners.serverless.map(|serverless| serverless.kill)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Unguessable names: a counter under two keyed hashes, whose keys the standard library draws at random.
#[derive(Default)]
struct Tokens {
    keys: [RandomState; 2],
    given: AtomicU64,
}

impl Tokens {
    fn next(&self) -> String {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        let [first, second] = &self.keys;
        format!("{:016x}{:016x}", first.hash_one(number), second.hash_one(number))
    }
}
