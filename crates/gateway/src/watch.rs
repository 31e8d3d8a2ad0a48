//! Noticing that files have changed, by looking at them twice a second.
//!
//! Looked at by name, each time anew: so an editor that replaces a file, the symbolic links by which
//! Kubernetes swaps a whole directory, and a bind mount are all seen, where a notification would be
//! about a file that nobody's name leads to any more (`docs/decisions/0009-the-file-is-polled.md`).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often the files are looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The files of a configuration, as they were when last looked at.
pub(crate) struct Watch {
    files: Vec<PathBuf>,
    /// As they were when they were last read.
    read: Vec<Look>,
    /// As they were at the last look.
    last: Vec<Look>,
    /// Whether what was read is known to be what was looked at.
    sure: bool,
}

/// What tells two states of a file apart without reading it; `None` when there is none.
type Look = Option<(u64, u64, u64, [i64; 4])>;

impl Watch {
    /// Watches these files, which were just read.
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        let last = looks(&files);
        Self {
            files,
            read: last.clone(),
            last,
            sure: false,
        }
    }

    /// Looks again; whether it is time to read. A file that is still being written is not: two looks
    /// must agree. May be given up and asked again.
    pub(crate) async fn look(&mut self) -> bool {
        let files = self.files.clone();
        // What they lie on may be slow or gone; nothing else waits for that.
        let Ok(now) = tokio::task::spawn_blocking(move || looks(&files)).await else {
            return false;
        };
        self.compare(now)
    }

    fn compare(&mut self, now: Vec<Look>) -> bool {
        let agree = now == self.last;
        self.last = now;
        agree && (!self.sure || self.last != self.read)
    }

    /// They were read after the last look. `same` when their content is what it was at the reading
    /// before; else they are read once more, since they may have changed between the look and the reading.
    pub(crate) fn has_read(&mut self, files: Vec<PathBuf>, same: bool) {
        if files != self.files {
            *self = Self::new(files);
            return;
        }
        self.read.clone_from(&self.last);
        self.sure = same;
    }
}

fn looks(files: &[PathBuf]) -> Vec<Look> {
    files.iter().map(|file| look(file)).collect()
}

fn look(file: &Path) -> Look {
    let found = fs::metadata(file).ok()?;
    let times = [
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    ];
    Some((found.dev(), found.ino(), found.size(), times))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn look_at(watch: &mut Watch) -> bool {
        watch.compare(looks(&watch.files))
    }

    /// A watch over one file in a directory of its own, read and sure of it.
    fn watched(file: PathBuf) -> Watch {
        let mut watch = Watch::new(vec![file.clone()]);
        assert!(
            look_at(&mut watch),
            "what was read before the first look is read once more"
        );
        watch.has_read(vec![file], true);
        assert!(!look_at(&mut watch), "then it is known");
        watch
    }

    /// Whether a change is seen, and only once it has come to rest.
    fn sees(watch: &mut Watch) {
        assert!(!look_at(watch), "it may still be being written");
        assert!(look_at(watch), "it has come to rest");
        let files = watch.files.clone();
        watch.has_read(files.clone(), false);
        assert!(look_at(watch), "what was new is read once more");
        watch.has_read(files, true);
        assert!(!look_at(watch), "nothing more has changed");
    }

    #[test]
    fn every_way_to_change_a_file_is_seen() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::write(at("file"), "1").unwrap();
        let mut watch = watched(at("file"));

        fs::write(at("file"), "22").unwrap();
        sees(&mut watch);
        fs::write(at("new"), "33").unwrap();
        fs::rename(at("new"), at("file")).unwrap();
        sees(&mut watch);
        fs::remove_file(at("file")).unwrap();
        sees(&mut watch);
        fs::write(at("file"), "33").unwrap();
        sees(&mut watch);
    }

    #[test]
    fn a_swapped_link_above_a_file_is_seen() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for version in ["1", "2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("file"), version).unwrap();
        }
        symlink("1", at("data")).unwrap();
        symlink("data/file", at("file")).unwrap();
        let mut watch = watched(at("file"));

        symlink("2", at("next")).unwrap();
        fs::rename(at("next"), at("data")).unwrap();

        sees(&mut watch);
    }
}
