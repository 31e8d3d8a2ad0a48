//! The way out: every outbound HTTP request of ours goes through here.
//!
//! A small HTTP/1.1 client over pingora's pooled connector. It keeps what the rest of the house
//! should not have to think about: addresses are resolved without blocking and cached ([`target`]),
//! every wait has a deadline ([`Deadlines`]), a connection goes back to the pool only after its answer
//! was read to the end ([`Response`]), and every failure says whether a byte of the request may
//! have reached the server ([`Error::sent`]), since that decides whether it may be repeated.
//!
//! Redirects are never followed here: the caller knows whether the request carries credentials.

mod client;
mod budget;
mod error;
mod gather;
mod pool;
pub mod target;
mod tls;

pub use client::{Client, Deadlines, Request, Response};
pub use error::{Error, Reason};
pub use target::Target;
