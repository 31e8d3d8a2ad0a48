//! Who we are to an authorization server, and how we show it (RFC 6749 §2.3).

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::{Environment, Field, Fields, Secret};
use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::assertion::SigningKey;
use super::unfetched::Unfetched;

/// What is encoded in a form: all but the unreserved (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One client of an authorization server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) proof: Proof,
}

/// What it shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Proof {
    /// Nothing: anybody can call themselves so.
    None,
    /// A secret, in the place that the file or the server names.
    Secret(Secret, Option<Place>),
    /// An assertion.
    Key(Arc<SigningKey>, Audience),
}

/// Where a secret is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `client_secret_basic`.
    Header,
    /// `client_secret_post`.
    Form,
}

/// For whom an assertion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Issuer,
    TokenUrl,
}

/// Where tokens are had, and what is known of that place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: Uri,
    pub(super) issuer: Option<String>,
    /// How clients may show who they are, if it says.
    pub(super) methods: Option<Vec<String>>,
}

/// What goes along with a question, so that it is known who asks.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) header: Option<HeaderValue>,
    pub(super) form: Vec<(&'static str, Cow<'static, str>)>,
}

impl Client {
    /// Reads `client_id`, and `client_secret` or `private_key`: one of these must be there.
    pub(super) fn check(fields: &mut Fields<'_>, environment: &dyn Environment) -> Option<Self> {
        let id = text(&fields.required("client_id"), environment);
        let (secret, key) = (fields.optional("client_secret"), fields.optional("private_key"));
        let place = fields.optional("secret_in");
        let place_read = place.choice(&[("header", Place::Header), ("form", Place::Form)]);
        let about_key = ["key_id", "algorithm", "aud_of_assertion"].map(|name| fields.optional(name));
        if !key.is_written() {
            for field in about_key.iter().filter(|field| field.is_written()) {
                field.report(
                    "there is no `private_key` that this could be of",
                    Some("leave it out"),
                );
            }
        }
        if !secret.is_written() && place.is_written() {
            place.report("there is no `client_secret` to put there", Some("leave it out"));
        }
        let proof = match (secret.is_written(), key.is_written()) {
            (true, true) => {
                key.report(
                    "a client shows a key or a secret, not both",
                    Some("keep one of them"),
                );
                None
            }
            (false, false) => {
                fields.report(
                    "`client_secret` is missing",
                    Some("write it as `${env:…}` or `${file:…}`, or name a `private_key`"),
                );
                None
            }
            (true, false) => {
                let secret = written(&secret, environment);
                secret.map(|secret| Proof::Secret(secret, place_read.map(|place| place.value)))
            }
            (false, true) => {
                let [id, algorithm, audience] = &about_key;
                let audience =
                    audience.choice(&[("issuer", Audience::Issuer), ("token_url", Audience::TokenUrl)]);
                let audience = audience.map_or(Audience::Issuer, |audience| audience.value);
                let key = signing_key(&key, id, algorithm, environment);
                key.map(|key| Proof::Key(Arc::new(key), audience))
            }
        };
        Some(Self {
            id: id?,
            proof: proof?,
        })
    }

    /// Whether what it shows would be of use to whom it is shown.
    pub(super) fn shows_a_secret(&self) -> bool {
        matches!(self.proof, Proof::Secret(..))
    }

