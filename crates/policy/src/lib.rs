//! What is allowed: who may come in, and what goes along to an upstream.
//!
//! `identify` may await; `admit` and `review` never do. Until identities and rules exist, everybody is
//! [`Principal::Anonymous`] and every call is admitted; what is decided here already is which
//! hosts and origins are ours ([`origin`]) and which headers a request to an upstream carries
//! ([`headers`]).

pub mod headers;
pub mod origin;
mod principal;

pub use headers::{Injection, Refused};
pub use origin::{Denied, Gate};
pub use principal::Principal;
