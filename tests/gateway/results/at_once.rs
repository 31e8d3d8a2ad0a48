//! Many who ask the same at once: the server hears it once, and nobody waits in a row.
use harness::{Builder, Client, Gate, Gateway, Mood, Reply, Running, Sent, Server, SseClient, until};
use serde_json::{Value, json};

use super::{called, complete, counting, keeping};

/// The first call waits at one gate, those behind it at another; each result says which call it was.
fn held(server: Builder, first: &Gate, others: &Gate, failed: bool) -> Builder {
    let (first, others) = (first.clone(), others.clone());
    let calls = std::sync::atomic::AtomicUsize::new(0);
    server.on("tools/call", move |request| {
        let number = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let mut result = json!({ "content": [{ "type": "text", "text": number.to_string() }] });
        if failed {
            result["isError"] = json!(true);
        }
        let gate = if number == 0 { &first } else { &others };
        Reply::after(gate, Reply::result(request, &complete(request, result)))
    })
}

fn question() -> Value {
    json!({ "name": "find", "arguments": {} })
}

/// As many calls, all of which have arrived.
async fn joined(gateway: &Running, client: &Client, running: usize) -> Vec<Sent> {
    let mut sent = Vec::new();
    for _ in 1..running {
        sent.push(client.send("tools/call", question()).await);
    }
    gateway
        .counted(&format!("causeway_running_requests {running}\n"))
        .await;
    sent
}

#[tokio::test]
async fn a_hundred_who_ask_the_same_are_one_call() {
    let gate = Gate::closed();
    let server = held(Server::of(Mood::Dual), &gate, &gate, false).start().await;
    let gateway = keeping(&server).await;
    let client = gateway.client("/mcp/crm").modern();

    let first = client.send("tools/call", question()).await;
    server.asked_for("tools/call").await;
    let others = joined(&gateway, &client, 101).await;
    gate.open();

    let first = first.answer().await.result();
    for other in others {
        assert_eq!(other.answer().await.result(), first);
    }
    assert_eq!(called(&server), 1);
    gateway
        .counted("causeway_results_lookups_total{outcome=\"joined\"} 100")
        .await;
}

#[tokio::test]
async fn when_the_one_who_asked_leaves_one_of_the_others_asks() {
    let (never, gate) = (Gate::closed(), Gate::closed());
    let server = held(Server::of(Mood::Modern), &never, &gate, false).start().await;
    let gateway = keeping(&server).await;
    let client = gateway.client("/mcp/crm").modern();
    let first = client.send("tools/call", question()).await;
    let asked = server.asked_for("tools/call").await;
    let others = joined(&gateway, &client, 11).await;

    drop(first);
    server.abandoned(&asked).await;
    until("a second call", || (called(&server) == 2).then_some(())).await;
    gate.open();

    for other in others {
        assert_eq!(other.answer().await.result()["content"][0]["text"], "1");
    }
    assert_eq!(called(&server), 2);
}

#[tokio::test]
async fn what_will_not_be_kept_is_asked_by_all_at_once() {
    let (first, others) = (Gate::closed(), Gate::closed());
    let server = held(Server::of(Mood::Dual), &first, &others, true).start().await;
    let gateway = keeping(&server).await;
    let client = gateway.client("/mcp/crm").modern();
    let asks = client.send("tools/call", question()).await;
    server.asked_for("tools/call").await;
    let waits = joined(&gateway, &client, 21).await;

    first.open();
    // None of them is answered before all have asked.
    until("all others to ask", || (called(&server) == 21).then_some(())).await;
    others.open();

    assert_eq!(asks.answer().await.result()["isError"], true);
    for other in waits {
        assert_eq!(other.answer().await.result()["isError"], true);
    }
}

#[tokio::test]
async fn a_call_that_streams_holds_up_nobody() {
    let gate = Gate::closed();
    let last = gate.clone();
    let server = Server::of(Mood::Modern).on("tools/call", move |request| {
        let result = complete(request, json!({ "content": [] }));
        let token = &request.params()["_meta"]["progressToken"];
        let progress = json!({ "progressToken": token, "progress": 1 });
        Reply::stream()
            .event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": progress }))
            .wait(&last)
            .result_event(request, &result)
    });
    let server = server.start().await;
    let gateway = keeping(&server).await;
    let client = gateway.client("/mcp/crm").modern();
    let call = || {
        let mut params = question();
        params["_meta"] = json!({ "progressToken": "p" });
        client.send("tools/call", params)
    };

    let (one, other) = (call().await, call().await);
    until("both calls", || (called(&server) == 2).then_some(())).await;
    gate.open();

    one.answer().await.result();
    other.answer().await.result();
}

