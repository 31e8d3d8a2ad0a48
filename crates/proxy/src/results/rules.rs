//! What the file says is kept: of which tools, how long, and for whom.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mcp::{Kind, Method};
use policy::Pick;

use crate::call::Call;

/// The rules of all upstreams, by their names.
#[derive(Debug, Default)]
pub struct Caching(HashMap<Arc<str>, Vec<CacheRule>>);

/// Which results are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRule {
    /// Tools by the names that their server has for them.
    pub tools: Pick,
    /// Only tools that the server lists with `readOnlyHint`, which is believed.
    pub read_only: bool,
    /// How long a result holds.
    pub ttl: Duration,
    /// Whether callers are given what others asked for.
    pub shared: bool,
}

impl Caching {
    /// These rules of each upstream, of which the first that fits counts.
    pub fn new(rules: HashMap<Arc<str>, Vec<CacheRule>>) -> Self {
        Self(rules)
    }

    /// The rule for this call to this upstream.
    pub(crate) fn rule(&self, call: &Call, upstream: &str) -> Option<&CacheRule> {
        if self.0.is_empty() || call.message.method() != Some(&Method::ToolsCall) {
            return None;
        }
        let rules = self.0.get(upstream)?;
        if call.message.kind() != Kind::Request {
            return None;
        }
        let tool = call.message.subject()?;
        rules.iter().find(|rule| rule.tools.shows(&tool))
    }
}
