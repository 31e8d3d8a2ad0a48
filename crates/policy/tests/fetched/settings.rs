//! What `auth` of an upstream may say, and what is told of what it may not.

use crate::world::{CANARY, auth, check};

#[test]
fn what_is_right_is_read() {
    for text in [
        "passthrough: true",
        "login: {}",
        "login:",
        "login: { client_id: us, client_secret: '${env:SECRET}', issuer: https://as, scopes: [a] }",
        "client_credentials: { client_id: us, client_secret: '${env:SECRET}', token_url: https://as/t }",
        "client_credentials: { client_id: us, client_secret: x, issuer: https://as, secret_in: form }",
        "client_credentials: { client_id: us, private_key: rsa.pem, algorithm: RS256, key_id: k }",
        "client_credentials: { client_id: us, private_key: '${file:ed25519.pem}' }",
        "client_credentials: { client_id: us, private_key: rsa.pem, token_url: 'http://localhost/t', aud_of_assertion: token_url }",
        "token_exchange: { client_id: us, client_secret: x, issuer: https://as, audience: crm, subject: identity }",
        "id_jag: { idp: { token_url: https://idp/t, client_id: a, client_secret: b }, issuer: https://as, client_id: us, client_secret: x }",
    ] {
        let auth = auth(text);
        assert!(!format!("{auth:?}").contains(CANARY));
        assert_eq!(auth, crate::world::auth(text), "{text}");
    }
}

#[test]
fn a_mistake_is_told_with_its_line_and_a_way_out() {
    for (text, told) in [
        ("none", "leave it out"),
        ("passthrough", "write `{ passthrough: true }`"),
        ("client_credential", "did you mean `client_credentials`?"),
        (
            "{}",
            "it does not say how to get a credential; there are `client_credentials`",
        ),
        ("clientcredentials: {}", "did you mean `client_credentials`?"),
        (
            "login: {}\npassthrough: true",
            "gateway.yaml:2: passthrough: an upstream has one way",
        ),
        ("passthrough: false", "leave `auth` out"),
        ("client_credentials: {}", "`client_id` is missing"),
        (
            "client_credentials: { client_id: us, issuer: https://as }",
            "`client_secret` is missing",
        ),
        (
            "client_credentials: { client_id: '', client_secret: x, issuer: https://as }",
            "nothing is written here",
        ),
        (
            "client_credentials: { client_id: us, client_secret: x }",
            "whoever the upstream names would be shown the secret; name the `issuer`",
        ),
        (
            "client_credentials: { client_id: us, client_secret: x, private_key: rsa.pem, issuer: https://as }",
            "a client shows a key or a secret, not both",
        ),
        (
            "client_credentials: { client_id: us, client_secret: x, key_id: k, issuer: https://as }",
            "there is no `private_key` that this could be of",
        ),
        (
            "client_credentials: { client_id: us, private_key: rsa.pem, secret_in: form }",
            "there is no `client_secret` to put there",
        ),
        (
            "client_credentials: { client_id: us, private_key: rsa.pem, algorithm: ES256 }",
            "the key is for RS256, not for ES256",
        ),
        (
            "client_credentials: { client_id: us, private_key: rsa.pem, algorithm: RS265 }",
            "did you mean `RS256`?",
        ),
        (
            "client_credentials: { client_id: us, private_key: public.pem }",
            "it is the public half",
        ),
        (
            "client_credentials: { client_id: us, private_key: canary-secret }",
            "it is no key in PEM, and as a file",
        ),
        (
            "client_credentials: { client_id: us, private_key: rsa.pem, token_url: https://as/t }",
            "name the `issuer`, or write `aud_of_assertion: token_url`",
        ),
        (
            "client_credentials: { client_id: us, client_secret: x, token_url: http://as/t }",
            "is not encrypted",
        ),
        (
            "client_credentials: { client_id: us, client_secret: x, token_url: 'https://u:canary-secret@as/t' }",
            "a URL may not carry a user or a password",
        ),
        (
            "client_credentials: { client_id: us, client_secret: x, issuer: 'https://as?x' }",
            "it has a query or a fragment",
        ),
        (
            "client_credentials: { client_id: us, client_secret: x, issuer: https://as, scopes: ['a b'] }",
            "write `[a, b]`",
        ),
        (
            "token_exchange: { client_id: us, client_secret: x }",
            "whoever the upstream names would be shown the callers' tokens",
        ),
        (
            "token_exchange: { client_id: us, client_secret: x, issuer: https://as, subject: tokn }",
            "did you mean `token`?",
        ),
        ("id_jag: { client_id: us, client_secret: x }", "`idp` is missing"),
        (
            "id_jag: { client_id: us, client_secret: x }",
            "`issuer` is missing",
        ),
        (
            "login: { client_secret: x }",
            "it is not said whose secret this is",
        ),
        (
            "login: { client_id: us, client_secret: x }",
            "name the `issuer` that it is for",
        ),
        ("login: { scope: a }", "did you mean `scopes`?"),
    ] {
        let (_, problems) = check(text);
        assert!(problems.contains(told), "{text}:\n{problems}");
        assert!(problems.contains("gateway.yaml:"), "{problems}");
    }
}

#[test]
fn what_is_wrong_is_not_used() {
    for text in [
        "client_credentials: { client_id: us, client_secret: x }",
        "client_credentials: { client_id: us, client_secret: x, token_url: http://as/t }",
        "client_credentials: { client_id: us, client_secret: x, issuer: https://as, scopes: ['a b'] }",
        "token_exchange: { client_id: us, client_secret: x }",
        "token_exchange: { client_id: us, client_secret: x, issuer: https://as, subject: tokn }",
        "passthrough: false",
        "login: { client_secret: x }",
    ] {
        let (read, problems) = check(text);
        assert_eq!(read, None, "{text}");
        assert_ne!(problems, "");
    }
}
