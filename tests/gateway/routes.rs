//! Which server a request reaches: by path, query, host and parameters. A route with one server changes nothing.
use harness::{Gateway, MODERN, Mood, Reply, Server};
use serde_json::json;

#[tokio::test]
async fn a_path_names_the_server() {
    let (docs, crm) = (Server::start(Mood::Dual).await, Server::start(Mood::Dual).await);
    let gateway = Gateway::new()
        .server("docs", &docs)
        .server("crm", &crm)
        .start()
        .await;

    let result = gateway
        .client("/mcp/crm")
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;

    assert_eq!(result["content"][0]["text"], "hi");
    assert_eq!(crm.asked("tools/call").len(), 1);
    assert_eq!(docs.asked("tools/call").len(), 0);
}

#[tokio::test]
async fn a_query_names_the_server() {
    let (docs, crm) = (Server::start(Mood::Dual).await, Server::start(Mood::Dual).await);
    let gateway = Gateway::new()
        .server("docs", &docs)
        .server("crm", &crm)
        .start()
        .await;

    gateway
        .client("/mcp?server=docs")
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;

    assert_eq!(docs.asked("tools/call").len(), 1);
    assert_eq!(crm.asked("tools/call").len(), 0);
}

#[tokio::test]
async fn the_only_server_needs_no_name() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    let result = gateway
        .client("/mcp")
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;

    assert_eq!(result["content"][0]["text"], "hi");
}

#[tokio::test]
async fn a_disabled_server_is_not_there() {
    let (docs, crm) = (Server::start(Mood::Dual).await, Server::start(Mood::Dual).await);
    let off = format!("{{ url: \"{}\", disabled: true }}", crm.url());
    let gateway = Gateway::new()
        .server("docs", &docs)
        .upstream("crm", off)
        .start()
        .await;

    let client = gateway.client("/mcp/crm").modern();
    let answer = client.ask("tools/list", json!({})).await;

    assert_eq!(answer.status, 404, "{answer:?}");
    assert_eq!(crm.connections(), 0);
    // The other one is alone now.
    gateway
        .client("/mcp")
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;
    assert_eq!(docs.asked("tools/call").len(), 1);
}

#[tokio::test]
async fn a_server_that_nobody_knows_is_not_found() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    for path in [
        "/mcp/crm",
        "/mcp?server=crm",
        "/mcp/docs,crm",
        "/mcp/docs/crm",
        "/elsewhere",
        "/",
        "/MCP",
    ] {
        let answer = gateway
            .client(path)
            .modern()
            .ask("tools/call", json!({ "name": "echo" }))
            .await;

        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    assert_eq!(server.asked("tools/call").len(), 0);
}

#[tokio::test]
async fn a_host_names_the_server_at_the_root() {
    let (docs, crm) = (Server::start(Mood::Dual).await, Server::start(Mood::Dual).await);
    let gateway = Gateway::new()
        .server("docs", &docs)
        .server("crm", &crm)
        .config(
            "routes: [{ host: acme.tools.example.com, path: /, upstreams: [docs] }, { path: \"/mcp/{server}\" }]",
        )
        .start()
        .await;

    let acme = gateway
        .client("/")
        .with("Host", "acme.tools.example.com")
        .modern();
    acme.call("echo", json!({ "message": "hi" })).await;
    let stranger = gateway
        .client("/")
        .with("Host", "globex.tools.example.com")
        .modern();
    let refused = stranger.ask("tools/call", json!({ "name": "echo" })).await;

    assert_eq!(docs.asked("tools/call").len(), 1);
    assert_eq!(crm.asked("tools/call").len(), 0);
    assert!(matches!(refused.status, 403 | 404), "{refused:?}");
}

