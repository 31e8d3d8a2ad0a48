//! The cursor of a list of many servers: after which item the next page begins, sealed.
//!
//! It says what was last told and not how much was told, so that any replica goes on from it, and a list that changed
//! meanwhile neither repeats nor drops what did not (`protocol.md` §3.7). When the last item is gone the one before it
//! says so too, and some before that; when all of these are gone nobody can tell, and the cursor is refused.

use config::{KeyRing, Purpose};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use upstream::Listing;

const PREFIX: &str = "c1.";

/// The longest that is taken for one of ours, in bytes.
const LONGEST: usize = 512;

/// Items that a cursor remembers.
pub(crate) const REMEMBERED: usize = 8;

/// Seconds that a cursor lives: nobody pages for a day.
pub(crate) const LIVES: u64 = 24 * 3600;

/// What a cursor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Seconds since 1970.
    pub(crate) expires: u64,
    /// The alias of the server whose item came last.
    pub(crate) alias: String,
    /// Of what that server calls the items that were told last, the very last one first: names have no bound that a
    /// cursor has. No more than [`REMEMBERED`].
    pub(crate) told: Vec<Digest>,
    /// Whether these are all that were told of that server.
    pub(crate) is_all: bool,
    /// The place of the last one in that server's list, where it is looked for first.
    pub(crate) place: u32,
}

/// What a cursor says of an item's name.
pub(crate) type Digest = [u8; 12];

pub(crate) fn digest(key: &str) -> Digest {
    let whole: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    std::array::from_fn(|byte| whole[byte])
}

/// The text of a cursor for the client that it is `bound` to.
pub(crate) fn seal(keys: &KeyRing, bound: &[u8], listing: Listing, cursor: &Cursor) -> String {
    // Writing to a vector cannot fail.
    let plain = postcard::to_stdvec(cursor).unwrap_or_default();
    let sealed = keys.seal(Purpose::Cursor, &binding(bound, listing), &plain);
    format!("{PREFIX}{}.{}", sealed.kid, sealed.body)
}

/// What a text says; none when it is not ours, of another list or another client, or has expired.
pub(crate) fn open(keys: &KeyRing, bound: &[u8], listing: Listing, text: &str, now: u64) -> Option<Cursor> {
    if text.len() > LONGEST {
        return None;
    }
    let (key, body) = text.strip_prefix(PREFIX)?.split_once('.')?;
    let plain = keys.open(Purpose::Cursor, key, &binding(bound, listing), body)?;
    let cursor: Cursor = postcard::from_bytes(&plain).ok()?;
    (cursor.expires > now).then_some(cursor)
}

fn binding(bound: &[u8], listing: Listing) -> Vec<u8> {
    let mut binding = listing.member().as_bytes().to_vec();
    binding.push(0);
    binding.extend_from_slice(bound);
    binding
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Secret;

    fn keys() -> KeyRing {
        KeyRing::new(&Secret::from("0123456789abcdef0123456789abcdef"), None).unwrap()
    }

    fn cursor() -> Cursor {
        Cursor {
            expires: 100,
            alias: "sixteen-letters-".into(),
            told: vec![digest("find"); REMEMBERED],
            is_all: false,
            place: u32::MAX,
        }
    }

    #[test]
    fn a_cursor_is_read_back_by_whoever_has_the_key() {
        let text = seal(&keys(), b"here", Listing::Tools, &cursor());
        assert!(text.len() <= LONGEST, "{}", text.len());
        assert_eq!(open(&keys(), b"here", Listing::Tools, &text, 99), Some(cursor()));
    }

    #[test]
    fn one_of_another_list_place_time_or_hand_says_nothing() {
        let text = seal(&keys(), b"here", Listing::Tools, &cursor());
        let mut forged = text.clone();
        forged.pop();
        for (bound, listing, text, now) in [
            (&b"there"[..], Listing::Tools, &text, 99),
            (b"here", Listing::Prompts, &text, 99),
            (b"here", Listing::Tools, &text, 100),
            (b"here", Listing::Tools, &forged, 99),
            (b"here", Listing::Tools, &String::new(), 99),
            (b"here", Listing::Tools, &"c1.".repeat(9000), 99),
        ] {
            assert_eq!(
                open(&keys(), bound, listing, text, now),
                None,
                "{bound:?} {listing:?} {now}"
            );
        }
    }
}
