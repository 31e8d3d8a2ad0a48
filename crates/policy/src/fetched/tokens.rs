//! Tokens at work: each is fetched once for all who need it, ahead of its end, and not at all while nobody can give it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::Secret;
use http::Uri;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::discovery::Hint;
use super::found::{Found, Lately};
use super::grant::{Granted, ID_JAG, Question, Wanted, is_token};
use super::held::{Flight, Held, Key, Next, Start, Token};
use super::settings::{self, Auth, ClientCredentials, IdJag, Subject, TokenExchange};
use super::unfetched::Unfetched;
use crate::authn::Outside;
use crate::minted::Minter;
use crate::principal::{Identity, Principal};

/// How long a fetch may take, in all.
const DEADLINE: Duration = Duration::from_secs(10);
/// How many questions are asked at a time.
const AT_ONCE: usize = 32;
/// How long a token holds of which it is not told.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How long before its end another one is fetched, at most; a tenth of its life if that is less.
const AHEAD: Duration = Duration::from_secs(60);

/// Who calls, as far as their token is needed.
#[derive(Clone, Copy)]
pub struct Whose<'w> {
    /// Who it is.
    pub principal: &'w Principal,
    /// The token that they brought. It is shown to authorization servers that the file names, and to no upstream.
    pub token: Option<&'w str>,
}

/// The credentials of one upstream.
///
/// Fetches run in tasks of its own, so that a caller who leaves ends nothing that others wait for; they end when this
/// is dropped. It must be used within a runtime.
pub struct Fetched {
    shared: Arc<Shared>,
    flights: Mutex<JoinSet<()>>,
}

/// What an upstream's credentials are fetched with.
pub struct With {
    /// How others are asked.
    pub outside: Arc<dyn Outside>,
    /// Who makes tokens of ours, for `subject: identity`.
    pub minter: Option<Arc<Minter>>,
}

struct Shared {
    upstream: String,
    url: Uri,
    auth: Auth,
    with: With,
    held: Mutex<Held>,
    lately: Lately,
    turns: Semaphore,
}

/// What says for whom a token is asked for.
enum Of {
    /// The gateway.
    Us,
    /// The bearer of this token.
    Bearer(Secret, Option<SystemTime>),
    /// Whom we know.
    Known(Arc<Identity>),
}

impl Fetched {
    /// The credentials of the upstream of this name at this URL.
    pub fn new(upstream: &str, url: Uri, auth: Auth, with: With) -> Self {
        Self {
            shared: Arc::new(Shared {
                upstream: upstream.to_owned(),
                url,
                auth,
                with,
                held: Mutex::default(),
                lately: Lately::default(),
                turns: Semaphore::new(AT_ONCE),
            }),
            flights: Mutex::default(),
        }
    }

    /// Whether these would be the same: then a new configuration keeps what is here, with all that is held.
    pub fn is_of(&self, upstream: &str, url: &Uri, auth: &Auth) -> bool {
        let shared = &self.shared;
        shared.upstream == upstream && shared.url == *url && shared.auth == *auth
    }

    /// What to show the upstream for this caller, as `Authorization: Bearer`. `now` is the wall clock's. One that is
    /// held is given at once, else it takes ten seconds at most.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn token(&self, whose: &Whose<'_>, now: SystemTime) -> Result<Arc<Secret>, Unfetched> {
        if self.shared.auth == Auth::Passthrough {
            let token = whose.token.filter(|token| is_token(token));
            return token
                .map(|token| Arc::new(token.into()))
                .ok_or(Unfetched::NoSubject);
        }
        let (key, of) = self.shared.key(whose)?;
        let next = self.shared.held.lock().next(key, now);
        let flight = match next {
            Next::Use(secret) => return Ok(secret),
            Next::Renew(secret, start) => {
                self.fly(key, of, start, now);
                return Ok(secret);
            }
            Next::Fetch(start) => self.fly(key, of, start, now),
            Next::Wait(flight) => flight,
            Next::Fail(why) => return Err(why),
        };
        landed(flight).await
    }

    /// Another token, after the upstream answered 401 to this one with these `WWW-Authenticate` lines. It is fetched
    /// once; if the upstream refuses that one too within a minute, it is left at that.
    ///
    /// # Errors
    /// Why there is none; [`Unfetched::Rejected`] if there is no point.
    pub async fn reject<'l>(
        &self,
        whose: &Whose<'_>,
        token: &Secret,
        lines: impl IntoIterator<Item = &'l [u8]>,
        now: SystemTime,
    ) -> Result<Arc<Secret>, Unfetched> {
        if self.shared.auth == Auth::Passthrough {
            return Err(Unfetched::Rejected);
        }
        let (key, _) = self.shared.key(whose)?;
        let hint = Hint::of(lines);
        self.shared.held.lock().refuse(&key, token.expose())?;
        self.shared.lately.refused(hint);
        self.token(whose, now).await
    }

    /// A token that is good for more, after the upstream answered 403 to this one with `insufficient_scope` in these
    /// lines. What the file says is asked for and no more; where it does not say, what the upstream names is added,
    /// three times at most.
    ///
    /// # Errors
    /// As for [`Fetched::reject`].
    pub async fn step_up<'l>(
        &self,
        whose: &Whose<'_>,
        token: &Secret,
        lines: impl IntoIterator<Item = &'l [u8]>,
        now: SystemTime,
    ) -> Result<Arc<Secret>, Unfetched> {
        let shared = &self.shared;
        let (key, _) = shared.key(whose)?;
        let hint = Hint::of(lines);
        let found = shared.lately.known().await;
        let may = shared.may_ask_for_more();
        if !(may && found.is_some_and(|found| shared.lately.step_up(&found, &hint))) {
            return Err(Unfetched::Rejected);
        }
        shared.held.lock().forget(&key, token.expose());
        self.token(whose, now).await
    }

    /// Takes in what the upstream says to who brings no token (`WWW-Authenticate` of a 401), for the next fetch.
    pub fn challenged<'l>(&self, lines: impl IntoIterator<Item = &'l [u8]>) {
        self.shared.lately.refused(Hint::of(lines));
    }

    /// Begins a fetch, which ends by itself in ten seconds, or with this.
    fn fly(&self, key: Key, of: Of, start: Start, now: SystemTime) -> Flight {
        let Start { number, tell, flight } = start;
        let landing = Landing {
            shared: Arc::clone(&self.shared),
            key,
            number,
        };
        let mut flights = self.flights.lock();
        while flights.try_join_next().is_some() {}
        flights.spawn(async move {
            let shared = &landing.shared;
            let fetched = timeout(DEADLINE, shared.fetch(&of, now)).await;
            let fetched = fetched.unwrap_or(Err(Unfetched::Late));
            shared.held.lock().land(key, number, &fetched);
            if let Err(why) = &fetched {
                tracing::warn!(upstream = %shared.upstream, %why, "no credential was fetched");
            }
            drop(landing);
            tell.send_replace(Some(fetched.map(|token| token.secret)));
        });
        flight
    }
}

