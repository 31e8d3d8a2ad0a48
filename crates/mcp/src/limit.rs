//! How much structure one message may have.

/// The bounds a parser holds a message to. Its size in bytes is bounded earlier, by the transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many objects and arrays may stand within one another, the message itself included.
    pub depth: u8,
    /// How many messages one batch may hold (2025-03-26 only).
    pub batch: usize,
}

impl Default for Limits {
    /// 64 levels, half of what the usual JSON libraries stand; 50 messages.
    fn default() -> Limits {
        Limits { depth: 64, batch: 50 }
    }
}
