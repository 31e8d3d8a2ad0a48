//! Somebody logs in, in a browser that may come back with anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use policy::fetched::{Account, Beginning, Hint, Pending, Unfetched, Unfinished};
use serde_json::{Value, json};

use crate::world::{
    AS, Answer, CANARY, MCP, METADATA, NOW, Network, TOKEN, at, auth, changed, grant, metadata, url,
};

const REGISTER: &str = "https://as.example/register";
const REDIRECT: &str = "http://127.0.0.1:7777/callback";

/// Where the browser is to go, with what it takes along, and what waits for it.
struct Begun {
    address: String,
    query: HashMap<String, String>,
    pending: Pending,
}

async fn begin_with(text: &str, document: Option<&str>, network: &Network) -> Result<Begun, Unfetched> {
    let beginning = Beginning {
        upstream: "crm",
        url: &url(MCP),
        auth: &auth(text),
        hint: &Hint::default(),
        redirect: REDIRECT,
        document,
    };
    let (address, pending) = beginning.begin(network).await?;
    let (_, query) = address.split_once('?').unwrap();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let count = pairs.len();
    let query: HashMap<_, _> = pairs.into_iter().collect();
    assert_eq!(query.len(), count, "something stands twice: {address}");
    Ok(Begun {
        address,
        query,
        pending,
    })
}

async fn begin(text: &str, network: &Network) -> Begun {
    begin_with(text, None, network).await.unwrap()
}

fn registered(changes: Value) -> Answer {
    Answer::with(201, changed(json!({ "client_id": "made" }), changes))
}

fn network() -> Arc<Network> {
    let network = Network::described();
    network.answer(REGISTER, registered(json!({})));
    network.put(
        TOKEN,
        grant("access-canary", json!({ "refresh_token": "refresh-canary" })),
    );
    network
}

async fn finish(begun: &mut Begun, query: &str, network: &Network) -> Result<Account, Unfinished> {
    let query = query.replace("{state}", &begun.query["state"]);
    begun.pending.finish(&query, network, at(NOW)).await
}

#[tokio::test]
async fn a_login_is_asked_for_with_proof_and_for_the_upstream_alone() {
    let network = network();
    let mut begun = begin("login: {}", &network).await;

    assert!(
        begun.address.starts_with("https://as.example/authorize?"),
        "{}",
        begun.address
    );
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "made"),
        ("redirect_uri", REDIRECT),
        ("resource", MCP),
        ("scope", "read"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(begun.query[name], value, "{name}");
    }
    assert_eq!(begun.query["state"].len(), 43);
    let made: Value = serde_json::from_str(&network.sent(REGISTER)[0].body).unwrap();
    assert_eq!(made["application_type"], "native");
    assert_eq!(made["redirect_uris"], json!([REDIRECT]));
    assert_eq!(made["token_endpoint_auth_method"], "none");

    let account = finish(&mut begun, "state={state}&code=c%2B1", &network)
        .await
        .unwrap();

    assert_eq!(account.issuer(), AS);
    assert!(account.is_renewable());
    let [sent] = &network.sent(TOKEN)[..] else {
        panic!("it is asked once")
    };
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "c+1"),
        ("redirect_uri", REDIRECT),
        ("client_id", "made"),
        ("resource", MCP),
    ] {
        assert_eq!(sent.form(name).as_deref(), Some(value), "{name}");
    }
    // What is shown now is what was promised then.
    use base64::Engine as _;
    use sha2::Digest as _;
    let verifier = sent.form("code_verifier").unwrap();
    let digest = sha2::Sha256::digest(&verifier);
    let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
    assert_eq!(begun.query["code_challenge"], challenge);
    for text in [format!("{account:?}"), format!("{:?}", begun.pending)] {
        assert!(!text.contains("canary") && !text.contains(&verifier), "{text}");
        assert!(!text.contains(&begun.query["state"]), "{text}");
    }
}

