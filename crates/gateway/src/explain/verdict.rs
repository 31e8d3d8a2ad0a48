//! What would become of a call: each rule in its turn, and what came of it. The same steps in the same order as a
//! gateway takes them (`proxy`, `admission`): the door, what the file shows, its arguments, its rules.

use std::time::Duration;

use policy::What;
use policy::rules::{Decision, Effect, Found, Rule};

use super::named::Meant;
use super::scene::{Scene, Stage};
use super::view::subject;
use super::written::Written;

/// What would become of a call.
pub(super) struct Verdict {
    pub(super) who: String,
    pub(super) route: String,
    pub(super) upstream: String,
    pub(super) kind: &'static str,
    /// What its server calls it.
    pub(super) name: String,
    /// One for each rule that was come to.
    pub(super) steps: Vec<Step>,
    pub(super) outcome: Outcome,
    /// The rule that decided.
    pub(super) line: Option<u32>,
    /// Whether nothing is denied by the rules.
    pub(super) is_dry: bool,
    /// What else is to be known about it.
    pub(super) notes: Vec<String>,
}

/// What one rule said.
pub(super) struct Step {
    pub(super) line: u32,
    pub(super) effect: Effect,
    /// Whether the call ends here.
    pub(super) decides: bool,
    /// Why it did or did not decide.
    pub(super) why: String,
    /// The rule as it is written, in one line.
    pub(super) says: String,
}

/// What its caller is answered.
pub(super) enum Outcome {
    Allowed,
    /// The caller does not come as far as the rules; why.
    TurnedAway(String),
    /// The file shows no such thing at the route.
    Hidden,
    /// As if there were no such thing.
    Unknown,
    /// That it may not be, in these words if the rule has some.
    Told(Option<String>),
    /// That a token needs these.
    Scopes(Vec<String>),
    /// Somebody must approve of it within that time.
    Asked(Duration),
}

impl Verdict {
    /// Of this call, with these arguments as its client would send them, or none.
    pub(super) fn of(scene: &Scene<'_>, stage: &Stage<'_>, meant: &Meant<'_>, given: Option<&str>) -> Self {
        let identity = scene.identity.as_ref();
        let who = identity.map_or("anonymous".to_owned(), |identity| {
            format!("{}:{}", identity.source, identity.subject)
        });
        let mut verdict = Self {
            who,
            route: stage.leads.route.path.clone(),
            upstream: meant.server.name.to_string(),
            kind: meant.kind(),
            name: meant.original.clone(),
            steps: Vec::new(),
            outcome: Outcome::Allowed,
            line: None,
            is_dry: false,
            notes: Vec::new(),
        };
        if meant.is_listed == Some(false) {
            verdict.notes.push(format!(
                "{} listed no such {} when it was asked last",
                verdict.upstream, verdict.kind
            ));
        }
        if let Some(why) = stage.turned_away {
            verdict.outcome = Outcome::TurnedAway(why.to_owned());
        } else if !meant.is_shown {
            verdict.outcome = Outcome::Hidden;
        } else {
            verdict.judge(scene, stage, meant, given);
        }
        verdict
    }

    /// By the arguments and by the rules.
    fn judge(&mut self, scene: &Scene<'_>, stage: &Stage<'_>, meant: &Meant<'_>, given: Option<&str>) {
        let own = given.map(str::as_bytes);
        let curation = meant
            .server
            .curation
            .as_ref()
            .filter(|_| meant.what == What::Tool);
        let filled = curation.map(|curation| curation.arguments(&meant.original, own, stage));
        let filled = match filled.transpose() {
            Ok(filled) => filled.flatten(),
            Err(unfilled) => {
                self.outcome = Outcome::TurnedAway(unfilled.to_string());
                return;
            }
        };
        let arguments = filled.as_deref().or(own);
        let Some(rules) = &scene.plan.rules else { return };
        let annotations = meant.server.annotations(meant.what, &meant.original);
        let subject = subject(meant.what, &meant.original, annotations);
        let written = Written::of(&scene.source);
        let upstream = &*meant.server.name;
        stage.as_caller(|caller| {
            let explained = rules.explain(caller, upstream, &subject, arguments);
            self.steps = explained
                .steps
                .iter()
                .map(|step| Step {
                    line: step.line,
                    effect: step.effect,
                    decides: matches!(step.found, Found::Decides | Found::DeniesInDoubt(_)),
                    why: step.found.to_string(),
                    says: written.rule(step.index),
                })
                .collect();
            self.line = explained.decision.rule.map(Rule::line);
            let is_shown = rules.select(caller).shows(upstream, &subject);
            self.outcome = Outcome::of(&explained.decision, is_shown);
            if given.is_none() && self.outcome.is_of_arguments() {
                let listed = rules.explain_listed(caller, upstream, &subject);
                let mut depending = listed.steps.iter().filter(|step| step.found == Found::Depends);
                if let Some(step) = depending.next() {
                    self.notes.push(format!(
                        "the rule on line {} depends on the arguments, and none were given",
                        step.line
                    ));
                }
            }
        });
        self.is_dry = rules.is_dry_run();
        if meant.server.is_trusted_and_unknown() && meant.what == What::Tool {
            self.notes.push(format!(
                "what {upstream} declares of its tools is not known: no catalog of it was kept"
            ));
        }
    }

    /// Whether the call is made.
    pub(super) fn is_allowed(&self) -> bool {
        match self.outcome {
            Outcome::Allowed => true,
            Outcome::Unknown | Outcome::Told(_) | Outcome::Scopes(_) | Outcome::Asked(_) => self.is_dry,
            Outcome::TurnedAway(_) | Outcome::Hidden => false,
        }
    }
}

impl Outcome {
    /// What the gateway makes of a decision, `is_shown` being whether some arguments could be allowed.
    fn of(decision: &Decision<'_>, is_shown: bool) -> Self {
        match decision.effect {
            Effect::Allow => Self::Allowed,
            Effect::Ask => Self::Asked(decision.rule.map_or(Duration::ZERO, Rule::within)),
            Effect::Deny if !decision.scopes.is_empty() => Self::Scopes(decision.scopes.to_vec()),
            Effect::Deny if !is_shown => Self::Unknown,
            Effect::Deny => Self::Told(decision.rule.and_then(Rule::message).map(str::to_owned)),
        }
    }

    /// Whether other arguments might lead to another.
    fn is_of_arguments(&self) -> bool {
        !matches!(self, Self::TurnedAway(_) | Self::Hidden | Self::Unknown)
    }
}
