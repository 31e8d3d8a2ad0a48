//! Sealing: what we hand out and want back unread and unchanged.
//!
//! A session id, a cursor or a request state travels through a client that must neither read nor alter it,
//! and comes back to any replica that holds the key. Each purpose has its own key, so that a cursor can never
//! pass for a session; all are derived once, when the ring is made. Nonces are random and of 192 bits, since
//! replicas share a key and do not speak to each other.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{Key as CipherKey, Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::secret::Secret;

const NONCE: usize = 24;
const TAG: usize = 16;
/// Less than this cannot be a key, however random.
const SHORTEST_KEY: usize = 16;

/// The key in use and the one before it.
#[derive(Clone)]
pub struct KeyRing {
    current: Key,
    previous: Option<Key>,
}

/// What a sealed text is for. Each has a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// `Mcp-Session-Id`.
    Session,
    /// `requestState` of a question to the user.
    RequestState,
    /// A page of a list.
    Cursor,
    /// A task's id.
    Task,
    /// `Last-Event-ID`.
    EventId,
    /// The id of a request that we make.
    RequestId,
    /// What replicas say to each other.
    Peer,
    /// What lies on disk.
    Stored,
    /// What users leave with us for upstreams.
    UserSecret,
}

/// A sealed text and the name of the key that opens it. Shown as `kid.body`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Four characters, the same for the same key everywhere.
    pub kid: String,
    /// Characters of `A–Z a–z 0–9 - _`.
    pub body: String,
}

/// A key that is too short to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeakKey {
    /// How many bytes it has.
    pub bytes: usize,
}

impl KeyRing {
    /// Derives every purpose's key. What was sealed under `previous` can still be opened.
    ///
    /// # Errors
    /// A key of less than 16 bytes.
    pub fn new(current: &Secret, previous: Option<&Secret>) -> Result<Self, WeakKey> {
        Ok(Self {
            current: Key::derive(current)?,
            previous: previous.map(Key::derive).transpose()?,
        })
    }

    /// Seals `claims`; they open only with the same purpose and the same `aad`.
    #[must_use]
    pub fn seal(&self, purpose: Purpose, aad: &[u8], claims: &[u8]) -> Sealed {
        let mut sealed = vec![0; NONCE + claims.len() + TAG];
        let (nonce, rest) = sealed.split_at_mut(NONCE);
        let (text, tag) = rest.split_at_mut(claims.len());
        getrandom::fill(nonce).expect("the system has random bytes, or nothing here is safe");
        text.copy_from_slice(claims);
        let made = self
            .current
            .cipher(purpose)
            .encrypt_in_place_detached(XNonce::from_slice(nonce), aad, text)
            .expect("only texts beyond 256 GiB cannot be sealed");
        tag.copy_from_slice(&made);
        Sealed {
            kid: self.current.kid.clone(),
            body: URL_SAFE_NO_PAD.encode(sealed),
        }
    }

    /// Opens what was sealed. A foreign key, another purpose, another `aad` and a changed byte all look
    /// alike.
    #[must_use]
    pub fn open(&self, purpose: Purpose, kid: &str, aad: &[u8], body: &str) -> Option<Vec<u8>> {
        let key = [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.kid == kid)?;
        let mut sealed = URL_SAFE_NO_PAD.decode(body).ok()?;
        let length = sealed.len().checked_sub(NONCE + TAG)?;
        let (nonce, rest) = sealed.split_at_mut(NONCE);
        let (text, tag) = rest.split_at_mut(length);
        key.cipher(purpose)
            .decrypt_in_place_detached(XNonce::from_slice(nonce), aad, text, Tag::from_slice(tag))
            .ok()?;
        sealed.copy_within(NONCE..NONCE + length, 0);
        sealed.truncate(length);
        Some(sealed)
    }

    /// A key for names that only we can make: of files, of what must be the same after a restart and tell
    /// nothing of what it stands for. Another key in use means other names.
    #[must_use]
    pub fn naming(&self) -> [u8; 32] {
        self.current.naming
    }

    /// As [`KeyRing::naming`], of the key before: for what was named when that one was in use.
    #[must_use]
    pub fn previous_naming(&self) -> Option<[u8; 32]> {
        self.previous.as_ref().map(|key| key.naming)
    }

