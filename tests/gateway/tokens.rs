//! Tokens of issuers and of an Open WebUI: who is believed, about what, and where.
use harness::issuer::{now, open_webui_token};
use harness::{Answer, Client, Exit, Gateway, Issuer, Mood, Running, Server, check};
use serde_json::{Value, json};

const PUBLIC: &str = "https://tools.example.com";
const SECRET: &str = "a secret of thirty-two letters, at least";
const OWUI: &str = "cw_owuiowuiowuiowuiowuiowuiowuiowuiowuiowui";

async fn echo(client: &Client) -> Answer {
    client
        .ask(
            "tools/call",
            json!({ "name": "echo", "arguments": { "text": "hi", "message": "hi" } }),
        )
        .await
}

fn bearer(gateway: &Running, path: &str, token: &str) -> Client {
    let client = gateway.client(path).with("Host", "tools.example.com");
    client.with("Authorization", &format!("Bearer {token}")).modern()
}

/// A gateway in front of a server that is told who calls.
async fn gateway(server: &Server, auth: &str) -> Running {
    let headers = r#"{ X-Id: "${principal:id:-none}", X-Email: "${claim:email:-none}", X-Roles: "${principal:roles:-none}", X-Tenant: "${principal:tenant:-none}" }"#;
    Gateway::new()
        .upstream(
            "crm",
            format!("{{ url: \"{}\", headers: {headers} }}", server.url()),
        )
        .config(&format!("auth:\n{auth}"))
        .config(&format!("public_url: {PUBLIC}"))
        .config("routes: [{ path: /mcp }, { path: \"/mcp/{server}\" }, { path: \"/t/{tenant}/mcp\" }]")
        .environment("X_TEST_OWUI", OWUI)
        .environment("X_TEST_SECRET", SECRET)
        .start()
        .await
}

fn claims(more: Value) -> Value {
    let mut claims = json!({ "aud": format!("{PUBLIC}/mcp"), "sub": "ann", "email": "ann@acme.example",
        "roles": ["user"], "org": "acme" });
    claims
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    claims
}

#[tokio::test]
async fn a_token_of_the_issuer_is_its_subject() {
    let (server, issuer) = (Server::start(Mood::Dual).await, Issuer::start().await);
    let gateway = gateway(&server, &format!("  jwt: [{}]", issuer.entry(""))).await;

    echo(&bearer(&gateway, "/mcp", &issuer.token(claims(json!({})))))
        .await
        .result();

    let call = server.only("tools/call");
    for (name, value) in [
        ("X-Id", "ann"),
        ("X-Email", "ann@acme.example"),
        ("X-Roles", "user"),
        ("X-Tenant", "acme"),
    ] {
        assert_eq!(call.headers.all(name), [value], "{call:?}");
    }
    assert!(
        !format!("{:?}", server.requests()).contains("eyJ"),
        "a token went to a server"
    );
    let record = gateway
        .record("her call", |record| record["method"] == "tools/call")
        .await;
    assert_eq!(record["principal"], "ann");
}

#[tokio::test]
async fn a_token_that_is_not_good_here_hears_what_any_other_does() {
    let (server, issuer) = (Server::start(Mood::Dual).await, Issuer::start().await);
    let gateway = gateway(&server, &format!("  jwt: [{}]", issuer.entry(""))).await;
    let good = issuer.token(claims(json!({})));
    let (stem, signature) = good.rsplit_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();

    let mut words = std::collections::BTreeSet::new();
    for (path, token) in [
        ("/mcp", issuer.token(claims(json!({ "exp": now() - 120 })))),
        ("/mcp", issuer.token(claims(json!({ "nbf": now() + 120 })))),
        ("/mcp", issuer.token(claims(json!({ "nbf": "0" })))),
        (
            "/mcp",
            issuer.token(claims(json!({ "aud": "https://elsewhere.example.com/mcp" }))),
        ),
        (
            "/mcp",
            issuer.token(claims(json!({ "aud": format!("{PUBLIC}/mcp/crm") }))),
        ),
        ("/mcp", issuer.token(claims(json!({ "aud": null })))),
        (
            "/mcp",
            issuer.token(claims(json!({ "iss": "https://evil.example.com" }))),
        ),
        ("/mcp", issuer.token(claims(json!({ "sub": null })))),
        ("/mcp", issuer.token_by("unknown", claims(json!({})))),
        ("/mcp/nobody", issuer.token(claims(json!({ "exp": now() - 120 })))),
        ("/mcp", format!("{stem}.{flipped}")),
        ("/mcp", format!("{stem}.")),
        ("/mcp", "a.b.c".into()),
    ] {
        let answer = echo(&bearer(&gateway, path, &token)).await;
        assert_eq!(answer.status, 401, "{token}: {answer:?}");
        let challenge = format!(
            "Bearer error=\"invalid_token\", resource_metadata=\"{PUBLIC}/.well-known/oauth-protected-resource{path}\""
        );
        assert_eq!(answer.headers.all("WWW-Authenticate"), [challenge], "{token}");
        words.insert(answer.complaint());
    }
    assert_eq!(words.len(), 1, "{words:?}");
    assert_eq!(server.asked("tools/call").len(), 0);
    // Those it knows still come in.
    assert_eq!(echo(&bearer(&gateway, "/mcp", &good)).await.status, 200);
}

