//! The keys of one issuer, kept fresh (RFC 7517 §5).
//!
//! One task fetches, [`Jwks::keep`], and whoever misses a key asks it to and waits: a thousand callers cost an issuer
//! one request, and none when it was asked just now. That is so also for callers who make up key ids, and for those
//! who leave while they wait.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, Request, StatusCode, Uri};
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::key::{Algorithm, Found, Key, KeySet};
use super::outside::Outside;
use super::refusal::Refusal;

/// When a set is fetched again whose issuer does not say.
const REFRESH: Duration = Duration::from_secs(10 * 60);
/// The least and the most that an issuer can say by `Cache-Control: max-age`.
const REFRESHES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(24 * 60 * 60)];
/// Between one fetch and the next that something unknown, or a failure, is the cause of.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// How long a fetch may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a caller waits for one.
const PATIENCE: Duration = Duration::from_secs(3);

/// The keys of one issuer.
#[derive(Debug)]
pub struct Jwks {
    from: From,
    state: watch::Sender<State>,
}

enum From {
    /// Read with the rest of the configuration, and as old as that is.
    File,
    Url(Fetched),
}

struct Fetched {
    url: Uri,
    /// How long keys are believed when no newer ones can be had.
    stale: Duration,
    outside: Arc<dyn Outside>,
    asked: Notify,
    /// Held by whoever keeps it, so that of two configurations that share it one does.
    keeper: Mutex<()>,
}

#[derive(Debug)]
struct State {
    keys: Option<Arc<KeySet>>,
    /// When these keys were had.
    at: Instant,
    /// When the last fetch began.
    began: Option<Instant>,
    is_fetching: bool,
    has_failed: bool,
    /// How many fetches came to an end, whichever.
    ended: u64,
    /// When the next is due.
    due: Instant,
}

impl Jwks {
    /// Keys from a file.
    pub fn fixed(keys: KeySet) -> Arc<Self> {
        Arc::new(Self {
            from: From::File,
            state: watch::Sender::new(State::new(Some(keys))),
        })
    }

    /// Keys that are fetched from a URL by whoever runs [`Jwks::keep`], and believed for `stale` once they cannot be.
    pub fn fetched(url: Uri, stale: Duration, outside: Arc<dyn Outside>) -> Arc<Self> {
        Arc::new(Self {
            from: From::Url(Fetched {
                url,
                stale,
                outside,
                asked: Notify::new(),
                keeper: Mutex::new(()),
            }),
            state: watch::Sender::new(State::new(None)),
        })
    }

    /// Keeps the keys fresh for as long as it runs: every ten minutes, or as the issuer says. It never ends by itself,
    /// save for keys of a file, and may be dropped at any time. Of several that run, one fetches; the next takes over.
    pub async fn keep(self: Arc<Self>) {
        let From::Url(fetched) = &self.from else { return };
        let _keeper = fetched.keeper.lock().await;
        loop {
            self.until_wanted(fetched).await;
            self.fetch(fetched).await;
        }
    }

    /// The URL and the staleness, where it has them: what makes two of them one.
    pub(super) fn is_of(&self, url: &Uri, stale: Duration) -> bool {
        matches!(&self.from, From::Url(fetched) if fetched.url == *url && fetched.stale == stale)
    }

    /// The key for a token, which may be waited for, but no longer than three seconds.
    pub(super) async fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<Key>, Refusal> {
        let mut changes = self.state.subscribe();
        let (found, ended, is_fetching, may_fetch) = {
            let state = changes.borrow_and_update();
            let found = self.look(&state, id, algorithm);
            (found, state.ended, state.is_fetching, state.may_fetch())
        };
        let (From::Url(fetched), Err(missing)) = (&self.from, &found) else {
            return found.map_err(Missing::refusal);
        };
        if *missing == Missing::Ambiguous || !(is_fetching || may_fetch) {
            return found.map_err(Missing::refusal);
        }
        if may_fetch {
            fetched.asked.notify_one();
        }
        match timeout(PATIENCE, changes.wait_for(|state| state.ended > ended)).await {
            Ok(Ok(state)) => self.look(&state, id, algorithm).map_err(Missing::refusal),
            Ok(Err(_)) | Err(_) => Err(Refusal::Unavailable),
        }
    }

