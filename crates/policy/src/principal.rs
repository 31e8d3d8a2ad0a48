//! Who calls.

use std::fmt;

/// Who calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Principal {
    /// Nobody said who they are, and nobody asked.
    #[default]
    Anonymous,
}

impl Principal {
    /// The value that handles given to this principal are bound to.
    pub fn binding(&self) -> &[u8] {
        match self {
            Self::Anonymous => b"",
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
        }
    }
}
