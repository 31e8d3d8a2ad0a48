//! What is lost on the way: clients, answers, servers. What may have happened is never made to happen again.
use harness::{Gate, Gateway, Mood, Reply, Server, SseClient};
use serde_json::json;

use super::{KEY, called, complete, counting, held, in_front_of, keyed, pay, pay_with_key};

#[tokio::test]
async fn a_call_with_a_key_goes_on_without_its_client_and_is_found_again() {
    for mood in [Mood::Modern, Mood::Sessionful("2025-06-18")] {
        let gate = Gate::closed();
        let server = held(Server::of(mood), &gate).start().await;
        let gateway = in_front_of(&server).await;

        let lost = keyed(&gateway).send("tools/call", pay()).await;
        let call = server.asked_for("tools/call").await;
        drop(lost);
        gateway.counted("causeway_detached_calls 1").await;
        let again = keyed(&gateway).send("tools/call", pay()).await;
        gateway.counted("causeway_running_requests 2\n").await;
        gate.open();

        assert_eq!(
            again.answer().await.result()["content"][0]["text"],
            "0",
            "{mood:?}"
        );
        let later = keyed(&gateway).ask("tools/call", pay()).await;
        assert_eq!(later.result()["content"][0]["text"], "0", "{mood:?}");
        assert!(!server.is_abandoned(&call));
        assert_eq!(called(&server), 1, "{mood:?}");
    }
}

#[tokio::test]
async fn a_call_whose_client_left_in_the_middle_of_its_answer_goes_on_too() {
    let gate = Gate::closed();
    let last = gate.clone();
    let server = Server::of(Mood::Modern).on("tools/call", move |request| {
        let token = &request.params()["_meta"]["progressToken"];
        let progress = json!({ "progressToken": token, "progress": 1 });
        Reply::stream()
            .event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": progress }))
            .wait(&last)
            .result_event(request, &complete(request, json!({ "content": [] })))
    });
    let server = server.start().await;
    let gateway = in_front_of(&server).await;
    let mut params = pay();
    params["_meta"] = json!({ "progressToken": "p" });

    let lost = keyed(&gateway).send("tools/call", params.clone()).await;
    let mut lost = lost.begun().await;
    lost.message().await.unwrap();
    drop(lost);
    gateway.counted("causeway_detached_calls 1").await;
    gate.open();

    keyed(&gateway).ask("tools/call", params).await.result();
    assert_eq!(called(&server), 1);
}

#[tokio::test]
async fn a_client_of_a_legacy_stream_asks_again_over_another() {
    let gate = Gate::closed();
    let server = held(Server::of(Mood::Sessionful("2025-06-18")), &gate)
        .start()
        .await;
    let gateway = in_front_of(&server).await;
    let connect = async || {
        let client = SseClient::connect(&gateway.client("/mcp/crm")).await;
        client.initialized("2025-06-18").await
    };
    let mut lost = connect().await;
    lost.send("tools/call", pay_with_key()).await;
    server.asked_for("tools/call").await;

    drop(lost);
    gateway.counted("causeway_detached_calls 1").await;
    let mut again = connect().await;
    again.send("tools/call", pay_with_key()).await;
    gate.open();

    assert_eq!(again.message().await["result"]["content"][0]["text"], "0");
    assert_eq!(called(&server), 1);
    // Its session at the server ends with the call, not before.
    server
        .request("the end of the session", |request| request.verb == "DELETE")
        .await;
}

#[tokio::test]
async fn a_legacy_client_that_takes_its_call_back_does_not_have_it_made_again() {
    let server = held(Server::of(Mood::Sessionful("2025-06-18")), &Gate::closed())
        .start()
        .await;
    let gateway = in_front_of(&server).await;
    let mut client = SseClient::connect(&gateway.client("/mcp/crm"))
        .await
        .initialized("2025-06-18")
        .await;
    let id = client.send("tools/call", pay_with_key()).await;
    server.asked_for("tools/call").await;

    client
        .notify("notifications/cancelled", json!({ "requestId": id }))
        .await;
    gateway
        .record("the end of the call", |record| record["outcome"] == "cancelled")
        .await;
    client.send("tools/call", pay_with_key()).await;

    assert_eq!(
        client.message().await["error"]["data"]["reason"],
        "outcome_unknown"
    );
    assert_eq!(called(&server), 1);
}

