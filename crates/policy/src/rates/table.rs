//! A table of buckets, in shards that are locked one by one.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::shard::{Key, Shard};

/// Buckets of one rule, which may outlive the file that it was first read from.
#[derive(Debug)]
pub(super) struct Table {
    /// Which of all that this process has made: whoever holds shards of two tables locks the older one first.
    pub(super) id: u64,
    began: Instant,
    /// One for each half of a key. Their seeds are random, so nobody can choose keys that meet.
    seeds: [RandomState; 2],
    /// How many buckets a shard keeps.
    capacity: AtomicUsize,
    shards: Box<[Mutex<Shard>]>,
}

/// How many shards a table has.
const SHARDS: usize = 64;

/// How many slots are swept at each visit: more buckets than it can bring.
const SWEPT: usize = 4;

impl Table {
    pub(super) fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        Self {
            id: MADE.fetch_add(1, Ordering::Relaxed),
            began: Instant::now(),
            seeds: [RandomState::new(), RandomState::new()],
            capacity: AtomicUsize::new(1),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Keeps no more than so many buckets from now on.
    pub(super) fn hold(&self, capacity: usize) {
        let each = capacity.div_ceil(SHARDS).max(1);
        if self.capacity.swap(each, Ordering::Relaxed) > each {
            self.shards.iter().for_each(|shard| lock(shard).trim(each));
        }
    }

    /// How many buckets a shard keeps.
    pub(super) fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed)
    }

    /// What stands for this.
    pub(super) fn key(&self, of: impl Hash) -> Key {
        let [shard, place] = &self.seeds;
        Key {
            shard: shard.hash_one(&of),
            place: place.hash_one(&of),
        }
    }

    /// The shard of a key, tidied a little.
    pub(super) fn shard(&self, key: Key, now: u64) -> MutexGuard<'_, Shard> {
        let mut shard = self.untouched(key);
        shard.sweep(now, SWEPT);
        shard
    }

    /// Gives back the place of a call that ended.
    pub(super) fn release(&self, key: Key) {
        self.untouched(key).release(key);
    }

    /// This moment, in nanoseconds since the table was made. A moment before that is its beginning.
    pub(super) fn nanoseconds(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    /// How many buckets there are.
    pub(super) fn kept(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).kept()).sum()
    }

    fn untouched(&self, key: Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[key.shard as usize % SHARDS])
    }
}

/// Nothing that is done under this lock leaves a shard half changed.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
