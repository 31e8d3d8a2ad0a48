//! JSON web tokens of issuers that the file names: `auth.jwt`.
//!
//! A token is verified with what the file says and with the keys that its issuer publishes, and with nothing that it
//! says itself (RFC 8725): its `alg` must be one of those listed and one that the key is for, its `kid` chooses among
//! its issuer's keys, and everything else in its header goes unread.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::scalar::{self, Wrong};
use config::{Environment, Field, Fields, Located};
use http::Uri;

use super::claims::{Expected, Rules};
use super::jwks::Jwks;
use super::key::{Algorithm, KeySet};
use super::outside::Outside;
use super::refusal::Refusal;
use super::unverified::{self, Unverified};
use super::verified::{self, Verified};
use crate::address;
use crate::principal::Identity;

/// What identity providers sign with, if the file does not say.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Rs256, Algorithm::Es256];
/// How long keys are believed when no newer ones can be had, if the file does not say.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// And what it may say.
const STALES: [Duration; 2] = [
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 24 * 60 * 60),
];

/// One entry of `auth.jwt`, as it is written.
#[derive(Debug, Clone)]
pub struct Issuer {
    issuer: String,
    rules: Rules,
    keys: Keys,
    algorithms: Vec<Algorithm>,
    /// What `typ` must be.
    kind: Option<String>,
}

#[derive(Debug, Clone)]
enum Keys {
    File(KeySet),
    Url { url: Uri, stale: Duration },
}

/// All of them, at work.
#[derive(Debug)]
pub struct Issuers {
    issuers: Vec<(Issuer, Arc<Jwks>)>,
    verified: Verified<Arc<Identity>>,
}

impl Issuers {
    /// Issuers whose keys are fetched by `outside`. What the previous ones know of keys from the same URL is taken
    /// over: a new configuration never waits for an issuer that the old one had the keys of.
    pub fn new(issuers: Vec<Issuer>, outside: &Arc<dyn Outside>, previous: Option<&Self>) -> Self {
        let previous: Vec<_> = previous
            .into_iter()
            .flat_map(|previous| &previous.issuers)
            .collect();
        let issuers = issuers.into_iter().map(|issuer| {
            let jwks = match &issuer.keys {
                Keys::File(keys) => Jwks::fixed(keys.clone()),
                Keys::Url { url, stale } => {
                    let before = previous.iter().find(|(_, jwks)| jwks.is_of(url, *stale));
                    before.map_or_else(
                        || Jwks::fetched(url.clone(), *stale, Arc::clone(outside)),
                        |(_, jwks)| Arc::clone(jwks),
                    )
                }
            };
            (issuer, jwks)
        });
        Self {
            issuers: issuers.collect(),
            verified: Verified::default(),
        }
    }

    /// The key sets: whoever owns the runtime runs [`Jwks::keep`] of each.
    pub fn key_sets(&self) -> impl Iterator<Item = &Arc<Jwks>> {
        self.issuers.iter().map(|(_, jwks)| jwks)
    }

    /// What the record and metrics call them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().map(|(issuer, _)| issuer.name())
    }

    /// Whose token it is. A token that was verified in the last five minutes is not verified again. `now` is the wall
    /// clock's.
    ///
    /// # Errors
    /// Why it is not believed. [`Refusal::Malformed`] and [`Refusal::Issuer`] say that it is none of ours, and may be
    /// one that its issuer is to be asked about; [`Refusal::Unavailable`] that this cannot be told now, after three
    /// seconds at most.
    pub async fn verify(
        &self,
        token: &str,
        expected: &Expected<'_>,
        now: SystemTime,
    ) -> Result<Arc<Identity>, Refusal> {
        if token.len() > unverified::LONGEST {
            return Err(Refusal::TooLong);
        }
        let digest = verified::digest(token, expected.audiences.iter().map(String::as_str));
        if let Some(identity) = self.verified.get(&digest, now) {
            return Ok(identity);
        }
        let bytes = token.len();
        let token = Unverified::parse(token)?;
        let named = token.issuer().ok_or(Refusal::Issuer)?;
        let mut issuers = self.issuers.iter();
        let (issuer, jwks) = issuers
            .find(|(issuer, _)| issuer.issuer == named)
            .ok_or(Refusal::Issuer)?;
        let identity = Arc::new(issuer.verify(jwks, token, expected, now).await?);
        let again = now + verified::LONGEST;
        let until = identity.expires.map_or(again, |expires| expires.min(again));
        self.verified
            .put(digest, Arc::clone(&identity), bytes, now, until);
        Ok(identity)
    }
}

impl Issuer {
    /// Reads `auth.jwt`: the list of issuers. Files of keys are read on the way; nothing is fetched.
    pub fn check(field: &Field<'_>, environment: &dyn Environment) -> Vec<Self> {
        let mut issuers = Vec::new();
        let mut seen = HashSet::new();
        for field in field.list().unwrap_or_default() {
            let Some(mut fields) = field.fields() else {
                continue;
            };
            let issuer = Self::entry(&mut fields, environment);
            fields.finish();
            let Some(issuer) = issuer else { continue };
            for word in [
                ("issuer", issuer.issuer.clone()),
                ("name", issuer.name().to_owned()),
            ] {
                if !seen.insert(word) {
                    field.report(
                        "two entries have this issuer or this name",
                        Some("keep one; `audience` and `algorithms` take lists"),
                    );
                    break;
                }
            }
            issuers.push(issuer);
        }
        issuers
    }

