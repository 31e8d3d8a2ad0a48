//! The catalogs of one upstream, one per set of credentials, and what is known of each: how it was read last,
//! since when that fails, and when it was used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::list::List;
use super::store::Place;
use super::tally::Tally;
use super::{Catalog, Listing};
use crate::error::{Error, Fault};
use crate::flight::Flight;
use crate::metrics::Metrics;
use crate::transport::Headers;

/// Sets of credentials remembered at once; beyond it the one unused longest is forgotten.
pub(super) const REMEMBERED: usize = 64;

/// A catalog that nobody asked for in this time is not kept fresh.
pub(super) const USED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// How long the last good catalog stands in for one that cannot be read (`protocol.md` §3.8, §3.9).
pub(super) const STANDS_IN: Duration = Duration::from_secs(10 * 60);

/// What is read at most this often, whatever the server says of how long it holds.
const SHORTEST: Duration = Duration::from_secs(1);

/// What is read at least this often while it is used, whatever the server says.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// What tells credentials apart: the headers that the operator injects.
pub(crate) type Credentials = Vec<(HeaderName, HeaderValue)>;

/// The catalogs of one upstream.
pub(crate) struct Catalogs {
    by_credentials: Mutex<HashMap<Credentials, Arc<Entry>>>,
    /// Where they stand among those of all upstreams.
    pub(super) place: Place,
    pub(super) tally: Arc<Tally>,
    pub(super) removed: CancellationToken,
    pub(super) lives: TaskTracker,
}

/// The catalog of one set of credentials.
pub(crate) struct Entry {
    /// The credentials.
    pub(super) headers: Arc<Headers>,
    state: Mutex<State>,
    /// Reads the list of tools, alone or as part of all.
    pub(crate) reading_tools: Flight<Arc<List>>,
    /// Counts the readings that ended, well or not.
    settled: watch::Sender<u64>,
    /// The generation of the newest catalog.
    news: watch::Sender<u64>,
    /// Another number after each change that is heard of.
    stamp: AtomicU64,
    /// Wakes who keeps it fresh: it was asked for and is due.
    pub(super) wake: Notify,
    /// It made place for another.
    pub(super) displaced: CancellationToken,
    tally: Arc<Tally>,
}

#[derive(Default)]
struct State {
    catalog: Option<Arc<Catalog>>,
    /// The list of tools as it was read last, alone or with the catalog …
    tools: Option<Arc<List>>,
    /// … and when that was, or failed.
    tools_tried: Option<Instant>,
    /// When it was last found wrong.
    tools_doubted: Option<Instant>,
    /// When it is to be read again.
    due: Option<Instant>,
    failing: Option<Failing>,
    /// When anything of it was used last, as the store counts.
    used: u64,
    /// When all of it was asked for.
    used_at: Option<Instant>,
    /// When somebody first waited for what is not there yet.
    awaited: Option<Instant>,
    /// Whether somebody keeps it fresh.
    is_kept: bool,
}

struct Failing {
    since: Instant,
    error: Error,
}

impl Catalogs {
    /// None yet; in no state directory.
    pub(crate) fn new(upstream: &Arc<str>, metrics: &Arc<Metrics>) -> Self {
        Self {
            by_credentials: Mutex::default(),
            place: Place::default(),
            tally: Arc::new(Tally::new(upstream, metrics)),
            removed: CancellationToken::new(),
            lives: TaskTracker::new(),
        }
    }

