//! The id of an event on the wire: `e1.<key>.<sealed>`, which a client brings back as `Last-Event-ID`
//! (2025-11-25 basic/transports, "Resumability and Redelivery").
//!
//! It is a place on a stream, sealed, and bound to the session and its principal: nobody else's id opens, none can be
//! made up, and none tells how much is going on. No two are the same text, not even of the same place.

use std::sync::Arc;

use config::{KeyRing, Purpose};
use serde::{Deserialize, Serialize};

use super::token::Claims;

const PREFIX: &str = "e1.";

/// The longest that we take for one of ours, in bytes.
const LONGEST: usize = 256;

/// A place on a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) stream: u64,
    /// The event that was told last, counted from 1; 0 before the first.
    pub(crate) event: u64,
    /// Whether the stream is one that listens, and not the answer to a call.
    pub(crate) listens: bool,
}

/// Makes and opens the ids of one session.
#[derive(Clone)]
pub(crate) struct Stamp {
    keys: Arc<KeyRing>,
    bound: Box<[u8]>,
}

impl Stamp {
    /// For the session of these claims.
    pub(super) fn new(keys: &Arc<KeyRing>, session: &Claims) -> Self {
        let mut bound = session.id.to_string().into_bytes();
        bound.extend_from_slice(&session.principal);
        Self {
            keys: Arc::clone(keys),
            bound: bound.into(),
        }
    }

    /// The id of a place.
    pub(crate) fn id(&self, place: Place) -> String {
        // Writing to a vector cannot fail.
        let plain = postcard::to_stdvec(&place).unwrap_or_default();
        let sealed = self.keys.seal(Purpose::EventId, &self.bound, &plain);
        format!("{PREFIX}{}.{}", sealed.kid, sealed.body)
    }

    /// The place of an id; none when it is not ours, or not of this session.
    pub(crate) fn place(&self, text: &str) -> Option<Place> {
        if text.len() > LONGEST {
            return None;
        }
        let (key, body) = text.strip_prefix(PREFIX)?.split_once('.')?;
        let plain = self.keys.open(Purpose::EventId, key, &self.bound, body)?;
        postcard::from_bytes(&plain).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::token;
    use config::Secret;

    const PLACE: Place = Place {
        stream: u64::MAX,
        event: 7,
        listens: true,
    };

    fn claims(principal: &[u8]) -> Claims {
        Claims {
            id: token::Id::new(),
            expires: 1,
            revision: "2025-11-25".into(),
            server: None,
            principal: principal.to_vec(),
            upstream: None,
            greeting: None,
        }
    }

    fn keys() -> Arc<KeyRing> {
        Arc::new(KeyRing::new(&Secret::from("0123456789abcdef0123456789abcdef"), None).unwrap())
    }

    #[test]
    fn an_id_is_read_back_in_its_own_session_only() {
        let (keys, claims_of_one) = (keys(), claims(b"ada"));
        let stamp = Stamp::new(&keys, &claims_of_one);
        let id = stamp.id(PLACE);

        assert_eq!(stamp.place(&id), Some(PLACE));
        assert_ne!(stamp.id(PLACE), id, "two events never have the same");
        assert!(id.len() < LONGEST && id.bytes().all(|byte| (0x21..=0x7e).contains(&byte)));
        let other = Stamp::new(&keys, &claims(b"ada"));
        assert_eq!(other.place(&id), None, "another session");
        let mut claims_of_another = claims_of_one.clone();
        claims_of_another.principal = b"eve".to_vec();
        let other = Stamp::new(&keys, &claims_of_another);
        assert_eq!(other.place(&id), None, "another principal");
    }

    #[test]
    fn nothing_that_was_changed_or_made_up_is_an_id() {
        let stamp = Stamp::new(&keys(), &claims(b""));
        let id = stamp.id(PLACE);
        for place in 0..id.len() {
            let mut tampered = id.clone().into_bytes();
            tampered[place] = if tampered[place] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(tampered).unwrap();
            assert_eq!(stamp.place(&tampered), None, "byte {place}");
        }
        for garbage in ["", "7", "e1", "e1.", "e1..", "e1.a.b", &"e1.".repeat(500)] {
            assert_eq!(stamp.place(garbage), None, "{garbage}");
        }
    }
}
