//! What keeps a catalog fresh while it is used: one task per set of credentials, which reads it, and reads it
//! again when that is due. It ends when nobody asks any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Listing;
use super::list::List;
use super::reading::Budget;
use super::shelf::{Entry, REMEMBERED};
use crate::backoff::Backoff;
use crate::error::{Error, Fault};
use crate::registry::Upstream;
use crate::transport::{Headers, Pooled};

/// What nothing else is said of is read again after this long.
const USUAL: Duration = Duration::from_secs(5 * 60);

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
                    Ok(tools) => entry.put_tools(tools),
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
        let mut at = Instant::now();
        loop {
            if at <= Instant::now() {
                at = Box::pin(self.read()).await;
            }
            tokio::select! {
                () = tokio::time::sleep_until(at.min(Instant::now() + LOOKED_AFTER)) => {}
                () = self.entry.wake.notified() => at = at.min(self.entry.due().unwrap_or(at)),
            }
            if self.entry.leave() {
                return;
            }
        }
    }

    /// Reads it, and tells when to read it again though nobody asks.
    async fn read(&mut self) -> Instant {
        let before = self.entry.catalog();
        let read = self
            .upstream
            .read_catalog(&self.entry.headers, before.as_deref())
            .await;
        let name = &self.upstream.name;
        match read {
            Ok((catalog, None)) => {
                self.backoff.reset();
                let due = self.entry.publish(catalog, USUAL, None);
                due.max(Instant::now() + USUAL)
            }
            Ok((catalog, Some(error))) => {
                tracing::debug!(upstream = %name, %error, "one of its lists could not be read");
                let again = Instant::now() + self.backoff.pause();
                self.entry.publish(catalog, USUAL, Some(again))
            }
            Err(error) => {
                tracing::debug!(upstream = %name, %error, "what it has could not be read");
                let again = Instant::now() + self.backoff.pause();
                self.entry.fail(error, again);
                again
            }
        }
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
