//! What is counted of the catalogs of one upstream.

use std::sync::{Arc, OnceLock};

use prometheus::IntGauge;

use super::{Catalog, Listing};
use crate::metrics::Metrics;

/// How a reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There is something else now.
    Changed,
    /// There is what was there before.
    Unchanged,
    /// A list of it could not be read.
    Incomplete,
    /// Nothing could be read.
    Failed,
}

/// The counters of one upstream. What was counted leaves by the same gauges that it came by, also when those
/// are shown no more.
pub(crate) struct Tally {
    upstream: Arc<str>,
    metrics: Arc<Metrics>,
    gauges: OnceLock<Gauges>,
}

struct Gauges {
    items: [IntGauge; 4],
    bytes: IntGauge,
}

impl Outcome {
    pub(crate) const ALL: [Self; 4] = [Self::Changed, Self::Unchanged, Self::Incomplete, Self::Failed];

    /// What it is called in metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
        }
    }
}

impl Tally {
    /// Nothing yet.
    pub(super) fn new(upstream: &Arc<str>, metrics: &Arc<Metrics>) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            metrics: Arc::clone(metrics),
            gauges: OnceLock::new(),
        }
    }

    /// One catalog takes the place of another.
    pub(super) fn change(&self, before: Option<&Catalog>, after: Option<&Catalog>) {
        if before.is_none() && after.is_none() {
            return;
        }
        let gauges = self.gauges.get_or_init(|| self.open());
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for listing in Listing::ALL {
            let items = |catalog: Option<&Catalog>| {
                let list = catalog.and_then(|catalog| catalog.list(listing));
                list.map_or(0, |list| signed(list.items.len()))
            };
            gauges.items[listing as usize].add(items(after) - items(before));
        }
        let bytes = |catalog: Option<&Catalog>| catalog.map_or(0, |catalog| signed(catalog.bytes));
        gauges.bytes.add(bytes(after) - bytes(before));
    }

    /// A reading ended.
    pub(super) fn read(&self, outcome: Outcome) {
        let reads = &self.metrics.catalog_reads;
        reads.with_label_values(&[&*self.upstream, outcome.word()]).inc();
    }

    fn open(&self) -> Gauges {
        let items = |listing: Listing| {
            let items = &self.metrics.catalog_items;
            items.with_label_values(&[&*self.upstream, listing.word()])
        };
        Gauges {
            items: Listing::ALL.map(items),
            bytes: self.metrics.catalog_bytes.with_label_values(&[&self.upstream]),
        }
    }
}
