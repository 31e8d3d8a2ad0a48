//! Which headers a server sees: those the operator injects, and none of the client's secrets.
use harness::{Gateway, Mood, Running, Server};
use serde_json::json;

async fn gateway(server: &Server, headers: &str) -> Running {
    let gateway = Gateway::new().environment("X_TEST_TOKEN", "from-the-environment");
    let file = gateway.file("token", "from-the-file\n");
    let headers = headers.replace("FILE", &file);
    let upstream = format!("{{ url: \"{}\", headers: {{ {headers} }} }}", server.url());
    let routes = "routes: [{ path: /mcp }, { path: \"/t/{tenant}/mcp\", upstreams: [crm] }]";
    gateway.upstream("crm", upstream).config(routes).start().await
}

#[tokio::test]
async fn injected_headers_arrive_with_every_request() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = gateway(
        &server,
        r#"X-Static: fixed, X-Env: "Bearer ${env:X_TEST_TOKEN}", X-File: "${file:FILE}", X-Param: "${param:tenant:-nobody}",
           X-Client: "${header:x-mine:-none}", X-Dollar: "a$$b""#,
    )
    .await;

    let client = gateway
        .client("/t/acme/mcp")
        .with("X-Mine", "hello")
        .legacy("2025-06-18")
        .await;
    client.call("echo", json!({ "message": "hi" })).await;

    let call = server.only("tools/call");
    for (name, value) in [
        ("X-Static", "fixed"),
        ("X-Env", "Bearer from-the-environment"),
        ("X-File", "from-the-file"),
        ("X-Param", "acme"),
        ("X-Client", "hello"),
        ("X-Dollar", "a$b"),
    ] {
        assert_eq!(call.headers.get(name), Some(value), "{call:?}");
    }
    for request in server.requests() {
        assert_eq!(request.headers.get("X-Static"), Some("fixed"), "{request:?}");
    }
}

#[tokio::test]
async fn what_the_client_does_not_say_falls_to_the_default() {
    let server = Server::start(Mood::Dual).await;
    let headers = r#"X-Param: "${param:tenant:-nobody}", X-Client: "${header:x-mine:-none}""#;
    let gateway = gateway(&server, headers).await;

    gateway
        .client("/mcp")
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;

    let call = server.only("tools/call");
    assert_eq!(call.headers.get("X-Param"), Some("nobody"));
    assert_eq!(call.headers.get("X-Client"), Some("none"));
}

