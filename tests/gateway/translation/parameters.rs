//! Arguments that a server of 2026-07-28 wants to see in headers (`x-mcp-header`).
use std::sync::{Arc, Mutex};

use harness::{Client, Mood, Reply, Server};
use serde_json::json;

use super::gateway;

/// A server that wants two of its tool's arguments in headers.
async fn wants_headers() -> Server {
    let tool = json!({
        "name": "search",
        "inputSchema": { "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "where": { "type": "object", "properties": { "limit": { "type": "integer", "x-mcp-header": "Limit" } } },
        } },
    });
    let listed = json!({ "tools": [tool], "resultType": "complete", "ttlMs": 0, "cacheScope": "private" });
    let server = Server::of(Mood::Modern)
        .on("tools/list", move |request| Reply::result(request, &listed))
        .start();
    server.await
}

#[tokio::test]
async fn arguments_that_a_server_wants_in_headers_are_put_there() {
    let server = wants_headers().await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;

    for arguments in [
        json!({ "region": "eu", "where": { "limit": 42 } }),
        json!({ "region": "Zürich", "where": {} }),
        json!({ "region": " eu" }),
        json!({ "region": null }),
        json!({}),
    ] {
        client.call("search", arguments).await;
    }

    let calls = server.asked("tools/call");
    let headers = |name| {
        calls
            .iter()
            .map(|call| call.headers.get(name))
            .collect::<Vec<_>>()
    };
    let (zurich, space) = ("=?base64?WsO8cmljaA==?=", "=?base64?IGV1?=");
    assert_eq!(
        headers("Mcp-Param-Region"),
        [Some("eu"), Some(zurich), Some(space), None, None]
    );
    assert_eq!(headers("Mcp-Param-Limit"), [Some("42"), None, None, None, None]);
}

#[tokio::test]
async fn a_server_that_wants_other_headers_by_now_is_asked_for_its_tools_again() {
    let wanted = Arc::new(Mutex::new("Region"));
    let (listed, checked) = (wanted.clone(), wanted.clone());
    let server = Server::of(Mood::Modern)
        .on("tools/list", move |request| {
            let region = json!({ "type": "string", "x-mcp-header": *listed.lock().unwrap() });
            let schema = json!({ "type": "object", "properties": { "region": region } });
            let tools = json!([{ "name": "search", "inputSchema": schema }]);
            let result =
                json!({ "tools": tools, "resultType": "complete", "ttlMs": 0, "cacheScope": "private" });
            Reply::result(request, &result)
        })
        .on("tools/call", move |request| {
            let header = format!("Mcp-Param-{}", checked.lock().unwrap());
            if request.headers.get(&header) == Some("eu") {
                return Reply::result(request, &json!({ "content": [], "resultType": "complete" }));
            }
            let error = json!({ "code": -32020, "message": format!("{header} is missing") });
            Reply::json(
                400,
                &json!({ "jsonrpc": "2.0", "id": request.json()["id"], "error": error }),
            )
        });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;
    client.call("search", json!({ "region": "eu" })).await;

    *wanted.lock().unwrap() = "Area";
    client.call("search", json!({ "region": "eu" })).await;

    let calls = server.asked("tools/call");
    let told: Vec<_> = calls
        .iter()
        .map(|call| {
            (
                call.headers.get("Mcp-Param-Region"),
                call.headers.get("Mcp-Param-Area"),
            )
        })
        .collect();
    assert_eq!(told, [(Some("eu"), None), (Some("eu"), None), (None, Some("eu"))]);
}

/// What an earlier server has no eyes for is checked before it.
#[tokio::test]
async fn headers_that_contradict_their_message_stop_at_the_gateway() {
    let tool = json!({
        "name": "search",
        "inputSchema": { "type": "object", "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } },
    });
    let server = Server::of(Mood::Sessionful("2025-11-25")).on("tools/list", move |request| {
        Reply::result(request, &json!({ "tools": [tool] }))
    });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").modern();
    client.ask("tools/list", json!({})).await.result();

    let call = json!({ "name": "search", "arguments": { "region": "eu" } });
    let with = |client: &Client, value: &str| client.clone().with("Mcp-Param-Region", value);
    let right = with(&client, "eu").ask("tools/call", call.clone()).await;
    let wrong = with(&client, "us").ask("tools/call", call.clone()).await;
    let missing = client.ask("tools/call", call).await;

    right.result();
    for answer in [&wrong, &missing] {
        assert_eq!((answer.status, answer.code()), (400, -32020), "{answer:?}");
    }
    server.only("tools/call");
}

/// A client of the server's own revision leaves such a tool out itself; of an earlier one it cannot be asked.
#[tokio::test]
async fn a_tool_that_wants_headers_which_do_not_work_is_not_listed_to_earlier_clients() {
    let tools = json!([
        { "name": "bad", "inputSchema": { "type": "object", "properties": { "a": { "type": "number", "x-mcp-header": "A" } } } },
        { "name": "good", "inputSchema": { "type": "object", "properties": { "a": { "type": "string", "x-mcp-header": "A" } } } },
    ]);
    let listed = json!({ "tools": tools, "resultType": "complete", "ttlMs": 0, "cacheScope": "private" });
    let server = Server::of(Mood::Modern)
        .on("tools/list", move |request| Reply::result(request, &listed))
        .start()
        .await;
    let gateway = gateway(&server).await;
    let earlier = gateway.client("/mcp").legacy("2025-11-25").await;

    let seen = [
        earlier.ask("tools/list", json!({})).await.result(),
        earlier.ask("tools/list", json!({})).await.result(),
    ];
    let untouched = gateway.client("/mcp").modern().ask("tools/list", json!({})).await;

    for seen in seen {
        assert_eq!(seen["tools"], json!([tools[1]]));
    }
    assert_eq!(untouched.result()["tools"], tools);
    let warnings = gateway.program().stderr();
    let warnings = warnings
        .lines()
        .filter(|line| line.contains("a tool is not listed"));
    let warnings: Vec<&str> = warnings.collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("\"bad\"") && warnings[0].contains("docs"),
        "{warnings:?}"
    );
}

/// A server of 2026-07-28 reads in a header what a request is about, and would refuse one that has none for that.
#[tokio::test]
async fn a_call_that_names_nothing_is_refused_here() {
    let server = Server::of(Mood::Modern).start().await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await.unchecked();

    for (method, params, member) in [
        ("tools/call", json!({}), "name"),
        ("tools/call", json!({ "name": 5 }), "name"),
        ("prompts/get", json!({ "name": null }), "name"),
        ("resources/read", json!({ "uri": [] }), "uri"),
    ] {
        let answer = client.ask(method, params.clone()).await;

        assert_eq!((answer.status, answer.code()), (200, -32602), "{method} {params}");
        let says = answer.last().to_string();
        assert!(says.contains(&format!("`params.{member}`")), "{says}");
        assert!(server.asked(method).is_empty(), "{method} {params}");
    }
}
