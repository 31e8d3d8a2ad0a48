//! The place of one shared child: started when needed, once for all who wait, and after crashes
//! only with growing pauses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::wire::Wire;
use crate::error::{Error, Fault};

/// The pause after a first crash; it doubles with each further one …
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A child that lived this long did not crash at its start.
const STEADY: Duration = Duration::from_secs(10);

/// A pause that a caller waits out; a longer one is an error that names it.
const BORNE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wire: Option<Arc<Wire>>,
    crashes: u32,
    not_before: Option<Instant>,
}

impl Slot {
    /// The child in this place, started if there is none.
    pub(super) async fn get_or_start<F, W>(&self, upstream: &Arc<str>, start: F) -> Result<Arc<Wire>, Error>
    where
        F: FnOnce() -> W,
        W: Future<Output = Result<Arc<Wire>, Error>>,
    {
        let mut state = self.state.lock().await;
        if let Some(wire) = &state.wire {
            if wire.is_alive() {
                return Ok(Arc::clone(wire));
            }
            state.note_end();
        }
        if let Some(pause) = state
            .not_before
            .and_then(|then| then.checked_duration_since(Instant::now()))
        {
            if pause > BORNE {
                let why = format!(
                    "it crashed {} times in a row; the next start is in {} s",
                    state.crashes,
                    pause.as_secs().max(1)
                );
                return Err(Fault::NotStarted(why).of(upstream));
            }
            tokio::time::sleep(pause).await;
        }
        let wire = start().await?;
        state.wire = Some(Arc::clone(&wire));
        Ok(wire)
    }

    /// Puts a child that was started elsewhere in this place; one that was there before ends.
    pub(super) async fn fill(&self, wire: Arc<Wire>) {
        let before = self.state.lock().await.wire.replace(wire);
        if let Some(before) = before {
            before.stop();
        }
    }

    /// Ends the child in this place.
    pub(super) async fn stop(&self) {
        let wire = self.state.lock().await.wire.take();
        if let Some(wire) = wire {
            wire.stop();
            wire.gone().await;
        }
    }
}

impl State {
    fn note_end(&mut self) {
        let Some(wire) = self.wire.take() else { return };
        match wire.crashed() {
            Some((then, lived)) if lived < STEADY => {
                let pause = FIRST_PAUSE
                    .saturating_mul(1 << self.crashes.min(16))
                    .min(LONGEST_PAUSE);
                self.crashes += 1;
                self.not_before = Some(then + pause);
            }
            Some(_) | None => {
                self.crashes = 0;
                self.not_before = None;
            }
        }
    }
}
