//! The data plane: how a client's message reaches a server, and its answer the client.
//!
//! Read [`serve`] first: the life of one message in one function. Before it stand the listener
//! ([`app`]), the address ([`route`]) and the door ([`downstream`]); behind it the reply, and
//! [`account`], which every exchange passes on its way out. Whatever goes wrong leaves by
//! [`failure`].
//!
//! This crate knows no YAML file, no signal and no command line. It is handed a [`Generation`],
//! one assembled configuration, and serves by it until it is handed another.

mod app;
mod route;
mod destination;
mod downstream;
mod call;
mod serve;

mod protected;
mod admission;
mod selections;
mod shown;
mod naming;
mod curated;
mod aggregate;
mod bridge;
mod handshake;
mod session;
mod bearer;
mod idempotency;
mod results;
mod waiting;

mod canonical;
mod answer;
mod incoming;
mod deadline;
mod failure;
mod account;
mod legacy;

mod generation;
mod listen;
mod tls;

mod health;
mod metrics;
mod trace;

pub use account::Account;
pub use aggregate::Views;
pub use bearer::Bearers;
pub use generation::{Bounds, Generation};
pub use health::Health;
pub use idempotency::Promises;
pub use legacy::LegacyUse;
pub use listen::{Listener, Page, bind, serve_clients, serve_pages};
pub use metrics::Metrics;
pub use protected::Protected;
pub use results::{CacheRule, Caching, Results};
pub use route::{Choice, Doors, Face, Leads, Route, Routes, SessionRule};
pub use selections::Selections;
pub use session::{Resume, Sessions};
pub use tls::{ClientAuthority, NoAuthority, ServerCertificate, Tls, Unfit};
