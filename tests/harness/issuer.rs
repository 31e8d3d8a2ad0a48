//! An issuer of tokens: a key, its public half at an address, and tokens of whatever is to be claimed.
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::{Mood, Reply, Server};

/// One that signs by ES256.
pub struct Issuer {
    key: EcdsaKeyPair,
    keys: Server,
}

impl Issuer {
    /// One whose keys can be had.
    pub async fn start() -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("there is randomness");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("it was just made");
        let point = &key.public_key().as_ref()[1..];
        let jwk = json!({ "kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "use": "sig",
            "x": text(&point[..32]), "y": text(&point[32..]) });
        let set = json!({ "keys": [jwk] });
        let keys = Server::of(Mood::Dual)
            .unchecked()
            .always(move |_| Reply::json(200, &set));
        Self {
            key,
            keys: keys.start().await,
        }
    }

    /// What its tokens say of it.
    pub fn name(&self) -> &'static str {
        "https://login.example.com"
    }

    /// Its entry in `auth.jwt`, with more of it.
    pub fn entry(&self, more: &str) -> String {
        format!(
            "{{ issuer: \"{}\", jwks: \"{}\", algorithms: [ES256], claims: {{ roles: roles, tenant: org }}{more} }}",
            self.name(),
            self.keys.url()
        )
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> usize {
        self.keys.requests().len()
    }

    /// A token with these claims beside those that each has.
    pub fn token(&self, claims: Value) -> String {
        self.token_by("k", claims)
    }

    /// The same, by a key that is called so.
    pub fn token_by(&self, kid: &str, claims: Value) -> String {
        let mut all = json!({ "iss": self.name(), "exp": now() + 300, "iat": now() });
        all.as_object_mut()
            .expect("it is an object")
            .extend(claims.as_object().expect("claims are an object").clone());
        let header = json!({ "alg": "ES256", "kid": kid });
        let signed = format!("{}.{}", text(header.to_string()), text(all.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", text(signature.expect("there is randomness")))
    }
}

/// What an Open WebUI with this secret says of its user.
pub fn open_webui_token(secret: &str, claims: Value) -> String {
    let mut all = json!({ "iss": "open-webui", "exp": now() + 300, "iat": now() });
    all.as_object_mut()
        .expect("it is an object")
        .extend(claims.as_object().expect("claims are an object").clone());
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let signed = format!("{}.{}", text(header.to_string()), text(all.to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("{signed}.{}", text(hmac::sign(&key, signed.as_bytes())))
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