#[tokio::test]
async fn a_client_is_the_one_of_the_file_then_a_document_then_a_new_one() {
    let document = "https://gw.example/oauth/client.json";
    let ours = Some(document);
    for (text, takes, document, client, made) in [
        ("login: { client_id: ours }", true, ours, "ours", 0),
        ("login: {}", true, ours, document, 0),
        ("login: {}", false, ours, "made", 1),
        ("login: {}", true, None, "made", 1),
        ("login: {}", true, Some("http://localhost/client.json"), "made", 1),
        ("login: {}", true, Some("https://gw.example/"), "made", 1),
    ] {
        let network = network();
        network.put(
            METADATA,
            metadata(json!({ "client_id_metadata_document_supported": takes })),
        );
        let begun = begin_with(text, document, &network).await.unwrap();
        assert_eq!(begun.query["client_id"], client, "{text}");
        assert_eq!(network.sent(REGISTER).len(), made);
    }
    let network = network();
    network.put(METADATA, metadata(json!({ "registration_endpoint": null })));
    let why = begin_with("login: {}", None, &network)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(why.contains("client_id: …") && why.contains(REDIRECT), "{why}");
}

#[tokio::test]
async fn a_new_client_shows_itself_as_its_server_says() {
    for (answer, header, form) in [
        (json!({ "client_secret": CANARY }), true, None),
        (
            json!({ "client_secret": CANARY, "token_endpoint_auth_method": "client_secret_post" }),
            false,
            Some(CANARY),
        ),
        (
            json!({ "client_secret": CANARY, "token_endpoint_auth_method": "none" }),
            false,
            None,
        ),
    ] {
        let network = network();
        network.answer(REGISTER, registered(answer));
        let mut begun = begin("login: {}", &network).await;
        let account = finish(&mut begun, "state={state}&code=c", &network)
            .await
            .unwrap();
        let [sent] = &network.sent(TOKEN)[..] else {
            panic!("it is asked once")
        };
        assert_eq!(sent.authorization.is_some(), header);
        assert_eq!(sent.form("client_secret").as_deref(), form);
        assert!(!format!("{account:?}").contains(CANARY));
    }
    for answer in [
        registered(json!({ "client_id": null })),
        registered(json!({ "client_id": "a\nb" })),
        registered(json!({ "client_id": 5 })),
        registered(json!({ "client_secret": "x", "token_endpoint_auth_method": "tls_client_auth" })),
        Answer::with(400, json!({ "error": "invalid_redirect_uri" })),
        Answer::with(403, "no"),
        Answer::of("[]"),
    ] {
        let network = network();
        network.answer(REGISTER, answer);
        assert!(begin_with("login: {}", None, &network).await.is_err());
    }
}

#[tokio::test]
async fn nobody_logs_in_where_a_code_could_be_stolen_or_to_no_page() {
    for (changes, told) in [
        (
            json!({ "code_challenge_methods_supported": null }),
            "does not say that it takes proof by S256",
        ),
        (
            json!({ "code_challenge_methods_supported": ["plain"] }),
            "does not say that it takes proof by S256",
        ),
        (
            json!({ "authorization_endpoint": null }),
            "names no `authorization_endpoint`",
        ),
        (
            json!({ "authorization_endpoint": "javascript:alert(1)" }),
            "is not https",
        ),
    ] {
        let network = network();
        network.put(METADATA, metadata(changes));
        let why = begin_with("login: {}", None, &network)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(why.contains(told), "{why}");
        assert_eq!(network.sent(REGISTER).len(), 0);
    }
    let why = begin_with("passthrough: true", None, &network())
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(why.contains("does not say `login`"), "{why}");
}

