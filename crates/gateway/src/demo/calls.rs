//! Calls in progress, found by the client's id so that they can be cancelled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::oneshot;

/// The calls of one client.
#[derive(Default)]
pub(super) struct Calls(Mutex<HashMap<String, oneshot::Sender<()>>>);

impl Calls {
    /// Registers a call; `None` when one with this id is in progress already.
    pub(super) fn begin(self: &Arc<Self>, id: &Value) -> Option<InProgress> {
        // The JSON text keeps 1 and "1" apart.
        let id = id.to_string();
        let (cancel, cancelled) = oneshot::channel();
        match self.locked().entry(id.clone()) {
            std::collections::hash_map::Entry::Occupied(_) => return None,
            std::collections::hash_map::Entry::Vacant(vacant) => vacant.insert(cancel),
        };
        Some(InProgress {
            calls: self.clone(),
            id,
            cancelled,
        })
    }

    /// Cancels a call. One that is unknown or over is no error: the two may have crossed.
    pub(super) fn cancel(&self, id: &Value) {
        self.locked().remove(&id.to_string());
    }

    /// Cancels them all.
    pub(super) fn end(&self) {
        self.locked().clear();
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call's place among the others, given up when dropped.
pub(super) struct InProgress {
    calls: Arc<Calls>,
    id: String,
    cancelled: oneshot::Receiver<()>,
}

impl InProgress {
    /// Runs the call to its end, or drops it where it stands when it is cancelled.
    pub(super) async fn run<T>(mut self, call: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            answer = call => Some(answer),
            // Resolves because the sender was dropped; nothing is ever sent.
            _ = &mut self.cancelled => None,
        }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        // After a cancellation the place may belong to a later call that reuses the id.
        if self.cancelled.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            self.calls.locked().remove(&self.id);
        }
    }
}
