//! The user whom an Open WebUI calls for: its signed `X-OpenWebUI-User-Jwt`.
//!
//! With `ENABLE_FORWARD_USER_INFO_HEADERS` it tells who the user is by plain headers, which anybody could write. With
//! `FORWARD_USER_INFO_HEADER_JWT_SECRET` it makes one token of them instead, anew for each message and good for five
//! minutes: HS256; `sub`, `email`, `name` and `role` as text, empty where it knows nothing; `iss`, `iat` and `exp`.
//! It names no audience: what makes it a token for us is a secret that is shared with us alone.

use std::sync::Arc;
use std::time::SystemTime;

use config::{Environment, Field, Located, Secret};
use http::HeaderMap;
use ring::hmac;
use serde_json::Value;

use super::claims::Rules;
use super::refusal::Refusal;
use super::unverified::Unverified;
use super::verified::{self, Verified};
use super::{Unidentified, api_key};
use crate::principal::{Identity, Principal};

/// What the record calls this source, what the token says as `iss`, and what keeps its users apart from others for
/// ever.
pub(super) const NAME: &str = "open-webui";
/// The claim that the chat is added as.
const CHAT: &str = "chat_id";
/// A shorter secret, in bytes, can be guessed by trying on a single token (RFC 7518 §3.2).
const STRONG: usize = 32;
/// A longer chat id is none.
const LONGEST_CHAT: usize = 128;
/// The longest id of a user, in bytes.
const LONGEST_ID: usize = 256;

/// `auth.open_webui`: whose word is taken for who the user is.
#[derive(Debug, Clone)]
pub struct OpenWebUi {
    /// Nothing where its plain headers are believed.
    secret: Option<Secret>,
    key: Option<Located<String>>,
    rules: Rules,
    known: Arc<Verified<Arc<Identity>>>,
}

impl OpenWebUi {
    /// The header that its token comes in.
    pub const HEADER: &str = "x-openwebui-user-jwt";
    /// The header that names the chat.
    pub const CHAT_HEADER: &str = "x-openwebui-chat-id";

    /// Reads the section.
    pub fn check(field: &Field<'_>, environment: &dyn Environment) -> Option<Self> {
        let mut fields = field.fields()?;
        let secret = fields.optional("secret");
        let key = fields.optional("key").text();
        fields.finish();
        if !secret.is_written() {
            if key.is_none() {
                field.report(
                    "neither `secret` nor `key` says whose word is taken",
                    Some("name the key that Open WebUI connects with, and the secret that it signs with"),
                );
            }
            return Some(Self {
                secret: None,
                key,
                rules: Rules::new(NAME, NAME, Some(NAME)),
                known: Arc::default(),
            });
        }
        let hint = "it is what Open WebUI has as `FORWARD_USER_INFO_HEADER_JWT_SECRET`; `openssl rand -hex 32` makes one";
        let read = secret.resolved_secret(environment)?;
        if read.value.is_empty() {
            secret.report("an empty secret is known to everybody", Some(hint));
            return None;
        }
        if read.value.expose().len() < STRONG {
            let problem = read.problem("a secret of less than 32 bytes can be found by trying");
            secret.problems().add(problem.hint(hint).warning());
        }
        Some(Self {
            secret: Some(read.value),
            key,
            rules: Rules::new(NAME, NAME, Some(NAME)),
            known: Arc::default(),
        })
    }

    /// The name of the key that a connection must hold for its users to be believed.
    pub fn key(&self) -> Option<&Located<String>> {
        self.key.as_ref()
    }

    /// Whom a connection calls for, and in which chat if `X-OpenWebUI-Chat-Id` says so. The chat is the connection's
    /// word alone, and a claim of the token comes first. `now` is the wall clock's.
    ///
    /// # Errors
    /// Why the token is not believed; never [`Refusal::Unavailable`].
    pub fn verify(&self, token: &str, chat: Option<&str>, now: SystemTime) -> Result<Arc<Identity>, Refusal> {
        let token = Unverified::parse(token)?;
        if token.algorithm != "HS256" {
            return Err(Refusal::Algorithm);
        }
        let secret = self.secret.as_ref().ok_or(Refusal::Algorithm)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        hmac::verify(&key, token.signed, &token.signature).map_err(|_| Refusal::Signature)?;
        let mut identity = self.rules.judge_anywhere(token.claims()?, now)?;
        let role = match identity.claims.get("role") {
            None => "",
            Some(role) => role.as_str().ok_or(Refusal::Claim)?,
        };
        identity.roles = Some(role.to_owned())
            .into_iter()
            .filter(|role| !role.is_empty())
            .collect();
        // What it may do is said of its role: it was granted no scopes, and needs none.
        identity.scopes = None;
        if let Some(chat) = chat.filter(|chat| is_chat(chat)) {
            let claims = &mut identity.claims;
            claims.entry(CHAT).or_insert_with(|| Value::from(chat));
        }
        Ok(Arc::new(identity))
    }
}

