//! What is known of tokens that were seen before, so that a token costs its signature once and not at every call.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// As many tokens are remembered; the one that was learned first gives way.
const MOST: usize = 10_000;
/// And as many bytes of them and of what is said of them, as text: what is made of it takes more, and each token may
/// be 16 KiB long.
const MOST_BYTES: usize = 16 << 20;
/// A token is verified anew after this, so that a key counts no longer once its issuer has taken it back.
pub(super) const LONGEST: Duration = Duration::from_secs(5 * 60);

/// What stands for a token: a token itself is never kept.
pub(super) type Digest = [u8; 32];

/// What was found of the tokens that were seen last.
#[derive(Debug)]
pub(super) struct Verified<V>(Mutex<Known<V>>);

#[derive(Debug)]
struct Known<V> {
    of: HashMap<Digest, Entry<V>>,
    /// The same tokens, those that were learned first in front.
    order: VecDeque<Digest>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    found: V,
    bytes: usize,
    since: SystemTime,
    until: SystemTime,
}

impl<V: Clone> Verified<V> {
    /// What is still known of a token. A clock that was set back knows nothing of what it was told later.
    pub(super) fn get(&self, token: &Digest, now: SystemTime) -> Option<V> {
        let known = self.0.lock();
        let entry = known.of.get(token)?;
        (entry.since <= now && now < entry.until).then(|| entry.found.clone())
    }

    /// Remembers it from now to then. `bytes` is how long that is, as text, which it was found of.
    pub(super) fn put(&self, token: Digest, found: V, bytes: usize, now: SystemTime, until: SystemTime) {
        if until <= now {
            return;
        }
        let entry = Entry {
            found,
            bytes,
            since: now,
            until,
        };
        let known = &mut *self.0.lock();
        known.bytes += bytes;
        // One that is verified anew keeps its place: what gives way is found without a search.
        match known.of.insert(token, entry) {
            Some(before) => known.bytes -= before.bytes,
            None => known.order.push_back(token),
        }
        while known.order.len() > MOST || known.bytes > MOST_BYTES {
            let oldest = known.order.pop_front();
            let Some(oldest) = oldest.and_then(|oldest| known.of.remove(&oldest)) else {
                return;
            };
            known.bytes -= oldest.bytes;
        }
    }
}

impl<V> Default for Verified<V> {
    fn default() -> Self {
        Self(Mutex::new(Known {
            of: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }))
    }
}

/// The digest of a token and of all else that what is found depends on.
pub(super) fn digest<'p>(token: &'p str, parts: impl IntoIterator<Item = &'p str>) -> Digest {
    let mut digest = Sha256::new();
    // Their lengths keep what ends one from beginning the other.
    for part in std::iter::once(token).chain(parts) {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_was_found_is_known_for_its_time_alone() {
        let verified = Verified::default();
        verified.put([1; 32], "ann", 1, at(10), at(20));
        for (second, known) in [(9, None), (10, Some("ann")), (19, Some("ann")), (20, None)] {
            assert_eq!(verified.get(&[1; 32], at(second)), known, "{second}");
        }
        verified.put([1; 32], "bob", 1, at(20), at(30));
        assert_eq!(verified.get(&[1; 32], at(20)), Some("bob"));
        assert_eq!(verified.get(&[2; 32], at(20)), None);
        verified.put([2; 32], "eve", 1, at(20), at(20));
        assert_eq!(verified.get(&[2; 32], at(20)), None);
    }

    #[test]
    fn the_oldest_give_way() {
        let verified = Verified::default();
        let token = |number: usize| digest("t", [&*number.to_string()]);
        for number in 0..MOST + 10 {
            verified.put(token(number), number, 1, at(1), at(2));
            verified.put(token(number), number, 1, at(1), at(2));
        }
        assert_eq!(verified.0.lock().of.len(), MOST);
        assert_eq!(verified.0.lock().order.len(), MOST);
        assert_eq!(verified.get(&token(9), at(1)), None);
        assert_eq!(verified.get(&token(10), at(1)), Some(10));
        assert_eq!(verified.get(&token(MOST + 9), at(1)), Some(MOST + 9));
        assert_eq!(verified.0.lock().bytes, MOST);

        // Long ones take the place of several, and one that fits in no place takes none.
        verified.put(token(0), 0, MOST_BYTES - 3, at(1), at(2));
        assert_eq!(verified.0.lock().bytes, MOST_BYTES);
        assert_eq!(verified.get(&token(MOST + 7), at(1)), Some(MOST + 7));
        assert_eq!(verified.get(&token(MOST + 6), at(1)), None);
        verified.put(token(1), 1, MOST_BYTES + 1, at(1), at(2));
        let known = verified.0.lock();
        assert_eq!((known.bytes, known.of.len(), known.order.len()), (0, 0, 0));
    }

    #[test]
    fn a_token_for_another_audience_is_another() {
        assert_ne!(digest("t", ["ab", "c"]), digest("t", ["a", "bc"]));
        assert_ne!(digest("t", ["a"]), digest("t", ["a", ""]));
        assert_ne!(digest("t", []), digest("", ["t"]).map(|byte| byte ^ 1));
    }
}
