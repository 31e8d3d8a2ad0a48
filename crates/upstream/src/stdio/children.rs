//! The children of one command: what starts them, how many there may be, and what ends them all.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mcp::{Id, Message};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Bounds;
use super::guard::Guard;
use super::process::Command;
use super::slot::Slot;
use super::wire::{Setup, Started, Wire};
use crate::error::{Error, Fault};
use crate::handshake;
use crate::metrics::Metrics;
use crate::pause::Pauses;
use crate::pending::Attribution;
use crate::seats::{NoSeat, Seat, Seats};
use crate::transport::{Agreement, Discovery, Pooled, Session};

/// A handshake of ours, a download by `npx` or `uvx` included.
const GREET_WITHIN: Duration = Duration::from_secs(120);

pub(super) struct Children {
    pub(super) name: Arc<str>,
    command: Command,
    guard: Arc<Guard>,
    runtime: Handle,
    bounds: Bounds,
    metrics: Arc<Metrics>,
    /// Serves every 2026-07-28 request.
    pub(super) modern: Slot,
    /// Serves legacy requests that come without a session, of clients who can be asked nothing.
    pub(super) shared: Slot,
    /// Serve the rest of them, one principal each; a process cannot be told headers, so they tell no
    /// children apart.
    pooled: Mutex<HashMap<Pooled, Arc<Slot>>>,
    /// Serve one legacy session each.
    private: Mutex<HashMap<Box<str>, Arc<Wire>>>,
    /// One for each child that serves one session or one principal, from before its start until it has ended.
    pub(super) seats: Seats,
    pub(super) pauses: Arc<Pauses>,
    stopping: CancellationToken,
    pub(super) lives: TaskTracker,
}

impl Children {
    pub(super) fn new(
        name: Arc<str>,
        command: Command,
        guard: Arc<Guard>,
        runtime: Handle,
        bounds: Bounds,
        metrics: Arc<Metrics>,
    ) -> Self {
        let displaced = metrics.displaced.with_label_values(&[&name]);
        Self {
            name,
            command,
            guard,
            runtime,
            bounds,
            metrics,
            modern: Slot::default(),
            shared: Slot::default(),
            pooled: Mutex::default(),
            private: Mutex::new(HashMap::new()),
            seats: Seats::new(bounds.children, displaced),
            pauses: Arc::new(Pauses::default()),
            stopping: CancellationToken::new(),
            lives: TaskTracker::new(),
        }
    }

    /// Starts a child that many clients share.
    pub(super) async fn start_shared(self: &Arc<Self>) -> Result<Started, Error> {
        self.start(Attribution::Unasked, None, None).await
    }

    /// Starts a child for one session.
    pub(super) async fn start_private(self: &Arc<Self>) -> Result<Started, Error> {
        self.private().retain(|_, wire| wire.is_alive());
        let seat = self.seat().await?;
        self.start(Attribution::Oldest, Some(self.bounds.idle), Some(seat))
            .await
    }

    /// The child of this session of the gateway's own, its handshake done.
    ///
    /// # Errors
    /// [`Fault::Full`] when there are as many as there may be, all of them in use.
    pub(super) async fn greeted(self: &Arc<Self>, pooled: &Pooled) -> Result<(Arc<Wire>, Agreement), Error> {
        if !pooled.is_private() {
            let wire = self.shared.get_or_start(|| self.start_shared()).await?;
            return self.agreed(wire, pooled).await;
        }
        let slot = self.slot_of(pooled);
        let outcome = match slot.get_or_start(|| self.start_pooled()).await {
            Ok(wire) => self.agreed(wire, pooled).await,
            Err(error) => Err(error),
        };
        drop(slot);
        if outcome.is_err() {
            let mut slots = self.pooled();
            if slots.get(pooled).is_some_and(is_forsaken) {
                slots.remove(pooled);
            }
        }
        outcome
    }

