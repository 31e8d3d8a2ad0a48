//! Tokens that are signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::authn::{Expected, Issuer, Refusal};
use serde_json::{Value, json};

use crate::signer::{Signer, base64, with_secret};
use crate::world::{AS, Disk, NOW, US, at, check, claims, issuer, issuers, jwks, nobody, verify};

const EVERY: &str = "algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA]";

#[tokio::test]
async fn a_token_of_every_algorithm_is_believed() {
    for (algorithm, signer) in Signer::of_each_algorithm() {
        let issuers = issuer(&[&signer], EVERY);
        let identity = verify(&issuers, &signer.token(algorithm, &claims(json!({})))).await;
        let identity = identity.unwrap_or_else(|refusal| panic!("{algorithm}: {}", refusal.cause()));
        assert_eq!((&*identity.subject, &*identity.source), ("ann", AS));
        assert_eq!(identity.expires, Some(at(NOW + 330)));

        // But not when the file does not list it.
        let others = issuer(
            &[&signer],
            "algorithms: [ES512x]"
                .replace("ES512x", other_than(algorithm))
                .as_str(),
        );
        let refused = verify(&others, &signer.token(algorithm, &claims(json!({})))).await;
        assert_eq!(refused.err(), Some(Refusal::Algorithm), "{algorithm}");
    }
}

fn other_than(algorithm: &str) -> &'static str {
    if algorithm == "RS256" { "ES256" } else { "RS256" }
}

#[tokio::test]
async fn a_key_signs_with_nothing_that_it_is_not_for() {
    let (rsa, p256, p384, ed25519) = (
        Signer::rsa("k"),
        Signer::p256("k"),
        Signer::p384("k"),
        Signer::ed25519("k"),
    );
    for signer in [&rsa, &p256, &p384, &ed25519] {
        let issuers = issuer(&[signer], EVERY);
        // The public key as a secret, a token that nobody signed, and names that are none.
        for algorithm in [
            "HS256", "HS384", "none", "None", "NONE", "", "rs256", "ES256K", "ES512",
        ] {
            let header = json!({ "alg": algorithm, "kid": "k" });
            let claims = claims(json!({}));
            let unsigned = format!("{}.{}.", base64(header.to_string()), base64(claims.to_string()));
            let jwk = signer.jwk().to_string();
            for token in [
                with_secret(&signer.public(), &header, &claims),
                with_secret(jwk.as_bytes(), &header, &claims),
                signer.token_with("RS256", &header, &claims),
                unsigned,
            ] {
                let refused = verify(&issuers, &token).await;
                assert_eq!(refused.err(), Some(Refusal::Algorithm), "{algorithm}");
            }
        }
    }
    // An algorithm of another kind than the key's finds no key at all.
    for (signer, good) in [
        (&rsa, "RS256"),
        (&p256, "ES256"),
        (&p384, "ES384"),
        (&ed25519, "EdDSA"),
    ] {
        let issuers = issuer(&[signer], EVERY);
        for (algorithm, _) in Signer::of_each_algorithm() {
            let header = json!({ "alg": algorithm, "kid": "k" });
            let token = signer.token_with(good, &header, &claims(json!({})));
            let refused = verify(&issuers, &token).await.err();
            let expected = match (good, algorithm) {
                (good, algorithm) if good == algorithm => None,
                ("EdDSA", "Ed25519") => None,
                ("RS256", algorithm) if algorithm.contains("S256") && algorithm.starts_with('E') => {
                    Some(Refusal::Key)
                }
                ("RS256", algorithm) if algorithm.starts_with(['R', 'P']) => Some(Refusal::Signature),
                (_, _) => Some(Refusal::Key),
            };
            assert_eq!(refused, expected, "{good} as {algorithm}");
        }
    }
}

