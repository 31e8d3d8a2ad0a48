//! What the benchmarks and the soak share: programs they start, the descriptors they need, and just enough HTTP.

mod client;
mod program;
mod room;
mod wire;

pub use client::{answer, connect, greet, head, head_with, listen, unlike};
pub use program::{Cpu, Program};
pub use room::make_room;
pub use wire::{Letter, Wire};

/// What goes wrong in a measurement is told to a person and ends it; nobody treats one case unlike another.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