impl OpenWebUi {
    /// Who calls, when this one does: the user whom an Open WebUI names, by its token where the file has its secret,
    /// else by plain headers. Without either it calls for itself. Nobody else is asked for a user.
    ///
    /// # Errors
    /// When it names one by a token that is not good.
    pub(super) fn user_of(
        &self,
        principal: Principal,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Result<Principal, Unidentified> {
        let Some(connection) = principal.identity().filter(|identity| self.is_by(identity)) else {
            return Ok(principal);
        };
        let user = match &self.secret {
            Some(_) => self.by_token(headers, now)?,
            None => plain(headers)?.map(Arc::new),
        };
        let mut identity = match user {
            // Of users it knows nothing of tenants.
            Some(user) if connection.tenant.is_none() => return Ok(Principal::Known(user)),
            Some(user) => {
                let mut identity = Identity::clone(&user);
                identity.tenant.clone_from(&connection.tenant);
                identity
            }
            None => connection.clone(),
        };
        identity.is_connection = *identity.source != *NAME;
        Ok(Principal::Known(Arc::new(identity)))
    }

    fn is_by(&self, identity: &Identity) -> bool {
        let named = self.key.as_ref().map(|key| &*key.value);
        *identity.source == *api_key::ISSUER && named.is_none_or(|name| name == identity.subject)
    }

    fn by_token(&self, headers: &HeaderMap, now: SystemTime) -> Result<Option<Arc<Identity>>, Unidentified> {
        let Some(token) = only(headers, Self::HEADER)? else {
            return Ok(None);
        };
        let chat = only(headers, Self::CHAT_HEADER)?;
        let digest = verified::digest(token, chat);
        if let Some(known) = self.known.get(&digest, now) {
            return Ok(Some(known));
        }
        let user = self.verify(token, chat, now)?;
        let until = user.expires.unwrap_or(now);
        self.known.put(digest, Arc::clone(&user), token.len(), now, until);
        Ok(Some(user))
    }
}

/// The user whom plain headers name, which only a connection that proved what it is may send.
fn plain(headers: &HeaderMap) -> Result<Option<Identity>, Unidentified> {
    let Some(id) = only(headers, "x-openwebui-user-id")? else {
        return Ok(None);
    };
    if id.is_empty() || id.len() > LONGEST_ID {
        return Err(Unidentified::Refused("subject"));
    }
    let mut identity = Identity::new(&NAME.into(), NAME, id);
    identity.claims.insert("sub".into(), id.into());
    for claim in ["email", "name", "role"] {
        let Some(text) = only(headers, &format!("x-openwebui-user-{claim}"))?.filter(|text| !text.is_empty())
        else {
            continue;
        };
        // It writes what is no ASCII so.
        let text = percent_encoding::percent_decode_str(text).decode_utf8();
        let text = text.map_err(|_| Unidentified::Refused("malformed"))?;
        identity.claims.insert(claim.into(), (&*text).into());
        match claim {
            "role" => identity.roles = vec![text.into_owned()],
            "name" => identity.name = Some(text.into_owned()),
            _ => {}
        }
    }
    if let Some(chat) = only(headers, OpenWebUi::CHAT_HEADER)?.filter(|chat| is_chat(chat)) {
        identity.claims.insert(CHAT.into(), chat.into());
    }
    Ok(Some(identity))
}

/// The only line of a header.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Unidentified> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => line
            .to_str()
            .map(Some)
            .map_err(|_| Unidentified::Refused("malformed")),
        (Some(_), Some(_)) => Err(Unidentified::Refused("several")),
    }
}

fn is_chat(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_CHAT && !text.chars().any(char::is_control)
}
