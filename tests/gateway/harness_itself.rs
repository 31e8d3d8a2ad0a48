//! The harness, without a gateway: a client and a server that understand each other, and judges that can say no.
use harness::{
    Client, Gate, Gateway, LEGACY, MODERN, Mood, Peer, Reply, Sdk, Server, Side, Tap, misbehave, until,
};
use serde_json::json;

fn client(server: &Server) -> Client {
    Client::new(server.address(), "/mcp")
}

#[tokio::test]
async fn a_client_and_a_server_of_each_mood_understand_each_other() {
    for mood in [Mood::Dual, Mood::Modern] {
        let server = Server::start(mood).await;
        let result = client(&server)
            .modern()
            .call("echo", json!({ "message": "hi" }))
            .await;
        assert_eq!(result["content"][0]["text"], "hi", "{mood:?}");
    }
    for mood in [
        Mood::Dual,
        Mood::Legacy("2025-06-18"),
        Mood::Sessionful("2025-06-18"),
    ] {
        let server = Server::start(mood).await;
        let legacy = client(&server).legacy("2025-06-18").await;
        let result = legacy.call("echo", json!({ "message": "hi" })).await;
        assert_eq!(result["content"][0]["text"], "hi", "{mood:?}");
        assert_eq!(legacy.session().is_some(), matches!(mood, Mood::Sessionful(_)));
    }
}

#[tokio::test]
async fn a_server_refuses_what_its_mood_does_not_know() {
    let modern = Server::start(Mood::Modern).await;
    let strict = Server::start(Mood::Sessionful("2025-06-18")).await;

    let refused = client(&modern)
        .sessionless("2025-06-18")
        .unchecked()
        .ask("tools/list", json!({}))
        .await;
    let unknown = client(&strict)
        .sessionless("2025-06-18")
        .with("Mcp-Session-Id", "x")
        .ask("tools/list", json!({}))
        .await;

    assert_eq!((refused.status, refused.code()), (400, -32022));
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_server_sees_that_its_client_has_left() {
    let server = Server::of(Mood::Dual).on("tools/call", |_| {
        Reply::stream().raw(":\n\n").wait(&Gate::closed())
    });
    let server = server.start().await;

    let exchange = client(&server)
        .modern()
        .send("tools/call", json!({ "name": "echo" }))
        .await
        .begun()
        .await;
    let call = server.asked_for("tools/call").await;
    assert!(!server.is_abandoned(&call));
    drop(exchange);

    server.abandoned(&call).await;
}

#[tokio::test]
#[should_panic(expected = "not a CallToolResult")]
async fn a_client_refuses_what_breaks_the_schema() {
    let server = Server::of(Mood::Dual).on("tools/call", |request| {
        Reply::result(request, &json!({ "content": 1 }))
    });
    let server = server.start().await;

    client(&server)
        .sessionless("2025-06-18")
        .call("echo", json!({}))
        .await;
}

#[tokio::test]
#[should_panic(expected = "a test says something that is not a CallToolRequest")]
async fn a_client_does_not_say_what_breaks_the_schema() {
    let server = Server::start(Mood::Dual).await;

    client(&server)
        .sessionless("2025-06-18")
        .ask("tools/call", json!({ "name": 1 }))
        .await;
}

#[tokio::test]
async fn a_tap_hears_what_breaks_the_schema_on_either_side() {
    let server = Server::of(Mood::Dual)
        .on("tools/call", |request| {
            Reply::result(request, &json!({ "content": 1, "resultType": "complete" }))
        })
        .unchecked()
        .start()
        .await;
    let tap = Tap::before(server.address()).await;
    let client = Client::new(tap.address(), "/mcp").unchecked();

    for revision in LEGACY.into_iter().skip(1) {
        let client = client.clone().sessionless(revision);
        client.ask("tools/call", json!({ "name": 1 })).await;
    }
    client
        .clone()
        .modern()
        .ask("tools/call", json!({ "name": 1 }))
        .await;

    let spoken: Vec<&str> = LEGACY.into_iter().skip(1).chain([MODERN]).collect();
    for (side, words) in [
        (Side::Client, "not a CallToolRequest"),
        (Side::Server, "not a CallToolResult"),
    ] {
        let wrong = until("what the tap hears", || {
            let wrong = tap.wrong();
            let wrong: Vec<_> = wrong.into_iter().filter(|wrong| wrong.side == side).collect();
            (wrong.len() == spoken.len()).then_some(wrong)
        });
        for wrong in wrong.await {
            assert!(
                spoken.contains(&wrong.revision.as_str()) && wrong.problem.contains(words),
                "{wrong:?}"
            );
        }
    }
}

#[tokio::test]
#[should_panic(expected = "not a CallToolRequest of 2025-11-25")]
async fn a_child_judges_what_it_is_told() {
    let gateway = Gateway::new().upstream("child", misbehave(&[])).start().await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await.unchecked();

    client
        .ask("tools/call", json!({ "name": "echo", "arguments": 1 }))
        .await;
}

#[tokio::test]
#[should_panic(expected = "2026-07-28 knows no sessions")]
async fn a_server_refuses_what_breaks_the_protocol() {
    let server = Server::start(Mood::Dual).await;

    client(&server)
        .modern()
        .with("Mcp-Session-Id", "x")
        .call("echo", json!({}))
        .await;
}

#[tokio::test]
#[should_panic(expected = "the stream that answers")]
async fn a_stream_that_is_cut_is_not_a_stream_that_ends() {
    let server = Server::of(Mood::Dual)
        .on("tools/call", |_| Reply::stream().raw(":\n\n").cut())
        .start()
        .await;

    client(&server)
        .sessionless(MODERN)
        .unchecked()
        .ask("tools/call", json!({ "name": "echo" }))
        .await;
}

#[tokio::test]
async fn official_clients_and_servers_understand_each_other_without_us() {
    let (python, typescript, everything) = (
        Peer::python().await,
        Peer::typescript().await,
        Peer::everything().await,
    );
    let echo = [json!({ "do": "call", "name": "echo", "arguments": { "message": "hello" } })];

    for (client, server, revision) in [
        (Sdk::python("auto"), &typescript, MODERN),
        (Sdk::typescript_2("auto"), &python, MODERN),
        (Sdk::typescript_1(), &python, "2025-11-25"),
        (Sdk::python("auto"), &everything, "2025-11-25"),
    ] {
        let facts = client.run(server.url(), &echo).await.succeed();

        assert_eq!(facts.the("connected")["revision"], revision);
        assert!(
            facts.result("echo")["content"][0]["text"]
                .as_str()
                .unwrap()
                .contains("hello")
        );
    }
}
