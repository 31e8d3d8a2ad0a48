//! Answers that come in parts: as they come, in the form that the client takes, for as long as it stays.
use harness::{Gate, Gateway, Mood, Reply, Request, Server, misbehave, until};
use serde_json::{Value, json};

/// A report about the call, under the token that came with it.
fn progress(request: &Request, step: u64) -> Value {
    let token = &request.params()["_meta"]["progressToken"];
    let params = json!({ "progressToken": token, "progress": step, "total": 2 });
    json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })
}

fn done(request: &Request) -> Value {
    let modern = request.params()["_meta"]
        .get("io.modelcontextprotocol/protocolVersion")
        .is_some();
    let mut result = json!({ "content": [{ "type": "text", "text": "done" }] });
    if modern {
        result["resultType"] = json!("complete");
    }
    result
}

/// A server whose only tool reports a step, waits at the gate, reports another and is done.
async fn stepping(gate: &Gate) -> Server {
    let gate = gate.clone();
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        Reply::stream()
            .event(&progress(request, 1))
            .wait(&gate)
            .event(&progress(request, 2))
            .result_event(request, &done(request))
    });
    server.start().await
}

#[tokio::test]
async fn progress_arrives_as_it_comes() {
    let call = json!({ "name": "steps", "_meta": { "progressToken": "mine" } });
    for modern in [false, true] {
        let gate = Gate::closed();
        let server = stepping(&gate).await;
        let gateway = Gateway::new().server("docs", &server).start().await;
        let client = gateway.client("/mcp");
        let client = if modern {
            client.modern()
        } else {
            client.legacy("2025-06-18").await
        };

        let mut exchange = client.send("tools/call", call.clone()).await.begun().await;
        let first = exchange.message().await.expect("a report before the end");
        gate.open();
        let rest = exchange.answer().await;

        assert_eq!(first["params"]["progress"], 1, "{first}");
        assert_eq!(first["params"]["progressToken"], "mine", "{first}");
        assert_eq!(rest.messages.len(), 2, "{rest:?}");
        assert_eq!(rest.result()["content"][0]["text"], "done");
    }
}

