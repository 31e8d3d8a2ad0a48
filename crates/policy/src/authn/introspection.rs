//! Tokens that say nothing themselves: their issuer is asked what they are worth (RFC 7662), `auth.introspection`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use config::{Environment, Field, Fields, Secret};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode, Uri};
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

use super::claims::{Expected, Rules};
use super::outside::Outside;
use super::refusal::Refusal;
use super::strict;
use super::unverified::LONGEST;
use super::verified::{self, Digest, Verified};
use crate::address;
use crate::principal::Identity;

/// How long an answer counts, if the file does not say, and at most.
const CACHE: Duration = Duration::from_secs(60);
const MOST_CACHE: Duration = verified::LONGEST;
/// How long a caller waits, in all.
const PATIENCE: Duration = Duration::from_secs(5);
/// And of that for its turn: a question that is asked at the last moment is asked for nothing.
const PATIENCE_FOR_TURN: Duration = Duration::from_secs(2);
/// How many questions one issuer is asked at a time.
const AT_ONCE: usize = 32;
/// How many tokens may wait to be asked for. Made-up ones cost a question each, and these are its bound.
const MOST_WAITING: usize = 1_000;
/// A longer answer, in bytes, is none.
const LONGEST_ANSWER: usize = 16 << 10;
/// What is encoded in a form: all but the unreserved (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One entry of `auth.introspection`.
#[derive(Debug, Clone)]
pub struct Introspection {
    url: Uri,
    /// The value of `Authorization`.
    credential: HeaderValue,
    rules: Rules,
    cache: Duration,
}

/// An issuer that is asked, at work.
pub struct Introspector {
    settings: Introspection,
    outside: Arc<dyn Outside>,
    active: Verified<Arc<Map<String, Value>>>,
    /// Apart from the others, so that made-up tokens displace none that are good.
    inactive: Verified<()>,
    /// Tokens that are being asked for, by one caller for all who have the same.
    asking: Mutex<HashMap<Digest, Arc<Question>>>,
    turns: Semaphore,
    /// Whether the last question failed.
    fails: AtomicBool,
}

type Question = OnceCell<Result<Arc<Map<String, Value>>, Refusal>>;

impl Introspection {
    /// Reads `auth.introspection`: the list of issuers. Nobody is asked.
    pub fn check(field: &Field<'_>, environment: &dyn Environment) -> Vec<Self> {
        let mut entries = Vec::new();
        let mut names = HashSet::new();
        for field in field.list().unwrap_or_default() {
            let Some(mut fields) = field.fields() else {
                continue;
            };
            let entry = Self::entry(&mut fields, environment);
            fields.finish();
            let Some(entry) = entry else { continue };
            if !names.insert(entry.name().to_owned()) {
                field.report(
                    "two entries have this name",
                    Some("give each a `name` of its own"),
                );
            }
            entries.push(entry);
        }
        entries
    }

    /// What the record and metrics call it.
    pub fn name(&self) -> &str {
        &self.rules.source
    }

    /// What its tokens have as `iss`, if the file says so.
    pub fn issuer(&self) -> Option<&str> {
        self.rules.issuer.as_deref()
    }

    fn entry(fields: &mut Fields<'_>, environment: &dyn Environment) -> Option<Self> {
        let url_field = fields.required("url");
        let url = url_field.resolved_text(environment);
        let url = url.and_then(|url| address::written(url, &url_field));
        let [issuer, id, secret] = [
            fields.optional("issuer"),
            fields.required("client_id"),
            fields.required("client_secret"),
        ]
        .map(|field| {
            let read = field.resolved_secret(environment)?.value;
            if read.is_empty() {
                field.report("nothing is written here", Some("what it names may be empty"));
                return None;
            }
            Some(read)
        });
        let issuer = issuer.map(|issuer| issuer.expose().to_owned());
        let cache_field = fields.optional("cache");
        let cache = cache_field.duration().map_or(CACHE, |cache| {
            if cache.value > MOST_CACHE {
                cache_field.report(
                    "a token that was taken back would be good for too long",
                    Some("write `5m` or less"),
                );
            }
            cache.value.min(MOST_CACHE)
        });
        let address = url.as_ref().map(ToString::to_string).unwrap_or_default();
        let rules = Rules::check(fields, issuer.as_deref().unwrap_or(&address), issuer.as_deref());
        Some(Self {
            url: url?,
            credential: credential(&id?, &secret?)?,
            rules,
            cache,
        })
    }
}

impl Introspector {
    /// An issuer that is asked by `outside`.
    pub fn new(settings: Introspection, outside: Arc<dyn Outside>) -> Self {
        Self {
            settings,
            outside,
            active: Verified::default(),
            inactive: Verified::default(),
            asking: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
            fails: AtomicBool::new(false),
        }
    }

    /// Its entry in the file.
    pub fn settings(&self) -> &Introspection {
        &self.settings
    }

