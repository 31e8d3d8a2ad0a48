//! How a token is asked for, and which answers are believed.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::fetched::{Unfetched, Whose};
use policy::{Identity, Minter, Principal};
use ring::signature::{ED25519, KeyPair as _, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::world::{
    AS, Answer, CANARY, MCP, METADATA, NOW, Network, TOKEN, at, ed25519_pair, fetched, fetched_with, grant,
    grants, metadata, principal, token,
};

const SECRET: &str = "client_credentials: { client_id: 'u:s', client_secret: '${env:SECRET}', issuer: https://as.example/tenant }";

#[tokio::test]
async fn a_secret_is_shown_as_the_server_takes_it() {
    let basic = "Basic dSUzQXM6Y2FuYXJ5LXNlY3JldA==";
    for (methods, header, form) in [
        (json!(null), Some(basic), None),
        (
            json!(["client_secret_basic", "client_secret_post"]),
            Some(basic),
            None,
        ),
        (json!(["client_secret_post"]), None, Some(CANARY)),
    ] {
        let network = Network::described();
        network.put(
            METADATA,
            metadata(json!({ "token_endpoint_auth_methods_supported": methods })),
        );
        grants(&network);

        token(&fetched(SECRET, &network), 0).await.unwrap();

        let [sent] = &network.sent(TOKEN)[..] else {
            panic!("it is asked once")
        };
        assert_eq!(sent.authorization.as_deref(), header);
        assert_eq!(sent.form("client_secret").as_deref(), form);
        assert_eq!(sent.form("client_id").as_deref(), form.map(|_| "u:s"));
        assert_eq!(sent.form("grant_type").as_deref(), Some("client_credentials"));
        assert_eq!(sent.form("resource").as_deref(), Some(MCP));
        assert_eq!(sent.form("scope"), None);
    }
    let network = Network::described();
    network.put(
        METADATA,
        metadata(json!({ "token_endpoint_auth_methods_supported": ["private_key_jwt"] })),
    );
    let why = token(&fetched(SECRET, &network), 0).await.unwrap_err();
    assert!(matches!(why, Unfetched::Client { .. }), "{why}");
    assert!(why.to_string().ends_with("it takes: private_key_jwt"), "{why}");
}

#[tokio::test]
async fn a_key_signs_for_its_issuer_or_for_where_it_is_shown() {
    for (more, audience) in [
        ("", AS),
        (", aud_of_assertion: token_url", TOKEN),
        (", aud_of_assertion: issuer", AS),
    ] {
        let network = Network::described();
        grants(&network);
        let text =
            format!("client_credentials: {{ client_id: us, private_key: ed25519.pem, key_id: k1{more} }}");
        let fetched = fetched(&text, &network);

        token(&fetched, 0).await.unwrap();

        let [sent] = &network.sent(TOKEN)[..] else {
            panic!("it is asked once")
        };
        assert_eq!(sent.authorization, None);
        assert_eq!(
            sent.form("client_assertion_type").as_deref(),
            Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        );
        // What the upstream says may be asked for is.
        assert_eq!(sent.form("scope").as_deref(), Some("read"));
        let assertion = sent.form("client_assertion").unwrap();
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = ed25519_pair().public_key().as_ref().to_vec();
        UnparsedPublicKey::new(&ED25519, public)
            .verify(signed.as_bytes(), &signature)
            .unwrap();
        let parts: Vec<Value> = signed
            .split('.')
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        assert_eq!(parts[0], json!({ "alg": "EdDSA", "typ": "JWT", "kid": "k1" }));
        let claims = &parts[1];
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("us"), &json!("us")));
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(NOW), &json!(NOW + 60)));
        assert_eq!(claims["aud"], audience);
        assert_eq!(claims["jti"].as_str().unwrap().len(), 43);
    }
}

#[tokio::test]
async fn what_the_file_says_is_asked_for() {
    let network = Network::new();
    grants(&network);
    let text = "client_credentials: { client_id: us, client_secret: x, token_url: https://as.example/token, \
                scopes: [a, b], audience: crm, resource: urn:crm, secret_in: form }";

    token(&fetched(text, &network), 0).await.unwrap();

    let [sent] = &network.sent(TOKEN)[..] else {
        panic!("it is asked once")
    };
    assert_eq!(sent.form("scope").as_deref(), Some("a b"));
    assert_eq!(sent.form("audience").as_deref(), Some("crm"));
    assert_eq!(sent.form("resource").as_deref(), Some("urn:crm"));
    assert_eq!(network.asked(), [TOKEN]);
}

