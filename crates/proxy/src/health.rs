//! Whether this process lives, and whether it takes new work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What health endpoints tell, and what a drain changes.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    ready: AtomicBool,
    draining: AtomicBool,
    short: AtomicBool,
    /// Wakes those who wait for the drain; every request looks at `draining`, which takes no lock.
    drain: CancellationToken,
    /// The same as the engine wants to hear it.
    closing: watch::Sender<bool>,
    cut: CancellationToken,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            short: AtomicBool::new(false),
            drain: CancellationToken::new(),
            closing: watch::Sender::new(false),
            cut: CancellationToken::new(),
        }
    }
}

impl Health {
    /// The listeners are open: new work may come.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// No new work: running calls may finish, streams should end, new calls are refused.
    pub fn begin_drain(&self) {
        self.ready.store(false, Ordering::Relaxed);
        self.draining.store(true, Ordering::SeqCst);
        self.drain.cancel();
        self.closing.send_replace(true);
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
        self.draining.load(Ordering::SeqCst)
    }

    /// Descriptors are nearly used up, or are not any more. While they are, new work is shed and
    /// connections are not kept, so that those who ask for health are still heard.
    pub fn set_short(&self, short: bool) {
        self.short.store(short, Ordering::Relaxed);
    }

    /// Whether descriptors are nearly used up.
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Waits until a drain begins.
    pub(crate) async fn drained(&self) {
        self.drain.cancelled().await;
    }

    /// Turns true when a drain begins: clients of HTTP/2 are asked to go elsewhere with their next request.
    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
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
