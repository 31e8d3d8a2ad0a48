//! The five revisions of the protocol.

/// A revision, ordered by date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Revision {
    V24,
    V2503,
    V2506,
    V2511,
    V26,
}

impl Revision {
    /// Newest first, the order in which they are advertised.
    pub(super) const ALL: [Revision; 5] = [
        Revision::V26,
        Revision::V2511,
        Revision::V2506,
        Revision::V2503,
        Revision::V24,
    ];

    pub(super) fn parse(date: &str) -> Option<Revision> {
        Revision::ALL.into_iter().find(|revision| revision.date() == date)
    }

    pub(super) fn date(self) -> &'static str {
        match self {
            Revision::V24 => "2024-11-05",
            Revision::V2503 => "2025-03-26",
            Revision::V2506 => "2025-06-18",
            Revision::V2511 => "2025-11-25",
            Revision::V26 => "2026-07-28",
        }
    }

    /// Since 2026-07-28 there is no handshake: each request says all that is needed to answer it.
    pub(super) fn is_modern(self) -> bool {
        self >= Revision::V26
    }
}
