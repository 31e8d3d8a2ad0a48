//! All that is kept, within its room, and what is being asked.
//!
//! Plain maps under one lock: what is kept, forgotten and being asked must agree at every moment, weights are true,
//! and time is the clock that tests stop. No cache of the crates we know gives all three.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use mcp::Message;
use parking_lot::{Mutex, MutexGuard};
use prometheus::{IntCounter, IntGauge};
use tokio::time::Instant;

use super::flight::{Flight, Lead};
use super::key::Key;
use super::weight_of;
use crate::metrics::Metrics;

/// Results of tools, for as long as the process lives.
pub struct Results {
    state: Mutex<State>,
    bytes: IntGauge,
    displaced: IntCounter,
}

/// An answer, under no id that anybody asked by.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) message: Message,
    /// Its HTTP status.
    pub(super) status: u16,
}

/// What there is for a question.
pub(super) enum Found {
    Kept(Arc<Kept>),
    /// Somebody asks it already.
    Running(Flight),
    /// Nothing: who looked asks it now.
    Nothing(Lead),
}

#[derive(Default)]
struct State {
    kept: HashMap<Key, Place>,
    /// By when they were used last …
    by_use: BTreeSet<(u64, Key)>,
    /// … and by when they end.
    by_end: BTreeSet<(Instant, Key)>,
    running: HashMap<Key, Flight>,
    bytes: usize,
    /// Orders the uses.
    clock: u64,
}

struct Place {
    kept: Arc<Kept>,
    since: Instant,
    end: Instant,
    used: u64,
    weight: usize,
}

/// Beside its text: its places in the maps and sets, the message around the text, and what allocations take.
const BESIDE: usize = size_of::<(Key, Place)>()
    + size_of::<(u64, Key)>()
    + size_of::<(Instant, Key)>()
    + size_of::<Kept>()
    + 6 * 16;

impl Results {
    /// None yet, counted here.
    pub fn new(metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            bytes: metrics.results_bytes.clone(),
            displaced: metrics.results_displaced.clone(),
        })
    }

    /// What there is for a question, if it is not older than `ttl`.
    pub(super) fn find(self: &Arc<Self>, key: Key, ttl: Duration) -> Found {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.expire(now);
        if state.kept.get(&key).is_some_and(|place| now >= place.since + ttl) {
            state.forget(key);
        }
        if let Some(kept) = state.use_again(key) {
            self.count(state);
            return Found::Kept(kept);
        }
        let found = match state.running.entry(key) {
            Entry::Occupied(running) => Found::Running(running.get().clone()),
            Entry::Vacant(place) => {
                let (flight, lead) = Flight::begin(self, key);
                place.insert(flight);
                Found::Nothing(lead)
            }
        };
        self.count(state);
        found
    }

    /// Keeps an answer for `ttl`; those unused longest make place, so that all together take `room` bytes at most.
    pub(super) fn keep(&self, key: Key, kept: Arc<Kept>, ttl: Duration, room: usize) {
        let weight = weight_of(&kept.message) + BESIDE;
        let mut state = self.state.lock();
        let now = Instant::now();
        state.expire(now);
        state.forget(key);
        while state.bytes + weight > room {
            let Some((_, oldest)) = state.by_use.first().copied() else {
                break;
            };
            state.forget(oldest);
            self.displaced.inc();
        }
        if weight <= room {
            state.clock += 1;
            let place = Place {
                kept,
                since: now,
                end: now + ttl,
                used: state.clock,
                weight,
            };
            state.put(key, place);
        }
        self.count(state);
    }

    /// Nobody asks it any more.
    pub(super) fn is_over(&self, key: Key) {
        self.state.lock().running.remove(&key);
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let state = self.state.lock();
        let held = state.kept.values().map(|place| place.weight).sum();
        assert_eq!(
            (state.bytes, state.by_use.len(), state.by_end.len()),
            (held, state.kept.len(), state.kept.len())
        );
        held
    }

    fn count(&self, state: MutexGuard<'_, State>) {
        self.bytes.set(i64::try_from(state.bytes).unwrap_or(i64::MAX));
    }
}

impl State {
    fn put(&mut self, key: Key, place: Place) {
        self.bytes += place.weight;
        self.by_use.insert((place.used, key));
        self.by_end.insert((place.end, key));
        self.kept.insert(key, place);
    }

    fn forget(&mut self, key: Key) {
        if let Some(place) = self.kept.remove(&key) {
            self.by_use.remove(&(place.used, key));
            self.by_end.remove(&(place.end, key));
            self.bytes -= place.weight;
        }
    }

    fn use_again(&mut self, key: Key) -> Option<Arc<Kept>> {
        let place = self.kept.get_mut(&key)?;
        self.by_use.remove(&(place.used, key));
        self.clock += 1;
        place.used = self.clock;
        self.by_use.insert((place.used, key));
        Some(Arc::clone(&place.kept))
    }

    fn expire(&mut self, now: Instant) {
        while let Some((_, key)) = self.by_end.first().filter(|(end, _)| *end <= now).copied() {
            self.forget(key);
        }
    }
}
