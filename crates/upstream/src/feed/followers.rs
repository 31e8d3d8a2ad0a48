//! Those who follow one feed: what each wants, what of it is honoured, and what waits for it to be read.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use mcp::Message;
use tokio::sync::{Notify, oneshot};

use super::change::Change;
use super::interest::Interest;
use super::queue::Queue;
use super::tally::Tally;
use crate::error::{Error, Fault};

/// Followers of one feed.
const FOLLOWERS: usize = 1024;

/// Everybody who follows one feed.
pub(super) struct Followers {
    upstream: Arc<str>,
    state: Mutex<State>,
    /// Told when somebody came, left or wants something else. The feed alone waits for it.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct State {
    by_number: HashMap<u64, Follower>,
    last: u64,
    tally: Tally,
    /// Grows with each change of what is wanted.
    version: u64,
    /// What the server has answered, one way or the other, over what is open now.
    asked: Interest,
    /// What of it the server tells.
    confirmed: Interest,
    ended: Option<Fault>,
}

struct Follower {
    wanted: Arc<Interest>,
    honoured: Arc<Interest>,
    /// Absent once it is settled what is honoured.
    asking: Option<Asking>,
    queue: Queue,
    told: Arc<Notify>,
}

/// Somebody waits to hear what is honoured.
struct Asking {
    /// Of what is wanted, when this was.
    version: u64,
    settled: oneshot::Sender<Result<(), Error>>,
}

/// Whether somebody waits is answered here.
pub(super) type Settled = oneshot::Receiver<Result<(), Error>>;

/// What all followers want.
pub(super) struct Wanted {
    pub(super) interest: Interest,
    pub(super) version: u64,
    /// What those want who wait to hear what of it is honoured; `None` when nobody does.
    pub(super) awaited: Option<Interest>,
    /// Whether anybody is told anything.
    pub(super) honoured: bool,
}

