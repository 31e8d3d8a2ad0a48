//! Sessions that their upstream has lost and that are begun anew, unseen by their clients.
//!
//! A client's session keeps its id for ever, since MCP has no way to tell it another; which session of
//! the upstream stands behind it now is remembered here. What is forgotten here is only begun anew once
//! more. A session that its client has ended is not.

mod anew;
mod settings;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use mcp::Message;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::{Error, Fault};
use crate::pause::Pauses;
use crate::registry::Upstream;
use crate::transport::{Headers, Session};

use anew::Begun;
pub(crate) use anew::Declared;
use settings::Settings;

/// Sessions of one upstream remembered at once, but for those that somebody listens to.
const REMEMBERED: usize = 16_384;

/// Bytes of what all of them have set.
const REMEMBERED_BYTES: usize = 32 << 20;

/// What is known of one upstream's sessions beyond what their clients bring along.
pub(crate) struct Renewals {
    known: Mutex<HashMap<Key, Arc<Renewal>>>,
    hashers: [RandomState; 2],
    bytes: Arc<AtomicUsize>,
}

/// A session's id and credentials, hashed under two secret keys: servers have been seen that give several
/// clients the same id.
type Key = [u64; 2];

/// One session.
pub(crate) struct Renewal {
    state: Mutex<State>,
    /// Held by the one that begins it anew, for all who wait.
    renewing: tokio::sync::Mutex<()>,
    /// Told when it was begun anew or has ended.
    pub(crate) changed: Notify,
    /// Between beginnings of one whose process crashes.
    pauses: Pauses,
    /// What all sessions of the upstream have set.
    bytes: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    settings: Settings,
    ended: bool,
    failures: u64,
    last_failure: Option<Error>,
}

/// The session that stands behind the client's now.
#[derive(Clone)]
struct Current {
    session: Session,
    declared: Declared,
    since: Instant,
    /// How many calls were sent in it since.
    users: usize,
    /// Whether its handshake is done: whoever began it may have left meanwhile.
    ready: bool,
}

impl Default for Renewals {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            hashers: [RandomState::new(), RandomState::new()],
            bytes: Arc::default(),
        }
    }
}

impl Renewals {
    /// The session that stands behind a client's now; the same if it never was lost.
    pub(crate) fn current(&self, session: &Session, headers: &Headers) -> Session {
        let renewal = self.find(session, headers);
        renewal.map_or_else(|| session.clone(), |renewal| renewal.current(session))
    }

    /// What is known of a session, from now on if not before. None where the upstream keeps no sessions.
    pub(crate) fn of(&self, session: &Session, headers: &Headers) -> Option<Arc<Renewal>> {
        let key = self.key(session, headers)?;
        let mut known = self.locked();
        if let Some(renewal) = known.get(&key) {
            return Some(Arc::clone(renewal));
        }
        if known.len() >= REMEMBERED {
            let unused = known.iter().find(|(_, renewal)| Arc::strong_count(renewal) == 1);
            unused.map(|(key, _)| *key).and_then(|key| known.remove(&key));
        }
        let renewal = Arc::new(Renewal {
            state: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            pauses: Pauses::default(),
            bytes: Arc::clone(&self.bytes),
        });
        known.insert(key, Arc::clone(&renewal));
        Some(renewal)
    }

    /// A call is sent in a session; only one that was begun anew is looked after.
    pub(crate) fn enter(&self, session: &Session, using: &Session, headers: &Headers) {
        if using.id != session.id
            && let Some(renewal) = self.find(session, headers)
        {
            renewal.enter(using);
        }
    }

    /// Whoever held this one has done with it: what is known of nothing is not kept, or every session that
    /// was ever listened to would be.
    pub(crate) fn let_go(&self, session: &Session, headers: &Headers, renewal: &Arc<Renewal>) {
        let Some(key) = self.key(session, headers) else {
            return;
        };
        let mut known = self.locked();
        // Theirs and ours: nobody else has it, and while we hold the lock nobody gets it.
        if Arc::strong_count(renewal) == 2 && renewal.knows_nothing() {
            known.remove(&key);
            if known.is_empty() {
                // Room for thousands is given back with the last of them.
                known.shrink_to_fit();
            }
        }
    }

    /// A message of this session was carried out.
    pub(crate) fn note(&self, session: &Session, headers: &Headers, message: &Message) {
        if settings::concerns(message)
            && let Some(renewal) = self.of(session, headers)
        {
            renewal.note(message);
        }
    }

    /// Its process crashed in the midst of a call.
    pub(crate) fn note_crash(&self, session: &Session, headers: &Headers) {
        if let Some(renewal) = self.of(session, headers) {
            let since = renewal.locked().current.as_ref().map(|current| current.since);
            renewal.pauses.note_crash(since.unwrap_or_else(Instant::now));
        }
    }

    /// Its client ends it: it is never begun anew. Gives the session that stands behind it now, even if
    /// that was begun only half way.
    pub(crate) fn end(&self, session: &Session, headers: &Headers) -> Session {
        let Some(renewal) = self.of(session, headers) else {
            return session.clone();
        };
        let current = {
            let mut state = renewal.locked();
            state.ended = true;
            state.current.as_ref().map(|current| current.session.clone())
        };
        renewal.changed.notify_waiters();
        current.unwrap_or_else(|| session.clone())
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.locked().len()
    }

    fn find(&self, session: &Session, headers: &Headers) -> Option<Arc<Renewal>> {
        let key = self.key(session, headers)?;
        self.locked().get(&key).cloned()
    }

