//! Running calls that wait for their clients' return, each for so long (`protocol.md` §2.5.3).
//!
//! Nobody reads on while one waits: what its server says meanwhile stays on the wire, which is bound enough.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt as _;
use mcp::{Id, Message, Method};
use prometheus::IntGauge;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::incoming::{Incoming, REMOVED};

/// Calls that may wait at once.
const WAITING: usize = 4096;

/// Of them, calls of one upstream.
const OF_ONE: usize = 1024;

/// Calls whose servers are told of their end at once.
const SIDE_BY_SIDE: usize = 256;

/// Why a call is cancelled that nobody came back for …
const LEFT: &str = "its client did not come back";

/// … and one that nobody could come back for.
pub(crate) const STOPPING: &str = "the gateway stops";

/// All calls that wait.
pub(crate) struct Parked {
    /// Tells this process from the one before it, which kept other calls.
    pub(crate) process: u64,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    calls: HashMap<u128, Waiting>,
    /// The gateway stops: nobody will come back here.
    closed: bool,
}

struct Waiting {
    call: ParkedCall,
    /// Ends the call when nobody comes; given up when somebody does.
    _end: AbortOnDropHandle<()>,
}

/// A call that waits.
pub(crate) struct ParkedCall {
    pub(crate) incoming: Incoming,
    /// What its server asked and was not answered yet.
    pub(crate) questions: Vec<Question>,
    pub(crate) round: u32,
    pub(crate) upstream: Arc<str>,
    /// Since when.
    pub(crate) since: Instant,
    pub(crate) _counted: Counted,
}

/// Counts a call for as long as it waits.
pub(crate) struct Counted(IntGauge);

impl Counted {
    pub(crate) fn in_gauge(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A question of its server.
pub(crate) struct Question {
    /// What its client is to call it.
    pub(crate) key: String,
    /// What its server calls it.
    pub(crate) id: Id,
    pub(crate) method: Method,
    /// As its client is to read it, for asking once more.
    pub(crate) params: Option<Vec<u8>>,
}

/// Why a call cannot wait.
#[derive(Debug)]
pub(crate) enum NotKept {
    /// As many wait as may.
    Full(ParkedCall),
    /// The gateway stops.
    Stopping(ParkedCall),
}

impl Default for Parked {
    fn default() -> Self {
        Self {
            process: fastrand::u64(..),
            table: Mutex::default(),
        }
    }
}

impl Parked {
    /// Keeps a call until somebody takes it, or until `within` has passed or its upstream is cut: then it is ended.
    ///
    /// # Errors
    /// With the call, whose server is still to be told.
    pub(crate) fn keep(self: &Arc<Self>, call: ParkedCall, within: Duration) -> Result<u128, Box<NotKept>> {
        let mut table = self.locked();
        if table.closed {
            return Err(Box::new(NotKept::Stopping(call)));
        }
        let calls = &mut table.calls;
        let of_one = || {
            let same = calls
                .values()
                .filter(|waiting| waiting.call.upstream == call.upstream);
            same.count()
        };
        if calls.len() >= WAITING || of_one() >= OF_ONE {
            return Err(Box::new(NotKept::Full(call)));
        }
        let number = fastrand::u128(..);
        let parked = Arc::downgrade(self);
        let removal = call.incoming.removal();
        let end = tokio::spawn(async move {
            let why = tokio::select! {
                () = tokio::time::sleep(within) => LEFT,
                () = removal.is_cut() => REMOVED,
            };
            let waited = parked.upgrade().and_then(|parked| parked.let_go(number));
            if let Some(call) = waited {
                call.end(why).await;
            }
        });
        let end = AbortOnDropHandle::new(end);
        calls.insert(number, Waiting { call, _end: end });
        Ok(number)
    }

    /// The call of this number, if it waits, and if its client was last asked in this round. Nobody else gets it.
    pub(crate) fn take(&self, number: u128, round: u32) -> Option<ParkedCall> {
        let mut table = self.locked();
        let calls = &mut table.calls;
        calls.get(&number).filter(|waiting| waiting.call.round == round)?;
        calls.remove(&number).map(|waiting| waiting.call)
    }

    /// Ends all of them, and keeps no others: the gateway stops, and nobody could come back.
    pub(crate) async fn close(&self) {
        let calls = {
            let mut table = self.locked();
            table.closed = true;
            std::mem::take(&mut table.calls)
        };
        let ended = futures_util::stream::iter(calls.into_values().map(|waiting| waiting.call));
        ended
            .for_each_concurrent(SIDE_BY_SIDE, |call| call.end(STOPPING))
            .await;
    }

    /// Takes a call out of the table whose end is at hand, which therefore must not be given up.
    fn let_go(&self, number: u128) -> Option<ParkedCall> {
        let waiting = self.locked().calls.remove(&number)?;
        waiting._end.detach();
        Some(waiting.call)
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl ParkedCall {
    /// Nobody comes back: its server hears that there are no answers, and that the call is over.
    pub(crate) async fn end(mut self, why: &str) {
        for question in &self.questions {
            self.incoming.say(&question.refusal()).await;
        }
        self.incoming.cancel(why).await;
    }
}

impl Question {
    /// What its server hears when no answer comes.
    pub(crate) fn refusal(&self) -> Message {
        match self.method {
            Method::ElicitationCreate => Message::result_reply(&self.id, r#"{"action":"cancel"}"#),
            Method::SamplingCreateMessage => {
                Message::error_reply(Some(&self.id), -1, "User rejected sampling request", None)
            }
            _ => {
                let words = "the client did not answer";
                Message::error_reply(Some(&self.id), mcp::code::INTERNAL_ERROR, words, None)
            }
        }
    }
}

impl std::fmt::Debug for ParkedCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("ParkedCall");
        shown.field("upstream", &self.upstream).finish_non_exhaustive()
    }
}
