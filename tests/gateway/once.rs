//! Idempotency keys: a call that names one is made once, and whoever asks again with it is told what became of it.
mod keys;
mod lost;
mod rounds;

use harness::{Builder, Client, Gate, Gateway, Mood, Reply, Running, Server, SseClient};
use serde_json::{Value, json};

use crate::results::{called, complete, counting};

/// As a client makes one at random.
pub(crate) const KEY: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

pub(crate) fn keyed(gateway: &Running) -> Client {
    gateway.client("/mcp/crm").modern().with("Idempotency-Key", KEY)
}

pub(crate) async fn in_front_of(server: &Server) -> Running {
    Gateway::new().server("crm", server).start().await
}

pub(crate) fn pay() -> Value {
    json!({ "name": "pay", "arguments": { "to": "Bob" } })
}

/// The same call with its key in the message.
pub(crate) fn pay_with_key() -> Value {
    let mut params = pay();
    params["_meta"] = json!({ "dev.causeway/idempotency-key": KEY });
    params
}

/// Answers calls once the gate is open, each with its number.
pub(crate) fn held(server: Builder, gate: &Gate) -> Builder {
    let gate = gate.clone();
    let calls = std::sync::atomic::AtomicUsize::new(0);
    server.on("tools/call", move |request| {
        let number = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let result = json!({ "content": [{ "type": "text", "text": number.to_string() }] });
        Reply::after(&gate, Reply::result(request, &complete(request, result)))
    })
}

#[tokio::test]
async fn a_call_with_a_key_is_made_once_and_told_again() {
    for mood in [
        Mood::Modern,
        Mood::Sessionful("2025-06-18"),
        Mood::Sse("2024-11-05"),
    ] {
        let server = counting(Server::of(mood)).start().await;
        let gateway = in_front_of(&server).await;

        let first = keyed(&gateway).ask("tools/call", pay()).await;
        let by_header = keyed(&gateway).ask("tools/call", pay()).await;
        let in_message = gateway
            .client("/mcp/crm")
            .modern()
            .ask("tools/call", pay_with_key())
            .await;
        let by_both = keyed(&gateway).ask("tools/call", pay_with_key()).await;

        for again in [by_header, in_message, by_both] {
            assert_eq!(again.result(), first.result(), "{mood:?}");
        }
        assert_eq!(called(&server), 1, "{mood:?}");
        gateway
            .record("one that was told", |record| record["repeat"] == "answered")
            .await;
        gateway
            .counted("causeway_idempotency_calls_total{outcome=\"first\"} 1")
            .await;
        gateway
            .counted("causeway_idempotency_calls_total{outcome=\"answered\"} 3")
            .await;
        gateway.counted("causeway_idempotency_keys 1").await;
        let without = gateway.client("/mcp/crm").modern().ask("tools/call", pay()).await;
        assert_ne!(without.result(), first.result());
    }
}

#[tokio::test]
async fn whatever_the_server_answered_is_told_again() {
    let server = Server::of(Mood::Dual).on("tools/call", |request| match request.params()["arguments"]["to"]
        .as_str()
        .unwrap()
    {
        "error" => Reply::error(request, -32000, "no"),
        "unknown" => Reply::error(request, -32601, "no such method"),
        _ => Reply::result(
            request,
            &complete(request, json!({ "content": [], "isError": true })),
        ),
    });
    let server = server.start().await;
    let gateway = in_front_of(&server).await;

    for (number, to) in ["error", "unknown", "failed"].into_iter().enumerate() {
        let client = keyed(&gateway)
            .with("Idempotency-Key", &format!("{KEY}-{to}"))
            .unchecked();
        let params = json!({ "name": "pay", "arguments": { "to": to } });
        let first = client.ask("tools/call", params.clone()).await;
        let again = client.ask("tools/call", params).await;

        let said = |answer: &harness::Answer| {
            (
                answer.status,
                answer.last()["error"].clone(),
                answer.last()["result"].clone(),
            )
        };
        assert_eq!(said(&first), said(&again), "{to}");
        assert_eq!(called(&server), number + 1, "{to}");
    }
}

