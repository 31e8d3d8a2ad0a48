//! Leaving an upstream alone that cannot be reached, so that its callers learn it at once.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::{Error, Fault};

/// Failures in a row after which an upstream is left alone.
const BORNE: u32 = 5;

/// One who tries an upstream and has heard nothing after this long no longer holds up the next: it is
/// connected by then, and its call may take an hour.
const TRIED_WITHIN: Duration = Duration::from_secs(5);

/// What is known of one upstream's being there.
pub(crate) struct Breaker {
    upstream: Arc<str>,
    state: Mutex<State>,
    gauge: IntGauge,
}

#[derive(Default)]
struct State {
    failures: u32,
    backoff: Backoff,
    open: Option<Open>,
}

/// It is left alone.
struct Open {
    until: Instant,
    why: String,
    /// Since when somebody has been trying it, if anybody is.
    tried: Option<Instant>,
}

/// Leave to try the upstream. Whoever has it says what came of it; one who leaves without a word has
/// learned nothing.
pub(crate) struct Pass {
    breaker: Arc<Breaker>,
    /// Whether this one tries for all.
    probe: bool,
}

impl Breaker {
    /// Closed: everybody may try.
    pub(crate) fn new(upstream: Arc<str>, gauge: IntGauge) -> Arc<Self> {
        gauge.set(0);
        Arc::new(Self {
            upstream,
            state: Mutex::default(),
            gauge,
        })
    }

