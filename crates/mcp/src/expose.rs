//! Names and URIs of many servers at one endpoint, told apart.
//!
//! Each server has an [`Alias`], which begins every name and URI of its own.
//!
//! All of it is computed from what the file and the servers say, nothing is assigned or counted: every replica, now
//! and after a restart, comes to the same names.

mod alias;

pub use alias::{Alias, aliases};
