//! What is told of an import: each thing with its place, never with a value, which may be secret.

use std::fmt;

use super::variables::Variables;
use crate::terminal::harmless;

/// Where something stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) server: String,
}

/// All of it, in order.
#[derive(Default)]
pub(super) struct Notes {
    lines: Vec<String>,
}

impl Notes {
    /// Of a server.
    pub(super) fn add(&mut self, place: &Place, text: impl fmt::Display) {
        let Place { file, line, server } = place;
        self.say(format!("{file}:{line}: {}: {text}", harmless::line(server)));
    }

    /// Of anything else. The same is said once.
    pub(super) fn say(&mut self, line: String) {
        if !self.lines.contains(&line) {
            self.lines.push(line);
        }
    }

    pub(super) fn lines(self) -> Vec<String> {
        self.lines
    }

    /// What is left to do.
    pub(super) fn end(&mut self, variables: &Variables) {
        let needed: Vec<&str> = variables.needed().collect();
        if !needed.is_empty() {
            self.say(format!(
                "to be set in the environment of the gateway: {}",
                needed.join(", ")
            ));
        }
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
