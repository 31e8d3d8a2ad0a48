//! A client that leaves before its answer.
//!
//! A 2026-07-28 client takes its call back by leaving: the call is dropped, and dropping it tells the
//! upstream. A legacy client may only have lost its connection, so its call runs to its end without
//! it (`protocol.md` §2.4).

use std::sync::Arc;

use audit::Outcome;
use mcp::Era;

use crate::answer::Answer;
use crate::call::Call;
use crate::generation::Generation;
use crate::serve::Served;

/// The client left before its answer began.
pub(crate) fn leave(
    current: &Arc<Generation>,
    era: Era,
    work: impl Future<Output = Served> + Send + 'static,
) {
    if era == Era::Legacy {
        current.detach(async move {
            let Served { call, outcome } = work.await;
            match outcome {
                Ok(answer) => finish_alone(call, answer).await,
                Err(failure) => call.entry.failed(&failure.verdict(), None),
            }
        });
    }
}

/// The client left while its answer was coming.
pub(crate) fn depart(current: &Arc<Generation>, call: Call, answer: Box<Answer>) {
    if call.era == Era::Legacy {
        current.detach(finish_alone(call, answer));
    }
}

/// Waits for an answer that nobody will read, and closes the account with it.
async fn finish_alone(call: Call, mut answer: Box<Answer>) {
    match answer.last().await {
        Ok(Some(message)) => call.entry.answered(&message, None),
        Ok(None) => call.entry.finish(Outcome::Ok, None, None),
        Err(failure) => call.entry.failed(&failure.verdict(), None),
    }
}
