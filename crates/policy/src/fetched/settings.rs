//! `auth` of an upstream: how the gateway gets what it shows there.

use config::scalar::{self, shown};
use config::{Environment, Field, Fields};
use http::Uri;

use super::client::{Client, Endpoint, Proof, text, written};
use super::discovery::is_scope;
use crate::address;

/// What `auth` of an upstream says.
#[derive(Debug, Clone, PartialEq)]
pub enum Auth {
    /// The gateway shows who it is itself (RFC 6749 §4.4).
    ClientCredentials(Box<ClientCredentials>),
    /// The caller's token is exchanged for another (RFC 8693).
    TokenExchange(Box<TokenExchange>),
    /// The caller's identity provider vouches for them at the upstream's authorization server (MCP, enterprise-managed
    /// authorization).
    IdJag(Box<IdJag>),
    /// One account, which somebody logged in to by `causeway login`.
    Login(Box<Login>),
    /// The caller's own token goes through. Only for an upstream whose authorization server is the callers' own.
    Passthrough,
}

/// Where tokens are had, as far as the file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct From {
    pub(super) token_url: Option<Uri>,
    pub(super) issuer: Option<String>,
}

/// For what they are to be good, as far as the file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct For {
    pub(super) scopes: Option<Vec<String>>,
    pub(super) audience: Option<String>,
    pub(super) resource: Option<String>,
}

/// `auth.client_credentials`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientCredentials {
    pub(super) client: Client,
    pub(super) from: From,
    pub(super) wanted: For,
}

/// `auth.token_exchange`.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenExchange {
    pub(super) client: Client,
    pub(super) from: From,
    pub(super) wanted: For,
    pub(super) subject: Subject,
}

/// What says for whom a token is exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The caller's own token.
    Token,
    /// A token of ours that says who calls.
    Identity,
}

/// `auth.id_jag`.
#[derive(Debug, Clone, PartialEq)]
pub struct IdJag {
    /// The identity provider, and who we are there.
    pub(super) idp: (Endpoint, Client),
    /// The upstream's own, and who we are there.
    pub(super) issuer: String,
    pub(super) client: Client,
    pub(super) scopes: Option<Vec<String>>,
}

/// `auth.login`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Login {
    pub(super) client: Option<Client>,
    pub(super) issuer: Option<String>,
    pub(super) scopes: Option<Vec<String>>,
}

const MODES: [&str; 5] = [
    "client_credentials",
    "token_exchange",
    "id_jag",
    "login",
    "passthrough",
];

impl Auth {
    /// Reads `auth` of an upstream. Files of keys are read on the way; nobody is asked.
    pub fn check(field: &Field<'_>, environment: &dyn Environment) -> Option<Self> {
        if let Some(word) = field.word() {
            let hint = match word {
                "none" => "leave it out".to_owned(),
                "passthrough" => "write `{ passthrough: true }`".to_owned(),
                "login" => "write `{ login: {} }`".to_owned(),
                other => scalar::suggestion(other, &MODES),
            };
            let text = format!("`{}` does not say how to get a credential", shown(word));
            field.report(text, Some(&hint));
            return None;
        }
        let mut fields = field.fields()?;
        let modes = MODES.map(|mode| (mode, fields.optional(mode)));
        // `login:` with nothing behind it is a login with nothing set.
        let mut named = modes.iter().filter(|(_, field)| field.node().is_some());
        let (first, second) = (named.next(), named.next());
        fields.finish();
        let Some((mode, first)) = first else {
            let text = "it does not say how to get a credential";
            field.report(text, Some(&scalar::suggestion("", &MODES)));
            return None;
        };
        if let Some((also, second)) = second {
            let text = format!("an upstream has one way to get a credential, and `{mode}` is written too");
            second.report(text, Some(&format!("keep `{mode}` or `{also}`")));
            return None;
        }
        match *mode {
            "client_credentials" => ClientCredentials::check(first, environment)
                .map(|read| Self::ClientCredentials(Box::new(read))),
            "token_exchange" => {
                TokenExchange::check(first, environment).map(|read| Self::TokenExchange(Box::new(read)))
            }
            "id_jag" => IdJag::check(first, environment).map(|read| Self::IdJag(Box::new(read))),
            "login" => Login::check(first, environment).map(|read| Self::Login(Box::new(read))),
            _ => passthrough(first),
        }
    }

