//! A tool that asks its user something is called again with the answers: each round is a call of its own under one key.
use harness::{Client, Mood, Reply, Running, Server, questions};
use serde_json::{Value, json};

use super::{called, complete, in_front_of, keyed, pay};

fn able(gateway: &Running) -> Client {
    keyed(gateway).able_to(json!({ "elicitation": { "form": {} } }))
}

/// The next round: the same call with the answers to what was asked.
fn answered(asked: &Value) -> Value {
    let mut params = pay();
    let keys = asked["inputRequests"].as_object().unwrap().keys();
    params["inputResponses"] = keys.map(|key| (key.clone(), questions::named("Ada"))).collect();
    params["requestState"] = asked["requestState"].clone();
    params
}

/// Each round twice: the one who asked may have lost its answer.
async fn each_round_twice(server: &Server, calls: [usize; 2]) {
    let gateway = in_front_of(server).await;
    let client = able(&gateway);

    let asked = client.ask("tools/call", pay()).await.result();
    assert_eq!(asked["resultType"], "input_required");
    assert_eq!(
        client.ask("tools/call", pay()).await.result(),
        asked,
        "the same state, too"
    );
    assert_eq!(called(server), calls[0]);

    let done = client.ask("tools/call", answered(&asked)).await.result();
    assert_eq!(done["resultType"], "complete", "{done}");
    assert_eq!(client.ask("tools/call", answered(&asked)).await.result(), done);
    assert_eq!(client.ask("tools/call", pay()).await.result(), asked);
    assert_eq!(called(server), calls[1]);
}

#[tokio::test]
async fn rounds_of_a_modern_server_are_told_again() {
    let server = Server::of(Mood::Modern).on("tools/call", |request| {
        let result = match request.params().get("inputResponses") {
            None => questions::input_required(&[("name", questions::name())], Some("s")),
            Some(_) => complete(request, json!({ "content": [] })),
        };
        Reply::result(request, &result)
    });

    each_round_twice(&server.start().await, [1, 2]).await;
}

#[tokio::test]
async fn rounds_of_a_call_that_waits_at_a_legacy_server_are_told_again() {
    let server = Server::of(Mood::Sessionful("2025-11-25")).on("tools/call", |request| {
        Reply::stream()
            .ask(&questions::name().request("q"))
            .conclude(request, |_| json!({ "content": [] }))
    });

    each_round_twice(&server.start().await, [1, 1]).await;
}
