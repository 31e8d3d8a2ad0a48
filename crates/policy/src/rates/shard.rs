//! One part of a table of buckets: open addressing, swept and displaced in small steps.
//!
//! A bucket that is full and serves no call is as good as none: [`Shard::sweep`] takes such away, a few places at a
//! time. When there is no room all the same, a new key takes the place of the bucket that is closest to full among the
//! next few, never of one that serves a call. What was displaced is not forgiven: **every new key begins as empty as
//! the emptiest that was ever displaced here**, until time has filled that one. So nobody gains by driving a bucket out,
//! neither its owner nor another, and a key always lands in the same shard. Whoever holds a million keys and empties all
//! of them makes newcomers wait; it never lets anybody through.

use super::pace::Moment;

/// A key's digest, random to everybody outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Key {
    /// The half that says which shard.
    pub(super) shard: u64,
    /// The half that says where in it.
    pub(super) place: u64,
}

/// What is known of one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    /// When its calls are full again.
    pub(super) calls: Moment,
    /// When its bytes are.
    pub(super) bytes: Moment,
    /// How many calls it serves at this time.
    pub(super) places: u32,
}

/// Buckets by their keys.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// As many as a power of two, or none. At least a quarter of them are free.
    slots: Vec<Slot>,
    kept: usize,
    /// How many of them serve calls.
    serving: usize,
    /// Where to sweep next.
    hand: usize,
    /// How new keys begin.
    beginning: Bucket,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: Key,
    bucket: Bucket,
    is_used: bool,
}

/// How few slots there are, if any.
const FEWEST: usize = 8;

/// How many slots are looked at for the bucket that is closest to full.
const SAMPLE: usize = 32;

impl Shard {
    /// The bucket of this key; without one, that which a new key has.
    pub(super) fn bucket(&self, key: Key) -> Bucket {
        self.find(key)
            .map_or(self.beginning, |slot| self.slots[slot].bucket)
    }

    /// Whether this key has a bucket, or may get one among so many.
    pub(super) fn has_room(&self, key: Key, capacity: usize) -> bool {
        self.kept < capacity || self.serving < self.kept || self.find(key).is_some()
    }

    /// Keeps a bucket. Beyond its capacity another one goes, if there is one that serves no call.
    pub(super) fn put(&mut self, key: Key, bucket: Bucket, capacity: usize) {
        if let Some(slot) = self.find(key) {
            let before = &mut self.slots[slot].bucket;
            self.serving -= usize::from(before.places > 0);
            self.serving += usize::from(bucket.places > 0);
            *before = bucket;
            return;
        }
        if self.kept >= capacity {
            self.displace();
        }
        if (self.kept + 1) * 4 > self.slots.len() * 3 {
            self.resize((self.slots.len() * 2).max(FEWEST));
        }
        self.insert(Slot {
            key,
            bucket,
            is_used: true,
        });
        self.kept += 1;
        self.serving += usize::from(bucket.places > 0);
    }

    /// Gives back the place of a call that ended.
    pub(super) fn release(&mut self, key: Key) {
        let Some(slot) = self.find(key) else { return };
        let bucket = &mut self.slots[slot].bucket;
        bucket.places = bucket.places.saturating_sub(1);
        if bucket.places > 0 {
            return;
        }
        self.serving -= 1;
        // Where only places are counted, it has been full all the time.
        if bucket.is_idle(0) {
            self.remove(slot);
        }
    }

    /// Takes away what is full and serves no call, in the next few slots.
    pub(super) fn sweep(&mut self, now: u64, steps: usize) {
        for _ in 0..steps.min(self.slots.len()) {
            let slot = self.hand & (self.slots.len() - 1);
            if self.slots[slot].is_used && self.slots[slot].bucket.is_idle(now) {
                // Another one may have moved here: the hand stays.
                self.remove(slot);
            } else {
                self.hand = slot + 1;
            }
        }
        if self.slots.len() > FEWEST && self.kept * 8 < self.slots.len() {
            self.resize(self.slots.len() / 2);
        }
    }

    /// Makes room until there are no more than so many, or all serve calls.
    pub(super) fn trim(&mut self, capacity: usize) {
        while self.kept > capacity && self.displace() {}
    }

    /// How many there are.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// Drives out the bucket that is closest to full among the next few, unless all serve calls.
    fn displace(&mut self) -> bool {
        if self.serving == self.kept {
            return false;
        }
        let mask = self.slots.len() - 1;
        loop {
            let window = (self.hand..self.hand + SAMPLE.min(self.slots.len())).map(|slot| slot & mask);
            let candidates = window.filter(|slot| {
                let Slot { bucket, is_used, .. } = &self.slots[*slot];
                *is_used && bucket.places == 0
            });
            let closest = candidates.min_by_key(|slot| self.slots[*slot].bucket.full());
            self.hand = (self.hand + SAMPLE) & mask;
            if let Some(slot) = closest {
                let Bucket { calls, bytes, .. } = self.slots[slot].bucket;
                self.beginning.calls = self.beginning.calls.max(calls);
                self.beginning.bytes = self.beginning.bytes.max(bytes);
                self.remove(slot);
                return true;
            }
        }
    }

    fn find(&self, key: Key) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut slot = key.place as usize & mask;
        while self.slots[slot].is_used {
            if self.slots[slot].key == key {
                return Some(slot);
            }
            slot = (slot + 1) & mask;
        }
        None
    }

    fn insert(&mut self, new: Slot) {
        let mask = self.slots.len() - 1;
        let mut slot = new.key.place as usize & mask;
        while self.slots[slot].is_used {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = new;
    }

    /// Frees a slot, and moves up those behind it that would not be found across the gap.
    fn remove(&mut self, slot: usize) {
        let mask = self.slots.len() - 1;
        let (mut gap, mut next) = (slot, (slot + 1) & mask);
        while self.slots[next].is_used {
            let home = self.slots[next].key.place as usize & mask;
            let (from_home, from_gap) = (next.wrapping_sub(home) & mask, next.wrapping_sub(gap) & mask);
            if from_home >= from_gap {
                self.slots[gap] = self.slots[next];
                gap = next;
            }
            next = (next + 1) & mask;
        }
        self.slots[gap] = Slot::default();
        self.kept -= 1;
    }

    fn resize(&mut self, slots: usize) {
        let before = std::mem::replace(&mut self.slots, vec![Slot::default(); slots]);
        self.hand = 0;
        for slot in before.into_iter().filter(|slot| slot.is_used) {
            self.insert(slot);
        }
    }
}

impl Bucket {
    fn is_idle(&self, now: u64) -> bool {
        self.places == 0 && self.calls.is_past(now) && self.bytes.is_past(now)
    }

    /// When all of it is full again.
    fn full(&self) -> Moment {
        self.calls.max(self.bytes)
    }
}

#[cfg(test)]
mod tests;
