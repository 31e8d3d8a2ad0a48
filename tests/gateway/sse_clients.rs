//! Clients of the 2024-11-05 transport: a stream that first says where to POST, and on which everything is told.
use harness::{
    Client, Exit, Gate, Gateway, Mood, Reply, Request, Running, Server, SseClient, Stripping, misbehave,
    until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

fn said(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

/// A server whose calls wait at the gate.
async fn waiting(mood: Mood, gate: &Gate) -> Server {
    let gate = gate.clone();
    let server = Server::of(mood).on("tools/call", move |request| {
        Reply::after(&gate, Reply::result(request, &said("done")))
    });
    server.start().await
}

/// Whether a server was sent a message. It may be listened to at any time.
fn was_sent(server: &Server) -> bool {
    server.requests().iter().any(|request| request.verb == "POST")
}

async fn open(gateway: &Running, path: &str) -> SseClient {
    SseClient::connect(&gateway.client(path)).await
}

#[tokio::test]
async fn the_first_event_says_where_to_post_wherever_the_stream_was_opened() {
    let gateway = Gateway::new()
        .demo()
        .config("routes: [{ path: /mcp }, { path: \"/mcp/{server}\" }, { host: tools.example.com, path: / }]")
        .config("hosts: [tools.example.com]")
        .start()
        .await;
    for (host, path, endpoint) in [
        (None, "/mcp", "/mcp/messages?s="),
        (None, "/mcp/demo", "/mcp/demo/messages?s="),
        (None, "/mcp/demo/sse", "/mcp/demo/messages?s="),
        (None, "/sse", "/messages?s="),
        (None, "/sse?server=demo", "/messages?server=demo&s="),
        (Some("tools.example.com"), "/", "/messages?s="),
        (Some("tools.example.com"), "/sse", "/messages?s="),
    ] {
        let client = gateway.client(path);
        let client = match host {
            Some(host) => client.with("Host", host),
            None => client,
        };
        let mut client = SseClient::connect(&client).await.initialized("2024-11-05").await;

        assert!(
            client.endpoint().starts_with(endpoint),
            "{path}: {}",
            client.endpoint()
        );
        assert_eq!(text(&client.call("echo", json!({ "text": path })).await), path);
    }
}

#[tokio::test]
async fn the_address_is_that_of_the_public_url_behind_a_proxy_that_strips_its_path() {
    let gateway = Gateway::new()
        .demo()
        .config("public_url: https://example.com/tools")
        .start()
        .await;
    let proxy = Stripping::before(gateway.address(), "/tools").await;

    let client = SseClient::connect(&proxy.client("/tools/mcp/demo/sse")).await;
    let mut client = client.initialized("2025-06-18").await;

    assert!(
        client.endpoint().starts_with("/tools/mcp/demo/messages?"),
        "{}",
        client.endpoint()
    );
    assert_eq!(text(&client.call("echo", json!({ "text": "hi" })).await), "hi");
}

#[tokio::test]
async fn what_the_url_of_the_stream_said_holds_for_its_messages() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let upstream = format!(
        "{{ url: \"{}\", headers: {{ X-Tenant: \"${{param:tenant}}\" }} }}",
        server.url()
    );
    let gateway = Gateway::new().upstream("docs", upstream).start().await;

    let client = open(&gateway, "/sse?tenant=acme").await;
    let mut client = client.initialized("2025-06-18").await;
    client.call("echo", json!({ "message": "hi" })).await;

    let call = server.only("tools/call");
    assert_eq!(call.headers.get("X-Tenant"), Some("acme"), "{call:?}");
    // Another tenant's address is not to be had by writing another one into it.
    server.forget();
    let forged = client.endpoint().replace("tenant=acme", "tenant=globex");
    let ping = json!({ "jsonrpc": "2.0", "id": 9, "method": "ping" });
    let answer = client.poster().at(&forged).post(ping.to_string()).await;
    assert_eq!(answer.status, 404, "{answer:?}");
    assert!(!was_sent(&server), "{:?}", server.requests());
}

#[tokio::test]
async fn a_parameter_of_the_clients_own_may_have_the_name_of_the_token() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let upstream = format!(
        "{{ url: \"{}\", headers: {{ X-Shard: \"${{param:s}}\" }} }}",
        server.url()
    );
    let gateway = Gateway::new().upstream("docs", upstream).start().await;

    let client = open(&gateway, "/sse?s=eu").await;
    let mut client = client.initialized("2025-06-18").await;
    client.call("echo", json!({ "message": "hi" })).await;

    let call = server.only("tools/call");
    assert_eq!(call.headers.get("X-Shard"), Some("eu"), "{call:?}");
}

