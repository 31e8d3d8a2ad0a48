//! Tokens that were made lately, by the digest of what they say.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Tokens, and their bytes together. The oldest go first: they are the first to be of no use.
const MOST: usize = 10_000;
const BYTES: usize = 16 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Lately {
    by_digest: HashMap<[u8; 32], (u64, Minted)>,
    /// In the order in which they were made, with the numbers of those that were replaced.
    order: VecDeque<(u64, [u8; 32])>,
    bytes: usize,
    made: u64,
}

/// A token, and between what times it holds, in seconds since 1970.
#[derive(Clone)]
pub(super) struct Minted {
    pub(super) token: Arc<str>,
    pub(super) at: u64,
    pub(super) until: u64,
}

impl Lately {
    pub(super) fn get(&self, digest: &[u8; 32]) -> Option<Minted> {
        self.by_digest.get(digest).map(|(_, minted)| minted.clone())
    }

    pub(super) fn keep(&mut self, digest: [u8; 32], minted: Minted) {
        self.made += 1;
        self.bytes += minted.token.len();
        self.order.push_back((self.made, digest));
        let before = self.by_digest.insert(digest, (self.made, minted));
        self.bytes -= before.map_or(0, |(_, minted)| minted.token.len());
        while self.order.len() > MOST || self.bytes > BYTES {
            let Some((number, digest)) = self.order.pop_front() else {
                return;
            };
            // What was replaced has gone already.
            if self
                .by_digest
                .get(&digest)
                .is_some_and(|(kept, _)| *kept == number)
                && let Some((_, minted)) = self.by_digest.remove(&digest)
            {
                self.bytes -= minted.token.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minted(length: usize) -> Minted {
        Minted {
            token: "x".repeat(length).into(),
            at: 0,
            until: 300,
        }
    }

    fn digest(number: usize) -> [u8; 32] {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        digest
    }

    #[test]
    fn the_oldest_go_first() {
        let mut lately = Lately::default();
        for number in 0..MOST + 10 {
            lately.keep(digest(number), minted(10));
        }
        assert_eq!((lately.by_digest.len(), lately.bytes), (MOST, MOST * 10));
        assert!(lately.get(&digest(9)).is_none());
        assert!(lately.get(&digest(10)).is_some());
    }

    #[test]
    fn one_that_is_replaced_counts_once_and_stays() {
        let mut lately = Lately::default();
        for length in 0..3 * MOST {
            lately.keep(digest(1), minted(length % 7));
        }
        lately.keep(digest(1), minted(5));
        assert_eq!((lately.by_digest.len(), lately.bytes), (1, 5));
        assert!(lately.order.len() <= MOST);
    }

    #[test]
    fn their_bytes_are_bounded() {
        let mut lately = Lately::default();
        for number in 0..100 {
            lately.keep(digest(number), minted(1024 * 1024));
        }
        assert_eq!((lately.by_digest.len(), lately.bytes), (16, BYTES));
        lately.keep(digest(100), minted(BYTES + 1));
        assert_eq!((lately.by_digest.len(), lately.bytes), (0, 0));
    }
}
