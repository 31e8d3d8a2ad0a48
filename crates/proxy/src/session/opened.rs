//! Tokens that were opened before: clients send the same one with every request, and opening it again would
//! cost more than the rest of finding their session.

use std::collections::HashMap;
use std::sync::Arc;

use super::Claims;

/// Tokens remembered as opened, twice: those of late, and those from before them. A token weighs about a
/// KiB, and nobody says when it is not needed any more; opening one anew costs 1.4 µs.
const OPENED: usize = 1024;

/// What a token was opened as, and what for.
pub(super) struct Opened {
    pub(super) binding: Vec<u8>,
    pub(super) claims: Arc<Claims>,
}

/// The tokens that came last. Whoever comes again stays; when there is no place for a newcomer, those are
/// forgotten that have not come since the last time.
#[derive(Default)]
pub(super) struct Remembered {
    late: HashMap<Box<str>, Opened>,
    before: HashMap<Box<str>, Opened>,
}

impl Remembered {
    /// What a token was opened as, by whoever it was opened for.
    pub(super) fn get(&mut self, text: &str, binding: &[u8]) -> Option<Arc<Claims>> {
        if !self.late.contains_key(text) {
            let (text, opened) = self.before.remove_entry(text)?;
            self.keep(text, opened);
        }
        let known = self.late.get(text)?;
        (known.binding == binding).then(|| Arc::clone(&known.claims))
    }

    /// Remembers a token.
    pub(super) fn keep(&mut self, text: Box<str>, opened: Opened) {
        if self.late.len() >= OPENED {
            self.before = std::mem::take(&mut self.late);
        }
        self.late.insert(text, opened);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::token;

    #[test]
    fn who_comes_again_is_remembered_among_many_who_come_once() {
        let claims = Arc::new(Claims {
            id: token::Id::new(),
            expires: 0,
            revision: String::new(),
            principal: Vec::new(),
            upstream: None,
            greeting: None,
        });
        let opened = || Opened {
            binding: b"here".to_vec(),
            claims: Arc::clone(&claims),
        };
        let mut remembered = Remembered::default();
        remembered.keep("often".into(), opened());

        for number in 0..10 * OPENED {
            remembered.keep(number.to_string().into(), opened());
            assert!(remembered.get("often", b"here").is_some(), "after {number}");
        }

        assert!(remembered.get("often", b"elsewhere").is_none());
        assert!(remembered.get("0", b"here").is_none());
        assert!(remembered.late.len() + remembered.before.len() <= 2 * OPENED);
    }
}
