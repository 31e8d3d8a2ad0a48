//! Who gives tokens for an upstream: its own word (RFC 9728), and that of its authorization server (RFC 8414, OpenID
//! Connect Discovery).
//!
//! Neither is trusted with more than it needs: a document counts where it says of itself what we asked for, an address
//! in it is https, and one of this machine only if the upstream is on this machine too. Which networks may be reached
//! is for [`Outside`] to judge.

use bytes::Bytes;
use config::scalar::shown;
use http::header::ACCEPT;
use http::{Request, StatusCode, Uri};
use serde_json::{Map, Value};

use super::challenge::Challenge;
use super::unfetched::Unfetched;
use crate::address;
use crate::authn::{Outside, strict};

/// A longer document, in bytes, is none.
const LONGEST: usize = 64 << 10;
/// More items of a list are not read.
const MOST_ITEMS: usize = 64;
/// Longer texts are not what we look for.
const LONGEST_TEXT: usize = 2 << 10;

/// What an upstream says of itself (RFC 9728 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What tokens for it are asked for.
    pub resource: String,
    /// Who gives them: the first of those that it names.
    pub issuer: String,
    /// What may be asked for.
    pub scopes: Option<Vec<String>>,
}

/// What an authorization server says of itself (RFC 8414 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What it is called, in exactly these letters.
    pub issuer: String,
    /// Where people log in.
    pub authorization: Option<Uri>,
    /// Where tokens are had.
    pub token: Uri,
    /// Where clients are made (RFC 7591).
    pub registration: Option<Uri>,
    /// How clients may show who they are; nothing where it does not say.
    pub methods: Option<Vec<String>>,
    /// What may be asked for.
    pub scopes: Option<Vec<String>>,
    /// Whether it takes proof by S256 (RFC 7636).
    pub has_s256: bool,
    /// Whether its answers to people say who answers (RFC 9207).
    pub has_iss: bool,
    /// Whether a client may be named by the URL of a document that describes it.
    pub takes_client_documents: bool,
}

/// What challenges of an upstream say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hint {
    /// Where its document is.
    pub metadata: Option<String>,
    /// What a token needs.
    pub scope: Option<Vec<String>>,
}

impl Hint {
    /// Reads the `WWW-Authenticate` lines of an answer.
    pub fn of<'l>(lines: impl IntoIterator<Item = &'l [u8]>) -> Self {
        let challenges = Challenge::all(lines);
        let bearers = || challenges.iter().filter(|challenge| challenge.scheme == "bearer");
        let parameter = |name| bearers().find_map(|challenge| challenge.parameter(name));
        Self {
            metadata: parameter("resource_metadata").map(str::to_owned),
            scope: parameter("scope").and_then(scopes),
        }
    }
}

