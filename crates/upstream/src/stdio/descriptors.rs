//! How many descriptors a child may have: as many as before the gateway raised its own limit. Some
//! programs fail with more than they expect, or close all they could have.

use std::sync::OnceLock;

use rustix::process::{Pid, Rlimit};

static OF_CHILDREN: OnceLock<Rlimit> = OnceLock::new();

/// From now on children are given this limit in place of ours. Where the system has no way to set the
/// limit of another process, they keep ours.
pub fn keep_descriptors_of_children(limit: Rlimit) {
    let _ = OF_CHILDREN.set(limit);
}

/// Sets it for a child that was just started.
#[cfg(target_os = "linux")]
pub(super) fn limit(child: Pid) {
    if let Some(limit) = OF_CHILDREN.get() {
        // It is no harm to a child that it may have more.
        let _ = rustix::process::prlimit(Some(child), rustix::process::Resource::Nofile, *limit);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn limit(_child: Pid) {}
