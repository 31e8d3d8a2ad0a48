//! What was learned of upstreams, kept across restarts: a small file in the state directory.
//!
//! It holds nothing that could not be asked for again: a file that cannot be read or written costs its
//! upstreams a question each, and never a start. How an upstream is reached is kept as a hash, since
//! commands and URLs may carry secrets.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp::{Era, Revision};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use crate::handshake::{Eras, Legacy};

/// The form of the file. Another one is not read.
const VERSION: u32 = 1;

/// Bytes of the file that are read.
const LONGEST: u64 = 1024 * 1024;

/// Upstreams remembered; beyond it the one learned of longest ago is forgotten.
const REMEMBERED: usize = 1024;

/// What was learned longer ago is asked for again.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The file, and what will stand in it. It is written in the background, one write at a time.
pub struct Memory {
    path: PathBuf,
    runtime: Handle,
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    by_name: BTreeMap<String, Learned>,
    /// Whether there is something to write.
    changed: bool,
    /// Whether somebody writes, and will look again.
    writing: bool,
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    upstreams: BTreeMap<String, Learned>,
}

/// One upstream of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Learned {
    /// A hash of how it is reached.
    reached: String,
    /// `http`, `sse` or `stdio`.
    transport: String,
    /// The date of the 2026-07-28 or later revision that it speaks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    modern: Option<String>,
    /// The date of the revision that it answers `initialize` with; `none` if it does not, `unasked`
    /// if that is not known.
    legacy: String,
    /// When, in seconds since 1970.
    at: u64,
}

/// One upstream's place in the memory.
pub struct Row {
    memory: Arc<Memory>,
    name: String,
    reached: String,
}

/// What is remembered of one upstream.
#[derive(Debug, PartialEq, Eq)]
pub struct Remembered {
    /// What it spoke.
    pub eras: Eras,
    /// `http`, `sse` or `stdio`.
    pub transport: String,
    /// How long ago that was learned.
    pub age: Duration,
}

impl Memory {
    /// Reads the file at `path`, if there is one. `runtime` writes it.
    pub fn open(path: &Path, runtime: Handle) -> Arc<Self> {
        let by_name = read(path).unwrap_or_else(|why| {
            tracing::info!(file = %path.display(), %why, "what was learned of upstreams is not used, they are asked again");
            BTreeMap::new()
        });
        Arc::new(Self {
            path: path.to_owned(),
            runtime,
            rows: Mutex::new(Rows {
                by_name,
                ..Rows::default()
            }),
        })
    }

    /// The place of the upstream of this name; `reach` is all that says how it is reached.
    pub fn row(self: &Arc<Self>, name: &str, reach: &[impl AsRef<str>]) -> Row {
        let mut hash = Sha256::new();
        for part in reach {
            let part = part.as_ref();
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        let reached = hash
            .finalize()
            .into_iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"));
        Row {
            memory: Arc::clone(self),
            name: name.to_owned(),
            reached: reached.collect(),
        }
    }

    fn change(self: &Arc<Self>, change: impl FnOnce(&mut BTreeMap<String, Learned>)) {
        let mut rows = self.locked();
        change(&mut rows.by_name);
        if rows.by_name.len() > REMEMBERED {
            let oldest = rows.by_name.iter().min_by_key(|(_, learned)| learned.at);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|oldest| rows.by_name.remove(&oldest));
        }
        rows.changed = true;
        if !std::mem::replace(&mut rows.writing, true) {
            let memory = Arc::clone(self);
            self.runtime.spawn_blocking(move || memory.write());
        }
    }