    /// Leave to try the upstream.
    ///
    /// # Errors
    /// At once while it is left alone, but for one at a time when the pause is over; who tries it for
    /// long does not keep others from trying too.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Pass, Error> {
        let mut state = self.locked();
        let failures = state.failures;
        let Some(open) = &mut state.open else {
            return Ok(self.pass(false));
        };
        let left = open.until.saturating_duration_since(Instant::now());
        let tried = open.tried.is_some_and(|since| since.elapsed() < TRIED_WITHIN);
        if left.is_zero() && !tried {
            open.tried = Some(Instant::now());
            return Ok(self.pass(true));
        }
        let why = &open.why;
        let next = if tried {
            "is being tried again now".to_owned()
        } else {
            format!("is tried again in {} s", left.as_secs_f64().ceil())
        };
        let words = format!("{why}; it failed {failures} times in a row and {next}");
        Err(Fault::Unreachable(words).of(&self.upstream))
    }

    fn pass(self: &Arc<Self>, probe: bool) -> Pass {
        Pass {
            breaker: Arc::clone(self),
            probe,
        }
    }

    fn reached(&self) {
        let mut state = self.locked();
        if state.open.is_some() {
            tracing::info!(upstream = %self.upstream, "it is reached again");
        }
        *state = State::default();
        self.gauge.set(0);
    }

    fn missed(&self, why: String, probe: bool) {
        let mut state = self.locked();
        // Of those that were under way when it was found out, none says anything new.
        if state.open.is_some() && !probe {
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures < BORNE {
            return;
        }
        if state.open.is_none() {
            tracing::warn!(upstream = %self.upstream, %why, "it cannot be reached and is left alone for a while");
        }
        let until = Instant::now() + state.backoff.pause();
        state.open = Some(Open {
            until,
            why,
            tried: None,
        });
        self.gauge.set(1);
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Pass {
    /// Says what came of it, as far as it tells whether the upstream is there. What a call did there is
    /// nobody else's matter: no client's bad call keeps others away.
    pub(crate) fn learned<T>(&mut self, outcome: &Result<T, Error>) {
        match outcome.as_ref().map_err(|error| &error.fault) {
            Err(Fault::Unreachable(why)) => self.missed(why.clone()),
            Err(Fault::Status { status, .. }) if *status >= 500 => {
                self.missed(format!("it answers with HTTP status {status}"));
            }
            // These may be about the one call.
            Err(
                Fault::Silent(_)
                | Fault::Broken(_)
                | Fault::NotAgreed
                | Fault::TooLong(_)
                | Fault::NotStarted(_)
                | Fault::Exited(_)
                | Fault::Cancelled
                | Fault::Removed
                | Fault::Full(_),
            ) => {}
            Ok(_)
            | Err(
                Fault::Status { .. }
                | Fault::Unauthorized(_)
                | Fault::SessionGone
                | Fault::Misjudged(_)
                | Fault::NotSpoken { .. }
                | Fault::NotOffered,
            ) => {
                self.probe = false;
                self.breaker.reached();
            }
        }
    }

    fn missed(&mut self, why: String) {
        self.breaker.missed(why, std::mem::take(&mut self.probe));
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe
            && let Some(open) = &mut self.breaker.locked().open
        {
            open.tried = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Arc<Breaker> {
        let gauge = IntGauge::new("open", "open").unwrap();
        Breaker::new("docs".into(), gauge)
    }

    fn unreachable() -> Result<(), Error> {
        Err(Fault::Unreachable("it refuses connections".into()).of(&"docs".into()))
    }

    fn status(status: u16) -> Result<(), Error> {
        let fault = Fault::Status {
            status,
            retry_after: None,
        };
        Err(fault.of(&"docs".into()))
    }

    /// Tries until it is left alone.
    fn fail(breaker: &Arc<Breaker>, outcome: impl Fn() -> Result<(), Error>) -> u32 {
        let mut tries = 0;
        while let Ok(mut pass) = breaker.admit() {
            pass.learned(&outcome());
            tries += 1;
            assert!(tries < 100, "it is never left alone");
        }
        tries
    }

    #[tokio::test(start_paused = true)]
    async fn after_five_failures_in_a_row_callers_learn_it_at_once_and_when_it_is_tried_next() {
        let breaker = breaker();
        assert_eq!(fail(&breaker, unreachable), 5);

        let words = breaker.admit().err().unwrap().to_string();
        assert!(
            words.contains("it refuses connections; it failed 5 times in a row"),
            "{words}"
        );
        assert!(words.contains("is tried again in 1 s"), "{words}");
        assert_eq!(breaker.gauge.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_tries_it_and_success_lets_all_in() {
        let breaker = breaker();
        fail(&breaker, || status(503));
        tokio::time::advance(Duration::from_millis(500)).await;

        let mut probe = breaker.admit().unwrap();
        let words = breaker.admit().err().unwrap().to_string();
        assert!(words.contains("is being tried again now"), "{words}");
        probe.learned(&Ok(()));

        let several = [(); 3].map(|()| breaker.admit());
        assert!(several.iter().all(Result::is_ok));
        assert_eq!(breaker.gauge.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_grows_with_each_try_in_vain_up_to_half_a_minute() {
        let breaker = breaker();
        fail(&breaker, unreachable);
        for longest in [1, 2, 4, 8, 16, 30, 30] {
            tokio::time::advance(Duration::from_secs(30)).await;
            assert_eq!(fail(&breaker, unreachable), 1);
            tokio::time::advance(Duration::from_secs(longest) / 2 - Duration::from_millis(1)).await;
            assert!(breaker.admit().is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_leaves_without_a_word_lets_the_next_try() {
        let breaker = breaker();
        fail(&breaker, unreachable);
        tokio::time::advance(Duration::from_secs(1)).await;

        drop(breaker.admit().unwrap());

        assert!(breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_tries_for_long_does_not_hold_up_the_next() {
        let breaker = breaker();
        fail(&breaker, unreachable);
        tokio::time::advance(Duration::from_secs(1)).await;
        let _long = breaker.admit().unwrap();
        assert!(breaker.admit().is_err());

        tokio::time::advance(Duration::from_secs(5)).await;

        let mut next = breaker.admit().unwrap();
        assert!(breaker.admit().is_err(), "one at a time");
        next.learned(&Ok(()));
        assert!(breaker.admit().is_ok());
    }

    #[tokio::test]
    async fn what_a_call_did_there_keeps_nobody_away() {
        let breaker = breaker();
        let outcomes = || -> Vec<Result<(), Error>> {
            let name = "docs".into();
            vec![
                Err(Fault::Broken("reset".into()).of(&name)),
                Err(Fault::Silent(Duration::ZERO).of(&name)),
                Err(Fault::Unauthorized(401).of(&name)),
                Err(Fault::SessionGone.of(&name)),
                Err(Fault::TooLong(1).of(&name)),
                status(429),
            ]
        };
        for outcome in (0..10).flat_map(|_| outcomes()) {
            breaker.admit().unwrap().learned(&outcome);
        }
        assert!(breaker.admit().is_ok());
    }

    #[tokio::test]
    async fn an_answer_between_two_failures_counts_anew() {
        let breaker = breaker();
        for _ in 0..10 {
            for _ in 0..4 {
                breaker.admit().unwrap().learned(&unreachable());
            }
            breaker.admit().unwrap().learned(&Ok(()));
        }
        assert!(breaker.admit().is_ok());
    }
}
