//! Names and URIs of many servers at one endpoint: how they are told apart, and where they stand.
//!
//! Each server has an [`Alias`], and what it calls `search` is called `alias__search` there; [`Names`] knows both
//! for all servers of an endpoint. A URI is given its alias too, and is read back without any table ([`uri`]). Where either
//! stands in what a client and a server tell each other is what [`place`] knows.
//!
//! All of it is computed from what the file and the servers say, nothing is assigned or counted: every replica, now
//! and after a restart, comes to the same names.

mod alias;

mod name;
mod names;

pub mod uri;

pub mod place;

pub use alias::{Alias, aliases};
pub use name::Style;
pub use names::{Named, Names, Unresolved};
