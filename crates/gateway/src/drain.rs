//! Stopping: asked once, everything ends cleanly; asked twice, at once.

use std::sync::Arc;
use std::time::Duration;

use proxy::Generation;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use upstream::stdio::guard::Guard;

use crate::retire::Retired;

/// How often a drain looks whether calls are still running.
const GLANCE: Duration = Duration::from_millis(10);

/// Clients of calls that are cut are told so within this.
const TOLD_WITHIN: Duration = Duration::from_millis(500);

/// Processes get this long beyond the grace.
const CHILDREN_WITHIN: Duration = Duration::from_secs(8);

/// The two signals that mean stop.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Begins to listen for them.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Ends everything in its order: no new work, running calls, processes, the record. From its first
/// moment new calls are refused, so that a steady load neither holds it up nor starts a process anew.
pub(crate) async fn drain(current: &Arc<Generation>, retired: &Retired, guard: &Guard) {
    let grace = current.grace;
    current.health.begin_drain();
    let running = || current.account.metrics().running.get();
    // A call that was let in just before is counted by then.
    tokio::time::sleep(GLANCE).await;
    if running() > 0 {
        tracing::info!(calls = running(), ?grace, "waiting for running calls");
    }
    let patience = Instant::now() + grace;
    let finished = async {
        while running() > 0 && Instant::now() < patience {
            tokio::time::sleep(GLANCE).await;
        }
    };
    // Nobody is let in any more who could come back for a call that waits for its user.
    let waiting = tokio::time::timeout(grace.max(TOLD_WITHIN), current.sessions.stop());
    let _ = tokio::join!(finished, waiting);
    if running() > 0 {
        tracing::warn!(calls = running(), "calls are cut at the end of the grace");
        current.health.cut();
        let told = Instant::now() + TOLD_WITHIN;
        while running() > 0 && Instant::now() < told {
            tokio::time::sleep(GLANCE).await;
        }
    }
    // Streams have been told; their upstreams are told of them before they are stopped themselves.
    current.held.close();
    let _ = tokio::time::timeout(TOLD_WITHIN, current.held.wait()).await;
    let ended = async { tokio::join!(current.upstreams.stop(), retired.end()) };
    if tokio::time::timeout(CHILDREN_WITHIN, ended).await.is_err() {
        tracing::warn!("processes did not end and are killed");
    }
    guard.stop();
    current.account.log().close();
}