#[tokio::test]
async fn a_callers_token_goes_to_who_exchanges_it() {
    let network = Network::described();
    grants(&network);
    let text = "token_exchange: { client_id: us, client_secret: x, issuer: https://as.example/tenant, audience: crm }";
    let fetched = fetched(text, &network);
    let ann = principal("ann");
    let whose = |token| Whose {
        principal: &ann,
        token,
    };

    let had = fetched.token(&whose(Some("inbound")), at(NOW)).await.unwrap();

    assert_eq!(had.expose(), "t1");
    let [sent] = &network.sent(TOKEN)[..] else {
        panic!("it is asked once")
    };
    for (name, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "inbound"),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("audience", "crm"),
        ("resource", MCP),
    ] {
        assert_eq!(sent.form(name).as_deref(), Some(value), "{name}");
    }
    let none = fetched.token(&whose(None), at(NOW)).await;
    assert_eq!(none, Err(Unfetched::NoSubject));
    let whose = Whose {
        principal: &Principal::Anonymous,
        token: Some("inbound"),
    };
    assert_eq!(fetched.token(&whose, at(NOW)).await, Err(Unfetched::NoSubject));
}

#[tokio::test]
async fn a_caller_without_a_token_is_exchanged_by_one_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    let network = Network::described();
    grants(&network);
    let text = "token_exchange: { client_id: us, client_secret: x, issuer: https://as.example/tenant, subject: identity }";
    let minter = Minter::open(&directory.path().join("key"), "https://gw.example").unwrap();
    let fetched = fetched_with(text, &network, Some(minter), None);
    let of = |roles: &[&str]| {
        let mut identity = Identity::new(&"key".into(), "key", "ann");
        identity.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Principal::Known(Arc::new(identity))
    };
    let ask = async |principal: &Principal| {
        let whose = Whose {
            principal,
            token: None,
        };
        fetched.token(&whose, at(NOW)).await.unwrap().expose().to_owned()
    };

    assert_eq!(ask(&of(&["admin"])).await, "t1");
    assert_eq!(ask(&of(&["admin"])).await, "t1");
    // Who lost a role is somebody else to whom the token is shown.
    assert_eq!(ask(&of(&[])).await, "t2");

    let sent = &network.sent(TOKEN)[0];
    let kind = "urn:ietf:params:oauth:token-type:jwt";
    assert_eq!(sent.form("subject_token_type").as_deref(), Some(kind));
    let subject = sent.form("subject_token").unwrap();
    let claims = subject.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["aud"], AS);
    assert_eq!(claims["sub"], "key:ann");

    let without = crate::world::fetched(text, &network);
    let principal = of(&[]);
    let whose = Whose {
        principal: &principal,
        token: None,
    };
    let why = without.token(&whose, at(NOW)).await.unwrap_err();
    assert!(matches!(why, Unfetched::Client { .. }), "{why}");
}

const ID_JAG: &str = "id_jag: { idp: { token_url: https://idp.example/token, client_id: idp-us, client_secret: y }, \
                      issuer: https://as.example/tenant, client_id: us, client_secret: x, scopes: [a] }";

fn id_jag(kind: &str, client: &str) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.c2ln",
        part(json!({ "typ": kind, "alg": "RS256" })),
        part(json!({ "client_id": client }))
    )
}

fn vouched(token: &str) -> Value {
    json!({
        "access_token": token, "token_type": "N_A", "expires_in": 300,
        "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag",
    })
}

