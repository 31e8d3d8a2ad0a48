//! Users whom an Open WebUI calls for.

use policy::authn::{OpenWebUi, Refusal};
use serde_json::{Value, json};

use crate::signer::{Signer, base64, with_secret};
use crate::world::{Disk, NOW, at, check, read};

const SECRET: &str = "a secret of thirty-two letters, at least";

fn open_webui() -> OpenWebUi {
    let disk = Disk(String::new());
    read("{ secret: '${env:SECRET}', key: owui }", &disk, OpenWebUi::check).unwrap()
}

/// What an Open WebUI says, with changes.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "sub": "0b8d", "email": "ann@x", "name": "Ann", "role": "user",
        "iss": "open-webui", "iat": NOW, "exp": NOW + 300,
    });
    claims
        .as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    claims
}

fn token(changes: Value) -> String {
    with_secret(
        SECRET.as_bytes(),
        &json!({ "alg": "HS256", "typ": "JWT" }),
        &claims(changes),
    )
}

#[test]
fn a_user_is_who_open_webui_says() {
    let open_webui = open_webui();
    assert_eq!(open_webui.key().map(|key| &*key.value), Some("owui"));
    let ann = open_webui
        .verify(&token(json!({ "groups": ["g"] })), Some("chat-1"), at(NOW))
        .unwrap();
    assert_eq!(
        (&*ann.source, &*ann.subject, ann.name.as_deref()),
        ("open-webui", "0b8d", Some("Ann"))
    );
    assert_eq!((&ann.roles[..], &ann.scopes), (&["user".to_owned()][..], &None));
    assert_eq!(ann.claim("email"), Some(&json!("ann@x")));
    assert_eq!(ann.claim("chat_id"), Some(&json!("chat-1")));
    assert_eq!(ann.claim("groups"), Some(&json!(["g"])));
    assert_eq!(ann.expires, Some(at(NOW + 330)));

    // It writes an empty text for what it does not know.
    let nameless = open_webui
        .verify(&token(json!({ "name": "", "role": "" })), None, at(NOW))
        .unwrap();
    assert_eq!(
        (nameless.name.as_deref(), nameless.roles.len()),
        (Some("ann@x"), 0)
    );

    // What is signed comes before what is not, and what is no chat is none.
    for (changes, chat, found) in [
        (
            json!({ "chat_id": "signed" }),
            Some("said"),
            Some(json!("signed")),
        ),
        (json!({}), Some(""), None),
        (json!({}), Some("a\nb"), None),
        (json!({}), None, None),
    ] {
        let ann = open_webui.verify(&token(changes), chat, at(NOW)).unwrap();
        assert_eq!(ann.claim("chat_id"), found.as_ref());
    }
}

#[test]
fn nobody_else_says_who_a_user_is() {
    let open_webui = open_webui();
    let refused = |token: &str| open_webui.verify(token, None, at(NOW)).err();
    let mut header = json!({ "alg": "HS256" });
    assert_eq!(
        refused(&with_secret(b"", &header, &claims(json!({})))),
        Some(Refusal::Signature)
    );
    assert_eq!(
        refused(&with_secret(b"another", &header, &claims(json!({})))),
        Some(Refusal::Signature)
    );
    for algorithm in ["none", "HS384", "hs256", "RS256", ""] {
        header["alg"] = json!(algorithm);
        let signed = with_secret(SECRET.as_bytes(), &header, &claims(json!({})));
        assert_eq!(refused(&signed), Some(Refusal::Algorithm), "{algorithm}");
        let unsigned = format!(
            "{}.{}.",
            base64(header.to_string()),
            base64(claims(json!({})).to_string())
        );
        assert_eq!(refused(&unsigned), Some(Refusal::Algorithm), "{algorithm}");
    }
    let other = Signer::rsa("k").token("RS256", &claims(json!({})));
    assert_eq!(refused(&other), Some(Refusal::Algorithm));
    for (changes, refusal) in [
        (json!({ "iss": "open-webui2" }), Refusal::Issuer),
        (json!({ "sub": "" }), Refusal::Subject),
        (json!({ "exp": NOW - 30 }), Refusal::Expired),
        (json!({ "exp": "9999999999" }), Refusal::Claim),
        (json!({ "exp": null }), Refusal::Claim),
        (json!({ "nbf": NOW + 60 }), Refusal::Early),
        (json!({ "role": ["admin"] }), Refusal::Claim),
    ] {
        assert_eq!(refused(&token(changes.clone())), Some(refusal), "{changes}");
    }
    for text in ["", "a.b.c", "x".repeat(16 << 10).as_str()] {
        assert_eq!(refused(text), Some(Refusal::Malformed));
    }
}

#[test]
fn no_bit_of_its_token_is_without_meaning() {
    let (open_webui, good) = (open_webui(), token(json!({})));
    for at_byte in 0..good.len() {
        for bit in 0..7 {
            let mut bytes = good.clone().into_bytes();
            bytes[at_byte] ^= 1 << bit;
            let mutated = String::from_utf8(bytes).unwrap();
            assert!(open_webui.verify(&mutated, None, at(NOW)).is_err(), "{mutated}");
        }
    }
}

#[test]
fn a_secret_is_one() {
    let disk = Disk(String::new());
    for (text, told, usable) in [
        ("{ secret: '', key: k }", "known to everybody", false),
        ("{}", "says whose word is taken", true),
        ("{ secret: short1 }", "less than 32 bytes", true),
        (
            "{ secret: '${env:SECRET}', keys: k }",
            "did you mean `key`?",
            true,
        ),
    ] {
        let (open_webui, problems) = check(text, &disk, OpenWebUi::check);
        assert!(problems.contains(told), "{text}: {problems}");
        assert!(!problems.contains("short1"), "{problems}");
        assert_eq!(open_webui.is_some(), usable, "{text}");
    }
}
