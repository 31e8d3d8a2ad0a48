//! One fetch: what is asked of whom, for each way that the file can name.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::Secret;

use super::found::Found;
use super::grant::{Granted, ID_JAG, Question, Wanted};
use super::held::Token;
use super::settings::{self, Auth, ClientCredentials, IdJag, TokenExchange};
use super::tokens::{Of, Shared};
use super::unfetched::Unfetched;
use crate::principal::Identity;

/// How long a token holds of which it is not told.
pub(super) const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How long before its end another one is fetched, at most; a tenth of its life if that is less.
const AHEAD: Duration = Duration::from_secs(60);

impl Shared {
    /// Fetches a token, which is not the one that the upstream refused.
    pub(super) async fn fetch(
        &self,
        of: &Of,
        refused: Option<&Secret>,
        now: SystemTime,
    ) -> Result<Token, Unfetched> {
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|_| Unfetched::Busy)?;
        let steps = self.lately.steps();
        let token = self.fetch_as_written(of, refused, now).await?;
        Ok(Token { steps, ..token })
    }

    async fn fetch_as_written(
        &self,
        of: &Of,
        refused: Option<&Secret>,
        now: SystemTime,
    ) -> Result<Token, Unfetched> {
        match (&self.auth, of) {
            (Auth::ClientCredentials(settings), Of::Us) => self.client_credentials(settings, now).await,
            (Auth::TokenExchange(settings), Of::Bearer(token, expires)) => {
                let kind = "urn:ietf:params:oauth:token-type:access_token";
                self.exchange(settings, Some((token.expose(), kind)), None, *expires, now)
                    .await
            }
            (Auth::TokenExchange(settings), Of::Known(identity)) => {
                self.exchange(settings, None, Some(identity), identity.expires, now)
                    .await
            }
            (Auth::IdJag(settings), Of::Bearer(token, expires)) => {
                self.id_jag(settings, token.expose(), *expires, now).await
            }
            (Auth::Login(settings), _) => self.login(settings, refused, now).await,
            (_, _) => Err(Unfetched::NoSubject),
        }
    }

    async fn client_credentials(
        &self,
        settings: &ClientCredentials,
        now: SystemTime,
    ) -> Result<Token, Unfetched> {
        let found = self.find(&settings.from).await?;
        let scopes = self.scopes(settings.wanted.scopes.as_ref(), &found);
        let question = Question {
            endpoint: &found.endpoint,
            client: &settings.client,
            grant: vec![("grant_type", "client_credentials".into())],
            wanted: wanted(&settings.wanted, &found, scopes.as_deref()),
        };
        let granted = question.ask(&*self.with.outside, now).await?;
        Ok(token(granted, now, None))
    }

    async fn exchange(
        &self,
        settings: &TokenExchange,
        token_of_caller: Option<(&str, &str)>,
        identity: Option<&Identity>,
        expires: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<Token, Unfetched> {
        let found = self.find(&settings.from).await?;
        let scopes = self.scopes(settings.wanted.scopes.as_ref(), &found);
        let minted = match (identity, &self.with.minter) {
            (Some(identity), Some(minter)) => {
                let token_url = found.endpoint.url.to_string();
                let audience = found.endpoint.issuer.as_deref().unwrap_or(&token_url);
                Some(minter.mint(identity, audience, now))
            }
            (Some(_), None) => {
                return Err(Unfetched::Client {
                    why: "`subject: identity` needs tokens of ours, and the gateway makes none".to_owned(),
                });
            }
            (None, _) => None,
        };
        let minted = minted
            .as_deref()
            .map(|token| (token, "urn:ietf:params:oauth:token-type:jwt"));
        let (subject, kind) = token_of_caller.or(minted).ok_or(Unfetched::NoSubject)?;
        let question = Question {
            endpoint: &found.endpoint,
            client: &settings.client,
            grant: vec![
                (
                    "grant_type",
                    "urn:ietf:params:oauth:grant-type:token-exchange".into(),
                ),
                (
                    "requested_token_type",
                    "urn:ietf:params:oauth:token-type:access_token".into(),
                ),
                ("subject_token", subject.into()),
                ("subject_token_type", kind.into()),
            ],
            wanted: wanted(&settings.wanted, &found, scopes.as_deref()),
        };
        let granted = question.ask(&*self.with.outside, now).await?;
        Ok(token(granted, now, expires))
    }

    async fn id_jag(
        &self,
        settings: &IdJag,
        subject: &str,
        expires: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<Token, Unfetched> {
        let from = settings::From {
            token_url: None,
            issuer: Some(settings.issuer.clone()),
        };
        let found = self.find(&from).await?;
        let scopes = self.scopes(settings.scopes.as_ref(), &found);
        let (endpoint, client) = &settings.idp;
        let question = Question {
            endpoint,
            client,
            grant: vec![
                (
                    "grant_type",
                    "urn:ietf:params:oauth:grant-type:token-exchange".into(),
                ),
                ("requested_token_type", ID_JAG.into()),
                ("subject_token", subject.into()),
                (
                    "subject_token_type",
                    "urn:ietf:params:oauth:token-type:id_token".into(),
                ),
            ],
            wanted: Wanted {
                resource: Some(&found.resource),
                audience: Some(&settings.issuer),
                scopes: scopes.as_deref(),
            },
        };
        let vouched = question
            .ask_for_id_jag(&settings.client.id, &*self.with.outside, now)
            .await?;
        let question = Question {
            endpoint: &found.endpoint,
            client: &settings.client,
            grant: vec![
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".into()),
                ("assertion", vouched.token.expose().into()),
            ],
            wanted: Wanted {
                resource: Some(&found.resource),
                audience: None,
                scopes: scopes.as_deref(),
            },
        };
        let granted = question.ask(&*self.with.outside, now).await?;
        Ok(token(granted, now, expires))
    }

    pub(super) async fn find(&self, from: &settings::From) -> Result<Arc<Found>, Unfetched> {
        self.lately.find(&self.url, from, &*self.with.outside).await
    }

    /// What is asked for: what the file says, if it says anything.
    fn scopes(&self, written: Option<&Vec<String>>, found: &Found) -> Option<Vec<String>> {
        written.cloned().or_else(|| self.lately.scopes(found))
    }

    /// Whether the upstream may name what is asked for.
    pub(super) fn may_ask_for_more(&self) -> bool {
        let written = match &self.auth {
            Auth::ClientCredentials(settings) => &settings.wanted.scopes,
            Auth::TokenExchange(settings) => &settings.wanted.scopes,
            Auth::IdJag(settings) => &settings.scopes,
            // More than was agreed to is for somebody to agree to, or not ours to ask for.
            Auth::Login(_) | Auth::Passthrough => return false,
        };
        written.is_none()
    }
}

fn wanted<'w>(written: &'w settings::For, found: &'w Found, scopes: Option<&'w [String]>) -> Wanted<'w> {
    Wanted {
        resource: Some(written.resource.as_deref().unwrap_or(&found.resource)),
        audience: written.audience.as_deref(),
        scopes,
    }
}

/// A token with its times. Whoever it is for is believed until `expires`, and so it is good no longer.
pub(super) fn token(granted: Granted, now: SystemTime, expires: Option<SystemTime>) -> Token {
    let told = now + granted.lifetime.unwrap_or(LIFETIME);
    let end = expires.map_or(told, |expires| expires.min(told));
    let life = end.duration_since(now).unwrap_or_default();
    let ahead = AHEAD.min(life / 10);
    Token {
        secret: Arc::new(granted.token),
        since: now,
        due: end - ahead,
        // It has to arrive, and be judged by another clock.
        until: end - ahead / 6,
        steps: 0,
    }
}