#[tokio::test]
async fn progress_comes_in_order_and_before_the_answer_and_as_it_happens() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(Mood::Legacy("2025-06-18")).on("tools/call", move |request| {
        let token = &request.params()["_meta"]["progressToken"];
        let progress = |step| {
            let params = json!({ "progressToken": token, "progress": step });
            json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })
        };
        Reply::stream()
            .event(&progress(1))
            .wait(&held)
            .event(&progress(2))
            .result_event(request, &said("done"))
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let mut client = open(&gateway, "/sse").await.initialized("2025-06-18").await;

    let call = json!({ "name": "steps", "_meta": { "progressToken": "mine" } });
    let id = client.send("tools/call", call).await;
    let first = client.message().await;
    gate.open();
    let (second, answer) = (client.message().await, client.message().await);

    assert_eq!(first["params"], json!({ "progressToken": "mine", "progress": 1 }));
    assert_eq!(second["params"]["progress"], 2, "{second}");
    assert_eq!(
        (answer["id"].as_u64(), text(&answer["result"])),
        (Some(id), "done")
    );
}

#[tokio::test]
async fn errors_come_on_the_stream_too() {
    let server = Server::start(Mood::Legacy("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let mut client = open(&gateway, "/sse").await.initialized("2025-06-18").await;

    let theirs = client.ask("vendor/unknown", json!({})).await;
    assert_eq!(theirs["error"]["code"], -32601, "{theirs}");
    let mut server = server;
    server.stop().await;
    let ours = client
        .ask("tools/call", json!({ "name": "echo", "arguments": {} }))
        .await;
    assert_eq!(ours["error"]["code"], -32603, "{ours}");
}

#[tokio::test]
async fn a_question_is_asked_on_the_stream_and_answered_by_post() {
    let gateway = Gateway::new().demo().start().await;
    let client = open(&gateway, "/mcp/demo/sse").await;
    let abilities = json!({ "sampling": {}, "roots": {}, "elicitation": {} });
    let mut client = client.able_to(abilities).initialized("2025-06-18").await;

    let call = json!({ "name": "ask", "arguments": { "question": "who?" } });
    let id = client.send("tools/call", call).await;
    let question = client.message().await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    client
        .answer(
            &question,
            json!({ "action": "accept", "content": { "answer": "me" } }),
        )
        .await;
    let answer = client.message().await;

    assert_eq!(
        (answer["id"].as_u64(), text(&answer["result"])),
        (Some(id), "answer: me")
    );
}

#[tokio::test]
async fn what_a_server_says_outside_of_calls_comes_on_the_stream() {
    let gateway = Gateway::new().demo().start().await;
    let mut client = open(&gateway, "/sse").await.initialized("2025-06-18").await;

    client
        .send("tools/call", json!({ "name": "touch", "arguments": {} }))
        .await;
    let mut methods = Vec::new();
    for _ in 0..2 {
        methods.push(client.message().await["method"].clone());
    }

    assert!(
        methods.contains(&json!("notifications/tools/list_changed")),
        "{methods:?}"
    );
}

#[tokio::test]
async fn a_message_without_the_token_is_told_how_to_connect() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    server.forget();
    for (path, hint) in [
        ("/messages", "GET /sse"),
        ("/messages?server=docs", "GET /sse"),
        ("/mcp/docs/messages", "GET /mcp/docs/sse"),
    ] {
        let answer = gateway
            .client(path)
            .post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
            .await;

        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert!(answer.complaint().contains(hint), "{}", answer.complaint());
        assert_eq!(gateway.client(path).fetch("GET").await.status, 405, "{path}");
    }
    assert!(server.requests().is_empty(), "{:?}", server.requests());
}

/// Posts a call to an address, and expects that it belongs to no stream.
async fn refused(client: &Client, path: &str) {
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "echo" } });
    let answer = client.clone().at(path).post(call.to_string()).await;
    assert_eq!(answer.status, 404, "{path}: {answer:?}");
}