#[tokio::test]
async fn a_key_that_says_what_it_is_for_is_for_nothing_else() {
    let signer = Signer::rsa("k");
    let token = signer.token("RS256", &claims(json!({})));
    for (member, value, refusal) in [
        ("alg", json!("RS256"), None),
        ("alg", json!("RS512"), Some(Refusal::Key)),
        ("alg", json!("ES256"), Some(Refusal::Key)),
        ("alg", json!("RSA-OAEP"), Some(Refusal::Key)),
        ("alg", json!(256), Some(Refusal::Key)),
        ("use", json!("enc"), Some(Refusal::Key)),
        ("use", json!(["sig"]), Some(Refusal::Key)),
        ("key_ops", json!(["verify"]), None),
        ("key_ops", json!(["sign"]), Some(Refusal::Key)),
        ("key_ops", json!("verify"), Some(Refusal::Key)),
        ("kty", json!("EC"), Some(Refusal::Key)),
        ("kty", json!("oct"), Some(Refusal::Key)),
        ("kid", json!(7), Some(Refusal::Key)),
        ("e", json!("AQ"), Some(Refusal::Key)),
        ("e", json!("AQAA"), Some(Refusal::Key)),
        ("e", json!("AQABAAAAAQ"), Some(Refusal::Key)),
        ("n", json!(base64([0xff; 128])), Some(Refusal::Key)),
        ("n", json!(base64([0xff; 1025])), Some(Refusal::Key)),
        ("n", json!("*"), Some(Refusal::Key)),
    ] {
        let mut jwk = signer.jwk();
        jwk[member] = value.clone();
        // Another key beside it, since a file without any is a mistake.
        let keys = json!({ "keys": [jwk, Signer::ed25519("e").jwk(), 7, {}] }).to_string();
        let text = format!("- {{ issuer: {AS}, jwks: keys.json }}");
        let issuers = issuers(&text, &keys, &nobody());
        assert_eq!(verify(&issuers, &token).await.err(), refusal, "{member}: {value}");
    }
    // A zero before the modulus is its sign, and the key the same.
    let mut jwk = signer.jwk();
    let n = modulus(&jwk);
    jwk["n"] = json!(base64([&[0], &*n].concat()));
    let text = format!("- {{ issuer: {AS}, jwks: keys.json }}");
    let issuers = issuers(&text, &json!({ "keys": [jwk] }).to_string(), &nobody());
    assert!(verify(&issuers, &token).await.is_ok());
}