#[tokio::test]
async fn a_parameter_chooses_from_the_listed_servers_only() {
    let (acme, globex) = (Server::start(Mood::Dual).await, Server::start(Mood::Dual).await);
    let gateway = Gateway::new()
        .server("crm-a", &acme)
        .server("crm-g", &globex)
        .config(
            "routes: [{ path: \"/t/{tenant}/mcp\", choose: { param: tenant, of: { acme: crm-a, globex: crm-g } } }]",
        )
        .start()
        .await;

    gateway
        .client("/t/globex/mcp")
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;

    assert_eq!(globex.asked("tools/call").len(), 1);
    assert_eq!(acme.asked("tools/call").len(), 0);
    // A server's own name is no value of the parameter, and neither is a host.
    for value in ["crm-a", "evil.example.com", "..", "acme%2f..", ""] {
        let client = gateway.client(&format!("/t/{value}/mcp")).modern();
        let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

        assert_eq!(answer.status, 404, "{value:?}: {answer:?}");
    }
}

#[tokio::test]
async fn what_nobody_knows_passes_through_byte_for_byte() {
    // Numbers beyond any type, an order of its own, spaces, escapes.
    let odd = r#"{"z":12345678901234567890123, "a":1.10,"x":-0,"e":1E4,"text":"\u00e9\/é","nested":{"b":[ ],"a":null}}"#;
    let server = Server::of(Mood::Dual).on("vendor/thing", move |request| Reply::result_of(request, odd));
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    let client = gateway.client("/mcp").sessionless("2025-06-18");
    let answer = client
        .post(format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"vendor/thing","params":{odd}}}"#
        ))
        .await;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer.text().contains(odd),
        "the result was changed: {}",
        answer.text()
    );
    let sent = String::from_utf8(server.only("vendor/thing").body).unwrap();
    assert!(sent.contains(odd), "the parameters were changed: {sent}");
}

#[tokio::test]
async fn what_nobody_knows_passes_through_in_2026_too() {
    let odd = r#"{"resultType":"complete","z":1.10,"a":12345678901234567890123}"#;
    let server = Server::of(Mood::Modern).on("vendor/thing", move |request| Reply::result_of(request, odd));
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").modern().with("Mcp-Method", "vendor/thing");

    let meta = format!(
        r#"{{"vendor":1.10,"io.modelcontextprotocol/protocolVersion":"{MODERN}", "io.modelcontextprotocol/clientCapabilities":{{}}}}"#
    );
    let params = format!(r#"{{"b":2.50,"_meta":{meta},"a" : 12345678901234567890123}}"#);
    let answer = client
        .post(format!(
            r#"{{"jsonrpc":"2.0","id":"x","method":"vendor/thing","params":{params},"extra":1.0}}"#
        ))
        .await;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.last()["id"], "x");
    assert!(
        answer.text().contains(odd),
        "the result was changed: {}",
        answer.text()
    );
    let sent = String::from_utf8(server.only("vendor/thing").body).unwrap();
    assert!(sent.contains(&params), "the parameters were changed: {sent}");
    assert!(
        sent.contains(r#""extra":1.0"#),
        "an unknown member of the envelope was lost: {sent}"
    );
}

#[tokio::test]
async fn an_error_passes_with_its_code_and_data() {
    let server = Server::of(Mood::Dual).on("tools/call", |request| {
        let error =
            json!({ "code": -32000, "message": "no such luck", "data": { "why": [1, 2] }, "more": true });
        Reply::json(
            200,
            &json!({ "jsonrpc": "2.0", "id": request.json()["id"], "error": error }),
        )
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    let answer = gateway
        .client("/mcp")
        .sessionless("2025-06-18")
        .ask("tools/call", json!({ "name": "echo" }))
        .await;

    assert_eq!(answer.status, 200);
    let expected =
        json!({ "code": -32000, "message": "no such luck", "data": { "why": [1, 2] }, "more": true });
    assert_eq!(answer.last()["error"], expected);
}

#[tokio::test]
async fn an_id_comes_back_as_it_was_written() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).demo().start().await;

    for path in ["/mcp/docs", "/mcp/demo"] {
        for id in [
            "7",
            "\"7\"",
            "\"\\u0061b\"",
            "9007199254740993",
            "-1",
            "1.0",
            "\"\"",
        ] {
            let client = gateway.client(path).sessionless("2025-06-18");
            let answer = client
                .post(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#))
                .await;

            assert_eq!(answer.status, 200, "{path} {id}: {answer:?}");
            assert!(
                answer.text().contains(&format!(r#""id":{id}"#)),
                "{path} {id}: {}",
                answer.text()
            );
        }
    }
}
