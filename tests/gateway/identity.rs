//! Who calls: one layer for every door, one answer to whatever is not good, and handles that are of their bearer alone.
use harness::{Answer, Client, Exit, Gateway, Mood, Running, Server, SseClient, causeway, check};
use serde_json::json;

const ANN: &str = "cw_annannannannannannannannannannannannann";
const BOB: &str = "cw_bobbobbobbobbobbobbobbobbobbobbobbobbob";

/// Two of whom one may be sent on as what she is.
const AUTH: &str = "auth:
  keys:
    - { name: ann, key: \"${env:X_TEST_ANN}\", roles: [admin, user], tenant: acme, claims: { email: ann@acme.example } }
    - { name: bob, key: \"${env:X_TEST_BOB}\" }
";

fn two() -> Gateway {
    Gateway::new()
        .config(AUTH)
        .environment("X_TEST_ANN", ANN)
        .environment("X_TEST_BOB", BOB)
}

fn as_ann(client: Client) -> Client {
    client.with("Authorization", &format!("Bearer {ANN}"))
}

fn as_bob(client: Client) -> Client {
    client.with("Authorization", &format!("Bearer {BOB}"))
}

async fn echo(client: &Client) -> Answer {
    client
        .ask(
            "tools/call",
            json!({ "name": "echo", "arguments": { "text": "hi", "message": "hi" } }),
        )
        .await
}

/// Says that it is not known who calls, and nothing else.
#[track_caller]
fn is_turned_away(answer: &Answer, challenge: &str) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.headers.all("WWW-Authenticate"), [challenge], "{answer:?}");
    let words = "it is not known who calls: send a key or a token that this gateway knows, as `Authorization: Bearer …`";
    assert_eq!(answer.complaint(), words);
}

#[tokio::test]
async fn a_key_is_taken_in_each_of_its_places() {
    let gateway = two().demo().start().await;

    for (name, value) in [
        ("Authorization", format!("Bearer {ANN}")),
        ("authorization", format!("bearer {ANN}")),
        ("X-API-Key", ANN.to_owned()),
        (
            "Authorization",
            format!("Basic {}", base64(&format!("anybody:{ANN}"))),
        ),
    ] {
        let client = gateway.client("/mcp").with(name, &value).modern();
        assert_eq!(echo(&client).await.result()["content"][0]["text"], "hi", "{name}");
    }
    let record = gateway
        .record("a call of hers", |record| record["method"] == "tools/call")
        .await;
    assert_eq!(record["principal"], "ann");
}

#[tokio::test]
async fn whatever_is_not_good_hears_the_same() {
    let gateway = two().demo().start().await;
    let client = || gateway.client("/mcp").modern();
    let bearer = |key: &str| client().with("Authorization", &format!("Bearer {key}"));
    let wrong = "Bearer error=\"invalid_token\"";

    is_turned_away(&echo(&client()).await, "Bearer");
    for client in [
        bearer("cw_nobody"),
        bearer(&ANN[..ANN.len() - 1]),
        bearer(&ANN.to_uppercase()),
        bearer("a.b.c"),
        client().with("Authorization", ANN),
        client().with("Authorization", &format!("Digest {ANN}")),
        client().with("Authorization", &format!("Basic {}", base64(ANN))),
        client().with("X-API-Key", "nobody"),
        bearer(ANN).with_another("Authorization", &format!("Bearer {ANN}")),
        bearer(ANN).with("X-API-Key", ANN),
        bearer(ANN).at(&format!("/mcp?access_token={ANN}")),
        client().at(&format!("/mcp?access_token={ANN}")),
    ] {
        is_turned_away(&echo(&client).await, wrong);
    }
    // What is not looked at is nothing.
    for client in [
        client().with("Cookie", &format!("token={ANN}")),
        client().with("Proxy-Authorization", &format!("Bearer {ANN}")),
        client().at(&format!("/mcp?key={ANN}")),
    ] {
        is_turned_away(&echo(&client).await, "Bearer");
    }
    gateway
        .counted("causeway_unidentified_requests_total{cause=\"several\"} 4")
        .await;
    let (records, log) = (format!("{:?}", gateway.records()), gateway.program().stderr());
    assert!(
        !records.contains(ANN) && !log.contains(ANN),
        "a key was written down"
    );
}

