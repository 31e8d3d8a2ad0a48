//! What keeps a catalog fresh while it is used: one task per set of credentials, which reads it, follows what
//! the server tells of its changes, and reads it again when that is due. It ends when nobody asks any more.
//!
//! It is due when the server says that a list has changed, when the time is over for which it said that a list
//! holds, and otherwise by age. What is due by the server's time waits for somebody who asks; what is due by
//! age or by a change does not. A failed reading is tried again after a pause that grows.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Listing;
use super::list::List;
use super::profile::Profile;
use super::reading::Budget;
use super::shelf::{Entry, REMEMBERED, STANDS_IN};
use super::tally::Outcome;
use crate::backoff::Backoff;
use crate::error::{Error, Fault};
use crate::feed::Following;
use crate::registry::Upstream;
use crate::transport::{Headers, Pooled};

/// What nothing else is said of is read again after this long.
const USUAL: Duration = Duration::from_secs(5 * 60);

/// The same of one whose changes are all heard.
const HEARD: Duration = Duration::from_secs(15 * 60);

/// Changes that come one after the other are read together (`protocol.md` §3.11) …
const DEBOUNCED: Duration = Duration::from_millis(250);

/// … and it is read at most this often, whoever says that it is due.
const APART: Duration = Duration::from_secs(1);

/// What is kept for after a restart is written at least this often, with when it was read.
const WRITTEN_AGAIN: Duration = Duration::from_secs(60 * 60);

/// Whether anybody still uses it is looked at this often.
const LOOKED_AFTER: Duration = Duration::from_secs(60);

impl Upstream {
    /// The catalog of these credentials, with somebody who keeps it fresh.
    pub(super) fn catalog_in_use(self: &Arc<Self>, headers: &Headers) -> Arc<Entry> {
        let entry = self.catalog_entry(headers);
        if entry.ask() {
            let keeping = Keeping {
                upstream: Arc::clone(self),
                entry: Arc::clone(&entry),
                backoff: Backoff::default(),
                following: None,
                followed: None,
                begun: Instant::now(),
                lacking: None,
                kept: None,
            };
            self.catalogs.lives.spawn(keeping.live());
        }
        entry
    }

    /// Where the catalog of these credentials is.
    pub(crate) fn catalog_entry(&self, headers: &Headers) -> Arc<Entry> {
        match self.tells_credentials_apart() {
            true => self.catalogs.entry(&headers.injected),
            false => self.catalogs.entry(&Vec::new()),
        }
    }

    /// Reads the list of tools now, once for all who want it now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn read_tools(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<Arc<List>, Error> {
        let ask = || {
            let (upstream, entry) = (Arc::clone(self), Arc::clone(entry));
            async move {
                let read = upstream.read_tools_of(&entry).await;
                match &read {
                    Ok(tools) => {
                        entry.put_tools(tools);
                        upstream.catalogs.place.store.weigh();
                    }
                    Err(_) => entry.missed_tools(),
                }
                read
            }
        };
        entry.reading_tools.join(ask).await
    }

    async fn read_tools_of(self: &Arc<Self>, entry: &Entry) -> Result<Arc<List>, Error> {
        let eras = self.learn(&entry.headers).await?;
        // A legacy server agrees on its revision in the session itself.
        let revision = match eras.modern {
            Some(revision) => revision,
            None => {
                let agreement = self.share(&Pooled::default(), &entry.headers).await?;
                agreement.session.revision
            }
        };
        let (before, budget) = (entry.tools(), Budget::default());
        let read = self.read_list(
            Listing::Tools,
            revision,
            &entry.headers,
            &budget,
            before.as_deref(),
        );
        Ok(Arc::new(read.await?))
    }
}

/// Who keeps one catalog fresh.
struct Keeping {
    upstream: Arc<Upstream>,
    entry: Arc<Entry>,
    backoff: Backoff,
    following: Option<Following>,
    /// When it was last tried to follow it.
    followed: Option<Instant>,
    /// When the last reading began.
    begun: Instant,
    /// Since when one of its lists could not be read.
    lacking: Option<Instant>,
    /// The generation that was kept for after a restart, and when.
    kept: Option<(u64, Instant)>,
}

impl Keeping {
    async fn live(mut self) {
        let (upstream, entry) = (Arc::clone(&self.upstream), Arc::clone(&self.entry));
        let _mourned = Mourned(Arc::clone(&entry));
        let why = tokio::select! {
            biased;
            () = upstream.catalogs.removed.cancelled() => Fault::Removed,
            () = entry.displaced.cancelled() => {
                Fault::Full(format!("{REMEMBERED} sets of credentials whose catalogs are kept"))
            }
            () = self.keep() => return,
        };
        entry.abandon(Some(why.of(&upstream.name)));
    }

