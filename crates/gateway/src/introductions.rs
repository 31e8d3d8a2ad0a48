//! Getting to know the upstreams: each is asked once what it speaks, and shown when it has answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use proxy::Generation;
use tokio::task::JoinSet;
use upstream::{Headers, Summary, Upstream, summarize};

/// An upstream that has not said what it speaks by then is shown as one that did not.
const ASKED_WITHIN: Duration = Duration::from_secs(30);

/// What the upstreams turned out to be, by name.
#[derive(Default)]
pub(crate) struct Introductions {
    known: Mutex<HashMap<String, Known>>,
}

/// What one turned out to be, and when.
pub(crate) struct Known {
    pub(crate) outcome: Result<Summary, String>,
    pub(crate) at: Instant,
}

/// Upstreams that are being asked. Dropping it ends the questions.
#[derive(Default)]
pub(crate) struct Asked {
    asked: JoinSet<Answered>,
}

/// An upstream, and what it turned out to be.
pub(crate) type Answered = (Arc<Upstream>, Result<Summary, String>);

impl Introductions {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Known {
    pub(crate) fn now(outcome: Result<Summary, String>) -> Self {
        Self {
            outcome,
            at: Instant::now(),
        }
    }
}

impl Asked {
    /// Begins to ask one.
    pub(crate) fn ask(&mut self, upstream: &Arc<Upstream>, generation: &Generation) {
        let injection = generation.injections.get(&upstream.name).cloned();
        let upstream = Arc::clone(upstream);
        self.asked.spawn(async move {
            let asked = ask(&upstream, injection.as_deref());
            let outcome = tokio::select! {
                outcome = tokio::time::timeout(ASKED_WITHIN, asked) => outcome
                    .unwrap_or_else(|_| Err(format!("did not answer within {ASKED_WITHIN:?}"))),
                () = upstream.removed() => Err("was removed".into()),
            };
            (upstream, outcome)
        });
    }

    /// Whether all have answered.
    pub(crate) fn is_done(&self) -> bool {
        self.asked.is_empty()
    }

    /// The next that answers; never, when none is asked. May be given up and asked again: no answer
    /// is lost.
    pub(crate) async fn next(&mut self) -> Answered {
        loop {
            match self.asked.join_next().await {
                Some(Ok(answered)) => return answered,
                // One that broke is as one that does not answer.
                Some(Err(_)) => {}
                None => return std::future::pending().await,
            }
        }
    }
}

async fn ask(upstream: &Arc<Upstream>, injection: Option<&policy::Injection>) -> Result<Summary, String> {
    if injection.is_some_and(policy::Injection::needs_call) {
        return Err("its headers are made of what a call brings, so it is asked at the first call".into());
    }
    let injected = injection.map(policy::Injection::standing).unwrap_or_default();
    summarize(
        upstream,
        &Headers {
            injected,
            passed: Vec::new(),
        },
    )
    .await
    .map_err(|error| error.to_string())
}
