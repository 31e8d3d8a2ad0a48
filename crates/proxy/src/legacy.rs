//! Who still comes through the door of legacy SSE: what an operator asks before closing it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

/// Rows kept; beyond it the one that was used longest ago is forgotten.
const ROWS: usize = 1000;

/// Bytes of a client's name and version that are kept.
const CLIENT: usize = 128;

/// The use that clients of one name and version made of legacy SSE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyUse {
    /// The route's path as written.
    pub route: String,
    /// The upstream behind it.
    pub upstream: String,
    /// The client's name and version, as it says.
    pub client: String,
    /// Sessions it began since the start of the gateway.
    pub sessions: u64,
    /// When it began the last of them.
    pub last_used: SystemTime,
}

/// All use of legacy SSE since the start.
#[derive(Default)]
pub(crate) struct LegacyUses {
    rows: Mutex<HashMap<Row, (u64, SystemTime)>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Row {
    route: String,
    upstream: String,
    client: String,
}

impl LegacyUses {
    /// One session more of this client.
    pub(crate) fn note(&self, route: &str, upstream: &str, client: &str) {
        self.note_at(route, upstream, client, SystemTime::now());
    }

    fn note_at(&self, route: &str, upstream: &str, client: &str, now: SystemTime) {
        let row = Row {
            route: route.to_owned(),
            upstream: upstream.to_owned(),
            client: tamed(client),
        };
        let mut rows = self.locked();
        if rows.len() >= ROWS && !rows.contains_key(&row) {
            let oldest = rows
                .iter()
                .min_by_key(|(_, (_, last))| *last)
                .map(|(row, _)| row.clone());
            oldest.and_then(|oldest| rows.remove(&oldest));
        }
        let (sessions, last_used) = rows.entry(row).or_insert((0, now));
        *sessions += 1;
        *last_used = now;
    }

    /// All rows, the one used last first.
    pub(crate) fn all(&self) -> Vec<LegacyUse> {
        let mut all: Vec<LegacyUse> = self
            .locked()
            .iter()
            .map(|(row, (sessions, last_used))| LegacyUse {
                route: row.route.clone(),
                upstream: row.upstream.clone(),
                client: row.client.clone(),
                sessions: *sessions,
                last_used: *last_used,
            })
            .collect();
        all.sort_by(|a, b| (b.last_used, &a.client).cmp(&(a.last_used, &b.client)));
        all
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Row, (u64, SystemTime)>> {
        self.rows.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What a client says of itself ends in terminals, so it may not drive one.
fn tamed(client: &str) -> String {
    let kept = &client[..client.floor_char_boundary(CLIENT)];
    kept.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn sessions_of_one_client_are_one_row() {
        let uses = LegacyUses::default();
        uses.note_at("/mcp", "docs", "old 1.0", at(1));
        uses.note_at("/mcp", "crm", "old 1.0", at(2));
        uses.note_at("/mcp", "docs", "old 1.0", at(3));

        let all = uses.all();

        assert_eq!(all.len(), 2);
        assert_eq!(
            (&*all[0].upstream, all[0].sessions, all[0].last_used),
            ("docs", 2, at(3))
        );
        assert_eq!(
            (&*all[1].upstream, all[1].sessions, all[1].last_used),
            ("crm", 1, at(2))
        );
    }

    #[test]
    fn when_it_is_full_the_row_used_longest_ago_goes() {
        let uses = LegacyUses::default();
        for n in 0..ROWS as u64 {
            uses.note_at("/mcp", "docs", &format!("client {n}"), at(n));
        }
        uses.note_at("/mcp", "docs", "client 0", at(5000));
        uses.note_at("/mcp", "docs", "one more", at(5001));

        let all = uses.all();

        assert_eq!(all.len(), ROWS);
        assert!(
            all.iter()
                .any(|row| row.client == "client 0" && row.sessions == 2)
        );
        assert!(!all.iter().any(|row| row.client == "client 1"));
    }

    #[test]
    fn a_client_cannot_drive_a_terminal_or_fill_the_memory() {
        let uses = LegacyUses::default();
        uses.note("/mcp", "docs", &format!("\u{1b}[2J{}", "ä".repeat(500)));

        let client = &uses.all()[0].client;

        assert!(
            client.len() <= CLIENT + 2 && !client.contains('\u{1b}'),
            "{client}"
        );
    }
}
