//! How many calls an upstream is given at once, and who waits for the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of one upstream (`upstreams.<name>.max_concurrency`). Calls beyond them wait in the order
/// they came, each within its own deadline, and at most as many as there are places: a longer queue would
/// only turn a refusal now into one after the deadline.
pub(crate) struct Slots {
    places: Arc<Semaphore>,
    bound: usize,
    waiting: AtomicUsize,
}

/// A place that a call has until this is dropped.
pub(crate) struct Slot {
    _place: OwnedSemaphorePermit,
}

/// No place is free, and no more may wait for one. The text names the bound.
#[derive(Debug)]
pub(crate) struct NoSlot(pub(crate) String);

impl Slots {
    /// Places for this many calls.
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(bound.min(Semaphore::MAX_PERMITS))),
            bound,
            waiting: AtomicUsize::new(0),
        }
    }

    /// A place for one call, as soon as one is free.
    ///
    /// # Errors
    /// When as many wait already as there are places.
    pub(crate) async fn take(&self) -> Result<Slot, NoSlot> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(Slot { _place: place });
        }
        let waiting = Waiting::in_line(self)?;
        let place = Arc::clone(&self.places).acquire_owned().await;
        drop(waiting);
        let place = place.map_err(|_| self.full())?;
        Ok(Slot { _place: place })
    }

    fn full(&self) -> NoSlot {
        let bound = self.bound;
        NoSlot(format!(
            "{bound} calls run and {bound} wait (`max_concurrency` of this upstream)"
        ))
    }
}

/// One who waits; who leaves the line makes room in it.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn in_line(slots: &'a Slots) -> Result<Self, NoSlot> {
        let before = slots.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(&slots.waiting);
        if before >= slots.bound {
            return Err(slots.full());
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn those_beyond_the_bound_wait_in_order_and_those_beyond_twice_it_are_refused() {
        let slots = Slots::new(2);
        let (first, _second) = (slots.take().await.unwrap(), slots.take().await.unwrap());
        let mut third = Box::pin(slots.take());
        let mut fourth = Box::pin(slots.take());
        assert!(third.as_mut().now_or_never().is_none());
        assert!(fourth.as_mut().now_or_never().is_none());

        let fifth = slots.take().now_or_never().expect("it is refused at once");
        assert!(fifth.err().unwrap().0.contains("max_concurrency"));

        drop(first);
        assert!(fourth.as_mut().now_or_never().is_none(), "it is not its turn");
        let _third = third.await.unwrap();
    }

    #[tokio::test]
    async fn who_leaves_the_line_makes_room_in_it() {
        let slots = Slots::new(1);
        let running = slots.take().await.unwrap();
        for _ in 0..10 {
            assert!(slots.take().now_or_never().is_none());
        }
        drop(running);
        assert!(slots.take().now_or_never().is_some());
    }
}
