//! Mistakes, collected until all are known, told in the operator's words with the line they are about.
//!
//! The line is shown so that one need not open the file. What follows a key that sounds like a secret is not:
//! the report ends up in terminals, tickets and logs.

use std::cell::RefCell;
use std::fmt::{self, Write as _};

use crate::node::Location;
use crate::source::Source;

/// Something the operator should know about the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    severity: Severity,
    at: Option<Location>,
    path: String,
    text: String,
    hint: Option<String>,
    is_secret: bool,
}

/// Whether the document can be used in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Mistake,
    /// It can, and yet.
    Warning,
}

/// All that was found so far. Shared by reference while a document is checked.
#[derive(Debug, Default)]
pub struct Problems {
    found: RefCell<Vec<Problem>>,
}

impl Problem {
    /// A mistake: where, in which setting (`upstreams.crm.url`, or nothing), and what is wrong, in lower case
    /// without a full stop.
    pub fn new(at: Option<Location>, path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Mistake,
            at,
            path: tame(path.into()),
            text: tame(text.into()),
            hint: None,
            is_secret: false,
        }
    }

    /// Adds what to do about it: ``did you mean `http`?``
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(tame(hint.into()));
        self
    }

    /// Makes it a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Keeps the line it is about from being shown.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// Whether it stands in the way.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Where it is.
    #[must_use]
    pub fn at(&self) -> Option<Location> {
        self.at
    }

    /// The setting it is about, empty for the document as a whole.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// The words without file and line: ``upstreams.crm.url: `htp` is not a scheme we speak; did you mean
/// `http`?``
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl Problems {
    /// Notes one more.
    pub fn add(&self, problem: Problem) {
        self.found.borrow_mut().push(problem);
    }

    /// Whether nothing at all was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// How many were found, warnings included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.borrow().len()
    }

    /// Whether the document cannot be used.
    #[must_use]
    pub fn any_mistake(&self) -> bool {
        self.found
            .borrow()
            .iter()
            .any(|problem| problem.severity == Severity::Mistake)
    }

    /// All of them, in the order of the document.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Problem> {
        sorted(self.found.into_inner())
    }

    /// All of them as shown: a line with file, number and words, and below it the line they are about.
    #[must_use]
    pub fn render(&self, source: &Source) -> String {
        let mut shown = String::new();
        for problem in sorted(self.found.borrow().clone()) {
            let line = problem.at.map(|at| format!(":{}", at.line)).unwrap_or_default();
            let _ = writeln!(shown, "{}{line}: {problem}", source.name());
            if let Some(excerpt) = excerpt(&problem, source) {
                let _ = writeln!(shown, "    {excerpt}");
            }
        }
        shown
    }
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(Problem::at);
    problems
}

/// What a document holds may drive a terminal; what we print of it may not.
fn tame(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.replace(char::is_control, "\u{fffd}")
}

/// How much of a line is shown.
const WIDEST: usize = 120;

fn excerpt(problem: &Problem, source: &Source) -> Option<String> {
    if problem.is_secret {
        return None;
    }
    let line = source.line(problem.at?.line)?.trim();
    let mut shown = tame(masked(line));
    if let Some((cut, _)) = shown.char_indices().nth(WIDEST) {
        shown.truncate(cut);
        shown.push('…');
    }
    (!shown.is_empty()).then_some(shown)
}

/// Words in a key whose value is nobody's business.
const SECRET_WORDS: [&str; 8] = [
    "secret",
    "password",
    "passwd",
    "token",
    "authorization",
    "cookie",
    "key",
    "credential",
];

/// Whether the last key of a path sounds as if a secret were behind it.
pub(crate) fn sounds_secret(path: &str) -> bool {
    let key = path.rsplit('.').next().unwrap_or(path).to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// A line up to the first value behind such a key. A value that is only a template names a secret and is
/// none.
fn masked(line: &str) -> String {
    for (end, _) in line.match_indices([':', '=']) {
        let before = line[..end].trim_end_matches(['"', '\'', ' ']);
        let key = before
            .rsplit(|c: char| !c.is_alphanumeric() && !"_.-".contains(c))
            .next()
            .unwrap_or(before);
        let value = line[end + 1..].trim();
        if sounds_secret(key) && !value.is_empty() && !is_bare_template(value) {
            return format!("{} ***", &line[..=end]);
        }
    }
    line.to_owned()
}

fn is_bare_template(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    value.starts_with("${")
        && value.ends_with('}')
        && value.matches("${").count() == 1
        && !value.contains(":-")
}

/// The path of a key below another.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The path of an item in a list.
pub(crate) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}
