//! What others can bring about, and what is done for them once in a while all the same.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Something that is done at most once in so much time.
pub(crate) struct Seldom {
    pause: Duration,
    last: Mutex<Option<Instant>>,
}

impl Seldom {
    /// Not done yet.
    pub(crate) fn once_in(pause: Duration) -> Self {
        let last = Mutex::default();
        Self { pause, last }
    }

    /// Whether it may be done; then it counts as done.
    pub(crate) fn may(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let may = last.is_none_or(|last| last.elapsed() >= self.pause);
        if may {
            *last = Some(Instant::now());
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_done_once_and_again_after_the_pause() {
        let pause = Duration::from_secs(60);
        let seldom = Seldom::once_in(pause);
        assert!(seldom.may());
        tokio::time::advance(pause - Duration::from_millis(1)).await;
        assert!(!seldom.may());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(seldom.may());
        assert!(!seldom.may());
    }
}
