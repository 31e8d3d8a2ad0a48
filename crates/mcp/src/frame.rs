//! Messages on a wire: what separates one from the next.
//!
//! Both readers take bytes as they arrive, in pieces of any size, and hold no more than their bound.

pub mod line;
pub mod sse;

use std::fmt;

/// Why a frame is lost. The frames behind it are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// It is longer than the reader's bound, in bytes.
    TooLong {
        /// The bound.
        max: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLong { max } => write!(formatter, "a frame is longer than {max} bytes"),
        }
    }
}

impl std::error::Error for FrameError {}
