//! Servers we call: one trait over every way to reach one, and what is known of each.
//!
//! An [`Upstream`] is found by name in the [`Registry`]. Opening it yields an [`Exchange`], which
//! carries one message there and its [`Reply`] back. Behind it stands a [`Transport`]: Streamable
//! HTTP, HTTP+SSE or a spawned process. Which era a server speaks is found by asking ([`handshake`]),
//! and so is which of the two a URL leads to; both are remembered ([`memory`]).
//!
//! Messages stay bytes: nothing here adds to or takes from what a client and a server say to each
//! other, but the ids and tokens that a shared wire makes ours.

mod registry;
mod exchange;
mod listening;
mod removal;
mod feed;
pub mod transport;

mod renewal;
mod taken_back;
mod steady;
mod breaker;
mod slots;
mod seats;
mod backoff;
mod pause;

mod pending;
mod routing;
mod unclaimed;
mod unread;
mod flight;
mod seldom;
mod lost;

pub mod handshake;
pub mod memory;
mod introduction;
pub mod catalog;
mod parameters;
mod unlisted;
mod summary;

pub mod stdio;
pub mod streamable_http;
pub mod sse;
mod by_url;

pub mod kind;

mod error;
mod metrics;

#[cfg(test)]
mod scripted;

pub use catalog::{Catalog, Listing};
pub use error::{Error, Fault};
pub use exchange::Exchange;
pub use feed::{Following, Interest};
pub use handshake::{Eras, Legacy};
pub use introduction::Introduction;
pub use listening::Listening;
pub use metrics::Metrics;
pub use registry::{Registry, Timeouts, Upstream};
pub use removal::Removal;
pub use summary::{Summary, summarize};
pub use transport::{
    Agreement, Conversation, Headers, Link, MessageStream, Messages, Overheard, Pooled, Reply, Session,
    Transport,
};
