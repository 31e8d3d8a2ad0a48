//! Whether this process lives, and whether it takes new work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

/// What health endpoints tell, and what a drain changes.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    ready: AtomicBool,
    draining: tokio::sync::watch::Sender<bool>,
    cut: CancellationToken,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            ready: AtomicBool::new(false),
            draining: tokio::sync::watch::Sender::new(false),
            cut: CancellationToken::new(),
        }
    }
}

impl Health {
    /// The listeners are open: new work may come.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// No new work, please: running calls may finish, streams should end.
    pub fn begin_drain(&self) {
        self.ready.store(false, Ordering::Relaxed);
        self.draining.send_replace(true);
    }

    /// The grace is over: calls that still run are answered that they were cut.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Waits for the end of the grace.
    pub(crate) async fn is_cut(&self) {
        self.cut.cancelled().await;
    }

    /// Whether new work may come.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Whether a drain has begun.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Waits until a drain begins.
    pub(crate) async fn drained(&self) {
        let mut draining = self.draining.subscribe();
        // The sender lives as long as we do.
        let _ = draining.wait_for(|draining| *draining).await;
    }

    /// Seconds since the start.
    pub fn uptime(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// The answer to `GET /health` or `GET /ready`: a status and a body. `None` for another path.
    pub(crate) fn answer(&self, path: &str) -> Option<(u16, String)> {
        match path {
            "/health" => Some((
                200,
                format!(r#"{{"status":"healthy","uptime":{}}}"#, self.uptime()),
            )),
            "/ready" if self.is_ready() => Some((200, r#"{"ready":true}"#.into())),
            "/ready" => Some((503, r#"{"ready":false}"#.into())),
            _ => None,
        }
    }
}
