//! How much of what a server is sent may be repetition.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// What happened before this and the time before it is forgotten.
const WINDOW: Duration = Duration::from_secs(10);

/// Of this many requests one may be repeated …
const SHARE: u32 = 10;

/// … but so many always may: a server that is called rarely has closed its connection nearly every time.
const ALWAYS: u32 = 10;

/// The repetitions that one server is still good for. A server in trouble breaks many connections; to repeat
/// everything it breaks would double its load when it can bear it least.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    windows: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    since: Option<Instant>,
    now: Counts,
    before: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    requests: u32,
    repeated: u32,
}

impl Budget {
    /// A request is sent for the first time.
    pub(crate) fn count(&self) {
        let mut windows = self.current();
        windows.now.requests = windows.now.requests.saturating_add(1);
    }

    /// Whether one may be repeated; if so, it counts as repeated.
    pub(crate) fn spend(&self) -> bool {
        let mut windows = self.current();
        let repeated = windows.now.repeated.saturating_add(windows.before.repeated);
        let requests = windows.now.requests.saturating_add(windows.before.requests);
        let affordable = repeated < ALWAYS.max(requests / SHARE);
        if affordable {
            windows.now.repeated += 1;
        }
        affordable
    }

    fn current(&self) -> MutexGuard<'_, Windows> {
        let mut windows = self
            .windows
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let now = Instant::now();
        let age = windows.since.map(|since| now - since);
        match age {
            Some(age) if age < WINDOW => {}
            Some(age) if age < WINDOW * 2 => {
                windows.before = std::mem::take(&mut windows.now);
                windows.since = windows.since.map(|since| since + WINDOW);
            }
            Some(_) | None => {
                *windows = Windows {
                    since: Some(now),
                    ..Windows::default()
                };
            }
        }
        windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often may be repeated now.
    fn left(budget: &Budget) -> u32 {
        let mut times = 0;
        while budget.spend() {
            times += 1;
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenth_may_be_repeated_and_a_few_always() {
        let budget = Budget::default();
        assert_eq!(left(&budget), 10);

        for _ in 0..1000 {
            budget.count();
        }
        assert_eq!(left(&budget), 90);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_spent_is_good_again_after_a_while_and_not_sooner() {
        let budget = Budget::default();
        assert_eq!(left(&budget), 10);
        tokio::time::advance(WINDOW).await;
        assert_eq!(left(&budget), 0);
        tokio::time::advance(WINDOW).await;
        assert_eq!(left(&budget), 10);
        tokio::time::advance(WINDOW * 100).await;
        assert_eq!(left(&budget), 10);
    }
}
