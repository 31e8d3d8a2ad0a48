//! Severities of log messages.

use serde_json::Value;

/// Severity of a log message, as in RFC 5424.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Level(pub(super) u8);

impl Level {
    pub(super) const NAMES: [&str; 8] = [
        "debug",
        "info",
        "notice",
        "warning",
        "error",
        "critical",
        "alert",
        "emergency",
    ];

    pub(super) fn parse(name: &Value) -> Option<Level> {
        let name = name.as_str()?;
        let severity = (0u8..).zip(Level::NAMES).find(|(_, known)| *known == name)?.0;
        Some(Level(severity))
    }

    pub(super) fn name(self) -> &'static str {
        Level::NAMES[usize::from(self.0)]
    }
}
