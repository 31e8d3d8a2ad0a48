//! Logging in: somebody agrees in their browser, once, for all who call (RFC 6749 §4.1, RFC 7636, RFC 9207).
//!
//! Two steps, between which nothing happens here: [`Beginning::begin`] says where the browser is to go, and
//! [`Pending::finish`] takes what it comes back with. Whoever drives them opens the browser, and listens.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use config::Secret;
use http::Uri;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::assertion::random;
use super::client::{Client, Endpoint};
use super::discovery::{Hint, Server};
use super::found::Found;
use super::grant::{Question, Wanted, code, said};
use super::logins::Account;
use super::registration;
use super::settings::{Auth, From, Login};
use super::unfetched::Unfetched;
use crate::address;
use crate::authn::Outside;

/// How long somebody may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// A longer query, in bytes, is not read.
const LONGEST_QUERY: usize = 8 << 10;

/// A login that is to begin.
pub struct Beginning<'b> {
    /// The upstream's name.
    pub upstream: &'b str,
    /// Its address.
    pub url: &'b Uri,
    /// Its `auth`, which says `login`.
    pub auth: &'b Auth,
    /// What it says to who brings no token, if somebody asked.
    pub hint: &'b Hint,
    /// Where the browser comes back to: `http://127.0.0.1:PORT/callback`.
    pub redirect: &'b str,
    /// The URL of a document that describes this client, if there is one that the world can read.
    pub document: Option<&'b str>,
}

/// A login that waits for somebody.
pub struct Pending {
    upstream: String,
    url: String,
    resource: String,
    server: Server,
    client: Client,
    scopes: Option<Vec<String>>,
    redirect: String,
    verifier: Secret,
    /// Taken when it comes back.
    state: Option<Secret>,
    began: Instant,
}

/// Why a login has not come to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfinished {
    /// What came back is not an answer to this login, which waits on.
    Foreign,
    /// It has come to an end before.
    Over,
    /// More than ten minutes went by.
    Late,
    /// Somebody else answers than who was asked.
    Issuer,
    /// Who was asked says no, or whoever was to agree does not.
    Refused {
        /// Its code: `access_denied`.
        error: String,
        /// A short piece of what else it says.
        said: Option<String>,
    },
    /// The answer holds no code.
    Code,
    /// The code was not exchanged for tokens.
    Unfetched(Unfetched),
}

impl Beginning<'_> {
    /// Finds out who is to be asked, registers there if it must, and says where the browser is to go.
    ///
    /// # Errors
    /// Why nobody can log in.
    pub async fn begin(&self, outside: &dyn Outside) -> Result<(String, Pending), Unfetched> {
        let Auth::Login(settings) = self.auth else {
            return Err(Unfetched::Client {
                why: format!(
                    "nobody logs in to `{}`: its `auth` does not say `login`",
                    self.upstream
                ),
            });
        };
        let from = From {
            token_url: None,
            issuer: settings.issuer.clone(),
        };
        let found = Found::find(self.url, &from, self.hint, outside).await?;
        let Some(server) = &found.server else {
            unreachable!("no `token_url` is named, so its metadata were read")
        };
        let authorization = endpoint(server)?;
        let written = settings.client.as_ref();
        let client = registration::client(written, self.document, server, self.redirect, outside).await?;
        let pending = Pending {
            upstream: self.upstream.to_owned(),
            url: address::canonical(self.url),
            scopes: scopes(settings, self.hint, &found, server),
            resource: found.resource.clone(),
            server: server.clone(),
            client,
            redirect: self.redirect.to_owned(),
            verifier: random().into(),
            state: Some(random().into()),
            began: Instant::now(),
        };
        Ok((pending.address(&authorization), pending))
    }
}

/// Where people log in, if it is safe to let them (MCP, authorization, §Authorization Code Protection).
fn endpoint(server: &Server) -> Result<Uri, Unfetched> {
    let lacks = |what: &str| Unfetched::Undiscovered {
        url: server.issuer.clone(),
        why: what.to_owned(),
    };
    if !server.has_s256 {
        return Err(lacks(
            "does not say that it takes proof by S256, so a code could be used by who stole it",
        ));
    }
    let endpoint = server.authorization.clone();
    endpoint.ok_or_else(|| lacks("names no `authorization_endpoint`, so nobody can log in there"))
}

/// What is asked for. Whoever gives tokens is also asked for one to come back with, if it says that there is such.
fn scopes(settings: &Login, hint: &Hint, found: &Found, server: &Server) -> Option<Vec<String>> {
    if settings.scopes.is_some() {
        return settings.scopes.clone();
    }
    let mut scopes = hint.scope.clone().or_else(|| found.scopes.clone())?;
    let offline = "offline_access".to_owned();
    let may_stay = server
        .scopes
        .as_ref()
        .is_some_and(|scopes| scopes.contains(&offline));
    if may_stay && !scopes.contains(&offline) {
        scopes.push(offline);
    }
    Some(scopes)
}

