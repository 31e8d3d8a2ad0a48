//! Between the rounds of a call: what it holds while its user thinks, and who may leave it.
use harness::{
    Gate, Gateway, Mood, Reply, Server,
    questions::{self, input_required, named},
};
use serde_json::json;

use super::{able, answers, asking, call, gateway, text};

#[tokio::test]
async fn a_call_holds_no_place_while_its_user_thinks() {
    let server = asking(vec![("who", questions::name())]).await;
    let upstream = format!("{{ url: \"{}\", max_concurrency: 1 }}", server.url());
    let gateway = Gateway::new().upstream("docs", upstream).start().await;
    let client = able(&gateway, "2025-11-25").await;

    let (exchange, question) = call(&client).await;
    client.ask("tools/list", json!({})).await.result();
    client.answer(&question, named("Ada")).await;

    exchange.answer().await.result();
    assert_eq!(server.asked("tools/call").len(), 2);
}

#[tokio::test]
async fn a_connection_that_drops_in_a_later_round_cancels_nothing() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(Mood::Modern).on("tools/call", move |request| {
        match request.params().get("inputResponses") {
            None => Reply::result(request, &input_required(&[("who", questions::name())], None)),
            Some(_) => Reply::after(&held, Reply::result(request, &text("done"))),
        }
    });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    let client = able(&gateway, "2025-11-25").await;

    let (exchange, question) = call(&client).await;
    client.answer(&question, named("Ada")).await;
    let second = server
        .request("the second round", |request| {
            request.params().get("inputResponses").is_some()
        })
        .await;
    drop(exchange);
    gateway.counted("causeway_detached_calls 1").await;
    gate.open();

    let record = gateway
        .record("the end of the call", |record| record["method"] == "tools/call")
        .await;
    assert_eq!(record["outcome"], "ok", "{record}");
    assert!(!server.is_abandoned(&second));
}

#[tokio::test]
async fn an_address_that_is_asked_for_twice_at_once_has_one_answer() {
    let page = || questions::visit("https://example.com/page");
    let server = asking(vec![("a", page()), ("b", page())]).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway, "2025-11-25").await;

    for action in ["decline", "accept"] {
        server.forget();
        let (exchange, question) = call(&client).await;
        client.answer(&question, json!({ "action": action })).await;
        let answer = exchange.answer().await;

        answer.result();
        let asked = answer
            .messages
            .iter()
            .any(|message| message["method"] == "elicitation/create");
        assert!(!asked, "{action}: {answer:?}");
        let calls = server.asked("tools/call");
        let given = json!({ "action": action });
        assert_eq!(answers(&calls[1]), json!({ "a": given, "b": given }), "{action}");
    }
}
