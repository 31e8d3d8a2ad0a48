//! A client that leaves before its answer.
//!
//! A 2026-07-28 client takes its call back by leaving: the call is dropped, and dropping it tells the
//! upstream. A legacy client may only have lost its connection, and one with an idempotency key will ask again, so
//! their calls run to their ends without them (`protocol.md` §2.4).

use std::sync::Arc;

use audit::Outcome;

use crate::answer::Answer;
use crate::call::Call;
use crate::generation::Generation;
use crate::serve::Served;

/// The client left before its answer began; its call goes on or does not.
pub(crate) fn leave(
    current: &Arc<Generation>,
    goes_on: bool,
    work: impl Future<Output = Served> + Send + 'static,
) {
    if goes_on {
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
    if call.goes_on() {
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
