//! Legacy sessions that the gateway began, for requests that come without one (`protocol.md` D-40).
//!
//! One per set of injected headers, declared capabilities and principal: two callers share a session only
//! when the server cannot tell them apart anyway, and may ask neither of them what the other hears. One
//! that is a principal's own ends when nobody has used it for long; each ends when it has to make place for
//! another. The server is told so, though never while a call runs in it. One whose clients may be asked something
//! is heard as long as it lasts ([`Ear`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use http::{HeaderName, HeaderValue};
use mcp::{Id, Message};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Server;
use super::ear::{Ear, Heard};
use crate::error::Error;
use crate::transport::{Agreement, Headers, MessageStream, Messages, Pooled, Reply, Session};

/// Sessions remembered at once; beyond it the one unused longest is ended, which costs its next caller a
/// handshake.
pub(super) const REMEMBERED: usize = if cfg!(test) { 8 } else { 1024 };

/// Sessions that are ended side by side.
const ENDED_AT_ONCE: usize = 16;

/// The least time between two looks for sessions that nobody uses.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

type Credentials = Vec<(HeaderName, HeaderValue)>;

/// What tells sessions apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    credentials: Credentials,
    pooled: Pooled,
}

/// The sessions of the gateway's own with one server.
#[derive(Default)]
pub(super) struct PooledSessions {
    table: Mutex<Table>,
    last_id: AtomicU64,
    stopping: CancellationToken,
    ears: TaskTracker,
}

#[derive(Default)]
struct Table {
    by_key: HashMap<Key, Arc<Place>>,
    /// Whether a task looks for those that nobody uses.
    watched: bool,
}

/// The place of one session: begun when needed, once for all who wait.
struct Place {
    key: Key,
    begun: OnceCell<Begun>,
    /// Cancelled when it ends, or the server was found to have lost it.
    over: CancellationToken,
    use_of: Mutex<Use>,
}

/// A session that has begun.
struct Begun {
    agreement: Agreement,
    /// Absent where nobody can be asked anything, or the server tells no sessions apart.
    ear: Option<Arc<Ear>>,
}

struct Use {
    /// Calls that hold it.
    running: usize,
    last: Instant,
    /// Whether it ends with the last of them.
    retired: bool,
}

/// The use of a session by one call. As long as there is one, the session is not ended.
pub(super) struct Lease {
    server: Arc<Server>,
    place: Arc<Place>,
}

impl PooledSessions {
    /// The server forgot this one: the next caller begins another. One that somebody else has begun since
    /// stays.
    pub(super) fn forget(&self, gone: &Lease) {
        self.lose(&gone.place);
    }

    fn lose(&self, place: &Arc<Place>) {
        place.over.cancel();
        let mut table = self.locked();
        let known = table.by_key.get(&place.key);
        if known.is_some_and(|known| Arc::ptr_eq(known, place)) {
            table.by_key.remove(&place.key);
        }
    }

    /// Whatever sessions there are with these credentials, their next callers begin others.
    pub(super) fn forget_any(&self, credentials: &Credentials) {
        let mut table = self.locked();
        table.by_key.retain(|key, place| {
            let stays = key.credentials != *credentials;
            if !stays {
                place.over.cancel();
            }
            stays
        });
    }

    /// A call leaves a place where no session was begun. What nobody waits for any more is not kept: the next
    /// caller may never come.
    fn leave_unbegun(&self, place: &Arc<Place>) {
        // Nobody else comes to use the place while the table is locked.
        let mut table = self.locked();
        let unused = {
            let mut used = place.used();
            used.running -= 1;
            used.running == 0
        };
        let known = table.by_key.get(&place.key);
        if unused && known.is_some_and(|known| Arc::ptr_eq(known, place)) {
            table.by_key.remove(&place.key);
        }
    }

