//! Tokens that were opened before: clients send the same one with every request, and opening it again would
//! cost more than the rest of finding their session.
//!
//! They are remembered for as long as their clients keep calling, and not for long after: nobody says when a
//! session is not used any more, a token weighs about a KiB, and the small pieces it consists of hold on to
//! the memory of whatever was freed around them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::Claims;

/// Tokens remembered, twice: those of late, and those from before them.
const REMEMBERED: usize = 8192;

/// One that does not come again for this long, or twice as long at most, is forgotten. Opening it anew costs
/// 1.4 µs.
const REMEMBERED_FOR: Duration = Duration::from_secs(10);

/// The tokens that came last.
#[derive(Default)]
pub(super) struct Opened {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    late: Tokens,
    before: Tokens,
    swept: bool,
}

type Tokens = HashMap<Box<str>, Known>;

struct Known {
    binding: Vec<u8>,
    claims: Arc<Claims>,
}

impl Opened {
    /// What a token is, by whoever opened it for the same purpose before.
    pub(super) fn get(&self, text: &str, binding: &[u8]) -> Option<Arc<Claims>> {
        let mut state = locked(&self.state);
        if !state.late.contains_key(text) {
            let (text, known) = state.before.remove_entry(text)?;
            state.keep(text, known);
        }
        let known = state.late.get(text)?;
        (known.binding == binding).then(|| Arc::clone(&known.claims))
    }

    /// Remembers what a token is, and for what it was opened.
    pub(super) fn keep(&self, text: &str, binding: &[u8], claims: &Arc<Claims>) {
        let known = Known {
            binding: binding.to_vec(),
            claims: Arc::clone(claims),
        };
        let mut state = locked(&self.state);
        state.keep(text.into(), known);
        // Where there is no runtime, as in a test, their number is bound enough.
        if !state.swept
            && let Ok(runtime) = Handle::try_current()
        {
            state.swept = true;
            runtime.spawn(sweep(Arc::downgrade(&self.state)));
        }
    }
}

impl State {
    /// Whoever comes again stays; when there is no place for a newcomer, those are forgotten that have not come
    /// since the last time.
    fn keep(&mut self, text: Box<str>, known: Known) {
        if self.late.len() >= REMEMBERED {
            self.age();
        }
        self.late.insert(text, known);
    }

    fn age(&mut self) {
        self.before = std::mem::take(&mut self.late);
    }
}

/// Forgets what does not come again; ends with the last token, or with whoever remembers them.
async fn sweep(state: Weak<Mutex<State>>) {
    loop {
        tokio::time::sleep(REMEMBERED_FOR).await;
        let Some(state) = state.upgrade() else { return };
        let mut state = locked(&state);
        state.age();
        if state.before.is_empty() {
            state.swept = false;
            return;
        }
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::token;

    fn claims() -> Arc<Claims> {
        Arc::new(Claims {
            id: token::Id::new(),
            expires: 0,
            revision: String::new(),
            server: None,
            principal: Vec::new(),
            upstream: None,
            greeting: None,
        })
    }

    #[test]
    fn who_comes_again_is_remembered_among_many_who_come_once() {
        let (opened, claims) = (Opened::default(), claims());
        opened.keep("often", b"here", &claims);

        for number in 0..3 * REMEMBERED {
            opened.keep(&number.to_string(), b"here", &claims);
            assert!(opened.get("often", b"here").is_some(), "after {number}");
        }

        assert!(opened.get("often", b"elsewhere").is_none());
        assert!(opened.get("0", b"here").is_none());
        let state = locked(&opened.state);
        assert!(state.late.len() + state.before.len() <= 2 * REMEMBERED);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stays_away_is_forgotten_and_the_sweeper_ends() {
        let (opened, claims) = (Opened::default(), claims());
        opened.keep("once", b"here", &claims);
        opened.keep("often", b"here", &claims);

        for _ in 0..6 {
            tokio::time::sleep(REMEMBERED_FOR / 2).await;
            assert!(opened.get("often", b"here").is_some());
        }
        assert!(opened.get("once", b"here").is_none());

        tokio::time::sleep(REMEMBERED_FOR * 4).await;
        let state = locked(&opened.state);
        assert!(state.late.is_empty() && state.before.is_empty() && !state.swept);
    }
}
