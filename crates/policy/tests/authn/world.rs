//! The file, the disk, the clock and the network that the tests have.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use config::{Environment, Field, Problems, Source};
use http::{Request, Response};
use policy::Identity;
use policy::authn::{Expected, Issuer, Issuers, Outside, Refusal};
use serde_json::{Value, json};

use crate::signer::Signer;

/// What the tests' resource is called.
pub(crate) const US: &str = "https://us/mcp";
/// And who gives tokens for it.
pub(crate) const AS: &str = "https://as";
/// The clock of tokens stands here.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The claims of a good token, with changes; `null` takes a claim out.
pub(crate) fn claims(changes: Value) -> Value {
    let mut claims = json!({ "iss": AS, "aud": US, "sub": "ann", "exp": NOW + 300 });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

/// The key set of these.
pub(crate) fn jwks<'s>(signers: impl IntoIterator<Item = &'s Signer>) -> String {
    let keys: Vec<Value> = signers.into_iter().map(Signer::jwk).collect();
    json!({ "keys": keys }).to_string()
}

/// A disk with one file, whatever it is called.
pub(crate) struct Disk(pub(crate) String);

impl Environment for Disk {
    fn var(&self, name: &str) -> Option<String> {
        (name == "SECRET").then(|| "a secret of thirty-two letters, at least".to_owned())
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("keys.json") => Ok(self.0.clone()),
            Some(_) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// What a section says, and what is wrong with it.
pub(crate) fn check<T>(
    text: &str,
    disk: &Disk,
    read: impl FnOnce(&Field<'_>, &dyn Environment) -> T,
) -> (T, String) {
    let source = Source::from_text("gateway.yaml", text);
    let problems = Problems::default();
    let node = source.parse(&problems).expect("YAML");
    let read = read(&Field::root(&node, &problems), disk);
    (read, problems.render(&source))
}

/// What a section without a mistake says.
pub(crate) fn read<T>(text: &str, disk: &Disk, read: impl FnOnce(&Field<'_>, &dyn Environment) -> T) -> T {
    let (read, problems) = check(text, disk, read);
    assert_eq!(problems, "");
    read
}

/// Issuers as a file names them, whose keys are on the disk or come from `outside`.
pub(crate) fn issuers(text: &str, keys: &str, outside: &Arc<dyn Outside>) -> Issuers {
    let disk = Disk(keys.to_owned());
    Issuers::new(read(text, &disk, Issuer::check), outside, None)
}

/// One issuer with these keys, and what else its entry says.
pub(crate) fn issuer(signers: &[&Signer], more: &str) -> Issuers {
    let text = format!("- {{ issuer: {AS}, jwks: keys.json, {more} }}");
    issuers(&text, &jwks(signers.iter().copied()), &nobody())
}

pub(crate) async fn verify(issuers: &Issuers, token: &str) -> Result<Arc<Identity>, Refusal> {
    let audiences = [US.to_owned()];
    let expected = Expected {
        audiences: &audiences,
    };
    issuers.verify(token, &expected, at(NOW)).await
}

/// A server that answers as it is told, and counts.
pub(crate) struct Server {
    answer: parking_lot::Mutex<Answer>,
    pub(crate) asked: AtomicUsize,
    pub(crate) requests: parking_lot::Mutex<Vec<Request<Bytes>>>,
}

/// What it answers, and after what time.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) cache_control: Option<&'static str>,
    pub(crate) after: Duration,
}

impl Answer {
    pub(crate) fn of(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            body: body.into(),
            cache_control: None,
            after: Duration::ZERO,
        }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::of("")
        }
    }
}

impl Server {
    pub(crate) fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            answer: parking_lot::Mutex::new(answer),
            asked: AtomicUsize::new(0),
            requests: parking_lot::Mutex::default(),
        })
    }

    pub(crate) fn now_answers(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Outside for Server {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.requests.lock().push(request);
        let answer = self.answer.lock().clone();
        tokio::time::sleep(answer.after).await;
        if answer.status == 0 {
            return Err("connection refused".to_owned());
        }
        let mut response = Response::builder().status(answer.status);
        if let Some(cache_control) = answer.cache_control {
            response = response.header("cache-control", cache_control);
        }
        Ok(response.body(answer.body.into()).unwrap())
    }
}

/// A network in which nobody is to be asked.
pub(crate) fn nobody() -> Arc<dyn Outside> {
    struct Nobody;
    #[async_trait]
    impl Outside for Nobody {
        async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
            panic!("{} was asked", request.uri())
        }
    }
    Arc::new(Nobody)
}