    /// An id that no other request in a session of ours has.
    pub(super) fn next_id(&self) -> Id {
        Id::number(self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.locked().by_key.len()
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Server {
    /// The session of this kind, for as long as what is returned is kept.
    ///
    /// # Errors
    /// When it has to be begun, and the server does not agree.
    pub(super) async fn lease(self: &Arc<Self>, pooled: &Pooled, headers: &Headers) -> Result<Lease, Error> {
        let lease = self.take_place(Key {
            credentials: headers.injected.clone(),
            pooled: pooled.clone(),
        });
        if pooled.is_private() {
            self.watch();
        }
        let begun = lease
            .place
            .begun
            .get_or_try_init(|| self.begin(&lease.place, headers))
            .await?;
        if let Some(ear) = &begun.ear {
            ear.opened().await;
        }
        Ok(lease)
    }

    async fn begin(self: &Arc<Self>, place: &Arc<Place>, headers: &Headers) -> Result<Begun, Error> {
        let agreement = self.greet(headers, &place.key.pooled).await?;
        // Where a server knows no sessions, what it asks outside of calls could be meant for anybody.
        let heard = place.key.pooled.is_private() && agreement.session.id.is_some();
        let ear = heard.then(|| self.hear(place, agreement.session.clone()));
        Ok(Begun { agreement, ear })
    }

    /// Hears a session from now until it is over.
    fn hear(self: &Arc<Self>, place: &Arc<Place>, session: Session) -> Arc<Ear> {
        let ear = Arc::new(Ear::new(self));
        let (server, place, hearing) = (Arc::clone(self), Arc::clone(place), Arc::clone(&ear));
        self.pooled.ears.spawn(async move {
            let headers = Headers {
                injected: place.key.credentials.clone(),
                passed: Vec::new(),
            };
            let heard = tokio::select! {
                heard = hearing.live(&server, &session, &headers) => Some(heard),
                () = place.over.cancelled() => None,
            };
            hearing.close(heard.as_ref());
            if heard == Some(Heard::Lost) {
                server.pooled.lose(&place);
            }
        });
        ear
    }

    fn take_place(self: &Arc<Self>, key: Key) -> Lease {
        let mut table = self.pooled.locked();
        if let Some(place) = table.by_key.get(&key) {
            return Lease::of(self, place);
        }
        let mut displaced = None;
        if table.by_key.len() >= REMEMBERED {
            // One that is used last of all, so that seldom a call has to keep what made place already.
            let oldest = table.by_key.values().min_by_key(|place| {
                let used = place.used();
                (used.running > 0, used.last)
            });
            let oldest = oldest.map(|place| place.key.clone());
            displaced = oldest.and_then(|oldest| table.by_key.remove(&oldest));
        }
        let place = Arc::new(Place {
            key: key.clone(),
            begun: OnceCell::new(),
            over: self.pooled.stopping.child_token(),
            use_of: Mutex::new(Use {
                running: 0,
                last: Instant::now(),
                retired: false,
            }),
        });
        let lease = Lease::of(self, &place);
        table.by_key.insert(key, place);
        drop(table);
        if let Some(place) = displaced
            && place.retire()
        {
            self.end_aside(place);
        }
        lease
    }

    /// Ends the sessions that are of nobody outside of this scope, each once no call runs in it any more.
    pub(super) fn release(self: &Arc<Self>, scope: &[u8]) {
        let mut table = self.pooled.locked();
        let of_scope = table
            .by_key
            .extract_if(|key, _| key.pooled.is_private() && *key.pooled.scope == *scope);
        let of_scope: Vec<_> = of_scope.map(|(_, place)| place).collect();
        drop(table);
        for place in of_scope {
            if place.retire() {
                self.end_aside(place);
            }
        }
    }

    /// Ends all sessions that are a principal's own, as far as the server takes it in time.
    pub(super) async fn end_all(self: &Arc<Self>) {
        self.pooled.stopping.cancel();
        let all = std::mem::take(&mut self.pooled.locked().by_key);
        let private = all.into_values().filter(|place| place.key.pooled.is_private());
        self.end_places(private.collect()).await;
        self.pooled.ears.close();
        self.pooled.ears.wait().await;
    }

    /// Has a task look for sessions that nobody uses, as long as there are any that could be ended so.
    fn watch(self: &Arc<Self>) {
        if std::mem::replace(&mut self.pooled.locked().watched, true) {
            return;
        }
        let (server, stopping) = (Arc::downgrade(self), self.pooled.stopping.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = watch_over(server) => {}
                () = stopping.cancelled() => {}
            }
        });
    }

    /// Takes out those that nobody has used for long, and tells when to look again; never, if no private
    /// one is left.
    fn take_idle(&self) -> (Vec<Arc<Place>>, Option<Instant>) {
        let (now, idle) = (Instant::now(), self.bounds.idle);
        let (mut over, mut next) = (Vec::new(), None::<Instant>);
        let mut table = self.pooled.locked();
        table.by_key.retain(|key, place| {
            if !key.pooled.is_private() {
                return true;
            }
            let used = place.used();
            let ends = if used.running > 0 { now } else { used.last } + idle;
            if ends <= now {
                over.push(Arc::clone(place));
                return false;
            }
            next = Some(next.map_or(ends, |next| next.min(ends)));
            true
        });
        if over.is_empty() && next.is_none() {
            table.watched = false;
        }
        (over, next)
    }

    async fn end_places(&self, places: Vec<Arc<Place>>) {
        let ending = places.into_iter().map(|place| async move {
            place.over.cancel();
            if let Some(begun) = place.begun.get() {
                let session = &begun.agreement.session;
                self.end_session(session, &place.key.credentials).await;
            }
        });
        futures_util::stream::iter(ending)
            .for_each_concurrent(ENDED_AT_ONCE, |ending| ending)
            .await;
    }

    /// Ends one in a task of its own, which lasts no longer than [`super::END_WITHIN`].
    fn end_aside(self: &Arc<Self>, place: Arc<Place>) {
        place.over.cancel();
        let server = Arc::clone(self);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { server.end_places(vec![place]).await });
        }
    }
}

