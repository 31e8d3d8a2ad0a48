//! Assertions: how a client that holds a private key shows who it is (RFC 7523 §2.2).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::vault::wipe;

/// How long one holds. It is made for one question.
const LIFETIME: Duration = Duration::from_secs(60);

/// What it is signed with.
pub(super) struct SigningKey {
    pair: Pair,
    /// What the authorization server calls its public half.
    id: Option<String>,
    /// What tells it from another one, for settings that are compared.
    digest: [u8; 32],
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// Their names, in the order in which they are told.
    pub(super) const ALGORITHMS: [(&'static str, &'static str); 3] =
        [("RS256", "RS256"), ("ES256", "ES256"), ("EdDSA", "EdDSA")];

    /// The key in a PEM text.
    ///
    /// # Errors
    /// Why it is none, without a letter of it.
    pub(super) fn parse(pem: &str, id: Option<String>) -> Result<Self, &'static str> {
        let (label, mut der) = unwrapped(pem).ok_or("it is no private key in PEM")?;
        let pair = Pair::parse(label, &der);
        let digest = Sha256::digest(&der).into();
        wipe(&mut der);
        Ok(Self {
            pair: pair?,
            id,
            digest,
        })
    }

    /// The algorithm that it is for.
    pub(super) fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// The word of this client, for this audience alone, for a minute from now, once.
    pub(super) fn assertion(&self, client: &str, audience: &str, now: SystemTime) -> String {
        let at = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut header = json!({ "alg": self.algorithm(), "typ": "JWT" });
        if let Some(id) = &self.id {
            header["kid"] = id.as_str().into();
        }
        let claims = json!({
            "iss": client, "sub": client, "aud": audience, "jti": random(),
            "iat": at, "exp": at.saturating_add(LIFETIME.as_secs()),
        });
        let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = format!("{}.{}", encode(header), encode(claims));
        let signature = self.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let none = "the system has random bytes, or nothing here is safe";
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature);
                signed.expect(none);
                signature
            }
            Pair::P256(pair) => pair.sign(&random, text).expect(none).as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(text).as_ref().to_vec(),
        }
    }
}

impl Pair {
    fn parse(label: &str, der: &[u8]) -> Result<Self, &'static str> {
        let random = SystemRandom::new();
        match label {
            "PRIVATE KEY" => {
                let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random).ok();
                let rsa = || RsaKeyPair::from_pkcs8(der).ok().map(Box::new).map(Self::Rsa);
                // As OpenSSL writes one it holds no public half.
                let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok();
                rsa()
                    .or_else(|| p256().map(Box::new).map(Self::P256))
                    .or_else(|| ed25519().map(Box::new).map(Self::Ed25519))
                    .ok_or("it is no RSA key of 2048 bits or more, no key for P-256 and none for Ed25519")
            }
            "RSA PRIVATE KEY" => {
                let pair = RsaKeyPair::from_der(der).map_err(|_| "it is no RSA key of 2048 bits or more")?;
                Ok(Self::Rsa(Box::new(pair)))
            }
            "EC PRIVATE KEY" => Err("it is not in PKCS#8; `openssl pkcs8 -topk8 -nocrypt` makes it so"),
            "ENCRYPTED PRIVATE KEY" => Err("it needs a password; `openssl pkcs8` takes it off"),
            "PUBLIC KEY" | "CERTIFICATE" => Err("it is the public half"),
            _ => Err("it is no private key"),
        }
    }
}

/// What a PEM text (RFC 7468) holds, and what it says to hold.
fn unwrapped(pem: &str) -> Option<(&str, Vec<u8>)> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let mut base64 = Vec::with_capacity(body.len());
    base64.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let der = STANDARD.decode(&base64).ok();
    wipe(&mut base64);
    Some((label, der?))
}

/// 256 bits that nobody can guess, in letters that pass everywhere.
pub(super) fn random() -> String {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.expect("the system has random bytes, or nothing here is safe");
    URL_SAFE_NO_PAD.encode(bytes)
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        (self.digest, &self.id) == (other.digest, &other.id)
    }
}

/// Which kind, never the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm())
    }
}