#[tokio::test]
async fn made_up_key_ids_cost_the_issuer_one_question() {
    let (server, issuer) = (Server::start(Mood::Dual).await, Issuer::start().await);
    let gateway = gateway(&server, &format!("  jwt: [{}]", issuer.entry(""))).await;
    assert_eq!(
        echo(&bearer(&gateway, "/mcp", &issuer.token(claims(json!({})))))
            .await
            .status,
        200
    );
    let before = issuer.asked();

    for number in 0..200 {
        let token = issuer.token_by(&format!("k{number}"), claims(json!({})));
        assert_eq!(echo(&bearer(&gateway, "/mcp", &token)).await.status, 401);
    }

    assert!(
        issuer.asked() <= before + 1,
        "{} and {before} before",
        issuer.asked()
    );
}

#[tokio::test]
async fn a_refreshed_token_goes_on_in_the_session_and_nobody_elses_does() {
    let (server, issuer) = (
        Server::start(Mood::Sessionful("2025-06-18")).await,
        Issuer::start().await,
    );
    let gateway = gateway(&server, &format!("  jwt: [{}]", issuer.entry(""))).await;
    let client = gateway.client("/mcp").with("Host", "tools.example.com");
    let with = |client: &Client, claims: Value| {
        client
            .clone()
            .without("Authorization")
            .with("Authorization", &format!("Bearer {}", issuer.token(claims)))
    };
    let ann = with(&client, claims(json!({}))).legacy("2025-06-18").await;

    assert_eq!(
        echo(&with(&ann, claims(json!({ "exp": now() + 900, "roles": [] }))))
            .await
            .status,
        200
    );
    assert_eq!(
        echo(&with(&ann, claims(json!({ "sub": "bob" })))).await.status,
        404
    );
}

