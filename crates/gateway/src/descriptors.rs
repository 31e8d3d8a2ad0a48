//! Descriptors, of which every connection takes one: as many as may be had, and notice before they
//! run out.
//!
//! The engine's listener rests for a second when the system has no descriptor left for it, in which
//! nobody is heard. Before it comes to that, new work is shed.

use std::fs;
use std::time::Duration;

use proxy::Health;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How often it is looked how many are in use.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Descriptors beside those of requests: listeners, logs, runtimes, idle connections, children.
const HEAD_ROOM: u64 = 256;

/// The limit of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    limit: u64,
}

impl Descriptors {
    /// Raises the limit to what the system lets us have. Children keep the one before.
    pub(crate) fn raise() -> Self {
        let before = getrlimit(Resource::Nofile);
        let hard = Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        };
        if before.current == before.maximum {
            // Nothing to raise, and nothing to keep from children.
        } else if setrlimit(Resource::Nofile, hard).is_ok() {
            upstream::stdio::keep_descriptors_of_children(before);
            tracing::debug!(from = ?before.current, to = ?before.maximum, "the limit of descriptors is raised");
        }
        Self {
            limit: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        }
    }

    /// Says so when requests could take more descriptors than there are.
    pub(crate) fn warn_of(self, streams: usize) {
        let needed = (streams as u64).saturating_add(HEAD_ROOM);
        if needed > self.limit {
            tracing::warn!(
                "`bounds.streams: {streams}` does not fit below the limit of {} descriptors (`ulimit -n`): calls are \
                 refused when they run short",
                self.limit
            );
        }
    }

    /// Tells `health` whether descriptors are nearly used up, without end.
    pub(crate) async fn watch(self, health: &Health) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let mut short = false;
        loop {
            looks.tick().await;
            let is_short = in_use().is_some_and(|used| self.is_short(used, short));
            if is_short != short {
                short = is_short;
                health.set_short(short);
                match short {
                    true => tracing::warn!(
                        limit = self.limit,
                        "descriptors are nearly used up; new calls are refused"
                    ),
                    false => tracing::info!("there are descriptors again"),
                }
            }
        }
    }

    /// Short from seven eighths on, until less than three quarters are in use.
    fn is_short(self, used: u64, was: bool) -> bool {
        let full = if was {
            self.limit / 4 * 3
        } else {
            self.limit / 8 * 7
        };
        used >= full
    }
}

/// How many descriptors are in use; `None` where the system does not tell. Asking takes none.
fn in_use() -> Option<u64> {
    // Since Linux 6.2 the size of this directory is their number; 0 before.
    let used = fs::metadata("/proc/self/fd").ok()?.len();
    (used > 0).then_some(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shedding_begins_and_ends_at_different_levels() {
        let descriptors = Descriptors { limit: 800 };

        for (used, was, short) in [
            (699, false, false),
            (700, false, true),
            (600, true, true),
            (599, true, false),
        ] {
            assert_eq!(descriptors.is_short(used, was), short, "{used} {was}");
        }
    }

    #[test]
    fn a_limit_that_is_none_is_never_reached() {
        assert!(!Descriptors { limit: u64::MAX }.is_short(1 << 40, false));
    }
}
