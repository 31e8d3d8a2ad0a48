//! Tools that nobody can call for want of headers that work: they are in no list that the gateway reads in a client's
//! place, and the operator is told of each once.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use mcp::Message;
use mcp::header;

use crate::registry::Upstream;

/// Tools of one upstream that the operator is told of; a server that has more of them is known well enough by then.
const TOLD: usize = 64;

/// Bytes of a name that are shown.
const SHOWN: usize = 128;

/// Which tools of an upstream the operator was told of.
#[derive(Default)]
pub(crate) struct Unlisted {
    told: Mutex<HashSet<Box<str>>>,
}

impl Upstream {
    /// The answer to a `tools/list` of 2026-07-28 as whoever translates it must read it: over HTTP without the tools
    /// whose `x-mcp-header` are invalid (basic/transports/streamable-http §Custom Headers). Elsewhere the annotation
    /// means nothing, and the list is as it was.
    pub fn callable(&self, answer: Message) -> Message {
        if self.kind() != "http" {
            return answer;
        }
        let (left, unlisted) = header::listed(&answer);
        for header::Unlisted { name, why } in unlisted {
            let shown = name.get(..name.floor_char_boundary(SHOWN)).unwrap_or_default();
            if self.unlisted.is_new(shown) {
                tracing::warn!(upstream = %self.name, tool = ?shown, %why, "a tool is not listed to clients before 2026-07-28");
            }
        }
        left
    }
}

impl Unlisted {
    /// Another server may answer there now.
    pub(crate) fn forget(&self) {
        self.locked().clear();
    }

    fn is_new(&self, tool: &str) -> bool {
        let mut told = self.locked();
        told.len() < TOLD && told.insert(tool.into())
    }

    fn locked(&self) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_is_told_of_once_and_not_without_end() {
        let unlisted = Unlisted::default();
        assert!(unlisted.is_new("a"));
        assert!(!unlisted.is_new("a"));
        for number in 1..TOLD {
            assert!(unlisted.is_new(&number.to_string()));
        }

        assert!(!unlisted.is_new("one more"));

        unlisted.forget();
        assert!(unlisted.is_new("a"));
    }
}
