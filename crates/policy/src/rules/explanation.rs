//! Explanations: what each rule said of a call, up to the one that decided.

use std::fmt;

use super::{Decision, Doubt, Effect};

/// The rules in order, up to the one that decided, and what came of it.
#[derive(Debug, Clone)]
pub struct Explanation<'r> {
    /// One for each rule that was come to.
    pub steps: Vec<Step<'r>>,
    /// What came of it. With arguments unknown: what the first rule said that did not depend on them.
    pub decision: Decision<'r>,
}

/// What one rule said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<'r> {
    /// Its place in the list, from 0.
    pub index: usize,
    /// Its line in the file.
    pub line: u32,
    /// What it says of those it speaks of.
    pub effect: Effect,
    /// Whether it spoke of this call.
    pub found: Found<'r>,
}

/// Whether a rule speaks of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'r> {
    /// It does, and decides.
    Decides,
    /// It denies because it may speak of it, which cannot be said for sure.
    DeniesInDoubt(Doubt),
    /// It allows or asks, and does not because it cannot be said for sure that it speaks of it.
    PassesInDoubt(Doubt),
    /// That depends on the arguments, which are not known.
    Depends,
    /// It does not.
    Passes(Reason<'r>),
}

/// Why a rule does not speak of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason<'r> {
    /// An empty list stands where it says who.
    Nobody,
    /// Nobody said who calls.
    Anonymous,
    /// It speaks of those who did not say who they are.
    Identified,
    /// The principal is another.
    Principal,
    /// The caller has none of its roles.
    Role,
    /// The caller's tenant is another.
    Tenant,
    /// This scope was not granted.
    Scope(&'r str),
    /// This claim is missing, or another.
    Claim(&'r str),
    /// The route is another.
    Route,
    /// This parameter of the URL is missing, or another.
    Parameter(&'r str),
    /// The upstream is another.
    Upstream,
    /// It speaks of things of another kind.
    Kind,
    /// It speaks of others of this kind.
    Name,
    /// The tool declares this otherwise.
    Annotation(&'r str),
    /// This argument is missing, or another.
    Argument(&'r str),
    /// Its expression is false.
    When,
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decides => f.write_str("decides"),
            Self::DeniesInDoubt(doubt) => write!(f, "denies what it cannot be sure of: {doubt}"),
            Self::PassesInDoubt(doubt) => write!(f, "does not allow what it cannot be sure of: {doubt}"),
            Self::Depends => f.write_str("depends on the arguments"),
            Self::Passes(reason) => write!(f, "does not apply: {reason}"),
        }
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("it speaks of nobody"),
            Self::Anonymous => f.write_str("the caller is anonymous"),
            Self::Identified => f.write_str("the caller is not anonymous"),
            Self::Principal => f.write_str("another principal"),
            Self::Role => f.write_str("none of its roles"),
            Self::Tenant => f.write_str("another tenant"),
            Self::Scope(scope) => write!(f, "the scope `{scope}` was not granted"),
            Self::Claim(claim) => write!(f, "the claim `{claim}` is not so"),
            Self::Route => f.write_str("another route"),
            Self::Parameter(name) => write!(f, "the parameter `{name}` is not so"),
            Self::Upstream => f.write_str("another upstream"),
            Self::Kind => f.write_str("it speaks of other kinds of things"),
            Self::Name => f.write_str("another name"),
            Self::Annotation(name) => write!(f, "the annotation `{name}` is not so"),
            Self::Argument(path) => write!(f, "the argument `{path}` is not so"),
            Self::When => f.write_str("its `when` is false"),
        }
    }
}
