//! One step between neighbouring revisions, as tables: what ends there, what begins there, what changes its form.
//!
//! Each revision since the second has a file that says what it brought. The way between two revisions is the row of
//! steps between them, and what a message carries is judged by each of them in turn.

mod v2025_03_26;
mod v2025_06_18;
mod v2025_11_25;
mod v2026_07_28;

use super::error::Recoded;
use super::unaskable::Unaskable;
use super::value::{Members, Value};
use crate::method::Method;
use crate::patch::Patch;
use crate::revision::Revision;

/// What a revision changed.
pub(super) struct Step {
    /// The later of its two revisions.
    revision: Revision,
    /// For messages on their way to a peer of the earlier one.
    down: Way,
    /// For messages on their way to a peer of the later one.
    up: Way,
}

/// All steps, earliest first.
static STEPS: [&Step; 4] = [
    &v2025_03_26::STEP,
    &v2025_06_18::STEP,
    &v2025_11_25::STEP,
    &v2026_07_28::STEP,
];

/// The steps from the revision of who sends to that of who reads. None if they are the same.
pub(super) fn ways(from: Revision, to: Revision) -> impl Iterator<Item = &'static Way> + Clone {
    let between = move |step: &&&Step| step.revision > from.min(to) && step.revision <= from.max(to);
    let up = STEPS.iter().filter(between).map(|step| &step.up);
    let down = STEPS.iter().rev().filter(between).map(|step| &step.down);
    // One of the two is empty.
    up.filter(move |_| from < to)
        .chain(down.filter(move |_| from > to))
}

/// What becomes of messages that take a step one way. Where nothing is said, everything passes as it is.
pub(super) struct Way {
    /// Members of `_meta` that end here, on whatever they stand.
    pub(super) meta: &'static [&'static str],
    /// Members that end here, of the parameters of a client's request or notification.
    pub(super) params: &'static [Ends],
    /// Members that end here, of a server's result.
    pub(super) result: &'static [Ends],
    /// Members that a server's result must have from here on.
    pub(super) put: &'static [Put],
    /// A server's notifications that end here.
    pub(super) notices: &'static [Method],
    /// Members that end here, of the parameters of a server's question.
    pub(super) question: &'static [Ends],
    /// Members that end here, of a client's answer to one.
    pub(super) reply: &'static [Ends],
    /// What a client declares in vain from here on.
    pub(super) client: &'static [Capability],
    /// What a server declares in vain from here on.
    pub(super) server: &'static [Capability],
    /// What a server can do from here on whatever it declares.
    pub(super) server_put: &'static [(&'static str, &'static str)],
    /// The block that stands for a content block of this kind.
    pub(super) block: Option<Block>,
    /// Whether the messages of a model cannot have blocks of this kind.
    pub(super) unsayable: fn(kind: &str) -> Option<Unaskable>,
    /// Edits a tool of a list, or says that it may not be listed.
    pub(super) tool: Option<Tool>,
    /// Edits `structuredContent` of a tool's result.
    pub(super) structured: Structured,
    /// What becomes of an error with this code, in answer to this method.
    pub(super) error: fn(asked: &Method, code: i64, error: &Members<'_>) -> Recoded,
    /// Edits the parameters of a server's question, beyond what the table says.
    pub(super) ask:
        fn(method: &Method, params: Value<'_>, name: &str, patch: &mut Patch) -> Result<Extra, Unaskable>,
    /// Whether in the messages of a model several blocks must become one.
    pub(super) one_block: bool,
}

/// Of a content block by its kind; the number is its place among those beside it, from one.
pub(super) type Block = fn(kind: &str, block: Value<'_>, number: usize) -> Option<String>;

/// Of a tool in a list.
pub(super) type Tool = fn(tool: Value<'_>, patch: &mut Patch) -> Listing;

/// A member that ends with a step.
pub(super) struct Ends {
    /// On messages of these methods; of all if there are none.
    pub(super) of: &'static [Method],
    pub(super) member: &'static str,
}

/// A member that a step makes sure of.
pub(super) struct Put {
    /// On results of these methods; of all if there are none.
    pub(super) of: &'static [Method],
    pub(super) member: &'static str,
    /// What it is where it is not what it must be.
    pub(super) json: &'static str,
    /// Whether it is what it must be.
    pub(super) fits: fn(&str) -> bool,
}

/// A capability that ends with a step.
pub(super) enum Capability {
    /// All of it.
    Whole(&'static str),
    /// One member of it; the rest means what it did.
    Part(&'static str, &'static str),
    /// One of its modes: if it is the only one declared, the capability ends, for without any it means another.
    Mode(&'static str, &'static str),
}

impl Capability {
    /// What is declared.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Capability::Whole(name) | Capability::Part(name, _) | Capability::Mode(name, _) => name,
        }
    }

    /// The member that ends, if not all of it does.
    pub(super) fn part(&self) -> Option<&'static str> {
        match self {
            Capability::Whole(_) => None,
            Capability::Part(_, part) | Capability::Mode(_, part) => Some(part),
        }
    }
}

/// Members to put behind those of the parameters.
pub(super) type Extra = Vec<(&'static str, String)>;

/// Whether a tool may be listed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    Shown,
    Hidden,
}

/// What becomes of `structuredContent`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Structured {
    /// It passes, whatever it is.
    Any,
    /// What is no object becomes text.
    Objects,
}

impl Way {
    /// A step that changes nothing.
    const PASS: Way = Way {
        meta: &[],
        params: &[],
        result: &[],
        put: &[],
        notices: &[],
        question: &[],
        reply: &[],
        client: &[],
        server: &[],
        server_put: &[],
        block: None,
        unsayable: |_| None,
        tool: None,
        structured: Structured::Any,
        error: |_, _, _| Recoded::Same,
        ask: |_, _, _, _| Ok(Extra::new()),
        one_block: false,
    };
}

/// The members that end on messages of this method.
pub(super) fn ending(table: &'static [Ends], method: &Method) -> impl Iterator<Item = &'static str> {
    table
        .iter()
        .filter(move |row| row.of.is_empty() || row.of.contains(method))
        .map(|row| row.member)
}

const fn ends(of: &'static [Method], member: &'static str) -> Ends {
    Ends { of, member }
}
