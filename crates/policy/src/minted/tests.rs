//! Minted tokens, as an upstream verifies them.

use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use tempfile::TempDir;

use super::*;

const US: &str = "https://tools.example.com";
const CRM: &str = "https://crm.example.com";

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn minter(directory: &TempDir) -> Minter {
    Minter::open(&directory.path().join("identity.key"), US).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn ann() -> Identity {
    let mut ann = Identity::new(&"corp".into(), "https://login.example.com", "00u1");
    ann.name = Some("Ann \"the\" Admin".into());
    ann.roles = vec!["admin".into(), "user".into()];
    ann.tenant = Some("acme".into());
    ann.claims.insert("email".into(), json!("ann@acme.example"));
    ann
}

/// What a token says, to one who knows nothing but the key set.
fn verified(token: &str, jwks: &str) -> Option<Value> {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let parse = |text: &str| serde_json::from_slice::<Value>(&decode(text)?).ok();
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header = parse(header)?;
    assert_eq!((&header["alg"], &header["typ"]), (&json!("ES256"), &json!("JWT")));
    let jwks: Value = serde_json::from_str(jwks).ok()?;
    let keys = jwks["keys"].as_array()?;
    let key = keys.iter().find(|key| key["kid"] == header["kid"])?;
    assert_eq!((&key["kty"], &key["crv"]), (&json!("EC"), &json!("P-256")));
    let mut point = vec![4];
    for name in ["x", "y"] {
        point.extend(decode(key[name].as_str()?)?);
    }
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(signed.as_bytes(), &decode(signature)?).ok()?;
    parse(claims)
}

#[test]
fn an_upstream_learns_who_calls_from_whom_and_for_how_long() {
    let directory = directory();
    let minter = minter(&directory);

    let token = minter.mint(&ann(), CRM, at(0));

    let mut claims = verified(&token, &minter.jwks()).unwrap();
    let number = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(number.as_str().unwrap().len(), 22);
    assert_eq!(
        claims,
        json!({
            "iss": US, "aud": CRM, "sub": "corp:00u1", "source": "corp", "name": "Ann \"the\" Admin",
            "email": "ann@acme.example", "roles": ["admin", "user"], "tenant": "acme",
            "iat": 1_700_000_000, "exp": 1_700_000_300,
        })
    );
}

#[test]
fn what_is_not_known_is_not_said() {
    let directory = directory();
    let minter = minter(&directory);
    let claims = |identity: &Identity| {
        let token = minter.mint(identity, CRM, at(0));
        verified(&token, &minter.jwks()).unwrap()
    };
    let nobody = claims(&Identity::new(&"key".into(), "key", "ci"));
    assert_eq!(nobody["roles"], json!([]));
    for name in ["name", "email", "tenant"] {
        assert!(nobody.get(name).is_none(), "{name}");
    }
    for (verified, is_told) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(false), false),
        (json!("false"), false),
        (json!(null), false),
    ] {
        let mut ann = ann();
        ann.claims.insert("email_verified".into(), verified.clone());
        assert_eq!(claims(&ann).get("email").is_some(), is_told, "{verified}");
    }
}

#[test]
fn the_same_subject_of_two_sources_is_two_subjects() {
    let directory = directory();
    let minter = minter(&directory);
    let subject = |source: &str| {
        let identity = Identity::new(&source.into(), source, "ann");
        let claims = verified(&minter.mint(&identity, CRM, at(0)), &minter.jwks()).unwrap();
        claims["sub"].clone()
    };
    assert_ne!(subject("key"), subject("corp"));
}

#[test]
fn a_changed_token_or_another_key_verifies_nothing() {
    let (one, other) = (directory(), directory());
    let (one, other) = (minter(&one), minter(&other));
    let token = one.mint(&ann(), CRM, at(0));

    assert!(verified(&token, &other.jwks()).is_none());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let mut claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    for at in 0..claims.len() {
        claims[at] ^= 1;
        let changed = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(&claims));
        assert!(verified(&changed, &one.jwks()).is_none(), "{at}");
        claims[at] ^= 1;
    }
}

#[test]
fn a_token_is_given_again_until_it_has_a_minute_left() {
    let directory = directory();
    let minter = minter(&directory);
    let first = minter.mint(&ann(), CRM, at(0));

    assert_eq!(minter.mint(&ann(), CRM, at(239)), first);
    let second = minter.mint(&ann(), CRM, at(240));
    assert_ne!(second, first);
    assert_eq!(minter.mint(&ann(), CRM, at(241)), second);
    // The clock was set back: nobody would believe a token from the future.
    assert_ne!(minter.mint(&ann(), CRM, at(10)), second);
}

#[test]
fn another_audience_or_anything_else_to_say_is_another_token() {
    let directory = directory();
    let minter = minter(&directory);
    let first = minter.mint(&ann(), CRM, at(0));

    assert_ne!(minter.mint(&ann(), "https://docs.example.com", at(0)), first);
    let mut less = ann();
    less.roles = vec!["user".into()];
    let token = minter.mint(&less, CRM, at(1));
    let claims = verified(&token, &minter.jwks()).unwrap();
    assert_eq!(claims["roles"], json!(["user"]));
    let mut renamed = ann();
    renamed.claims.insert("email".into(), json!("new@acme.example"));
    assert_ne!(minter.mint(&renamed, CRM, at(0)), first);
}

#[test]
fn no_token_holds_longer_than_its_principal_is_believed() {
    let directory = directory();
    let minter = minter(&directory);
    let whole = minter.mint(&ann(), CRM, at(0));
    let until = |seconds| {
        let mut ann = ann();
        ann.expires = Some(at(seconds));
        ann
    };
    let expiry = |token: &str| {
        let claims = verified(token, &minter.jwks()).unwrap();
        claims["exp"].as_u64().unwrap() - 1_700_000_000
    };

    let short = minter.mint(&until(100), CRM, at(0));

    assert_ne!(short, whole);
    assert_eq!(expiry(&short), 100);
    assert_eq!(minter.mint(&until(100), CRM, at(39)), short);
    assert_ne!(minter.mint(&until(100), CRM, at(40)), short);
    assert_eq!(expiry(&minter.mint(&until(3600), CRM, at(50))), 350);
}

#[test]
fn the_key_is_made_once_and_for_its_owner_alone() {
    let directory = directory();
    let path = directory.path().join("identity.key");
    let minters: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| minter(&directory).jwks()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    assert!(minters.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(minter(&directory).jwks(), minters[0]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert!(!minters[0].contains("\"d\""));
}

#[test]
fn what_is_no_key_is_not_replaced() {
    let directory = directory();
    let path = directory.path().join("identity.key");
    for bytes in [&b""[..], b"-----BEGIN PRIVATE KEY-----"] {
        fs::write(&path, bytes).unwrap();
        let Err(error) = Minter::open(&path, US) else {
            panic!("it is no key");
        };
        assert!(error.to_string().contains("PKCS#8"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}
