//! One look at the file: its text, the files it names, and what all of it means.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use config::{Environment, Problems, ProcessEnvironment, Secret, Source};

use crate::document::{self, Plan};

/// What one look found.
pub(crate) struct Reading {
    /// The file as it was.
    pub(crate) source: Source,
    /// What it means; `None` when something stands in the way.
    pub(crate) plan: Option<Plan>,
    /// What is wrong with it or doubtful, line by line as shown; empty when nothing is.
    pub(crate) said: String,
    /// All that was read for it.
    pub(crate) content: Content,
}

/// Everything that was read to understand a file, itself included. Equal contents mean the same.
/// Kept as secrets, since some of it is.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// `None` for a file that could not be read.
    files: BTreeMap<PathBuf, Option<Secret>>,
}

impl Reading {
    /// Reads a file and all it names.
    pub(crate) fn of(file: &Path) -> Self {
        let environment = Recorded::default();
        let source = match Source::read(file) {
            Ok(source) => source,
            Err(error) => {
                let name = file.display().to_string();
                return Self {
                    said: format!("{name}: {} ({error})\n", why(&error)),
                    source: Source::from_text(&name, ""),
                    plan: None,
                    content: environment.content(file, None),
                };
            }
        };
        let problems = Problems::default();
        let plan = document::read(&source, &problems, &environment);
        Self {
            plan: plan.filter(|_| !problems.any_mistake()),
            said: problems.render(&source),
            content: environment.content(file, Some(source.text().into())),
            source,
        }
    }
}

fn why(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file",
        io::ErrorKind::PermissionDenied => "it may not be read",
        _ => "it cannot be read",
    }
}

impl Content {
    /// The files it came from.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.files.keys().cloned().collect()
    }
}

/// The environment of the process, which remembers what was read of it. Whatever a setting takes from a
/// file goes through here, so nothing more is needed for that file to be watched.
#[derive(Default)]
struct Recorded {
    files: RefCell<BTreeMap<PathBuf, Option<Secret>>>,
}

impl Recorded {
    fn content(self, file: &Path, text: Option<Secret>) -> Content {
        let mut files = self.files.into_inner();
        files.insert(file.to_owned(), text);
        Content { files }
    }
}

impl Environment for Recorded {
    fn var(&self, name: &str) -> Option<String> {
        ProcessEnvironment.var(name)
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let read = ProcessEnvironment.file(path);
        let kept = read.as_ref().ok().map(|text| Secret::from(text.as_str()));
        self.files.borrow_mut().insert(path.to_owned(), kept);
        read
    }
}