#[tokio::test]
async fn a_token_that_is_not_of_an_open_stream_of_this_place_is_not_found() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let key = "session: { key: \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\" }";
    let gateway = Gateway::new()
        .server("docs", &server)
        .server("crm", &server)
        .config(key)
        .start()
        .await;
    let neighbour = Gateway::new().server("docs", &server).config(key).start().await;
    let client = open(&gateway, "/mcp/docs/sse")
        .await
        .initialized("2025-06-18")
        .await;
    let other = open(&gateway, "/mcp/docs/sse")
        .await
        .initialized("2025-06-18")
        .await;
    let streamable = gateway.client("/mcp/docs").legacy("2025-06-18").await;
    let endpoint = client.endpoint().to_owned();
    let token = endpoint.split("s=").nth(1).unwrap().to_owned();
    server.forget();

    let mut tampered = endpoint.clone().into_bytes();
    let last = tampered.len() - 10;
    tampered[last] = if tampered[last] == b'A' { b'B' } else { b'A' };
    let anybody = client.poster();
    refused(&anybody, &String::from_utf8(tampered).unwrap()).await;
    refused(&anybody, &format!("/mcp/crm/messages?s={token}")).await;
    refused(&anybody, &format!("/messages?server=docs&s={token}")).await;
    refused(&anybody, "/mcp/docs/messages?s=").await;
    refused(&anybody, &format!("/mcp/docs/messages?s={}", "x".repeat(9000))).await;
    refused(
        &anybody,
        &format!("/mcp/docs/messages?s={}", streamable.session().unwrap()),
    )
    .await;
    // The neighbour has the key, but not the stream.
    refused(&neighbour.client("/mcp"), &endpoint).await;
    // Nor is it the id of a session.
    let as_session = gateway
        .client("/mcp/docs")
        .sessionless("2025-06-18")
        .with("Mcp-Session-Id", &token);
    assert_eq!(as_session.ask("tools/list", json!({})).await.status, 404);
    assert_eq!(as_session.fetch("DELETE").await.status, 404);
    // A stream that is closed.
    drop(client);
    server
        .request("the end of its session", |request| request.verb == "DELETE")
        .await;
    refused(&anybody, &endpoint).await;

    assert!(server.asked("tools/call").is_empty(), "{:?}", server.requests());
    assert!(server.asked("tools/list").is_empty(), "{:?}", server.requests());
    drop(other);
}

#[tokio::test]
async fn what_is_no_message_is_refused_where_it_was_posted() {
    let server = Server::start(Mood::Legacy("2025-03-26")).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("bounds: { body: 1KiB }")
        .start()
        .await;
    let mut client = open(&gateway, "/sse").await.initialized("2025-03-26").await;
    server.forget();

    for (body, status, code) in [
        (
            r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]"#.to_owned(),
            400,
            -32600,
        ),
        ("{".to_owned(), 400, -32700),
        ("{}".to_owned(), 400, -32600),
        (String::new(), 400, -32700),
        (
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{}"}}}}"#,
                "x".repeat(2000)
            ),
            413,
            -32600,
        ),
    ] {
        let answer = client.try_post(&body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{body}: {answer:?}"
        );
    }
    let typed = client.poster().with("Content-Type", "text/plain");
    let answer = typed.post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    assert_eq!(answer.status, 415, "{answer:?}");

    assert!(!was_sent(&server), "{:?}", server.requests());
    assert_eq!(
        text(&client.call("echo", json!({ "message": "still here" })).await),
        "still here"
    );
}

