//! The one place that every exchange passes on its way out: its record and its metrics.
//!
//! An exchange opens an [`Entry`] when it begins. Whoever answers it closes the entry with what
//! became of it; an entry that is dropped was given up by its client, and says so.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use audit::{Log, Outcome, Record};
use mcp::{Era, Kind, Message, Method, Revision};
use policy::rules::Effect;
use policy::{Permit, Principal};

use crate::call::Visit;
use crate::failure::Verdict;
use crate::idempotency::Repeat;
use crate::legacy::{LegacyUse, LegacyUses};
use crate::metrics::Metrics;
use crate::results::Lookup;
use crate::route::Route;
use crate::trace::Trace;

/// Bytes of a record's field that the client chose. Longer ones are cut there, and say so by `…`.
const FIELD: usize = 256;

/// Where exchanges are recorded and counted.
pub struct Account {
    log: Log,
    metrics: Arc<Metrics>,
    legacy: LegacyUses,
}

/// The open account of one exchange.
pub(crate) struct Entry {
    account: Arc<Account>,
    began: Instant,
    time: SystemTime,
    source: Option<IpAddr>,
    route: Option<Arc<Route>>,
    upstream: Option<Arc<str>>,
    trace: Trace,
    principal: Principal,
    spoken: Option<(Era, Revision)>,
    door: &'static str,
    message: Option<Message>,
    first_answer: Option<Instant>,
    lookup: Option<Lookup>,
    repeat: Option<Repeat>,
    bytes_out: u64,
    /// What the rules said of it, and the line of the one that did.
    decision: Option<(&'static str, Option<u32>)>,
    permit: Option<Permit>,
    closed: bool,
}

impl Account {
    /// Records to `log`, counts in `metrics`.
    pub fn new(log: Log, metrics: Arc<Metrics>) -> Self {
        metrics.running.set(0);
        let legacy = LegacyUses::default();
        Self { log, metrics, legacy }
    }

    /// Notes that a client came through the door of legacy SSE. `client` is its name and version.
    pub fn note_legacy(&self, route: &str, upstream: &str, client: &str) {
        self.legacy.note(route, upstream, client);
    }

    /// Who came through it, those who came last first.
    pub fn legacy(&self) -> Vec<LegacyUse> {
        self.legacy.all()
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where it is recorded.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Opens the account of an exchange that found its route.
    pub(crate) fn open(self: &Arc<Self>, visit: &Visit) -> Entry {
        let upstream = visit.to.only().map(|upstream| Arc::clone(&upstream.name));
        let mut entry = self.entry(
            visit.began,
            visit.time,
            visit.source,
            Some(Arc::clone(&visit.route)),
            upstream,
            visit.trace,
        );
        entry.principal = visit.principal.clone();
        entry
    }

    /// Opens the account of an exchange that was refused before.
    pub(crate) fn open_unrouted(
        self: &Arc<Self>,
        began: Instant,
        source: Option<IpAddr>,
        route: Option<Arc<Route>>,
    ) -> Entry {
        if route.is_none() {
            self.metrics.unrouted.inc();
        }
        self.entry(began, SystemTime::now(), source, route, None, Trace::begun())
    }

    fn entry(
        self: &Arc<Self>,
        began: Instant,
        time: SystemTime,
        source: Option<IpAddr>,
        route: Option<Arc<Route>>,
        upstream: Option<Arc<str>>,
        trace: Trace,
    ) -> Entry {
        self.metrics.running.inc();
        Entry {
            account: Arc::clone(self),
            began,
            time,
            source,
            route,
            upstream,
            trace,
            principal: Principal::default(),
            spoken: None,
            door: "http",
            message: None,
            first_answer: None,
            lookup: None,
            repeat: None,
            bytes_out: 0,
            decision: None,
            permit: None,
            closed: false,
        }
    }
}

impl Entry {
    /// The message that the exchange carries.
    pub(crate) fn carries(&mut self, message: &Message) {
        self.message = Some(message.clone());
        self.trace = self.trace.in_message(message);
    }

    /// The upstream that it turned out to be for.
    pub(crate) fn leads_to(&mut self, upstream: &Arc<str>) {
        self.upstream = Some(Arc::clone(upstream));
    }

    /// The era and the revision its client speaks.
    pub(crate) fn speaks(&mut self, era: Era, revision: Revision) {
        self.spoken = Some((era, revision));
    }

    /// Its client is one of the 2024-11-05 transport.
    pub(crate) fn by_sse(&mut self) {
        self.door = "sse";
    }

    /// What the rules said of it, and the line of the one that did.
    pub(crate) fn decided(&mut self, effect: Effect, line: Option<u32>) {
        let word = match effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
            Effect::Ask => "ask",
        };
        self.decision = Some((word, line));
    }

