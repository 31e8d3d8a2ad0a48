//! The connections to one server: what opens them, how many there may be, what opens one again that was
//! lost, and what ends them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use mcp::Id;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Connection, Setup};
use super::opening;
use super::server::Server;
use super::started::Started;
use crate::error::{Error, Fault};
use crate::flight::Flight;
use crate::handshake;
use crate::pending::Attribution;
use crate::seats::{NoSeat, Seat, Seats};
use crate::transport::{Agreement, Headers, Pooled, Session};

/// A handshake of ours, cold start of the server included.
const GREET_WITHIN: Duration = Duration::from_secs(30);

/// Connections of the gateway's own sessions at once; beyond it the one unused longest is retired.
const POOLED: usize = 256;

/// The pause before a lost connection is opened again; it doubles with each attempt in vain …
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Attempts to open a lost connection again, a few minutes in all. After that a call does.
const ATTEMPTS: u32 = 8;

type Credentials = Vec<(HeaderName, HeaderValue)>;

/// A connection, and what was agreed in the handshake on it.
type Agreed = (Arc<Connection>, Agreement);

/// What tells the gateway's own sessions apart.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    credentials: Credentials,
    pooled: Pooled,
}

pub(super) struct Connections {
    server: Arc<Server>,
    runtime: Handle,
    /// Serve one session each.
    private: Mutex<HashMap<Box<str>, Arc<Connection>>>,
    /// Serve requests that come without a session.
    pooled: Mutex<Places>,
    /// One for each connection that serves one session or one principal, from before its opening until it has ended.
    seats: Seats,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Places {
    by_key: HashMap<Key, Arc<Place>>,
    clock: u64,
}

/// The place of one connection: opened when needed, once for all who wait.
#[derive(Default)]
struct Place {
    current: Mutex<Option<Agreed>>,
    opening: Flight<Agreed>,
    used: Mutex<u64>,
}

impl Connections {
    pub(super) fn new(server: Arc<Server>, runtime: Handle) -> Self {
        let displaced = server.metrics.displaced.with_label_values(&[&server.name]);
        let seats = Seats::new(server.bounds.sessions, displaced);
        Self {
            server,
            runtime,
            private: Mutex::default(),
            pooled: Mutex::default(),
            seats,
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// The connection of this session of the gateway's own, its handshake done.
    ///
    /// # Errors
    /// When it cannot be opened, or the server does not agree; [`Fault::Full`] when there are as many as
    /// there may be, all of them in use.
    pub(super) async fn pooled(
        self: &Arc<Self>,
        pooled: &Pooled,
        headers: &Headers,
    ) -> Result<Agreed, Error> {
        let key = Key {
            credentials: headers.injected.clone(),
            pooled: pooled.clone(),
        };
        let place = self.place(&key);
        let outcome = match place.taken() {
            Some(agreed) => Ok(agreed),
            None => self.fill(&place, &key).await,
        };
        drop(place);
        if outcome.is_err() {
            let mut places = self.locked();
            if places.by_key.get(&key).is_some_and(Place::is_forsaken) {
                places.by_key.remove(&key);
            }
        }
        outcome
    }

    /// Opens a connection for one session.
    ///
    /// # Errors
    /// [`Fault::Full`] when there are as many as there may be, all of them in use.
    pub(super) async fn open_private(self: &Arc<Self>, headers: &Arc<Headers>) -> Result<Started, Error> {
        self.private().retain(|_, connection| connection.is_alive());
        let seat = self.seat().await?;
        let afterwards = |_| async {}.boxed();
        self.open(headers, Attribution::Oldest, Some(seat), afterwards)
            .await
    }

    /// Keeps a connection for the session that began on it, and names the session.
    pub(super) fn begin_session(&self, started: Started) -> Box<str> {
        let id: Box<str> = config::generate_key().expose().into();
        self.private().insert(id.clone(), started.keep());
        id
    }

    /// The connection of a session.
    ///
    /// # Errors
    /// [`Fault::SessionGone`] when there is none; nothing was sent.
    pub(super) fn of_session(&self, session: &Session) -> Result<Arc<Connection>, Error> {
        let connection = session.id.as_ref().and_then(|id| self.private().get(id).cloned());
        connection
            .filter(|connection| connection.is_alive())
            .ok_or_else(|| self.fails(Fault::SessionGone))
    }

    pub(super) fn end_session(&self, session: &Session) {
        let ended = session.id.as_ref().and_then(|id| self.private().remove(id));
        if let Some(connection) = ended {
            connection.stop();
        }
    }

    /// Ends the connections that serve nobody outside of this scope.
    pub(super) fn release(&self, scope: &[u8]) {
        let mut places = self.locked();
        let of_scope = places
            .by_key
            .extract_if(|key, _| key.pooled.is_private() && *key.pooled.scope == *scope);
        // One that is just being opened is ended for want of use.
        for (connection, _) in of_scope.filter_map(|(_, place)| place.taken()) {
            connection.stop();
        }
    }

    /// Ends all connections, those included that are just being opened; there are no others after that.
    pub(super) async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.private().clear();
        self.locked().by_key.clear();
    }

    pub(super) fn fails(&self, fault: Fault) -> Error {
        self.server.fails(fault)
    }

    /// What to say where no session could have been lost, since it just began or there is none.
    pub(super) fn never_gone(&self, error: Error) -> Error {
        match error.fault {
            Fault::SessionGone => self.fails(Fault::Broken("it forgets every session at once".into())),
            _ => error,
        }
    }

    /// Opens and greets a shared connection into its place, once for all who wait.
    async fn fill(self: &Arc<Self>, place: &Arc<Place>, key: &Key) -> Result<Agreed, Error> {
        let ask = || {
            let (connections, place, key) = (Arc::clone(self), Arc::clone(place), key.clone());
            async move {
                let agreed = connections.greeted(&place, &key).await?;
                place.put(agreed.clone());
                Ok(agreed)
            }
        };
        place.opening.join(ask).await
    }

    async fn greeted(self: &Arc<Self>, place: &Arc<Place>, key: &Key) -> Result<Agreed, Error> {
        let headers = &Arc::new(Headers {
            injected: key.credentials.clone(),
            passed: Vec::new(),
        });
        let (seat, attribution) = match key.pooled.is_private() {
            true => (Some(self.seat().await?), Attribution::OnlyIfAlone),
            false => (None, Attribution::Unasked),
        };
        let (connections, reopened, again) = (Arc::clone(self), Arc::downgrade(place), key.clone());
        let afterwards = move |connection: Arc<Connection>| {
            // One that many use is likely wanted again.
            let wanted = connection.is_missed() && !again.pooled.is_private();
            match reopened.upgrade().filter(|_| wanted) {
                Some(place) => connections.open_again(place, again),
                None => async {}.boxed(),
            }
        };
        let started = self.open(headers, attribution, seat, afterwards).await?;
        let connection = Arc::clone(started.connection());
        let greeting = async {
            let question = handshake::initialize_request(&Id::number(0), &key.pooled);
            let answer = connection.answer_to(&question, headers).await?;
            let revision = handshake::agreement(&self.server.name, &answer)?;
            let ready = handshake::initialized_notification();
            connection.put(&ready, headers).await?;
            Ok(Agreement::on_wire(revision, answer))
        };
        let agreement = tokio::time::timeout(GREET_WITHIN, greeting)
            .await
            .unwrap_or_else(|_| Err(self.fails(Fault::Silent(GREET_WITHIN))))
            .map_err(|error| self.never_gone(error))?;
        connection.forget_use();
        Ok((started.keep(), agreement))
    }

    /// Opens a lost connection again before a call needs it; a call that comes first does it itself.
    fn open_again(self: Arc<Self>, place: Arc<Place>, key: Key) -> BoxFuture<'static, ()> {
        let opening = async move {
            let mut pause = FIRST_PAUSE;
            for _ in 0..ATTEMPTS {
                // Anywhere within it, so that many gateways do not come back at once.
                tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
                if place.taken().is_some() {
                    return;
                }
                match self.fill(&place, &key).await.map_err(|error| error.fault) {
                    Err(Fault::Unreachable(_) | Fault::Silent(_) | Fault::Broken(_)) => {}
                    Err(Fault::Status { .. }) => {}
                    // It speaks otherwise now, or not to us: whoever calls next will find out.
                    Ok(_) | Err(_) => return,
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        opening.boxed()
    }

    /// Opens a connection on the runtime that owns it; `afterwards` follows its end.
    async fn open(
        self: &Arc<Self>,
        headers: &Arc<Headers>,
        attribution: Attribution,
        seat: Option<Seat>,
        afterwards: impl FnOnce(Arc<Connection>) -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Result<Started, Error> {
        let (connections, headers) = (Arc::clone(self), Arc::clone(headers));
        let start = async move {
            let this = &connections;
            let opened = tokio::select! {
                opened = opening::open(&this.server, &headers) => opened?,
                () = this.stopping.cancelled() => return Err(this.is_stopping()),
            };
            let setup = Setup {
                server: Arc::clone(&this.server),
                headers,
                attribution,
                runtime: this.runtime.clone(),
                posts: this.tasks.clone(),
                stop: this.stopping.child_token(),
            };
            let (started, life) = Connection::run(setup, opened);
            let (connection, stopping) = (Arc::clone(started.connection()), this.stopping.clone());
            let whole = async move {
                life.await;
                drop(seat);
                tokio::select! {
                    () = afterwards(connection) => {}
                    () = stopping.cancelled() => {}
                }
            };
            this.tasks.spawn_on(whole, &this.runtime);
            Ok(started)
        };
        // If the caller leaves, what arrives here is dropped, and so the connection ends.
        let arrived = self.runtime.spawn(self.tasks.track_future(start)).await;
        arrived.unwrap_or_else(|_| Err(self.is_stopping()))
    }

    /// A place for a connection of a session's or a principal's own.
    async fn seat(&self) -> Result<Seat, Error> {
        let seat = self.seats.take(|| self.seated()).await;
        seat.map_err(|NoSeat| {
            let bound = format!(
                "{} connections that serve one session or one principal each (`bounds.children`), all in use",
                self.seats.bound()
            );
            self.fails(Fault::Full(bound))
        })
    }

    /// The connections that have a place, and are past their handshake.
    fn seated(&self) -> Vec<Arc<Connection>> {
        let mut seated: Vec<_> = self.private().values().cloned().collect();
        for (key, place) in &self.locked().by_key {
            if key.pooled.is_private()
                && let Some((connection, _)) = place.taken()
            {
                seated.push(connection);
            }
        }
        seated
    }

    fn place(&self, key: &Key) -> Arc<Place> {
        let mut places = self.locked();
        places.clock += 1;
        let now = places.clock;
        if let Some(place) = places.by_key.get(key) {
            *place.used() = now;
            return Arc::clone(place);
        }
        places.by_key.retain(|_, place| !Place::is_forsaken(place));
        if places.by_key.len() >= POOLED {
            let oldest = places
                .by_key
                .iter()
                .min_by_key(|(_, place)| *place.used())
                .map(|(key, _)| key.clone());
            if let Some(place) = oldest.and_then(|oldest| places.by_key.remove(&oldest))
                && let Some((connection, _)) = place.taken()
            {
                connection.retire();
            }
        }
        let place = Arc::new(Place::default());
        *place.used() = now;
        places.by_key.insert(key.clone(), Arc::clone(&place));
        place
    }

    #[cfg(test)]
    pub(super) fn metrics(&self) -> &crate::metrics::Metrics {
        &self.server.metrics
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.locked().by_key.len()
    }

    #[cfg(test)]
    pub(super) fn seats_taken(&self) -> bool {
        self.seats.are_taken()
    }

    fn is_stopping(&self) -> Error {
        self.fails(Fault::Unreachable("the gateway is letting it go".into()))
    }

    fn private(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Connection>>> {
        self.private
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn locked(&self) -> MutexGuard<'_, Places> {
        self.pooled
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Place {
    /// Whether no connection is here, and nobody waits for one. To be asked where the table is locked.
    fn is_forsaken(place: &Arc<Self>) -> bool {
        Arc::strong_count(place) == 1 && place.taken().is_none()
    }

    /// The connection that is here, if it takes requests.
    fn taken(&self) -> Option<Agreed> {
        let current = self
            .current
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        current
            .as_ref()
            .filter(|(connection, _)| connection.is_alive())
            .cloned()
    }

    fn put(&self, agreed: Agreed) {
        let mut current = self
            .current
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        *current = Some(agreed);
    }

    fn used(&self) -> MutexGuard<'_, u64> {
        self.used.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
