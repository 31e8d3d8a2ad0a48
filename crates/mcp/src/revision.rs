//! The five revisions of the protocol, by what each has.

use crate::era::Era;
use std::fmt;
use std::str::FromStr;

/// A revision of the protocol. Later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2024-11-05: HTTP with SSE.
    V2024_11_05,
    /// 2025-03-26: Streamable HTTP and batches.
    V2025_03_26,
    /// 2025-06-18: no more batches; the version header; elicitation.
    V2025_06_18,
    /// 2025-11-25: tasks, URL elicitation, resumable polling.
    V2025_11_25,
    /// 2026-07-28: no more handshake and sessions; everything stands in the request.
    V2026_07_28,
}

impl Revision {
    /// All of them, newest first.
    pub const ALL: [Revision; 5] = [
        Revision::V2026_07_28,
        Revision::V2025_11_25,
        Revision::V2025_06_18,
        Revision::V2025_03_26,
        Revision::V2024_11_05,
    ];

    /// What `initialize` negotiates when a client asks for a version we do not know.
    pub const LATEST_LEGACY: Revision = Revision::V2025_11_25;

    /// What a legacy request is taken for when nothing says its version (2025-06-18 transports §Protocol Version
    /// Header).
    pub const ASSUMED: Revision = Revision::V2025_03_26;

    /// Its date, as it is written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Revision::V2024_11_05 => "2024-11-05",
            Revision::V2025_03_26 => "2025-03-26",
            Revision::V2025_06_18 => "2025-06-18",
            Revision::V2025_11_25 => "2025-11-25",
            Revision::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision of that date.
    pub fn parse(date: &str) -> Option<Revision> {
        Revision::ALL
            .into_iter()
            .find(|revision| revision.as_str() == date)
    }

    /// The era it belongs to.
    pub fn era(self) -> Era {
        match self {
            Revision::V2024_11_05 | Revision::V2025_03_26 | Revision::V2025_06_18 | Revision::V2025_11_25 => {
                Era::Legacy
            }
            Revision::V2026_07_28 => Era::Modern,
        }
    }

    /// Whether a body may be an array of messages.
    pub fn has_batches(self) -> bool {
        self == Revision::V2025_03_26
    }
}

/// What we support, as the JSON array that `server/discover` and `-32022` carry; newest first.
///
/// Both eras are listed, as in the specification's own example, so that a client of either finds its own.
pub const fn supported_versions_json() -> &'static str {
    r#"["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]"#
}

/// A date that is not a revision we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownRevision;

impl fmt::Display for UnknownRevision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a known protocol revision")
    }
}

impl std::error::Error for UnknownRevision {}

impl FromStr for Revision {
    type Err = UnknownRevision;

    fn from_str(date: &str) -> Result<Revision, UnknownRevision> {
        Revision::parse(date).ok_or(UnknownRevision)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
