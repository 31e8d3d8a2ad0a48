//! How the served configuration came about, and why a later file is not it: for operators.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use upstream::kind::{Reach, Spoken};

use crate::document::Plan;

/// What is told and counted of loads.
pub(crate) struct Loading {
    loaded: IntCounter,
    refused: IntCounter,
    since: IntGauge,
    /// What stands in the way of the file as it is now.
    refusal: Mutex<Option<String>>,
    /// Upstreams of the served file that are switched off: their names and how they would be reached.
    disabled: Mutex<Vec<Disabled>>,
}

/// An upstream that the file has and nobody serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disabled {
    pub(crate) name: Arc<str>,
    /// `http`, `sse` or `stdio`, as far as the file says.
    pub(crate) transport: &'static str,
}

impl Disabled {
    /// Those of a file.
    pub(crate) fn of(plan: &Plan) -> Vec<Self> {
        let disabled = plan.upstreams.iter().filter(|(settings, _)| settings.disabled);
        disabled
            .map(|(settings, _)| Self {
                name: Arc::clone(&settings.name),
                transport: match settings.reach {
                    Reach::Url(_, Spoken::Sse) => "sse",
                    Reach::Url(_, Spoken::Either | Spoken::StreamableHttp) => "http",
                    Reach::Stdio(_) => "stdio",
                },
            })
            .collect()
    }
}

impl Loading {
    /// The first file was loaded just now.
    ///
    /// # Errors
    /// When the registry holds one of these names already.
    pub(crate) fn new(registry: &Registry, disabled: Vec<Disabled>) -> prometheus::Result<Self> {
        let reloads = IntCounterVec::new(
            Opts::new(
                "causeway_reloads_total",
                "Changed files that were loaded or refused.",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(reloads.clone()))?;
        let since = IntGauge::new(
            "causeway_config_loaded_timestamp_seconds",
            "When the served file was loaded, in seconds since 1970.",
        )?;
        registry.register(Box::new(since.clone()))?;
        since.set(now());
        Ok(Self {
            loaded: reloads.with_label_values(&["loaded"]),
            refused: reloads.with_label_values(&["refused"]),
            since,
            refusal: Mutex::default(),
            disabled: Mutex::new(disabled),
        })
    }

    /// Another file is served from now on.
    pub(crate) fn loaded(&self, disabled: Vec<Disabled>) {
        *self.locked() = None;
        *self.disabled.lock().unwrap_or_else(PoisonError::into_inner) = disabled;
        self.loaded.inc();
        self.since.set(now());
    }

    /// The file changed and is not served; `said` is what stands in the way, line by line.
    pub(crate) fn refused(&self, said: &str) {
        *self.locked() = Some(said.to_owned());
        self.refused.inc();
    }

    /// For the status page.
    pub(crate) fn shown(&self) -> serde_json::Value {
        serde_json::json!({
            "loaded_at": self.since.get(),
            "reloads": self.loaded.get(),
            "refused_reloads": self.refused.get(),
            "refused": *self.locked(),
        })
    }

    /// The upstreams that are switched off.
    pub(crate) fn disabled(&self) -> Vec<Disabled> {
        self.disabled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn locked(&self) -> MutexGuard<'_, Option<String>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