/// What a fetch had, for one who waits.
async fn landed(mut flight: Flight) -> Result<Arc<Secret>, Unfetched> {
    let outcome = flight.wait_for(Option::is_some).await;
    // One that was ended tells nothing.
    outcome.map_or(Err(Unfetched::Late), |outcome| {
        outcome.clone().unwrap_or(Err(Unfetched::Late))
    })
}

/// Ends a fetch when it is dropped, however that comes.
struct Landing {
    shared: Arc<Shared>,
    key: Key,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.shared.held.lock().end(&self.key, self.number);
    }
}

impl Shared {
    /// For whom it is, and what stands for them.
    fn key(&self, whose: &Whose<'_>) -> Result<(Key, Of), Unfetched> {
        let identity = match whose.principal {
            Principal::Known(identity) => Some(identity),
            Principal::Anonymous => None,
        };
        let of = match &self.auth {
            Auth::ClientCredentials(_) | Auth::Login(_) => Of::Us,
            Auth::TokenExchange(exchange) if exchange.subject == Subject::Identity => {
                Of::Known(Arc::clone(identity.ok_or(Unfetched::NoSubject)?))
            }
            Auth::TokenExchange(_) | Auth::IdJag(_) | Auth::Passthrough => {
                let identity = identity.ok_or(Unfetched::NoSubject)?;
                let token = whose.token.filter(|token| is_token(token));
                Of::Bearer(token.ok_or(Unfetched::NoSubject)?.into(), identity.expires)
            }
        };
        let mut digest = Sha256::new();
        let mut part = |bytes: &[u8]| {
            // Their lengths keep what ends one from beginning the other.
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        match &of {
            Of::Us => {}
            Of::Bearer(token, _) => {
                part(whose.principal.binding());
                part(token.expose().as_bytes());
            }
            Of::Known(known) => {
                part(whose.principal.binding());
                // All that the token of ours would say: who lost a role is not who they were.
                let said = (
                    &known.name,
                    &known.roles,
                    &known.tenant,
                    known.claim("email"),
                    known.claim("email_verified"),
                );
                part(format!("{said:?}").as_bytes());
            }
        }
        Ok((digest.finalize().into(), of))
    }

    async fn fetch(&self, of: &Of, now: SystemTime) -> Result<Token, Unfetched> {
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|_| Unfetched::Busy)?;
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
            (Auth::Login(_), _) => Err(Unfetched::NotLoggedIn {
                upstream: self.upstream.clone(),
            }),
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
            (_, _) => None,
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

    async fn find(&self, from: &settings::From) -> Result<Arc<Found>, Unfetched> {
        self.lately.find(&self.url, from, &*self.with.outside).await
    }

    /// What is asked for: what the file says, if it says anything.
    fn scopes(&self, written: Option<&Vec<String>>, found: &Found) -> Option<Vec<String>> {
        written.cloned().or_else(|| self.lately.scopes(found))
    }

    fn may_ask_for_more(&self) -> bool {
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
    }
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shared { upstream, auth, .. } = &*self.shared;
        f.debug_struct("Fetched")
            .field("upstream", upstream)
            .field("auth", auth)
            .finish_non_exhaustive()
    }
}
