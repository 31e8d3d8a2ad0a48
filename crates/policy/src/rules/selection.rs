//! Selections: of all rules, those that speak of one caller at one route.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::arguments::Arguments;
use super::conditions::{Call, Fit, Given};
use super::explanation::{Explanation, Found, Reason, Step};
use super::expression::Late;
use super::rule::Rule;
use super::{Book, Caller, Decision, Doubt, Effect, Subject};
use crate::pick;

/// The rules that speak of one caller at one route, so that each of its calls asks only these. It holds as long as its
/// caller's identity and the parameters of its URL are the same.
#[derive(Debug, Clone)]
pub struct Selection {
    book: Arc<Book>,
    chosen: Chosen,
    late: Late,
    digest: [u8; 32],
}

/// Some of the rules, by their places.
#[derive(Debug, Clone, Default)]
struct Chosen {
    /// Those that speak of the caller.
    speaking: Places,
    /// Those that would with more scopes than it was granted, and would not deny then.
    wanting: Places,
}

/// A set of places, a bit for each.
#[derive(Debug, Clone, Default)]
struct Places(Vec<u64>);

impl Selection {
    pub(super) fn of(book: &Arc<Book>, caller: &Caller<'_>) -> Self {
        let mut chosen = Chosen::default();
        for (place, rule) in book.rules.iter().enumerate() {
            match rule.says_caller(caller) {
                Ok(()) => chosen.speaking.insert(place),
                Err(reason) if is_curable(caller, rule, reason) => chosen.wanting.insert(place),
                Err(_) => {}
            }
        }
        let rules = (0..).zip(&book.rules);
        let asked = rules.filter(|(place, _)| chosen.speaking.has(*place) || chosen.wanting.has(*place));
        let late = Late::of(caller, asked.filter_map(|(_, rule)| rule.conditions.when()));
        let digest = chosen.digest(book, &late);
        Self {
            book: Arc::clone(book),
            chosen,
            late,
            digest,
        }
    }

    /// What the rules say of a call: of this at that upstream, with these arguments or none.
    pub fn decide(&self, upstream: &str, subject: &Subject<'_>, arguments: Option<&[u8]>) -> Decision<'_> {
        let read = read(subject);
        let arguments = Arguments::new(arguments);
        let call = self.call(upstream, subject, read.as_deref(), Given::Arguments(&arguments));
        let mut missing: &[String] = &[];
        for place in self.book.index.candidates(upstream, subject) {
            let Some(rule) = self.book.rules.get(place as usize) else {
                continue;
            };
            let speaks = self.chosen.speaking.has(place);
            let is_asked = speaks || (missing.is_empty() && self.chosen.wanting.has(place));
            if !is_asked {
                continue;
            }
            let Some(decision) = said(rule, rule.fit(&call)) else {
                continue;
            };
            if speaks {
                return decision.wanting(missing);
            }
            missing = rule.who.scopes();
        }
        Decision::nothing().wanting(missing)
    }

    /// Whether a call of this may be allowed, or asked for, with some arguments. It is whenever [`Self::decide`] with
    /// any arguments says so.
    pub fn shows(&self, upstream: &str, subject: &Subject<'_>) -> bool {
        let read = read(subject);
        let call = self.call(upstream, subject, read.as_deref(), Given::Unknown);
        let candidates = self.book.index.candidates(upstream, subject);
        let speaking = candidates.filter(|place| self.chosen.speaking.has(*place));
        for rule in speaking.filter_map(|place| self.book.rules.get(place as usize)) {
            let fit = rule.fit(&call);
            if fit == Fit::Unknown && rule.effect() != Effect::Deny {
                return true;
            }
            if let Some(decision) = said(rule, fit) {
                return decision.effect != Effect::Deny;
            }
        }
        false
    }

    fn call<'c, 'a>(
        &'c self,
        upstream: &'c str,
        subject: &'c Subject<'c>,
        read: Option<&'c str>,
        given: Given<'c, 'a>,
    ) -> Call<'c, 'a> {
        Call {
            caller: &self.late,
            upstream,
            subject,
            read,
            given,
        }
    }

    /// The same for callers who see the same by the same rules: views of lists may be kept by it.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

/// What each rule says, up to the one that decides.
pub(super) fn explain<'r>(
    book: &'r Book,
    caller: &Caller<'_>,
    upstream: &str,
    subject: &Subject<'_>,
    given: Given<'_, '_>,
) -> Explanation<'r> {
    let read = read(subject);
    let late = Late::of(
        caller,
        book.rules.iter().filter_map(|rule| rule.conditions.when()),
    );
    let call = Call {
        caller: &late,
        upstream,
        subject,
        read: read.as_deref(),
        given,
    };
    let mut steps = Vec::new();
    let mut missing: &[String] = &[];
    for rule in &book.rules {
        let fit = match rule.says_caller(caller) {
            Ok(()) => rule.fit(&call),
            Err(reason) => {
                let would_help = missing.is_empty() && is_curable(caller, rule, reason);
                if would_help && said(rule, rule.fit(&call)).is_some() {
                    missing = rule.who.scopes();
                }
                Fit::No(reason)
            }
        };
        let found = match (fit, rule.effect()) {
            (Fit::Yes, _) => Found::Decides,
            (Fit::Unknown, _) => Found::Depends,
            (Fit::Doubt(doubt), Effect::Deny) => Found::DeniesInDoubt(doubt),
            (Fit::Doubt(doubt), Effect::Allow | Effect::Ask) => Found::PassesInDoubt(doubt),
            (Fit::No(reason), _) => Found::Passes(reason),
        };
        steps.push(Step {
            index: rule.index,
            line: rule.line(),
            effect: rule.effect(),
            found,
        });
        if let Some(decision) = said(rule, fit) {
            let decision = decision.wanting(missing);
            return Explanation { steps, decision };
        }
    }
    let decision = Decision::nothing().wanting(missing);
    Explanation { steps, decision }
}

