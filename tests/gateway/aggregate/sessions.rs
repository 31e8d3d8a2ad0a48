//! A session with an endpoint: what its calls need at the servers is its own, and ends with it.
use std::collections::BTreeMap;

use harness::{Client, Gateway, Mood, Request, Running, Server, SseClient, misbehave, until};
use serde_json::{Value, json};

/// Servers before 2026-07-28, one of each transport.
struct Three {
    http: Server,
    sse: Server,
    gateway: Running,
}

impl Three {
    async fn start() -> Self {
        let http = Server::start(Mood::Sessionful("2025-06-18")).await;
        let sse = Server::start(Mood::Sse("2024-11-05")).await;
        let gateway = Gateway::new()
            .server("http", &http)
            .server("older", &sse)
            .upstream("stdio", misbehave(&[]))
            .start()
            .await;
        Self { http, sse, gateway }
    }

    fn children(&self) -> BTreeMap<u32, String> {
        self.gateway.program().descendants()
    }

    /// The sessions that were begun by somebody who can be asked something.
    fn private(&self) -> usize {
        let asked = |request: &Request| !request.params()["capabilities"]["roots"].is_null();
        self.http
            .asked("initialize")
            .iter()
            .filter(|request| asked(request))
            .count()
    }

    /// The stream that was opened last.
    fn last_stream(&self) -> Request {
        let mut streams = self.sse.requests();
        streams.retain(|request| request.verb == "GET");
        streams.pop().expect("it was spoken to")
    }
}

fn able() -> Value {
    json!({ "roots": {} })
}

async fn call_all(client: &Client) {
    for server in ["http", "older", "stdio"] {
        let called = client
            .call(&format!("{server}__echo"), json!({ "message": "hi" }))
            .await;
        assert_eq!(called["content"][0]["text"], "hi");
    }
}

#[tokio::test]
async fn what_the_calls_of_a_session_had_at_its_servers_ends_with_it_and_nobody_else_s_does() {
    let three = Three::start().await;
    let shared = three.children();
    let begin = || async {
        let client = three
            .gateway
            .client("/mcp")
            .able_to(able())
            .legacy("2025-06-18")
            .await;
        call_all(&client).await;
        client
    };
    let stays = begin().await;
    let with_one = three.children();
    let leaves = begin().await;
    let stream = three.last_stream();
    assert_eq!(
        (three.children().len(), with_one.len()),
        (shared.len() + 2, shared.len() + 1)
    );
    assert_eq!(three.private(), 2);

    let ended = leaves.fetch("DELETE").await;

    assert_eq!(ended.status, 204);
    three
        .http
        .request("the end of its session", |request| request.verb == "DELETE")
        .await;
    three.sse.abandoned(&stream).await;
    until("the end of its process", || {
        (three.children() == with_one).then_some(())
    })
    .await;
    // The other one goes on with all that it had.
    call_all(&stays).await;
    assert_eq!(three.private(), 2);
    assert_eq!(three.children(), with_one);
}

#[tokio::test]
async fn who_leaves_a_stream_of_legacy_sse_leaves_nothing_at_the_servers() {
    let three = Three::start().await;
    let shared = three.children();
    let client = SseClient::connect(&three.gateway.client("/mcp/sse")).await;
    let mut client = client.able_to(able()).initialized("2024-11-05").await;
    for server in ["http", "older", "stdio"] {
        client
            .call(&format!("{server}__echo"), json!({ "message": "hi" }))
            .await;
    }
    let stream = three.last_stream();
    assert_eq!(three.children().len(), shared.len() + 1);

    drop(client);

    three
        .http
        .request("the end of its session", |request| request.verb == "DELETE")
        .await;
    three.sse.abandoned(&stream).await;
    until("the end of its process", || {
        (three.children() == shared).then_some(())
    })
    .await;
}