#[tokio::test]
async fn a_missing_value_without_a_default_refuses_the_call() {
    let server = Server::start(Mood::Dual).await;
    let gateway = gateway(&server, r#"X-Client: "${header:x-mine}""#).await;

    let answer = gateway
        .client("/mcp")
        .modern()
        .ask("tools/call", json!({ "name": "echo" }))
        .await;

    assert!(answer.complaint().to_lowercase().contains("x-mine"), "{answer:?}");
    assert_eq!(server.asked("tools/call").len(), 0);
}

#[tokio::test]
async fn a_client_can_neither_replace_nor_remove_an_injected_header() {
    let server = Server::start(Mood::Dual).await;
    let gateway = gateway(&server, "X-Static: fixed").await;
    let client = gateway.client("/mcp").modern();

    for client in [
        client.clone().with("X-Static", "mine"),
        client.clone().with("x-sTATIC", "mine"),
        client
            .clone()
            .with_another("X-Static", "one")
            .with_another("X-Static", "two"),
        client.clone().with("Connection", "keep-alive, X-Static"),
        client.clone().with("X-Static ", "mine"),
        client.with("X-Static", ""),
    ] {
        client
            .ask(
                "tools/call",
                json!({ "name": "echo", "arguments": { "message": "hi" } }),
            )
            .await;
    }

    let calls = server.asked("tools/call");
    assert!(
        calls.len() >= 5,
        "only a header name with a space may be refused: {calls:?}"
    );
    for call in calls {
        assert_eq!(call.headers.all("X-Static"), ["fixed"], "{call:?}");
        assert!(!format!("{:?}", call.headers).contains("mine"), "{call:?}");
    }
}

#[tokio::test]
async fn a_client_never_sees_an_injected_header() {
    let server = Server::of(Mood::Dual)
        .on("tools/call", |_| harness::Reply::reset())
        .start()
        .await;
    let gateway = gateway(&server, r#"Authorization: "Bearer ${env:X_TEST_TOKEN}""#).await;
    server.forget();
    let client = gateway.client("/mcp").modern();

    let good = client.ask("tools/list", json!({})).await;
    let bad = client.ask("tools/call", json!({ "name": "echo" })).await;

    assert_eq!(
        server.only("tools/list").headers.get("Authorization"),
        Some("Bearer from-the-environment")
    );
    assert_eq!(good.status, 200);
    for seen in [
        format!("{good:?}"),
        format!("{bad:?}"),
        gateway.program().stderr(),
    ] {
        assert!(!seen.contains("from-the-environment"), "{seen}");
    }
}

#[tokio::test]
async fn a_clients_credentials_and_hop_by_hop_headers_stay_here() {
    let server = Server::start(Mood::Dual).await;
    let gateway = gateway(&server, "X-Static: fixed").await;
    let kept = [
        ("Authorization", "Bearer client"),
        ("Proxy-Authorization", "Basic client"),
        ("Cookie", "session=client"),
        ("X-Api-Key", "client"),
        ("X-OpenWebUI-User-Email", "client"),
        ("Forwarded", "for=client"),
        ("X-Forwarded-For", "client"),
        ("Keep-Alive", "timeout=client"),
        ("TE", "client"),
        ("X-Hop", "client"),
    ];

    let client = kept.iter().fold(gateway.client("/mcp"), |client, (name, value)| {
        client.with(name, value)
    });
    let client = client.with("Connection", "keep-alive, X-Hop").modern();
    client.call("echo", json!({ "message": "hi" })).await;

    let call = server.only("tools/call");
    for (name, _) in kept {
        let seen = call.headers.all(name).join(",");
        assert!(!seen.contains("client"), "{name} went through: {call:?}");
    }
    assert!(!format!("{:?}", call.headers).contains("X-Hop"), "{call:?}");
}

#[tokio::test]
async fn a_clients_token_passes_by_an_explicit_line() {
    let server = Server::start(Mood::Dual).await;
    let gateway = gateway(&server, r#"Authorization: "${header:authorization}""#).await;

    let client = gateway
        .client("/mcp")
        .with("Authorization", "Bearer client")
        .modern();
    client.call("echo", json!({ "message": "hi" })).await;

    assert_eq!(
        server.only("tools/call").headers.get("Authorization"),
        Some("Bearer client")
    );
}

#[tokio::test]
async fn a_value_cannot_bring_a_line_of_its_own() {
    let server = Server::start(Mood::Dual).await;
    let upstream = format!(
        "{{ url: \"{}\", headers: {{ X-Param: \"${{param:tenant}}\" }} }}",
        server.url()
    );
    let routes = "routes: [{ path: \"/t/{tenant}/mcp\", upstreams: [crm] }]";
    let gateway = Gateway::new()
        .upstream("crm", upstream)
        .config(routes)
        .start()
        .await;

    for tenant in [
        "a%0d%0aX-Evil:%20yes",
        "a%0aX-Evil:%20yes",
        "a%00b",
        "a%0dX-Evil:%20yes",
    ] {
        let client = gateway.client(&format!("/t/{tenant}/mcp")).modern();
        let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

        assert!(
            (400..500).contains(&answer.status) || answer.last().get("error").is_some(),
            "{tenant}: {answer:?}"
        );
    }
    assert_eq!(server.asked("tools/call").len(), 0);
}

#[tokio::test]
async fn what_the_protocol_says_in_headers_goes_on() {
    let server = Server::start(Mood::Modern).await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    let client = gateway
        .client("/mcp")
        .with("Mcp-Param-Region", "=?base64?ZcO8?=")
        .with("Mcp-Param-Vendor", "x")
        .modern();
    let call = client.request(
        "tools/call",
        json!({ "name": "echo", "arguments": { "region": "eü", "message": "hi" } }),
    );
    let result = client.send_message(&call).await.answer().await.result();

    assert_eq!(result["content"][0]["text"], "hi");
    let call = server.only("tools/call");
    assert_eq!(
        call.headers.get("Mcp-Param-Region"),
        Some("=?base64?ZcO8?="),
        "{call:?}"
    );
    assert_eq!(call.headers.get("Mcp-Param-Vendor"), Some("x"), "{call:?}");
}
