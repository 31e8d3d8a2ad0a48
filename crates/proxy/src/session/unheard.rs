//! What is followed for a session while nobody listens to it, for the stream that listens next (`protocol.md` D-47).
//!
//! Proxies close streams that are idle, and clients come back a moment later. What changes in between is heard all the
//! same if whatever hears it is kept for so long: a row of bounded length in which the oldest gives way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::ended::Ended;
use super::token;

/// A client that is longer between two streams hears of nothing that changed.
const LEFT_FOR: Duration = Duration::from_secs(300);

/// Sessions for which something is kept. Fewer by far than may follow one server, whose places they take.
const LEFT: usize = 256;

/// What sessions left that may be listened to again.
pub(crate) struct Unheard<T> {
    ended: Arc<Ended>,
    table: Mutex<Table<T>>,
}

struct Table<T> {
    last: u64,
    /// In the order they were left.
    left: BTreeMap<u64, Left<T>>,
    closed: bool,
}

struct Left<T> {
    session: token::Id,
    kept: T,
    /// Lets go of it when nobody comes; given up when somebody does.
    _end: AbortOnDropHandle<()>,
}

impl<T: Send + 'static> Unheard<T> {
    /// Nothing is left. Nothing will be of a session that is among those that have `ended`.
    pub(super) fn new(ended: &Arc<Ended>) -> Self {
        Self {
            ended: Arc::clone(ended),
            table: Mutex::new(Table {
                last: 0,
                left: BTreeMap::new(),
                closed: false,
            }),
        }
    }

    /// Keeps this for the session's next stream, or until it takes too long to come.
    pub(crate) fn leave(self: &Arc<Self>, session: &token::Id, kept: T) {
        // At the end of the process nobody comes.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut table = self.locked();
        // Looked at while nothing can be forgotten, so that nothing is left behind the session's end.
        if table.closed || self.ended.contains(session) {
            return;
        }
        table.last += 1;
        let number = table.last;
        let oldest = match table.left.len() >= LEFT {
            true => table.left.pop_first(),
            false => None,
        };
        let unheard = Arc::downgrade(self);
        let end = runtime.spawn(async move {
            tokio::time::sleep(LEFT_FOR).await;
            let over = unheard
                .upgrade()
                .and_then(|unheard| unheard.locked().left.remove(&number));
            drop(over);
        });
        let left = Left {
            session: session.clone(),
            kept,
            _end: AbortOnDropHandle::new(end),
        };
        table.left.insert(number, left);
        drop(table);
        drop(oldest);
    }

    /// What was left last of a session.
    pub(crate) fn take(&self, session: &token::Id) -> Option<T> {
        let mut table = self.locked();
        let (number, _) = table
            .left
            .iter()
            .rev()
            .find(|(_, left)| left.session == *session)?;
        let number = *number;
        table.left.remove(&number).map(|left| left.kept)
    }

    /// Lets go of what was left longest ago, for somebody who listens. False if nothing is left.
    pub(crate) fn make_way(&self) -> bool {
        let oldest = self.locked().left.pop_first();
        oldest.is_some()
    }

    /// The session has ended.
    pub(super) fn forget(&self, session: &token::Id) {
        while self.take(session).is_some() {}
    }

    /// The gateway stops: nothing is kept from now on.
    pub(super) fn close(&self) {
        let all = {
            let mut table = self.locked();
            table.closed = true;
            std::mem::take(&mut table.left)
        };
        drop(all);
    }

    fn locked(&self) -> MutexGuard<'_, Table<T>> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something to keep, and whether it still is.
    fn something() -> (Arc<()>, impl Fn() -> bool) {
        let thing = Arc::new(());
        let kept = Arc::downgrade(&thing);
        (thing, move || kept.strong_count() > 0)
    }

    fn unheard() -> Arc<Unheard<Arc<()>>> {
        Arc::new(Unheard::new(&Arc::new(Ended::kept_in(None, 0))))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_found_once_by_its_session_and_not_for_ever() {
        let unheard = unheard();
        let (ours, theirs) = (token::Id::new(), token::Id::new());
        let ((one, is_kept), (other, other_is_kept)) = (something(), something());
        unheard.leave(&ours, one);
        tokio::time::advance(LEFT_FOR - Duration::from_secs(1)).await;

        assert!(unheard.take(&theirs).is_none());
        assert!(unheard.take(&ours).is_some());
        assert!(unheard.take(&ours).is_none());
        assert!(!is_kept());

        unheard.leave(&ours, other);
        tokio::time::sleep(LEFT_FOR + Duration::from_secs(1)).await;
        assert!(!other_is_kept(), "nobody came");
    }

    #[tokio::test]
    async fn the_oldest_gives_way() {
        let unheard = unheard();
        let mut left = Vec::new();
        for _ in 0..=LEFT {
            let (thing, is_kept) = something();
            unheard.leave(&token::Id::new(), thing);
            left.push(is_kept);
        }
        let kept = || left.iter().filter(|is_kept| is_kept()).count();
        assert!(!left[0]() && left[1]());
        assert_eq!(kept(), LEFT);

        assert!(unheard.make_way());

        assert!(!left[1]() && left[2]());
        unheard.close();
        assert_eq!(kept(), 0);
        assert!(!unheard.make_way());
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_session_that_has_ended_or_when_the_gateway_stops() {
        let ended = Arc::new(Ended::kept_in(None, 0));
        let unheard = Arc::new(Unheard::new(&ended));
        let id = token::Id::new();
        let ((before, before_is_kept), (after, after_is_kept)) = (something(), something());

        unheard.leave(&id, before);
        ended.insert(&id, u64::MAX, 0);
        unheard.forget(&id);
        unheard.leave(&id, after);

        assert!(!before_is_kept() && !after_is_kept());
        unheard.close();
        let (late, late_is_kept) = something();
        unheard.leave(&token::Id::new(), late);
        assert!(!late_is_kept());
    }
}
