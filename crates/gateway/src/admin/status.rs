//! What is known of the upstreams now.

use std::time::UNIX_EPOCH;

use prometheus::Registry;
use proxy::Generation;
use serde_json::{Value, json};

use crate::introductions::Introductions;
use crate::loading::Loading;

/// One entry per upstream of the file, those that are switched off last.
pub(super) fn upstreams(current: &Generation, knows: &Introductions, loading: &Loading) -> Vec<Value> {
    let known = knows.lock();
    let alias = |name: &str| current.aliases.get(name).map(|alias| alias.as_str());
    let served = current.upstreams.iter().map(|upstream| {
        let introduction = known.get(&*upstream.name);
        let eras = upstream.eras();
        // A catalog is read anew behind; what was counted at the start stands in until there is one.
        let tools = upstream.known_tools().or_else(|| {
            let introduction = introduction?;
            Some((
                introduction.outcome.as_ref().ok()?.tools?,
                introduction.at.elapsed(),
            ))
        });
        let up = upstream.is_up();
        let injection = current.injections.get(&upstream.name);
        // One whose headers are made of what a call brings is sent nothing before there is a call.
        let waits = introduction.is_none() || injection.is_some_and(|injection| injection.needs_call());
        let state = match up {
            true => "up",
            false if waits && eras.is_none() => "unknown",
            false => "down",
        };
        json!({
            "name": &*upstream.name,
            "alias": alias(&upstream.name),
            "transport": upstream.kind(),
            "state": state,
            "up": up,
            "revision": eras.and_then(|eras| eras.newest()).map(|revision| revision.as_str()),
            "tools": tools.map(|(count, _)| count),
            "tools_age": tools.map(|(_, age)| age.as_secs()),
            "error": introduction.and_then(|introduction| introduction.outcome.as_ref().err()),
        })
    });
    let disabled = loading.disabled().into_iter().map(|disabled| {
        json!({
            "name": &*disabled.name,
            "alias": alias(&disabled.name),
            "transport": disabled.transport,
            "state": "disabled",
            "up": false,
        })
    });
    served.chain(disabled).collect()
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
