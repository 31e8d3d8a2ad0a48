//! `cache`: of which tools results are kept, how long, and for whom.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use config::scalar::Wrong;
use config::{Field, Located, Value, scalar};
use policy::Pick;
use proxy::{CacheRule, Caching};

/// How long a result holds when its rule does not say.
const TTL: Duration = Duration::from_secs(60);

/// How long it may.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Nothing is kept unless the section names it. `upstreams` is that section, as it is written.
pub(super) fn check(field: &Field<'_>, upstreams: &Field<'_>) -> Caching {
    // What is wrong there is told where it is read for good.
    let written = match upstreams.node().map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    let names: Vec<&str> = written.iter().map(|entry| entry.key.as_str()).collect();
    let mut all = HashMap::new();
    for (name, field) in field.entries().unwrap_or_default() {
        let Some(upstream) = written.iter().find(|entry| entry.key == name.value) else {
            let text = format!("there is no upstream `{}`", scalar::shown(&name.value));
            field.report(text, Some(&scalar::suggestion(&name.value, &names)));
            continue;
        };
        let trusted = is_trusted(&upstream.node.value);
        let rules = match field.node().map(|node| &node.value) {
            Some(Value::List(_)) => field.list().unwrap_or_default(),
            _ => vec![field],
        };
        let rules = rules.iter().filter_map(|field| rule(field, trusted));
        all.insert(name.value.as_str().into(), rules.collect());
    }
    Caching::new(all)
}

fn rule(field: &Field<'_>, trusted: bool) -> Option<CacheRule> {
    let mut fields = field.fields()?;
    let named = fields.optional("tools");
    let tools = Pick::check(&named);
    let hinted = fields.optional("read_only");
    let read_only = hinted.flag().is_some_and(Located::into_value);
    let ttl = fields.optional("ttl").parsed(|text| {
        let ttl = scalar::duration(text)?;
        match (Duration::from_secs(1)..=LONGEST).contains(&ttl) {
            true => Ok(ttl),
            false => Err(Wrong::new("a result holds from 1s to 24h")),
        }
    });
    let shared = fields.optional("shared").flag().is_some_and(Located::into_value);
    fields.finish();
    if !named.is_written() && !read_only {
        field.report(
            "it does not say of which tools",
            Some("name those whose results may be kept: `tools: [find, \"get_*\"]`"),
        );
    }
    if read_only && !trusted {
        hinted.report(
            "this believes what the server says of its tools, and its upstream is not trusted",
            Some("write `trusted: true` at that upstream, or name tools: `tools: [find, \"get_*\"]`"),
        );
    }
    Some(CacheRule {
        tools,
        read_only,
        ttl: ttl.map_or(TTL, Located::into_value),
        shared,
    })
}

/// The upstreams whose word about their tools is taken. What is wrong there is told where it is read for good.
pub(super) fn trusted(upstreams: &Field<'_>) -> HashSet<Arc<str>> {
    let Some(Value::Map(entries)) = upstreams.node().map(|node| &node.value) else {
        return HashSet::new();
    };
    let trusted = entries.iter().filter(|entry| is_trusted(&entry.node.value));
    trusted.map(|entry| entry.key.as_str().into()).collect()
}

fn is_trusted(upstream: &Value) -> bool {
    let Value::Map(entries) = upstream else {
        return false;
    };
    let trusted = entries.iter().find(|entry| entry.key == "trusted");
    trusted.is_some_and(|entry| entry.node.value == Value::Bool(true))
}