#[tokio::test]
async fn an_answer_of_somebody_else_leaves_the_login_waiting() {
    let network = network();
    let mut begun = begin("login: {}", &network).await;
    for query in [
        "",
        "code=c",
        "state=&code=c",
        "state=wrong&code=c",
        "state={state}x&code=c",
        "state={state}&state={state}&code=c",
        "state={state}&code=c&code=d",
        "state={state}&iss=a&iss=b&code=c",
    ] {
        let had = finish(&mut begun, query, &network).await;
        assert_eq!(had, Err(Unfinished::Foreign), "{query}");
    }
    let long = format!("state={{state}}&code=c&x={}", "x".repeat(10_000));
    assert_eq!(
        finish(&mut begun, &long, &network).await,
        Err(Unfinished::Foreign)
    );
    assert_eq!(network.sent(TOKEN).len(), 0);

    finish(&mut begun, "state={state}&code=c", &network)
        .await
        .unwrap();
    let again = finish(&mut begun, "state={state}&code=c", &network).await;
    assert_eq!(again, Err(Unfinished::Over));
    assert_eq!(network.sent(TOKEN).len(), 1);
}

#[tokio::test]
async fn who_answers_is_who_was_asked() {
    let iss = "https%3A%2F%2Fas.example%2Ftenant";
    for (has_iss, answer, good) in [
        (false, "code=c".to_owned(), true),
        (false, format!("code=c&iss={iss}"), true),
        (false, "code=c&iss=https://evil".to_owned(), false),
        (true, "code=c".to_owned(), false),
        (true, "code=c&iss=".to_owned(), false),
        (true, format!("code=c&iss={iss}%2F"), false),
        (true, "code=c&iss=https://AS.example/tenant".to_owned(), false),
        (true, format!("code=c&iss={iss}"), true),
        (
            true,
            "error=access_denied&error_description=mallory".to_owned(),
            false,
        ),
    ] {
        let network = network();
        let changes = json!({ "authorization_response_iss_parameter_supported": has_iss });
        network.put(METADATA, metadata(changes));
        let mut begun = begin("login: {}", &network).await;
        let had = finish(&mut begun, &format!("state={{state}}&{answer}"), &network).await;
        match good {
            true => assert!(had.is_ok(), "{answer}"),
            false => assert_eq!(had, Err(Unfinished::Issuer), "{answer}"),
        }
        assert_eq!(network.sent(TOKEN).len(), usize::from(good));
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_comes_to_nothing_says_why() {
    for (query, told) in [
        (
            "error=access_denied&error_description=you%20said%0d%0ano",
            "refused: access_denied (you said no)",
        ),
        ("error=%3Cscript%3E", "refused: an error of its own"),
        ("", "holds no code"),
        ("code=", "holds no code"),
    ] {
        let network = network();
        let mut begun = begin("login: {}", &network).await;
        let why = finish(&mut begun, &format!("state={{state}}&{query}"), &network)
            .await
            .unwrap_err();
        assert!(why.to_string().ends_with(told), "{why}");
        assert_eq!(network.sent(TOKEN).len(), 0);
    }
    let network = network();
    let mut begun = begin("login: {}", &network).await;
    tokio::time::advance(Duration::from_secs(601)).await;
    let why = finish(&mut begun, "state={state}&code=c", &network).await;
    assert_eq!(why, Err(Unfinished::Late));
    network.answer(
        TOKEN,
        Answer::with(
            400,
            json!({ "error": "invalid_grant", "error_description": "code c0de-canary" }),
        ),
    );
    let mut begun = begin("login: {}", &network).await;
    let why = finish(&mut begun, "state={state}&code=c0de-canary", &network)
        .await
        .unwrap_err();
    assert!(why.to_string().ends_with("refuses: invalid_grant"), "{why}");
    assert!(!format!("{why:?}").contains("canary"));
}

#[tokio::test]
async fn who_gives_tokens_is_asked_for_one_to_come_back_with_if_there_is_such() {
    for (text, offered, asked) in [
        ("login: {}", json!(["offline_access"]), "read offline_access"),
        ("login: {}", json!(["openid"]), "read"),
        ("login: { scopes: [a] }", json!(["offline_access"]), "a"),
    ] {
        let network = network();
        network.put(METADATA, metadata(json!({ "scopes_supported": offered })));
        let begun = begin(text, &network).await;
        assert_eq!(begun.query["scope"], asked);
    }
}
