//! Logins: what somebody logged in to an upstream with, sealed on disk.
//!
//! One file for each upstream, since one account serves all who call. Whoever renews a login holds its lock, also
//! against other processes: a refresh token is good once, and two who show it at a time may lose both what they had
//! (OAuth 2.1 §4.3.1). Everything here reads and writes files in place.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fmt, io};

use config::{KeyRing, Purpose, Secret};
use serde_json::{Map, Value, json};

use super::client::{Client, Endpoint, Place, Proof};
use super::fetch::LIFETIME;
use super::grant::{Granted, is_token};
use super::unfetched::Unfetched;
use crate::address;
use crate::authn::strict;
use crate::sealed::{Files, Unread};
use crate::vault::wipe;

/// The form. Another one is not read.
const VERSION: u64 = 1;

/// All logins of the gateway.
#[derive(Debug)]
pub struct Logins {
    files: Files,
}

/// What somebody logged in with: a client, its tokens, and whose they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    pub(super) upstream: String,
    /// The upstream's address. One that was moved elsewhere has no login.
    pub(super) url: String,
    /// What tokens are asked for.
    pub(super) resource: String,
    pub(super) endpoint: Endpoint,
    pub(super) client: Client,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    /// When it was given, and until when it is good.
    pub(super) since: SystemTime,
    pub(super) until: SystemTime,
}

/// A login that nobody else renews meanwhile.
pub(super) struct Locked(#[expect(dead_code, reason = "it is locked while it is open")] File);

impl Logins {
    /// The logins in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(directory: &Path, keys: KeyRing) -> io::Result<Self> {
        let files = Files::open(directory, keys, Purpose::Stored, b"logins\0")?;
        Ok(Self { files })
    }

    /// The login to the upstream of this name.
    ///
    /// # Errors
    /// There is a file that cannot be read.
    pub fn get(&self, upstream: &str) -> Result<Option<Account>, Unfetched> {
        for name in self.files.names(upstream.as_bytes()) {
            let Some((_, text)) = self.files.read(&name)? else {
                continue;
            };
            let account = self.files.unsealed(&name, &text).and_then(|mut bytes| {
                let account = Account::decode(&bytes);
                wipe(&mut bytes);
                account
            });
            let account = account.filter(|account| account.upstream == upstream);
            let path = || self.files.path(&name);
            return account.map(Some).ok_or_else(|| Unread::Sealed(path()).into());
        }
        Ok(None)
    }

    /// Keeps a login, in the place of the one before. It is on disk when this returns.
    ///
    /// # Errors
    /// The one before is still there.
    pub fn keep(&self, account: &Account) -> Result<(), Unfetched> {
        let [name, before] = self.files.names(account.upstream.as_bytes());
        self.files.write(&name, account.encode())?;
        self.files.sync()?;
        if before != name {
            self.files.delete(&before)?;
        }
        Ok(())
    }

    /// Forgets a login, and says whether there was one.
    ///
    /// # Errors
    /// It is still there.
    pub fn forget(&self, upstream: &str) -> Result<bool, Unfetched> {
        let names = self.files.names(upstream.as_bytes());
        let mut was_there = false;
        for name in &names {
            was_there |= self.files.path(name).exists();
            self.files.delete(name)?;
        }
        self.files.sync()?;
        Ok(was_there)
    }

    /// Locks a login, if nobody else has.
    pub(super) fn lock(&self, upstream: &str) -> Result<Option<Locked>, Unfetched> {
        let name = format!("{}.lock", self.files.name(upstream.as_bytes()));
        match self.files.lock(&name) {
            Ok(file) => Ok(Some(Locked(file))),
            Err(Unread::Busy) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Account {
    /// The same account with what was granted now. A refresh token that is not replaced stays good.
    pub(super) fn renewed(&self, granted: Granted, now: SystemTime) -> Self {
        Self {
            access: granted.token,
            refresh: granted.refresh.or_else(|| self.refresh.clone()),
            since: now,
            until: now + granted.lifetime.unwrap_or(LIFETIME),
            ..self.clone()
        }
    }

    /// How people know it: who gives its tokens.
    pub fn issuer(&self) -> &str {
        self.endpoint.issuer.as_deref().unwrap_or_default()
    }

    /// Whether it can be renewed without anybody logging in again.
    pub fn is_renewable(&self) -> bool {
        self.refresh.is_some()
    }

    fn encode(&self) -> Vec<u8> {
        let (secret, place) = match &self.client.proof {
            Proof::Secret(secret, place) => (Some(secret.expose()), *place),
            Proof::None | Proof::Key(..) => (None, None),
        };
        let document = json!({
            "version": VERSION,
            "upstream": self.upstream,
            "url": self.url,
            "resource": self.resource,
            "token_url": self.endpoint.url.to_string(),
            "issuer": self.endpoint.issuer,
            "methods": self.endpoint.methods,
            "client_id": self.client.id,
            "client_secret": secret,
            "secret_in": place.map(|place| match place { Place::Header => "header", Place::Form => "form" }),
            "scopes": self.scopes,
            "access_token": self.access.expose(),
            "refresh_token": self.refresh.as_ref().map(Secret::expose),
            "since": seconds(self.since),
            "until": seconds(self.until),
        });
        document.to_string().into_bytes()
    }

    /// None if these bytes are not what we write.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let document = strict::object(bytes)?;
        if document.get("version")?.as_u64()? != VERSION {
            return None;
        }
        let text = |name: &str| document.get(name)?.as_str().map(str::to_owned);
        let time = |name: &str| {
            let seconds = Duration::from_secs(document.get(name)?.as_u64()?);
            UNIX_EPOCH.checked_add(seconds)
        };
        let place = text("secret_in").map(|place| match place.as_str() {
            "form" => Place::Form,
            _ => Place::Header,
        });
        let secret = text("client_secret").map(Secret::from);
        let token = |name: &str| text(name).filter(|token| is_token(token)).map(Secret::from);
        Some(Self {
            upstream: text("upstream")?,
            url: text("url")?,
            resource: text("resource")?,
            endpoint: Endpoint {
                url: address::parse(&text("token_url")?).ok()?,
                issuer: text("issuer"),
                methods: texts(&document, "methods"),
            },
            client: Client {
                id: text("client_id")?,
                proof: secret.map_or(Proof::None, |secret| Proof::Secret(secret, place)),
            },
            scopes: texts(&document, "scopes"),
            access: token("access_token")?,
            refresh: token("refresh_token"),
            since: time("since")?,
            until: time("until")?,
        })
    }
}

fn texts(document: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    let items = document.get(name)?.as_array()?.iter();
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl From<Unread> for Unfetched {
    fn from(unread: Unread) -> Self {
        let why = match unread {
            Unread::Busy => "another process is changing it".to_owned(),
            Unread::Sealed(path) => format!(
                "`{}` does not open: it was changed, is another's, or its key is gone; remove it and log in again",
                path.display()
            ),
            Unread::File(path, error) => format!("`{}`: {error}", path.display()),
        };
        Self::Unkept { why }
    }
}

impl fmt::Debug for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked")
    }
}
