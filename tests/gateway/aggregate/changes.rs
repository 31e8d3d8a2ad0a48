//! What an endpoint says of itself, and what changes at any of its servers.
use harness::{Gateway, MODERN, Mood, Reply, Server};
use serde_json::json;

use super::values;

#[tokio::test]
async fn a_server_that_comes_with_a_reload_is_announced() {
    let (one, other) = (Server::start(Mood::Dual).await, Server::start(Mood::Dual).await);
    let third = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("a", &one).server("b", &other).start().await;
    let client = gateway.client("/mcp").modern();
    let filter = json!({ "notifications": { "toolsListChanged": true } });
    let listening = client.send("subscriptions/listen", filter).await;
    let mut listening = listening.begun().await;
    let acknowledged = listening.message().await.unwrap();
    assert_eq!(
        acknowledged["params"]["notifications"],
        json!({ "toolsListChanged": true }),
        "{acknowledged}"
    );

    let document = gateway.document();
    let with_third = document.replace("  b:", &format!("  c: {{ url: \"{}\" }}\n  b:", third.url()));
    assert_ne!(document, with_third);
    gateway.replace("gateway.yaml", &with_third);
    let changed = listening.message().await.unwrap();

    assert_eq!(changed["method"], "notifications/tools/list_changed", "{changed}");
    let listed = client.ask("tools/list", json!({})).await.result();
    let mut names = values(&listed, "tools", "name");
    names.sort();
    assert_eq!(names, ["a__echo", "b__echo", "c__echo"]);
}

#[tokio::test]
async fn an_endpoint_greets_for_all_its_servers() {
    let with = |instructions: &'static str| {
        let said = json!({
            "resultType": "complete", "supportedVersions": [MODERN],
            "capabilities": { "tools": {}, "completions": {} },
            "instructions": instructions, "ttlMs": 0, "cacheScope": "private",
            "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "s", "version": "1" } },
        });
        Server::of(Mood::Modern).on("server/discover", move |request| Reply::result(request, &said))
    };
    let (one, other) = (
        with("Ask politely.").start().await,
        with("Be brief.").start().await,
    );
    let gateway = Gateway::new().server("a", &one).server("b", &other).start().await;

    let (_, initialized) = gateway.client("/mcp").initialize("2025-06-18").await;
    let modern = gateway.client("/mcp").modern();
    let discovered = modern.ask("server/discover", json!({})).await.result();

    let initialized = initialized.result();
    assert_eq!(initialized["protocolVersion"], "2025-06-18");
    assert_eq!(
        initialized["capabilities"],
        json!({ "tools": { "listChanged": true }, "completions": {} })
    );
    for greeting in [&initialized, &discovered] {
        assert_eq!(greeting["instructions"], "# a\nAsk politely.\n\n# b\nBe brief.");
    }
}

/// It lists the same as the one before, so that nothing of the lists changes.
#[tokio::test]
async fn a_server_that_a_reload_puts_in_place_of_another_is_the_one_that_is_called() {
    let (one, other) = (Server::start(Mood::Dual).await, Server::start(Mood::Dual).await);
    let instead = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("a", &one).server("b", &other).start().await;
    let client = gateway.client("/mcp").modern();
    client.call("a__echo", json!({ "message": "hi" })).await;

    let document = gateway.document().replace(&one.url(), &instead.url());
    gateway.replace("gateway.yaml", &document);
    gateway.reloaded("changed a").await;
    client.call("a__echo", json!({ "message": "hi" })).await;

    assert_eq!(one.asked("tools/call").len(), 1);
    assert_eq!(instead.asked("tools/call").len(), 1);
}