    /// Whether it needs to know who calls.
    pub fn is_of_callers(&self) -> bool {
        match self {
            Self::TokenExchange(_) | Self::IdJag(_) | Self::Passthrough => true,
            Self::ClientCredentials(_) | Self::Login(_) => false,
        }
    }
}

fn passthrough(field: &Field<'_>) -> Option<Auth> {
    if !field.flag()?.value {
        field.report("it is off when it is not written", Some("leave `auth` out"));
        return None;
    }
    Some(Auth::Passthrough)
}

impl ClientCredentials {
    fn check(field: &Field<'_>, environment: &dyn Environment) -> Option<Self> {
        let mut fields = field.fields()?;
        let client = Client::check(&mut fields, environment);
        let from = From::check(&mut fields, environment);
        let wanted = For::check(&mut fields, environment);
        let client = client.filter(|client| {
            // A key shows itself to one issuer alone; a secret is anybody's who has seen it.
            let is_told = from.as_ref().is_none_or(From::is_named) || !client.shows_a_secret();
            if !is_told {
                fields.report(
                    "whoever the upstream names would be shown the secret",
                    Some("name the `issuer` or the `token_url` that it is for"),
                );
            }
            is_told
                && from
                    .as_ref()
                    .is_none_or(|from| has_audience(&fields, client, from))
        });
        fields.finish();
        Some(Self {
            client: client?,
            from: from?,
            wanted: wanted?,
        })
    }
}

impl TokenExchange {
    fn check(field: &Field<'_>, environment: &dyn Environment) -> Option<Self> {
        let mut fields = field.fields()?;
        let client = Client::check(&mut fields, environment);
        let from = From::check(&mut fields, environment);
        let wanted = For::check(&mut fields, environment);
        let subject = fields.optional("subject");
        let words = [("token", Subject::Token), ("identity", Subject::Identity)];
        let read = subject.choice(&words).map(|subject| subject.value);
        let from = from.filter(|from| {
            if !from.is_named() {
                fields.report(
                    "whoever the upstream names would be shown the callers' tokens",
                    Some("name the `issuer` or the `token_url` that exchanges them"),
                );
            }
            from.is_named()
        });
        let client = client.filter(|client| {
            from.as_ref()
                .is_none_or(|from| has_audience(&fields, client, from))
        });
        fields.finish();
        if subject.is_written() && read.is_none() {
            return None;
        }
        Some(Self {
            client: client?,
            from: from?,
            wanted: wanted?,
            subject: read.unwrap_or(Subject::Token),
        })
    }
}

impl IdJag {
    fn check(field: &Field<'_>, environment: &dyn Environment) -> Option<Self> {
        let mut fields = field.fields()?;
        let idp = fields.required("idp");
        let idp = idp.fields().and_then(|mut fields| {
            let client = Client::check(&mut fields, environment);
            let url_field = fields.required("token_url");
            let url = url_field.resolved_text(environment);
            let url = url.and_then(|url| address::written(url, &url_field));
            fields.finish();
            let endpoint = Endpoint {
                url: url?,
                issuer: None,
                methods: None,
            };
            Some((endpoint, client?))
        });
        let issuer_field = fields.required("issuer");
        let issuer = issuer(&issuer_field, environment);
        let client = Client::check(&mut fields, environment);
        let scopes = scopes(&fields.optional("scopes"));
        fields.finish();
        Some(Self {
            idp: idp?,
            issuer: issuer?,
            client: client?,
            scopes: scopes?,
        })
    }
}