/// Ends sessions that nobody uses, until there are none.
async fn watch_over(server: Weak<Server>) {
    loop {
        let next = {
            let Some(server) = server.upgrade() else { return };
            let (over, next) = server.take_idle();
            match (over.is_empty(), next) {
                (true, None) => return,
                (true, Some(next)) => next,
                (false, next) => {
                    server.end_places(over).await;
                    next.unwrap_or_else(Instant::now)
                }
            }
        };
        tokio::time::sleep_until(next.max(Instant::now() + LOOK_AGAIN)).await;
    }
}

impl Place {
    fn used(&self) -> MutexGuard<'_, Use> {
        self.use_of
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// It made place for another. True if it can be ended at once, since nobody uses it.
    fn retire(&self) -> bool {
        let mut used = self.used();
        used.retired = true;
        used.running == 0
    }
}

impl Lease {
    fn of(server: &Arc<Server>, place: &Arc<Place>) -> Self {
        place.used().running += 1;
        Self {
            server: Arc::clone(server),
            place: Arc::clone(place),
        }
    }

    /// The session; it has begun by the time anybody else sees this.
    pub(super) fn agreement(&self) -> Option<&Agreement> {
        self.place.begun.get().map(|begun| &begun.agreement)
    }

    /// What hears the session, where it is heard.
    pub(super) fn ear(&self) -> Option<&Arc<Ear>> {
        self.place.begun.get().and_then(|begun| begun.ear.as_ref())
    }

    /// Another use of the same session.
    pub(super) fn again(&self) -> Self {
        Self::of(&self.server, &self.place)
    }

    pub(super) fn session(&self) -> Option<&Session> {
        self.agreement().map(|agreement| &agreement.session)
    }

    /// Waits until the session has ended, or the server was found to have lost it.
    pub(super) async fn over(&self) {
        self.place.over.cancelled().await;
    }

    pub(super) fn pooled(&self) -> &Pooled {
        &self.place.key.pooled
    }

    /// The reply, which uses the session until it is read.
    pub(super) fn keep_for(&self, reply: Reply) -> Reply {
        let Messages::Stream(stream) = reply.messages else {
            return reply;
        };
        Reply {
            messages: Messages::Stream(Box::new(Leased {
                stream,
                _lease: self.again(),
            })),
            ..reply
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.agreement().is_none() {
            self.server.pooled.leave_unbegun(&self.place);
            return;
        }
        let over = {
            let mut used = self.place.used();
            used.running -= 1;
            used.last = Instant::now();
            used.retired && used.running == 0
        };
        if over {
            self.server.end_aside(Arc::clone(&self.place));
        }
    }
}

/// Messages in a session that is not ended before they are.
struct Leased {
    stream: Box<dyn MessageStream>,
    _lease: Lease,
}

#[async_trait]
impl MessageStream for Leased {
    async fn next(&mut self) -> Result<Message, Error> {
        self.stream.next().await
    }
}