    /// The same, in this place.
    pub(crate) fn kept_in(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// Another server may answer there now: what is known is shown until it has been read anew, and that is
    /// due.
    pub(crate) fn doubt(&self) {
        let entries: Vec<_> = self.locked().values().cloned().collect();
        for entry in entries {
            let mut state = entry.locked();
            (state.due, state.tools, state.tools_tried) = (Some(Instant::now()), None, None);
            entry.stir();
            entry.wake.notify_one();
        }
    }

    /// Ends what keeps them fresh; there is nothing of it after that.
    pub(crate) fn remove(&self) {
        self.removed.cancel();
    }

    /// The same, and waits until it has ended.
    pub(crate) async fn stop(&self) {
        self.remove();
        self.lives.close();
        self.lives.wait().await;
    }

    /// The place of these credentials, which are in use now.
    pub(crate) fn entry(&self, credentials: &Credentials) -> Arc<Entry> {
        let used = self.place.store.tick();
        let mut all = self.locked();
        if let Some(entry) = all.get(credentials) {
            entry.locked().used = used;
            return Arc::clone(entry);
        }
        if all.len() >= REMEMBERED {
            let oldest = all.iter().min_by_key(|(_, entry)| entry.used());
            let oldest = oldest.map(|(credentials, _)| credentials.clone());
            if let Some(entry) = oldest.and_then(|oldest| all.remove(&oldest)) {
                entry.displaced.cancel();
            }
        }
        let entry = Arc::new(Entry::new(credentials.clone(), &self.tally));
        entry.locked().used = used;
        // The copy: a header of a client would keep all in memory that was read with it.
        all.insert(entry.headers.injected.clone(), Arc::clone(&entry));
        drop(all);
        self.place.store.count(&entry);
        entry
    }

    /// The list of tools that was read last, of all credentials.
    pub(super) fn newest_tools(&self) -> Option<Arc<List>> {
        let all = self.locked();
        all.values()
            .filter_map(|entry| entry.tools())
            .min_by_key(|tools| tools.age())
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Credentials, Arc<Entry>>> {
        self.by_credentials
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    #[cfg(test)]
    pub(crate) fn credentials(&self) -> Vec<Credentials> {
        self.locked().keys().cloned().collect()
    }
}

impl Entry {
    fn new(credentials: Credentials, tally: &Arc<Tally>) -> Self {
        let headers = Headers {
            injected: credentials,
            passed: Vec::new(),
        };
        Self {
            headers: headers.into_kept(),
            state: Mutex::default(),
            reading_tools: Flight::default(),
            settled: watch::Sender::new(0),
            news: watch::Sender::new(0),
            stamp: AtomicU64::new(next_stamp()),
            wake: Notify::new(),
            displaced: CancellationToken::new(),
            tally: Arc::clone(tally),
        }
    }

    /// Somebody asks for it. Whether somebody must begin to keep it fresh, which is up to the caller.
    pub(super) fn ask(&self) -> bool {
        let mut state = self.locked();
        let now = Instant::now();
        state.used_at = Some(now);
        if state.is_kept {
            state.awaited = match (&state.catalog, &state.failing) {
                (None, None) => state.awaited.or(Some(now)),
                _ => None,
            };
            if state.due.is_none_or(|due| due <= now) {
                self.wake.notify_one();
            }
            return false;
        }
        state.is_kept = true;
        // What failed while somebody used it says nothing of now.
        if state.catalog.is_none() || state.is_given_up() {
            let forgotten = state.catalog.take();
            self.tally.change(forgotten.as_deref(), None);
            (state.failing, state.awaited) = (None, Some(now));
        }
        true
    }

    /// What somebody who asks is told; none when that is being found out.
    pub(super) fn answer(&self) -> Option<Result<Arc<Catalog>, Error>> {
        let state = self.locked();
        match (&state.catalog, &state.failing) {
            (_, Some(failing)) if state.is_given_up() => Some(Err(failing.error.clone())),
            (Some(catalog), _) => Some(Ok(Arc::clone(catalog))),
            (None, Some(failing)) => Some(Err(failing.error.clone())),
            (None, None) => None,
        }
    }

    /// How much is left of the time that one who asks may wait. It is counted from the first who waits for the same:
    /// a server that hangs is waited for once, and not by each list and call anew.
    pub(super) fn patience(&self, within: Duration) -> Duration {
        let awaited = self.locked().awaited;
        within.saturating_sub(awaited.map_or(Duration::ZERO, |awaited| awaited.elapsed()))
    }

    /// Told whenever a reading has ended.
    pub(super) fn settled(&self) -> watch::Receiver<u64> {
        self.settled.subscribe()
    }

    /// Told of each newer catalog.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Something of it has changed, or may have.
    pub(super) fn stir(&self) {
        self.stamp.store(next_stamp(), Ordering::Relaxed);
    }

    /// Another number after each change that was heard of, and of no other catalog.
    pub(super) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Relaxed)
    }

    /// The catalog, whatever is to be said of it.
    pub(super) fn catalog(&self) -> Option<Arc<Catalog>> {
        self.locked().catalog.clone()
    }

    /// Whether it could not be read last time.
    pub(super) fn is_failing(&self) -> bool {
        self.locked().failing.is_some()
    }

    /// When it is to be read again; none before it was read.
    pub(super) fn due(&self) -> Option<Instant> {
        self.locked().due
    }

    /// When anything of it was used last, as the store counts.
    pub(super) fn used(&self) -> u64 {
        self.locked().used
    }

    /// Bytes of memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.locked().bytes()
    }

