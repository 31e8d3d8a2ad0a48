//! Public keys of an issuer: which there are (RFC 7517), what each is good for, and whether it signed something.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Map, Value};

use super::strict;

/// A longer document, in bytes, is no key set.
pub(super) const LONGEST: usize = 256 << 10;
/// More keys than an issuer has, in the middle of any change.
const MOST: usize = 100;
/// Lengths of an RSA modulus that we take, in bits. Verifying with a longer one would cost more than a request may.
const MODULUS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A way of signing, with a pair of keys: a shared secret is never taken for an issuer's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "they are called as in RFC 7518 §3.1 and RFC 8037 §3.1"
)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// The keys that an issuer publishes, as far as we can verify with them.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    id: Option<String>,
    /// The only one it is for, where it says so.
    algorithm: Option<Algorithm>,
    public: Public,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Public {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// Points of the curve, uncompressed.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// What a key set has for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Key(Arc<Key>),
    /// Nothing; a newer set may have it.
    None,
    /// Several, and the token does not say which.
    Several,
}

impl Algorithm {
    /// All of them, by their names in a token.
    pub const ALL: [(&'static str, Self); 10] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
        // The same since RFC 9864, which names the curve.
        ("Ed25519", Self::EdDsa),
    ];

    /// That of this name, exactly as it is written.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, algorithm)| *algorithm)
    }
}

impl KeySet {
    /// Reads a document. Keys that we cannot use are left out: sets hold keys for encryption, and ever new kinds. A
    /// set without any is one too, and nobody's token is valid then.
    ///
    /// # Errors
    /// What is wrong with the document as a whole.
    pub fn parse(document: &[u8]) -> Result<Self, &'static str> {
        if document.len() > LONGEST {
            return Err("a key set is no longer than 256 KiB");
        }
        let document =
            strict::object(document).ok_or("it is not a JSON object in which every name stands once")?;
        let keys = document.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or("it has no list `keys`")?;
        if keys.len() > MOST {
            return Err("a key set has no more than 100 keys");
        }
        let keys = keys.iter().filter_map(|key| Key::read(key.as_object()?));
        Ok(Self {
            keys: keys.map(Arc::new).collect(),
        })
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of that `kid`; without one the only key that fits. Keys of several kinds may share a `kid` (RFC 7517
    /// §4.5).
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Found {
        let mut fitting = self.keys.iter().filter(|key| {
            let is_meant = id.is_none() || key.id.as_deref() == id;
            is_meant && key.fits(algorithm)
        });
        match (fitting.next(), fitting.next()) {
            (None, _) => Found::None,
            (Some(key), None) => Found::Key(Arc::clone(key)),
            (Some(_), Some(_)) => Found::Several,
        }
    }
}

impl Key {
    fn read(key: &Map<String, Value>) -> Option<Self> {
        let is_for_signatures = key.get("use").is_none_or(|value| value == "sig");
        let verifies = key.get("key_ops").is_none_or(|operations| {
            let operations = operations.as_array();
            operations.is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
        });
        if !is_for_signatures || !verifies {
            return None;
        }
        let text = |name| key.get(name).and_then(Value::as_str);
        let bytes = |name| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let point = |length| {
            let (x, y) = (bytes("x")?, bytes("y")?);
            (x.len() == length && y.len() == length).then(|| [&[4], &*x, &*y].concat())
        };
        let public = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                // Some issuers write a zero before it, which is the sign in their own notation.
                let significant = |number: Vec<u8>| -> Vec<u8> {
                    number.into_iter().skip_while(|byte| *byte == 0).collect()
                };
                let (n, e) = (significant(bytes("n")?), significant(bytes("e")?));
                let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
                // ring takes odd exponents from 3 to 33 bits.
                let is_exponent = e.len() <= 4 && e.last().is_some_and(|last| last % 2 == 1) && *e != [1];
                (MODULUS.contains(&bits) && is_exponent).then_some(Public::Rsa { n, e })?
            }
            ("EC", Some("P-256")) => Public::P256(point(32)?),
            ("EC", Some("P-384")) => Public::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Public::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
            (_, _) => return None,
        };
        let algorithm = match key.get("alg") {
            None => None,
            Some(name) => Some(Algorithm::parse(name.as_str()?)?),
        };
        let id = match key.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        let key = Self {
            id,
            algorithm,
            public,
        };
        // One that says to be for what its kind cannot do is for nothing.
        algorithm
            .is_none_or(|algorithm| key.fits(algorithm))
            .then_some(key)
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let is_of_its_kind = match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => matches!(self.public, Public::Rsa { .. }),
            Algorithm::Es256 => matches!(self.public, Public::P256(_)),
            Algorithm::Es384 => matches!(self.public, Public::P384(_)),
            Algorithm::EdDsa => matches!(self.public, Public::Ed25519(_)),
        };
        is_of_its_kind && self.algorithm.is_none_or(|own| own == algorithm)
    }

    /// Whether this key signed that. Never with an algorithm that it is not for.
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let result =
            match &self.public {
                Public::Rsa { n, e } => {
                    let Some(parameters) = parameters(algorithm) else {
                        return false;
                    };
                    RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature)
                }
                Public::P256(point) => UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(signed, signature),
                Public::P384(point) => UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point)
                    .verify(signed, signature),
                Public::Ed25519(point) => {
                    UnparsedPublicKey::new(&signature::ED25519, point).verify(signed, signature)
                }
            };
        result.is_ok()
    }
}

fn parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The examples of RFC 7515 §A.2 and §A.3, and of RFC 8037 §A.4.
    #[test]
    fn what_the_rfcs_sign_is_verified() {
        let rsa = json!({
            "kty": "RSA", "e": "AQAB",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        });
        let p256 = json!({
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        });
        let ed25519 = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let claims =
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        for (jwk, algorithm, signed, signature) in [
            (
                rsa,
                Algorithm::Rs256,
                format!("eyJhbGciOiJSUzI1NiJ9.{claims}"),
                "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
            ),
            (
                p256,
                Algorithm::Es256,
                format!("eyJhbGciOiJFUzI1NiJ9.{claims}"),
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            ),
            (
                ed25519,
                Algorithm::EdDsa,
                "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            ),
        ] {
            let key = Key::read(jwk.as_object().expect("an object")).expect("a key");
            let signature = URL_SAFE_NO_PAD.decode(signature).expect("bytes");
            assert!(
                key.verifies(algorithm, signed.as_bytes(), &signature),
                "{algorithm:?}"
            );
            assert!(
                !key.verifies(algorithm, &signed.as_bytes()[1..], &signature),
                "{algorithm:?}"
            );
            // What a key is not for it does not verify, whoever asks.
            for (_, other) in Algorithm::ALL {
                let verifies = key.verifies(other, signed.as_bytes(), &signature);
                assert_eq!(verifies, other == algorithm, "{other:?}");
            }
        }
    }
}
