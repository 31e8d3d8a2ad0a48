//! The network that the tests have: documents and answers by their addresses.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use config::{Environment, Field, Problems, Secret, Source};
use http::{Request, Response, Uri};
use parking_lot::Mutex;
use policy::authn::Outside;
use policy::fetched::{Auth, Fetched, Logins, Unfetched, Whose, With};
use policy::{Identity, Minter, Principal};
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

/// The upstream.
pub(crate) const MCP: &str = "https://mcp.example/tools/mcp";
/// Who gives tokens for it.
pub(crate) const AS: &str = "https://as.example/tenant";
/// Where its description is.
pub(crate) const PRM: &str = "https://mcp.example/.well-known/oauth-protected-resource/tools/mcp";
/// Where the description of who gives tokens is.
pub(crate) const METADATA: &str = "https://as.example/.well-known/oauth-authorization-server/tenant";
/// Where tokens are.
pub(crate) const TOKEN: &str = "https://as.example/token";

pub(crate) fn url(text: &str) -> Uri {
    text.parse().unwrap()
}

/// A description of the upstream, with changes; `null` takes a member out.
pub(crate) fn prm(changes: Value) -> Value {
    let document = json!({
        "resource": MCP, "authorization_servers": [AS], "scopes_supported": ["read", "offline_access"],
    });
    changed(document, changes)
}

/// A description of who gives tokens, with changes.
pub(crate) fn metadata(changes: Value) -> Value {
    let document = json!({
        "issuer": AS,
        "authorization_endpoint": "https://as.example/authorize",
        "token_endpoint": TOKEN,
        "registration_endpoint": "https://as.example/register",
        "code_challenge_methods_supported": ["plain", "S256"],
    });
    changed(document, changes)
}

pub(crate) fn changed(mut document: Value, changes: Value) -> Value {
    let members = document.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
    }
    members.retain(|_, value| !value.is_null());
    document
}

/// What an address answers.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) after: Duration,
}

impl Answer {
    pub(crate) fn of(body: impl ToString) -> Self {
        Self::with(200, body)
    }

    pub(crate) fn with(status: u16, body: impl ToString) -> Self {
        Self {
            status,
            body: body.to_string(),
            after: Duration::ZERO,
        }
    }

    pub(crate) fn after(mut self, seconds: u64) -> Self {
        self.after = Duration::from_secs(seconds);
        self
    }
}

type Script = Box<dyn Fn(&Sent) -> Answer + Send + Sync>;

/// A request as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) url: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
    /// How many went to this address before.
    pub(crate) before: usize,
}

impl Sent {
    /// What its form says under this name, which stands once.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        let pairs = form_urlencoded::parse(self.body.as_bytes());
        let values: Vec<_> = pairs.filter(|(key, _)| key == name).collect();
        assert!(values.len() <= 1, "{name} stands twice: {}", self.body);
        values.into_iter().next().map(|(_, value)| value.into_owned())
    }
}

/// Addresses and what they answer; any other is not there.
#[derive(Default)]
pub(crate) struct Network {
    places: Mutex<HashMap<String, Arc<Script>>>,
    sent: Mutex<Vec<Sent>>,
}

impl Network {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One in which the upstream and who gives tokens describe themselves.
    pub(crate) fn described() -> Arc<Self> {
        let network = Self::new();
        network.put(PRM, prm(json!({})));
        network.put(METADATA, metadata(json!({})));
        network
    }

    pub(crate) fn put(&self, url: &str, body: impl ToString) {
        self.answer(url, Answer::of(body));
    }

    pub(crate) fn answer(&self, url: &str, answer: Answer) {
        self.script(url, move |_| answer.clone());
    }

    pub(crate) fn script(&self, url: &str, script: impl Fn(&Sent) -> Answer + Send + Sync + 'static) {
        self.places
            .lock()
            .insert(url.to_owned(), Arc::new(Box::new(script)));
    }

    /// What was sent to this address.
    pub(crate) fn sent(&self, url: &str) -> Vec<Sent> {
        let sent = self.sent.lock();
        sent.iter().filter(|sent| sent.url == url).cloned().collect()
    }

