//! What the data plane counts. Labels come from closed sets: routes and upstreams of the
//! configuration, methods of the protocol, outcomes of ours.

use std::sync::OnceLock;

use audit::Outcome;
use mcp::Method;
use prometheus::core::Collector as _;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::idempotency::Repeat;
use crate::results::Lookup;

/// Upper bounds of the duration buckets, in seconds.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0,
];

/// Counters of the data plane.
pub struct Metrics {
    requests: IntCounterVec,
    durations: HistogramVec,
    /// Requests that were refused before they reached a route.
    pub unrouted: IntCounter,
    /// Requests being served now.
    pub running: IntGauge,
    /// Event streams open now.
    pub streams: IntGauge,
    /// Calls whose client left and that run to their end.
    pub detached: IntGauge,
    /// Calls that wait for the answers of their users.
    pub parked: IntGauge,
    /// Streams that are told of or kept, so that clients can come back to them.
    pub(crate) resumable_streams: IntGauge,
    /// Bytes of events kept for them.
    pub(crate) replay_bytes: IntGauge,
    /// Streams that clients came back to.
    pub(crate) streams_resumed: IntCounter,
    /// Clients that came back for what is not kept, or never was.
    pub(crate) resumptions_refused: IntCounter,
    /// Sessions begun.
    pub sessions_begun: IntCounter,
    /// Sessions ended by their client.
    pub sessions_ended: IntCounter,
    /// Requests that named a session other than theirs, or none that exists.
    pub sessions_unknown: IntCounter,
    /// Answers of clients to a question that nobody asks, or no longer.
    pub answers_to_nothing: IntCounter,
    /// Requests of whom it is not known who makes them, by cause.
    pub unidentified: IntCounterVec,
    /// Streams held open for clients, by door.
    pub(crate) held: [IntGauge; 2],
    /// Sessions of the 2024-11-05 transport that were opened, by route.
    pub(crate) sse_sessions: IntCounterVec,
    /// Calls of tools whose results are kept, by how they were answered.
    pub(crate) results_lookups: [IntCounter; Lookup::ALL.len()],
    /// Bytes of results that are kept.
    pub(crate) results_bytes: IntGauge,
    /// Results that made place for others.
    pub(crate) results_displaced: IntCounter,
    /// Calls with idempotency keys, by what became of them.
    pub(crate) idempotency_calls: [IntCounter; Repeat::ALL.len()],
    /// Idempotency keys that are remembered.
    pub(crate) idempotency_keys: IntGauge,
    /// Requests whose version header differs from their session's revision.
    pub revision_differs: IntCounter,
}

/// The counters of one route with one upstream, looked up once per method.
pub(crate) struct Meters {
    route: String,
    upstream: String,
    by_method: [OnceLock<Meter>; Method::COUNT],
}