#[tokio::test]
async fn a_hundred_with_one_key_are_one_call() {
    let gate = Gate::closed();
    let server = held(Server::of(Mood::Modern), &gate).start().await;
    let gateway = in_front_of(&server).await;
    let client = keyed(&gateway);
    let mut sent = Vec::new();
    for _ in 0..100 {
        sent.push(client.send("tools/call", pay()).await);
    }
    gateway.counted("causeway_running_requests 100\n").await;

    gate.open();

    for one in sent {
        assert_eq!(one.answer().await.result()["content"][0]["text"], "0");
    }
    assert_eq!(called(&server), 1);
    gateway
        .counted("causeway_idempotency_calls_total{outcome=\"joined\"} 99")
        .await;
}

#[tokio::test]
async fn only_the_end_of_a_call_that_streams_is_told_again() {
    let server = Server::of(Mood::Modern).on("tools/call", |request| {
        let token = &request.params()["_meta"]["progressToken"];
        let progress = json!({ "progressToken": token, "progress": 1 });
        Reply::stream()
            .event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": progress }))
            .result_event(request, &complete(request, json!({ "content": [] })))
    });
    let server = server.start().await;
    let gateway = in_front_of(&server).await;
    let mut params = pay();
    params["_meta"] = json!({ "progressToken": "p" });

    let first = keyed(&gateway).ask("tools/call", params.clone()).await;
    let again = keyed(&gateway).ask("tools/call", params).await;

    assert_eq!(first.messages.len(), 2);
    assert_eq!(again.messages.len(), 1);
    assert_eq!(again.result(), first.result());
    assert_eq!(called(&server), 1);
}

#[tokio::test]
async fn an_endpoint_of_many_servers_remembers_what_its_servers_answered() {
    let crm = crate::aggregate::with_everything(Mood::Modern).await;
    let docs = Server::start(Mood::Legacy("2025-06-18")).await;
    let gateway = Gateway::new()
        .server("crm", &crm)
        .server("docs", &docs)
        .start()
        .await;
    let find = |name: &str| json!({ "name": name, "arguments": {} });

    let endpoint = gateway.client("/mcp").modern().with("Idempotency-Key", KEY);
    let first = endpoint.ask("tools/call", find("crm__find")).await.result();
    let again = endpoint.ask("tools/call", find("crm__find")).await.result();
    let alone = keyed(&gateway).ask("tools/call", find("find")).await.result();

    assert_eq!(first["content"][1]["uri"], "crm+note://a");
    assert_eq!(again, first);
    assert_eq!(alone["content"][1]["uri"], "note://a");
    assert_eq!(called(&crm), 1);
}

#[tokio::test]
async fn batches_and_legacy_streams_make_such_calls_once_too() {
    let server = counting(Server::of(Mood::Sessionful("2025-03-26"))).start().await;
    let gateway = in_front_of(&server).await;
    let client = gateway.client("/mcp/crm").legacy("2025-03-26").await;
    let mut old = SseClient::connect(&gateway.client("/mcp/crm"))
        .await
        .initialized("2025-03-26")
        .await;

    let batch: Vec<Value> = (0..3)
        .map(|_| client.request("tools/call", pay_with_key()))
        .collect();
    let answers = client.post(json!(batch).to_string()).await;
    old.send("tools/call", pay_with_key()).await;
    let over_sse = old.message().await;

    for answer in &answers.messages {
        assert_eq!(answer["result"], over_sse["result"], "{answers:?}");
    }
    assert_eq!(answers.messages.len(), 3);
    assert_eq!(called(&server), 1);
}

#[tokio::test]
async fn a_call_with_a_key_is_made_whatever_is_kept() {
    let server = counting(Server::of(Mood::Modern)).start().await;
    let gateway = Gateway::new()
        .server("crm", &server)
        .config("cache: { crm: { tools: [pay] } }")
        .start()
        .await;
    let without = gateway.client("/mcp/crm").modern();

    let kept = without.ask("tools/call", pay()).await.result();
    let made = keyed(&gateway).ask("tools/call", pay()).await.result();
    let again = without.ask("tools/call", pay()).await.result();

    assert_ne!(made, kept);
    assert_eq!(again, kept);
    assert_eq!(called(&server), 2);
}
