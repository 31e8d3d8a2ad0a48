//! What is counted beside the upstreams.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::catalog::{Listing, Outcome};

/// Counters of all upstreams, labelled by the upstream's name in the configuration.
pub struct Metrics {
    /// Processes running now.
    pub children: IntGaugeVec,
    /// Processes that ended without being told to.
    pub crashes: IntCounterVec,
    /// Lines on a process's output, and events of an HTTP+SSE server, that are no message.
    pub garbage: IntCounterVec,
    /// Answers to nothing, or to a request that was answered already: dropped.
    pub foreign_answers: IntCounterVec,
    /// Notifications and requests of a server that belong to no running call, or found its reader
    /// too slow: dropped.
    pub dropped: IntCounterVec,
    /// Times an upstream was asked which era it speaks.
    pub probes: IntCounterVec,
    /// Sessions that an upstream had lost and that were begun anew.
    pub renewed: IntCounterVec,
    /// Idle sessions with a process or a connection of their own that made place for another.
    pub displaced: IntCounterVec,
    /// Whether an upstream is left alone for a while since it could not be reached: 1 or 0.
    pub breaker_open: IntGaugeVec,
    /// Event streams of HTTP+SSE servers that are open now.
    pub event_streams: IntGaugeVec,
    /// Those of them that ended without the gateway's doing.
    pub event_streams_lost: IntCounterVec,
    /// Streams outside of calls that are open now in sessions of the gateway's own.
    pub session_streams: IntGaugeVec,
    /// Sets of credentials, and sessions of the gateway's own, with which the changes of an upstream are
    /// followed now.
    pub feeds: IntGaugeVec,
    /// Streams of its changes that ended without the gateway's doing.
    pub feeds_lost: IntCounterVec,
    /// Whether the last exchange with the upstream went through: 1 or 0.
    pub up: IntGaugeVec,
    /// What its catalogs list, by list.
    pub(crate) catalog_items: IntGaugeVec,
    /// Bytes of its catalogs in memory.
    pub(crate) catalog_bytes: IntGaugeVec,
    /// Readings of its catalogs, by what came of them.
    pub(crate) catalog_reads: IntCounterVec,
    counters: Vec<IntCounterVec>,
    gauges: Vec<IntGaugeVec>,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// When the registry holds one of these names already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let (mut counters, mut gauges) = (Vec::new(), Vec::new());
        let mut counter = |name: &str, help: &str| -> prometheus::Result<IntCounterVec> {
            let counter = IntCounterVec::new(Opts::new(name, help), &["upstream"])?;
            registry.register(Box::new(counter.clone()))?;
            counters.push(counter.clone());
            Ok(counter)
        };
        let mut gauge = |name: &str, help: &str| -> prometheus::Result<IntGaugeVec> {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &["upstream"])?;
            registry.register(Box::new(gauge.clone()))?;
            gauges.push(gauge.clone());
            Ok(gauge)
        };
        let of_list = Opts::new(
            "causeway_catalog_items",
            "What is listed in the catalogs of the upstream, of all sets of credentials together.",
        );
        let catalog_items = IntGaugeVec::new(of_list, &["upstream", "list"])?;
        registry.register(Box::new(catalog_items.clone()))?;
        let reads = Opts::new(
            "causeway_catalog_reads_total",
            "Readings of a catalog of the upstream.",
        );
        let catalog_reads = IntCounterVec::new(reads, &["upstream", "outcome"])?;
        registry.register(Box::new(catalog_reads.clone()))?;
        Ok(Self {
            catalog_items,
            catalog_reads,
            catalog_bytes: gauge(
                "causeway_catalog_bytes",
                "Memory that the catalogs of the upstream take, about.",
            )?,
            children: gauge("causeway_upstream_children", "Processes running now.")?,
            crashes: counter(
                "causeway_upstream_crashes_total",
                "Processes that ended without being told to.",
            )?,
            garbage: counter(
                "causeway_upstream_garbage_lines_total",
                "Lines on a process's output, and events of an HTTP+SSE server, that are no message.",
            )?,
            foreign_answers: counter(
                "causeway_upstream_foreign_answers_total",
                "Answers to nothing, or to a request that was answered already.",
            )?,
            dropped: counter(
                "causeway_upstream_dropped_messages_total",
                "Messages of a server that belong to no running call or found its reader too slow.",
            )?,
            probes: counter(
                "causeway_upstream_probes_total",
                "Times an upstream was asked which era it speaks.",
            )?,
            renewed: counter(
                "causeway_upstream_sessions_renewed_total",
                "Sessions that the upstream had lost and that were begun anew.",
            )?,
            displaced: counter(
                "causeway_upstream_sessions_displaced_total",
                "Idle sessions with a process or a connection of their own that made place for another.",
            )?,
            breaker_open: gauge(
                "causeway_upstream_breaker_open",
                "Whether the upstream is left alone for a while since it could not be reached.",
            )?,
            event_streams: gauge(
                "causeway_upstream_event_streams",
                "Event streams of HTTP+SSE servers that are open now.",
            )?,
            event_streams_lost: counter(
                "causeway_upstream_event_streams_lost_total",
                "Event streams of HTTP+SSE servers that ended by themselves.",
            )?,
            session_streams: gauge(
                "causeway_upstream_session_streams",
                "Streams outside of calls that are open now in sessions of the gateway's own.",
            )?,
            feeds: gauge(
                "causeway_upstream_feeds",
                "Sets of credentials and sessions with which the upstream's changes are followed now.",
            )?,
            feeds_lost: counter(
                "causeway_upstream_feeds_lost_total",
                "Streams of an upstream's changes that ended by themselves.",
            )?,
            up: gauge(
                "causeway_upstream_up",
                "Whether the last exchange with the upstream went through.",
            )?,
            counters,
            gauges,
        })
    }

    /// Forgets what was counted for an upstream that is no more.
    pub fn forget(&self, upstream: &str) {
        // It is no error that nothing was counted for it.
        for counter in &self.counters {
            let _ = counter.remove_label_values(&[upstream]);
        }
        for gauge in &self.gauges {
            let _ = gauge.remove_label_values(&[upstream]);
        }
        for listing in Listing::ALL {
            let _ = self
                .catalog_items
                .remove_label_values(&[upstream, listing.word()]);
        }
        for outcome in Outcome::ALL {
            let _ = self
                .catalog_reads
                .remove_label_values(&[upstream, outcome.word()]);
        }
    }
}

/// One more of something, until it is dropped.
pub(crate) struct Counted(IntGauge);

impl Counted {
    pub(crate) fn one(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