    /// Writes until nothing has changed meanwhile.
    fn write(&self) {
        loop {
            let document = {
                let mut rows = self.locked();
                if !std::mem::take(&mut rows.changed) {
                    rows.writing = false;
                    return;
                }
                Document {
                    version: VERSION,
                    upstreams: rows.by_name.clone(),
                }
            };
            if let Err(error) = replace(&self.path, &document) {
                tracing::warn!(file = %self.path.display(), %error, "what was learned of upstreams cannot be kept");
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Row {
    /// What is remembered, if it was learned of a server that was reached the same way.
    pub fn recall(&self) -> Option<Remembered> {
        let rows = self.memory.locked();
        let learned = rows.by_name.get(&self.name)?;
        let age = now().saturating_sub(learned.at);
        if learned.reached != self.reached || age > KEPT_FOR.as_secs() {
            return None;
        }
        Some(Remembered {
            eras: learned.eras()?,
            transport: learned.transport.clone(),
            age: Duration::from_secs(age),
        })
    }

    /// Remembers what was learned. Of a process only that it is a legacy one, which takes time to find
    /// out: another program may stand behind the same command, and a 2026-07-28 one says so at once.
    pub(crate) fn note(&self, eras: &Eras, transport: &str) {
        if transport == "stdio" && eras.modern.is_some() {
            return self.forget();
        }
        let learned = Learned {
            reached: self.reached.clone(),
            transport: transport.to_owned(),
            modern: eras.modern.map(|revision| revision.as_str().to_owned()),
            legacy: match eras.legacy {
                Legacy::Spoken(revision) => revision.as_str().to_owned(),
                Legacy::NotSpoken => "none".to_owned(),
                Legacy::Unasked => "unasked".to_owned(),
            },
            at: now(),
        };
        self.memory.change(|rows| {
            rows.insert(self.name.clone(), learned);
        });
    }

    /// What was learned is wrong.
    pub(crate) fn forget(&self) {
        if self.memory.locked().by_name.contains_key(&self.name) {
            self.memory.change(|rows| {
                rows.remove(&self.name);
            });
        }
    }
}

impl Learned {
    /// None for words that we would not have written.
    fn eras(&self) -> Option<Eras> {
        let of = |date: &str, era| Revision::parse(date).filter(|revision| revision.era() == era);
        let modern = match &self.modern {
            Some(date) => Some(of(date, Era::Modern)?),
            None => None,
        };
        let legacy = match self.legacy.as_str() {
            "none" => Legacy::NotSpoken,
            "unasked" => Legacy::Unasked,
            date => Legacy::Spoken(of(date, Era::Legacy)?),
        };
        Some(Eras { modern, legacy })
    }
}

/// The rows of a file; none if there is no file.
fn read(path: &Path) -> Result<BTreeMap<String, Learned>, String> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let document: Document =
        serde_json::from_slice(&text).map_err(|_| "it is not what we write".to_owned())?;
    if document.version != VERSION {
        return Err(format!("it is of version {}, not {VERSION}", document.version));
    }
    Ok(document.upstreams.into_iter().take(REMEMBERED).collect())
}

/// Replaces the file whole: a reader sees the one before or this one.
fn replace(path: &Path, document: &Document) -> std::io::Result<()> {
    let beside = path.with_extension("json.new");
    // One that a killed gateway left behind may have other permissions.
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    let mut text = serde_json::to_vec_pretty(document)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn legacy() -> Eras {
        Eras {
            modern: None,
            legacy: Legacy::Spoken(Revision::V2025_06_18),
        }
    }

    async fn written(memory: &Arc<Memory>) {
        while memory.locked().writing {
            tokio::task::yield_now().await;
        }
    }

    fn opened(home: &tempfile::TempDir) -> Arc<Memory> {
        Memory::open(&home.path().join("upstreams.json"), Handle::current())
    }

    #[tokio::test]
    async fn what_was_learned_is_known_after_a_restart_of_what_is_reached_the_same_way() {
        let home = tempfile::TempDir::new().unwrap();
        let memory = opened(&home);
        memory.row("docs", &["http://host/sse"]).note(&legacy(), "sse");
        written(&memory).await;

        let memory = opened(&home);
        let remembered = memory.row("docs", &["http://host/sse"]).recall().unwrap();
        assert_eq!((remembered.eras, &*remembered.transport), (legacy(), "sse"));
        assert!(memory.row("docs", &["http://host/mcp"]).recall().is_none());
        assert!(memory.row("others", &["http://host/sse"]).recall().is_none());

        memory.row("docs", &["http://host/sse"]).forget();
        written(&memory).await;
        assert!(opened(&home).row("docs", &["http://host/sse"]).recall().is_none());
    }

    #[tokio::test]
    async fn the_file_is_private_and_tells_no_url() {
        let home = tempfile::TempDir::new().unwrap();
        let memory = opened(&home);
        memory
            .row("docs", &["http://host/?key=secret"])
            .note(&legacy(), "http");
        written(&memory).await;

        let path = home.path().join("upstreams.json");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(mode & 0o777, 0o600);
        assert!(text.contains("2025-06-18") && !text.contains("secret"), "{text}");
        assert_eq!(
            fs::read_dir(home.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[tokio::test]
    async fn a_file_that_is_not_ours_is_no_memory_and_no_mistake() {
        let good = r#"{"reached":"x","transport":"http","legacy":"2025-06-18","at":1}"#;
        for text in [
            String::new(),
            "{".into(),
            "[]".into(),
            "\u{0}\u{0}".into(),
            format!(r#"{{"version":2,"upstreams":{{"docs":{good}}}}}"#),
            r#"{"version":1,"upstreams":{"docs":{"reached":1}}}"#.into(),
            " ".repeat(2 << 20),
        ] {
            let home = tempfile::TempDir::new().unwrap();
            fs::write(home.path().join("upstreams.json"), &text).unwrap();
            let memory = opened(&home);
            assert!(
                memory.locked().by_name.is_empty(),
                "{}",
                &text[..text.len().min(99)]
            );

            memory.row("docs", &["x"]).note(&legacy(), "http");
            written(&memory).await;
            assert!(opened(&home).row("docs", &["x"]).recall().is_some());
        }
    }

    #[test]
    fn words_that_we_would_not_write_are_not_believed() {
        for (modern, legacy) in [
            (Some("2025-06-18"), "none"),
            (None, "2026-07-28"),
            (None, "yes"),
            (Some("tomorrow"), "none"),
        ] {
            let learned = Learned {
                reached: String::new(),
                transport: "http".into(),
                modern: modern.map(str::to_owned),
                legacy: legacy.into(),
                at: 0,
            };
            assert!(learned.eras().is_none(), "{modern:?} {legacy}");
        }
    }

    #[tokio::test]
    async fn the_memory_is_small_and_does_not_last_for_ever() {
        let home = tempfile::TempDir::new().unwrap();
        let memory = opened(&home);
        for number in 0..=REMEMBERED {
            memory.row(&number.to_string(), &["x"]).note(&legacy(), "http");
        }
        assert_eq!(memory.locked().by_name.len(), REMEMBERED);

        let row = memory.row("7", &["x"]);
        memory.change(|rows| rows.get_mut("7").unwrap().at = now() - KEPT_FOR.as_secs() - 1);
        assert!(row.recall().is_none());
        written(&memory).await;
    }

    #[tokio::test]
    async fn of_a_process_only_a_legacy_one_is_remembered() {
        let home = tempfile::TempDir::new().unwrap();
        let memory = opened(&home);
        let row = memory.row("child", &["npx"]);
        row.note(&legacy(), "stdio");
        assert!(row.recall().is_some());

        let modern = Eras {
            modern: Some(Revision::V2026_07_28),
            legacy: Legacy::Unasked,
        };
        row.note(&modern, "stdio");
        assert!(row.recall().is_none());
        written(&memory).await;
    }
}
