//! What all upstreams' catalogs may take together: memory, and a directory in which they outlive a restart.
//!
//! There is a file for each upstream and set of credentials, `<state>/catalogs/<name>.<reach>.<who>.json`, read when
//! that catalog is first asked for. The parts of its name are hashes under a key that the process derives from its
//! sealing key: nothing tells a URL or credentials, and another URL finds no file. Files are written behind and
//! replaced whole, for their owner alone to read; what servers show to one set of credentials only is among them,
//! since it may be as old as any other. One that is damaged is as one that is not there.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use super::Catalog;
use super::file;
use super::shelf::{Credentials, Entry};
use crate::transport::Headers;

/// Bytes of all catalogs in memory; beyond it those unused longest are forgotten.
const IN_MEMORY: usize = 32 * 1024 * 1024;

/// Bytes of all files; beyond it those used longest ago are removed.
const ON_DISK: u64 = 16 * 1024 * 1024;

/// Files of one upstream, one per set of credentials.
const PER_UPSTREAM: usize = 8;

/// A file that was not used for this long is removed.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is written is what there is after this long.
const WRITTEN_AFTER: Duration = Duration::from_secs(2);

/// Catalogs that wait to be written.
const WAITING: usize = 1024;

/// The catalogs of all upstreams, taken together.
pub struct Store {
    /// Where files are; none for what lives as long as the process.
    directory: Option<(PathBuf, Handle)>,
    key: [u8; 32],
    /// Orders the uses of catalogs.
    clock: AtomicU64,
    entries: Mutex<Vec<Weak<Entry>>>,
    files: Mutex<Files>,
}

#[derive(Default)]
struct Files {
    /// By the names of their files.
    waiting: HashMap<String, Arc<Catalog>>,
    /// Whether somebody writes, and will look again.
    writing: bool,
}

/// One upstream's place in the store.
#[derive(Clone)]
pub struct Place {
    pub(super) store: Arc<Store>,
    /// What the names of its files begin with.
    prefix: String,
}

