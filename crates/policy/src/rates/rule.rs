//! A rule of `rates`: whose calls it counts, in which buckets, and how much each lets through.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use config::scalar::{self, Wrong};
use config::{Field, Fields, Located, Location, Value};
use mcp::Method;

use super::pace::Pace;
use super::shard::Key;
use super::table::Table;
use super::{Limited, Scope, Spent, Subject};
use crate::pick::{Pattern, patterns};

/// One rule, with its buckets.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) terms: Terms,
    pub(super) table: Arc<Table>,
    at: Location,
}

/// What a rule says, wherever it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) calls: Option<Pace>,
    pub(super) bytes: Option<Pace>,
    pub(super) concurrent: Option<u32>,
    per: Arc<[Per]>,
    counts: Counts,
    roles: Option<Vec<Pattern>>,
    routes: Option<Vec<Pattern>>,
    upstreams: Option<Vec<Pattern>>,
    tools: Option<Vec<Pattern>>,
}

/// What has a bucket of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Per {
    /// Whoever calls. All who are not identified are one.
    Principal,
    /// Whom callers belong to. All who belong to nobody are one.
    Tenant,
    /// Where calls come from; of an IPv6 address its first 64 bits, since whoever has one has them all.
    Address,
    /// Each route.
    Route,
    /// Each upstream.
    Upstream,
    /// Each tool of each upstream.
    Tool,
}

/// What the rest of the file names.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Upstreams.
    pub upstreams: &'a [&'a str],
    /// Routes, by their paths as written.
    pub routes: &'a [&'a str],
}

/// Which requests are counted.
#[derive(Debug, PartialEq, Eq)]
enum Counts {
    /// Those that reach for something: a tool, a prompt, a resource.
    Calls,
    /// All of them.
    All,
    /// These methods.
    Methods(Vec<Pattern>),
}

const PER: [(&str, Per); 6] = [
    ("principal", Per::Principal),
    ("tenant", Per::Tenant),
    ("address", Per::Address),
    ("route", Per::Route),
    ("upstream", Per::Upstream),
    ("tool", Per::Tool),
];

/// How many rules there may be. Each call asks all that count it.
const MOST_RULES: usize = 100;

/// Calls in a unit of time, and calls at once.
const CALLS: RangeInclusive<u64> = 1..=1_000_000_000;

/// Bytes in a unit of time: 1 TiB.
const BYTES: RangeInclusive<u64> = 1..=1 << 40;

const PLACES: RangeInclusive<u32> = 1..=1_000_000;

impl Rule {
    /// The bucket of this call, if it is counted.
    pub(super) fn key(&self, subject: &Subject<'_>) -> Option<Key> {
        let counted = self.terms.counts(subject);
        counted.then(|| self.table.key(Parts(&self.terms.per, subject)))
    }

    pub(super) fn limited(&self, spent: Spent, retry_after: Duration) -> Limited {
        Limited {
            at: self.at,
            per: Arc::clone(&self.terms.per),
            spent,
            scope: self.terms.scope(),
            retry_after,
        }
    }
}

impl Terms {
    fn counts(&self, subject: &Subject<'_>) -> bool {
        let reaches = self.per.iter().all(|per| match per {
            Per::Principal | Per::Tenant | Per::Address | Per::Route => true,
            Per::Upstream => subject.upstream.is_some(),
            Per::Tool => subject.upstream.is_some() && subject.tool.is_some(),
        });
        let said = |patterns: &Option<Vec<Pattern>>, name: Option<&str>| {
            let says = |patterns: &Vec<Pattern>| {
                name.is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name)))
            };
            patterns.as_ref().is_none_or(says)
        };
        let roles = || {
            let roles = subject.principal.identity().map(|identity| &identity.roles);
            let has = |pattern: &Pattern| roles.into_iter().flatten().any(|role| pattern.matches(role));
            self.roles
                .as_ref()
                .is_none_or(|patterns| patterns.iter().any(has))
        };
        reaches
            && self.counts.method(subject.method)
            && said(&self.upstreams, subject.upstream)
            && said(&self.tools, subject.tool)
            && said(&self.routes, Some(subject.route))
            && roles()
    }

    fn scope(&self) -> Scope {
        let is_narrow = self.upstreams.is_some()
            || self.tools.is_some()
            || self.per.contains(&Per::Upstream)
            || self.per.contains(&Per::Tool);
        if is_narrow { Scope::Tool } else { Scope::Quota }
    }
}