impl Followers {
    pub(super) fn new(upstream: Arc<str>) -> Self {
        Self {
            upstream,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// One more follows: its number, and what tells it that there is something to read. `None` when the
    /// feed has ended.
    ///
    /// # Errors
    /// [`Fault::Full`] at a bound.
    pub(super) fn join(&self) -> Result<Option<(u64, Arc<Notify>)>, Error> {
        let mut state = self.locked();
        if state.ended.is_some() {
            return Ok(None);
        }
        if state.by_number.len() >= FOLLOWERS {
            let bound = format!("{FOLLOWERS} clients that follow its changes with the same credentials");
            return Err(Fault::Full(bound).of(&self.upstream));
        }
        state.last += 1;
        let (number, told) = (state.last, Arc::new(Notify::new()));
        let follower = Follower {
            wanted: Arc::default(),
            honoured: Arc::default(),
            asking: None,
            queue: Queue::default(),
            told: Arc::clone(&told),
        };
        state.by_number.insert(number, follower);
        Ok(Some((number, told)))
    }

    /// A follower wants this from now on, and waits to hear what of it is honoured. What was honoured until
    /// now is so until then.
    ///
    /// # Errors
    /// [`Fault::Full`] at a bound; then it wants what it wanted before.
    pub(super) fn want(&self, number: u64, wanted: &Arc<Interest>) -> Result<Settled, Error> {
        let (settled, waits) = oneshot::channel();
        let mut state = self.locked();
        let state = &mut *state;
        let Some(follower) = state.by_number.get_mut(&number) else {
            return Ok(waits);
        };
        if let Some(fault) = &state.ended {
            return Err(fault.clone().of(&self.upstream));
        }
        state.tally.remove(&follower.wanted);
        if let Err(bound) = state.tally.add(wanted) {
            // It was within the bounds before, and nothing else has changed.
            let _ = state.tally.add(&follower.wanted);
            return Err(Fault::Full(bound).of(&self.upstream));
        }
        state.version += 1;
        follower.wanted = Arc::clone(wanted);
        follower.asking = Some(Asking {
            version: state.version,
            settled,
        });
        if wanted.is_within(&state.confirmed) {
            follower.settle(&state.confirmed);
        }
        self.changed.notify_one();
        Ok(waits)
    }

    /// A follower that was told of a failure goes on with what it wanted before.
    pub(super) fn want_again(&self, number: u64, wanted: &Arc<Interest>) {
        let mut state = self.locked();
        let state = &mut *state;
        if let Some(follower) = state.by_number.get_mut(&number) {
            state.tally.remove(&follower.wanted);
            let _ = state.tally.add(wanted);
            state.version += 1;
            follower.wanted = Arc::clone(wanted);
            self.changed.notify_one();
        }
    }

    /// What is honoured for a follower: settled now if it was not yet.
    pub(super) fn honoured(&self, number: u64) -> Arc<Interest> {
        let mut state = self.locked();
        let state = &mut *state;
        let Some(follower) = state.by_number.get_mut(&number) else {
            return Arc::default();
        };
        if follower.asking.is_some() {
            follower.settle(&state.confirmed);
        }
        Arc::clone(&follower.honoured)
    }

    /// The next change for a follower.
    ///
    /// # Errors
    /// What ended the feed.
    pub(super) fn pop(&self, number: u64) -> Result<Option<Message>, Error> {
        let mut state = self.locked();
        if let Some(follower) = state.by_number.get_mut(&number)
            && let Some(message) = follower.queue.pop(&follower.honoured)
        {
            return Ok(Some(message));
        }
        match &state.ended {
            Some(fault) => Err(fault.clone().of(&self.upstream)),
            None => Ok(None),
        }
    }

    /// A follower is no more.
    pub(super) fn leave(&self, number: u64) {
        let mut state = self.locked();
        if let Some(follower) = state.by_number.remove(&number) {
            state.tally.remove(&follower.wanted);
            state.version += 1;
            self.changed.notify_one();
        }
    }

    /// What all of them want; `None` when there is nobody.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        let state = self.locked();
        let all = || state.by_number.values();
        all().next()?;
        let waiting = all().filter(|follower| follower.asking.is_some());
        let awaited = waiting.fold(None::<Interest>, |all, follower| {
            Some(all.unwrap_or_default().union(&follower.wanted))
        });
        Some(Wanted {
            interest: state.tally.union(),
            version: state.version,
            awaited,
            honoured: all().any(|follower| !follower.honoured.is_empty()),
        })
    }

    /// What the server has answered, one way or the other.
    pub(super) fn asked(&self) -> Interest {
        self.locked().asked.clone()
    }

    /// What of this the server is to be asked for: what it was not, and the resources that somebody waits
    /// for who may have more luck than who asked before. Lists it has or has not.
    pub(super) fn unanswered(&self, wanted: &Wanted) -> Interest {
        let state = self.locked();
        let mut unanswered = wanted.interest.without(&state.asked);
        if let Some(awaited) = &wanted.awaited {
            let awaited = awaited.uris.difference(&state.confirmed.uris);
            unanswered.uris.extend(awaited.cloned());
        }
        unanswered
    }

    /// The server was asked for this, and told which of it it will tell. It replaces what was so before.
    pub(super) fn opened(&self, asked: Interest, confirmed: Interest) {
        let mut state = self.locked();
        state.asked = asked;
        state.confirmed = confirmed;
    }

    /// The server was asked for this besides, and will not tell it.
    pub(super) fn denied(&self, asked: &Interest) {
        let mut state = self.locked();
        state.asked = state.asked.union(asked);
    }

    /// The server was asked to tell changes of one more resource.
    pub(super) fn answered(&self, uri: Box<str>, confirmed: bool) {
        let mut state = self.locked();
        if confirmed {
            state.confirmed.uris.insert(uri.clone());
        }
        state.asked.uris.insert(uri);
    }

    /// The server will no longer tell of these resources.
    pub(super) fn retracted(&self, uris: &BTreeSet<Box<str>>) {
        let mut state = self.locked();
        for uri in uris {
            state.asked.uris.remove(uri);
            state.confirmed.uris.remove(uri);
        }
    }

    /// What was asked for until this version is honoured as far as it is confirmed.
    pub(super) fn settle(&self, version: u64) {
        let mut state = self.locked();
        let state = &mut *state;
        for follower in state.by_number.values_mut() {
            if follower.waits_since(version) {
                follower.settle(&state.confirmed);
            }
        }
    }

    /// Who waits since this version hears why nothing came of it.
    pub(super) fn refuse(&self, version: u64, error: &Error) {
        let mut state = self.locked();
        for follower in state.by_number.values_mut() {
            if follower.waits_since(version)
                && let Some(asking) = follower.asking.take()
            {
                // One who has left hears nothing.
                let _ = asking.settled.send(Err(error.clone()));
            }
        }
    }

    /// Hands a change to all who are to hear of it.
    pub(super) fn tell(&self, change: &Change) {
        let mut state = self.locked();
        for follower in state.by_number.values_mut() {
            if follower.queue.push(change, &follower.honoured) {
                follower.told.notify_one();
            }
        }
    }

    /// Tells each that all it follows has changed: it may have.
    pub(super) fn tell_all(&self) {
        let mut state = self.locked();
        for follower in state.by_number.values_mut() {
            for change in Change::of_all(&follower.honoured) {
                follower.queue.push(&change, &follower.honoured);
            }
            follower.told.notify_one();
        }
    }

    /// The feed ends if nobody follows it any more. Tells whether it does; nobody can join it then.
    pub(super) fn end_if_left(&self) -> bool {
        let mut state = self.locked();
        if state.by_number.is_empty() {
            state.ended = Some(Fault::Removed);
        }
        state.ended.is_some()
    }

    /// The feed ends, and all who follow it hear why.
    pub(super) fn end(&self, fault: &Fault) {
        let mut state = self.locked();
        state.ended = Some(fault.clone());
        for follower in state.by_number.values_mut() {
            if let Some(asking) = follower.asking.take() {
                let _ = asking.settled.send(Err(fault.clone().of(&self.upstream)));
            }
            follower.told.notify_one();
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Follower {
    fn waits_since(&self, version: u64) -> bool {
        self.asking
            .as_ref()
            .is_some_and(|asking| asking.version <= version)
    }

    fn settle(&mut self, confirmed: &Interest) {
        self.honour(self.wanted.intersection(confirmed));
        if let Some(asking) = self.asking.take() {
            let _ = asking.settled.send(Ok(()));
        }
    }

    fn honour(&mut self, honoured: Interest) {
        self.queue.restrict(&honoured);
        // Most are honoured whole: then it is kept once.
        self.honoured = if honoured == *self.wanted {
            Arc::clone(&self.wanted)
        } else {
            Arc::new(honoured)
        };
    }
}
