//! How long to leave something alone that failed: longer each time, and never two callers alike.

use std::time::Duration;

/// The pause after a first failure; it doubles with each further one …
const FIRST: Duration = Duration::from_millis(500);

/// … up to this.
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses that grow from half a second to half a minute.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause: at random between half of what is due and all of it, so that those who failed
    /// together do not come back together.
    pub(crate) fn pause(&mut self) -> Duration {
        let due = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        due.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// It went well: the next pause is a first one.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_at_most_twice_the_last_and_never_long() {
        let mut backoff = Backoff::default();
        for due in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            let pause = backoff.pause().as_secs_f64();
            assert!((due / 2.0..=due).contains(&pause), "{pause} of {due}");
        }
        for _ in 0..100_000 {
            assert!(backoff.pause() <= LONGEST);
        }
        backoff.reset();
        assert!(backoff.pause() <= FIRST);
    }
}
