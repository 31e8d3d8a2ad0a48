//! What is allowed: who may come in, and what goes along to an upstream.
//!
//! Which hosts and origins are ours ([`origin`]), who calls ([`authn`]), which headers a request to an upstream
//! carries ([`headers`]), what is fetched for one ([`fetched`]), what of an upstream is shown at a route, and how ([`curation`]), and who may do what of it
//! ([`rules`]). Only finding out who calls may await; everything else is decided at once.

pub mod authn;
mod certificate;
pub mod curation;
pub mod fetched;
pub mod headers;
pub mod origin;
mod pick;
mod principal;
mod address;
mod sealed;
mod proxies;
pub mod rules;
pub mod rates;
pub mod vault;
pub mod minted;

pub use authn::{Authn, Unidentified};
pub use certificate::Certificate;
pub use curation::{Curation, Unfilled, What};
pub use headers::{Injection, Refused};
pub use minted::Minter;
pub use origin::{Denied, Gate};
pub use pick::{Pattern, Pick};
pub use principal::{Identity, Principal};
pub use proxies::Proxies;
pub use rates::{Limited, Permit, Rates};
pub use rules::Rules;
pub use vault::Vault;
