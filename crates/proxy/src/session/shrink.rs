//! Tables that follow what is there now, not the most that ever was: the room that thousands of sessions took is
//! given back when they have gone.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// Places that are kept at hand, however few are taken.
const KEPT: usize = 256;

/// Gives back most of the room of a table of which less than an eighth is taken. Called where something is removed; it
/// moves what is left, which the removals since the last time have paid for.
pub(super) fn shrink<K: Eq + Hash, V, S: BuildHasher>(table: &mut HashMap<K, V, S>) {
    if table.capacity() > KEPT && table.len() < table.capacity() / 8 {
        table.shrink_to(table.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shrinks_with_what_is_in_it_and_not_before() {
        let mut table: HashMap<u32, ()> = (0..10_000).map(|key| (key, ())).collect();
        let full = table.capacity();
        for key in 0..8_000 {
            table.remove(&key);
            shrink(&mut table);
        }
        assert!(table.capacity() > full / 2, "{} of {full}", table.capacity());

        for key in 8_000..9_999 {
            table.remove(&key);
            shrink(&mut table);
        }

        assert!(table.capacity() <= KEPT, "{}", table.capacity());
        assert!(table.contains_key(&9_999));
    }
}
