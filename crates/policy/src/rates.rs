//! Rates: how many calls, by whom, in what time.
//!
//! Each rule of `rates:` keeps a bucket for each key: a principal, an address, a tool, or what it says of these
//! together. [`Rates::admit`] asks all rules that count a call, and takes from their buckets only if none refuses. What
//! is counted is exact within this process and known to no other: of three replicas, each admits as much.
//!
//! There are at most a million buckets ([`Rates::kept`]), whoever calls: what happens beyond is said in `shard.rs`. Time
//! comes in from outside; nothing here waits, and no task belongs to it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Field, Location};
use mcp::Method;

use crate::Principal;

mod rule;
mod pace;
mod table;
mod shard;

use pace::Pace;
use rule::Rule;
use shard::{Bucket, Key};
use table::Table;

pub use rule::{Known, Per};

/// How many buckets there are, all rules together. They take less than 150 MB.
pub const BUCKETS: usize = 1_000_000;

/// All rules of the file.
#[derive(Debug, Default)]
pub struct Rates {
    /// The one whose table is oldest first: the order in which shards are locked, also while another reading of the file
    /// is still in use.
    rules: Vec<Rule>,
}

/// A call, as far as it is counted. Its texts are matched and hashed whole: whoever fills this in has bounded them.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Whose it is.
    pub principal: &'a Principal,
    /// Where it comes from: the client, not a proxy before us.
    pub address: IpAddr,
    /// The route it came in by, as the file writes it.
    pub route: &'a str,
    /// What it asks for.
    pub method: &'a Method,
    /// Which upstream it reaches for, if it is one.
    pub upstream: Option<&'a str>,
    /// Which tool, as its server calls it.
    pub tool: Option<&'a str>,
}

/// A call that is let through. Its places are taken until this is dropped.
#[derive(Debug, Default)]
#[must_use = "places are given back when it is dropped"]
pub struct Permit {
    held: Vec<Held>,
}

/// A call that is not let through, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// Where the rule stands that refuses it.
    pub at: Location,
    /// What that rule keeps a bucket for.
    pub per: Arc<[Per]>,
    /// What is used up.
    pub spent: Spent,
    /// Of what.
    pub scope: Scope,
    /// When to try again. That there will be enough then is certain only if nobody else takes it.
    pub retry_after: Duration,
}

/// What is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spent {
    /// The calls of this time.
    Calls,
    /// The bytes.
    Bytes,
    /// The places for calls at the same time.
    Places,
    /// Room to count: as many keys as we keep all serve calls.
    Room,
}

/// How much of what a client may do is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// What it may do with one tool, or one upstream: the rule names such, or counts each by itself.
    Tool,
    /// Everything: whatever it calls now, it is refused.
    Quota,
}

/// What a permit has to do with one bucket, later.
#[derive(Debug)]
struct Held {
    table: Arc<Table>,
    key: Key,
    has_place: bool,
    bytes: Option<Pace>,
}

/// Nobody can say when a call ends. This is when to ask again.
const A_PLACE_IS_FREE: Duration = Duration::from_secs(1);

impl Rates {
    /// Reads `rates`, a list of rules. Every bucket is full.
    pub fn check(field: &Field<'_>, known: &Known<'_>) -> Self {
        Self::of(rule::check(field, known))
    }

    /// These rules with the buckets of those before that were the same, wherever they stood. To be called when the file
    /// is about to be used: the number of rules says how many buckets each may keep.
    #[must_use]
    pub fn succeed(mut self, before: &Self) -> Self {
        for rule in &mut self.rules {
            // No two rules of a file are the same, so no table gets two.
            if let Some(same) = before.rules.iter().find(|same| same.terms == rule.terms) {
                rule.table = Arc::clone(&same.table);
            }
        }
        Self::of(self.rules)
    }

    /// Lets a call through, or says why not. Where several rules refuse, the one is told that refuses more
    /// ([`Scope::Quota`]), then the one that does so for longer.
    ///
    /// # Errors
    /// At least one rule refuses it. Nothing was taken from any.
    pub fn admit(&self, subject: &Subject<'_>, now: Instant) -> Result<Permit, Limited> {
        let mut permit = Permit::default();
        ask(&self.rules, subject, now, None, &mut permit.held)?;
        Ok(permit)
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// How many buckets there are now. It looks into every shard: for metrics, not for calls.
    pub fn kept(&self) -> usize {
        self.rules.iter().map(|rule| rule.table.kept()).sum()
    }

    fn of(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| rule.table.id);
        let share = BUCKETS / rules.len().max(1);
        rules.iter().for_each(|rule| rule.table.hold(share));
        Self { rules }
    }
}