    /// The child, once its handshake is done.
    async fn agreed(
        self: &Arc<Self>,
        wire: Arc<Wire>,
        pooled: &Pooled,
    ) -> Result<(Arc<Wire>, Agreement), Error> {
        if let Some(agreement) = wire.agreed.get() {
            return Ok((wire.clone(), agreement.clone()));
        }
        let (children, greeted, pooled) = (Arc::clone(self), Arc::clone(&wire), pooled.clone());
        let handshake = async move {
            let greeting = || children.greet(&greeted, &pooled);
            greeted.agreed.get_or_try_init(greeting).await.cloned()
        };
        // The runtime's own, because a caller who leaves must not leave half a handshake behind:
        // the next one would begin a second on the same pipe.
        let done = self.runtime.spawn(self.lives.track_future(handshake)).await;
        let agreement = done.unwrap_or_else(|_| Err(self.is_stopping()))?;
        Ok((wire, agreement))
    }

    /// Starts a child that one principal's calls share.
    async fn start_pooled(self: &Arc<Self>) -> Result<Started, Error> {
        let seat = self.seat().await?;
        self.start(Attribution::OnlyIfAlone, Some(self.bounds.idle), Some(seat))
            .await
    }

    /// The place of a principal's own child. Those that serve nobody any more are forgotten, so that
    /// there are never more than children and callers.
    fn slot_of(&self, pooled: &Pooled) -> Arc<Slot> {
        let mut slots = self.pooled();
        if let Some(slot) = slots.get(pooled) {
            return Arc::clone(slot);
        }
        slots.retain(|_, slot| !is_forsaken(slot));
        let slot = Arc::new(Slot::default());
        slots.insert(pooled.clone(), Arc::clone(&slot));
        slot
    }

    /// A place for a child of a session's or a principal's own.
    async fn seat(&self) -> Result<Seat, Error> {
        let seat = self.seats.take(|| self.seated()).await;
        seat.map_err(|NoSeat| {
            let bound = format!(
                "{} processes that serve one session or one principal each (`bounds.children`), all in use",
                self.seats.bound()
            );
            Fault::Full(bound).of(&self.name)
        })
    }

    /// The children that have a place, and are past their handshake.
    fn seated(&self) -> Vec<Arc<Wire>> {
        let mut seated: Vec<_> = self.private().values().cloned().collect();
        let pooled = self.pooled();
        let greeted = pooled.values().filter_map(|slot| slot.taken());
        seated.extend(greeted.filter(|wire| wire.agreed.initialized()));
        seated
    }

    /// Keeps a child for the session that it agreed to, and names the session.
    pub(super) fn begin_session(&self, started: Started) -> Box<str> {
        let id: Box<str> = config::generate_key().expose().into();
        let wire = started.keep();
        wire.begin_session();
        self.private().insert(id.clone(), wire);
        id
    }

    pub(super) fn of_session(&self, session: &Session) -> Result<Arc<Wire>, Error> {
        let wire = session.id.as_ref().and_then(|id| self.private().get(id).cloned());
        wire.filter(|wire| wire.is_alive())
            .ok_or_else(|| Fault::SessionGone.of(&self.name))
    }

    pub(super) fn end_session(&self, session: &Session) {
        let ended = session.id.as_ref().and_then(|id| self.private().remove(id));
        if let Some(wire) = ended {
            wire.stop();
        }
    }

    /// Ends the children that serve nobody outside of this scope.
    pub(super) fn release(&self, scope: &[u8]) {
        let mut slots = self.pooled();
        let of_scope = slots.extract_if(|pooled, _| pooled.is_private() && *pooled.scope == *scope);
        // One that is just starting is ended for want of use.
        for wire in of_scope.filter_map(|(_, slot)| slot.taken()) {
            wire.stop();
        }
    }

    /// Ends all children, those included that are just starting; there are no others after that.
    pub(super) async fn stop(&self) {
        self.stopping.cancel();
        self.lives.close();
        self.lives.wait().await;
        self.private().clear();
        self.pooled().clear();
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.pooled().len()
    }

    /// What its children said to nobody.
    #[cfg(test)]
    pub(super) fn dropped(&self) -> prometheus::IntCounter {
        self.metrics.dropped.with_label_values(&[&self.name])
    }