    /// From the first who asks until nobody does. What was read before it began may have changed unheard.
    async fn keep(&mut self) {
        self.recall().await;
        let mut at = Instant::now();
        loop {
            if at <= Instant::now() {
                at = Box::pin(self.read()).await;
                Box::pin(self.follow()).await;
            }
            tokio::select! {
                () = tokio::time::sleep_until(at.min(Instant::now() + LOOKED_AFTER)) => {}
                () = self.entry.wake.notified() => {
                    let due = self.entry.due().unwrap_or(at);
                    at = at.min(due.max(self.begun + APART));
                }
                () = changed(&mut self.following) => {
                    // What is made of it may be another though it is listed as before.
                    self.entry.stir();
                    let now = Instant::now();
                    at = at.min((now + DEBOUNCED).max(self.begun + APART));
                }
            }
            if self.entry.leave() {
                // From here on nobody hears of changes.
                if self.following.is_some() {
                    self.entry.stir();
                }
                return;
            }
        }
    }

    /// Shows what was read in an earlier run, if nothing was in this.
    async fn recall(&self) {
        if self.entry.catalog().is_some() {
            return;
        }
        let place = &self.upstream.catalogs.place;
        if let Some(catalog) = place.recall(&self.entry.headers.injected).await {
            self.entry.recall(catalog);
            place.store.weigh();
        }
    }

    /// Keeps what was read for after a restart, if that is another by now, or what is kept is old.
    fn keep_for_later(&mut self) {
        let Some(catalog) = self.entry.catalog() else {
            return;
        };
        let is_kept = |(generation, kept): (u64, Instant)| {
            generation == catalog.generation && kept.elapsed() < WRITTEN_AGAIN
        };
        if !self.kept.is_some_and(is_kept) {
            self.kept = Some((catalog.generation, Instant::now()));
            let place = &self.upstream.catalogs.place;
            place.keep(&self.entry.headers.injected, &catalog);
        }
    }

    /// Reads it, and tells when to read it again though nobody asks.
    async fn read(&mut self) -> Instant {
        self.begun = Instant::now();
        let before = self.entry.catalog();
        let stands_in = self.lacking.is_none_or(|since| since.elapsed() < STANDS_IN);
        let read = self
            .upstream
            .read_catalog(&self.entry.headers, before.as_deref(), stands_in)
            .await;
        let name = &self.upstream.name;
        let (catalog, missing) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::debug!(upstream = %name, %error, "what it has could not be read");
                self.upstream.catalogs.tally.read(Outcome::Failed);
                let again = Instant::now() + self.backoff.pause();
                self.entry.fail(error, again);
                return again;
            }
        };
        let same = before.is_some_and(|before| before.generation == catalog.generation);
        let (outcome, again) = match missing {
            Some(error) => {
                tracing::debug!(upstream = %name, %error, "one of its lists could not be read");
                self.lacking.get_or_insert(self.begun);
                (Outcome::Incomplete, Some(Instant::now() + self.backoff.pause()))
            }
            None => {
                self.backoff.reset();
                self.lacking = None;
                (
                    if same {
                        Outcome::Unchanged
                    } else {
                        Outcome::Changed
                    },
                    None,
                )
            }
        };
        self.upstream.catalogs.tally.read(outcome);
        let usual = if self.hears_all(&catalog.profile) {
            HEARD
        } else {
            USUAL
        };
        let due = self.entry.publish(catalog, usual, again);
        self.upstream.catalogs.place.store.weigh();
        self.keep_for_later();
        again.unwrap_or_else(|| due.max(Instant::now() + USUAL))
    }

    /// Follows what the server says it tells. What it does not confirm is asked for again, but not soon.
    async fn follow(&mut self) {
        let Some(catalog) = self.entry.catalog().filter(|_| !self.entry.is_failing()) else {
            return;
        };
        let wanted = catalog.profile.tells();
        if wanted.is_empty() {
            self.following = None;
            return;
        }
        let honoured = self.following.as_ref().map(Following::honoured);
        let confirmed = honoured.is_some_and(|honoured| wanted.is_within(honoured));
        let tried = self.followed.is_some_and(|tried| tried.elapsed() < USUAL);
        if confirmed || tried {
            return;
        }
        let outcome = match &mut self.following {
            Some(following) => following.change(wanted).await,
            None => {
                let followed = self
                    .upstream
                    .follow(wanted, &Pooled::default(), Arc::clone(&self.entry.headers))
                    .await;
                followed.map(|following| self.following = Some(following))
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(upstream = %self.upstream.name, %error, "changes of its lists are not heard");
        }
        // What changed between the last reading and now was not heard: it counts from now on.
        self.followed = Some(Instant::now());
    }

    /// Whether every change of a list since the last reading began was heard.
    fn hears_all(&self, profile: &Profile) -> bool {
        let honoured = self.following.as_ref().map(Following::honoured);
        let hears = honoured.is_some_and(|honoured| profile.changes().is_within(honoured));
        hears && self.followed.is_some_and(|followed| followed <= self.begun)
    }
}

/// The next change that is heard of; never, where nothing is followed.
async fn changed(following: &mut Option<Following>) {
    let Some(heard) = following else {
        return std::future::pending().await;
    };
    if heard.next().await.is_err() {
        *following = None;
    }
}

/// Lets another begin where the one who kept a catalog panicked.
struct Mourned(Arc<Entry>);

impl Drop for Mourned {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abandon(None);
        }
    }
}