    /// Forgets what was read, to make room; tells how many bytes that is.
    pub(super) fn empty(&self) -> usize {
        let mut state = self.locked();
        let held = state.bytes();
        let catalog = state.catalog.take();
        self.tally.change(catalog.as_deref(), None);
        self.stir();
        // Who asks for it now waits for another reading.
        (state.due, state.awaited) = (Some(Instant::now()), None);
        (state.tools, state.tools_tried) = (None, None);
        held
    }

    /// What was read in an earlier run, to be shown until it has been read anew.
    pub(super) fn recall(&self, catalog: Catalog) {
        let mut state = self.locked();
        if state.catalog.is_none() {
            self.show(&mut state, Arc::new(catalog));
        }
        drop(state);
        self.settled.send_modify(|settled| *settled += 1);
    }

    /// It was read, and holds for `usual` where the server does not say for how long; or until then, when
    /// part of it could not be read. Tells when it is due again.
    pub(super) fn publish(&self, catalog: Catalog, usual: Duration, again: Option<Instant>) -> Instant {
        let now = Instant::now();
        let catalog = Arc::new(catalog);
        let due = again.unwrap_or_else(|| now + catalog.holds(usual));
        let mut state = self.locked();
        if let Some(tools) = catalog.list(Listing::Tools) {
            (state.tools, state.tools_tried) = (Some(Arc::clone(tools)), Some(now));
        }
        (state.due, state.failing) = (Some(due), None);
        self.show(&mut state, catalog);
        drop(state);
        self.settled.send_modify(|settled| *settled += 1);
        due
    }

    /// It could not be read, and is tried again at that time.
    pub(super) fn fail(&self, error: Error, again: Instant) {
        let mut state = self.locked();
        let since = state.failing.as_ref().map(|failing| failing.since);
        let since = since.unwrap_or_else(Instant::now);
        (state.due, state.failing) = (Some(again), Some(Failing { since, error }));
        if state.is_given_up() {
            // It is shown no more, and news again when it returns.
            self.stir();
            self.news.send_if_modified(|news| std::mem::take(news) != 0);
        }
        drop(state);
        self.settled.send_modify(|settled| *settled += 1);
    }

    /// The list of tools, read alone.
    pub(crate) fn put_tools(&self, tools: &Arc<List>) {
        let mut state = self.locked();
        (state.tools, state.tools_tried) = (Some(Arc::clone(tools)), Some(Instant::now()));
        let Some(catalog) = &state.catalog else { return };
        if !catalog.profile.declares(Listing::Tools) {
            return;
        }
        let mut lists = catalog.lists.clone();
        lists[Listing::Tools as usize] = Some(Arc::clone(tools));
        let catalog = Catalog::new(Arc::clone(&catalog.profile), lists);
        self.show(&mut state, Arc::new(catalog));
    }

