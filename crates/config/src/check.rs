//! As written → as meant: a section asks for its keys one by one, and everything wrong with them is noted on
//! the way.
//!
//! Every reader returns `None` both for what is not written and for what is wrong, since a wrong value has
//! been reported by then and its section cannot be used anyway. A key that no one asked for is reported by
//! [`Fields::finish`]. A key with nothing after its colon counts as not written.

mod field;

pub use field::Field;

use crate::node::{Entry, Location, Value};
use crate::problem::{self, Problem, Problems};
use crate::scalar::{self, Wrong};

/// The keys of one mapping, while they are being asked for.
#[derive(Debug)]
#[must_use = "keys nobody asked for are reported by `finish`"]
pub struct Fields<'a> {
    entries: &'a [Entry],
    asked: Vec<&'static str>,
    at: Location,
    path: String,
    problems: &'a Problems,
}

/// A value that remembers where it stood, so that it can be complained about later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// What was meant.
    pub value: T,
    /// Its line: that of its key, or of its item in a list.
    pub at: Location,
    /// Its setting: `upstreams.crm.url`.
    pub path: String,
}

impl<'a> Fields<'a> {
    /// A key that may be left out.
    pub fn optional(&mut self, key: &'static str) -> Field<'a> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let path = problem::join(&self.path, key);
        match self.entries.iter().find(|entry| entry.key == key) {
            Some(entry) => Field::of(entry, path, self.problems),
            None => Field::absent(self.at, path, self.problems),
        }
    }

    /// A key that must be there; its absence is reported where the mapping begins.
    pub fn required(&mut self, key: &'static str) -> Field<'a> {
        let field = self.optional(key);
        if !field.is_written() {
            self.problems.add(Problem::new(
                Some(field.at()),
                &self.path,
                format!("`{key}` is missing"),
            ));
        }
        field
    }

    /// A key that may be left out and has a second spelling; both at once are a mistake.
    pub fn either(&mut self, key: &'static str, also: &'static str) -> Field<'a> {
        let (first, second) = (self.optional(key), self.optional(also));
        match (first.is_written(), second.is_written()) {
            (true, true) => {
                second.report(
                    format!("`{also}` is another word for `{key}`, which is written too"),
                    Some("keep one of them"),
                );
                first
            }
            (false, true) => second,
            (_, false) => first,
        }
    }

    /// Whether a key is written, without counting as asking for it.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.key == key && entry.node.value != Value::Null)
    }

    /// Reports something about the mapping as a whole.
    pub fn report(&self, text: impl Into<String>, hint: Option<&str>) {
        self.problems
            .add(with_hint(Problem::new(Some(self.at), &self.path, text), hint));
    }

    /// Where this mapping is: `upstreams.crm`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its line.
    #[must_use]
    pub fn at(&self) -> Location {
        self.at
    }

    /// Ends the questions: every key that was not asked for is reported, with the nearest that was.
    pub fn finish(self) {
        for entry in self
            .entries
            .iter()
            .filter(|entry| !self.asked.contains(&entry.key.as_str()))
        {
            let hint = scalar::suggestion(&entry.key, &self.asked);
            let text = format!("`{}` is not a key we know", scalar::shown(&entry.key));
            self.problems
                .add(Problem::new(Some(entry.at), &self.path, text).hint(hint));
        }
    }
}

impl<T> Located<T> {
    /// The value alone.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// Another value in the same place.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located {
            value: change(self.value),
            at: self.at,
            path: self.path,
        }
    }

    /// A mistake about this value.
    pub fn problem(&self, text: impl Into<String>) -> Problem {
        Problem::new(Some(self.at), &self.path, text)
    }
}

impl<T: AsRef<str>> Located<T> {
    /// What `parse` makes of the text; if nothing, why is reported.
    pub fn checked<U>(
        self,
        problems: &Problems,
        parse: impl FnOnce(&str) -> Result<U, Wrong>,
    ) -> Option<Located<U>> {
        match parse(self.value.as_ref()) {
            Ok(value) => Some(Located {
                value,
                at: self.at,
                path: self.path,
            }),
            Err(wrong) => {
                problems.add(with_hint(self.problem(wrong.text), wrong.hint.as_deref()));
                None
            }
        }
    }
}

fn with_hint(problem: Problem, hint: Option<&str>) -> Problem {
    match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}