#[tokio::test]
async fn the_metadata_of_an_endpoint_says_where_its_tokens_come_from() {
    let (server, issuer) = (Server::start(Mood::Dual).await, Issuer::start().await);
    let gateway = gateway(&server, &format!("  jwt: [{}]", issuer.entry(""))).await;
    let client = |path: &str| {
        gateway
            .client(path)
            .with("Host", "tools.example.com")
            .with("Origin", "https://tools.example.com")
    };

    for (path, resource) in [
        ("/mcp", "/mcp"),
        ("/mcp/crm", "/mcp/crm"),
        ("/t/acme/mcp", "/t/acme/mcp"),
    ] {
        let answer = client(&format!("/.well-known/oauth-protected-resource{path}"))
            .fetch("GET")
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let metadata: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(metadata["resource"], format!("{PUBLIC}{resource}"));
        assert_eq!(metadata["authorization_servers"], json!([issuer.name()]));
        assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
        assert_eq!(answer.headers.get("Access-Control-Allow-Origin"), Some("*"));
    }
    for path in ["", "/nothing/here"] {
        let answer = client(&format!("/.well-known/oauth-protected-resource{path}"))
            .fetch("GET")
            .await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_tenant_in_the_url_is_the_callers_own() {
    let (server, issuer) = (Server::start(Mood::Dual).await, Issuer::start().await);
    let entry = issuer.entry(", audience: \"api://tools\"");
    let keys = "  keys: [{ name: owui, key: \"${env:X_TEST_OWUI}\", tenant: \"*\" }]";
    let gateway = gateway(&server, &format!("{keys}\n  jwt: [{entry}]")).await;
    let token = |org: Value| issuer.token(claims(json!({ "aud": "api://tools", "org": org })));

    let unknown = echo(&bearer(&gateway, "/mcp/nobody", &token(json!("acme")))).await;
    for (org, tenant, status) in [
        (json!("acme"), "acme", 200),
        (json!("acme"), "globex", 404),
        (json!(null), "acme", 404),
        (json!("*"), "acme", 404),
        (json!("ACME"), "acme", 404),
    ] {
        let answer = echo(&bearer(
            &gateway,
            &format!("/t/{tenant}/mcp"),
            &token(org.clone()),
        ))
        .await;
        assert_eq!(answer.status, status, "{org} at {tenant}: {answer:?}");
        if status == 404 {
            assert_eq!(answer.complaint(), unknown.complaint());
        }
    }
    assert_eq!(
        echo(&bearer(&gateway, "/mcp?tenant=globex", &token(json!("acme"))))
            .await
            .status,
        404
    );
    assert_eq!(
        echo(&bearer(&gateway, "/t/any/mcp", OWUI)).await.status,
        200,
        "a key may be of all tenants"
    );
}

#[tokio::test]
async fn a_user_of_an_open_webui_is_believed_by_its_token() {
    let server = Server::start(Mood::Dual).await;
    let keys = "  keys: [{ name: owui, key: \"${env:X_TEST_OWUI}\", roles: [open-webui], tenant: acme }, { name: ci, key: cw_cicicicicicicicicicicicicicici }]";
    let auth = format!("{keys}\n  open_webui: {{ secret: \"${{env:X_TEST_SECRET}}\", key: owui }}");
    let gateway = gateway(&server, &auth).await;
    let connection = || bearer(&gateway, "/mcp", OWUI);
    let ann = json!({ "sub": "u1", "email": "ann@acme.example", "name": "Ann", "role": "admin" });

    let asked = async |client: Client| {
        server.forget();
        let answer = echo(&client).await;
        let call = server.asked("tools/call").pop();
        let header = |name: &str| {
            call.as_ref()
                .and_then(|call| call.headers.get(name).map(str::to_owned))
        };
        (
            answer.status,
            header("X-Id"),
            header("X-Email"),
            header("X-Roles"),
            header("X-Tenant"),
        )
    };
    let some = |text: &str| Some(text.to_owned());
    // The connection for itself; plain headers are nobody's word where it has a secret.
    let itself = (200, some("owui"), some("none"), some("open-webui"), some("acme"));
    assert_eq!(asked(connection()).await, itself);
    let plain = connection()
        .with("X-OpenWebUI-User-Id", "u2")
        .with("X-OpenWebUI-User-Role", "admin");
    assert_eq!(asked(plain).await, itself);
    // Its user.
    let token = open_webui_token(SECRET, ann.clone());
    let hers = (
        200,
        some("u1"),
        some("ann@acme.example"),
        some("admin"),
        some("acme"),
    );
    assert_eq!(
        asked(connection().with("X-OpenWebUI-User-Jwt", &token)).await,
        hers
    );
    // Not by another key, secret or time.
    let ci =
        bearer(&gateway, "/mcp", "cw_cicicicicicicicicicicicicicici").with("X-OpenWebUI-User-Jwt", &token);
    assert_eq!(asked(ci).await.1, some("ci"));
    let mut late = ann.clone();
    late["exp"] = json!(now() - 120);
    for bad in [
        open_webui_token("another secret of thirty-two letters!", ann.clone()),
        open_webui_token(SECRET, late),
        open_webui_token(SECRET, json!({ "email": "ann@acme.example" })),
        "a.b.c".into(),
    ] {
        assert_eq!(
            asked(connection().with("X-OpenWebUI-User-Jwt", &bad)).await.0,
            401
        );
    }
}

#[tokio::test]
async fn plain_headers_are_believed_of_the_connection_that_the_file_names_alone() {
    let server = Server::start(Mood::Dual).await;
    let auth = "  keys: [{ name: owui, key: \"${env:X_TEST_OWUI}\" }, { name: ci, key: cw_cicicicicicicicicicicicicicici }]\n  open_webui: { key: owui }";
    let gateway = gateway(&server, auth).await;

    for (key, id) in [(OWUI, "u2"), ("cw_cicicicicicicicicicicicicicici", "ci")] {
        server.forget();
        let client = bearer(&gateway, "/mcp", key)
            .with("X-OpenWebUI-User-Id", "u2")
            .with("X-OpenWebUI-User-Email", "bob@acme.example")
            .with("X-OpenWebUI-User-Role", "user");
        echo(&client).await.result();
        assert_eq!(server.only("tools/call").headers.get("X-Id"), Some(id));
    }
}

#[tokio::test]
async fn an_issuer_that_cannot_be_asked_lets_nobody_in_and_is_to_blame() {
    let (server, issuer) = (Server::start(Mood::Dual).await, Issuer::start().await);
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let entry = format!(
        "{{ issuer: \"{}\", jwks: \"http://{gone}/keys\", algorithms: [ES256] }}",
        issuer.name()
    );
    let gateway = gateway(&server, &format!("  jwt: [{entry}]")).await;

    let answer = echo(&bearer(&gateway, "/mcp", &issuer.token(claims(json!({}))))).await;

    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.headers.get("Retry-After").is_some() && answer.headers.get("WWW-Authenticate").is_none());
    gateway
        .counted("causeway_unidentified_requests_total{cause=\"unavailable\"} 1")
        .await;
}

#[tokio::test]
async fn tokens_need_an_address_that_they_are_for() {
    let file = "upstreams:\n  demo: { command: causeway, args: [demo] }\nauth:\n  jwt:\n    - { issuer: https://a.example, jwks: https://a.example/keys }\n";
    let (exit, said) = check(file).await;
    assert_eq!(exit, Exit::Code(2), "{said}");
    assert!(
        said.contains("gateway.yaml:5") && said.contains("public_url"),
        "{said}"
    );
    let (exit, said) = check(&format!("{file}public_url: https://tools.example.com\n")).await;
    assert_eq!(exit, Exit::Code(0), "{said}");
}