/// Asks rules one after the other, holding the shard of each until all have answered; only then, on the way back, is
/// anything taken.
fn ask(
    rules: &[Rule],
    subject: &Subject<'_>,
    now: Instant,
    refused: Option<Limited>,
    held: &mut Vec<Held>,
) -> Result<(), Limited> {
    let mut rest = rules;
    let (rule, key) = loop {
        let Some((rule, after)) = rest.split_first() else {
            return refused.map_or(Ok(()), Err);
        };
        rest = after;
        if let Some(key) = rule.key(subject) {
            break (rule, key);
        }
    };
    let now_here = rule.table.nanoseconds(now);
    let capacity = rule.table.capacity();
    let mut shard = rule.table.shard(key, now_here);
    let mut bucket = shard.bucket(key);
    let judged = match shard.has_room(key, capacity) {
        true => judge(rule, &bucket, now_here),
        false => Err((Spent::Room, A_PLACE_IS_FREE)),
    };
    let limited = judged.err().map(|(spent, after)| rule.limited(spent, after));
    let refused = match (refused, limited) {
        (Some(one), Some(other)) => Some(one.or_worse(other)),
        (one, other) => one.or(other),
    };
    ask(rest, subject, now, refused, held)?;

    if let Some(calls) = &rule.terms.calls {
        bucket.calls = calls.taken(bucket.calls, now_here, 1);
    }
    let has_place = rule.terms.concurrent.is_some();
    bucket.places += u32::from(has_place);
    shard.put(key, bucket, capacity);
    if has_place || rule.terms.bytes.is_some() {
        held.push(Held {
            table: Arc::clone(&rule.table),
            key,
            has_place,
            bytes: rule.terms.bytes,
        });
    }
    Ok(())
}

fn judge(rule: &Rule, bucket: &Bucket, now: u64) -> Result<(), (Spent, Duration)> {
    let terms = &rule.terms;
    if let Some(calls) = &terms.calls {
        let calls = calls.has_one(bucket.calls, now);
        calls.map_err(|after| (Spent::Calls, after))?;
    }
    if let Some(bytes) = &terms.bytes {
        let bytes = bytes.has_one(bucket.bytes, now);
        bytes.map_err(|after| (Spent::Bytes, after))?;
    }
    match terms.concurrent {
        Some(most) if bucket.places >= most => Err((Spent::Places, A_PLACE_IS_FREE)),
        Some(_) | None => Ok(()),
    }
}

impl Permit {
    /// Counts bytes that passed, as often as some do. There may be more than there are left: then nothing passes until
    /// the debt is paid.
    pub fn charge(&self, bytes: u64, now: Instant) {
        if bytes == 0 {
            return;
        }
        for held in &self.held {
            let Some(pace) = &held.bytes else { continue };
            let now = held.table.nanoseconds(now);
            let mut shard = held.table.shard(held.key, now);
            let mut bucket = shard.bucket(held.key);
            bucket.bytes = pace.taken(bucket.bytes, now, bytes);
            shard.put(held.key, bucket, held.table.capacity());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let places = self.held.iter().filter(|held| held.has_place);
        places.for_each(|held| held.table.release(held.key));
    }
}

impl Limited {
    /// When to try again in whole seconds, at least one: the value of `Retry-After`.
    pub fn seconds(&self) -> u64 {
        let begun = u64::from(self.retry_after.subsec_nanos() > 0);
        self.retry_after.as_secs().saturating_add(begun).max(1)
    }

    fn or_worse(self, other: Self) -> Self {
        match (other.scope, other.retry_after) > (self.scope, self.retry_after) {
            true => other,
            false => self,
        }
    }
}

/// As its caller may read it: nothing of the file.
impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.spent {
            Spent::Calls => "too many calls",
            Spent::Bytes => "too much was transferred",
            Spent::Places => "too many calls at the same time",
            Spent::Room => "too many callers",
        })?;
        let seconds = self.seconds();
        let s = if seconds == 1 { "" } else { "s" };
        write!(f, "; try again in {seconds} second{s}")
    }
}

impl std::error::Error for Limited {}

#[cfg(test)]
mod tests;
