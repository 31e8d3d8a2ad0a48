//! An issuer of tokens, with a key of each kind.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

/// A key pair, called `kid` in its set.
pub(crate) struct Signer {
    pub(crate) kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    /// That of the fixture: ring makes no RSA keys.
    pub(crate) fn rsa(kid: &str) -> Self {
        let pem: String = include_str!("test-only.pem")
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap();
        Self::new(kid, Pair::Rsa(pair))
    }

    pub(crate) fn p256(kid: &str) -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        Self::new(kid, Pair::P256(pair))
    }

    pub(crate) fn p384(kid: &str) -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P384_SHA384_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        Self::new(kid, Pair::P384(pair))
    }

    pub(crate) fn ed25519(kid: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Self::new(kid, Pair::Ed25519(pair))
    }

    /// One for each algorithm, by its name.
    pub(crate) fn of_each_algorithm() -> Vec<(&'static str, Self)> {
        vec![
            ("RS256", Self::rsa("rsa")),
            ("RS384", Self::rsa("rsa")),
            ("RS512", Self::rsa("rsa")),
            ("PS256", Self::rsa("rsa")),
            ("PS384", Self::rsa("rsa")),
            ("PS512", Self::rsa("rsa")),
            ("ES256", Self::p256("p256")),
            ("ES384", Self::p384("p384")),
            ("EdDSA", Self::ed25519("ed25519")),
            ("Ed25519", Self::ed25519("ed25519")),
        ]
    }

    /// The public half, as it stands in a key set.
    pub(crate) fn jwk(&self) -> Value {
        let kid = &self.kid;
        match &self.pair {
            Pair::Rsa(pair) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "kid": kid, "use": "sig", "n": base64(public.n), "e": base64(public.e) })
            }
            Pair::P256(pair) => point(kid, "P-256", pair.public_key().as_ref()),
            Pair::P384(pair) => point(kid, "P-384", pair.public_key().as_ref()),
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64(pair.public_key()) })
            }
        }
    }

    /// The public half as a text, for those who would take it for a secret.
    pub(crate) fn public(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::P256(pair) | Pair::P384(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// A token of this algorithm, whatever the key is of.
    pub(crate) fn token(&self, algorithm: &str, claims: &Value) -> String {
        self.token_with(algorithm, &json!({ "alg": algorithm, "kid": self.kid }), claims)
    }

    /// A token with this header, signed as `algorithm` says.
    pub(crate) fn token_with(&self, algorithm: &str, header: &Value, claims: &Value) -> String {
        self.token_of(algorithm, &header.to_string(), &claims.to_string())
    }

    /// A token of these very texts.
    pub(crate) fn token_of(&self, algorithm: &str, header: &str, claims: &str) -> String {
        let text = format!("{}.{}", base64(header), base64(claims));
        let signature = self.sign(algorithm, text.as_bytes());
        format!("{text}.{}", base64(signature))
    }

    fn new(kid: &str, pair: Pair) -> Self {
        let kid = kid.to_owned();
        Self { kid, pair }
    }

    fn sign(&self, algorithm: &str, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let encoding: &dyn RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, text, &mut signature).unwrap();
                signature
            }
            Pair::P256(pair) | Pair::P384(pair) => pair.sign(&random, text).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(text).as_ref().to_vec(),
        }
    }
}

/// A token signed with a secret.
pub(crate) fn with_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", base64(tag))
}

fn point(kid: &str, curve: &str, point: &[u8]) -> Value {
    let (x, y) = point[1..].split_at(point.len() / 2);
    json!({ "kty": "EC", "crv": curve, "kid": kid, "use": "sig", "x": base64(x), "y": base64(y) })
}