    fn look(&self, state: &State, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<Key>, Missing> {
        let is_believed = match &self.from {
            From::File => true,
            From::Url(fetched) => state.at.elapsed() < fetched.stale,
        };
        let keys = state.keys.as_ref().filter(|_| is_believed);
        match keys.ok_or(Missing::Keys)?.find(id, algorithm) {
            Found::Key(key) => Ok(key),
            Found::Several => Err(Missing::Ambiguous),
            // While its issuer cannot be asked, nobody knows whether the key is new or made up.
            Found::None if state.has_failed => Err(Missing::Keys),
            Found::None => Err(Missing::Key),
        }
    }

    async fn until_wanted(&self, fetched: &Fetched) {
        let due = self.state.borrow().due;
        loop {
            tokio::select! {
                () = sleep_until(due) => return,
                () = fetched.asked.notified() => {
                    // It may have been asked for while the last fetch was under way.
                    if self.state.borrow().may_fetch() {
                        return;
                    }
                }
            }
        }
    }

    async fn fetch(&self, fetched: &Fetched) {
        let fetch = Fetch::begin(self);
        match timeout(DEADLINE, fetched.fetch()).await {
            Ok(Ok((keys, refresh))) => {
                if keys.is_empty() {
                    tracing::warn!(url = %fetched.url, "an issuer publishes no key that could be used");
                }
                // No longer than half of what they are believed for, so that a failure has time to be cured.
                fetch.succeeded(keys, refresh.min(fetched.stale / 2));
            }
            Ok(Err(why)) => {
                tracing::warn!(url = %fetched.url, %why, "the keys of an issuer were not fetched")
            }
            Err(_) => {
                tracing::warn!(url = %fetched.url, why = "no answer in 10 s", "the keys of an issuer were not fetched");
            }
        }
    }
}

/// One fetch, which ends when this is dropped, and has failed unless it succeeded before.
struct Fetch<'j>(&'j Jwks);

impl<'j> Fetch<'j> {
    fn begin(jwks: &'j Jwks) -> Self {
        jwks.state.send_modify(|state| {
            let now = Instant::now();
            state.began = Some(now);
            state.is_fetching = true;
            state.has_failed = true;
            state.due = now + COOL_DOWN;
        });
        Self(jwks)
    }

    fn succeeded(self, keys: KeySet, refresh: Duration) {
        self.0.state.send_modify(|state| {
            let now = Instant::now();
            state.keys = Some(Arc::new(keys));
            state.at = now;
            state.has_failed = false;
            state.due = now + refresh;
        });
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| {
            state.is_fetching = false;
            state.ended += 1;
        });
    }
}

impl Fetched {
    async fn fetch(&self) -> Result<(KeySet, Duration), String> {
        let request =
            Request::get(self.url.clone()).header(ACCEPT, "application/jwk-set+json, application/json");
        let request = request.body(Bytes::new()).map_err(|error| error.to_string())?;
        let answer = self.outside.send(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answered {}", answer.status()));
        }
        let keys = KeySet::parse(answer.body())?;
        Ok((keys, refresh(answer.headers())))
    }
}

impl State {
    fn new(keys: Option<KeySet>) -> Self {
        let now = Instant::now();
        Self {
            keys: keys.map(Arc::new),
            at: now,
            began: None,
            is_fetching: false,
            has_failed: false,
            ended: 0,
            due: now,
        }
    }

    fn may_fetch(&self) -> bool {
        !self.is_fetching && self.began.is_none_or(|began| began.elapsed() >= COOL_DOWN)
    }
}

/// What is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// All keys: there never were any, or they are too old.
    Keys,
    /// The one that was asked for.
    Key,
    /// A way to tell which one was asked for.
    Ambiguous,
}

impl Missing {
    fn refusal(self) -> Refusal {
        match self {
            Self::Keys => Refusal::Unavailable,
            Self::Key | Self::Ambiguous => Refusal::Key,
        }
    }
}

/// When an answer with these headers is to be fetched again.
fn refresh(headers: &HeaderMap) -> Duration {
    let [least, most] = REFRESHES;
    let lines = headers.get_all(CACHE_CONTROL).into_iter();
    let directives = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let mut ages = directives.filter_map(|directive| {
        let (name, seconds) = directive.trim().split_once('=')?;
        let seconds = seconds.trim_matches('"').parse().ok()?;
        name.eq_ignore_ascii_case("max-age")
            .then(|| Duration::from_secs(seconds))
    });
    ages.next().map_or(REFRESH, |age| age.clamp(least, most))
}

impl std::fmt::Debug for From {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File => f.write_str("a file"),
            Self::Url(fetched) => write!(f, "{}", fetched.url),
        }
    }
}