#[tokio::test]
async fn those_who_wait_for_a_server_that_hangs_have_a_deadline_of_their_own() {
    let server = Server::of(Mood::Dual)
        .on("tools/call", |_| Reply::silence())
        .start()
        .await;
    let gateway = Gateway::new()
        .upstream("crm", format!("{{ url: \"{}\", timeout: 2s }}", server.url()))
        .config("cache: { crm: { tools: [find] } }")
        .start()
        .await;
    let client = gateway.client("/mcp/crm").modern();

    let first = client.send("tools/call", question()).await;
    server.asked_for("tools/call").await;
    let began = std::time::Instant::now();
    let others = joined(&gateway, &client, 4).await;

    for sent in others.into_iter().chain([first]) {
        let answer = sent.answer().await;
        assert_eq!(answer.last()["error"]["data"]["reason"], "timeout", "{answer:?}");
    }
    // Were their time to begin anew when they make their own calls, it would be twice that.
    assert!(
        began.elapsed() < std::time::Duration::from_millis(3800),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_client_that_takes_its_call_back_waits_no_longer() {
    let gate = Gate::closed();
    let server = held(Server::of(Mood::Dual), &gate, &gate, false).start().await;
    let gateway = keeping(&server).await;
    let client = gateway.client("/mcp/crm").legacy("2025-11-25").await;
    let first = client.send("tools/call", question()).await;
    server.asked_for("tools/call").await;
    let request = client.request("tools/call", question());
    let waits = client.send_message(&request).await;
    gateway.counted("causeway_running_requests 2\n").await;

    client
        .notify("notifications/cancelled", json!({ "requestId": request["id"] }))
        .await;

    assert_eq!(waits.answer().await.status, 202);
    gate.open();
    first.answer().await.result();
    assert_eq!(called(&server), 1);
}

#[tokio::test]
async fn legacy_streams_and_batches_share_what_is_kept() {
    let server = counting(Server::of(Mood::Sessionful("2025-03-26"))).start().await;
    let gateway = keeping(&server).await;
    let mut old = SseClient::connect(&gateway.client("/mcp/crm"))
        .await
        .initialized("2025-03-26")
        .await;
    let client = gateway.client("/mcp/crm").legacy("2025-03-26").await;

    let over_sse = old.call("find", json!({})).await;
    let posted = client.call("find", json!({})).await;
    let batch: Vec<Value> = (0..3).map(|_| client.request("tools/call", question())).collect();
    let answers = client.post(json!(batch).to_string()).await;

    assert_eq!(posted, over_sse);
    assert_eq!(answers.messages.len(), 3);
    for answer in &answers.messages {
        assert_eq!(answer["result"], answers.messages[0]["result"]);
    }
    // In a batch a client can be asked nothing, so that it may be answered otherwise.
    assert_eq!(called(&server), 2);
}

#[tokio::test]
async fn all_that_is_kept_has_its_room() {
    let text = "x".repeat(4000);
    let server = Server::of(Mood::Modern).on("tools/call", move |request| {
        let text = match request.params()["arguments"]["long"].as_bool() {
            Some(true) => "y".repeat(10_000_000),
            _ => text.clone(),
        };
        let result = json!({ "content": [{ "type": "text", "text": text }] });
        Reply::result(request, &complete(request, result))
    });
    let server = server.start().await;
    let gateway = Gateway::new()
        .server("crm", &server)
        .config("cache: { crm: { tools: [find], ttl: 1h } }\nbounds: { results: 64KiB }")
        .start()
        .await;
    let client = gateway.client("/mcp/crm").modern();

    for number in 0..40 {
        client.call("find", json!({ "number": number })).await;
        client.call("find", json!({ "number": number })).await;
    }
    let long = client.call("find", json!({ "long": true })).await;

    assert_eq!(long["content"][0]["text"].as_str().unwrap().len(), 10_000_000);
    assert_eq!(called(&server), 41);
    let metrics = gateway.admin("/metrics").await.text();
    let value = |name: &str| {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")))
            .unwrap();
        line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()
    };
    assert!(
        (40_000..=65_536).contains(&value("causeway_results_bytes")),
        "{metrics}"
    );
    assert!(value("causeway_results_displaced_total") >= 24);
    client.call("find", json!({ "number": 0 })).await;
    assert_eq!(called(&server), 42, "it made place");
}