    /// Starts a child on the runtime that owns it.
    async fn start(
        self: &Arc<Self>,
        attribution: Attribution,
        idle: Option<Duration>,
        seat: Option<Seat>,
    ) -> Result<Started, Error> {
        self.pauses.wait(&self.name).await?;
        let children = Arc::clone(self);
        let start = async move {
            // Asked here, where `stop` waits for us: no child slips in behind it.
            if children.stopping.is_cancelled() {
                return Err(children.is_stopping());
            }
            let process = children
                .command
                .start(&children.guard)
                .map_err(|error| children.not_started(&error))?;
            let (started, life) = Wire::run(children.setup(attribution, idle), process);
            children.lives.spawn(async move {
                life.await;
                drop(seat);
            });
            Ok(started)
        };
        // If the caller leaves, what arrives here is dropped, and so the child ends.
        let arrived = self.runtime.spawn(self.lives.track_future(start)).await;
        arrived.unwrap_or_else(|_| Err(self.is_stopping()))
    }

    fn setup(&self, attribution: Attribution, idle: Option<Duration>) -> Setup {
        let variables = &self.command.environment;
        Setup {
            upstream: Arc::clone(&self.name),
            attribution,
            idle,
            line: self.bounds.line,
            limits: self.bounds.limits,
            metrics: Arc::clone(&self.metrics),
            secrets: variables.iter().map(|(_, value)| value.clone()).collect(),
            stop: self.stopping.child_token(),
            pauses: Arc::clone(&self.pauses),
        }
    }

    /// The gateway's own handshake.
    async fn greet(&self, wire: &Wire, pooled: &Pooled) -> Result<Agreement, Error> {
        let greeting = async {
            let question = handshake::initialize_request(&Id::number(0), pooled);
            let answer = wire.answer_to(&question).await?;
            let revision = handshake::agreement(&self.name, &answer).inspect_err(|_| wire.stop())?;
            wire.put(&handshake::initialized_notification()).await?;
            Ok(Agreement::on_wire(revision, answer))
        };
        match tokio::time::timeout(GREET_WITHIN, greeting).await {
            Ok(outcome) => outcome,
            Err(_) => {
                wire.stop();
                Err(Fault::Silent(GREET_WITHIN).of(&self.name))
            }
        }
    }

    /// Greets a child that has not answered `server/discover` yet: it may hang on what it does not know,
    /// or only be slow to start, as with a first `npx`. A server of both eras settles on that of the first
    /// question it reads, so if that is answered after all, the answer counts, and is returned.
    pub(super) async fn greet_beside(
        &self,
        wire: &Wire,
        mut asked: Pin<&mut impl Future<Output = Result<Message, Error>>>,
    ) -> Option<Message> {
        let nobody = Pooled::default();
        let mut greeting = std::pin::pin!(wire.agreed.get_or_try_init(|| self.greet(wire, &nobody)));
        tokio::select! {
            biased;
            Ok(answer) = asked.as_mut() => {
                if let Ok(Discovery::Modern { .. }) = handshake::judge_discovery(&self.name, &answer) {
                    return Some(answer);
                }
                // A second greeting on the same pipe would be refused, so this one is brought to its end.
                let _ = greeting.as_mut().await;
                None
            }
            _ = greeting.as_mut() => None,
        }
    }

    fn is_stopping(&self) -> Error {
        Fault::NotStarted("the gateway is stopping it".into()).of(&self.name)
    }

    fn not_started(&self, error: &std::io::Error) -> Error {
        let program = self.command.program.display();
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => match &self.command.directory {
                Some(directory) if !directory.is_dir() => {
                    format!("its directory `{}` does not exist", directory.display())
                }
                _ => format!("there is no command `{program}` here; install it or give its full path"),
            },
            std::io::ErrorKind::PermissionDenied => format!("`{program}` may not be executed"),
            _ => error.to_string(),
        };
        Fault::NotStarted(why).of(&self.name)
    }

    fn pooled(&self) -> MutexGuard<'_, HashMap<Pooled, Arc<Slot>>> {
        self.pooled
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn private(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Wire>>> {
        self.private
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Whether no child is in the place, and nobody waits for one. To be asked where the table is locked.
fn is_forsaken(slot: &Arc<Slot>) -> bool {
    Arc::strong_count(slot) == 1 && !slot.is_taken()
}
