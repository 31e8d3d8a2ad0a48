//! What is known of the upstreams now.

use std::time::UNIX_EPOCH;

use prometheus::Registry;
use proxy::Generation;
use serde_json::{Value, json};

use crate::introductions::Introductions;

/// One entry per upstream.
pub(super) fn upstreams(current: &Generation, knows: &Introductions) -> Vec<Value> {
    let known = knows.lock();
    current
        .upstreams
        .iter()
        .map(|upstream| {
            let introduction = known.get(&*upstream.name);
            json!({
                "name": &*upstream.name,
                "transport": upstream.kind(),
                "up": upstream.is_up(),
                "revision": upstream.eras().and_then(|eras| eras.newest()).map(|revision| revision.as_str()),
                "tools": introduction.and_then(|introduction| introduction.as_ref().ok()?.tools),
                "error": introduction.and_then(|introduction| introduction.as_ref().err()),
            })
        })
        .collect()
}

/// Who came through the door of legacy SSE, those who came last first.
pub(super) fn legacy(current: &Generation) -> Vec<Value> {
    let uses = current.account.legacy().into_iter();
    uses.map(|used| {
        let last = used.last_used.duration_since(UNIX_EPOCH).unwrap_or_default();
        json!({
            "route": used.route,
            "upstream": used.upstream,
            "client": used.client,
            "sessions": used.sessions,
            "last_used": last.as_secs(),
        })
    })
    .collect()
}

/// Results that were not of their method's shape: how many, by upstream and method.
pub(super) fn malformed(metrics: &Registry) -> Vec<Value> {
    let families = metrics.gather();
    let requests = families
        .iter()
        .filter(|family| family.name() == "causeway_requests_total");
    requests
        .flat_map(|family| family.get_metric())
        .filter(|metric| metric.get_counter().get_value() > 0.0)
        .filter_map(|metric| {
            let label = |name: &str| metric.get_label().iter().find(|label| label.name() == name).map(|label| label.value());
            (label("outcome")? == "malformed")
                .then(|| json!({ "upstream": label("upstream"), "method": label("method"), "results": metric.get_counter().get_value() }))
        })
        .collect()
}
