//! The user whom an Open WebUI calls for: its signed `X-OpenWebUI-User-Jwt`.
//!
//! With `ENABLE_FORWARD_USER_INFO_HEADERS` it tells who the user is by plain headers, which anybody could write. With
//! `FORWARD_USER_INFO_HEADER_JWT_SECRET` it makes one token of them instead, anew for each message and good for five
//! minutes: HS256; `sub`, `email`, `name` and `role` as text, empty where it knows nothing; `iss`, `iat` and `exp`.
//! It names no audience: what makes it a token for us is a secret that is shared with us alone.

use std::sync::Arc;
use std::time::SystemTime;

use config::{Environment, Field, Located, Secret};
use ring::hmac;
use serde_json::Value;

use super::claims::Rules;
use super::refusal::Refusal;
use super::unverified::Unverified;
use crate::principal::Identity;

/// What the record calls this source, what the token says as `iss`, and what keeps its users apart from others for
/// ever.
const NAME: &str = "open-webui";
/// The claim that the chat is added as.
const CHAT: &str = "chat_id";
/// A shorter secret, in bytes, can be guessed by trying on a single token (RFC 7518 §3.2).
const STRONG: usize = 32;
/// A longer chat id is none.
const LONGEST_CHAT: usize = 128;

/// `auth.open_webui`: whose word is taken for who the user is.
#[derive(Debug, Clone)]
pub struct OpenWebUi {
    secret: Secret,
    key: Option<Located<String>>,
    rules: Rules,
}

impl OpenWebUi {
    /// The header that its token comes in.
    pub const HEADER: &str = "x-openwebui-user-jwt";
    /// The header that names the chat.
    pub const CHAT_HEADER: &str = "x-openwebui-chat-id";

    /// Reads the section.
    pub fn check(field: &Field<'_>, environment: &dyn Environment) -> Option<Self> {
        let mut fields = field.fields()?;
        let secret = fields.required("secret");
        let key = fields.optional("key").text();
        fields.finish();
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
            secret: read.value,
            key,
            rules: Rules::new(NAME, NAME, Some(NAME)),
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
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.expose().as_bytes());
        hmac::verify(&key, token.signed, &token.signature).map_err(|_| Refusal::Signature)?;
        let mut identity = self.rules.judge_anywhere(token.claims, now)?;
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

fn is_chat(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_CHAT && !text.chars().any(char::is_control)
}
