//! What clients have set in sessions whose server knows no sessions: from which level on they want log messages,
//! and which resources they watch.
//!
//! Kept in memory only. A client sets both again when it begins a session, and what is forgotten costs it
//! messages, never a call.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use super::shrink::shrink;
use super::token;

/// Sessions with settings; beyond it those that set something longest ago are forgotten, one in sixteen.
const SESSIONS: usize = 65_536;

/// Resources that one session may watch.
pub(crate) const WATCHED: usize = 1024;

/// The settings of all such sessions.
#[derive(Default)]
pub(crate) struct Settings {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    clock: u64,
    sessions: HashMap<token::Id, (u64, Arc<Set>)>,
}

/// What one session has set.
pub(crate) struct Set {
    level: Mutex<Option<&'static str>>,
    watched: watch::Sender<BTreeSet<Box<str>>>,
}

/// A session watches as many resources as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Settings {
    /// What a session has set, if it has set anything.
    pub(crate) fn of(&self, session: &token::Id) -> Option<Arc<Set>> {
        self.locked()
            .sessions
            .get(session)
            .map(|(_, set)| Arc::clone(set))
    }

    /// The same, to set something.
    pub(crate) fn enter(&self, session: &token::Id) -> Arc<Set> {
        let mut table = self.locked();
        table.clock += 1;
        let now = table.clock;
        if let Some((used, set)) = table.sessions.get_mut(session) {
            *used = now;
            return Arc::clone(set);
        }
        if table.sessions.len() >= SESSIONS {
            let mut times: Vec<u64> = table.sessions.values().map(|(used, _)| *used).collect();
            let (_, last, _) = times.select_nth_unstable(SESSIONS / 16 - 1);
            let last = *last;
            table.sessions.retain(|_, (used, _)| *used > last);
        }
        let set = Arc::new(Set {
            level: Mutex::default(),
            watched: watch::Sender::default(),
        });
        table.sessions.insert(session.clone(), (now, Arc::clone(&set)));
        set
    }

    /// The session has ended.
    pub(crate) fn forget(&self, session: &token::Id) {
        let sessions = &mut self.locked().sessions;
        sessions.remove(session);
        shrink(sessions);
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Set {
    /// From which level on its client wants log messages; without one it wants none.
    pub(crate) fn level(&self) -> Option<&'static str> {
        *self.level.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn set_level(&self, level: &'static str) {
        *self.level.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(level);
    }

    /// The client wants to hear of this resource.
    pub(crate) fn watch(&self, uri: &str) -> Result<(), TooMany> {
        let mut full = false;
        self.watched.send_if_modified(|watched| {
            full = watched.len() >= WATCHED && !watched.contains(uri);
            !full && watched.insert(uri.into())
        });
        if full { Err(TooMany) } else { Ok(()) }
    }

    /// It does not any more.
    pub(crate) fn leave(&self, uri: &str) {
        self.watched.send_if_modified(|watched| watched.remove(uri));
    }

    /// What it watches, and what that becomes.
    pub(crate) fn watched(&self) -> watch::Receiver<BTreeSet<Box<str>>> {
        self.watched.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_stays_with_its_session() {
        let settings = Settings::default();
        let (one, other) = (token::Id::new(), token::Id::new());
        assert!(settings.of(&one).is_none());

        settings.enter(&one).set_level("warning");
        settings.enter(&one).watch("file:///a").unwrap();

        let set = settings.of(&one).unwrap();
        assert_eq!(set.level(), Some("warning"));
        assert!(set.watched().borrow().contains("file:///a"));
        assert!(settings.of(&other).is_none());
        set.leave("file:///a");
        assert!(set.watched().borrow().is_empty());

        settings.forget(&one);
        assert!(settings.of(&one).is_none());
    }

    #[test]
    fn a_session_watches_so_much_and_no_more() {
        let set = Settings::default().enter(&token::Id::new());
        for number in 0..WATCHED {
            set.watch(&number.to_string()).unwrap();
        }
        assert_eq!(set.watch("one more"), Err(TooMany));
        assert_eq!(set.watch("0"), Ok(()), "it is watched already");
    }

    #[test]
    fn those_that_set_something_longest_ago_are_forgotten() {
        let settings = Settings::default();
        let (first, second) = (token::Id::new(), token::Id::new());
        settings.enter(&first);
        settings.enter(&second);
        for _ in 2..SESSIONS {
            settings.enter(&token::Id::new());
        }
        settings.enter(&first);

        settings.enter(&token::Id::new());

        assert!(settings.of(&second).is_none());
        assert!(settings.of(&first).is_some(), "it has just set something");
        assert_eq!(settings.locked().sessions.len(), SESSIONS - SESSIONS / 16 + 1);
    }
}
