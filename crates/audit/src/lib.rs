//! What is remembered: one record per exchange, written where every exchange passes.
//!
//! For now the log is a file of JSON lines. The promise kept here already is the seam: a [`Record`]
//! is complete, holds no secret, no argument and no result, and [`Log::append`] takes it without
//! waiting for a disk. The write-ahead log will stand behind the same call.

mod log;
mod record;

pub use log::{Log, To};
pub use record::{Outcome, Record};