#[tokio::test]
async fn an_id_that_is_in_use_is_refused_and_harms_nothing() {
    let gate = Gate::closed();
    let server = waiting(Mood::Sessionful("2025-06-18"), &gate).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let mut client = open(&gateway, "/sse").await.initialized("2025-06-18").await;

    let id = client.send("tools/call", json!({ "name": "echo" })).await;
    let again = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "echo" } });
    let refused = client.try_post(again.to_string()).await;
    server.asked_for("tools/call").await;
    gate.open();

    assert_eq!((refused.status, refused.code()), (400, -32600), "{refused:?}");
    let answer = client.message().await;
    assert_eq!(
        (answer["id"].as_u64(), text(&answer["result"])),
        (Some(id), "done")
    );
    server.only("tools/call");
    client.ask("tools/list", json!({})).await;
}

#[tokio::test]
async fn a_second_handshake_on_a_stream_is_refused_and_reaches_nobody() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let mut client = open(&gateway, "/sse").await.initialized("2025-06-18").await;

    server.forget();
    let info = json!({ "name": "harness", "version": "1" });
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info });
    let again = json!({ "jsonrpc": "2.0", "id": 77, "method": "initialize", "params": params });
    let refused = client.try_post(again.to_string()).await;

    assert_eq!((refused.status, refused.code()), (400, -32600), "{refused:?}");
    assert!(!was_sent(&server), "{:?}", server.requests());
    client.ask("tools/list", json!({})).await;
}

#[tokio::test]
async fn a_call_that_is_taken_back_reaches_the_server_so_and_nothing_more_is_said_of_it() {
    let server = waiting(Mood::Sessionful("2025-06-18"), &Gate::closed()).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let mut client = open(&gateway, "/sse").await.initialized("2025-06-18").await;

    let id = client.send("tools/call", json!({ "name": "echo" })).await;
    let call = server.asked_for("tools/call").await;
    client
        .notify(
            "notifications/cancelled",
            json!({ "requestId": id, "reason": "enough" }),
        )
        .await;

    server.abandoned(&call).await;
    let told = server.only("notifications/cancelled");
    assert_eq!(told.params()["requestId"], call.json()["id"], "{told:?}");
    client.ask("tools/list", json!({})).await;
    let record = |record: &Value| record["method"] == "tools/call" && record["outcome"] == "cancelled";
    gateway.record("the call that was taken back", record).await;
}

#[tokio::test]
async fn two_clients_with_the_same_ids_get_their_own_answers() {
    let gateway = Gateway::new().demo().start().await;
    let mut one = open(&gateway, "/sse").await.initialized("2025-06-18").await;
    let mut other = open(&gateway, "/sse").await.initialized("2025-06-18").await;

    for round in 0..20 {
        let words = |who: &str| json!({ "name": "echo", "arguments": { "text": format!("{who} {round}") } });
        let (a, b) = (
            one.send("tools/call", words("one")).await,
            other.send("tools/call", words("other")).await,
        );
        assert_eq!(a, b, "the ids are meant to be equal");
        assert_eq!(text(&one.message().await["result"]), format!("one {round}"));
        assert_eq!(text(&other.message().await["result"]), format!("other {round}"));
    }
}

#[tokio::test]
async fn a_stream_that_closes_ends_its_session_and_all_that_ran_in_it() {
    let server = waiting(Mood::Sessionful("2025-06-18"), &Gate::closed()).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let mut client = open(&gateway, "/sse").await.initialized("2025-06-18").await;
    client.send("tools/call", json!({ "name": "echo" })).await;
    let call = server.asked_for("tools/call").await;

    drop(client);

    let ended = server.request("DELETE", |request| request.verb == "DELETE").await;
    assert_eq!(
        ended.headers.get("mcp-session-id"),
        call.headers.get("mcp-session-id")
    );
    server.abandoned(&call).await;
    gateway.counted("causeway_running_requests 0").await;
}

