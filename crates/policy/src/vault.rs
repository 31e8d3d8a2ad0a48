//! The vault: what users left with us for upstreams, sealed on disk.
//!
//! One file for each principal, in a directory of our own. Its name is a keyed digest, so that it tells nobody whose it
//! is; what it holds is sealed by the key of the state directory for this purpose and for this name, so that a file that
//! was changed, or copied to where another's is looked for, does not open. That an older file of the same principal was
//! put back is not seen.
//!
//! A file is replaced whole: whoever reads sees the one before or the new one, and a cut of power leaves one of them.
//! Everything here reads and writes files in place; what writes waits for the disk, and has no business where calls are
//! served.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::{KeyRing, Purpose, Secret};
use ring::hmac;

use crate::Principal;

mod content;
mod recent;

use content::Content;
pub(crate) use content::wipe;
use recent::{Recent, Stamp};

/// Bytes of a value.
pub const LONGEST_VALUE: usize = 8 * 1024;

/// Values of a principal.
pub const MOST_VALUES: usize = 64;

/// Characters of a name: letters, digits, `_`, `-` and `.`.
pub const LONGEST_NAME: usize = 64;

/// Bytes of a file that are read: more than it ever has.
const LONGEST_FILE: u64 = 1024 * 1024;

/// What is locked while one of several processes writes.
const LOCK: &str = "lock";

/// All principals' values.
#[derive(Debug)]
pub struct Vault {
    directory: PathBuf,
    keys: KeyRing,
    recent: Recent,
    /// Held by whoever writes.
    writing: Mutex<()>,
}

/// One principal's values, by their names.
type Values = BTreeMap<String, Secret>;

/// Why a value cannot be had, or kept.
#[derive(Debug)]
pub enum Unkept {
    /// Nobody is known to whom it could belong.
    Anonymous,
    /// Its name is none.
    Name,
    /// It is empty, or longer than [`LONGEST_VALUE`].
    Value,
    /// Its principal has [`MOST_VALUES`] already.
    TooMany,
    /// This file does not open: it was changed, is another's, or was sealed by a key that we no longer have.
    Sealed(PathBuf),
    /// Another process is writing.
    Busy,
    /// This file cannot be read or written.
    File(PathBuf, io::Error),
}

/// What became of files that the key before had sealed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Renewed {
    /// These are sealed by the key in use now.
    pub sealed: usize,
    /// These open with none of our keys, and stay as they are.
    pub unopened: usize,
}

