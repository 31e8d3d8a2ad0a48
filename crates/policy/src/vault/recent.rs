//! What was read of the vault lately, as long as its files are the same.

use std::collections::HashMap;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Owner, Values};

/// Principals that are remembered, and bytes of what is. Those unused longest go first.
const MOST: usize = 4096;
const BYTES: usize = 16 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Recent(Mutex<Entries>);

/// Which file it was. One that is replaced has another number or another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    number: u64,
    length: u64,
    seconds: i64,
    nanoseconds: i64,
}

#[derive(Default)]
struct Entries {
    by_owner: HashMap<Owner, Entry>,
    bytes: usize,
    uses: u64,
}

struct Entry {
    stamp: Stamp,
    values: Arc<Values>,
    bytes: usize,
    used: u64,
}

impl Recent {
    /// What was read, if it was of this file.
    pub(super) fn get(&self, owner: &Owner, stamp: &Stamp) -> Option<Arc<Values>> {
        let mut entries = self.entries();
        entries.uses += 1;
        let used = entries.uses;
        let entry = entries.by_owner.get_mut(owner)?;
        entry.used = used;
        (entry.stamp == *stamp).then(|| Arc::clone(&entry.values))
    }

    pub(super) fn keep(&self, owner: Owner, stamp: Stamp, values: &Arc<Values>) {
        let lengths = values
            .iter()
            .map(|(name, value)| name.len() + value.expose().len());
        let bytes = lengths.sum();
        let mut entries = self.entries();
        entries.forget(&owner);
        while entries.by_owner.len() >= MOST || entries.bytes + bytes > BYTES {
            let oldest = entries.by_owner.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(owner, _)| *owner) else {
                break;
            };
            entries.forget(&oldest);
        }
        entries.uses += 1;
        entries.bytes += bytes;
        let entry = Entry {
            stamp,
            values: Arc::clone(values),
            bytes,
            used: entries.uses,
        };
        entries.by_owner.insert(owner, entry);
    }

    pub(super) fn forget(&self, owner: &Owner) {
        self.entries().forget(owner);
    }

    pub(super) fn clear(&self) {
        *self.entries() = Entries::default();
    }

    /// How many principals are remembered, and how many bytes.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        let entries = self.entries();
        (entries.by_owner.len(), entries.bytes)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn forget(&mut self, owner: &Owner) {
        if let Some(entry) = self.by_owner.remove(owner) {
            self.bytes -= entry.bytes;
        }
    }
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            number: metadata.ino(),
            length: metadata.size(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        }
    }
}

/// Nothing of what is remembered.
impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recent(…)")
    }
}
