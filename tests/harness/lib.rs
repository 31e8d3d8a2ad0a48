//! The nouns of the behaviour tests: a [`Gateway`] (the real binary), [`Client`]s in front of it, [`Server`]s behind it.
//!
//! Nothing here sleeps for a while and hopes: each wait is for a fact (a printed line, an accepted request, a record, an
//! exit), and [`within`] a deadline that only a failing test reaches. Everything that is said, by the gateway and to
//! it, is judged by the official schema of its revision ([`schema`]): by the [`Client`] and the [`Server`] of a test, which also
//! judge what a test lets them say, by a [`Tap`] on the line of official peers, and on the pipes of children ([`PipeEar`]).
//! What is bad on purpose says so: `unchecked` clients and servers, raw bytes, and what scripts and `misbehave` answer.
#![allow(clippy::unwrap_used, reason = "a broken test environment may panic")]

mod authority;
mod carrier;
mod client;
mod conformance;
mod dialogue;
mod gate;
mod gateway;
pub mod issuer;
mod matrix;
mod nginx;
pub mod pages;
mod peers;
mod pipe;
mod program;
pub mod questions;
pub mod schema;
mod server;
mod sse_client;
mod sse_server;
mod switchboard;
mod tap;
mod terminal;
mod wire;

use std::{fmt::Display, time::Duration};

pub use authority::{Authority, Pair};
pub use carrier::{Carrier, connect};
pub use client::{Answer, Client, Exchange, Sent};
pub use conformance::{Check, Verdict, Verdicts};
pub use gate::Gate;
pub use gateway::{Gateway, Running, causeway, check, misbehave};
pub use issuer::Issuer;
pub use matrix::{Cell, Outcomes, Player, inspect};
pub use nginx::Nginx;
pub use peers::{
    Child, Facts, Peer, Sdk, everything_over_stdio, fastmcp_over_stdio, python_1_over_stdio,
    python_1_pinned_over_stdio, python_modern_over_stdio, python_over_stdio, rmcp_over_stdio,
    typescript_1_over_stdio, typescript_over_stdio,
};
pub use pipe::PipeEar;
pub use program::{Exit, Program, is_alive};
pub use server::{Builder, Mood, Reply, Request, Server};
pub use sse_client::{SseClient, Stripping};
pub use switchboard::Switchboard;
pub use tap::{Side, Tap, Wrong, address_of, wrong_between};
pub use terminal::Terminal;
pub use wire::Headers;

/// How long a fact may take to come about before its test fails. Generous, since two cores run everything at once.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The newest revision, the only one without a handshake.
pub const MODERN: &str = "2026-07-28";

/// The four revisions that begin with `initialize`, oldest first.
pub const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// Waits for a fact, and fails the test with its name if it does not come about before the [`DEADLINE`].
pub async fn within<T>(fact: impl Display, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} for: {fact}"),
    }
}

/// Waits until a look at something outside this process (a file, the process table) shows the fact.
pub async fn until<T>(fact: impl Display, mut look: impl FnMut() -> Option<T>) -> T {
    within(fact, async {
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}
