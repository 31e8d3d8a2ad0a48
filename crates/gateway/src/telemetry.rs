//! What the process says of itself: lines on standard error. Standard output is for answers.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// What is said when the file does not say otherwise. The engine logs each client that leaves as an
/// error of its own; what matters of that is in the record.
const USUAL: &str = "info,pingora_core=off,pingora_pool=off";

/// The process's voice: how much it says may change while it runs.
pub(crate) struct Telemetry {
    follow: Box<dyn Fn(EnvFilter) + Send + Sync>,
}

impl Telemetry {
    /// Begins to speak, at this level: a level's name, or a filter as `tracing` has it.
    pub(crate) fn begin(level: Option<&str>) -> Self {
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter(level))
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .with_filter_reloading();
        let handle = lines.reload_handle();
        let _ = lines.try_init();
        Self {
            follow: Box::new(move |filter| {
                // It fails when nobody listens, who then misses nothing.
                let _ = handle.reload(filter);
            }),
        }
    }

    /// Speaks at this level from now on.
    pub(crate) fn follow(&self, level: Option<&str>) {
        (self.follow)(filter(level));
    }
}

fn filter(level: Option<&str>) -> EnvFilter {
    match level {
        None => EnvFilter::new(USUAL),
        Some(level) if !level.contains(['=', ',']) => {
            EnvFilter::new(format!("{level},pingora_core=off,pingora_pool=off"))
        }
        Some(filter) => EnvFilter::new(filter),
    }
}

/// Whether a text is a level or a filter.
pub(crate) fn is_filter(text: &str) -> bool {
    EnvFilter::try_new(text).is_ok()
        && (text.contains('=') || ["error", "warn", "info", "debug", "trace", "off"].contains(&text))
}
