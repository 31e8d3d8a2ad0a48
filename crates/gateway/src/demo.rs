//! `causeway demo`: a small MCP server with one of everything, for first steps, tests and benchmarks.
//!
//! It speaks all five revisions: over stdio both eras on one pipe, over HTTP both eras on `/mcp` and the
//! HTTP+SSE transport of 2024-11-05 on `/sse`. It shares no code with the rest of the gateway, so that a
//! mistake made in one is seen by the other.
//!
//! ```text
//! causeway demo                                  # stdio
//! causeway demo --listen 127.0.0.1:9000          # http://127.0.0.1:9000/mcp and /sse
//! causeway demo --listen 127.0.0.1:0 --era legacy --sessions off
//! causeway demo --listen 127.0.0.1:0 --serverless --cold 2s
//! ```
//!
//! A message's way: [`stdio`] or [`http`] reads it, [`message`] checks its shape, [`era`] tells which
//! half of the protocol it belongs to, [`server`] answers it from [`tools`], [`resources`] and
//! [`prompts`], and a [`call`] is how those speak to the client before their answer.

mod server;
mod tools;
mod catalog;
mod resources;
mod prompts;
mod completion;
mod call;
mod changes;
mod session;
mod calls;
mod work;
mod message;
mod revision;
mod era;
mod terms;
mod level;
mod stdio;
mod pipe;
mod http;
mod site;
mod streamable;
mod headers;
mod sse;
mod reply;
mod serverless;

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use era::Era;
use serverless::{Serverless, duration};

/// A small MCP server with one of everything, on stdio unless told to listen.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Demo {
    /// Serve HTTP here instead: Streamable HTTP on /mcp, HTTP+SSE on /sse (port 0 picks one and prints it)
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// Which half of the protocol to speak: before 2026-07-28, since then, or both
    #[arg(long, value_enum, default_value_t = Era::Both)]
    era: Era,

    /// Whether `initialize` over Streamable HTTP mints an Mcp-Session-Id
    #[arg(long, value_enum, default_value_t = Switch::On)]
    sessions: Switch,

    /// Never stream an answer: no progress, no logs, no questions to the client
    #[arg(long, conflicts_with = "sse")]
    json: bool,

    /// Answer every request with an event stream, as most official SDK servers do
    #[arg(long)]
    sse: bool,

    /// Behave like a function platform: cold starts, killed streams, instance gone after each answer
    #[arg(long, requires = "listen")]
    serverless: bool,

    /// How long a cold start takes with --serverless
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2s", requires = "serverless")]
    cold: std::time::Duration,

    /// How long a stream lives with --serverless
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "3s", requires = "serverless")]
    kill: std::time::Duration,

    /// Print nothing but errors, not even the address
    #[arg(long)]
    quiet: bool,
}

/// A flag that is written out.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Switch {
    On,
    Off,
}

/// Serves until standard input ends (stdio) or the process is told to stop by SIGTERM or SIGINT.
pub(crate) async fn run(demo: Demo) -> ExitCode {
    let server = Arc::new(server::Server::new(demo.era));
    let Some(address) = demo.listen else {
        return stdio::serve(server, demo.quiet).await;
    };
    let manners = site::Manners {
        sessions: demo.sessions == Switch::On,
        answers: match (demo.json, demo.sse) {
            (true, _) => reply::Form::Json,
            (_, true) => reply::Form::Stream,
            (false, false) => reply::Form::AsNeeded,
        },
        serverless: demo.serverless.then_some(Serverless {
            cold: demo.cold,
            kill: demo.kill,
        }),
    };
    http::serve(server, address, manners, demo.quiet).await
}

/// Resolves when the process is asked to stop.
async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the default disposition ends the process, which is as good.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
