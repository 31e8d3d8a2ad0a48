//! Who calls: one layer for every door. A credential is found in its place, and judged by the source that knows it.
//!
//! Whatever is wrong with one, its bearer hears the same; what it was is counted ([`Unidentified::cause`]).

mod credential;
mod api_key;
mod certificates;

mod jwt;
mod introspection;
mod open_webui;
mod unverified;
mod claims;
mod refusal;
mod jwks;
mod key;
mod verified;
pub(crate) mod strict;
mod outside;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use config::{Environment, Field, Problem, Value};
use http::HeaderMap;
use tokio::task::JoinSet;

use crate::certificate::Certificate;
use crate::principal::{Identity, Principal};
use api_key::Keys;
use certificates::Certificates;
use credential::{Credential, Unusable};

pub use api_key::NewKey;
pub use claims::Expected;
pub use introspection::{Introspection, Introspector};
pub use jwks::Jwks;
pub use jwt::{Issuer, Issuers};
pub use key::{Algorithm, KeySet};
pub use open_webui::OpenWebUi;
pub use outside::Outside;
pub use refusal::Refusal;
pub use unverified::Unverified;

/// The section `auth`: who may call, and how each of them is known.
#[derive(Debug, Default)]
pub struct Settings {
    keys: Keys,
    certificates: Certificates,
    jwt: Vec<Issuer>,
    introspection: Vec<Introspection>,
    open_webui: Option<OpenWebUi>,
}

/// The same, at work.
pub struct Authn {
    keys: Keys,
    certificates: Certificates,
    issuers: Issuers,
    introspectors: Vec<Introspector>,
    open_webui: Option<OpenWebUi>,
}

/// What of a request says who makes it, and where it does.
pub struct Presented<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its query, as it was sent.
    pub query: Option<&'a str>,
    /// What its connection has proved, by an authority that is believed.
    pub certificate: Option<&'a Certificate>,
    /// What tokens must be for.
    pub expected: Expected<'a>,
    /// The wall clock's.
    pub now: SystemTime,
}

/// Why it is not known who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unidentified {
    /// They do not say.
    Missing,
    /// What they say is not good; why, in one word for metrics and logs.
    Refused(&'static str),
    /// Whoever could tell cannot be asked.
    Unavailable,
}

impl Settings {
    /// Reads `auth`. Whoever it does not name may not call. Files of keys are read on the way; nobody is asked.
    /// `has_address` says whether it is known under which address clients see us.
    pub fn check(field: &Field<'_>, environment: &dyn Environment, has_address: bool) -> Self {
        let Some(mut fields) = field.fields() else {
            return Self::default();
        };
        let (jwt, introspection) = (fields.optional("jwt"), fields.optional("introspection"));
        if !has_address {
            needs_audience(&jwt);
            needs_audience(&introspection);
        }
        let settings = Self {
            keys: Keys::check(&fields.optional("keys"), environment),
            certificates: Certificates::check(&fields.optional("certificates")),
            jwt: Issuer::check(&jwt, environment),
            introspection: Introspection::check(&introspection, environment),
            open_webui: OpenWebUi::check(&fields.optional("open_webui"), environment),
        };
        fields.finish();
        settings.check_together(field);
        settings
    }

    fn check_together(&self, field: &Field<'_>) {
        if self.keys.is_empty() && self.certificates.is_empty() && !self.has_tokens() {
            let problem = Problem::new(
                Some(field.at()),
                field.path(),
                "it names nobody, so nobody may call",
            );
            let hint = "add a key (`causeway key new`), or write `auth: none` to let everybody call";
            field.problems().add(problem.hint(hint).warning());
        }
        if let Some(key) = self.open_webui.as_ref().and_then(OpenWebUi::key)
            && self.keys.named(&key.value).is_none()
        {
            let names = self.key_names();
            let problem = key.problem(format!("there is no key `{}`", config::scalar::shown(&key.value)));
            field.problems().add(problem.hint(match names.is_empty() {
                true => "name the key that Open WebUI connects with under `auth.keys`".to_owned(),
                false => config::scalar::suggestion(&key.value, &names),
            }));
        }
    }

    fn has_tokens(&self) -> bool {
        !self.jwt.is_empty() || !self.introspection.is_empty()
    }

    /// Whether it knows somebody by a certificate.
    pub fn asks_for_certificates(&self) -> bool {
        !self.certificates.is_empty()
    }

    /// All roles that somebody can have; nothing where tokens may bring any.
    pub fn roles(&self) -> Option<HashSet<&str>> {
        if self.has_tokens() || self.open_webui.is_some() {
            return None;
        }
        let roles = self.keys.identities().flat_map(|identity| &identity.roles);
        let roles = roles.chain(self.certificates.roles());
        Some(roles.map(String::as_str).collect())
    }

    /// What identities can be from.
    pub fn sources(&self) -> Vec<&str> {
        let keys = (!self.keys.is_empty()).then_some(api_key::ISSUER);
        let proved = (!self.certificates.is_empty()).then_some(certificates::SOURCE);
        let webui = self.open_webui.as_ref().map(|_| open_webui::NAME);
        let issuers = self.jwt.iter().map(Issuer::name);
        let asked = self.introspection.iter().map(Introspection::name);
        keys.into_iter()
            .chain(proved)
            .chain(webui)
            .chain(issuers)
            .chain(asked)
            .collect()
    }

    /// One of this source, by what it calls it: who holds the key of that name, with all that the file says of them, or
    /// the bearer of a token that says nothing else. None where there is no such source or key.
    pub fn imagine(&self, source: &str, subject: &str) -> Option<Identity> {
        if source == api_key::ISSUER {
            return self.keys.named(subject).cloned();
        }
        let name = self.sources().into_iter().find(|name| *name == source)?;
        let mut identity = Identity::new(&name.into(), name, subject);
        identity.claims.insert("sub".into(), subject.into());
        // Its users are not limited so; any other token that says nothing of scopes was granted none.
        identity.scopes = (source != open_webui::NAME).then(Vec::new);
        Some(identity)
    }