impl Store {
    /// Keeps catalogs in this directory, which need not be there. `key` makes the names of its files, and must
    /// be the same after a restart for them to be found; `runtime` reads and writes them.
    pub fn open(directory: &Path, key: [u8; 32], runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            directory: Some((directory.to_owned(), runtime)),
            key,
            ..Self::default()
        })
    }

    /// The place of the upstream of this name; `reach` is all that says how it is reached.
    pub fn place(self: &Arc<Self>, name: &str, reach: &[impl AsRef<str>]) -> Place {
        let name = self.hash("name", [name.as_bytes()], 8);
        let reach = self.hash("reach", reach.iter().map(|part| part.as_ref().as_bytes()), 8);
        Place {
            store: Arc::clone(self),
            prefix: format!("{name}.{reach}."),
        }
    }

    /// A moment after all before it.
    pub(super) fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// One more, to be counted for as long as it is there.
    pub(super) fn count(&self, entry: &Arc<Entry>) {
        let mut entries = self.entries();
        entries.retain(|entry| entry.strong_count() > 0);
        entries.push(Arc::downgrade(entry));
    }

    /// Holds all of them to their bound. What was just shown stays, whatever it takes.
    pub(super) fn weigh(&self) {
        let mut entries: Vec<_> = self.entries().iter().filter_map(Weak::upgrade).collect();
        let mut held: usize = entries.iter().map(|entry| entry.bytes()).sum();
        if held <= IN_MEMORY {
            return;
        }
        entries.sort_unstable_by_key(|entry| entry.used());
        entries.pop();
        for entry in entries {
            if held <= IN_MEMORY {
                return;
            }
            held -= entry.empty();
        }
    }

    /// Writes until nothing waits.
    async fn write(self: Arc<Self>) {
        loop {
            tokio::time::sleep(WRITTEN_AFTER).await;
            let waiting = {
                let mut files = self.files();
                files.writing = !files.waiting.is_empty();
                if !files.writing {
                    return;
                }
                std::mem::take(&mut files.waiting)
            };
            let store = Arc::clone(&self);
            let written = tokio::task::spawn_blocking(move || store.write_all(&waiting)).await;
            if let Err(error) = written {
                tracing::error!(%error, "catalogs were not written");
            }
        }
    }

    fn write_all(&self, catalogs: &HashMap<String, Arc<Catalog>>) {
        let Some((directory, _)) = &self.directory else {
            return;
        };
        let write = || -> std::io::Result<()> {
            file::make_directory(directory)?;
            for (name, catalog) in catalogs {
                file::replace(&directory.join(name), catalog)?;
            }
            let mut ours: Vec<&str> = catalogs.keys().map(|name| prefix_of(name)).collect();
            ours.sort_unstable();
            ours.dedup();
            tidy(directory, &ours)
        };
        if let Err(error) = write() {
            tracing::warn!(directory = %directory.display(), %error, "catalogs cannot be kept for after a restart");
        }
    }

    fn hash<'a>(&self, what: &'a str, parts: impl IntoIterator<Item = &'a [u8]>, bytes: usize) -> String {
        let mut hash = Sha256::new();
        hash.update(self.key);
        for part in [what.as_bytes()].into_iter().chain(parts) {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        let hash = hash.finalize().into_iter().take(bytes);
        hash.map(|byte| format!("{byte:02x}")).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Weak<Entry>>> {
        self.entries
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    #[cfg(test)]
    pub(super) fn is_writing(&self) -> bool {
        self.files().writing
    }
}

impl Default for Store {
    /// Of catalogs that live as long as the process.
    fn default() -> Self {
        Self {
            directory: None,
            key: [0; 32],
            clock: AtomicU64::new(0),
            entries: Mutex::default(),
            files: Mutex::default(),
        }
    }
}

impl Default for Place {
    /// In a store of its own, for as long as the process lives.
    fn default() -> Self {
        Arc::new(Store::default()).place("", &[""; 0])
    }
}

impl Place {
    /// What was kept for these credentials in an earlier run, however old.
    pub(super) async fn recall(&self, credentials: &Credentials) -> Option<Catalog> {
        let (directory, runtime) = self.store.directory.as_ref()?;
        let path = directory.join(self.name(credentials));
        let read = runtime.spawn_blocking(move || {
            let read = file::read(&path);
            read.unwrap_or_else(|why| {
                tracing::warn!(file = %path.display(), %why, "a catalog that was kept is not used, and read anew");
                None
            })
        });
        read.await.ok().flatten()
    }

    /// What was kept for these headers, read now; none if it cannot be read.
    pub(crate) fn kept(&self, headers: &Headers) -> Option<Catalog> {
        let (directory, _) = self.store.directory.as_ref()?;
        file::read(&directory.join(self.name(&headers.injected))).ok()?
    }

    /// Keeps this for after a restart; behind, and only the newest of several.
    pub(super) fn keep(&self, credentials: &Credentials, catalog: &Arc<Catalog>) {
        let Some((_, runtime)) = &self.store.directory else {
            return;
        };
        let mut files = self.store.files();
        if files.waiting.len() >= WAITING {
            return;
        }
        files.waiting.insert(self.name(credentials), Arc::clone(catalog));
        if !std::mem::replace(&mut files.writing, true) {
            runtime.spawn(Arc::clone(&self.store).write());
        }
    }

    fn name(&self, credentials: &Credentials) -> String {
        let parts = credentials
            .iter()
            .flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]);
        let who = self.store.hash("credentials", parts, 16);
        format!("{}{who}.json", self.prefix)
    }
}

/// The part of a file's name that says which upstream it is of, and how that is reached.
fn prefix_of(name: &str) -> &str {
    name.rsplitn(3, '.').last().unwrap_or(name)
}

/// Removes what is beyond the bounds, and what is of the same upstreams reached otherwise. `ours` are prefixes
/// that were written now, in order.
fn tidy(directory: &Path, ours: &[&str]) -> std::io::Result<()> {
    let name_of = |prefix: &str| prefix.split('.').next().map(str::to_owned);
    let names: Vec<_> = ours.iter().map(|prefix| name_of(prefix)).collect();
    let mut files = Vec::new();
    for found in fs::read_dir(directory)? {
        let found = found?;
        let (Ok(name), Ok(about)) = (found.file_name().into_string(), found.metadata()) else {
            continue;
        };
        let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        files.push((used, about.len(), name));
    }
    files.sort_unstable();
    files.reverse();
    let (mut bytes, mut of_upstream) = (0, HashMap::<String, usize>::new());
    for (used, length, name) in files {
        let prefix = prefix_of(&name);
        let age = SystemTime::now().duration_since(used).unwrap_or_default();
        let reached_otherwise = ours.binary_search(&prefix).is_err() && names.contains(&name_of(prefix));
        let among = of_upstream.entry(prefix.to_owned()).or_default();
        if reached_otherwise || age > KEPT_FOR || *among == PER_UPSTREAM || bytes + length > ON_DISK {
            match fs::remove_file(directory.join(&name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => continue,
            }
        }
        *among += 1;
        bytes += length;
    }
    Ok(())
}
