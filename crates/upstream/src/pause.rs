//! The pause between starts of a command that crashes at its start: each is longer than the last.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Fault};

/// The pause after a first crash; it doubles with each further one …
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A child that lived this long did not crash at its start.
const STEADY: Duration = Duration::from_secs(10);

/// A pause that a caller waits out; a longer one is an error that names it.
const BORNE: Duration = Duration::from_secs(1);

/// How the latest children of one command ended, as far as it delays the next.
#[derive(Default)]
pub(crate) struct Pauses {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    crashes: u32,
    not_before: Option<Instant>,
}

impl Pauses {
    /// Waits until a child may be started.
    ///
    /// # Errors
    /// When that takes longer than a caller should wait.
    pub(crate) async fn wait(&self, upstream: &Arc<str>) -> Result<(), Error> {
        // Others may start and crash meanwhile, which is why the pause is asked for again. It grows
        // each time, so that this ends.
        while let Some((until, crashes)) = self.pending() {
            let pause = until.saturating_duration_since(Instant::now());
            if pause > BORNE {
                let seconds = pause.as_secs_f64().ceil();
                let why = format!("it crashed {crashes} times in a row; the next start is in {seconds} s");
                return Err(Fault::NotStarted(why).of(upstream));
            }
            tokio::time::sleep_until(until).await;
        }
        Ok(())
    }

    /// A child that was started then has crashed now.
    pub(crate) fn note_crash(&self, started: Instant) {
        if started.elapsed() >= STEADY {
            return self.note_end(started);
        }
        let mut state = self.locked();
        // Children that were started side by side crash side by side: that is one crash.
        if state.not_before.is_some_and(|then| started < then) {
            return;
        }
        let pause = FIRST_PAUSE
            .saturating_mul(1 << state.crashes.min(16))
            .min(LONGEST_PAUSE);
        state.crashes += 1;
        state.not_before = Some(Instant::now() + pause);
    }

    /// A child that was started then has ended now, as it was told to or long after its start.
    pub(crate) fn note_end(&self, started: Instant) {
        if started.elapsed() >= STEADY {
            *self.locked() = State::default();
        }
    }

    /// Whether none has crashed since all was well.
    pub(crate) fn is_clear(&self) -> bool {
        self.locked().crashes == 0
    }

    fn pending(&self) -> Option<(Instant, u32)> {
        let state = self.locked();
        let until = state.not_before.filter(|then| *then > Instant::now())?;
        Some((until, state.crashes))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long the next start has to wait.
    fn pause(pauses: &Pauses) -> Duration {
        pauses
            .pending()
            .map_or(Duration::ZERO, |(until, _)| until - Instant::now())
    }

    async fn crash_in_a_row(pauses: &Pauses, times: u32) {
        for _ in 0..times {
            tokio::time::advance(pause(pauses)).await;
            pauses.note_crash(Instant::now());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_doubles_with_each_crash_up_to_its_longest() {
        let pauses = Pauses::default();
        assert_eq!(pause(&pauses), Duration::ZERO);

        for expected in [100, 200, 400, 800, 1600] {
            crash_in_a_row(&pauses, 1).await;
            assert_eq!(pause(&pauses), Duration::from_millis(expected));
        }

        crash_in_a_row(&pauses, 40).await;
        assert_eq!(pause(&pauses), LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_pause_is_waited_out_and_a_long_one_is_an_error_that_names_it() {
        let upstream: Arc<str> = "files".into();
        let pauses = Pauses::default();

        crash_in_a_row(&pauses, 4).await;
        let before = Instant::now();
        pauses.wait(&upstream).await.unwrap();
        assert!(before.elapsed() >= Duration::from_millis(800));

        crash_in_a_row(&pauses, 1).await;
        let error = pauses.wait(&upstream).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("crashed 5 times in a row; the next start is in 2 s"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn children_that_crash_side_by_side_count_once() {
        let pauses = Pauses::default();
        let started = Instant::now();

        for _ in 0..10 {
            pauses.note_crash(started);
        }

        assert_eq!(pause(&pauses), FIRST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_that_lived_long_makes_all_well_again_and_one_that_was_stopped_early_does_not() {
        let pauses = Pauses::default();
        crash_in_a_row(&pauses, 5).await;

        pauses.note_end(Instant::now());
        assert!(pause(&pauses) > BORNE);

        let started = Instant::now();
        tokio::time::advance(STEADY).await;
        pauses.note_crash(started);
        assert_eq!(pause(&pauses), Duration::ZERO);
        crash_in_a_row(&pauses, 1).await;
        assert_eq!(pause(&pauses), FIRST_PAUSE);
    }
}
