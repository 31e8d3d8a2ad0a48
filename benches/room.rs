//! Room for thousands of connections in this process and in those it starts.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::Outcome;

/// Raises the number of open descriptors to the most that the machine allows, and says what that is.
///
/// # Errors
/// When the limit cannot be raised.
pub fn make_room() -> Outcome<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.current.unwrap_or(u64::MAX))
}
