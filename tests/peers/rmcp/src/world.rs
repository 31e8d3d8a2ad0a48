//! What has happened in this process, to be waited for by any call: see `world.py`.
use std::collections::{HashMap, HashSet};

use tokio::sync::{broadcast, watch};

/// Changes that listeners may not have heard of yet.
const QUEUE: usize = 64;

/// What listeners are told of.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Tools,
    Greeting,
}

#[derive(Default)]
struct Facts {
    opened: HashMap<String, u64>,
    cancelled: HashSet<String>,
}

pub(crate) struct World {
    facts: watch::Sender<Facts>,
    changes: broadcast::Sender<Change>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            facts: watch::Sender::new(Facts::default()),
            changes: broadcast::Sender::new(QUEUE),
        }
    }
}

impl World {
    pub(crate) fn open(&self, key: &str) {
        self.facts
            .send_modify(|facts| *facts.opened.entry(key.to_owned()).or_default() += 1);
    }

    /// Waits until this many steps of the key were opened.
    pub(crate) async fn opened(&self, key: &str, steps: u64) {
        self.until(|facts| facts.opened.get(key).is_some_and(|opened| *opened >= steps))
            .await;
    }

    pub(crate) fn cancel(&self, key: &str) {
        self.facts.send_modify(|facts| {
            facts.cancelled.insert(key.to_owned());
        });
    }

    /// Waits until the call with this key has been cancelled.
    pub(crate) async fn ended(&self, key: &str) {
        self.until(|facts| facts.cancelled.contains(key)).await;
    }

    async fn until(&self, is_so: impl Fn(&Facts) -> bool) {
        // The sender lives as long as `self` does.
        let _ = self.facts.subscribe().wait_for(|facts| is_so(facts)).await;
    }

    pub(crate) fn tell(&self, change: Change) {
        // Without listeners nobody is told.
        let _ = self.changes.send(change);
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }
}
