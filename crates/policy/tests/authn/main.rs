//! Who calls: tokens that are believed, and every way in which one is not.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod signer;
mod world;
mod jwt;
mod jwks;
mod introspection;
mod open_webui;
mod mutated;