    /// What the record and metrics call it.
    pub fn name(&self) -> &str {
        &self.rules.source
    }

    /// What its tokens have as `iss`, which is also what clients are told to get a token from.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    fn entry(fields: &mut Fields<'_>, environment: &dyn Environment) -> Option<Self> {
        let issuer = fields.required("issuer");
        let issuer = issuer.resolved_text(environment).filter(|text| {
            let is_written = !text.value.is_empty();
            if !is_written {
                issuer.report(
                    "an issuer has a name",
                    Some("write what its tokens have as `iss`"),
                );
            }
            is_written
        });
        let named = issuer.as_ref().map_or("", |issuer| &issuer.value);
        let rules = Rules::check(fields, named, Some(named));
        let keys = keys(fields, environment);
        let algorithms = algorithms(&fields.optional("algorithms"));
        let kind = fields.optional("type").text().map(Located::into_value);
        Some(Self {
            issuer: issuer?.value,
            rules,
            keys: keys?,
            algorithms: algorithms?,
            kind,
        })
    }

    async fn verify(
        &self,
        jwks: &Jwks,
        token: Unverified<'_>,
        expected: &Expected<'_>,
        now: SystemTime,
    ) -> Result<Identity, Refusal> {
        let algorithm = Algorithm::parse(&token.algorithm).filter(|named| self.algorithms.contains(named));
        let algorithm = algorithm.ok_or(Refusal::Algorithm)?;
        if let Some(kind) = &self.kind
            && !token.kind.as_deref().is_some_and(|given| is_kind(given, kind))
        {
            return Err(Refusal::Type);
        }
        let key = jwks.key(token.key.as_deref(), algorithm).await?;
        if !key.verifies(algorithm, token.signed, &token.signature) {
            return Err(Refusal::Signature);
        }
        self.rules.judge(token.claims()?, expected, now)
    }
}

/// Whether a `typ` is that: `application/` may be left out, and case means nothing (RFC 7515 §4.1.9).
fn is_kind(given: &str, wanted: &str) -> bool {
    let bare = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.strip_prefix("application/")
            .map_or(text.clone(), str::to_owned)
    };
    bare(given) == bare(wanted)
}

/// Reads where the keys are: a URL, or a file that is read at once.
fn keys(fields: &mut Fields<'_>, environment: &dyn Environment) -> Option<Keys> {
    let field = fields.required("jwks");
    let stale_field = fields.optional("stale");
    let [least, most] = STALES;
    let stale = stale_field.duration().map_or(STALE, |stale| {
        if !(least..=most).contains(&stale.value) {
            stale_field.report(
                "keys are believed for 5 minutes at least and 30 days at most",
                Some("write `24h`, which is the default"),
            );
        }
        stale.value
    });
    let written = field.resolved_text(environment)?;
    if written.value.contains("://") && !written.value.starts_with("file:") {
        let url = address::written(written, &field)?;
        return Some(Keys::Url { url, stale });
    }
    if stale_field.is_written() {
        stale_field.report("keys in a file do not go stale", Some("leave it out"));
    }
    let path = written.value.strip_prefix("file:").unwrap_or(&written.value);
    let path = path.strip_prefix("//").unwrap_or(path);
    let read = environment
        .file(Path::new(path))
        .map_err(|error| format!("`{}` cannot be read: {error}", scalar::shown(path)));
    let keys = read.and_then(|text| {
        KeySet::parse(text.as_bytes()).map_err(|why| format!("`{}`: {why}", scalar::shown(path)))
    });
    match keys {
        Ok(keys) if keys.is_empty() => {
            let text = format!("`{}` holds no key that we could use", scalar::shown(path));
            let hint = "RSA keys of 2048 bits or more, P-256, P-384 and Ed25519 can be used";
            field.report(text, Some(hint));
            None
        }
        Ok(keys) => Some(Keys::File(keys)),
        Err(text) => {
            field.report(
                text,
                Some("write a URL, or a file that holds a JSON object with `keys`"),
            );
            None
        }
    }
}

fn algorithms(field: &Field<'_>) -> Option<Vec<Algorithm>> {
    if !field.is_written() {
        return Some(ALGORITHMS.to_vec());
    }
    let items = field.list()?;
    if items.is_empty() {
        field.report(
            "with no algorithm no token can be verified",
            Some("write `[RS256, ES256]`, or leave it out"),
        );
    }
    let names = Algorithm::ALL.map(|(name, _)| name);
    let mut algorithms = Vec::new();
    for item in items {
        let algorithm = item.parsed(|text| {
            let refused = |why: &str| Wrong::new(format!("`{}` {why}", scalar::shown(text)));
            match Algorithm::parse(text) {
                Some(algorithm) => Ok(algorithm),
                None if text.eq_ignore_ascii_case("none") => {
                    Err(refused("would let anybody in").hint("leave it out"))
                }
                None if text.to_ascii_uppercase().starts_with("HS") => {
                    Err(refused("needs a secret, and published keys are none").hint("leave it out"))
                }
                None => Err(refused("is not an algorithm we know").hint(scalar::suggestion(text, &names))),
            }
        });
        algorithms.extend(algorithm.map(|algorithm| algorithm.value));
    }
    (!algorithms.is_empty()).then_some(algorithms)
}