    /// The names of all keys, in the order of the alphabet.
    pub fn key_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .keys
            .identities()
            .map(|identity| &*identity.subject)
            .collect();
        names.sort_unstable();
        names
    }

    /// The issuers that clients can get tokens from.
    pub fn issuers(&self) -> Vec<String> {
        let issuers = self.jwt.iter().map(Issuer::issuer);
        let asked = self.introspection.iter().filter_map(Introspection::issuer);
        issuers.chain(asked).map(str::to_owned).collect()
    }
}

/// A token is for somebody (`protocol.md` RS-4): for one of our addresses, or for what the entry says.
fn needs_audience(entries: &Field<'_>) {
    let Some(Value::List(items)) = entries.node().map(|node| &node.value) else {
        return;
    };
    let without = items.iter().zip(entries.list().unwrap_or_default()).filter(|(item, _)| {
        matches!(&item.value, Value::Map(entry) if !entry.iter().any(|entry| entry.key == "audience"))
    });
    for (_, field) in without {
        field.report(
            "it does not say what its tokens are for, so none could be good",
            Some("write `public_url`, the address that clients use and tokens name, or `audience` here"),
        );
    }
}

impl Authn {
    /// Puts settings to work, with what those `before` know already. Others are asked by `outside`.
    pub fn new(settings: Settings, outside: &Arc<dyn Outside>, before: Option<&Self>) -> Self {
        let introspectors = settings.introspection.into_iter();
        Self {
            keys: settings.keys,
            certificates: settings.certificates,
            issuers: Issuers::new(settings.jwt, outside, before.map(|before| &before.issuers)),
            introspectors: introspectors
                .map(|settings| Introspector::new(settings, Arc::clone(outside)))
                .collect(),
            open_webui: settings.open_webui,
        }
    }

    /// Keeps what issuers publish fresh, for as long as what it returns lives.
    pub fn keep(&self, runtime: &tokio::runtime::Handle) -> JoinSet<()> {
        let mut keepers = JoinSet::new();
        for keys in self.issuers.key_sets() {
            keepers.spawn_on(Arc::clone(keys).keep(), runtime);
        }
        keepers
    }

    /// Who makes this request. What it says of itself decides, good or bad, before what its connection has proved: a
    /// certificate may be of a front that speaks for many.
    ///
    /// # Errors
    /// When it does not say, when what it says proves nothing, or when nobody can tell within some seconds.
    pub async fn identify(&self, presented: &Presented<'_>) -> Result<Principal, Unidentified> {
        let principal = match Credential::of(presented.headers, presented.query)? {
            Credential::None => match presented.certificate {
                Some(certificate) if !self.certificates.is_empty() => {
                    return self.certificates.find(certificate, presented.now);
                }
                Some(_) | None => return Err(Unidentified::Missing),
            },
            Credential::Key(key) => self.keys.find(&key).cloned(),
            Credential::Bearer(token) => match self.keys.find(token) {
                Some(principal) => Some(principal.clone()),
                // Large, and only where tokens are taken.
                None if self.has_tokens() => Some(Box::pin(self.token(token, presented)).await?),
                None => None,
            },
        };
        let principal = principal.ok_or(Unidentified::Refused("unknown"))?;
        match &self.open_webui {
            Some(open_webui) => open_webui.user_of(principal, presented.headers, presented.now),
            None => Ok(principal),
        }
    }

    fn has_tokens(&self) -> bool {
        self.issuers.key_sets().next().is_some() || !self.introspectors.is_empty()
    }

    /// Whose token this is: of whichever source makes such.
    async fn token(&self, token: &str, presented: &Presented<'_>) -> Result<Principal, Unidentified> {
        let Presented { expected, now, .. } = presented;
        let mut why = match self.issuers.verify(token, expected, *now).await {
            Ok(identity) => return Ok(Principal::Known(identity)),
            Err(why) => why,
        };
        if matches!(why, Refusal::Malformed | Refusal::Issuer) {
            for introspector in &self.introspectors {
                match introspector.verify(token, expected, *now).await {
                    Ok(identity) => return Ok(Principal::Known(identity)),
                    // Who could not be asked might have known it.
                    Err(said) if why != Refusal::Unavailable => why = said,
                    Err(_) => {}
                }
            }
        }
        Err(why.into())
    }

    /// Whether who was identified before would still be, as far as the file says.
    pub fn still_knows(&self, principal: &Principal) -> bool {
        let Some(identity) = principal.identity() else {
            return false;
        };
        match &*identity.source {
            api_key::ISSUER => self.keys.named(&identity.subject).is_some(),
            open_webui::NAME => self.open_webui.is_some(),
            certificates::SOURCE => self.certificates.still_know(&identity.subject),
            source => {
                let asked = self.introspectors.iter().map(|asked| asked.settings().name());
                self.issuers.names().chain(asked).any(|name| name == source)
            }
        }
    }
}

impl Keys {
    fn named(&self, name: &str) -> Option<&Identity> {
        self.identities().find(|identity| identity.subject == name)
    }

    fn is_empty(&self) -> bool {
        self.identities().next().is_none()
    }
}

impl Unidentified {
    /// In one word, of a closed set.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Refused(cause) => cause,
            Self::Unavailable => "unavailable",
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

impl From<Refusal> for Unidentified {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unavailable => Self::Unavailable,
            other => Self::Refused(other.cause()),
        }
    }
}
