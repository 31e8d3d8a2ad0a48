//! Servers of HTTP+SSE: found by asking, spoken to by clients of Streamable HTTP, healed and remembered.
use harness::{Gateway, Mood, Reply, Server, until};
use serde_json::{Value, json};

async fn status(gateway: &harness::Running, name: &str) -> Value {
    let page = gateway.admin("/readyz").await;
    let upstreams = page.last()["upstreams"].clone();
    let found = upstreams
        .as_array()
        .and_then(|all| all.iter().find(|upstream| upstream["name"] == name));
    found
        .cloned()
        .unwrap_or_else(|| panic!("{name} is not in {page:?}"))
}

#[tokio::test]
async fn a_client_of_streamable_http_calls_a_server_of_sse() {
    let server = Server::start(Mood::Sse("2024-11-05")).await;
    let gateway = Gateway::new().server("old", &server).start().await;

    let client = gateway.client("/mcp/old").legacy("2024-11-05").await;
    let result = client.call("echo", json!({ "message": "hi" })).await;
    let alone = gateway
        .client("/mcp/old")
        .sessionless("2025-06-18")
        .call("echo", json!({ "message": "alone" }))
        .await;

    assert_eq!(result["content"][0]["text"], "hi");
    assert_eq!(alone["content"][0]["text"], "alone");
    assert_eq!(status(&gateway, "old").await["transport"], "sse");
    let asked = server.requests();
    let first: Vec<_> = asked
        .iter()
        .map(|request| (request.verb.clone(), request.method()))
        .collect();
    assert_eq!(first[0].1, "server/discover");
    assert_eq!(first[1].1, "initialize");
    assert_eq!(first[2].0, "GET");
    for call in server.asked("tools/call") {
        assert!(
            call.path.starts_with("/mcp/messages?"),
            "never a call to find out: {call:?}"
        );
    }
}

#[tokio::test]
async fn a_pinned_transport_is_not_asked_for() {
    let server = Server::start(Mood::Sse("2025-03-26")).await;
    let upstream = format!("{{ url: \"{}\", transport: sse }}", server.url());
    let gateway = Gateway::new().upstream("old", upstream).start().await;

    let client = gateway.client("/mcp").legacy("2025-03-26").await;
    client.call("echo", json!({ "message": "hi" })).await;

    assert_eq!(server.asked("server/discover").len(), 0);
    let posts = server
        .requests()
        .into_iter()
        .filter(|request| request.verb == "POST");
    assert!(posts.into_iter().all(|post| post.path != "/mcp"));
}

#[tokio::test]
async fn a_stream_that_its_platform_closes_is_no_concern_of_clients() {
    let server = Server::start(Mood::Sse("2024-11-05")).await;
    let gateway = Gateway::new().server("old", &server).start().await;
    let client = gateway.client("/mcp").legacy("2024-11-05").await;
    let alone = gateway.client("/mcp").sessionless("2024-11-05");
    client.call("echo", json!({ "message": "before" })).await;

    server.close_streams();
    until("the end of the streams to be noticed", || {
        (server
            .requests()
            .iter()
            .filter(|request| request.verb == "GET")
            .count()
            >= 3)
            .then_some(())
    })
    .await;

    for client in [&client, &alone] {
        let result = client.call("echo", json!({ "message": "after" })).await;
        assert_eq!(result["content"][0]["text"], "after");
    }
    assert_eq!(server.asked("tools/call").len(), 3, "none was sent twice");
}

#[tokio::test]
async fn a_server_that_comes_back_with_another_transport_is_found_again() {
    for (before, after) in [
        (Mood::Sse("2025-06-18"), Mood::Legacy("2025-06-18")),
        (Mood::Legacy("2025-06-18"), Mood::Sse("2025-06-18")),
        (Mood::Sessionful("2025-06-18"), Mood::Sse("2025-06-18")),
    ] {
        let mut server = Server::start(before).await;
        let gateway = Gateway::new().server("moved", &server).start().await;
        let alone = gateway.client("/mcp").sessionless("2025-06-18");
        alone.call("echo", json!({ "message": "before" })).await;

        server.stop().await;
        let _moved = Server::of(after).in_place_of(&server).start().await;

        // Whoever comes first may find it on its way; nobody's call is carried out twice.
        let client = gateway.client("/mcp").legacy("2025-06-18").await;
        for client in [&client, &alone] {
            let result = client.call("echo", json!({ "message": "after" })).await;
            assert_eq!(result["content"][0]["text"], "after", "{before:?} {after:?}");
        }
        let kind = if matches!(after, Mood::Sse(_)) {
            "sse"
        } else {
            "http"
        };
        assert_eq!(
            status(&gateway, "moved").await["transport"],
            kind,
            "{before:?} {after:?}"
        );
    }
}

#[tokio::test]
async fn what_was_learned_is_kept_in_a_private_file() {
    let server = Server::start(Mood::Sse("2024-11-05")).await;
    let gateway = Gateway::new().server("old", &server).start().await;

    let path = gateway.state().join("upstreams.json");
    let text = until("the file", || std::fs::read_to_string(&path).ok()).await;

    let remembered: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(remembered["upstreams"]["old"]["transport"], "sse");
    assert_eq!(remembered["upstreams"]["old"]["legacy"], "2024-11-05");
    assert!(!text.contains(server.address()), "{text}");
}

#[tokio::test]
async fn a_modern_client_is_served_by_a_server_of_sse() {
    let server = Server::start(Mood::Sse("2024-11-05")).await;
    let gateway = Gateway::new().server("old", &server).start().await;

    let client = gateway.client("/mcp").modern();
    let result = client.call("echo", json!({ "message": "hi" })).await;

    assert_eq!(result["content"][0]["text"], "hi");
    assert_eq!(result["resultType"], "complete");
}

#[tokio::test]
async fn an_endpoint_elsewhere_is_not_followed() {
    let elsewhere = Server::start(Mood::Legacy("2024-11-05")).await;
    let place = elsewhere.url();
    let server = Server::of(Mood::Legacy("2024-11-05")).always(move |request| match request.verb.as_str() {
        "GET" => Reply::stream().raw(format!("event: endpoint\ndata: {place}\n\n")),
        _ => Reply::new(405),
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("astray", &server).start().await;

    let answer = gateway
        .client("/mcp")
        .sessionless("2024-11-05")
        .ask("tools/call", json!({ "name": "echo" }))
        .await;

    assert!(answer.complaint().contains("origin"), "{answer:?}");
    assert!(!answer.complaint().contains(elsewhere.address()), "{answer:?}");
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn an_idle_connection_makes_place_and_its_session_goes_on() {
    let server = Server::start(Mood::Sse("2024-11-05")).await;
    let gateway = Gateway::new()
        .server("old", &server)
        .config("bounds: { children: 1 }")
        .start()
        .await;
    let first = gateway.client("/mcp/old").legacy("2024-11-05").await;
    let second = gateway.client("/mcp/old").legacy("2024-11-05").await;

    for client in [&second, &first, &second] {
        let result = client.call("echo", json!({ "message": "hi" })).await;
        assert_eq!(result["content"][0]["text"], "hi");
    }
}
