//! One question for a token, and what the answer is worth (RFC 6749 §4–6, RFC 8693, RFC 7523).

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use config::Secret;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use serde_json::{Map, Value};

use super::client::{Client, Endpoint};
use super::unfetched::Unfetched;
use crate::address;
use crate::authn::{Outside, strict};

/// A longer answer, in bytes, is none.
const LONGEST_ANSWER: usize = 64 << 10;
/// A longer token, in bytes, is none: no server takes it in a header.
const LONGEST_TOKEN: usize = 16 << 10;
/// How much of what else a server says is told.
const LONGEST_SAID: usize = 120;
/// A longer word of it is likely to be a token.
const LONGEST_WORD: usize = 24;
/// No token is believed to hold for longer.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The type of tokens that say who somebody is, to a second authorization server (draft-ietf-oauth-identity-assertion-authz-grant).
pub(super) const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// What is asked for.
pub(super) struct Question<'q> {
    pub(super) endpoint: &'q Endpoint,
    pub(super) client: &'q Client,
    /// The grant and what belongs to it. Whatever of it is secret is held back from what is told of the answer.
    pub(super) grant: Vec<(&'static str, Cow<'q, str>)>,
    pub(super) wanted: Wanted<'q>,
}

/// For what a token is to be good.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted<'q> {
    pub(super) resource: Option<&'q str>,
    pub(super) audience: Option<&'q str>,
    pub(super) scopes: Option<&'q [String]>,
}

/// What was given.
#[derive(Debug, Clone)]
pub(super) struct Granted {
    pub(super) token: Secret,
    /// How long it holds, if that is told.
    pub(super) lifetime: Option<Duration>,
    pub(super) refresh: Option<Secret>,
}

impl Question<'_> {
    /// Asks for a token that whoever bears it may use.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn ask(&self, outside: &dyn Outside, now: SystemTime) -> Result<Granted, Unfetched> {
        let answer = self.send(outside, now).await?;
        let kind = answer.get("token_type").and_then(Value::as_str);
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer")) {
            return Err(self.unusable("its `token_type` is not Bearer"));
        }
        self.granted(&answer)
    }

    /// Asks for a token that is shown to another authorization server alone, by this client of it.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn ask_for_id_jag(
        &self,
        client: &str,
        outside: &dyn Outside,
        now: SystemTime,
    ) -> Result<Granted, Unfetched> {
        let answer = self.send(outside, now).await?;
        if answer.get("issued_token_type").and_then(Value::as_str) != Some(ID_JAG) {
            return Err(self.unusable("its `issued_token_type` is not that of an ID-JAG"));
        }
        let granted = self.granted(&answer)?;
        if !is_id_jag(granted.token.expose(), client) {
            return Err(self.unusable("its token is no ID-JAG for the client that is to show it"));
        }
        Ok(granted)
    }

    async fn send(&self, outside: &dyn Outside, now: SystemTime) -> Result<Map<String, Value>, Unfetched> {
        let request = self.request(now)?;
        let answer = outside.send(request).await;
        self.read(&answer.map_err(|why| self.unreachable(why))?)
    }

    fn request(&self, now: SystemTime) -> Result<Request<Bytes>, Unfetched> {
        let shown = self.client.shown(self.endpoint, now)?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(self.grant.iter().map(|(name, value)| (*name, value.as_ref())));
        form.extend_pairs(shown.form.iter().map(|(name, value)| (*name, value.as_ref())));
        let scopes = self.wanted.scopes.filter(|scopes| !scopes.is_empty());
        let scopes = scopes.map(|scopes| scopes.join(" "));
        let wanted = [
            ("resource", self.wanted.resource),
            ("audience", self.wanted.audience),
            ("scope", scopes.as_deref()),
        ];
        form.extend_pairs(wanted.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
        let mut request = Request::post(self.endpoint.url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        if let Some(header) = shown.header {
            request = request.header(AUTHORIZATION, header);
        }
        let request = request.body(Bytes::from(form.finish()));
        request.map_err(|error| self.unreachable(error.to_string()))
    }

    fn read(&self, answer: &Response<Bytes>) -> Result<Map<String, Value>, Unfetched> {
        if answer.body().len() > LONGEST_ANSWER {
            return Err(self.unusable("its answer is longer than 64 KiB"));
        }
        let object = strict::object(answer.body());
        let status = answer.status();
        if status == StatusCode::OK || status == StatusCode::CREATED {
            let none = || self.unusable("its answer is not a JSON object in which every name stands once");
            return object.ok_or_else(none);
        }
        let error = object.as_ref().and_then(|object| object.get("error")?.as_str());
        match error.filter(|_| status.is_client_error()) {
            Some(error) => Err(Unfetched::Refused {
                url: address::canonical(&self.endpoint.url),
                error: code(error, &self.secrets()),
                said: object.as_ref().and_then(|object| said(object, &self.secrets())),
            }),
            None if is_overloaded(status) => Err(self.unreachable(format!("it answered {status}"))),
            // It stumbles over what it was sent, and others sent something else.
            None => Err(self.unusable(&format!("it answered {status}"))),
        }
    }

    fn granted(&self, answer: &Map<String, Value>) -> Result<Granted, Unfetched> {
        let token = |name: &str| match answer.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if is_token(text) => Ok(Some(Secret::from(text.as_str()))),
            Some(_) => Err(self.unusable(&format!("its `{name}` cannot be sent in a header"))),
        };
        let none = || self.unusable("its answer holds no `access_token`");
        let lifetime = match answer.get("expires_in") {
            None | Some(Value::Null) => None,
            Some(Value::Number(number)) => {
                let seconds = number.as_f64().filter(|seconds| *seconds >= 0.0);
                let seconds = seconds.ok_or_else(|| self.unusable("its `expires_in` is below zero"))?;
                let longest = LONGEST_LIFE.as_secs_f64();
                Some(Duration::from_secs_f64(seconds.min(longest)))
            }
            Some(_) => return Err(self.unusable("its `expires_in` is no number")),
        };
        Ok(Granted {
            token: token("access_token")?.ok_or_else(none)?,
            lifetime,
            refresh: token("refresh_token")?,
        })
    }

    /// What a server could send back to us that it has from us.
    fn secrets(&self) -> Vec<&str> {
        let is_secret = |name: &str| {
            [
                "subject_token",
                "assertion",
                "refresh_token",
                "code",
                "code_verifier",
            ]
            .contains(&name)
        };
        let secret = self.grant.iter().filter(|(name, _)| is_secret(name));
        let mut secrets: Vec<&str> = secret.map(|(_, value)| value.as_ref()).collect();
        if let super::client::Proof::Secret(secret, _) = &self.client.proof {
            secrets.push(secret.expose());
        }
        secrets
    }

    fn unusable(&self, why: &str) -> Unfetched {
        Unfetched::Unusable {
            url: address::canonical(&self.endpoint.url),
            why: why.to_owned(),
        }
    }

    fn unreachable(&self, why: String) -> Unfetched {
        Unfetched::Unreachable {
            url: address::canonical(&self.endpoint.url),
            why,
        }
    }
}