impl Counts {
    fn method(&self, method: &Method) -> bool {
        match self {
            Self::Calls => matches!(
                method,
                Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead
            ),
            Self::All => true,
            Self::Methods(patterns) => patterns.iter().any(|pattern| pattern.matches(method.as_str())),
        }
    }
}

/// What of a call its bucket is for.
struct Parts<'a>(&'a [Per], &'a Subject<'a>);

impl Hash for Parts<'_> {
    /// Texts and lists hash their ends too: none runs into the next.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self(per, subject) = self;
        for per in *per {
            match per {
                Per::Principal => subject.principal.binding().hash(state),
                Per::Tenant => {
                    let identity = subject.principal.identity();
                    identity
                        .and_then(|identity| identity.tenant.as_deref())
                        .hash(state);
                }
                Per::Address => network(subject.address).hash(state),
                Per::Route => subject.route.hash(state),
                Per::Upstream => subject.upstream.hash(state),
                Per::Tool => (subject.upstream, subject.tool).hash(state),
            }
        }
    }
}

/// What one client has of addresses.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // `::/32` is nobody's, so this is no network of the other kind.
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

/// Reads a list of rules.
pub(super) fn check(field: &Field<'_>, known: &Known<'_>) -> Vec<Rule> {
    if !field.is_written() {
        return Vec::new();
    }
    let items = field.list().unwrap_or_default();
    if items.len() > MOST_RULES {
        let text = format!("{} rules are more than we ask at each call", items.len());
        field.report(text, Some(&format!("write up to {MOST_RULES}")));
        return Vec::new();
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(items.len());
    for item in items {
        let Some(terms) = terms(&item, known) else {
            continue;
        };
        if let Some(before) = rules.iter().find(|rule| rule.terms == terms) {
            let text = format!("this is the rule of line {} again", before.at.line);
            item.report(text, Some("keep one of them"));
            continue;
        }
        rules.push(Rule {
            terms,
            table: Arc::new(Table::new()),
            at: item.at(),
        });
    }
    rules
}

fn terms(field: &Field<'_>, known: &Known<'_>) -> Option<Terms> {
    let mut fields = field.fields()?;
    let per = per(&fields.required("per"));
    let amounts = Amounts::check(&mut fields);
    let roles = some(&fields.optional("roles"));
    let routes = named(&fields.optional("routes"), "route", known.routes);
    let upstreams = named(&fields.optional("upstreams"), "upstream", known.upstreams);
    let tools = some(&fields.optional("tools"));
    let is_of_tools = tools.is_some() || per.as_ref().is_some_and(|per| per.contains(&Per::Tool));
    let counts = counts(&mut fields, is_of_tools);
    fields.finish();
    let Amounts {
        calls,
        bytes,
        concurrent,
    } = amounts?;
    Some(Terms {
        calls,
        bytes,
        concurrent,
        per: per?.into(),
        counts,
        roles,
        routes,
        upstreams,
        tools,
    })
}

/// One word, or a list of words; their order is no matter.
fn per(field: &Field<'_>) -> Option<Vec<Per>> {
    if !matches!(field.node().map(|node| &node.value), Some(Value::List(_))) {
        return Some(vec![field.choice(&PER)?.value]);
    }
    let items = field.list()?;
    let mut all = Vec::with_capacity(items.len());
    for item in &items {
        let per = item.choice(&PER)?;
        if all.contains(&per.value) {
            item.report("this is written twice", Some("keep one of them"));
        } else {
            all.push(per.value);
        }
    }
    if all.is_empty() {
        field.report("this counts for nobody", Some("write `principal`, for one"));
        return None;
    }
    all.sort_unstable();
    Some(all)
}

/// How much a bucket lets through.
struct Amounts {
    calls: Option<Pace>,
    bytes: Option<Pace>,
    concurrent: Option<u32>,
}

impl Amounts {
    /// None when one of them is wrong, or there is none.
    fn check(fields: &mut Fields<'_>) -> Option<Self> {
        let (calls, bytes) = (fields.optional("calls"), fields.optional("bytes"));
        let (places, burst) = (fields.optional("concurrent"), fields.optional("burst"));
        if !calls.is_written() && !bytes.is_written() && !places.is_written() {
            fields.report(
                "this limits nothing",
                Some("write `calls: 100/m`, `bytes: 10MiB/m` or `concurrent: 2`"),
            );
            return None;
        }
        let concurrent = places.number(PLACES);
        let mut of_calls = calls.parsed(|text| rate(text, "100/m", |count| amount(count, CALLS, "calls")));
        let mut of_bytes = bytes.parsed(|text| {
            rate(text, "10MiB/m", |size| {
                scalar::size(size).and_then(|bytes| within(bytes, size, BYTES, "1TiB"))
            })
        });
        // The burst is of that which is counted first.
        if calls.is_written() {
            at_once(&mut of_calls, burst.number(CALLS));
        } else if bytes.is_written() {
            let size =
                burst.parsed(|text| scalar::size(text).and_then(|bytes| within(bytes, text, BYTES, "1TiB")));
            at_once(&mut of_bytes, size);
        } else if burst.is_written() {
            burst.report(
                "there is no rate that this is a burst of",
                Some("`concurrent` has none; write `calls` too"),
            );
        }
        let calls = paced(&calls, of_calls)?;
        let bytes = paced(&bytes, of_bytes)?;
        if places.is_written() && concurrent.is_none() {
            return None;
        }
        Some(Self {
            calls,
            bytes,
            concurrent: concurrent.map(Located::into_value),
        })
    }
}

/// How much, in what time, and how much at once: as much, unless it is said.
struct Rate {
    amount: u64,
    period: Duration,
    burst: u64,
}

fn at_once(rate: &mut Option<Located<Rate>>, burst: Option<Located<u64>>) {
    if let (Some(rate), Some(burst)) = (rate, burst) {
        rate.value.burst = burst.value;
    }
}

/// What is not written has no pace; what is wrong is nothing at all.
fn paced(field: &Field<'_>, rate: Option<Located<Rate>>) -> Option<Option<Pace>> {
    if !field.is_written() {
        return Some(None);
    }
    let Rate {
        amount,
        period,
        burst,
    } = rate?.value;
    let pace = Pace::new(amount, period, burst);
    if pace.is_none() {
        field.report(
            "this is finer than we count",
            Some("write whole `KiB`, or fewer digits"),
        );
    }
    pace.map(Some)
}

const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// `100/m`: an amount, and its unit of time.
fn rate(text: &str, example: &str, amount: impl FnOnce(&str) -> Result<u64, Wrong>) -> Result<Rate, Wrong> {
    let said = scalar::shown(text);
    let Some((count, unit)) = text.split_once('/') else {
        return Err(match amount(text.trim()) {
            Ok(_) => Wrong::new(format!("`{said}` does not say in what time"))
                .hint(format!("did you mean `{said}/m`?")),
            Err(_) => {
                Wrong::new(format!("`{said}` is not a rate")).hint(format!("write it like `{example}`"))
            }
        });
    };
    let (count, unit) = (count.trim(), unit.trim());
    let amount = amount(count)?;
    let Some((_, seconds)) = UNITS.iter().find(|(known, _)| *known == unit) else {
        let hint = match unit.to_ascii_lowercase().trim_end_matches('s') {
            "sec" | "second" => format!("did you mean `{count}/s`?"),
            "m" | "min" | "minute" => format!("did you mean `{count}/m`?"),
            "h" | "hr" | "hour" => format!("did you mean `{count}/h`?"),
            "d" | "day" => format!("did you mean `{count}/d`?"),
            _ => "a rate is per `s`, `m`, `h` or `d`".to_owned(),
        };
        return Err(Wrong::new(format!("`{said}` has a unit of time we do not know")).hint(hint));
    };
    Ok(Rate {
        amount,
        period: Duration::from_secs(*seconds),
        burst: amount,
    })
}

fn amount(text: &str, range: RangeInclusive<u64>, of: &str) -> Result<u64, Wrong> {
    let Ok(count) = text.replace('_', "").parse::<u64>() else {
        let text = format!("`{}` is not a number of {of}", scalar::shown(text));
        return Err(Wrong::new(text).hint("write a whole number: `100/m`"));
    };
    let most = range.end().to_string();
    within(count, text, range, &most)
}

fn within(amount: u64, text: &str, range: RangeInclusive<u64>, most: &str) -> Result<u64, Wrong> {
    let said = scalar::shown(text);
    if amount == 0 {
        return Err(Wrong::new(format!("`{said}` lets nothing through"))
            .hint("to refuse what is called, use `allow`"));
    }
    if !range.contains(&amount) {
        return Err(Wrong::new(format!("`{said}` is more than we count"))
            .hint(format!("write up to {most}, or leave it out")));
    }
    Ok(amount)
}

/// Which requests: `methods`, or `counts`, or what is usual.
fn counts(fields: &mut Fields<'_>, is_of_tools: bool) -> Counts {
    let (methods, counts) = (fields.optional("methods"), fields.optional("counts"));
    if is_of_tools {
        for field in [&methods, &counts] {
            if field.is_written() {
                let text = "a rule of tools counts `tools/call` and nothing else";
                field.report(text, Some("leave this out"));
            }
        }
        return Counts::Calls;
    }
    if methods.is_written() && counts.is_written() {
        counts.report("`methods` says already what is counted", Some("keep one of them"));
    }
    let all = counts.choice(&[("calls", false), ("all", true)]);
    match some(&methods) {
        Some(patterns) => {
            patterns.iter().for_each(|pattern| method(&methods, pattern));
            Counts::Methods(patterns)
        }
        None if all.is_some_and(Located::into_value) => Counts::All,
        None => Counts::Calls,
    }
}

/// A method that no revision defines is an extension's, unless it looks like one of those we count without being told.
fn method(field: &Field<'_>, pattern: &Pattern) {
    const LIKELY: [&str; 11] = [
        "tools/call",
        "tools/list",
        "prompts/get",
        "prompts/list",
        "resources/read",
        "resources/list",
        "resources/templates/list",
        "resources/subscribe",
        "completion/complete",
        "initialize",
        "ping",
    ];
    let written = pattern.written.value.as_str();
    let is_known = !matches!(Method::parse(written), Method::Other(_));
    if is_known || written.contains(['*', '?']) {
        return;
    }
    if let Some(near) = scalar::nearest(written, &LIKELY) {
        let text = format!("no revision has a method `{}`", scalar::shown(written));
        let problem = pattern.written.problem(text);
        field
            .problems()
            .add(problem.hint(format!("did you mean `{near}`?")));
    }
}

/// A list that says something.
fn some(field: &Field<'_>) -> Option<Vec<Pattern>> {
    let patterns = patterns(field)?;
    if patterns.is_empty() {
        field.report(
            "an empty list counts nothing",
            Some("leave it out to count everything"),
        );
    }
    Some(patterns)
}

/// A list of names, or patterns of such, of which each says at least one that is known.
fn named(field: &Field<'_>, what: &str, known: &[&str]) -> Option<Vec<Pattern>> {
    let patterns = some(field)?;
    for pattern in &patterns {
        if known.iter().any(|name| pattern.matches(name)) {
            continue;
        }
        let written = &pattern.written.value;
        let text = format!("there is no {what} `{}`", scalar::shown(written));
        let problem = pattern.written.problem(text);
        field
            .problems()
            .add(problem.hint(scalar::suggestion(written, known)));
    }
    Some(patterns)
}