#[tokio::test]
async fn what_became_of_a_call_that_broke_is_unknown_and_stays_so() {
    for (what, reply) in [
        ("a reset", (|_| Reply::reset()) as fn(&harness::Request) -> Reply),
        ("an error of HTTP", |_| Reply::new(500)),
        ("one in between", |_| Reply::new(408)),
        ("silence", |_| Reply::silence()),
        ("half an answer", |_| Reply::stream().cut()),
    ] {
        let server = Server::of(Mood::Modern).on("tools/call", reply).start().await;
        let gateway = Gateway::new()
            .upstream("crm", format!("{{ url: \"{}\", timeout: 1s }}", server.url()))
            .start()
            .await;

        let first = keyed(&gateway).ask("tools/call", pay()).await;
        assert_eq!(first.code(), -32603, "{what}: {first:?}");
        for _ in 0..2 {
            let again = keyed(&gateway).ask("tools/call", pay()).await;
            assert_eq!((again.status, again.code()), (200, -32603), "{what}");
            assert_eq!(
                again.last()["error"]["data"],
                json!({ "reason": "outcome_unknown", "retryable": false }),
                "{what}"
            );
        }
        assert_eq!(called(&server), 1, "{what}");
        gateway
            .record("one that is unknown", |record| record["repeat"] == "unknown")
            .await;
    }
}

#[tokio::test]
async fn a_call_that_was_not_made_is_made() {
    for status in [401, 403, 429, 404] {
        let refused = std::sync::atomic::AtomicBool::new(false);
        let server = Server::of(Mood::Modern).on("tools/call", move |request| {
            match refused.swap(true, std::sync::atomic::Ordering::SeqCst) {
                false => Reply::new(status),
                true => Reply::result(request, &complete(request, json!({ "content": [] }))),
            }
        });
        let server = server.start().await;
        let gateway = in_front_of(&server).await;

        let first = keyed(&gateway).ask("tools/call", pay()).await;
        let again = keyed(&gateway).ask("tools/call", pay()).await;

        if first.last().get("error").is_some() {
            again.result();
        }
        assert_eq!(called(&server), 2, "{status}: {first:?}");
    }
}

#[tokio::test]
async fn a_call_to_a_server_that_is_not_there_is_made_when_it_is() {
    let mut server = counting(Server::of(Mood::Modern)).start().await;
    let gateway = in_front_of(&server).await;
    server.stop().await;

    let first = keyed(&gateway).ask("tools/call", pay()).await;
    assert_eq!(first.last()["error"]["data"]["reason"], "unreachable");
    let back = counting(Server::of(Mood::Modern))
        .in_place_of(&server)
        .start()
        .await;

    let mut again = keyed(&gateway).ask("tools/call", pay()).await;
    while again.last().get("error").is_some() {
        // It is left alone for a moment.
        assert_eq!(
            again.last()["error"]["data"]["reason"],
            "unreachable",
            "{again:?}"
        );
        again = keyed(&gateway).ask("tools/call", pay()).await;
    }
    assert_eq!(called(&back), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_long_to_be_kept_is_told_once() {
    let server = Server::of(Mood::Modern).on("tools/call", |request| {
        let text = "x".repeat(10_000_000);
        let result = json!({ "content": [{ "type": "text", "text": text }] });
        Reply::result(request, &complete(request, result))
    });
    let server = server.start().await;
    let gateway = in_front_of(&server).await;

    let first = keyed(&gateway).ask("tools/call", pay()).await.result();
    let again = keyed(&gateway).ask("tools/call", pay()).await;

    assert_eq!(first["content"][0]["text"].as_str().unwrap().len(), 10_000_000);
    assert_eq!(again.last()["error"]["data"]["reason"], "answer_not_kept");
    assert_eq!(called(&server), 1);
    assert!(!again.text().contains(KEY));
}
