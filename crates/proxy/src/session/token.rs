//! The session id on the wire: `s1.<key>.<owner>.<sealed claims>`.
//!
//! Sealed and not merely signed, since it carries the upstream's own session id, which is as good as
//! a credential there, and the client is not to know it (`protocol.md` §5.2). The owner is the
//! process that began the session.

use std::fmt;

use config::{KeyRing, Purpose};
use serde::{Deserialize, Serialize};

const PREFIX: &str = "s1";

/// The longest id we take for one of ours, in bytes.
const LONGEST: usize = 4096;

/// What a session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) id: Id,
    /// Seconds since 1970.
    pub(crate) expires: u64,
    /// What was agreed with the client.
    pub(crate) revision: String,
    /// What was agreed with the server; nothing where that is the same.
    pub(crate) server: Option<String>,
    pub(crate) principal: Vec<u8>,
    /// What the upstream calls it.
    pub(crate) upstream: Option<String>,
    /// The `params` of the client's `initialize`, for beginning anew with an upstream that forgot it.
    pub(crate) greeting: Option<String>,
}

/// Tells sessions apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Id([u8; 16]);

impl Id {
    pub(crate) fn new() -> Self {
        Self(fastrand::u128(..).to_le_bytes())
    }

    /// From how it is displayed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The id of a session; `None` when it is longer than what we would take for one of ours.
pub(crate) fn seal(keys: &KeyRing, owner: &str, binding: &[u8], claims: &Claims) -> Option<String> {
    // Writing to a vector cannot fail, and claims have no map whose keys could be refused.
    let plain = postcard::to_stdvec(claims).unwrap_or_default();
    let sealed = keys.seal(Purpose::Session, &bound(owner, binding), &plain);
    let text = format!("{PREFIX}.{}.{owner}.{}", sealed.kid, sealed.body);
    (text.len() <= LONGEST).then_some(text)
}

pub(crate) fn open(keys: &KeyRing, binding: &[u8], text: &str) -> Option<Claims> {
    if text.len() > LONGEST {
        return None;
    }
    let mut parts = text.split('.');
    let (prefix, key, owner, body) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if prefix != PREFIX || parts.next().is_some() {
        return None;
    }
    let plain = keys.open(Purpose::Session, key, &bound(owner, binding), body)?;
    postcard::from_bytes(&plain).ok()
}

fn bound(owner: &str, binding: &[u8]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(owner.len() + binding.len() + 1);
    bound.extend_from_slice(owner.as_bytes());
    bound.push(0);
    bound.extend_from_slice(binding);
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Secret;

    fn keys() -> KeyRing {
        KeyRing::new(&Secret::from("0123456789abcdef0123456789abcdef"), None).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            id: Id::new(),
            expires: 1,
            revision: "2025-06-18".into(),
            server: None,
            principal: Vec::new(),
            upstream: Some("5f1c".into()),
            greeting: None,
        }
    }

    #[test]
    fn a_session_is_read_back_by_whoever_has_the_key() {
        let (keys, claims) = (keys(), claims());
        let text = seal(&keys, "owner", b"route", &claims).unwrap();
        assert_eq!(open(&keys, b"route", &text), Some(claims));
        assert!(text.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{text}");
        assert!(!text.contains("5f1c"), "the upstream's id is not to be seen");
    }

    #[test]
    fn no_session_is_begun_whose_id_would_be_refused() {
        let keys = keys();
        let of = |length| Claims {
            upstream: Some("x".repeat(length)),
            ..claims()
        };
        let text = seal(&keys, "owner", b"route", &of(2900)).unwrap();
        assert_eq!(
            open(&keys, b"route", &text).unwrap().upstream.unwrap().len(),
            2900
        );
        assert_eq!(seal(&keys, "owner", b"route", &of(3100)), None);
    }

    #[test]
    fn nothing_else_opens_it() {
        let keys = keys();
        let text = seal(&keys, "owner", b"route", &claims()).unwrap();
        assert_eq!(open(&keys, b"other", &text), None, "another route");
        let other = KeyRing::new(&Secret::from("another key, another key, another"), None).unwrap();
        assert_eq!(open(&other, b"route", &text), None, "another key");
        for place in 0..text.len() {
            let mut tampered = text.clone().into_bytes();
            tampered[place] = if tampered[place] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(tampered).unwrap();
            assert_eq!(open(&keys, b"route", &tampered), None, "byte {place}");
        }
        for garbage in ["", "s1", "s1...", "s1.a.b.c.d", &"x".repeat(5000)] {
            assert_eq!(open(&keys, b"route", garbage), None, "{garbage}");
        }
    }
}