impl Login {
    fn check(field: &Field<'_>, environment: &dyn Environment) -> Option<Self> {
        let mut fields = field.fields()?;
        let [id, secret, issuer_field] =
            ["client_id", "client_secret", "issuer"].map(|key| fields.optional(key));
        let scopes = scopes(&fields.optional("scopes"));
        fields.finish();
        let issuer = match issuer_field.is_written() {
            true => Some(issuer(&issuer_field, environment)?),
            false => None,
        };
        if secret.is_written() && !id.is_written() {
            secret.report(
                "it is not said whose secret this is",
                Some("write its `client_id`"),
            );
            return None;
        }
        if secret.is_written() && !issuer_field.is_written() {
            secret.report(
                "whoever the upstream names would be shown the secret",
                Some("name the `issuer` that it is for"),
            );
            return None;
        }
        let client = match id.is_written() {
            false => None,
            true => Some(Client {
                id: text(&id, environment)?,
                proof: match secret.is_written() {
                    true => Proof::Secret(written(&secret, environment)?, None),
                    false => Proof::None,
                },
            }),
        };
        Some(Self {
            client,
            issuer,
            scopes: scopes?,
        })
    }
}

impl From {
    fn check(fields: &mut Fields<'_>, environment: &dyn Environment) -> Option<Self> {
        let url_field = fields.optional("token_url");
        let issuer_field = fields.optional("issuer");
        let token_url = url_field.is_written().then(|| {
            let url = url_field.resolved_text(environment)?;
            address::written(url, &url_field)
        });
        let issuer = issuer_field
            .is_written()
            .then(|| issuer(&issuer_field, environment));
        Some(Self {
            // What is written and wrong is not the same as what is not written.
            token_url: token_url.map_or(Some(None), |read| read.map(Some))?,
            issuer: issuer.map_or(Some(None), |read| read.map(Some))?,
        })
    }

    fn is_named(&self) -> bool {
        self.token_url.is_some() || self.issuer.is_some()
    }
}

impl For {
    fn check(fields: &mut Fields<'_>, environment: &dyn Environment) -> Option<Self> {
        let scopes = scopes(&fields.optional("scopes"));
        let [audience, resource] = ["audience", "resource"].map(|key| {
            let field = fields.optional(key);
            let read = field.is_written().then(|| text(&field, environment));
            read.map_or(Some(None), |read| read.map(Some))
        });
        Some(Self {
            scopes: scopes?,
            audience: audience?,
            resource: resource?,
        })
    }
}

/// Whether an assertion has somebody to be for; else that is told.
fn has_audience(fields: &Fields<'_>, client: &Client, from: &From) -> bool {
    let is_told = |audience| matches!(&client.proof, Proof::Key(_, wanted) if *wanted == audience);
    let good =
        !(is_told(super::client::Audience::Issuer) && from.token_url.is_some() && from.issuer.is_none());
    if !good {
        fields.report(
            "nobody is named for whom an assertion could be",
            Some("name the `issuer`, or write `aud_of_assertion: token_url`"),
        );
    }
    good
}

/// An issuer, in exactly these letters.
fn issuer(field: &Field<'_>, environment: &dyn Environment) -> Option<String> {
    let written = field.resolved_text(environment)?;
    let issuer = written.value.clone();
    let url = address::written(written, field)?;
    if url.query().is_some() || issuer.contains('#') {
        let text = format!(
            "`{}` cannot be an issuer: it has a query or a fragment",
            shown(&issuer)
        );
        field.report(text, Some("write what its metadata have as `issuer`"));
        return None;
    }
    Some(issuer)
}

/// Scopes, if they are written. Nothing if one of them is none.
fn scopes(field: &Field<'_>) -> Option<Option<Vec<String>>> {
    if !field.is_written() {
        return Some(None);
    }
    let scopes = field.texts()?.value;
    if let Some(wrong) = scopes.iter().find(|scope| !is_scope(scope)) {
        let hint = match wrong.contains(' ') {
            true => format!(
                "write `[{}]`",
                wrong.split_whitespace().collect::<Vec<_>>().join(", ")
            ),
            false => "a scope is 1 to 256 letters, without spaces and quotes".to_owned(),
        };
        field.report(format!("`{}` is not a scope", shown(wrong)), Some(&hint));
        return None;
    }
    Some(Some(scopes))
}
