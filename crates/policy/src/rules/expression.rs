//! Expressions: `when` of a rule, in CEL (the Common Expression Language).
//!
//! An expression is the operator's and what it reads is the caller's, so that what it costs has a bound: its length, its
//! nesting, the functions that it may use (none whose cost its arguments could raise beyond their size: no regular
//! expressions, no `map`, no loop in a loop), and how much it reads. The interpreter itself counts no steps. What fails
//! or is too large is in doubt, as everywhere in rules.

mod reads;
mod value;

use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::{Context, Env, Value};
use config::{Field, scalar};
use serde_json::Value as Json;

use super::arguments::Doubt;
use super::conditions::{Call, Fit, Given};
use super::explanation::Reason;
use super::{Caller, Subject};

use reads::{Fields, Reads};

/// One that can be evaluated.
#[derive(Clone)]
pub(super) struct Expression {
    written: String,
    parsed: Arc<cel::IdedExpr>,
    reads: Reads,
}

/// What expressions read of a caller when it calls: `claims`, `params`, `principal` and `route`, as far as any does.
#[derive(Debug, Clone, Default)]
pub(super) struct Late {
    json: Json,
    values: Vec<(&'static str, Value)>,
    /// How long its claims are as JSON.
    claims_length: usize,
}

/// How long an expression may be.
const LONGEST: usize = 4096;
/// How deep brackets and choices may nest. Without optimization the parser takes up to 170 KiB of stack for each level, and
/// beyond some it would take memory without bound (cel-rust issues 212 and 306).
const DEEPEST_BRACKET: u16 = 10;
/// How many bytes of JSON one expression may read.
const MOST_READ: usize = 256 << 10;
/// How many bytes a loop may look at, each as often as it does.
const MOST_LOOKED_AT: usize = 16 << 20;

static ENVIRONMENT: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

impl Expression {
    /// Reads one. `parameters` are those of all routes.
    pub(super) fn check(field: &Field<'_>, parameters: &[&str]) -> Option<Self> {
        let written = field.text()?.value;
        if written.len() > LONGEST {
            let text = format!(
                "the expression has {} bytes, and at most {LONGEST} can be",
                written.len()
            );
            field.report(text, Some("put what stays the same into claims or roles"));
            return None;
        }
        let parser = ENVIRONMENT.parser().max_recursion_depth(DEEPEST_BRACKET);
        let parsed = match parser.parse(&written) {
            Ok(parsed) => parsed,
            Err(errors) => {
                report(field, &errors);
                return None;
            }
        };
        let reads = match Reads::of(&parsed, parameters) {
            Ok(reads) => reads,
            Err(wrong) => {
                wrong
                    .iter()
                    .for_each(|wrong| field.report(&wrong.text, wrong.hint.as_deref()));
                return None;
            }
        };
        Some(Self {
            written,
            parsed: Arc::new(parsed),
            reads,
        })
    }

    /// Whether it is true.
    pub(super) fn fit(&self, call: &Call<'_, '_>) -> Fit<'_> {
        let Call {
            caller,
            upstream,
            subject,
            given,
            ..
        } = *call;
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        for (name, value) in &caller.values {
            context.add_variable_from_value(*name, value.clone());
        }
        let [tool, prompt, resource] = match *subject {
            Subject::Tool { name, .. } => [Some(name), None, None],
            Subject::Prompt { name } => [None, Some(name), None],
            Subject::Resource { uri } => [None, None, Some(uri)],
            Subject::Other => [None; 3],
        };
        let texts = [
            ("upstream", Some(upstream)),
            ("tool", tool),
            ("prompt", prompt),
            ("resource", resource),
        ];
        for (name, text) in texts {
            context.add_variable_from_value(name, text.map_or(Value::Null, Value::from));
        }
        if self.reads.annotations {
            match value::annotations(subject) {
                Ok(annotations) => context.add_variable_from_value("annotations", annotations),
                Err(doubt) => return Fit::Doubt(doubt),
            }
        }
        let reads_arguments = self.reads.args != Fields::None;
        if let (true, Given::Arguments(arguments)) = (reads_arguments, given) {
            match value::arguments(arguments, &self.reads) {
                Ok((_, length)) if self.looks_at(length, caller.claims_length) > MOST_LOOKED_AT => {
                    return Fit::Doubt(Doubt::TooLarge);
                }
                Ok((arguments, _)) => context.add_variable_from_value("args", arguments),
                Err(doubt) => return Fit::Doubt(doubt),
            }
        }
        // Where arguments are not known, `args` is no variable: what is true or false all the same does not depend on
        // them, since `&&` and `||` pass over what fails on one side if the other settles it.
        match (Value::resolve(&self.parsed, &context), given) {
            (Ok(Value::Bool(true)), _) => Fit::Yes,
            (Ok(Value::Bool(false)), _) => Fit::No(Reason::When),
            (_, Given::Unknown) if reads_arguments => Fit::Unknown,
            (Ok(_) | Err(_), _) => Fit::Doubt(Doubt::Failed),
        }
    }

    /// How many bytes its loops look at, at most.
    fn looks_at(&self, arguments: usize, claims: usize) -> usize {
        let of = |args: bool, of_claims: bool| {
            let (arguments, claims) = (
                if args { arguments } else { 0 },
                if of_claims { claims } else { 0 },
            );
            self.written
                .len()
                .saturating_add(arguments)
                .saturating_add(claims)
        };
        let loops = self.reads.loops.iter().map(|one| {
            let range = of(one.range.args, one.range.claims);
            let body = of(one.body.args, one.body.claims);
            // An element takes two bytes at least: itself and a comma.
            (range / 2).saturating_mul(body)
        });
        loops.fold(0, usize::saturating_add)
    }
}

impl Late {
    /// What these expressions read of a caller.
    pub(super) fn of<'e>(caller: &Caller<'_>, expressions: impl Iterator<Item = &'e Expression>) -> Self {
        let mut all = Reads::default();
        expressions.for_each(|expression| all.add(&expression.reads));
        let json = value::caller(caller, &all);
        let values = reads::OF_CALLER.into_iter();
        let values = values
            .filter_map(|name| Some((name, value::of(json.get(name)?)?)))
            .collect();
        let claims_length = json.get("claims").map_or(0, |claims| claims.to_string().len());
        Self {
            json,
            values,
            claims_length,
        }
    }

    /// All that is read of it, as text.
    pub(super) fn text(&self) -> String {
        self.json.to_string()
    }
}

fn report(field: &Field<'_>, errors: &cel::ParseErrors) {
    let Some(first) = errors.errors.first() else {
        field.report("the expression cannot be read", None);
        return;
    };
    if errors
        .errors
        .iter()
        .any(|error| error.msg.contains("Recursion limit"))
    {
        let text = format!("the expression nests deeper than {DEEPEST_BRACKET} levels");
        field.report(
            text,
            Some("write two rules, or list what is the same on one level"),
        );
        return;
    }
    // What the parser says first lists all tokens that it knows.
    let said = first.msg.split(" expecting ").next().unwrap_or_default();
    let said = said.trim_start_matches("Syntax error: ");
    let text = format!(
        "the expression cannot be read from its character {}: {}",
        first.pos.1,
        scalar::shown(said)
    );
    field.report(text, Some("write CEL, as in `args.region == claims.region`"));
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}