#[tokio::test]
async fn a_stream_that_closes_ends_its_child() {
    let scratch = tempfile::tempdir().unwrap();
    let told = scratch.path().join("told").display().to_string();
    let child = misbehave(&["--era", "legacy", "--hang-on", "vendor/hang", "--told", &told]);
    let gateway = Gateway::new().upstream("files", child).start().await;
    let before = gateway.program().descendants();
    let mut client = open(&gateway, "/sse").await.initialized("2025-06-18").await;
    let own: Vec<u32> = gateway
        .program()
        .descendants()
        .into_keys()
        .filter(|pid| !before.contains_key(pid))
        .collect();
    assert!(!own.is_empty(), "its session has a child of its own");
    client.send("vendor/hang", json!({})).await;

    drop(client);

    until("the end of its child", || {
        own.iter().all(|pid| !harness::is_alive(*pid)).then_some(())
    })
    .await;
    gateway.counted("causeway_running_requests 0").await;
}

#[tokio::test]
async fn a_session_runs_so_many_requests_at_once_and_no_more() {
    let gate = Gate::closed();
    let server = waiting(Mood::Legacy("2025-06-18"), &gate).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let mut client = open(&gateway, "/sse").await.initialized("2025-06-18").await;

    for _ in 0..256 {
        client.send("tools/call", json!({ "name": "echo" })).await;
    }
    let ping = json!({ "jsonrpc": "2.0", "id": "one more", "method": "ping" });
    let refused = client.try_post(ping.to_string()).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.headers.get("retry-after").is_some(), "{refused:?}");

    gate.open();
    for _ in 0..256 {
        assert_eq!(text(&client.message().await["result"]), "done");
    }
    client.ask("tools/list", json!({})).await;
}

#[tokio::test]
async fn it_reaches_servers_of_every_kind() {
    let legacy = Server::start(Mood::Legacy("2025-11-25")).await;
    let sessionful = Server::start(Mood::Sessionful("2025-03-26")).await;
    let gateway = Gateway::new()
        .server("sessionless", &legacy)
        .server("sessionful", &sessionful)
        .upstream("child", misbehave(&["--era", "legacy"]))
        .start()
        .await;
    for name in ["sessionless", "sessionful", "child"] {
        let mut client = open(&gateway, &format!("/mcp/{name}"))
            .await
            .initialized("2024-11-05")
            .await;
        assert_eq!(text(&client.call("echo", json!({ "message": name })).await), name);
    }
    let calls = || {
        gateway
            .records()
            .into_iter()
            .filter(|record| record["method"] == "tools/call")
    };
    until("three records", || (calls().count() == 3).then_some(())).await;
    assert!(
        calls().all(|record| record["door"] == "sse" && record["status"] == 202),
        "{:?}",
        gateway.records()
    );
    let metrics = gateway.admin("/metrics").await.text();
    assert!(
        metrics.contains("causeway_sse_sessions_total{route=\"/mcp/{server}\"} 3"),
        "{metrics}"
    );
}