/// Finds out what an upstream says of itself. Without a document its own origin is who gives tokens, as the revision
/// 2025-03-26 has it.
///
/// # Errors
/// [`Unfetched::Undiscovered`] for a document that is not about the upstream or cannot be believed, and
/// [`Unfetched::Unreachable`].
pub async fn resource(upstream: &Uri, hint: &Hint, outside: &dyn Outside) -> Result<Resource, Unfetched> {
    let near = address::is_loopback(upstream);
    if let Some(url) = &hint.metadata {
        let url = discovered(url, near).map_err(|why| undiscovered(url, why))?;
        let document = document(&url, outside).await?;
        let document = document.ok_or_else(|| undiscovered(&url, "is not there"))?;
        return described(&document, upstream).map_err(|why| undiscovered(&url, why));
    }
    let origin = address::origin(upstream);
    let well_known = "/.well-known/oauth-protected-resource";
    let path = upstream.path().trim_end_matches('/');
    let mut places = vec![format!("{origin}{well_known}{path}")];
    if !path.is_empty() {
        places.push(format!("{origin}{well_known}"));
    }
    let mut wrong = None;
    for place in places {
        let Ok(url) = place.parse() else { continue };
        match document(&url, outside).await {
            Ok(Some(document)) => {
                return described(&document, upstream).map_err(|why| undiscovered(&url, why));
            }
            Ok(None) => {}
            // Whatever answers to any path answers to this one, with something else.
            Err(error @ Unfetched::Undiscovered { .. }) => wrong = wrong.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match wrong {
        Some(wrong) => Err(wrong),
        None => Ok(Resource {
            resource: address::canonical(upstream),
            issuer: origin,
            scopes: None,
        }),
    }
}

/// Finds out what an authorization server says of itself. `near` is whether addresses of this machine are believed.
///
/// # Errors
/// As for [`resource`].
pub async fn server(issuer: &str, near: bool, outside: &dyn Outside) -> Result<Server, Unfetched> {
    let url = discovered(issuer, near).map_err(|why| undiscovered(issuer, why))?;
    if url.query().is_some() || issuer.contains('#') {
        return Err(undiscovered(
            issuer,
            "cannot be an issuer: it has a query or a fragment",
        ));
    }
    let mut wrong = None;
    for place in places(&url) {
        let Ok(url) = place.parse() else { continue };
        match document(&url, outside).await {
            Ok(Some(document)) => {
                return Server::read(&document, issuer, near).map_err(|why| undiscovered(&url, why));
            }
            Ok(None) => {}
            Err(error @ Unfetched::Undiscovered { .. }) => wrong = wrong.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    let none = || undiscovered(issuer, "publishes no metadata; write its `issuer` or `token_url`");
    Err(wrong.unwrap_or_else(none))
}

/// Where the metadata of an issuer may be, in the order of the specification.
fn places(issuer: &Uri) -> Vec<String> {
    let origin = address::origin(issuer);
    let path = issuer.path().trim_end_matches('/');
    let mut places = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    places
}

fn described(document: &Map<String, Value>, upstream: &Uri) -> Result<Resource, String> {
    let resource = text(document, "resource")?.ok_or("names no `resource`")?;
    let named = resource.parse::<Uri>().ok().filter(|url| url.query().is_none());
    if !named.is_some_and(|url| address::is_within(upstream, &url)) {
        return Err(format!("is of another resource, `{}`", shown(resource)));
    }
    let issuers = texts(document, "authorization_servers")?.unwrap_or_default();
    let issuer = issuers.into_iter().next();
    Ok(Resource {
        resource: resource.to_owned(),
        issuer: issuer.ok_or("names no `authorization_servers`")?,
        scopes: texts(document, "scopes_supported")?
            .map(only_scopes)
            .map(|mut scopes| {
                // Whether we may come back without our user is between us and who gives tokens.
                scopes.retain(|scope| scope != "offline_access");
                scopes
            }),
    })
}

impl Server {
    fn read(document: &Map<String, Value>, issuer: &str, near: bool) -> Result<Self, String> {
        let named = text(document, "issuer")?.ok_or("names no `issuer`")?;
        if named != issuer {
            return Err(format!("is of another issuer, `{}`", shown(named)));
        }
        let endpoint = |name: &str| -> Result<Option<Uri>, String> {
            let Some(written) = text(document, name)? else {
                return Ok(None);
            };
            let url = discovered(written, near);
            url.map(Some).map_err(|why| format!("has a `{name}` that {why}"))
        };
        let challenges = texts(document, "code_challenge_methods_supported")?.unwrap_or_default();
        Ok(Self {
            issuer: issuer.to_owned(),
            authorization: endpoint("authorization_endpoint")?,
            token: endpoint("token_endpoint")?.ok_or("names no `token_endpoint`")?,
            registration: endpoint("registration_endpoint")?,
            methods: texts(document, "token_endpoint_auth_methods_supported")?,
            scopes: texts(document, "scopes_supported")?.map(only_scopes),
            has_s256: challenges.iter().any(|method| method == "S256"),
            has_iss: flag(document, "authorization_response_iss_parameter_supported")?,
            takes_client_documents: flag(document, "client_id_metadata_document_supported")?,
        })
    }
}

/// An address that somebody else named.
fn discovered(text: &str, near: bool) -> Result<Uri, String> {
    let is_plain = text.len() <= LONGEST_TEXT && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || address::has_user(text) {
        return Err("is no address".to_owned());
    }
    let url = address::parse(text).map_err(|_| "is not https".to_owned())?;
    if url.scheme_str() == Some("http") && !near {
        return Err("is not https".to_owned());
    }
    Ok(url)
}

/// A document, if there is one.
async fn document(url: &Uri, outside: &dyn Outside) -> Result<Option<Map<String, Value>>, Unfetched> {
    let unreachable = |why: String| Unfetched::Unreachable {
        url: url.to_string(),
        why,
    };
    let request = Request::get(url.clone()).header(ACCEPT, "application/json");
    let request = request.body(Bytes::new());
    let request = request.map_err(|error| unreachable(error.to_string()))?;
    let answer = outside.send(request).await.map_err(unreachable)?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            return Err(unreachable(format!("it answered {}", answer.status())));
        }
        status if status.is_client_error() => return Ok(None),
        status if status.is_redirection() => {
            return Err(undiscovered(url, "redirects, which could lead anywhere"));
        }
        status => return Err(unreachable(format!("it answered {status}"))),
    }
    if answer.body().len() > LONGEST {
        return Err(undiscovered(url, "is longer than 64 KiB"));
    }
    let object = strict::object(answer.body());
    let object =
        object.ok_or_else(|| undiscovered(url, "is not a JSON object in which every name stands once"));
    object.map(Some)
}

fn undiscovered(url: impl ToString, why: impl Into<String>) -> Unfetched {
    Unfetched::Undiscovered {
        url: url.to_string(),
        why: why.into(),
    }
}

fn text<'d>(document: &'d Map<String, Value>, name: &str) -> Result<Option<&'d str>, String> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= LONGEST_TEXT => Ok(Some(text)),
        Some(_) => Err(format!("has a `{name}` that is no text")),
    }
}

fn texts(document: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, String> {
    let wrong = || format!("has a `{name}` that is no list of texts");
    let items = match document.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => items.iter().take(MOST_ITEMS),
        Some(_) => return Err(wrong()),
    };
    let texts = items.map(|item| item.as_str().filter(|text| text.len() <= LONGEST_TEXT));
    let texts: Option<Vec<_>> = texts.map(|text| text.map(str::to_owned)).collect();
    texts.map(Some).ok_or_else(wrong)
}

fn flag(document: &Map<String, Value>, name: &str) -> Result<bool, String> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(format!("has a `{name}` that is neither true nor false")),
    }
}

/// The scopes of a challenge; nothing if one is none.
fn scopes(text: &str) -> Option<Vec<String>> {
    let scopes: Vec<_> = text.split(' ').filter(|scope| !scope.is_empty()).collect();
    let good = (1..=MOST_ITEMS).contains(&scopes.len()) && scopes.iter().all(|scope| is_scope(scope));
    good.then(|| scopes.into_iter().map(str::to_owned).collect())
}

/// Those of a document that could be asked for.
fn only_scopes(mut scopes: Vec<String>) -> Vec<String> {
    scopes.retain(|scope| is_scope(scope));
    scopes
}

/// RFC 6749 §3.3.
pub(super) fn is_scope(text: &str) -> bool {
    let is_of_it = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    (1..=256).contains(&text.len()) && text.bytes().all(is_of_it)
}
