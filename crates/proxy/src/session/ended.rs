//! Sessions that their clients have ended, until they would have expired: an id that was given up must
//! not work again, not even after a restart.
//!
//! Written down beside the sealing key, a line for each, off the request's path. What a crash takes
//! with it is a moment's worth: those sessions work again until they expire.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::token::Id;

/// Sessions ended and not yet expired. Beyond it those that expire first are forgotten, whose tokens
/// then work again until they do.
const ENDED: usize = 100_000;

/// Read of the file at most. A line has 44 bytes, and there are never more than twice as many as
/// sessions may be kept.
const FILE: u64 = ENDED as u64 * 2 * 64;

/// The sessions that were ended.
pub(crate) struct Ended {
    sessions: Mutex<Sessions>,
    file: Option<PathBuf>,
}

#[derive(Default)]
struct Sessions {
    expiries: HashMap<Id, u64>,
    /// Lines that are not in the file yet.
    unwritten: String,
    /// Lines added since the file was last written as a whole.
    added: usize,
    /// Whether somebody is writing.
    writing: bool,
}

impl Ended {
    /// Those in `file` that have not expired by `now`, in seconds since 1970. What cannot be read in it
    /// is skipped, and the file is written anew without it.
    pub(crate) fn kept_in(file: Option<PathBuf>, now: u64) -> Self {
        let mut sessions = Sessions::default();
        if let Some(path) = &file {
            sessions.expiries = read(path);
            sessions.expiries.retain(|_, expires| *expires > now);
            tell(replace(path, &sessions.lines()));
        }
        Self {
            sessions: Mutex::new(sessions),
            file,
        }
    }

    /// Whether this session was ended.
    pub(crate) fn contains(&self, id: &Id) -> bool {
        self.locked().expiries.contains_key(id)
    }

    /// The session is ended, and would have expired then.
    pub(crate) fn insert(self: &Arc<Self>, id: &Id, expires: u64, now: u64) {
        let mut sessions = self.locked();
        sessions.make_room(now);
        sessions.expiries.insert(id.clone(), expires);
        if self.file.is_none() {
            return;
        }
        sessions.unwritten.push_str(&line(id, expires));
        sessions.added += 1;
        // Those who come while it writes leave their lines to it.
        if !std::mem::replace(&mut sessions.writing, true) {
            let ended = Arc::clone(self);
            tokio::task::spawn_blocking(move || ended.write());
        }
    }

    /// Writes until nothing is left to write.
    fn write(&self) {
        loop {
            let (added, whole) = {
                let mut sessions = self.locked();
                sessions.writing = !sessions.unwritten.is_empty();
                let whole = (sessions.added > ENDED).then(|| sessions.lines());
                if whole.is_some() {
                    sessions.added = 0;
                }
                (std::mem::take(&mut sessions.unwritten), whole)
            };
            let (Some(path), false) = (&self.file, added.is_empty()) else {
                return;
            };
            tell(match whole {
                Some(whole) => replace(path, &whole),
                None => append(path, &added),
            });
        }
    }

    fn locked(&self) -> MutexGuard<'_, Sessions> {
        self.sessions
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Sessions {
    fn lines(&self) -> String {
        self.expiries
            .iter()
            .map(|(id, expires)| line(id, *expires))
            .collect()
    }

    fn make_room(&mut self, now: u64) {
        if self.expiries.len() >= ENDED {
            self.expiries.retain(|_, expires| *expires > now);
        }
        if self.expiries.len() >= ENDED {
            let first = self.expiries.iter().min_by_key(|(_, expires)| **expires);
            let first = first.map(|(id, _)| id.clone());
            first.and_then(|first| self.expiries.remove(&first));
        }
    }
}

fn tell(written: std::io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(%error, "ended sessions cannot be written down; a restart would forget them");
    }
}

fn line(id: &Id, expires: u64) -> String {
    format!("{id} {expires}\n")
}

fn read(path: &Path) -> HashMap<Id, u64> {
    let mut bytes = Vec::new();
    // A file that is not there is one that nothing was written to.
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(FILE).read_to_end(&mut bytes);
    }
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok());
    let known = lines.filter_map(|line| {
        let (id, expires) = line.split_once(' ')?;
        Some((Id::parse(id)?, expires.parse().ok()?))
    });
    known.collect()
}

fn append(path: &Path, lines: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(lines.as_bytes())
}

fn replace(path: &Path, lines: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(lines.as_bytes())?;
    fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_bounded_and_forgets_what_expires_first() {
        let ended = Arc::new(Ended::kept_in(None, 0));
        let ids: Vec<Id> = (0..=ENDED).map(|_| Id::new()).collect();
        for (number, id) in ids.iter().enumerate() {
            ended.insert(id, 1000 + number as u64, 0);
        }

        assert!(!ended.contains(&ids[0]));
        assert!(ids[1..].iter().all(|id| ended.contains(id)));
        ended.insert(&Id::new(), 9_999_999, 9_999_998);
        assert_eq!(ended.locked().expiries.len(), 1, "the others have expired");
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = Id::new();

        assert_eq!(Id::parse(&id.to_string()), Some(id));
        for garbage in [
            "",
            "0123",
            "zz112233445566778899aabbccddeeff",
            "+0112233445566778899aabbccddeeff",
        ] {
            assert_eq!(Id::parse(garbage), None, "{garbage}");
        }
    }
}
