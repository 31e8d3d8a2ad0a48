//! What comes and goes while a call runs: reports, lines of a log, and the end of it that nobody waited for.
use harness::{Answer, Gate, Gateway, MODERN, Mood, Reply, Server};
use serde_json::{Value, json};

use super::{META, gateway, meta};

fn log(level: &str, data: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": level, "data": data } })
}

#[tokio::test]
async fn a_level_that_is_set_once_is_said_with_every_request() {
    let server = Server::of(Mood::Modern)
        .able_to(json!({ "tools": {}, "logging": {} }))
        .start()
        .await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;

    client.call("echo", json!({ "message": "before" })).await;
    client
        .ask("logging/setLevel", json!({ "level": "warning" }))
        .await
        .result();
    client.call("echo", json!({ "message": "after" })).await;
    let bad = client
        .unchecked()
        .ask("logging/setLevel", json!({ "level": "loud" }))
        .await;

    let calls = server.asked("tools/call");
    assert!(meta(&calls[0].params(), "logLevel").is_null(), "{calls:?}");
    assert_eq!(*meta(&calls[1].params(), "logLevel"), "warning", "{calls:?}");
    assert_eq!(bad.code(), -32602, "{bad:?}");
}

#[tokio::test]
async fn a_2026_07_28_client_is_told_what_it_asked_to_be_told() {
    let server = Server::of(Mood::Sessionful("2025-11-25"))
        .able_to(json!({ "tools": {}, "logging": {} }))
        .on("logging/setLevel", |request| Reply::result(request, &json!({})))
        .on("tools/call", |request| {
            Reply::stream()
                .event(&log("debug", "little"))
                .event(&log("error", "much"))
                .result_event(request, &json!({ "content": [] }))
        });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").modern();
    let call = |level: Option<&str>| {
        let mut call = json!({ "name": "echo", "_meta": {} });
        if let Some(level) = level {
            call["_meta"][format!("{META}logLevel")] = json!(level);
        }
        call
    };

    let silent = client.ask("tools/call", call(None)).await;
    let some = client.ask("tools/call", call(Some("warning"))).await;
    let all = client.ask("tools/call", call(Some("debug"))).await;

    let heard = |answer: &Answer| {
        let logs = answer
            .messages
            .iter()
            .filter(|message| message["method"] == "notifications/message");
        logs.map(|message| message["params"]["data"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(heard(&silent), Vec::<Value>::new());
    assert_eq!(heard(&some), [json!("much")]);
    assert_eq!(heard(&all), [json!("little"), json!("much")]);
    assert!(
        !server.asked("logging/setLevel").is_empty(),
        "the server had to be told"
    );
}

#[tokio::test]
async fn progress_keeps_its_order_and_the_clients_own_token() {
    for (server, is_modern) in [(Mood::Modern, false), (Mood::Sessionful("2025-11-25"), true)] {
        let server = Server::of(server)
            .on("tools/call", |request| {
                let token = request.params()["_meta"]["progressToken"].clone();
                let report = |progress: u64| {
                    json!({
                        "jsonrpc": "2.0", "method": "notifications/progress",
                        "params": { "progressToken": token, "progress": progress, "total": 3 },
                    })
                };
                let modern = request.revision() == MODERN;
                let result = match modern {
                    true => json!({ "content": [], "resultType": "complete" }),
                    false => json!({ "content": [] }),
                };
                Reply::stream()
                    .event(&report(1))
                    .event(&report(2))
                    .event(&report(3))
                    .result_event(request, &result)
            })
            .start()
            .await;
        let gateway = gateway(&server).await;
        let client = match is_modern {
            true => gateway.client("/mcp").modern(),
            false => gateway.client("/mcp").legacy("2025-11-25").await,
        };

        for token in [json!("mine"), json!(7)] {
            let call = json!({ "name": "echo", "_meta": { "progressToken": token } });
            let answer = client.ask("tools/call", call).await;

            let steps: Vec<(Value, Value)> = answer
                .messages
                .iter()
                .filter(|message| message["method"] == "notifications/progress")
                .map(|message| {
                    (
                        message["params"]["progressToken"].clone(),
                        message["params"]["progress"].clone(),
                    )
                })
                .collect();
            let expected = [1, 2, 3].map(|step| (token.clone(), json!(step)));
            assert_eq!(steps, expected, "{is_modern}");
        }
    }
}

/// A server whose tool never ends by itself, having said something or not.
async fn endless(mood: Mood, speaks: bool) -> Server {
    let gate = Gate::closed();
    let server = Server::of(mood).on("tools/call", move |request| {
        let reply = Reply::stream().raw(": here\n\n").wait(&gate);
        match speaks {
            true => reply.result_event(request, &json!({ "content": [] })),
            false => Reply::after(&gate, Reply::new(500)),
        }
    });
    server.start().await
}

#[tokio::test]
async fn a_cancellation_closes_what_a_2026_07_28_server_writes_to() {
    for speaks in [true, false] {
        let server = endless(Mood::Modern, speaks).await;
        let gateway = gateway(&server).await;
        let client = gateway.client("/mcp").legacy("2025-11-25").await;

        let call = client.request("tools/call", json!({ "name": "echo" }));
        let _running = client.send_message(&call).await;
        let arrived = server.asked_for("tools/call").await;
        client
            .notify("notifications/cancelled", json!({ "requestId": call["id"] }))
            .await;

        server.abandoned(&arrived).await;
        assert!(
            server.asked("notifications/cancelled").is_empty(),
            "closing says it"
        );
    }
}

#[tokio::test]
async fn a_call_that_waits_for_its_turn_can_be_taken_back() {
    let server = endless(Mood::Modern, true).await;
    let upstream = format!("{{ url: \"{}\", max_concurrency: 1 }}", server.url());
    let gateway = Gateway::new().upstream("docs", upstream).start().await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;
    let _running = client.send("tools/call", json!({ "name": "echo" })).await;
    server.asked_for("tools/call").await;

    let call = client.request("tools/call", json!({ "name": "echo" }));
    let waiting = client.send_message(&call).await;
    gateway.counted("causeway_running_requests 2").await;
    client
        .notify("notifications/cancelled", json!({ "requestId": call["id"] }))
        .await;

    let answer = waiting.answer().await;
    assert!(answer.messages.is_empty(), "{answer:?}");
    server.only("tools/call");
}

#[tokio::test]
async fn a_connection_that_drops_cancels_nothing_of_an_earlier_client() {
    let server = endless(Mood::Modern, true).await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;

    let running = client.send("tools/call", json!({ "name": "echo" })).await;
    let arrived = server.asked_for("tools/call").await;
    drop(running);
    // What the gateway would have done about it would be before this.
    client.ask("tools/list", json!({})).await.result();

    assert!(!server.is_abandoned(&arrived));
}

#[tokio::test]
async fn a_2026_07_28_client_that_leaves_cancels_at_an_earlier_server() {
    for mood in [Mood::Sessionful("2025-11-25"), Mood::Legacy("2025-06-18")] {
        for speaks in [true, false] {
            let server = endless(mood, speaks).await;
            let gateway = gateway(&server).await;
            let client = gateway.client("/mcp").modern();

            let running = client.send("tools/call", json!({ "name": "echo" })).await;
            let arrived = server.asked_for("tools/call").await;
            drop(running);

            let cancelled = server.asked_for("notifications/cancelled").await;
            assert_eq!(
                cancelled.params()["requestId"],
                arrived.json()["id"],
                "{mood:?} {speaks}"
            );
        }
    }
}
