//! A gate that a test opens once, and that others wait at until then.
use tokio::sync::watch;

/// Holds back a [`Reply`](crate::Reply) until the test has seen what it wanted to see.
#[derive(Clone)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets everyone pass, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the gate is open.
    pub async fn passed(&self) {
        let mut state = self.0.subscribe();
        // The sender lives in `self`, so the only way out is the open gate.
        let _ = state.wait_for(|open| *open).await;
    }
}