#[tokio::test]
async fn progress_of_a_child_arrives_too() {
    let gateway = Gateway::new().demo().start().await;
    let arguments = json!({ "steps": 3, "delay_ms": 0 });

    for token in [json!("mine"), json!(7)] {
        let call = json!({ "name": "slow", "arguments": arguments, "_meta": { "progressToken": token } });
        for client in [
            gateway.client("/mcp").modern(),
            gateway.client("/mcp").legacy("2025-11-25").await,
        ] {
            let answer = client.ask("tools/call", call.clone()).await;

            let reports: Vec<_> = answer
                .messages
                .iter()
                .filter(|message| message["method"] == "notifications/progress")
                .collect();
            assert_eq!(reports.len(), 3, "{answer:?}");
            assert!(
                reports
                    .iter()
                    .all(|report| report["params"]["progressToken"] == token),
                "{answer:?}"
            );
            assert!(answer.result().get("content").is_some());
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_only_json_gets_one_answer() {
    let gate = Gate::closed();
    gate.open();
    let server = stepping(&gate).await;
    let gateway = Gateway::new().server("docs", &server).demo().start().await;

    for (path, call) in [
        (
            "/mcp/docs",
            json!({ "name": "steps", "_meta": { "progressToken": 1 } }),
        ),
        (
            "/mcp/demo",
            json!({ "name": "slow", "arguments": { "steps": 2, "delay_ms": 0 }, "_meta": { "progressToken": 1 } }),
        ),
    ] {
        for client in [
            gateway.client(path).modern(),
            gateway.client(path).legacy("2025-06-18").await,
        ] {
            let answer = client
                .with("Accept", "application/json")
                .ask("tools/call", call.clone())
                .await;

            assert!(!answer.is_stream(), "{path}: {answer:?}");
            assert_eq!(answer.messages.len(), 1, "{path}: {answer:?}");
            assert!(answer.result().get("content").is_some(), "{path}");
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_only_streams_gets_one() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    for client in [
        gateway.client("/mcp").modern(),
        gateway.client("/mcp").sessionless("2025-06-18"),
    ] {
        let client = client.with("Accept", "text/event-stream");
        let answer = client
            .ask(
                "tools/call",
                json!({ "name": "echo", "arguments": { "message": "hi" } }),
            )
            .await;

        assert!(answer.is_stream(), "{answer:?}");
        assert_eq!(answer.messages.len(), 1, "{answer:?}");
        assert_eq!(answer.result()["content"][0]["text"], "hi");
    }
}

#[tokio::test]
async fn an_answer_without_anything_before_it_is_json() {
    let server = Server::of(Mood::Dual).on("tools/call", |request| {
        Reply::stream()
            .raw(": hello\n\n")
            .result_event(request, &done(request))
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    for client in [
        gateway.client("/mcp").modern(),
        gateway.client("/mcp").sessionless("2025-06-18"),
    ] {
        let answer = client.ask("tools/call", json!({ "name": "steps" })).await;

        // Python clients refuse events over a mebibyte, and no body.
        assert_eq!(
            answer.headers.get("Content-Type"),
            Some("application/json"),
            "{answer:?}"
        );
        assert_eq!(
            answer.headers.get("Cache-Control"),
            Some("no-store"),
            "{answer:?}"
        );
        assert_eq!(answer.result()["content"][0]["text"], "done");
    }
}

#[tokio::test]
async fn a_stream_may_be_written_in_any_way_the_standard_allows() {
    let name = "done \u{2028} ünïcode 🎉";
    for (way, write) in [
        (
            "carriage returns",
            (|message: &str| format!("event: message\rdata: {message}\r\r")) as fn(&str) -> String,
        ),
        ("both", |message| {
            format!("event: message\r\ndata: {message}\r\n\r\n")
        }),
        ("no space", |message| format!("data:{message}\n\n")),
        ("several lines", |message| {
            format!("data: {}\n\n", message.replace(",\"", ",\ndata: \""))
        }),
        ("comments and an id", |message| {
            format!(":\n: hello\nid: 1\nretry: 5\ndata: {message}\n\n")
        }),
        ("an empty event first", |message| {
            format!("id: 1\ndata:\n\ndata: {message}\n\n")
        }),
        ("a byte order mark", |message| {
            format!("\u{feff}data: {message}\n\n")
        }),
        ("an unknown event first", |message| {
            format!("event: other\ndata: whatever\n\ndata: {message}\n\n")
        }),
        ("unknown fields", |message| {
            format!("more: 1\ndata\ndata: {message}\n\n")
        }),
    ] {
        let server = Server::of(Mood::Dual).on("tools/call", move |request| {
            let result = json!({ "content": [{ "type": "text", "text": name }] });
            let message =
                json!({ "jsonrpc": "2.0", "id": request.json()["id"], "result": result }).to_string();
            // Byte by byte, so that every line end and every character is split somewhere.
            write(&message)
                .as_bytes()
                .iter()
                .fold(Reply::stream(), |reply, byte| reply.raw([*byte]))
        });
        let server = server.start().await;
        let gateway = Gateway::new().server("docs", &server).start().await;

        let result = gateway
            .client("/mcp")
            .sessionless("2025-06-18")
            .call("echo", json!({}))
            .await;

        assert_eq!(result["content"][0]["text"], name, "{way}");
    }
}

#[tokio::test]
async fn a_servers_text_cannot_become_an_event_of_ours() {
    let text = "a\rdata: {\"jsonrpc\":\"2.0\"}\r\rb\n\ndata: c\u{0}\u{1b}\u{85}";
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        let result = json!({ "content": [{ "type": "text", "text": text }] });
        Reply::stream()
            .event(&progress(request, 1))
            .result_event(request, &result)
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    let client = gateway.client("/mcp").sessionless("2025-06-18");
    let answer = client
        .ask(
            "tools/call",
            json!({ "name": "echo", "_meta": { "progressToken": 1 } }),
        )
        .await;

    // The harness refuses a bare carriage return or an unknown line in a stream of ours.
    assert!(answer.is_stream(), "{answer:?}");
    assert_eq!(answer.messages.len(), 2);
    assert_eq!(answer.result()["content"][0]["text"], text);
}

#[tokio::test]
async fn a_modern_client_that_leaves_takes_its_call_back() {
    let gate = Gate::closed();
    let server = stepping(&gate).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").modern();

    let mut exchange = client
        .send(
            "tools/call",
            json!({ "name": "steps", "_meta": { "progressToken": 1 } }),
        )
        .await
        .begun()
        .await;
    exchange.message().await;
    drop(exchange);

    server.abandoned(&server.only("tools/call")).await;
    let record = gateway
        .record("the call", |record| record["method"] == "tools/call")
        .await;
    assert_eq!(record["outcome"], "cancelled", "{record}");
}

#[tokio::test]
async fn a_modern_client_may_leave_before_the_first_byte() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        Reply::after(&held, Reply::result(request, &done(request)))
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").modern();

    let sent = client.send("tools/call", json!({ "name": "steps" })).await;
    let call = server.asked_for("tools/call").await;
    drop(sent);

    server.abandoned(&call).await;
    let record = gateway
        .record("the call", |record| record["method"] == "tools/call")
        .await;
    assert_eq!(record["outcome"], "cancelled", "{record}");
}

#[tokio::test]
async fn a_legacy_client_that_leaves_takes_nothing_back() {
    let gate = Gate::closed();
    let server = stepping(&gate).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    let mut exchange = client
        .send(
            "tools/call",
            json!({ "name": "steps", "_meta": { "progressToken": 1 } }),
        )
        .await
        .begun()
        .await;
    exchange.message().await;
    drop(exchange);
    // The gateway serves others meanwhile, and so has had every occasion to notice.
    for _ in 0..20 {
        client.ask("tools/list", json!({})).await;
    }
    let call = server.only("tools/call");
    assert!(!server.is_abandoned(&call), "the call was taken back");
    gate.open();

    let record = gateway
        .record("the call", |record| record["method"] == "tools/call")
        .await;
    assert!(!server.is_abandoned(&call), "the call was taken back");
    assert_eq!(server.asked("notifications/cancelled").len(), 0);
    assert!(record["duration_ms"].is_number(), "{record}");
}

#[tokio::test]
async fn a_legacy_client_takes_its_call_back_in_words() {
    let gate = Gate::closed();
    let server = stepping(&gate).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    let call = client.request(
        "tools/call",
        json!({ "name": "steps", "_meta": { "progressToken": 1 } }),
    );
    let mut exchange = client.send_message(&call).await.begun().await;
    exchange.message().await;
    let words = json!({ "requestId": call["id"], "reason": "enough" });
    let accepted = client.notify("notifications/cancelled", words).await;

    assert_eq!(accepted.status, 202, "{accepted:?}");
    let told = server.asked_for("notifications/cancelled").await;
    assert_eq!(
        told.params()["requestId"],
        server.only("tools/call").json()["id"],
        "{told:?}"
    );
    assert_eq!(told.params()["reason"], "enough", "{told:?}");
}

#[tokio::test]
async fn a_call_that_ends_since_it_was_taken_back_is_nobodys_fault() {
    let gate = Gate::closed();
    let ends = gate.clone();
    let server = Server::of(Mood::Sessionful("2025-06-18")).on("tools/call", move |request| {
        // As servers do that are told of it: the stream ends without an answer.
        Reply::stream().event(&progress(request, 1)).wait(&ends)
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let call = client.request(
        "tools/call",
        json!({ "name": "steps", "_meta": { "progressToken": 1 } }),
    );
    let mut exchange = client.send_message(&call).await.begun().await;
    exchange.message().await;

    client
        .notify("notifications/cancelled", json!({ "requestId": call["id"] }))
        .await;
    gate.open();

    assert_eq!(exchange.message().await, None, "nothing more is said of it");
    let record = gateway
        .record("the call", |record| record["method"] == "tools/call")
        .await;
    assert_eq!(record["outcome"], "cancelled", "{record}");
}

#[tokio::test]
async fn a_child_is_told_in_words_that_its_modern_client_has_left() {
    let gateway = Gateway::new();
    let told = gateway.file("told", "");
    let child = misbehave(&["--era", "modern", "--hang-on", "tools/call", "--told", &told]);
    let gateway = gateway.upstream("child", child).start().await;
    let told = |method: &'static str| {
        let told = told.clone();
        move || {
            let text = std::fs::read_to_string(&told).unwrap();
            let mut lines = text
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|message| message["method"] == method)
        }
    };

    let sent = gateway
        .client("/mcp")
        .modern()
        .send("tools/call", json!({ "name": "echo" }))
        .await;
    let call = until("the child to be called", told("tools/call")).await;
    drop(sent);

    let cancelled = until("the child to be told", told("notifications/cancelled")).await;
    assert_eq!(cancelled["params"]["requestId"], call["id"], "{cancelled}");
}

#[tokio::test]
async fn a_servers_question_reaches_its_client_and_the_answer_the_server() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(Mood::Sessionful("2025-06-18")).on("tools/call", move |request| {
        let params = json!({ "message": "who?", "requestedSchema": { "type": "object", "properties": {} } });
        let question =
            json!({ "jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": params });
        Reply::stream()
            .event(&question)
            .wait(&held)
            .result_event(request, &done(request))
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway
        .client("/mcp")
        .able_to(json!({ "elicitation": {} }))
        .legacy("2025-06-18")
        .await;

    let mut exchange = client
        .send("tools/call", json!({ "name": "echo" }))
        .await
        .begun()
        .await;
    let question = exchange.message().await.expect("a question");
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "decline" } });
    let accepted = client.post(answer.to_string()).await;

    assert_eq!(question["method"], "elicitation/create", "{question}");
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let heard = server
        .request("an answer", |request| {
            request.json()["result"]["action"] == "decline"
        })
        .await;
    assert_eq!(heard.json()["id"], "q1", "{heard:?}");
    gate.open();
    assert_eq!(exchange.answer().await.result()["content"][0]["text"], "done");
}

#[tokio::test]
async fn a_large_answer_passes_and_a_larger_one_is_refused_by_the_name_of_the_bound() {
    let gateway = Gateway::new()
        .demo()
        .config("bounds: { answer: 4MiB }")
        .start()
        .await;
    let client = gateway.client("/mcp").modern();

    let large = client.call("big", json!({ "bytes": 3 << 20 })).await;
    let larger = client
        .ask(
            "tools/call",
            json!({ "name": "big", "arguments": { "bytes": 5 << 20 } }),
        )
        .await;

    assert_eq!(large["content"][0]["text"].as_str().unwrap().len(), 3 << 20);
    assert_eq!(larger.code(), -32603, "{:?}", larger.status);
    assert!(
        larger.complaint().contains("bounds.answer"),
        "{}",
        larger.complaint()
    );
    client.call("echo", json!({ "text": "still here" })).await;
}
