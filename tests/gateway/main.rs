//! What users see of the gateway, chapter by chapter. Each test drives the real binary from outside.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod first_steps;
mod routes;
mod headers;
mod sessions;
mod eras;
mod bodies;
mod smuggling;
mod connections;
mod streams;
mod translation;
mod asking;
mod parked;
mod following;
mod sse_clients;
mod listening;
mod resume;
mod restart;
mod limits;
mod upstream_faults;
mod sse_servers;
mod children;
mod healing;
mod apart;
mod record;
mod health;
mod metrics;
mod check;
mod reload;
mod descriptors;
mod stopping;
mod peers;
mod peers_matrix;
mod conformance;
mod house;
mod harness_itself;