struct Meter {
    outcomes: [IntCounter; Outcome::ALL.len()],
    duration: Histogram,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// When the registry holds one of these names already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let requests = IntCounterVec::new(
            Opts::new("causeway_requests_total", "Messages served."),
            &["route", "upstream", "method", "outcome"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "causeway_request_duration_seconds",
                "From a request's head to the end of its answer.",
            )
            .buckets(BUCKETS.to_vec()),
            &["route", "upstream", "method"],
        )?;
        registry.register(Box::new(durations.clone()))?;
        let held = IntGaugeVec::new(
            Opts::new("causeway_held_streams", "Streams held open for clients now."),
            &["door"],
        )?;
        registry.register(Box::new(held.clone()))?;
        let held = ["http", "sse"].map(|door| held.with_label_values(&[door]));
        let sse_sessions = IntCounterVec::new(
            Opts::new(
                "causeway_sse_sessions_total",
                "Sessions of the 2024-11-05 transport that were opened.",
            ),
            &["route"],
        )?;
        registry.register(Box::new(sse_sessions.clone()))?;
        let unidentified = IntCounterVec::new(
            Opts::new(
                "causeway_unidentified_requests_total",
                "Requests of whom it is not known who makes them.",
            ),
            &["cause"],
        )?;
        registry.register(Box::new(unidentified.clone()))?;
        let lookups = IntCounterVec::new(
            Opts::new(
                "causeway_results_lookups_total",
                "Calls of tools whose results are kept.",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(lookups.clone()))?;
        let repeats = IntCounterVec::new(
            Opts::new("causeway_idempotency_calls_total", "Calls with idempotency keys."),
            &["outcome"],
        )?;
        registry.register(Box::new(repeats.clone()))?;
        Ok(Self {
            requests,
            durations,
            unrouted: counter(
                "causeway_unrouted_requests_total",
                "Requests refused before they reached a route.",
            )?,
            running: gauge("causeway_running_requests", "Requests being served now.")?,
            streams: gauge("causeway_open_streams", "Event streams open now.")?,
            detached: gauge(
                "causeway_detached_calls",
                "Calls whose client left and that run to their end.",
            )?,
            parked: gauge(
                "causeway_parked_calls",
                "Calls of 2026-07-28 clients that wait for the answers of their users.",
            )?,
            resumable_streams: gauge(
                "causeway_resumable_streams",
                "Streams that clients can come back to.",
            )?,
            replay_bytes: gauge(
                "causeway_replay_bytes",
                "Bytes of events kept for clients that come back.",
            )?,
            streams_resumed: counter(
                "causeway_streams_resumed_total",
                "Streams that clients came back to.",
            )?,
            resumptions_refused: counter(
                "causeway_resumptions_refused_total",
                "Clients that came back for events that are not kept, or never were.",
            )?,
            sessions_begun: counter("causeway_sessions_begun_total", "Legacy sessions begun.")?,
            sessions_ended: counter(
                "causeway_sessions_ended_total",
                "Legacy sessions ended by their client.",
            )?,
            sessions_unknown: counter(
                "causeway_sessions_unknown_total",
                "Requests that named a session other than theirs, or none that exists.",
            )?,
            answers_to_nothing: counter(
                "causeway_answers_to_nothing_total",
                "Answers of clients to a question that nobody asks, or no longer.",
            )?,
            unidentified,
            held,
            sse_sessions,
            results_lookups: Lookup::ALL.map(|lookup| lookups.with_label_values(&[lookup.as_str()])),
            idempotency_calls: Repeat::ALL.map(|repeat| repeats.with_label_values(&[repeat.as_str()])),
            idempotency_keys: gauge(
                "causeway_idempotency_keys",
                "Idempotency keys whose calls run or are remembered.",
            )?,
            results_bytes: gauge(
                "causeway_results_bytes",
                "Bytes of results of tools that are kept.",
            )?,
            results_displaced: counter(
                "causeway_results_displaced_total",
                "Results of tools that made place for others before their time.",
            )?,
            revision_differs: counter(
                "causeway_revision_differs_total",
                "Requests whose version header differs from their session's revision.",
            )?,
        })
    }

    /// Counts one exchange.
    pub(crate) fn count(&self, meters: &Meters, method: Option<&Method>, outcome: Outcome, seconds: f64) {
        let (index, label) = method.map_or((Method::COUNT - 1, "other"), |method| {
            (method.index(), method.label())
        });
        let meter = meters.by_method[index].get_or_init(|| self.meter(meters, label));
        meter.outcomes[outcome as usize].inc();
        meter.duration.observe(seconds);
    }

    /// Forgets what was counted for routes and upstreams that are no more. `stays` is asked with a
    /// route and the upstream behind it, `none` where none was reached.
    ///
    /// To be called when nobody counts for them any more: who does begins their lines anew.
    pub fn retain(&self, stays: impl Fn(&str, &str) -> bool) {
        for family in self.requests.collect().iter().chain(&self.durations.collect()) {
            for metric in family.get_metric() {
                let label = |name: &str| {
                    let mut labels = metric.get_label().iter();
                    labels
                        .find(|label| label.name() == name)
                        .map_or("", |label| label.value())
                };
                let (route, upstream, method) = (label("route"), label("upstream"), label("method"));
                if stays(route, upstream) {
                    continue;
                }
                // A family has labels of its own; it is no error that another has not the same.
                let _ = self.durations.remove_label_values(&[route, upstream, method]);
                if !stays(route, "none") {
                    let _ = self.sse_sessions.remove_label_values(&[route]);
                }
                let _ = self
                    .requests
                    .remove_label_values(&[route, upstream, method, label("outcome")]);
            }
        }
    }

    fn meter(&self, meters: &Meters, method: &str) -> Meter {
        let (route, upstream) = (&*meters.route, &*meters.upstream);
        Meter {
            outcomes: Outcome::ALL.map(|outcome| {
                self.requests
                    .with_label_values(&[route, upstream, method, outcome.as_str()])
            }),
            duration: self.durations.with_label_values(&[route, upstream, method]),
        }
    }
}

impl Meters {
    /// For one route with one upstream; `none` where no upstream was reached.
    pub(crate) fn new(route: &str, upstream: Option<&str>) -> Self {
        Self {
            route: route.to_owned(),
            upstream: upstream.unwrap_or("none").to_owned(),
            by_method: [const { OnceLock::new() }; Method::COUNT],
        }
    }
}
