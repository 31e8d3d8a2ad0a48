//! A question that is being asked, and those who wait for its answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::key::Key;
use super::store::{Kept, Results};

/// A question that somebody asks already.
#[derive(Clone)]
pub(super) struct Flight(watch::Receiver<Option<End>>);

/// What became of it.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// There is an answer for all.
    Kept(Arc<Kept>),
    /// What came, or is coming, is for who asked alone.
    NotKept,
    /// Who asked has left before the answer.
    Left,
}

/// Who asks it. Dropped, it has left.
pub(super) struct Lead {
    results: Arc<Results>,
    key: Key,
    told: watch::Sender<Option<End>>,
}

impl Flight {
    /// A question that is asked from now on, and who asks it.
    pub(super) fn begin(results: &Arc<Results>, key: Key) -> (Self, Lead) {
        let (told, wait) = watch::channel(None);
        let lead = Lead {
            results: Arc::clone(results),
            key,
            told,
        };
        (Self(wait), lead)
    }

    /// Waits until it is known what becomes of it.
    pub(super) async fn end(mut self) -> End {
        match self.0.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(End::Left),
            Err(_) => End::Left,
        }
    }
}

impl Lead {
    /// The answer is kept for this long, within this room in bytes.
    pub(super) fn keep(self, kept: Kept, ttl: Duration, room: usize) {
        let kept = Arc::new(kept);
        self.results.keep(self.key, Arc::clone(&kept), ttl, room);
        self.end(End::Kept(kept));
    }

    /// The answer is for those who wait, and for nobody later.
    pub(super) fn tell(self, kept: Kept) {
        self.end(End::Kept(Arc::new(kept)));
    }

    /// There is none for others.
    pub(super) fn give_up(self) {
        self.end(End::NotKept);
    }

    fn end(self, end: End) {
        self.told.send_replace(Some(end));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // Before those who wait are told that it has left, or they would find it still asking.
        self.results.is_over(self.key);
        self.told
            .send_if_modified(|end| end.is_none() && end.insert(End::Left).is_left());
    }
}

impl End {
    fn is_left(&self) -> bool {
        matches!(self, Self::Left)
    }
}
