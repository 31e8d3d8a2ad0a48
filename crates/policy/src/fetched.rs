//! Credentials that the gateway fetches for its upstreams.
//!
//! A caller's own token never reaches an upstream: what an upstream gets was given by its own authorization server, for
//! it alone (MCP, authorization, §Token Handling). Everything goes out through [`Outside`](crate::authn::Outside).

mod settings;
mod tokens;
mod held;
mod fetch;
mod renewal;
mod login;
mod registration;
mod logins;
mod found;
mod discovery;
mod challenge;
mod grant;
mod client;
mod assertion;
mod unfetched;

pub use challenge::Challenge;
pub use discovery::{Hint, Resource, Server, resource, server};
pub use login::{Beginning, Pending, Unfinished};
pub use logins::{Account, Logins};
pub use settings::Auth;
pub use tokens::{Fetched, Whose, With};
pub use unfetched::Unfetched;
