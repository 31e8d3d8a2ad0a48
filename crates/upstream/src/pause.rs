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
    /// Why the last one was ended, where it did not crash.
    ended: Option<String>,
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
        while let Some((until, what)) = self.pending() {
            let pause = until.saturating_duration_since(Instant::now());
            if pause > BORNE {
                let seconds = pause.as_secs_f64().ceil();
                let why = format!("{what}; the next start is in {seconds} s");
                return Err(Fault::NotStarted(why).of(upstream));
            }
            tokio::time::sleep_until(until).await;
        }
        Ok(())
    }

    /// A child that was started then has crashed now.
    pub(crate) fn note_crash(&self, started: Instant) {
        self.note_failure(started, None);
    }

    /// A child that was started then has been ended by us now, before it was of any use, for this reason.
    pub(crate) fn note_useless(&self, started: Instant, why: String) {
        self.note_failure(started, Some(why));
    }

    /// A child that was started then has answered a call: a crash from now on is the first one in a row.
    pub(crate) fn note_answer(&self, started: Instant) {
        let mut state = self.locked();
        // One that was there before the last crash says nothing of how the next will fare.
        if state.not_before.is_some_and(|then| started >= then) {
            *state = State::default();
        }
    }

    fn note_failure(&self, started: Instant, ended: Option<String>) {
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
        state.ended = ended;
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

    /// Until when none is started, and what happened, in words.
    fn pending(&self) -> Option<(Instant, String)> {
        let state = self.locked();
        let until = state.not_before.filter(|then| *then > Instant::now())?;
        let times = match state.crashes {
            1 => "once".to_owned(),
            crashes => format!("{crashes} times in a row"),
        };
        let what = match &state.ended {
            None => format!("it crashed {times}"),
            Some(why) => format!("it failed {times}, and was ended last since {why}"),
        };
        Some((until, what))
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
    async fn a_call_that_is_answered_ends_the_row_if_its_child_came_after_the_last_crash() {
        let pauses = Pauses::default();
        let earlier = Instant::now();
        crash_in_a_row(&pauses, 5).await;

        pauses.note_answer(earlier);
        assert!(pause(&pauses) > BORNE);

        tokio::time::advance(pause(&pauses)).await;
        let started = Instant::now();
        pauses.note_answer(started);
        pauses.note_crash(started);
        assert_eq!(pause(&pauses), FIRST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_had_to_be_ended_is_said_to_be_that_and_why() {
        let upstream: Arc<str> = "files".into();
        let pauses = Pauses::default();
        crash_in_a_row(&pauses, 4).await;
        tokio::time::advance(pause(&pauses)).await;

        pauses.note_useless(Instant::now(), "it spoke nonsense".to_owned());

        let error = pauses.wait(&upstream).await.unwrap_err().to_string();
        let words = "it failed 5 times in a row, and was ended last since it spoke nonsense";
        assert!(error.contains(words), "{error}");
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