    /// The list of tools could not be read alone.
    pub(crate) fn missed_tools(&self) {
        self.locked().tools_tried = Some(Instant::now());
    }

    /// The list of tools as it was read last.
    pub(crate) fn tools(&self) -> Option<Arc<List>> {
        self.locked().tools.clone()
    }

    /// Whether the list of tools was read, or could not be, within this time.
    pub(crate) fn tried_tools_within(&self, time: Duration) -> bool {
        self.locked()
            .tools_tried
            .is_some_and(|tried| tried.elapsed() < time)
    }

    /// Whether the list of tools was found wrong within this time, and read anew.
    pub(crate) fn tools_were_doubted_within(&self, time: Duration) -> bool {
        self.locked()
            .tools_doubted
            .is_some_and(|doubted| doubted.elapsed() < time)
    }

    /// The list of tools was found wrong just now.
    pub(crate) fn doubt_tools(&self) {
        self.locked().tools_doubted = Some(Instant::now());
    }

    /// Nobody keeps it fresh from now on, unless it is in use.
    pub(super) fn leave(&self) -> bool {
        let mut state = self.locked();
        let used = state.used_at.is_some_and(|used| used.elapsed() < USED_WITHIN);
        let leaves = !used && self.news.receiver_count() == 0;
        state.is_kept &= !leaves;
        leaves
    }

    /// Who kept it fresh is gone, and who waits is told why.
    pub(super) fn abandon(&self, why: Option<Error>) {
        let mut state = self.locked();
        state.is_kept = false;
        if let Some(error) = why
            && state.catalog.is_none()
        {
            let since = Instant::now();
            state.failing = Some(Failing { since, error });
        }
        drop(state);
        self.settled.send_modify(|settled| *settled += 1);
    }

    fn show(&self, state: &mut State, catalog: Arc<Catalog>) {
        let generation = catalog.generation;
        // The first one is no change: nobody knew another.
        if state
            .catalog
            .as_ref()
            .is_some_and(|before| before.generation != generation)
        {
            self.stir();
        }
        self.tally.change(state.catalog.as_deref(), Some(&catalog));
        state.catalog = Some(catalog);
        self.news
            .send_if_modified(|news| std::mem::replace(news, generation) != generation);
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A number that no catalog has had.
fn next_stamp() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

impl Drop for Entry {
    fn drop(&mut self) {
        let catalog = self.locked().catalog.take();
        self.tally.change(catalog.as_deref(), None);
    }
}

impl State {
    fn bytes(&self) -> usize {
        let catalog = self.catalog.as_ref();
        let listed = catalog.and_then(|catalog| catalog.list(Listing::Tools));
        // Read alone, it is held beside the catalog.
        let alone = self.tools.as_ref();
        let alone = alone.filter(|tools| listed.is_none_or(|listed| !Arc::ptr_eq(tools, listed)));
        catalog.map_or(0, |catalog| catalog.bytes) + alone.map_or(0, |tools| tools.bytes)
    }

    /// Whether it could not be read for so long that what was read before is no longer shown; at once, where
    /// the server does not accept the credentials any more that it was shown to.
    fn is_given_up(&self) -> bool {
        let failing = self.failing.as_ref();
        failing.is_some_and(|failing| {
            let refused = matches!(failing.error.fault, Fault::Unauthorized(_));
            refused || failing.since.elapsed() >= STANDS_IN
        })
    }
}

impl Catalog {
    /// How long it may be shown unread: as long as the server says of each list, and `usual` where it does
    /// not say; within bounds.
    fn holds(&self, usual: Duration) -> Duration {
        let lists = self.lists.iter().flatten();
        let shortest = lists.map(|list| list.ttl.unwrap_or(usual)).min();
        shortest
            .unwrap_or_else(|| self.profile.ttl.unwrap_or(usual))
            .clamp(SHORTEST, LONGEST)
    }
}
