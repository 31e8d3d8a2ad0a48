//! Streams that clients of Streamable HTTP can come back to, where `resume` is set (2025-11-25 basic/transports,
//! "Resumability and Redelivery"): beside the ordinary way, which knows nothing of it.
//!
//! Who tells lives in a task of its own and writes into the memory of its session ([`crate::session::replay`]). What
//! holds the connection only reads there, from a place on; so a connection that is cut cuts nothing else.

pub(crate) mod call;
pub(crate) mod get;
pub(crate) mod following;
