//! The parser's complaints in one line each, with a place, and with a way out where there is a usual one.

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

use super::{DEEPEST, Location};
use crate::problem::Problem;
use crate::source::Source;

/// What to tell the operator about a document that is not YAML, or more of it than we take.
pub(super) fn explain(error: &Error, source: &Source) -> Problem {
    let at = error.location().map(Location::from);
    let error = match error.without_snippet() {
        Error::AliasError { error, .. } => error,
        error => error,
    };
    match error {
        Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => too_deep(at),
        Error::Budget { .. } => Problem::new(at, "", "the document is too large to be a configuration"),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => Problem::new(at, "", "the aliases unfold to too much"),
        Error::MultipleDocuments { .. } => {
            not_yaml(at, "a second document begins here, and we read one").hint("remove the `---` before it")
        }
        Error::NullIntoString { .. }
        | Error::Unexpected {
            expected: "string scalar",
            ..
        } => not_yaml(at, "a key must be a word"),
        Error::RecursiveReferencesRequireWeakTypes { .. } => not_yaml(at, "this anchor holds itself"),
        other => said_by_scanner(&other.to_string(), at, source),
    }
}

/// The scanner's errors are words only, so it is by their words that they are told apart. One not recognized
/// is shown as it is.
fn said_by_scanner(said: &str, at: Option<Location>, source: &Source) -> Problem {
    let said = said
        .split(" at line ")
        .next()
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default();
    let line = at.and_then(|at| source.line(at.line)).unwrap_or_default();
    let tab = at
        .filter(|_| said.contains("tab"))
        .and_then(|at| indenting_tab(at.line, source));
    if tab.is_some() {
        return not_yaml(tab, "a tab cannot indent").hint("indent with spaces");
    }
    if said.contains("recursion limit") {
        return too_deep(at);
    }
    if said.contains("flow") && line.contains("${") {
        return not_yaml(at, said).hint("inside `{ … }` and `[ … ]` a `${…}` needs quotes around it");
    }
    if let Some(odd) = said
        .strip_prefix("unexpected character: `")
        .and_then(|rest| rest.chars().next())
    {
        return not_yaml(at, &format!("`{odd}` cannot begin a value")).hint("put quotes around it");
    }
    if said.contains("mapping values are not allowed") {
        return not_yaml(at, "a second `:` in one line")
            .hint("put quotes around the value, or begin a new line");
    }
    if said.contains("key expected ':'") {
        return not_yaml(at, "a `:` is missing").hint("write `key: value`, with a space after the colon");
    }
    not_yaml(at, said)
}

fn not_yaml(at: Option<Location>, text: &str) -> Problem {
    let column = at
        .map(|at| format!(" at column {}", at.column))
        .unwrap_or_default();
    Problem::new(at, "", format!("not valid YAML{column}: {text}"))
}

fn too_deep(at: Option<Location>) -> Problem {
    Problem::new(
        at,
        "",
        format!("lists and maps nest deeper than {DEEPEST} levels"),
    )
}

/// The tab that a line begins with, in the line where the parser stumbled or the next: it speaks of the value
/// before.
fn indenting_tab(line: u32, source: &Source) -> Option<Location> {
    [line, line.saturating_add(1)].into_iter().find_map(|line| {
        let text = source.line(line)?;
        let tab = text[..text.len() - text.trim_start().len()].find('\t')?;
        Some(Location {
            line,
            column: u32::try_from(text[..tab].chars().count() + 1).unwrap_or(u32::MAX),
        })
    })
}