#[tokio::test]
async fn an_identity_provider_vouches_for_a_caller() {
    let idp = "https://idp.example/token";
    let network = Network::described();
    let token = id_jag("oauth-id-jag+jwt", "us");
    network.put(idp, vouched(&token));
    grants(&network);
    let fetched = fetched(ID_JAG, &network);
    let ann = principal("ann");
    let whose = Whose {
        principal: &ann,
        token: Some("id-token"),
    };

    let had = fetched.token(&whose, at(NOW)).await.unwrap();

    assert_eq!(had.expose(), "t1");
    let [sent] = &network.sent(idp)[..] else {
        panic!("it is asked once")
    };
    for (name, value) in [
        ("requested_token_type", "urn:ietf:params:oauth:token-type:id-jag"),
        ("subject_token", "id-token"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("audience", AS),
        ("resource", MCP),
        ("scope", "a"),
    ] {
        assert_eq!(sent.form(name).as_deref(), Some(value), "{name}");
    }
    let [sent] = &network.sent(TOKEN)[..] else {
        panic!("it is asked once")
    };
    for (name, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", token.as_str()),
        ("resource", MCP),
    ] {
        assert_eq!(sent.form(name).as_deref(), Some(value), "{name}");
    }
    assert!(!sent.body.contains("id-token"));
}

#[tokio::test]
async fn what_is_no_word_of_the_identity_provider_goes_no_further() {
    for answer in [
        vouched(&id_jag("JWT", "us")),
        vouched(&id_jag("oauth-id-jag+jwt", "another")),
        vouched("opaque"),
        grant(&id_jag("oauth-id-jag+jwt", "us"), json!({})),
    ] {
        let network = Network::described();
        network.put("https://idp.example/token", answer);
        grants(&network);
        let ann = principal("ann");
        let whose = Whose {
            principal: &ann,
            token: Some("id-token"),
        };
        let why = fetched(ID_JAG, &network)
            .token(&whose, at(NOW))
            .await
            .unwrap_err();
        assert!(matches!(why, Unfetched::Unusable { .. }), "{why}");
        assert_eq!(network.sent(TOKEN).len(), 0);
    }
}

#[tokio::test]
async fn an_answer_that_grants_nothing_is_told_in_its_words() {
    let long = "x".repeat(70_000);
    for (answer, told) in [
        (
            Answer::of(grant("t", json!({ "token_type": "DPoP" }))),
            "is not Bearer",
        ),
        (
            Answer::of(grant("t", json!({ "token_type": null }))),
            "is not Bearer",
        ),
        (
            Answer::of(grant("a\r\nb: c", json!({}))),
            "`access_token` cannot be sent",
        ),
        (Answer::of(grant("", json!({}))), "`access_token` cannot be sent"),
        (
            Answer::of(grant(&long[..20_000], json!({}))),
            "`access_token` cannot be sent",
        ),
        (
            Answer::of(grant("t", json!({ "access_token": null }))),
            "holds no `access_token`",
        ),
        (
            Answer::of(grant("t", json!({ "expires_in": "600" }))),
            "`expires_in` is no number",
        ),
        (
            Answer::of(grant("t", json!({ "expires_in": -1 }))),
            "`expires_in` is below zero",
        ),
        (Answer::of(grant("t", json!({ "x": long }))), "longer than 64 KiB"),
        (Answer::of("<html>"), "not a JSON object"),
        (Answer::with(302, ""), "it answered 302"),
        (
            Answer::with(500, r#"{"error":"server_error"}"#),
            "it answered 500",
        ),
        (Answer::with(401, "no"), "it answered 401"),
        (
            Answer::with(400, r#"{"error":"invalid_scope"}"#),
            "refuses: invalid_scope",
        ),
        (
            Answer::with(400, r#"{"error":"<b>"}"#),
            "refuses: an error of its own",
        ),
        (Answer::with(0, ""), "connection refused"),
    ] {
        let network = Network::described();
        network.answer(TOKEN, answer);
        let why = token(&fetched(SECRET, &network), 0)
            .await
            .unwrap_err()
            .to_string();
        assert!(why.contains(told), "{why}");
        assert!(why.contains(TOKEN) && why.len() < 300, "{why}");
    }
}

#[tokio::test]
async fn what_a_server_says_of_its_refusal_is_told_but_no_secret_that_it_repeats() {
    let long = "y".repeat(1000);
    for (said, told) in [
        (
            "the client is\u{1b}[2J not\r\n known",
            Some("(the client is [2J not known)"),
        ),
        ("your secret canary-secret is wrong", None),
        (
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0 is wrong",
            Some("(… is wrong)"),
        ),
        (&*long, Some("(…)")),
        (&*"word ".repeat(200), Some("word …)")),
        ("", None),
    ] {
        let network = Network::described();
        network.answer(
            TOKEN,
            Answer::with(
                400,
                json!({ "error": "invalid_request", "error_description": said }),
            ),
        );
        let why = token(&fetched(SECRET, &network), 0).await.unwrap_err();
        let text = why.to_string();
        match told {
            Some(told) => assert!(text.ends_with(told), "{text}"),
            None => assert!(text.ends_with("refuses: invalid_request"), "{text}"),
        }
        assert!(!format!("{text} {why:?}").contains(CANARY));
        assert!(text.len() < 250);
    }
    let network = Network::described();
    network.answer(TOKEN, Answer::with(400, json!({ "error": "canary" })));
    let text =
        "client_credentials: { client_id: us, client_secret: canary, token_url: https://as.example/token }";
    let why = token(&fetched(text, &network), 0).await.unwrap_err();
    assert!(!format!("{why} {why:?}").contains("canary"));
}
