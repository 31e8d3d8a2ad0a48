//! API keys: long random texts that we know by their digest alone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use config::{Environment, Field, Located, Secret, Value, scalar};
use serde_json::{Map, Number};
use sha2::{Digest as _, Sha256};

use crate::principal::{Identity, Principal};

/// What begins a key that we make, so that scanners for leaked secrets know one.
const PREFIX: &str = "cw_";

/// A key of the operator's own that is shorter can be guessed.
const SHORTEST: usize = 16;

/// The issuer of those who hold keys. It is no URL, so it is no token's either.
pub(super) const ISSUER: &str = "key";

type Hash = [u8; 32];

/// The keys of the file.
///
/// They are found by the digest of what was sent. Whoever measures how long that takes learns something of a digest
/// that they can compute themselves, and nothing of a key.
#[derive(Debug, Default)]
pub(super) struct Keys(HashMap<Hash, Principal>);

/// A key, for its bearer and nobody else, and what the file is told of it.
pub struct NewKey {
    /// The key itself.
    pub key: Secret,
    /// `sha256:…`
    pub hash: String,
}

impl NewKey {
    /// One that nobody has.
    pub fn random() -> Self {
        let key = format!("{PREFIX}{}", config::generate_key().expose());
        let hash = hex(&Sha256::digest(key.as_bytes()));
        Self {
            key: key.into(),
            hash: format!("sha256:{hash}"),
        }
    }
}

impl Keys {
    /// Reads `auth.keys`.
    pub(super) fn check(field: &Field<'_>, environment: &dyn Environment) -> Self {
        let mut keys = Self::default();
        let mut names: Vec<String> = Vec::new();
        for field in field.list().unwrap_or_default() {
            let Some((hash, identity)) = key(&field, environment) else {
                continue;
            };
            if names.contains(&identity.subject) {
                let name = scalar::shown(&identity.subject);
                field.report(
                    format!("another key is called `{name}` too"),
                    Some("rules, limits and the record tell keys apart by their names"),
                );
            }
            names.push(identity.subject.clone());
            match keys.0.entry(hash) {
                Entry::Vacant(place) => {
                    place.insert(Principal::Known(Arc::new(identity)));
                }
                Entry::Occupied(other) => {
                    field.report(
                        format!(
                            "it is the very key of `{}`",
                            scalar::shown(&other.get().to_string())
                        ),
                        Some("`causeway key new` makes another"),
                    );
                }
            }
        }
        keys
    }

    /// Whose key this is.
    pub(super) fn find(&self, key: &str) -> Option<&Principal> {
        let hash: Hash = Sha256::digest(key.as_bytes()).into();
        self.0.get(&hash)
    }

    pub(super) fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.0.values().filter_map(Principal::identity)
    }
}

fn key(field: &Field<'_>, environment: &dyn Environment) -> Option<(Hash, Identity)> {
    let mut fields = field.fields()?;
    let name = fields.required("name").text();
    let (hashed, plain) = (fields.optional("hash"), fields.optional("key"));
    let digest = match (hashed.is_written(), plain.is_written()) {
        (true, false) => hashed.text().and_then(|text| read_hash(&hashed, &text.value)),
        (false, true) => plain
            .resolved_secret(environment)
            .and_then(|key| digest_of(&plain, &key.value)),
        (false, false) => {
            field.report(
                "`hash` is missing",
                Some("`causeway key new` makes a key and prints what to write here"),
            );
            None
        }
        (true, true) => {
            plain.report(
                "`hash` is written too",
                Some("keep `hash`; the key itself is not needed"),
            );
            None
        }
    };
    let roles = fields.optional("roles").texts().map(Located::into_value);
    let tenant = fields.optional("tenant").text().map(Located::into_value);
    let scopes = fields.optional("scopes").texts().map(Located::into_value);
    let said = claims(&fields.optional("claims"));
    fields.finish();
    let name = name?.value;
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        field.report(
            "`name` is empty or holds control characters",
            Some("call it after who holds it"),
        );
        return None;
    }
    let mut identity = Identity::new(&ISSUER.into(), ISSUER, &name);
    identity.roles = roles.unwrap_or_default();
    identity.tenant = tenant;
    identity.scopes = scopes;
    identity.claims = said;
    identity.claims.insert("sub".into(), name.clone().into());
    identity.name = Some(name);
    Some((digest?, identity))
}

/// What else is said of who holds a key: texts, numbers, `true`, and lists of texts.
fn claims(field: &Field<'_>) -> Map<String, serde_json::Value> {
    let entries = field.entries().unwrap_or_default();
    let claims = entries.into_iter().filter_map(|(name, field)| {
        let value = match field.node().map(|node| &node.value)? {
            Value::Bool(flag) => (*flag).into(),
            Value::Number(text) if let Ok(number) = text.parse::<Number>() => number.into(),
            Value::List(_) => field.texts()?.into_value().into(),
            _ => field.text()?.into_value().into(),
        };
        Some((name.value, value))
    });
    claims.collect()
}

fn read_hash(field: &Field<'_>, text: &str) -> Option<Hash> {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    let hash = unhex(digits);
    if hash.is_none() {
        field.report(
            "a hash is `sha256:` and 64 hexadecimal digits",
            Some("`causeway key new` prints one; of a key that you have, `printf %s KEY | sha256sum`"),
        );
    }
    hash
}

fn digest_of(field: &Field<'_>, key: &Secret) -> Option<Hash> {
    if key.is_empty() {
        field.report("the key is empty", Some("`causeway key new` makes one"));
        return None;
    }
    if key.expose().len() < SHORTEST {
        let text = format!("a key of fewer than {SHORTEST} characters can be guessed");
        let problem = config::Problem::new(Some(field.at()), field.path(), text);
        let hint = "`causeway key new` makes one that cannot";
        field.problems().add(problem.hint(hint).secret().warning());
    }
    Some(Sha256::digest(key.expose().as_bytes()).into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<Hash> {
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = Hash::default();
    for (byte, place) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&digits[place..place + 2], 16).ok()?;
    }
    Some(hash)
}