impl Vault {
    /// The vault in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(directory: &Path, keys: KeyRing) -> io::Result<Self> {
        let mut make = fs::DirBuilder::new();
        make.recursive(true).mode(0o700).create(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            keys,
            recent: Recent::default(),
            writing: Mutex::default(),
        })
    }

    /// The value that this principal left under this name. Whoever is anonymous left none.
    ///
    /// # Errors
    /// There is a file that cannot be read. That is not the same as no value: what stands in for one must not be used.
    pub fn get(&self, principal: &Principal, name: &str) -> Result<Option<Secret>, Unkept> {
        let values = self.values(principal)?;
        Ok(values.and_then(|values| values.get(name).cloned()))
    }

    /// The names under which this principal left something.
    ///
    /// # Errors
    /// As for [`Vault::get`].
    pub fn names(&self, principal: &Principal) -> Result<Vec<String>, Unkept> {
        let values = self.values(principal)?;
        Ok(values.map_or_else(Vec::new, |values| values.keys().cloned().collect()))
    }

    /// Keeps a value, in the place of the one before. It is on disk when this returns.
    ///
    /// # Errors
    /// Nothing is changed.
    pub fn set(&self, principal: &Principal, name: &str, value: Secret) -> Result<(), Unkept> {
        if !is_name(name) {
            return Err(Unkept::Name);
        }
        if value.is_empty() || value.expose().len() > LONGEST_VALUE {
            return Err(Unkept::Value);
        }
        let owner = owner(principal).ok_or(Unkept::Anonymous)?;
        let _alone = self.alone()?;
        let mut values = self.stored(&owner)?;
        values.insert(name.to_owned(), value);
        if values.len() > MOST_VALUES {
            return Err(Unkept::TooMany);
        }
        self.replace(&Content { owner, values })
    }

    /// Forgets a value, and says whether there was one.
    ///
    /// # Errors
    /// Nothing is changed.
    pub fn remove(&self, principal: &Principal, name: &str) -> Result<bool, Unkept> {
        let Some(owner) = owner(principal) else {
            return Ok(false);
        };
        let _alone = self.alone()?;
        let mut values = self.stored(&owner)?;
        if values.remove(name).is_none() {
            return Ok(false);
        }
        self.replace(&Content { owner, values })?;
        Ok(true)
    }

    /// Forgets what was read, but not what is stored. A file that was replaced is seen without this.
    pub fn reload(&self) {
        self.recent.clear();
    }

    /// Seals with the key in use what the key before has sealed, so that one can do without it from then on. It reads
    /// every file of the vault.
    ///
    /// # Errors
    /// Where it had to stop. What was done until then is done.
    pub fn renew(&self) -> Result<Renewed, Unkept> {
        let failed = |error| Unkept::File(self.directory.clone(), error);
        let _alone = self.alone()?;
        let mut renewed = Renewed::default();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str().filter(|name| is_file_name(name)) else {
                continue;
            };
            let Some((_, text)) = self.read(name)? else {
                continue;
            };
            if kid(&text) == Some(self.keys.kid()) {
                continue;
            }
            let Some(content) = self.unsealed(name, &text) else {
                renewed.unopened += 1;
                continue;
            };
            let is_stored_since = self.read(&self.name(&content.owner))?.is_some();
            if is_stored_since {
                self.delete(name)?;
            } else {
                self.replace(&content)?;
            }
            renewed.sealed += 1;
        }
        Ok(renewed)
    }

    /// This principal's values as they were read last, if its file is still the same, else as they are read now.
    fn values(&self, principal: &Principal) -> Result<Option<Arc<Values>>, Unkept> {
        let Some(owner) = owner(principal) else {
            return Ok(None);
        };
        for name in self.names_of(&owner) {
            let path = self.directory.join(&name);
            let stamp = match fs::metadata(&path) {
                Ok(metadata) => Stamp::of(&metadata),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Unkept::File(path, error)),
            };
            if let Some(values) = self.recent.get(&owner, &stamp) {
                return Ok(Some(values));
            }
            if let Some((stamp, content)) = self.content(&name, &owner)? {
                let values = Arc::new(content.values);
                self.recent.keep(owner, stamp, &values);
                return Ok(Some(values));
            }
        }
        self.recent.forget(&owner);
        Ok(None)
    }

    /// What is stored of this principal, to be changed by one who is alone.
    fn stored(&self, owner: &Owner) -> Result<Values, Unkept> {
        for name in self.names_of(owner) {
            if let Some((_, content)) = self.content(&name, owner)? {
                return Ok(content.values);
            }
        }
        Ok(Values::new())
    }

    fn content(&self, name: &str, owner: &Owner) -> Result<Option<(Stamp, Content)>, Unkept> {
        let Some((stamp, text)) = self.read(name)? else {
            return Ok(None);
        };
        match self
            .unsealed(name, &text)
            .filter(|content| content.owner == *owner)
        {
            Some(content) => Ok(Some((stamp, content))),
            None => Err(Unkept::Sealed(self.directory.join(name))),
        }
    }

    fn unsealed(&self, name: &str, text: &str) -> Option<Content> {
        let (kid, body) = text.split_once('.')?;
        let mut bytes = self.keys.open(Purpose::UserSecret, kid, name.as_bytes(), body)?;
        let content = Content::decode(&bytes);
        wipe(&mut bytes);
        content
    }

    /// A file as it is, and which it was.
    fn read(&self, name: &str) -> Result<Option<(Stamp, String)>, Unkept> {
        let path = self.directory.join(name);
        let read = || -> io::Result<(Stamp, String)> {
            let file = File::open(&path)?;
            let stamp = Stamp::of(&file.metadata()?);
            let mut text = String::new();
            file.take(LONGEST_FILE).read_to_string(&mut text)?;
            Ok((stamp, text))
        };
        match read() {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // It is no text: not as we write it.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Unkept::Sealed(path)),
            Err(error) => Err(Unkept::File(path, error)),
        }
    }

    /// Writes a file in the place of the one before, whatever that was named. Who left nothing has none.
    fn replace(&self, content: &Content) -> Result<(), Unkept> {
        self.recent.forget(&content.owner);
        let [name, before] = self.names_of(&content.owner);
        if content.values.is_empty() {
            self.delete(&name)?;
        } else {
            let mut bytes = content.encode();
            let sealed = self.keys.seal(Purpose::UserSecret, name.as_bytes(), &bytes);
            wipe(&mut bytes);
            let path = self.directory.join(&name);
            write(&path, sealed.to_string().as_bytes()).map_err(|error| Unkept::File(path, error))?;
        }
        if before != name {
            self.delete(&before)?;
        }
        // The names are on disk when their directory is.
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| Unkept::File(self.directory.clone(), error))
    }

    fn delete(&self, name: &str) -> Result<(), Unkept> {
        let path = self.directory.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Unkept::File(path, error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Waits for the others of this process, and not for other processes.
    fn alone(&self) -> Result<(MutexGuard<'_, ()>, File), Unkept> {
        let ours = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.directory.join(LOCK);
        let mut open = OpenOptions::new();
        let opened = open
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let lock = match opened {
            Ok(lock) => lock,
            Err(error) => return Err(Unkept::File(path, error)),
        };
        match lock.try_lock() {
            Ok(()) => Ok((ours, lock)),
            Err(TryLockError::WouldBlock) => Err(Unkept::Busy),
            Err(TryLockError::Error(error)) => Err(Unkept::File(path, error)),
        }
    }

    /// Where a principal's file is: as the key in use names it, and as the key before did.
    fn names_of(&self, owner: &Owner) -> [String; 2] {
        let name = self.name(owner);
        let before = self.keys.previous_naming();
        let before = before.map_or_else(|| name.clone(), |naming| file_name(&naming, owner));
        [name, before]
    }

    fn name(&self, owner: &Owner) -> String {
        file_name(&self.keys.naming(), owner)
    }
}

/// Whose it is: a principal's binding.
type Owner = [u8; 32];

fn owner(principal: &Principal) -> Option<Owner> {
    principal.binding().try_into().ok()
}

fn file_name(naming: &[u8], owner: &Owner) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, naming);
    let mut digest = hmac::Context::with_key(&key);
    digest.update(b"user secrets\0");
    digest.update(owner);
    let digest = digest.sign();
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_file_name(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_name(name: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_known)
}

/// Which key sealed this.
fn kid(text: &str) -> Option<&str> {
    text.split_once('.').map(|(kid, _)| kid)
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
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

impl fmt::Display for Unkept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("nobody is known to whom a secret could belong"),
            Self::Name => write!(
                f,
                "a secret is named with 1 to {LONGEST_NAME} letters, digits, `_`, `-` and `.`"
            ),
            Self::Value => write!(f, "a secret has 1 to {LONGEST_VALUE} bytes"),
            Self::TooMany => write!(f, "there are {MOST_VALUES} secrets already; remove one first"),
            Self::Sealed(path) => write!(
                f,
                "`{}` does not open: it was changed, is another's, or its key is gone",
                path.display()
            ),
            Self::Busy => f.write_str("another process is changing secrets; try again"),
            Self::File(path, error) => write!(f, "`{}` cannot be used: {error}", path.display()),
        }
    }
}

impl std::error::Error for Unkept {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(_, error) => Some(error),
            Self::Anonymous | Self::Name | Self::Value | Self::TooMany | Self::Sealed(_) | Self::Busy => None,
        }
    }
}

#[cfg(test)]
mod tests;
