//! What is allowed: who may come in, and what goes along to an upstream.
//!
//! `identify` may await; `admit` and `review` never do. Until identities and rules exist, everybody is
//! [`Principal::Anonymous`] and every call is admitted; what is decided here already is which
//! hosts and origins are ours ([`origin`]), which headers a request to an upstream carries
//! ([`headers`]), and what of an upstream is shown at a route, and how ([`curation`]).

pub mod curation;
pub mod headers;
pub mod origin;
mod pick;
mod principal;

pub use curation::{Curation, Unfilled, What};
pub use headers::{Injection, Refused};
pub use origin::{Denied, Gate};
pub use pick::{Pattern, Pick};
pub use principal::{Identity, Principal};