    /// Whose token it is. What the issuer said counts for `cache`, and no longer than the token. `now` is the wall
    /// clock's.
    ///
    /// # Errors
    /// Why it is not believed. [`Refusal::Unavailable`] says that the issuer did not tell, after five seconds at most.
    pub async fn verify(
        &self,
        token: &str,
        expected: &Expected<'_>,
        now: SystemTime,
    ) -> Result<Arc<Identity>, Refusal> {
        if token.len() > LONGEST {
            return Err(Refusal::TooLong);
        }
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::Malformed);
        }
        let digest = verified::digest(token, []);
        let claims = match self.active.get(&digest, now) {
            Some(claims) => claims,
            None if self.inactive.get(&digest, now).is_some() => return Err(Refusal::Inactive),
            None => self.ask_once(token, digest, now).await?,
        };
        let identity = self.settings.rules.judge(Map::clone(&claims), expected, now)?;
        Ok(Arc::new(identity))
    }

    /// Asks for a token, or waits for who does.
    async fn ask_once(
        &self,
        token: &str,
        digest: Digest,
        now: SystemTime,
    ) -> Result<Arc<Map<String, Value>>, Refusal> {
        let asking = Asking::join(self, digest).ok_or(Refusal::Unavailable)?;
        let ask = || async {
            let told = timeout(PATIENCE, self.ask(token)).await;
            let told = told.unwrap_or_else(|_| Err("no answer in 5 s".to_owned()));
            self.tell(told.as_ref().err());
            // What it is worth at each place is judged there; here only for how long this is known.
            let until = now + self.settings.cache;
            let Some((claims, bytes)) = told.map_err(|_| Refusal::Unavailable)? else {
                self.inactive.put(digest, (), 0, now, until);
                return Err(Refusal::Inactive);
            };
            let claims = Arc::new(claims);
            self.active.put(digest, Arc::clone(&claims), bytes, now, until);
            Ok(claims)
        };
        // Who takes over from one that left waits no longer for that.
        let told = timeout(PATIENCE, asking.question.get_or_init(ask)).await;
        told.map_or(Err(Refusal::Unavailable), Clone::clone)
    }

    /// Tells the operator when questions begin to fail, and when they are answered again: not at each, since whoever
    /// makes up tokens could fill the log.
    fn tell(&self, failure: Option<&String>) {
        let had_failed = self.fails.swap(failure.is_some(), Ordering::Relaxed);
        let url = &self.settings.url;
        match failure {
            Some(why) if !had_failed => {
                tracing::warn!(%url, %why, "an issuer does not say what tokens are worth");
            }
            None if had_failed => tracing::info!(%url, "an issuer says what tokens are worth again"),
            Some(_) | None => {}
        }
    }

    /// What the issuer says: the claims of an active token and how long its answer is, or nothing.
    async fn ask(&self, token: &str) -> Result<Option<(Map<String, Value>, usize)>, String> {
        let turn = timeout(PATIENCE_FOR_TURN, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(format!("{AT_ONCE} other questions are not answered yet"));
        };
        let form = format!("token={}&token_type_hint=access_token", encoded(token));
        let request = Request::post(self.settings.url.clone())
            .header(AUTHORIZATION, self.settings.credential.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Bytes::from(form))
            .map_err(|error| error.to_string())?;
        let answer = self.outside.send(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answered {}", answer.status()));
        }
        if answer.body().len() > LONGEST_ANSWER {
            return Err("its answer is longer than 16 KiB".to_owned());
        }
        let claims = strict::object(answer.body())
            .ok_or("its answer is not a JSON object in which every name stands once")?;
        match claims.get("active") {
            Some(Value::Bool(true)) => Ok(Some((claims, answer.body().len()))),
            Some(Value::Bool(false)) => Ok(None),
            // `"true"` and `1` are not what the RFC has, and who guesses here lets people in.
            Some(_) | None => Err("its answer does not say `active: true` or `active: false`".to_owned()),
        }
    }
}

/// One caller's part in a question. The last one to go takes it off the list, however it went.
struct Asking<'i> {
    introspector: &'i Introspector,
    digest: Digest,
    question: Arc<Question>,
}

impl<'i> Asking<'i> {
    /// Nothing when too many others wait.
    fn join(introspector: &'i Introspector, digest: Digest) -> Option<Self> {
        let mut asking = introspector.asking.lock();
        if asking.len() >= MOST_WAITING && !asking.contains_key(&digest) {
            return None;
        }
        let question = Arc::clone(asking.entry(digest).or_default());
        Some(Self {
            introspector,
            digest,
            question,
        })
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut asking = self.introspector.asking.lock();
        let is_this = |question: &Arc<Question>| Arc::ptr_eq(question, &self.question);
        if !asking.get(&self.digest).is_some_and(is_this) {
            return;
        }
        // The list has one, we have one. A question with an answer is asked anew by who comes now.
        if self.question.initialized() || Arc::strong_count(&self.question) == 2 {
            asking.remove(&self.digest);
        }
    }
}

impl std::fmt::Debug for Introspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settings.fmt(f)
    }
}

/// `Basic` credentials, both parts encoded as in a form (RFC 6749 §2.3.1).
fn credential(id: &Secret, secret: &Secret) -> Option<HeaderValue> {
    let pair = format!("{}:{}", encoded(id.expose()), encoded(secret.expose()));
    let value = format!("Basic {}", STANDARD.encode(pair));
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn encoded(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, RESERVED)
}
