//! The vault: what users left with us for upstreams, sealed on disk.
//!
//! One file for each principal. Its name tells nobody whose it is; one that was changed, or copied to where another's is
//! looked for, does not open. That an older file of the same principal was put back is not seen.
//!
//! Everything here reads and writes files in place; what writes waits for the disk, and has no business where calls are
//! served.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::{KeyRing, Purpose, Secret};

use crate::Principal;
use crate::sealed::{Files, Unread};

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

/// What is locked while one of several processes writes.
const LOCK: &str = "lock";

/// All principals' values.
#[derive(Debug)]
pub struct Vault {
    files: Files,
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
        Ok(Self {
            files: Files::open(directory, keys, Purpose::UserSecret, b"user secrets\0")?,
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
        let failed = |error| Unkept::File(self.files.directory().to_owned(), error);
        let _alone = self.alone()?;
        let mut renewed = Renewed::default();
        for entry in fs::read_dir(self.files.directory()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str().filter(|name| is_file_name(name)) else {
                continue;
            };
            let Some((_, text)) = self.files.read(name)? else {
                continue;
            };
            if kid(&text) == Some(self.files.keys().kid()) {
                continue;
            }
            let Some(content) = self.unsealed(name, &text) else {
                renewed.unopened += 1;
                continue;
            };
            let is_stored_since = self.files.read(&self.name(&content.owner))?.is_some();
            if is_stored_since {
                self.files.delete(name)?;
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
        for name in self.files.names(&owner) {
            let path = self.files.path(&name);
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
        for name in self.files.names(owner) {
            if let Some((_, content)) = self.content(&name, owner)? {
                return Ok(content.values);
            }
        }
        Ok(Values::new())
    }

    fn content(&self, name: &str, owner: &Owner) -> Result<Option<(Stamp, Content)>, Unkept> {
        let Some((metadata, text)) = self.files.read(name)? else {
            return Ok(None);
        };
        match self
            .unsealed(name, &text)
            .filter(|content| content.owner == *owner)
        {
            Some(content) => Ok(Some((Stamp::of(&metadata), content))),
            None => Err(Unkept::Sealed(self.files.path(name))),
        }
    }

    fn unsealed(&self, name: &str, text: &str) -> Option<Content> {
        let mut bytes = self.files.unsealed(name, text)?;
        let content = Content::decode(&bytes);
        wipe(&mut bytes);
        content
    }

    /// Writes a file in the place of the one before, whatever that was named. Who left nothing has none.
    fn replace(&self, content: &Content) -> Result<(), Unkept> {
        self.recent.forget(&content.owner);
        let [name, before] = self.files.names(&content.owner);
        if content.values.is_empty() {
            self.files.delete(&name)?;
        } else {
            self.files.write(&name, content.encode())?;
        }
        if before != name {
            self.files.delete(&before)?;
        }
        Ok(self.files.sync()?)
    }

    /// Waits for the others of this process, and not for other processes.
    fn alone(&self) -> Result<(MutexGuard<'_, ()>, File), Unkept> {
        let ours = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((ours, self.files.lock(LOCK)?))
    }

    fn name(&self, owner: &Owner) -> String {
        self.files.name(owner)
    }
}

/// Whose it is: a principal's binding.
type Owner = [u8; 32];

fn owner(principal: &Principal) -> Option<Owner> {
    principal.binding().try_into().ok()
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

impl From<Unread> for Unkept {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Busy => Self::Busy,
            Unread::File(path, error) => Self::File(path, error),
            Unread::Sealed(path) => Self::Sealed(path),
        }
    }
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