    /// How it shows itself there.
    ///
    /// # Errors
    /// [`Unfetched::Client`]: in none of the ways that are taken there.
    pub(super) fn shown(&self, endpoint: &Endpoint, now: SystemTime) -> Result<Shown, Unfetched> {
        let takes = |method: &str| {
            let methods = endpoint.methods.as_ref();
            methods.is_none_or(|methods| methods.iter().any(|known| known == method))
        };
        let id = || ("client_id", Cow::Owned(self.id.clone()));
        match &self.proof {
            Proof::None => Ok(Shown {
                header: None,
                form: vec![id()],
            }),
            Proof::Secret(secret, place) => {
                let place = match place {
                    Some(place) => *place,
                    None if takes("client_secret_basic") => Place::Header,
                    None if takes("client_secret_post") => Place::Form,
                    None => return Err(taken_there(endpoint, "a `client_secret`")),
                };
                match place {
                    Place::Header => Ok(Shown {
                        header: Some(basic(&self.id, secret)?),
                        form: Vec::new(),
                    }),
                    Place::Form => Ok(Shown {
                        header: None,
                        form: vec![id(), ("client_secret", Cow::Owned(secret.expose().to_owned()))],
                    }),
                }
            }
            Proof::Key(key, audience) => {
                if !takes("private_key_jwt") {
                    return Err(taken_there(endpoint, "a `private_key`"));
                }
                let token_url = || endpoint.url.to_string();
                let audience = match (audience, &endpoint.issuer) {
                    (Audience::Issuer, Some(issuer)) => issuer.clone(),
                    (Audience::Issuer, None) | (Audience::TokenUrl, _) => token_url(),
                };
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                let assertion = key.assertion(&self.id, &audience, now);
                Ok(Shown {
                    header: None,
                    form: vec![
                        id(),
                        ("client_assertion_type", Cow::Borrowed(kind)),
                        ("client_assertion", Cow::Owned(assertion)),
                    ],
                })
            }
        }
    }
}

/// A text that may not be empty.
pub(super) fn text(field: &Field<'_>, environment: &dyn Environment) -> Option<String> {
    written(field, environment).map(|text| text.expose().to_owned())
}

/// The same, never shown.
pub(super) fn written(field: &Field<'_>, environment: &dyn Environment) -> Option<Secret> {
    let secret = field.resolved_secret(environment)?.value;
    if secret.is_empty() {
        field.report("nothing is written here", Some("what it names may be empty"));
        return None;
    }
    Some(secret)
}

fn signing_key(
    field: &Field<'_>,
    id: &Field<'_>,
    algorithm: &Field<'_>,
    environment: &dyn Environment,
) -> Option<SigningKey> {
    let id = id.is_written().then(|| text(id, environment));
    let wanted = algorithm.choice(&SigningKey::ALGORITHMS);
    let mut pem = written(field, environment)?;
    if !pem.expose().contains("-----BEGIN ") {
        // It may be half a key: only what could be a path is named.
        let path = Path::new(pem.expose());
        let read = environment.file(path);
        match read {
            Ok(read) => pem = Secret::from(read),
            Err(error) => {
                let why = format!(
                    "it is no key in PEM, and as a file it cannot be read: {}",
                    error.kind()
                );
                field.report(why, Some("write the path of a PEM file, or `${file:…}`"));
                return None;
            }
        }
    }
    let key = match SigningKey::parse(pem.expose(), id.flatten()) {
        Ok(key) => key,
        Err(why) => {
            field.report(why, Some("`openssl genpkey -algorithm ed25519` makes one"));
            return None;
        }
    };
    if let Some(wanted) = wanted
        && wanted.value != key.algorithm()
    {
        let text = format!("the key is for {}, not for {}", key.algorithm(), wanted.value);
        algorithm.report(text, Some("leave it out: the key says it"));
    }
    Some(key)
}

/// `Basic` credentials, both parts encoded as in a form (RFC 6749 §2.3.1).
fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, Unfetched> {
    let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
    let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)));
    let mut value = value.map_err(|_| Unfetched::Client {
        why: "`client_id` and `client_secret` make no header".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn taken_there(endpoint: &Endpoint, what: &str) -> Unfetched {
    let methods = endpoint.methods.as_deref().unwrap_or_default().iter();
    let methods: Vec<_> = methods
        .take(8)
        .map(|method| config::scalar::shown(method))
        .collect();
    Unfetched::Client {
        why: format!(
            "`{}` takes no {what}; it takes: {}",
            crate::address::canonical(&endpoint.url),
            methods.join(", ")
        ),
    }
}
