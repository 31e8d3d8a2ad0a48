//! What the gateway fetches for its upstreams, in a network that does as it is told.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod world;
mod settings;
mod discovery;
mod grants;
mod tokens;
mod login;
mod renewal;
