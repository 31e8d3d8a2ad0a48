//! A call that waits for what another call finds out.

use mcp::Era;
use tokio_util::sync::CancellationToken;
use upstream::Fault;

use crate::call::Call;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::generation::Generation;

/// Waits for what is found, as long as this call may take and its client wants it.
///
/// # Errors
/// When its time is over, its server was removed, or its client took it back.
pub(crate) async fn wait<T>(
    current: &Generation,
    call: &Call,
    deadline: &mut Deadline,
    found: impl Future<Output = T>,
) -> Result<T, Failure> {
    let session = call.session.as_ref().filter(|_| call.era == Era::Legacy);
    let running = session
        .zip(call.message.id())
        .and_then(|(session, id)| current.sessions.running().run(&session.id, id));
    // Of two that run under one id, which one would be taken back?
    let taken_back = running
        .as_ref()
        .map_or_else(CancellationToken::new, |running| running.taken_back());
    let upstream = deadline.upstream().clone();
    tokio::select! {
        biased;
        () = taken_back.cancelled() => Err(Fault::Cancelled.of(&upstream).into()),
        found = deadline.keep(async { Ok(found.await) }) => found,
    }
}
