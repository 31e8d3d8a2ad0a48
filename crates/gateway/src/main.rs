//! `causeway`: every MCP client reaches every MCP server through one door.
//!
//! The process: it reads the file, checks it, assembles the data plane, shows what stands, and ends
//! it cleanly. [`run`] tells that story; everything here is a chapter of it or a command beside it.

mod cli;
mod run;

mod reading;
mod document;
mod assemble;
mod outside;
mod introductions;
mod kept;
mod compare;
mod drain;

mod reload;
mod watch;
mod retire;
mod loading;

mod descriptors;

mod admin;
mod banner;
mod terminal;
mod telemetry;

mod ask;
mod explain;
mod key;
mod import;
mod demo;

use std::process::ExitCode;

/// Freed memory goes back to the system: after thousands of closed streams the system's own allocator
/// keeps nearly all of it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
