//! Calls of sessions whose server knows no sessions: their client takes one back by naming its id, and nobody but
//! the gateway can tell which call that is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use mcp::Id;
use tokio_util::sync::CancellationToken;

use super::shrink::shrink;
use super::token;

/// Every such call that runs; as many as run at once.
#[derive(Default)]
pub(crate) struct RunningCalls {
    table: Mutex<HashMap<(token::Id, Id), CancellationToken>>,
}

/// One of them. When it is dropped the call is over.
pub(crate) struct RunningCall {
    calls: Arc<RunningCalls>,
    key: (token::Id, Id),
    taken_back: CancellationToken,
}

impl RunningCalls {
    /// Notes that a call runs; `None` when the session has one with this id running.
    pub(crate) fn run(self: &Arc<Self>, session: &token::Id, call: &Id) -> Option<RunningCall> {
        let key = (session.clone(), call.clone());
        let taken_back = CancellationToken::new();
        let mut table = self.locked();
        if table.contains_key(&key) {
            return None;
        }
        table.insert(key.clone(), taken_back.clone());
        Some(RunningCall {
            calls: Arc::clone(self),
            key,
            taken_back,
        })
    }

    /// Its client takes it back. What does not run any more cannot be.
    pub(crate) fn take_back(&self, session: &token::Id, call: &Id) {
        if let Some(taken_back) = self.locked().get(&(session.clone(), call.clone())) {
            taken_back.cancel();
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<(token::Id, Id), CancellationToken>> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl RunningCall {
    /// Told when its client takes it back.
    pub(crate) fn taken_back(&self) -> CancellationToken {
        self.taken_back.clone()
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        let mut calls = self.calls.locked();
        calls.remove(&self.key);
        shrink(&mut calls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_taken_back_in_its_own_session_only() {
        let calls = Arc::new(RunningCalls::default());
        let (ours, theirs) = (token::Id::new(), token::Id::new());
        let call = calls.run(&ours, &Id::number(1)).unwrap();

        calls.take_back(&theirs, &Id::number(1));
        calls.take_back(&ours, &Id::text("1"));
        assert!(!call.taken_back().is_cancelled());

        calls.take_back(&ours, &Id::number(1));
        assert!(call.taken_back().is_cancelled());
    }

    #[test]
    fn an_id_that_runs_is_not_run_again() {
        let calls = Arc::new(RunningCalls::default());
        let session = token::Id::new();
        let call = calls.run(&session, &Id::number(1));
        assert!(calls.run(&session, &Id::number(1)).is_none());

        drop(call);

        assert!(calls.run(&session, &Id::number(1)).is_some());
        assert!(calls.locked().is_empty());
    }
}