    /// The name of the key in use.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.current.kid
    }
}

/// A new key: 32 random bytes in base64url.
#[must_use]
pub fn generate_key() -> Secret {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has random bytes, or nothing here is safe");
    Secret::from(URL_SAFE_NO_PAD.encode(bytes))
}

#[derive(Clone)]
struct Key {
    kid: String,
    naming: [u8; 32],
    ciphers: [XChaCha20Poly1305; Purpose::ALL.len()],
}

impl Key {
    fn derive(secret: &Secret) -> Result<Self, WeakKey> {
        let material = secret.expose().as_bytes();
        if material.len() < SHORTEST_KEY {
            return Err(WeakKey {
                bytes: material.len(),
            });
        }
        let root = Hkdf::<Sha256>::new(Some(b"causeway"), material);
        let kid = URL_SAFE_NO_PAD.encode(expand::<3>(&root, "kid"));
        let ciphers = Purpose::ALL.map(|purpose| {
            let key = expand::<32>(&root, purpose.label());
            XChaCha20Poly1305::new(CipherKey::from_slice(&key))
        });
        let naming = expand::<32>(&root, "naming");
        Ok(Self { kid, naming, ciphers })
    }

    fn cipher(&self, purpose: Purpose) -> &XChaCha20Poly1305 {
        &self.ciphers[purpose as usize]
    }
}

fn expand<const N: usize>(root: &Hkdf<Sha256>, label: &str) -> [u8; N] {
    let mut bytes = [0; N];
    root.expand(label.as_bytes(), &mut bytes)
        .expect("HKDF-SHA256 gives up to 8160 bytes");
    bytes
}

impl Purpose {
    /// In the order of their declaration, by which their ciphers are found.
    const ALL: [Self; 9] = [
        Self::Session,
        Self::RequestState,
        Self::Cursor,
        Self::Task,
        Self::EventId,
        Self::RequestId,
        Self::Peer,
        Self::Stored,
        Self::UserSecret,
    ];

    /// What its key is derived with. A change here makes every token in the world unreadable.
    fn label(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::RequestState => "reqstate",
            Self::Cursor => "cursor",
            Self::Task => "task",
            Self::EventId => "event",
            Self::RequestId => "reqid",
            Self::Peer => "peer",
            Self::Stored => "stored",
            Self::UserSecret => "user secret",
        }
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kid, self.body)
    }
}

/// The name of the key in use, never the key.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({})", self.kid())
    }
}

impl fmt::Display for WeakKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes } = self;
        write!(
            f,
            "a key of {bytes} bytes is too short; use 32 random ones, as `openssl rand -hex 32` prints them"
        )
    }
}