    fn key(&self, session: &Session, headers: &Headers) -> Option<Key> {
        let id = session.id.as_deref()?;
        let hash = |hasher: &RandomState| hasher.hash_one((id, &headers.injected));
        Some([hash(&self.hashers[0]), hash(&self.hashers[1])])
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Key, Arc<Renewal>>> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Renewal {
    /// Begins the session anew, or waits for whoever does; `lost` is the one that the upstream does not
    /// know any more. Tells whether it was begun by this very caller.
    ///
    /// # Errors
    /// [`Fault::SessionGone`] when it cannot be begun anew, so that its client has to begin another; any
    /// other fault when the upstream is not there for it now.
    pub(crate) async fn renew(
        &self,
        upstream: &Arc<Upstream>,
        session: &Session,
        lost: &Session,
        headers: &Headers,
    ) -> Result<(Session, bool), Error> {
        let gone = || Fault::SessionGone.of(&upstream.name);
        let failures = self.locked().failures;
        let _renewing = self.renewing.lock().await;
        let (settings, unfinished) = {
            let state = self.locked();
            if state.ended {
                return Err(gone());
            }
            // Whoever tried while we waited failed for all of us.
            if let Some(failure) = state.last_failure.as_ref().filter(|_| state.failures > failures) {
                return Err(failure.clone());
            }
            let current = state
                .current
                .clone()
                .filter(|current| current.session.id != lost.id);
            if let Some(current) = current.as_ref().filter(|current| current.ready) {
                return Ok((current.session.clone(), false));
            }
            (state.settings.clone(), current)
        };
        let begun = async {
            if let Some(Current {
                session, declared, ..
            }) = unfinished
            {
                let begun = Begun { session, declared };
                match anew::make_ready(upstream, &begun, &settings, headers).await {
                    Err(error) if error.fault == Fault::SessionGone => {}
                    outcome => return outcome.map(|()| begun),
                }
            }
            self.pauses.wait(&upstream.name).await?;
            let begun = anew::begin(upstream, session, headers).await?;
            self.locked().keep(&begun, false);
            match anew::make_ready(upstream, &begun, &settings, headers).await {
                Err(error) if error.fault == Fault::SessionGone => {
                    let what = "it forgets every session at once".into();
                    Err(Fault::Broken(what).of(&upstream.name))
                }
                outcome => outcome.map(|()| begun),
            }
        };
        let outcome = Box::pin(begun).await;
        let orphan = {
            let mut state = self.locked();
            match &outcome {
                Ok(begun) => state.keep(begun, true),
                Err(error) => {
                    state.failures += 1;
                    state.last_failure = Some(error.clone());
                }
            }
            state.current.clone().filter(|_| state.ended)
        };
        if let Some(orphan) = orphan {
            // It was ended meanwhile, when there may have been nothing yet to end.
            upstream.end_behind(&orphan.session, headers).await;
            return Err(gone());
        }
        let begun = outcome?;
        self.changed.notify_waiters();
        upstream.count_renewal();
        Ok((begun.session, true))
    }

    /// The session that stands behind the client's now.
    pub(crate) fn current(&self, session: &Session) -> Session {
        let state = self.locked();
        match state.current.as_ref().filter(|current| current.ready) {
            Some(current) => current.session.clone(),
            None => session.clone(),
        }
    }

    /// What the server said of itself when the session was begun anew.
    pub(crate) fn declared(&self) -> Option<Declared> {
        self.locked().current.as_ref().map(|current| current.declared)
    }

    /// The resources that it has subscribed to, as `params` of `resources/subscribe`.
    pub(crate) fn subscriptions(&self) -> Vec<Box<str>> {
        self.locked().settings.subscriptions().map(Into::into).collect()
    }

    fn knows_nothing(&self) -> bool {
        let state = self.locked();
        let State {
            current,
            settings,
            ended,
            failures,
            last_failure: _,
        } = &*state;
        current.is_none() && settings.bytes() == 0 && !ended && *failures == 0 && self.pauses.is_clear()
    }

    /// Whether its client has ended it.
    pub(crate) fn has_ended(&self) -> bool {
        self.locked().ended
    }

    /// A call is sent in the session that stands behind the client's now.
    pub(crate) fn enter(&self, using: &Session) {
        if let Some(current) = &mut self.locked().current
            && current.session.id == using.id
        {
            current.users += 1;
        }
    }

    /// Whether this session, which is lost, was lost to a single call: then it was not another's answer
    /// that it ended with.
    pub(crate) fn was_alone(&self, lost: &Session) -> bool {
        let state = self.locked();
        let current = state.current.as_ref();
        current.is_some_and(|current| current.session.id == lost.id && current.users <= 1)
    }

    /// What it has set does not survive where a session ends with every answer; asking for it costs the
    /// one answer that the client wants.
    pub(crate) fn forget_settings(&self) -> bool {
        let forgotten = std::mem::take(&mut self.locked().settings).bytes();
        self.bytes.fetch_sub(forgotten, Ordering::Relaxed);
        forgotten > 0
    }

    fn note(&self, message: &Message) {
        let mut state = self.locked();
        let room = REMEMBERED_BYTES.saturating_sub(self.bytes.load(Ordering::Relaxed));
        let before = state.settings.bytes();
        state.settings.note(message, room);
        let after = state.settings.bytes();
        self.bytes
            .fetch_add(after.saturating_sub(before), Ordering::Relaxed);
        self.bytes
            .fetch_sub(before.saturating_sub(after), Ordering::Relaxed);
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn keep(&mut self, begun: &Begun, ready: bool) {
        self.current = Some(Current {
            session: begun.session.clone(),
            declared: begun.declared,
            since: Instant::now(),
            users: 0,
            ready,
        });
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        let bytes = self.locked().settings.bytes();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