#[tokio::test]
async fn every_door_asks_before_it_tells_what_there_is() {
    let gateway = two().demo().start().await;

    for path in ["/mcp", "/mcp/demo", "/mcp/nobody", "/mcp?server=nobody"] {
        let client = gateway.client(path).modern();
        is_turned_away(&echo(&client).await, "Bearer");
        is_turned_away(
            &client.with("Accept", "text/event-stream").fetch("GET").await,
            "Bearer",
        );
        is_turned_away(
            &gateway
                .client(path)
                .with("Mcp-Session-Id", "x")
                .fetch("DELETE")
                .await,
            "Bearer",
        );
    }
    for path in ["/sse", "/mcp/demo/sse", "/mcp/nobody/sse"] {
        is_turned_away(&gateway.client(path).fetch("GET").await, "Bearer");
    }
    is_turned_away(&gateway.client("/messages?s=x").post(b"{}").await, "Bearer");
    for path in ["/health", "/ready"] {
        assert_eq!(gateway.client(path).fetch("GET").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_session_is_of_its_bearer_alone() {
    let gateway = two().demo().start().await;
    let client = as_ann(gateway.client("/mcp/demo")).legacy("2025-06-18").await;

    let stolen = as_bob(client.clone().without("Authorization"));
    for answer in [
        echo(&stolen).await,
        stolen
            .clone()
            .with("Accept", "text/event-stream")
            .fetch("GET")
            .await,
        stolen.fetch("DELETE").await,
    ] {
        assert_eq!(answer.status, 404, "{answer:?}");
    }
    is_turned_away(&echo(&client.clone().without("Authorization")).await, "Bearer");
    assert_eq!(echo(&client).await.status, 200, "it is still hers");
}

#[tokio::test]
async fn a_stream_of_the_first_transport_is_of_its_bearer_alone() {
    let gateway = two().demo().start().await;
    let client = as_ann(gateway.client("/mcp/demo/sse"));
    let stream = SseClient::connect(&client).await.initialized("2024-11-05").await;

    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    let address = gateway.client(stream.endpoint());
    assert_eq!(as_bob(address.clone()).post(&body).await.status, 404);
    is_turned_away(&address.clone().post(&body).await, "Bearer");
    assert_eq!(as_ann(address).post(&body).await.status, 202);
}

#[tokio::test]
async fn a_server_is_told_who_calls_and_never_how_they_proved_it() {
    let server = Server::start(Mood::Dual).await;
    let headers = r#"{ X-User: "${claim:email}", X-Id: "${principal:id}", X-Roles: "${principal:roles}", X-Tenant: "${principal:tenant:-none}" }"#;
    let upstream = format!("{{ url: \"{}\", headers: {headers} }}", server.url());
    let gateway = two().upstream("crm", upstream).start().await;

    echo(&as_ann(gateway.client("/mcp").modern()).with("X-User", "eve"))
        .await
        .result();
    let refused = echo(&as_bob(gateway.client("/mcp").modern())).await;

    let call = server.only("tools/call");
    for (name, value) in [
        ("X-User", "ann@acme.example"),
        ("X-Id", "ann"),
        ("X-Roles", "admin,user"),
        ("X-Tenant", "acme"),
    ] {
        assert_eq!(call.headers.all(name), [value], "{call:?}");
    }
    assert!(refused.complaint().contains("claim:email"), "{refused:?}");
    assert!(
        !format!("{:?}", server.requests()).contains("cw_"),
        "a key went to a server"
    );
}

async fn revoked(gateway: &Running, document: &str) {
    gateway.replace("gateway.yaml", document);
    gateway.reloaded("all upstreams stay").await;
}

#[tokio::test]
async fn a_key_that_is_taken_out_of_the_file_opens_nothing_any_more() {
    let gateway = two().demo().start().await;
    let client = as_bob(gateway.client("/mcp/demo")).legacy("2025-06-18").await;
    let _stream = client
        .clone()
        .with("Accept", "text/event-stream")
        .fetching("GET")
        .await
        .begun()
        .await;
    assert_eq!(echo(&client).await.status, 200);

    let without: String = gateway
        .document()
        .lines()
        .filter(|line| !line.contains("name: bob"))
        .map(|line| format!("{line}\n"))
        .collect();
    revoked(&gateway, &without).await;

    is_turned_away(&echo(&client).await, "Bearer error=\"invalid_token\"");
    gateway.counted("causeway_held_streams{door=\"http\"} 0").await;
    assert_eq!(echo(&as_ann(gateway.client("/mcp").modern())).await.status, 200);
}

#[tokio::test]
async fn a_new_key_is_printed_once_and_its_hash_opens_the_door() {
    let mut command = std::process::Command::new(causeway());
    command.args(["key", "new", "ci"]);
    let made = command.output().unwrap();
    let (key, said) = (
        String::from_utf8(made.stdout).unwrap(),
        String::from_utf8(made.stderr).unwrap(),
    );
    let line = said.lines().find(|line| line.contains("sha256:")).unwrap();

    let gateway = Gateway::new()
        .demo()
        .config(&format!("auth:\n  keys:\n  {line}\n"))
        .start()
        .await;

    let key = key.trim();
    assert!(key.len() >= 40 && !said.contains(key), "{said}");
    let client = gateway
        .client("/mcp")
        .with("Authorization", &format!("Bearer {key}"));
    assert_eq!(echo(&client.modern()).await.status, 200);
}

#[tokio::test]
async fn an_empty_list_of_keys_lets_nobody_in() {
    let gateway = Gateway::new().demo().config("auth: { keys: [] }").start().await;

    is_turned_away(
        &echo(&as_ann(gateway.client("/mcp").modern())).await,
        "Bearer error=\"invalid_token\"",
    );
    is_turned_away(&echo(&gateway.client("/mcp").modern()).await, "Bearer");
}

#[tokio::test]
async fn what_is_wrong_with_keys_is_told_with_its_line() {
    let hash = "a".repeat(64);
    let (exit, said) = check(&format!(
        "upstreams:\n  demo: {{ command: causeway, args: [demo] }}\nauth:\n  keys:\n    - {{ name: a, hash: \"sha256:{hash}\" }}\n    \
         - {{ name: a, hash: \"sha256:{hash}\" }}\n    - {{ name: b }}\n    - {{ name: c, hash: md5 }}\n    - {{ hash: \"sha256:{hash}\" }}\n    \
         - {{ name: d, hash: x, key: hunter2hunter2hunter2 }}\n    - {{ name: e, key: \"\" }}\n    - {{ name: f, rolls: [x], key: hunter3 }}\n"
    ))
    .await;

    assert_eq!(exit, Exit::Code(2), "{said}");
    for (line, words) in [
        (6, "another key is called `a` too"),
        (6, "it is the very key of `a`"),
        (7, "`hash` is missing"),
        (8, "64 hexadecimal digits"),
        (9, "`name` is missing"),
        (10, "`hash` is written too"),
        (11, "the key is empty"),
        (12, "did you mean `roles`?"),
        (12, "can be guessed"),
    ] {
        let place = format!("gateway.yaml:{line}:");
        let told = said
            .lines()
            .any(|said| said.contains(&place) && said.contains(words));
        assert!(told || said.contains(words), "{line} {words}: {said}");
    }
    assert!(!said.contains("hunter"), "a key was shown: {said}");
}

#[tokio::test]
async fn what_nobody_can_bring_is_a_mistake() {
    let upstream = "upstreams:\n  crm:\n    url: http://127.0.0.1:1/mcp\n    headers:\n";
    for (header, auth, words) in [
        ("X-A: \"${claim:email}\"", "", "needs an identified caller"),
        (
            "X-A: \"${principal:id}\"",
            "auth: none\n",
            "needs an identified caller",
        ),
        (
            "X-A: \"${principal:nam}\"",
            "auth: { keys: [{ name: a, key: aaaaaaaaaaaaaaaaa }] }\n",
            "did you mean `name`?",
        ),
    ] {
        let (exit, said) = check(&format!("{upstream}      {header}\n{auth}")).await;
        assert_eq!(exit, Exit::Code(2), "{header}: {said}");
        assert!(said.contains(words) && said.contains(":5"), "{header}: {said}");
    }
    let (exit, said) = check(&format!("{upstream}      X-A: \"${{claim:email:-nobody}}\"\n")).await;
    assert_eq!(exit, Exit::Code(0), "{said}");
}

#[tokio::test]
async fn a_public_address_asks_who_calls_or_says_that_it_does_not() {
    let upstreams = "upstreams:\n  demo: { command: causeway, args: [demo] }\nlisten: 0.0.0.0:7080\n";
    let (exit, said) = check(upstreams).await;
    assert_eq!(exit, Exit::Code(2), "{said}");
    assert!(said.contains("nothing asks callers who they are"), "{said}");
    for auth in [
        "auth: none\n",
        "auth: { keys: [{ name: a, key: aaaaaaaaaaaaaaaaa }] }\n",
    ] {
        let (exit, said) = check(&format!("{upstreams}{auth}")).await;
        assert_eq!(exit, Exit::Code(0), "{auth}: {said}");
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn pages_that_other_machines_can_reach_are_for_operators() {
    let gateway = two().demo().admin_at("0.0.0.0:0").start().await;
    let status = |key: Option<&str>| {
        let client = Client::new(gateway.admin_url().trim_start_matches("http://"), "/status");
        match key {
            Some(key) => client.with("Authorization", &format!("Bearer {key}")),
            None => client,
        }
    };

    for (key, answer) in [(None, 401), (Some(BOB), 401), (Some(ANN), 200)] {
        assert_eq!(status(key).fetch("GET").await.status, answer, "{key:?}");
    }
    assert_eq!(status(None).at("/healthz").fetch("GET").await.status, 200);
}