    /// It was made all the same, since the rules are only tried.
    pub(crate) fn only_dry(&mut self) {
        if let Some((word, _)) = &mut self.decision {
            *word = match *word {
                "ask" => "would_ask",
                _ => "would_deny",
            };
        }
    }

    /// It was let through, at the cost of what its caller may do; its places are given back at its end.
    pub(crate) fn permitted(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Something came back from the upstream.
    pub(crate) fn heard(&mut self) {
        self.first_answer.get_or_insert_with(Instant::now);
    }

    /// What is kept of its tool's results was looked at, with this outcome.
    pub(crate) fn looked_up(&mut self, lookup: Lookup) {
        self.lookup = Some(lookup);
    }

    /// It did not reach its server, since its idempotency key had been used.
    pub(crate) fn repeats(&mut self, repeat: Repeat) {
        self.repeat = Some(repeat);
    }

    /// Bytes of messages went to the client.
    pub(crate) fn told(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// Closes the account with the answer of an upstream.
    pub(crate) fn answered(mut self, answer: &Message, status: Option<u16>) {
        let outcome = match (answer.kind(), self.method()) {
            (Kind::Error, _) => Outcome::RpcError,
            (_, Some(method)) if !answer.is_ours() && !answer.result_has_shape_of(method) => {
                Outcome::Malformed
            }
            (_, Some(Method::ToolsCall)) if answer.is_tool_error() => Outcome::ToolError,
            _ => Outcome::Ok,
        };
        self.close(outcome, status, None);
    }

    /// Closes the account.
    pub(crate) fn finish(mut self, outcome: Outcome, status: Option<u16>, error: Option<&str>) {
        self.close(outcome, status, error);
    }

    /// Closes the account with what the client was told instead of an answer.
    pub(crate) fn failed(self, verdict: &Verdict, status: Option<u16>) {
        self.finish(verdict.outcome, status, Some(&verdict.words));
    }

    /// Closes the account without a record: the exchange is told of elsewhere, part by part.
    pub(crate) fn divided(mut self) {
        self.closed = true;
        self.account.metrics.running.dec();
    }

    fn method(&self) -> Option<&Method> {
        self.message.as_ref().and_then(Message::method)
    }

    fn close(&mut self, outcome: Outcome, status: Option<u16>, error: Option<&str>) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let took = self.began.elapsed();
        if let Some(permit) = &self.permit {
            let sent = self
                .message
                .as_ref()
                .map_or(0, |message| message.bytes().len() as u64);
            permit.charge(sent + self.bytes_out, Instant::now());
        }
        let account = &self.account;
        account.metrics.running.dec();
        if let Some(route) = &self.route {
            account.metrics.count(
                route.meters(self.upstream.as_deref()),
                self.method(),
                outcome,
                took.as_secs_f64(),
            );
        }
        let milliseconds = |duration: std::time::Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        let source = self.source.map(|source| source.to_string());
        let subject = self.message.as_ref().and_then(Message::subject);
        account.log.append(&Record {
            time: self.time,
            trace: &self.trace.id.to_string(),
            principal: &self.principal.to_string(),
            source: source.as_deref(),
            route: self.route.as_ref().map(|route| &*route.path),
            upstream: self.upstream.as_deref(),
            door: self.door,
            era: self.spoken.map(|(era, _)| match era {
                Era::Legacy => "legacy",
                Era::Modern => "modern",
            }),
            revision: self.spoken.map(|(_, revision)| revision.as_str()),
            method: self.method().map(|method| shortened(method.as_str())).as_deref(),
            subject: subject.as_deref().map(shortened).as_deref(),
            repeat: self.repeat.map(Repeat::as_str),
            cache: self.lookup.map(Lookup::as_str),
            decision: self.decision.map(|(word, _)| word),
            rule: self.decision.and_then(|(_, line)| line),
            outcome,
            status,
            duration_ms: milliseconds(took),
            upstream_ms: self
                .first_answer
                .map(|then| milliseconds(then.duration_since(self.began))),
            bytes_in: self
                .message
                .as_ref()
                .map_or(0, |message| message.bytes().len() as u64),
            bytes_out: self.bytes_out,
            error: error.map(shortened).as_deref(),
        });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.close(Outcome::Cancelled, None, None);
    }
}

/// What a record keeps of a text.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= FIELD {
        return Cow::Borrowed(text);
    }
    let kept = &text[..text.floor_char_boundary(FIELD)];
    Cow::Owned(format!("{kept}…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_cut_between_two_characters() {
        let fits = "ä".repeat(128);
        assert_eq!(shortened(&fits), fits);
        assert_eq!(shortened(&format!("{fits}x")), format!("{fits}…"));
        assert_eq!(shortened(&format!("x{fits}")), format!("x{}…", "ä".repeat(127)));
    }
}
