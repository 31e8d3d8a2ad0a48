//! The place of one shared child: started when needed, once for all who wait.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::wire::{Started, Wire};
use crate::error::Error;

#[derive(Default)]
pub(super) struct Slot {
    place: Mutex<Option<Arc<Wire>>>,
}

impl Slot {
    /// The child in this place, started if none there takes requests.
    pub(super) async fn get_or_start<W>(&self, start: impl FnOnce() -> W) -> Result<Arc<Wire>, Error>
    where
        W: Future<Output = Result<Started, Error>>,
    {
        // Held while the child starts: those who come meanwhile wait for that one.
        let mut place = self.place.lock().await;
        if let Some(wire) = place.as_ref().filter(|wire| wire.is_alive()) {
            return Ok(Arc::clone(wire));
        }
        let wire = start().await?.keep();
        *place = Some(Arc::clone(&wire));
        Ok(wire)
    }

    /// Whether a child is here that takes requests, or is being started.
    pub(super) fn is_taken(&self) -> bool {
        let place = self.place.try_lock();
        place.map_or(true, |place| place.as_ref().is_some_and(|wire| wire.is_alive()))
    }

    /// The child that is here, if it takes requests.
    pub(super) fn taken(&self) -> Option<Arc<Wire>> {
        let place = self.place.try_lock().ok()?;
        place.as_ref().filter(|wire| wire.is_alive()).cloned()
    }

    /// Puts a child that was started elsewhere in this place, unless one there takes requests: that one
    /// may be answering some.
    pub(super) async fn fill(&self, started: Started) {
        let mut place = self.place.lock().await;
        if !place.as_ref().is_some_and(|wire| wire.is_alive()) {
            *place = Some(started.keep());
        }
    }
}