fn big(request: &Request) -> Reply {
    Reply::result(request, &said(&"x".repeat(1 << 20)))
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_holds_up_nobody() {
    let server = Server::of(Mood::Sessionful("2025-06-18"))
        .on("tools/call", big)
        .start()
        .await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("bounds: { stalled: 1s }")
        .start()
        .await;
    let mut slow = open(&gateway, "/sse").await.initialized("2025-06-18").await;
    let mut fast = open(&gateway, "/sse").await.initialized("2025-06-18").await;

    // More than all buffers between the two can hold.
    for _ in 0..32 {
        slow.send("tools/call", json!({ "name": "echo" })).await;
    }
    for _ in 0..3 {
        let result = fast.call("echo", json!({})).await;
        assert_eq!(text(&result).len(), 1 << 20);
    }

    server
        .request("the end of its session", |request| request.verb == "DELETE")
        .await;
    assert_eq!(text(&fast.call("echo", json!({})).await).len(), 1 << 20);
    let gone = slow
        .try_post(r#"{"jsonrpc":"2.0","id":99,"method":"ping"}"#)
        .await;
    assert_eq!(gone.status, 404, "{gone:?}");
}

#[tokio::test]
async fn a_drain_lets_running_calls_answer_and_ends_the_stream_cleanly() {
    let gate = Gate::closed();
    let server = waiting(Mood::Sessionful("2025-06-18"), &gate).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("grace: 20s")
        .start()
        .await;
    let mut busy = open(&gateway, "/sse").await.initialized("2025-06-18").await;
    let mut idle = open(&gateway, "/sse").await.initialized("2025-06-18").await;
    let id = busy.send("tools/call", json!({ "name": "echo" })).await;
    server.asked_for("tools/call").await;

    gateway.program().signal(Signal::TERM);
    assert_eq!(idle.next().await, None, "an idle stream ends at once");
    let more = json!({ "jsonrpc": "2.0", "id": "more", "method": "tools/list" });
    let refused = busy.try_post(more.to_string()).await;
    gate.open();

    assert_eq!(refused.status, 503, "{refused:?}");
    let answer = busy.message().await;
    assert_eq!(
        (answer["id"].as_u64(), text(&answer["result"])),
        (Some(id), "done")
    );
    assert_eq!(busy.next().await, None);
    assert_eq!(gateway.program().ended().await, Exit::Code(0));
}

#[tokio::test]
async fn a_grace_that_ends_tells_running_calls_so() {
    let server = waiting(Mood::Sessionful("2025-06-18"), &Gate::closed()).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("grace: 1s")
        .start()
        .await;
    let mut client = open(&gateway, "/sse").await.initialized("2025-06-18").await;
    let id = client.send("tools/call", json!({ "name": "echo" })).await;
    server.asked_for("tools/call").await;

    gateway.program().signal(Signal::TERM);

    let answer = client.message().await;
    assert_eq!(
        (answer["id"].as_u64(), answer["error"]["code"].as_i64()),
        (Some(id), Some(-32603))
    );
    assert_eq!(client.next().await, None);
    assert_eq!(gateway.program().ended().await, Exit::Code(0));
}

#[tokio::test]
async fn the_door_can_be_closed() {
    let gateway = Gateway::new()
        .demo()
        .config("routes: [{ path: /off, sessions: \"off\" }, { path: /shut, doors: { sse: off } }, { path: /mcp }]")
        .start()
        .await;
    let listening = |path: &str| gateway.client(path).with("Accept", "text/event-stream");

    for path in ["/off", "/off/sse", "/shut", "/shut/sse"] {
        let answer = listening(path).fetch("GET").await;
        assert_eq!(answer.status, 405, "{path}: {answer:?}");
    }
    let modern = listening("/mcp")
        .with("MCP-Protocol-Version", "2026-07-28")
        .fetch("GET")
        .await;
    assert_eq!(modern.status, 405, "{modern:?}");
    // Sessions of Streamable HTTP have their own streams there.
    let client = gateway.client("/shut").legacy("2025-06-18").await;
    let stream = client
        .with("Accept", "text/event-stream")
        .fetching("GET")
        .await
        .begun()
        .await;
    assert!(stream.status == 200 && stream.is_stream());
}

#[tokio::test]
async fn who_only_looks_at_an_endpoint_gets_no_stream() {
    let gateway = Gateway::new().demo().start().await;
    let looks = |path, accept| {
        let client = gateway.client(path).without("Content-Type").without("Accept");
        match accept {
            Some(accept) => client.with("Accept", accept),
            None => client,
        }
    };
    for accept in [
        None,
        Some("*/*"),
        Some("text/html,application/xml;q=0.9,*/*;q=0.8"),
    ] {
        let answer = looks("/mcp/demo", accept).fetch("GET").await;
        assert_eq!(
            (answer.status, answer.code()),
            (406, -32600),
            "{accept:?}: {answer:?}"
        );

        // Nothing else is at this address, so nothing else can be meant.
        let stream = looks("/mcp/demo/sse", accept).fetching("GET").await.begun().await;
        assert!(stream.status == 200 && stream.is_stream(), "{accept:?}");
    }
}

#[tokio::test]
async fn a_version_of_old_on_the_get_is_no_matter() {
    let gateway = Gateway::new().demo().start().await;
    let client = gateway.client("/mcp").with("MCP-Protocol-Version", "2025-06-18");

    let mut client = SseClient::connect(&client).await.initialized("2025-06-18").await;

    assert_eq!(text(&client.call("echo", json!({ "text": "hi" })).await), "hi");
}