impl std::error::Error for WeakKey {}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(key: &str, previous: Option<&str>) -> KeyRing {
        KeyRing::new(&Secret::from(key), previous.map(Secret::from).as_ref()).unwrap()
    }

    const OLD: &str = "an old key of thirty-two bytes..";
    const NEW: &str = "a new key of thirty-two bytes...";

    #[test]
    fn replicas_with_the_same_key_open_each_others_texts() {
        let sealed = ring(NEW, None).seal(Purpose::Session, b"/mcp/docs", b"claims");

        assert_eq!(
            ring(NEW, None)
                .open(Purpose::Session, &sealed.kid, b"/mcp/docs", &sealed.body)
                .as_deref(),
            Some(&b"claims"[..])
        );
    }

    #[test]
    fn another_purpose_route_or_key_opens_nothing() {
        let ring = ring(NEW, None);
        let Sealed { kid, body } = ring.seal(Purpose::Session, b"/mcp/docs", b"claims");

        for purpose in Purpose::ALL {
            let opened = ring.open(purpose, &kid, b"/mcp/docs", &body);
            assert_eq!(opened.is_some(), purpose == Purpose::Session, "{purpose:?}");
        }
        assert_eq!(ring.open(Purpose::Session, &kid, b"/mcp/crm", &body), None);
        assert_eq!(ring.open(Purpose::Session, "AAAA", b"/mcp/docs", &body), None);
        let other = self::ring(OLD, None);
        assert_eq!(other.open(Purpose::Session, &kid, b"/mcp/docs", &body), None);
        assert_eq!(
            other.open(Purpose::Session, other.kid(), b"/mcp/docs", &body),
            None
        );
    }

    #[test]
    fn a_change_anywhere_opens_nothing() {
        let ring = ring(NEW, None);
        let Sealed { kid, body } = ring.seal(Purpose::Cursor, b"", b"page 2");
        let bytes = URL_SAFE_NO_PAD.decode(&body).unwrap();

        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[position] ^= 1 << bit;
                assert_eq!(
                    ring.open(Purpose::Cursor, &kid, b"", &URL_SAFE_NO_PAD.encode(changed)),
                    None
                );
            }
            let cut = URL_SAFE_NO_PAD.encode(&bytes[..position]);
            assert_eq!(ring.open(Purpose::Cursor, &kid, b"", &cut), None);
        }
        // One text, one token: no second spelling of the same bytes opens either.
        for position in 0..body.len() {
            for other in ['A', 'B', '_', '=', ' ', '+'] {
                let changed = format!("{}{other}{}", &body[..position], &body[position + 1..]);
                assert_eq!(
                    ring.open(Purpose::Cursor, &kid, b"", &changed).is_some(),
                    changed == body
                );
            }
        }
        assert_eq!(ring.open(Purpose::Cursor, &kid, b"", &format!("{body}=")), None);
    }

    #[test]
    fn names_are_made_by_the_key_in_use_and_the_same_everywhere() {
        assert_eq!(ring(NEW, None).naming(), ring(NEW, Some(OLD)).naming());
        assert_ne!(ring(NEW, None).naming(), ring(OLD, None).naming());
        assert_eq!(
            ring(NEW, Some(OLD)).previous_naming(),
            Some(ring(OLD, None).naming())
        );
        assert_eq!(ring(NEW, None).previous_naming(), None);
    }

    #[test]
    fn the_key_before_still_opens_and_no_longer_seals() {
        let sealed = ring(OLD, None).seal(Purpose::Task, b"", b"t");
        let rotated = ring(NEW, Some(OLD));

        assert_eq!(
            rotated
                .open(Purpose::Task, &sealed.kid, b"", &sealed.body)
                .as_deref(),
            Some(&b"t"[..])
        );
        assert_ne!(rotated.seal(Purpose::Task, b"", b"t").kid, sealed.kid);
        assert_eq!(rotated.kid(), ring(NEW, None).kid());
    }

    /// A token in the world must stay readable by the releases after the one that made it.
    #[test]
    fn the_derivation_of_keys_does_not_change() {
        let ring = ring(NEW, None);
        assert_eq!(ring.kid(), "Hvcf");
        let sealed = "IqLPs9xBFBGaIeNUszx9Uf_jc0gKbpASCPP16V4r5yBxboOVtlTJQNNHMvI";
        assert_eq!(
            ring.open(Purpose::Stored, ring.kid(), b"aad", sealed).as_deref(),
            Some(&b"kept"[..])
        );
    }

    #[test]
    fn a_token_has_only_characters_that_pass_everywhere() {
        let sealed = ring(NEW, None).seal(Purpose::Session, b"", &[0xff; 200]);

        assert_eq!(sealed.kid.len(), 4);
        assert!(
            sealed
                .to_string()
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        );
        assert_eq!(sealed.body.len(), (200 + NONCE + TAG) * 4 / 3);
    }

    #[test]
    fn a_key_is_long_and_never_printed() {
        assert_eq!(
            KeyRing::new(&Secret::from("short"), None).unwrap_err(),
            WeakKey { bytes: 5 }
        );
        assert!(KeyRing::new(&Secret::from(NEW), Some(&Secret::from("short"))).is_err());
        assert!(!format!("{:?}", ring(NEW, None)).contains("new key"));
    }

    #[test]
    fn generated_keys_are_keys_and_differ() {
        let (one, other) = (generate_key(), generate_key());
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), 43);
        assert!(KeyRing::new(&one, Some(&other)).is_ok());
    }
}