impl Pending {
    /// Takes the query with which the browser comes back, and exchanges its code for tokens. `now` is the wall clock's.
    ///
    /// # Errors
    /// Why there are none. After [`Unfinished::Foreign`] it waits on; after any other it is over.
    pub async fn finish(
        &mut self,
        query: &str,
        outside: &dyn Outside,
        now: SystemTime,
    ) -> Result<Account, Unfinished> {
        let code = self.code(query)?;
        let endpoint = Endpoint {
            url: self.server.token.clone(),
            issuer: Some(self.server.issuer.clone()),
            methods: self.server.methods.clone(),
        };
        let question = Question {
            endpoint: &endpoint,
            client: &self.client,
            grant: vec![
                ("grant_type", "authorization_code".into()),
                ("code", code.expose().into()),
                ("redirect_uri", self.redirect.as_str().into()),
                ("code_verifier", self.verifier.expose().into()),
            ],
            wanted: Wanted {
                resource: Some(&self.resource),
                ..Wanted::default()
            },
        };
        let granted = question.ask(outside, now).await.map_err(Unfinished::Unfetched)?;
        let account = Account {
            upstream: self.upstream.clone(),
            url: self.url.clone(),
            resource: self.resource.clone(),
            endpoint: endpoint.clone(),
            client: self.client.clone(),
            scopes: self.scopes.clone(),
            access: Secret::default(),
            refresh: None,
            since: now,
            until: now,
        };
        Ok(account.renewed(granted, now))
    }

    /// Who will be asked to agree: their name, as it stands in the metadata.
    pub fn issuer(&self) -> &str {
        &self.server.issuer
    }

    fn address(&self, endpoint: &Uri) -> String {
        let state = self.state.as_ref().map(Secret::expose).unwrap_or_default();
        let scope = self.scopes.as_ref().map(|scopes| scopes.join(" "));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.client.id),
            ("redirect_uri", &self.redirect),
            ("state", state),
            ("code_challenge", &challenge(self.verifier.expose())),
            ("code_challenge_method", "S256"),
            ("resource", &self.resource),
        ]);
        query.extend_pairs(
            scope
                .iter()
                .filter(|scope| !scope.is_empty())
                .map(|scope| ("scope", scope)),
        );
        let separator = if endpoint.query().is_some() { '&' } else { '?' };
        format!("{endpoint}{separator}{}", query.finish())
    }

    /// The code that came back, once.
    fn code(&mut self, query: &str) -> Result<Secret, Unfinished> {
        let read = Returned::read(query).ok_or(Unfinished::Foreign)?;
        let ours = self.state.as_ref().ok_or(Unfinished::Over)?;
        if read.state.as_ref() != Some(ours) {
            return Err(Unfinished::Foreign);
        }
        self.state = None;
        if self.began.elapsed() > PATIENCE {
            return Err(Unfinished::Late);
        }
        // RFC 9207 §2.4. Whoever is not who was asked is not listened to, whatever they say.
        match &read.iss {
            None if self.server.has_iss => return Err(Unfinished::Issuer),
            Some(iss) if *iss != self.server.issuer => return Err(Unfinished::Issuer),
            None | Some(_) => {}
        }
        if let Some(error) = &read.error {
            let described = read.error_description.clone().map(Into::into);
            let described = described
                .into_iter()
                .map(|text| ("error_description".to_owned(), text));
            let secrets = [self.verifier.expose()];
            return Err(Unfinished::Refused {
                error: code(error, &secrets),
                said: said(&described.collect(), &secrets),
            });
        }
        let code = read.code.filter(|code| !code.is_empty());
        code.map(Secret::from).ok_or(Unfinished::Code)
    }
}

/// What a browser comes back with. What stands twice could be meant either way.
#[derive(Default)]
struct Returned {
    state: Option<Secret>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Returned {
    fn read(query: &str) -> Option<Self> {
        if query.len() > LONGEST_QUERY {
            return None;
        }
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            let before = match &*name {
                "state" => read.state.replace(value.into()).map(|_| ()),
                "code" => read.code.replace(value).map(|_| ()),
                "iss" => read.iss.replace(value).map(|_| ()),
                "error" => read.error.replace(value).map(|_| ()),
                "error_description" => read.error_description.replace(value).map(|_| ()),
                _ => None,
            };
            if before.is_some() {
                return None;
            }
        }
        Some(read)
    }
}

/// What proves later that who asks for tokens is who asked for the code (RFC 7636 §4.2).
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("upstream", &self.upstream)
            .field("issuer", &self.server.issuer)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("this is not the answer to the login that waits"),
            Self::Over => f.write_str("this login has come to an end; begin another"),
            Self::Late => f.write_str("the login took longer than ten minutes; begin another"),
            Self::Issuer => f.write_str("the answer is not from who was asked; nothing of it was used"),
            Self::Refused { error, said } => {
                write!(f, "the login was refused: {error}")?;
                match said {
                    Some(said) => write!(f, " ({said})"),
                    None => Ok(()),
                }
            }
            Self::Code => f.write_str("the answer holds no code"),
            Self::Unfetched(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for Unfinished {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_that_of_the_specification() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
