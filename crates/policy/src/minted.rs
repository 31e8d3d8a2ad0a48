//! Minted identities: what an upstream is told of who calls, signed by us.
//!
//! A token is a JWT (RFC 7519), signed with ES256 by a key that is made once and never leaves its file; upstreams verify
//! it with [`Minter::jwks`]. It says who we are, to whom it speaks, and of whom; it holds for five minutes at most, and
//! never longer than we ourselves believe its principal.
//!
//! `sub` is `source:subject`, as rules write a principal. The subject alone would be the same for two people whom two
//! sources happen to call the same, and an upstream that looks at nothing else would take one for the other.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::Identity;

mod lately;
mod signature;

use lately::{Lately, Minted};

pub use signature::{signature, signature_header};

/// How long a token holds.
pub const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// A token with less than this left is not given again: it has to arrive, and be judged by another clock.
pub const MARGIN: Duration = Duration::from_secs(60);

/// Makes tokens of one issuer.
pub struct Minter {
    issuer: String,
    key: EcdsaKeyPair,
    /// The digest of its public half (RFC 7638).
    kid: String,
    random: SystemRandom,
    lately: Mutex<Lately>,
}

impl Minter {
    /// A minter with the key in this file (PKCS#8, DER), which is made for its owner alone if it is not there. `issuer`
    /// is the URL under which others know us. Replicas that share an issuer need the same file.
    ///
    /// # Errors
    /// The file cannot be read or made, or is no key for P-256.
    pub fn open(path: &Path, issuer: &str) -> io::Result<Self> {
        let random = SystemRandom::new();
        let mut bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => made(path, &random)?,
            read => read?,
        };
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes, &random);
        crate::vault::wipe(&mut bytes);
        let no_key = |_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "it is no private key for P-256 in PKCS#8 (DER); remove it, and one is made",
            )
        };
        let key = key.map_err(no_key)?;
        Ok(Self {
            issuer: issuer.to_owned(),
            kid: thumbprint(&key),
            key,
            random,
            lately: Mutex::default(),
        })
    }

    /// A token that tells `audience` who this is. The same one is given until it has but a minute left, or something
    /// that it says has changed.
    pub fn mint(&self, identity: &Identity, audience: &str, now: SystemTime) -> Arc<str> {
        let mut claims = self.claims(identity, audience);
        let digest = Sha256::digest(Value::from(claims.clone()).to_string()).into();
        let now = seconds(now);
        let end = identity.expires.map_or(u64::MAX, seconds);
        let lately = self.lately().get(&digest);
        let is_good = |minted: &Minted| {
            (minted.at..minted.until.saturating_sub(MARGIN.as_secs())).contains(&now) && minted.until <= end
        };
        if let Some(minted) = lately.filter(is_good) {
            return minted.token;
        }
        let until = now.saturating_add(LIFETIME.as_secs()).min(end);
        claims.insert("iat".into(), now.into());
        claims.insert("exp".into(), until.into());
        claims.insert("jti".into(), self.nonce().into());
        let minted = Minted {
            token: self.signed(claims).into(),
            at: now,
            until,
        };
        let token = Arc::clone(&minted.token);
        self.lately().keep(digest, minted);
        token
    }

    /// The public half of the key, as a JWK set (RFC 7517).
    pub fn jwks(&self) -> String {
        let [x, y] = coordinates(&self.key);
        let key = json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid, "x": x, "y": y,
        });
        json!({ "keys": [key] }).to_string()
    }

    /// What a token says, but for its times and its number.
    fn claims(&self, identity: &Identity, audience: &str) -> Map<String, Value> {
        let Identity { source, subject, .. } = identity;
        let mut claims = Map::new();
        let mut say = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                claims.insert(name.to_owned(), value);
            }
        };
        say("iss", Some(self.issuer.as_str().into()));
        say("aud", Some(audience.into()));
        say("sub", Some(format!("{source}:{subject}").into()));
        say("source", Some((**source).into()));
        say("name", identity.name.as_deref().map(Value::from));
        say("email", email(identity).map(Value::from));
        say("roles", Some(identity.roles.as_slice().into()));
        say("tenant", identity.tenant.as_deref().map(Value::from));
        claims
    }

    fn signed(&self, claims: Map<String, Value>) -> String {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid });
        let encode = |value: String| URL_SAFE_NO_PAD.encode(value);
        let claims = Value::from(claims).to_string();
        let mut token = format!("{}.{}", encode(header.to_string()), encode(claims));
        let signature = self.key.sign(&self.random, token.as_bytes());
        let signature = signature.expect("the system has random bytes, or nothing here is safe");
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    fn nonce(&self) -> String {
        let mut bytes = [0; 16];
        let filled = self.random.fill(&mut bytes);
        filled.expect("the system has random bytes, or nothing here is safe");
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a key, and the file that holds it: whole, or not at all. If another process was faster, it is that one's.
fn made(path: &Path, random: &SystemRandom) -> io::Result<Vec<u8>> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, random);
    let key = key.map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let mut number = [0; 8];
    let filled = random.fill(&mut number);
    filled.map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let beside = path.with_extension(format!("{:016x}.new", u64::from_le_bytes(number)));
    let mut open = OpenOptions::new();
    let mut file = open.write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = file.write_all(key.as_ref()).and_then(|()| file.sync_all());
    // A link, since it replaces nothing.
    let linked = written.and_then(|()| fs::hard_link(&beside, path));
    let _ = fs::remove_file(&beside);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => fs::read(path),
    }
}

/// Where its public half is on the curve, in base64url.
fn coordinates(key: &EcdsaKeyPair) -> [String; 2] {
    // SEC 1 §2.3.3: a four, then both of 32 bytes.
    let point = key.public_key().as_ref();
    [&point[1..33], &point[33..]].map(|number| URL_SAFE_NO_PAD.encode(number))
}

fn thumbprint(key: &EcdsaKeyPair) -> String {
    let [x, y] = coordinates(key);
    // RFC 7638 §3.2: these members, in this order, without spaces.
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// Its address, unless its source says that nobody has checked it.
fn email(identity: &Identity) -> Option<&str> {
    let verified = identity.claim("email_verified");
    let is_doubtful = verified.is_some_and(|verified| *verified != true && *verified != "true");
    identity.claim("email")?.as_str().filter(|_| !is_doubtful)
}

/// Seconds since 1970, as tokens tell time.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