fn modulus(jwk: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn the_kid_chooses_and_without_it_there_must_be_no_choice() {
    let (one, two, edwards) = (Signer::p256("one"), Signer::p256("two"), Signer::ed25519("one"));
    let issuers = issuer(&[&one, &two, &edwards], EVERY);
    let claims = claims(json!({}));
    for (token, refusal) in [
        (one.token("ES256", &claims), None),
        (two.token("ES256", &claims), None),
        // The same `kid`, of another kind.
        (edwards.token("EdDSA", &claims), None),
        (
            edwards.token_with("EdDSA", &json!({ "alg": "EdDSA" }), &claims),
            None,
        ),
        (
            one.token_with("ES256", &json!({ "alg": "ES256" }), &claims),
            Some(Refusal::Key),
        ),
        (
            one.token_with("ES256", &json!({ "alg": "ES256", "kid": "two" }), &claims),
            Some(Refusal::Signature),
        ),
        (
            one.token_with("ES256", &json!({ "alg": "ES256", "kid": "" }), &claims),
            Some(Refusal::Key),
        ),
        (Signer::p256("three").token("ES256", &claims), Some(Refusal::Key)),
        (
            Signer::p256("one").token("ES256", &claims),
            Some(Refusal::Signature),
        ),
    ] {
        assert_eq!(verify(&issuers, &token).await.err(), refusal);
    }
}

#[tokio::test]
async fn nothing_that_a_token_brings_along_is_believed() {
    let (good, evil) = (Signer::p256("k"), Signer::p256("k"));
    let issuers = issuer(&[&good], "");
    for (name, value) in [
        ("jwk", evil.jwk()),
        ("jku", json!("https://evil/jwks.json")),
        ("x5u", json!("https://evil/a.pem")),
        ("x5c", json!(["AAAA"])),
    ] {
        let mut header = json!({ "alg": "ES256", "kid": "k" });
        header[name] = value;
        let refused = verify(&issuers, &evil.token_with("ES256", &header, &claims(json!({})))).await;
        assert_eq!(refused.err(), Some(Refusal::Signature), "{name}");
        let believed = verify(&issuers, &good.token_with("ES256", &header, &claims(json!({})))).await;
        assert!(believed.is_ok(), "{name}");
    }
    let header = json!({ "alg": "ES256", "kid": "k", "crit": ["exp"], "exp": 1 });
    let refused = verify(&issuers, &good.token_with("ES256", &header, &claims(json!({})))).await;
    assert_eq!(refused.err(), Some(Refusal::Malformed));
}

#[tokio::test]
async fn a_well_signed_token_is_refused_for_what_it_says() {
    let signer = Signer::p256("k");
    let issuers = issuer(&[&signer], "");
    for (changes, refusal) in [
        (json!({}), None),
        (json!({ "iss": "https://other" }), Some(Refusal::Issuer)),
        (json!({ "iss": null }), Some(Refusal::Issuer)),
        (json!({ "aud": "https://us/other" }), Some(Refusal::Audience)),
        (json!({ "aud": null }), Some(Refusal::Audience)),
        (json!({ "aud": ["https://x", "HTTPS://US/mcp"] }), None),
        (json!({ "exp": NOW - 30 }), Some(Refusal::Expired)),
        (json!({ "exp": NOW - 29 }), None),
        (json!({ "exp": null }), Some(Refusal::Claim)),
        (json!({ "exp": format!("{}", NOW + 300) }), Some(Refusal::Claim)),
        (json!({ "exp": -1 }), Some(Refusal::Claim)),
        (json!({ "nbf": "0" }), Some(Refusal::Claim)),
        (json!({ "nbf": NOW + 31 }), Some(Refusal::Early)),
        (json!({ "iat": "0" }), Some(Refusal::Claim)),
        (json!({ "sub": null }), Some(Refusal::Subject)),
    ] {
        let token = signer.token("ES256", &claims(changes.clone()));
        assert_eq!(verify(&issuers, &token).await.err(), refusal, "{changes}");
    }
    for text in [
        format!(r#"{{"iss":"{AS}","aud":"{US}","sub":"ann","exp":1e400}}"#),
        format!(
            r#"{{"iss":"{AS}","aud":"{US}","sub":"ann","sub":"eve","exp":{}}}"#,
            NOW + 300
        ),
        format!(
            r#"{{"iss":"{AS}","aud":"{US}","sub":"ann","exp":1,"exp":{}}}"#,
            NOW + 300
        ),
        "null".to_owned(),
    ] {
        let token = signer.token_of("ES256", r#"{"alg":"ES256","kid":"k"}"#, &text);
        assert_eq!(
            verify(&issuers, &token).await.err(),
            Some(Refusal::Malformed),
            "{text}"
        );
    }
    let token = signer.token_of(
        "ES256",
        r#"{"alg":"none","alg":"ES256"}"#,
        &claims(json!({})).to_string(),
    );
    assert_eq!(verify(&issuers, &token).await.err(), Some(Refusal::Malformed));
    let long = signer.token("ES256", &claims(json!({ "x": "x".repeat(16 << 10) })));
    assert_eq!(verify(&issuers, &long).await.err(), Some(Refusal::TooLong));
}

#[tokio::test]
async fn an_entry_demands_more_where_it_says_so() {
    let signer = Signer::p256("k");
    let strict = issuer(
        &[&signer],
        "name: login, type: at+jwt, leeway: 0s, audience: [api, other], required: [org.id], claims: { tenant: org.id, subject: oid, roles: groups }",
    );
    let token = |kind: Option<&str>, changes: Value| {
        let mut header = json!({ "alg": "ES256", "kid": "k" });
        if let Some(kind) = kind {
            header["typ"] = json!(kind);
        }
        let mut good =
            json!({ "aud": "api", "org": { "id": "acme" }, "oid": "7", "sub": null, "groups": "staff" });
        good.as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        signer.token_with("ES256", &header, &claims(good))
    };
    for kind in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        let ann = verify(&strict, &token(Some(kind), json!({})))
            .await
            .expect("believed");
        assert_eq!(
            (&*ann.source, &*ann.subject, ann.tenant.as_deref()),
            ("login", "7", Some("acme"))
        );
        assert_eq!(ann.roles, ["staff"]);
    }
    for (kind, changes, refusal) in [
        (None, json!({}), Refusal::Type),
        (Some("JWT"), json!({}), Refusal::Type),
        // What is for another place of ours is not for this one.
        (
            Some("at+jwt"),
            json!({ "aud": format!("{US}/other") }),
            Refusal::Audience,
        ),
        (Some("at+jwt"), json!({ "org": {} }), Refusal::Claim),
        (
            Some("at+jwt"),
            json!({ "oid": null, "sub": "ann" }),
            Refusal::Subject,
        ),
        (Some("at+jwt"), json!({ "exp": NOW }), Refusal::Expired),
    ] {
        let refused = verify(&strict, &token(kind, changes.clone())).await;
        assert_eq!(refused.err(), Some(refusal), "{kind:?} {changes}");
    }
}

#[tokio::test]
async fn each_issuer_has_its_own_keys() {
    let (one, two) = (Signer::p256("k"), Signer::p256("l"));
    let server = crate::world::Server::new(crate::world::Answer::of(jwks([&two])));
    let outside: std::sync::Arc<dyn policy::authn::Outside> = server;
    let text = format!(
        "- {{ issuer: {AS}, jwks: keys.json, name: one }}\n- {{ issuer: https://b, jwks: https://b/keys, name: two }}"
    );
    let issuers = issuers(&text, &jwks([&one]), &outside);
    let keepers: Vec<_> = issuers
        .key_sets()
        .map(|set| tokio::spawn(std::sync::Arc::clone(set).keep()))
        .collect();

    let of_two = |signer: &Signer, kid: &str| {
        signer.token_with(
            "ES256",
            &json!({ "alg": "ES256", "kid": kid }),
            &claims(json!({ "iss": "https://b" })),
        )
    };
    let ann = verify(&issuers, &one.token("ES256", &claims(json!({}))))
        .await
        .expect("believed");
    let other = verify(&issuers, &of_two(&two, "l")).await.expect("believed");
    assert_ne!(policy::Principal::Known(ann), policy::Principal::Known(other));
    // With the `kid` of another issuer's key, and with that key.
    assert_eq!(
        verify(&issuers, &of_two(&one, "k")).await.err(),
        Some(Refusal::Key)
    );
    assert_eq!(
        verify(&issuers, &of_two(&one, "l")).await.err(),
        Some(Refusal::Signature)
    );
    keepers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_token_that_was_verified_is_still_judged_by_place_and_time() {
    let signer = Signer::p256("k");
    let issuers = issuer(&[&signer], "");
    let token = signer.token("ES256", &claims(json!({})));
    let judged = async |audience: &str, now: u64| {
        let audiences = [audience.to_owned()];
        let expected = Expected {
            audiences: &audiences,
        };
        issuers.verify(&token, &expected, at(now)).await.err()
    };
    assert_eq!(judged(US, NOW).await, None);
    assert_eq!(judged(US, NOW).await, None);
    assert_eq!(judged("https://us/other", NOW).await, Some(Refusal::Audience));
    assert_eq!(judged(US, NOW + 329).await, None);
    assert_eq!(judged(US, NOW + 330).await, Some(Refusal::Expired));
    assert_eq!(judged(US, NOW - 86_400).await, None);
}

#[test]
fn mistakes_are_told_in_the_words_of_the_file() {
    let keys = Disk(jwks([&Signer::p256("k")]));
    for (entry, told) in [
        ("{ jwks: keys.json }", "`issuer` is missing"),
        ("{ issuer: a }", "`jwks` is missing"),
        (
            "{ issuer: '', jwks: keys.json }",
            "write what its tokens have as `iss`",
        ),
        ("{ issuer: a, jwks: gone.json }", "`gone.json` cannot be read"),
        ("{ issuer: a, jwks: 'http://as/keys' }", "is not encrypted"),
        ("{ issuer: a, jwks: 'ftp://as/keys' }", "is not a URL we can ask"),
        (
            "{ issuer: a, jwks: 'https://me:pw@as/keys' }",
            "may not carry a user or a password",
        ),
        (
            "{ issuer: a, jwks: keys.json, stale: 1h }",
            "keys in a file do not go stale",
        ),
        (
            "{ issuer: a, jwks: 'https://as/keys', stale: 1s }",
            "5 minutes at least",
        ),
        (
            "{ issuer: a, jwks: keys.json, algorithms: [] }",
            "with no algorithm no token can be verified",
        ),
        (
            "{ issuer: a, jwks: keys.json, algorithms: [none] }",
            "would let anybody in",
        ),
        (
            "{ issuer: a, jwks: keys.json, algorithms: [HS256] }",
            "needs a secret",
        ),
        (
            "{ issuer: a, jwks: keys.json, algorithms: [ES265] }",
            "did you mean `ES256`?",
        ),
        ("{ issuer: a, jwks: keys.json, leeway: 61s }", "a minute at most"),
        (
            "{ issuer: a, jwks: keys.json, audience: [] }",
            "nothing is written here",
        ),
        (
            "{ issuer: a, jwks: keys.json, name: key }",
            "cannot be the name of an issuer",
        ),
        (
            "{ issuer: open-webui, jwks: keys.json, name: x }",
            "cannot be an issuer",
        ),
        (
            "{ issuer: a, jwks: keys.json, audiense: b }",
            "did you mean `audience`?",
        ),
        (
            "{ issuer: a, jwks: keys.json, claims: { role: b } }",
            "did you mean `roles`?",
        ),
    ] {
        let (_, problems) = check(&format!("- {entry}"), &keys, Issuer::check);
        assert!(problems.contains(told), "{entry}: {problems}");
        assert!(!problems.contains("pw"), "{problems}");
    }
    let twice = "- { issuer: a, jwks: keys.json }\n- { issuer: a, jwks: keys.json, name: b }";
    let (_, problems) = check(twice, &keys, Issuer::check);
    assert!(
        problems.contains("gateway.yaml:2: [1]: two entries"),
        "{problems}"
    );
    for document in ["[]", "{}", r#"{"keys":[]}"#, r#"{"keys":[],"keys":[]}"#] {
        let (issuers, problems) = check(
            "- { issuer: a, jwks: keys.json }",
            &Disk(document.to_owned()),
            Issuer::check,
        );
        assert!(
            issuers.is_empty() && problems.contains("`keys.json`"),
            "{document}: {problems}"
        );
    }
}
