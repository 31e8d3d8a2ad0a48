//! One rule: who may do what, where and on what condition, and what then.

use std::time::Duration;

use config::{Field, Located, Location};

use super::conditions::{Call, Conditions, Fit};
use super::explanation::Reason;
use super::names::Names;
use super::place::Place;
use super::who::Who;
use super::{Caller, Effect, Known};

/// One of the list.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) index: usize,
    pub(super) at: Location,
    pub(super) path: String,
    pub(super) who: Who,
    pub(super) place: Place,
    pub(super) names: Names,
    pub(super) conditions: Conditions,
    effect: Effect,
    within: Duration,
    message: Option<String>,
}

/// How long an approval is waited for, where nothing else is said.
const WITHIN: Duration = Duration::from_secs(300);
/// The shortest and the longest that it may be.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));

impl Rule {
    /// Reads one.
    pub(super) fn check(field: &Field<'_>, index: usize, known: &Known<'_>) -> Option<Self> {
        let mut fields = field.fields()?;
        let rule = Self {
            index,
            at: field.at(),
            path: field.path().to_owned(),
            who: Who::check(&mut fields, known),
            place: Place::check(&mut fields, known),
            names: Names::check(&mut fields),
            conditions: Conditions::check(&mut fields, known),
            effect: effect(&fields.optional("effect")),
            within: within(&fields.optional("within")),
            message: fields.optional("message").text().map(Located::into_value),
        };
        if fields.has("within") && rule.effect != Effect::Ask {
            let text = "`within` says how long an approval is waited for, and this rule asks for none";
            fields.report(text, Some("write `effect: ask`, or leave it out"));
        }
        if fields.has("message") && rule.effect == Effect::Allow {
            let text = "`message` is told when a rule denies or asks, and this one allows";
            fields.report(text, Some("leave it out"));
        }
        fields.finish();
        Some(rule)
    }

    /// Its place in the list, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its line in the file.
    pub fn line(&self) -> u32 {
        self.at.line
    }

    /// What it says of those it speaks of.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// How long an approval is waited for, 1 s to 24 h; of a rule that asks.
    pub fn within(&self) -> Duration {
        self.within
    }

    /// What is told to the caller who is denied, and to the one who is asked.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Whether it speaks of this caller at all.
    pub(super) fn says_caller<'r>(&'r self, caller: &Caller<'_>) -> Result<(), Reason<'r>> {
        // The route first, so that what is missing of scopes is known last.
        self.place.says_route(caller)?;
        self.who.says(caller.identity)
    }

    /// Whether it speaks of this call, provided that it does of the caller.
    pub(super) fn fit(&self, call: &Call<'_, '_>) -> Fit<'_> {
        if !self.place.says_upstream(call.upstream) {
            return Fit::No(Reason::Upstream);
        }
        let is_wary = self.effect == Effect::Deny;
        if !self.names.say(call.subject, call.read, is_wary) {
            let is_of_kind = self.names.speaks_of(call.subject.kind());
            return Fit::No(if is_of_kind { Reason::Name } else { Reason::Kind });
        }
        self.conditions.fit(call, is_wary)
    }

    /// Whether it, having no conditions, decides before the other in all that the other speaks of. It may say no where
    /// that is so.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let other_is_warier = self.effect != Effect::Deny && other.effect == Effect::Deny;
        self.names.covers(&other.names, other_is_warier)
            && self.place.covers(&other.place)
            && self.who.covers(&other.who)
    }
}

fn effect(field: &Field<'_>) -> Effect {
    let words = [
        ("allow", Effect::Allow),
        ("deny", Effect::Deny),
        ("ask", Effect::Ask),
    ];
    field.choice(&words).map_or(Effect::Allow, Located::into_value)
}

fn within(field: &Field<'_>) -> Duration {
    let Some(within) = field.duration() else {
        return WITHIN;
    };
    if within.value < BOUNDS.0 || within.value > BOUNDS.1 {
        field.report("an approval is waited for from 1s to 24h", None);
    }
    within.value
}
