//! Where records go: a file of lines, written by a thread of its own so that no call waits for a disk.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::IntCounter;

use crate::record::Record;

/// Lines that wait for the disk, in bytes. Beyond it records are lost, counted and complained about.
const WAITING: usize = 64 << 20;

/// Lines gather this long before they are written together: a wake-up of the writer costs more than a line.
const GATHER: Duration = Duration::from_millis(5);

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Appended to this file.
    File(PathBuf),
    /// To standard output.
    Stdout,
}

/// The log of calls.
pub struct Log {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    lost: IntCounter,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    closing: bool,
}

impl Log {
    /// Opens the log and starts its writer. `lost` counts records that found no place or could not be written.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(to: &To, lost: IntCounter) -> std::io::Result<Self> {
        let target: Box<dyn Write + Send> = match to {
            To::File(path) => Box::new(open(path)?),
            To::Stdout => Box::new(std::io::stdout()),
        };
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            lost,
        });
        let writer = std::thread::Builder::new().name("calls".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.write(target)
        })?;
        Ok(Self {
            shared,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Takes a record. Returns at once; the line is written within milliseconds.
    pub fn append(&self, record: &Record<'_>) {
        let mut state = self.shared.locked();
        if state.lines.len() > WAITING {
            drop(state);
            self.shared.lost.inc();
            return;
        }
        let idle = state.lines.is_empty();
        let length = state.lines.len();
        if serde_json::to_writer(&mut state.lines, record).is_err() {
            state.lines.truncate(length);
            return;
        }
        state.lines.push(b'\n');
        drop(state);
        if idle {
            self.shared.wake.notify_one();
        }
    }

    /// Records that found no place or could not be written.
    pub fn lost(&self) -> u64 {
        self.shared.lost.get()
    }

    /// Writes what waits and closes the log.
    pub fn close(&self) {
        self.shared.locked().closing = true;
        self.shared.wake.notify_one();
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

impl Shared {
    fn write(&self, mut target: Box<dyn Write + Send>) {
        let mut batch = Vec::new();
        let mut failing = false;
        // Whether the last thing written is the beginning of a line.
        let mut torn = false;
        loop {
            let closing = {
                let mut state = self.locked();
                while state.lines.is_empty() && !state.closing {
                    state = self
                        .wake
                        .wait(state)
                        .unwrap_or_else(|poisoned| poisoned.into_inner());
                }
                state.closing
            };
            if !closing {
                std::thread::sleep(GATHER);
            }
            std::mem::swap(&mut batch, &mut self.locked().lines);
            let length = batch.len();
            if torn {
                // The rest of that line is lost; those that follow must not be read as a part of it.
                batch.insert(0, b'\n');
            }
            let (written, outcome) = put(&mut *target, &batch);
            if let Some(last) = written.checked_sub(1) {
                torn = batch[last] != b'\n';
            }
            match outcome {
                Ok(()) => failing = false,
                Err(error) => {
                    let unwritten = &batch[written.max(batch.len() - length)..];
                    let lines = unwritten.iter().filter(|byte| **byte == b'\n').count();
                    self.lost.inc_by(lines as u64);
                    if !failing {
                        tracing::error!(%error, lines, "calls could not be recorded");
                    }
                    failing = true;
                }
            }
            batch.clear();
            // A burst must not keep its memory for ever.
            batch.shrink_to(1 << 20);
            if closing && self.locked().lines.is_empty() {
                return;
            }
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Writes a batch: how far that came, and what stopped it.
fn put(target: &mut dyn Write, batch: &[u8]) -> (usize, std::io::Result<()>) {
    let mut written = 0;
    while written < batch.len() {
        match target.write(&batch[written..]) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, target.flush())
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A disk that takes a few bytes, is full once, and has room again.
    struct FullOnce {
        room: Option<usize>,
        taken: Arc<Mutex<Vec<u8>>>,
        full: mpsc::SyncSender<()>,
    }

    impl Write for FullOnce {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let length = match &mut self.room {
                Some(0) => {
                    self.room = None;
                    let _ = self.full.send(());
                    return Err(ErrorKind::StorageFull.into());
                }
                Some(room) => {
                    let length = bytes.len().min(*room);
                    *room -= length;
                    length
                }
                None => bytes.len(),
            };
            self.taken.lock().unwrap().extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_was_torn_by_a_full_disk_ends_before_the_next() {
        for (room, taken, lost) in [
            (0, "next\n", 2),
            (2, "on\nnext\n", 2),
            (4, "one\nnext\n", 1),
            (5, "one\nt\nnext\n", 1),
        ] {
            let (full, was_full) = mpsc::sync_channel(1);
            let on_disk = Arc::new(Mutex::default());
            let target = FullOnce {
                room: Some(room),
                taken: Arc::clone(&on_disk),
                full,
            };
            let shared = Arc::new(Shared {
                state: Mutex::default(),
                wake: Condvar::new(),
                lost: IntCounter::new("lost", "lost").unwrap(),
            });
            let say = |line: &[u8]| {
                shared.locked().lines.extend_from_slice(line);
                shared.wake.notify_one();
            };

            say(b"one\ntwo\n");
            let writer = std::thread::spawn({
                let shared = Arc::clone(&shared);
                move || shared.write(Box::new(target))
            });
            was_full.recv().unwrap();
            say(b"next\n");
            shared.locked().closing = true;
            shared.wake.notify_one();
            writer.join().unwrap();

            let on_disk = String::from_utf8(on_disk.lock().unwrap().clone()).unwrap();
            assert_eq!(
                (on_disk.as_str(), shared.lost.get()),
                (taken, lost),
                "room for {room}"
            );
        }
    }
}
