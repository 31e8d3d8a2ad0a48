//! Who calls: one layer for every door. A credential is found in its place, and judged by the source that knows it.
//!
//! Whatever is wrong with one, its bearer hears the same; what it was is counted ([`Unidentified::cause`]).

mod credential;
mod api_key;

use std::collections::HashSet;

use config::{Environment, Field};
use http::HeaderMap;

use crate::principal::Principal;
use api_key::Keys;
pub use api_key::NewKey;
use credential::{Credential, Unusable};

/// All who may call, and how each of them is known.
#[derive(Debug, Default)]
pub struct Authn {
    keys: Keys,
}

/// What of a request says who makes it.
pub struct Presented<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its query, as it was sent.
    pub query: Option<&'a str>,
}

/// Why it is not known who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unidentified {
    /// They do not say.
    Missing,
    /// What they say is not good; why, in one word for metrics and logs.
    Refused(&'static str),
}

impl Authn {
    /// Reads `auth`. Whoever it does not name may not call.
    pub fn check(field: &Field<'_>, environment: &dyn Environment) -> Self {
        let Some(mut fields) = field.fields() else {
            return Self::default();
        };
        let keys = Keys::check(&fields.optional("keys"), environment);
        fields.finish();
        let authn = Self { keys };
        if authn.keys.identities().next().is_none() {
            let problem = config::Problem::new(
                Some(field.at()),
                field.path(),
                "it names nobody, so nobody may call",
            );
            let hint = "add a key (`causeway key new`), or write `auth: none` to let everybody call";
            field.problems().add(problem.hint(hint).warning());
        }
        authn
    }

    /// Who makes this request.
    ///
    /// # Errors
    /// When it does not say, or what it says proves nothing.
    pub async fn identify(&self, presented: &Presented<'_>) -> Result<Principal, Unidentified> {
        match Credential::of(presented.headers, presented.query)? {
            Credential::None => Err(Unidentified::Missing),
            Credential::Bearer(token) => self.key(token),
            Credential::Key(key) => self.key(&key),
        }
    }

    fn key(&self, key: &str) -> Result<Principal, Unidentified> {
        self.keys
            .find(key)
            .cloned()
            .ok_or(Unidentified::Refused("unknown"))
    }

    /// Whether who was identified before would still be, by something else than a token that is presented anew.
    pub fn still_knows(&self, principal: &Principal) -> bool {
        match principal.identity() {
            Some(identity) if *identity.source == *api_key::ISSUER => self
                .keys
                .identities()
                .any(|known| known.subject == identity.subject),
            Some(_) => true,
            None => false,
        }
    }

    /// All roles that somebody can have; nothing where tokens may bring any.
    pub fn roles(&self) -> Option<HashSet<&str>> {
        let roles = self.keys.identities().flat_map(|identity| &identity.roles);
        Some(roles.map(String::as_str).collect())
    }
}

impl Unidentified {
    /// In one word, of a closed set.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Refused(cause) => cause,
        }
    }
}

impl From<Unusable> for Unidentified {
    fn from(unusable: Unusable) -> Self {
        Self::Refused(match unusable {
            Unusable::Several => "several",
            Unusable::Scheme => "scheme",
            Unusable::Malformed => "malformed",
        })
    }
}
//! Who calls: what a request brings to show it, and how that is verified.

mod jwt;
mod introspection;
mod open_webui;
mod unverified;
mod claims;
mod refusal;
mod jwks;
mod key;
mod verified;
mod strict;
mod outside;

pub use claims::Expected;
pub use introspection::{Introspection, Introspector};
pub use jwks::Jwks;
pub use jwt::{Issuer, Issuers};
pub use key::{Algorithm, KeySet};
pub use open_webui::OpenWebUi;
pub use outside::Outside;
pub use refusal::Refusal;
pub use unverified::Unverified;
