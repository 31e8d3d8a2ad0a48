//! What a template may read at load: variables of the process and files beside it.

use std::io::{self, Read};
use std::path::Path;

/// A secret file longer than this is not one.
const LONGEST: u64 = 1 << 20;

/// Where `${env:…}` and `${file:…}` come from.
pub trait Environment {
    /// A variable, if it is set and text.
    fn var(&self, name: &str) -> Option<String>;
    /// A whole file.
    ///
    /// # Errors
    /// What the system said.
    fn file(&self, path: &Path) -> io::Result<String>;
    /// Whether calls will say who makes them, so that `${claim:…}` and its like can ever stand for something.
    fn identifies(&self) -> bool {
        true
    }
}

/// The same environment, where nobody is asked who they are.
pub struct Unidentified<'a>(pub &'a dyn Environment);

impl Environment for Unidentified<'_> {
    fn var(&self, name: &str) -> Option<String> {
        self.0.var(name)
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        self.0.file(path)
    }

    fn identifies(&self) -> bool {
        false
    }
}

/// This process's own environment, and files as its working directory sees them.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        let mut text = String::new();
        crate::source::open_regular(path)?
            .take(LONGEST + 1)
            .read_to_string(&mut text)?;
        if text.len() as u64 > LONGEST {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it is longer than 1 MiB",
            ));
        }
        Ok(text)
    }
}