/// Whether an answer says that it would be the same for all.
fn is_overloaded(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// Whether a header can carry it, and nothing but it (RFC 6750 §2.1).
pub(super) fn is_token(text: &str) -> bool {
    (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An error's code, if it is one: a server could write anything there.
pub(super) fn code(error: &str, secrets: &[&str]) -> String {
    let is_code = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let good = (1..=40).contains(&error.len()) && error.bytes().all(is_code) && !tells(error, secrets);
    let known = if good { error } else { "an error of its own" };
    known.to_owned()
}

/// A piece of what a server says about its error that may be told: printable, short, and with nothing in it that we
/// sent or that could be a token.
pub(super) fn said(answer: &Map<String, Value>, secrets: &[&str]) -> Option<String> {
    let text = answer.get("error_description")?.as_str()?;
    if tells(text, secrets) {
        return None;
    }
    let words = text
        .split(|c: char| !(c.is_ascii_graphic()))
        .filter(|word| !word.is_empty());
    let words = words.map(|word| if word.len() > LONGEST_WORD { "…" } else { word });
    let mut said = String::new();
    for word in words {
        if said.len() + word.len() >= LONGEST_SAID {
            said.push_str(" …");
            break;
        }
        if !said.is_empty() {
            said.push(' ');
        }
        said.push_str(word);
    }
    (!said.is_empty()).then_some(said)
}

fn tells(text: &str, secrets: &[&str]) -> bool {
    secrets
        .iter()
        .any(|secret| !secret.is_empty() && text.contains(secret))
}

/// Whether a token says to be an ID-JAG for this client. Whether it is one is judged by whom it is for.
fn is_id_jag(token: &str, client: &str) -> bool {
    let mut parts = token.split('.').map(|part| {
        let text = URL_SAFE_NO_PAD.decode(part).ok()?;
        strict::object(&text)
    });
    let (Some(Some(header)), Some(Some(claims))) = (parts.next(), parts.next()) else {
        return false;
    };
    let kind = header.get("typ").and_then(Value::as_str);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("oauth-id-jag+jwt"))
        && claims.get("client_id").and_then(Value::as_str) == Some(client)
}
