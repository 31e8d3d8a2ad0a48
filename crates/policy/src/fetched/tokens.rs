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
use super::found::Lately;
use super::grant::is_token;
use super::held::{Flight, Held, Key, Next, Start};
use super::logins::{Account, Logins};
use super::settings::{Auth, Subject};
use super::unfetched::Unfetched;
use crate::authn::Outside;
use crate::minted::Minter;
use crate::principal::{Identity, Principal};

/// How long a fetch may take, in all.
const DEADLINE: Duration = Duration::from_secs(10);
/// How many questions are asked at a time.
const AT_ONCE: usize = 32;

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
    /// Where logins are kept, for `login`.
    pub logins: Option<Arc<Logins>>,
}

pub(super) struct Shared {
    pub(super) upstream: String,
    pub(super) url: Uri,
    pub(super) auth: Auth,
    pub(super) with: With,
    held: Mutex<Held>,
    pub(super) lately: Lately,
    pub(super) turns: Semaphore,
    /// A login that was renewed, and that the disk would not take.
    pub(super) unsaved: Mutex<Option<Account>>,
}

/// What says for whom a token is asked for.
pub(super) enum Of {
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
                unsaved: Mutex::default(),
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
        self.shared.said(hint);
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
        if !shared.may_ask_for_more() {
            return Err(Unfetched::Rejected);
        }
        let found = shared.lately.known().await;
        let steps = shared.held.lock().steps(&key, token.expose());
        // One that others have outgrown meanwhile is replaced all the same.
        if steps.is_some_and(|steps| steps >= shared.lately.steps())
            && !found.is_some_and(|found| shared.lately.step_up(&found, &hint))
        {
            return Err(Unfetched::Rejected);
        }
        shared.held.lock().outgrow(&key, shared.lately.steps());
        self.token(whose, now).await
    }

    /// Takes in what the upstream says to who brings no token (`WWW-Authenticate` of a 401), for the next fetch.
    pub fn challenged<'l>(&self, lines: impl IntoIterator<Item = &'l [u8]>) {
        self.shared.said(Hint::of(lines));
    }

    /// Begins a fetch, which ends by itself in ten seconds, or with this.
    fn fly(&self, key: Key, of: Of, start: Start, now: SystemTime) -> Flight {
        let Start {
            number,
            tell,
            flight,
            refused,
        } = start;
        let landing = Landing {
            shared: Arc::clone(&self.shared),
            key,
            number,
        };
        let mut flights = self.flights.lock();
        while flights.try_join_next().is_some() {}
        flights.spawn(async move {
            let shared = &landing.shared;
            let fetched = timeout(DEADLINE, shared.fetch(&of, refused.as_deref(), now)).await;
            let fetched = fetched.unwrap_or(Err(Unfetched::Late));
            shared.held.lock().land(key, number, &fetched);
            match &fetched {
                // What holds for all is tried again after a pause; what does not could fill the log.
                Err(why) if why.is_of_all() => {
                    tracing::warn!(upstream = %shared.upstream, %why, "no credential was fetched");
                }
                Err(why) => tracing::debug!(upstream = %shared.upstream, %why, "no credential was fetched"),
                Ok(_) => {}
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
    fn said(&self, hint: Hint) {
        if self.lately.refused(hint) {
            self.held.lock().resume();
        }
    }

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