    /// All addresses that were asked, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.sent.lock().iter().map(|sent| sent.url.clone()).collect()
    }
}

#[async_trait]
impl Outside for Network {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let url = request.uri().to_string();
        let authorization = request.headers().get("authorization");
        let sent = Sent {
            authorization: authorization.map(|value| value.to_str().unwrap().to_owned()),
            body: String::from_utf8(request.body().to_vec()).unwrap(),
            before: self.sent(&url).len(),
            url: url.clone(),
        };
        self.sent.lock().push(sent.clone());
        let script = self.places.lock().get(&url).cloned();
        let answer = script.map_or(Answer::with(404, "not here"), |script| script(&sent));
        tokio::time::sleep(answer.after).await;
        match answer.status {
            0 => Err("connection refused".to_owned()),
            status => Ok(Response::builder()
                .status(status)
                .body(answer.body.into())
                .unwrap()),
        }
    }
}

/// The clock of tokens stands here.
pub(crate) const NOW: u64 = 1_800_000_000;
/// What no error and no debug output may show.
pub(crate) const CANARY: &str = "canary-secret";

pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A disk with keys, and the private key of RSA that the other tests have.
pub(crate) struct Disk;

impl Environment for Disk {
    fn var(&self, name: &str) -> Option<String> {
        (name == "SECRET").then(|| CANARY.to_owned())
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("rsa.pem") => Ok(include_str!("../authn/test-only.pem").to_owned()),
            Some("ed25519.pem") => Ok(ed25519()),
            Some("public.pem") => Ok("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----".to_owned()),
            Some(_) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// A key as OpenSSL writes it: always the same.
fn ed25519() -> String {
    use base64::Engine as _;
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([7; 32]);
    let base64 = base64::engine::general_purpose::STANDARD.encode(&der);
    format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n")
}

/// The same key.
pub(crate) fn ed25519_pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

/// What `auth` says, and what is wrong with it.
pub(crate) fn check(text: &str) -> (Option<Auth>, String) {
    let source = Source::from_text("gateway.yaml", text);
    let problems = Problems::default();
    let node = source.parse(&problems).expect("YAML");
    let read = Auth::check(&Field::root(&node, &problems), &Disk);
    (read, problems.render(&source))
}

pub(crate) fn auth(text: &str) -> Auth {
    let (read, problems) = check(text);
    assert_eq!(problems, "");
    read.unwrap()
}

/// The credentials of the upstream.
pub(crate) fn fetched(text: &str, network: &Arc<Network>) -> Fetched {
    fetched_with(text, network, None, None)
}

/// The same, where we make tokens of our own, or keep logins.
pub(crate) fn fetched_with(
    text: &str,
    network: &Arc<Network>,
    minter: Option<Minter>,
    logins: Option<&Arc<Logins>>,
) -> Fetched {
    let with = With {
        outside: Arc::clone(network) as Arc<dyn Outside>,
        minter: minter.map(Arc::new),
        logins: logins.cloned(),
    };
    Fetched::new("crm", url(MCP), auth(text), with)
}

pub(crate) fn principal(subject: &str) -> Principal {
    Principal::Known(Arc::new(Identity::new(&"as".into(), "https://idp", subject)))
}

/// A token for the gateway itself, at this second.
pub(crate) async fn token(fetched: &Fetched, second: u64) -> Result<Arc<Secret>, Unfetched> {
    let whose = Whose {
        principal: &Principal::Anonymous,
        token: None,
    };
    fetched.token(&whose, at(NOW + second)).await
}

/// An answer that grants a token, with changes.
pub(crate) fn grant(token: &str, changes: Value) -> Value {
    let answer = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 600 });
    changed(answer, changes)
}

/// Grants `t1`, `t2` and so on.
pub(crate) fn grants(network: &Network) {
    network.script(TOKEN, |sent| {
        Answer::of(grant(&format!("t{}", sent.before + 1), json!({})))
    });
}
