//! Sealed files: what lies on disk for us alone, in a directory of our own.
//!
//! A file's name is a keyed digest, so that it tells nobody of what it is; its content is sealed for this purpose and
//! this name, so that a file that was changed, or copied to where another is looked for, does not open. That an older
//! one was put back is not seen.
//!
//! A file is replaced whole: whoever reads sees the one before or the new one, and a cut of power leaves one of them.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use config::{KeyRing, Purpose};
use ring::hmac;

use crate::vault::wipe;

/// Bytes of a file that are read: more than one ever has.
pub(crate) const LONGEST_FILE: u64 = 1024 * 1024;

/// Files of one kind.
#[derive(Debug)]
pub(crate) struct Files {
    directory: PathBuf,
    keys: KeyRing,
    purpose: Purpose,
    /// What their names are digests of begins with this.
    label: &'static [u8],
}

/// Why a file cannot be had, or written.
#[derive(Debug)]
pub(crate) enum Unread {
    /// Another one is writing.
    Busy,
    /// This one cannot be read or written.
    File(PathBuf, io::Error),
    /// This one is no text, and so not as we write it.
    Sealed(PathBuf),
}

impl Files {
    /// The files in this directory, which is made if it is not there.
    pub(crate) fn open(
        directory: &Path,
        keys: KeyRing,
        purpose: Purpose,
        label: &'static [u8],
    ) -> io::Result<Self> {
        let mut make = fs::DirBuilder::new();
        make.recursive(true).mode(0o700).create(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            keys,
            purpose,
            label,
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.keys
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Where something's file is.
    pub(crate) fn name(&self, of: &[u8]) -> String {
        self.named(&self.keys.naming(), of)
    }

    /// The same as the key in use names it, and as the key before did.
    pub(crate) fn names(&self, of: &[u8]) -> [String; 2] {
        let name = self.name(of);
        let before = self.keys.previous_naming();
        let before = before.map_or_else(|| name.clone(), |naming| self.named(&naming, of));
        [name, before]
    }

    fn named(&self, naming: &[u8], of: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, naming);
        let mut digest = hmac::Context::with_key(&key);
        digest.update(self.label);
        digest.update(of);
        let digest = digest.sign();
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A file as it is, and which it was.
    pub(crate) fn read(&self, name: &str) -> Result<Option<(Metadata, String)>, Unread> {
        let path = self.path(name);
        let read = || -> io::Result<(Metadata, String)> {
            let file = File::open(&path)?;
            let metadata = file.metadata()?;
            let mut text = String::new();
            file.take(LONGEST_FILE).read_to_string(&mut text)?;
            Ok((metadata, text))
        };
        match read() {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Unread::Sealed(path)),
            Err(error) => Err(Unread::File(path, error)),
        }
    }

    /// What a file of this name holds; nothing if it does not open. Whoever has it wipes it.
    pub(crate) fn unsealed(&self, name: &str, text: &str) -> Option<Vec<u8>> {
        let (kid, body) = text.split_once('.')?;
        self.keys.open(self.purpose, kid, name.as_bytes(), body)
    }

    /// Writes a file in the place of the one before, and wipes what it holds. Its name is on disk after
    /// [`Files::sync`].
    pub(crate) fn write(&self, name: &str, mut bytes: Vec<u8>) -> Result<(), Unread> {
        let sealed = self.keys.seal(self.purpose, name.as_bytes(), &bytes);
        wipe(&mut bytes);
        let path = self.path(name);
        replace(&path, sealed.to_string().as_bytes()).map_err(|error| Unread::File(path, error))
    }

    /// Removes a file, if there is one.
    pub(crate) fn delete(&self, name: &str) -> Result<(), Unread> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Unread::File(path, error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Sees to it that names are on disk: they are when their directory is.
    pub(crate) fn sync(&self) -> Result<(), Unread> {
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| Unread::File(self.directory.clone(), error))
    }

    /// Locks a file of this name, of which nothing is read, for as long as it is open. It does not wait.
    pub(crate) fn lock(&self, name: &str) -> Result<File, Unread> {
        let path = self.path(name);
        let mut open = OpenOptions::new();
        let opened = open
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let lock = match opened {
            Ok(lock) => lock,
            Err(error) => return Err(Unread::File(path, error)),
        };
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(Unread::Busy),
            Err(TryLockError::Error(error)) => Err(Unread::File(path, error)),
        }
    }
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    // One that a killed process left behind may have other permissions.
    let _ = fs::remove_file(&beside);
    let mut open = OpenOptions::new();
    let mut file = open.write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    let written = written.and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