/// Whether a rule does not speak of a caller for its scopes alone, of which it may get more, and would not deny then.
fn is_curable(caller: &Caller<'_>, rule: &Rule, reason: Reason<'_>) -> bool {
    let is_limited = caller.identity.is_some_and(|identity| identity.scopes.is_some());
    is_limited && rule.effect() != Effect::Deny && matches!(reason, Reason::Scope(_))
}

/// What a rule decides, if it does. In doubt it denies if that is what it is for, and else says nothing.
fn said<'r>(rule: &'r Rule, fit: Fit<'_>) -> Option<Decision<'r>> {
    match fit {
        Fit::Yes => Some(Decision::of(rule, None)),
        Fit::Doubt(doubt) if rule.effect() == Effect::Deny => Some(Decision::of(rule, Some(doubt))),
        Fit::Doubt(_) | Fit::Unknown | Fit::No(_) => None,
    }
}

/// A URI as its server may come to read it.
fn read(subject: &Subject<'_>) -> Option<String> {
    match *subject {
        Subject::Resource { uri } => Some(pick::read(uri)),
        Subject::Tool { .. } | Subject::Prompt { .. } | Subject::Other => None,
    }
}

impl<'r> Decision<'r> {
    /// That of no rule.
    fn nothing() -> Self {
        Self {
            effect: Effect::Deny,
            rule: None,
            doubt: None,
            scopes: &[],
        }
    }

    fn of(rule: &'r Rule, doubt: Option<Doubt>) -> Self {
        Self {
            effect: rule.effect(),
            rule: Some(rule),
            doubt,
            scopes: &[],
        }
    }

    fn wanting(self, scopes: &'r [String]) -> Self {
        match self.effect {
            Effect::Deny => Self { scopes, ..self },
            Effect::Allow | Effect::Ask => self,
        }
    }
}

impl Chosen {
    fn digest(&self, book: &Book, late: &Late) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(book.fingerprint);
        for word in &self.speaking.0 {
            digest.update(word.to_le_bytes());
        }
        digest.update(late.text());
        digest.finalize().into()
    }
}

impl Places {
    fn insert(&mut self, place: usize) {
        let word = place / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (place % 64);
    }

    fn has(&self, place: u32) -> bool {
        let word = self.0.get(place as usize / 64);
        word.is_some_and(|word| word >> (place % 64) & 1 == 1)
    }
}
