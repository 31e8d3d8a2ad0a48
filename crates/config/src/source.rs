//! The document as it was found: its name, as shown to the operator, beside its text.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::node::{self, Node};
use crate::problem::{Problem, Problems};

/// A document longer than this is refused before it is looked at.
const LONGEST: usize = 16 << 20;

/// A document and the name it goes by in messages.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    text: String,
}

/// Opens a file that has an end: anybody who reads a pipe may wait for ever.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path)?.is_file() {
        return File::open(path);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is no regular file",
    ))
}

impl Source {
    /// Reads a file; the name shown is the path as given.
    ///
    /// # Errors
    /// What the system said, or that the file is longer than 16 MiB or no text.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        open_regular(path)?
            .take(LONGEST as u64 + 1)
            .read_to_end(&mut bytes)?;
        Self::from_bytes(&path.display().to_string(), bytes)
            .map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem.text().to_owned()))
    }

    /// Takes text that is already here.
    #[must_use]
    pub fn from_text(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Takes bytes that are already here.
    ///
    /// # Errors
    /// A [`Problem`] when they are too many, or are not UTF-8.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, Problem> {
        if bytes.len() > LONGEST {
            return Err(Problem::new(None, "", "the file is longer than 16 MiB"));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self {
                name: name.to_owned(),
                text,
            }),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..valid]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count()
                    + 1;
                Err(Problem::new(None, "", format!("line {line} is not UTF-8 text")))
            }
        }
    }

    /// The document as a tree, if it is YAML; what stands in the way, and every key written twice, goes to
    /// `problems`.
    #[must_use]
    pub fn parse(&self, problems: &Problems) -> Option<Node> {
        node::parse(self, problems)
    }

    /// The name as shown.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// One line of it, counted from 1, without its end.
    #[must_use]
    pub fn line(&self, line: u32) -> Option<&str> {
        self.text.lines().nth((line as usize).checked_sub(1)?)
    }
}
