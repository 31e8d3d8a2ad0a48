//! How the served configuration came about, and why a later file is not it: for operators.

use std::sync::{Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// What is told and counted of loads.
pub(crate) struct Loading {
    loaded: IntCounter,
    refused: IntCounter,
    since: IntGauge,
    /// What stands in the way of the file as it is now.
    refusal: Mutex<Option<String>>,
}

impl Loading {
    /// The first file was loaded just now.
    ///
    /// # Errors
    /// When the registry holds one of these names already.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
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
        })
    }

    /// Another file is served from now on.
    pub(crate) fn loaded(&self) {
        *self.locked() = None;
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

    fn locked(&self) -> MutexGuard<'_, Option<String>> {
        self.refusal
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
