//! A server that a reload takes away: what runs there has its grace, and then ends in words.
use harness::{
    Exchange, Gate, Gateway, Mood, Reply, Running, Server,
    questions::{self, completed},
};
use serde_json::{Value, json};

const LEGACY: Mood = Mood::Sessionful("2025-11-25");

/// A server whose tool never answers.
async fn hanging(mood: Mood) -> Server {
    let server = Server::of(mood).on("tools/call", |request| {
        Reply::after(&Gate::closed(), Reply::result(request, &json!({})))
    });
    server.start().await
}

async fn gateway(server: &Server, grace: &str) -> Running {
    let gateway = Gateway::new().server("docs", server).demo();
    gateway.config(&format!("grace: {grace}")).start().await
}

async fn remove(gateway: &Running, server: &Server) {
    let docs = format!("  docs: {{ url: \"{}\" }}\n", server.url());
    gateway.replace("gateway.yaml", &gateway.document().replace(&docs, ""));
    gateway.reloaded("removed docs").await;
}

/// That the last thing said is that the server was removed.
fn assert_says_so(last: &Value) {
    let words = last["error"]["message"].as_str().unwrap_or_default();
    assert!(words.contains("removed from the configuration"), "{last}");
}

#[tokio::test]
async fn a_call_that_outlives_the_grace_is_cut_in_words_and_its_server_told() {
    for (mood, modern) in [
        (LEGACY, false),
        (LEGACY, true),
        (Mood::Modern, false),
        (Mood::Modern, true),
    ] {
        let server = hanging(mood).await;
        let gateway = gateway(&server, "1s").await;
        let client = gateway.client("/mcp/docs");
        let client = match modern {
            true => client.modern(),
            false => client.legacy("2025-11-25").await,
        };
        let sent = client.send("tools/call", json!({ "name": "echo" })).await;
        let asked = server.asked_for("tools/call").await;

        remove(&gateway, &server).await;

        assert_says_so(sent.answer().await.last());
        // A server of 2026-07-28 hears it by the end of the connection, and so does every other.
        server.abandoned(&asked).await;
    }
}

#[tokio::test]
async fn a_call_that_waits_for_its_user_ends_with_the_grace() {
    let server = Server::of(LEGACY).on("tools/call", |request| {
        Reply::stream()
            .ask(&questions::completion().request("q"))
            .conclude(request, |_| completed("never"))
    });
    let server = server.start().await;
    let gateway = gateway(&server, "1s").await;
    let client = gateway
        .client("/mcp/docs")
        .able_to(json!({ "sampling": {} }))
        .modern();
    let asked = client.ask("tools/call", json!({ "name": "echo" })).await.result();
    assert_eq!(asked["resultType"], "input_required", "{asked}");

    remove(&gateway, &server).await;

    let told = server
        .request("an answer to its question", |request| {
            request.json()["id"] == "q" && request.method().is_empty()
        })
        .await;
    assert_eq!(told.json()["error"]["code"], -1, "{told:?}");
    server.asked_for("notifications/cancelled").await;
}

#[tokio::test]
async fn a_subscription_ends_at_once_whatever_eras_it_joins() {
    for mood in [LEGACY, Mood::Modern] {
        let able = json!({ "tools": { "listChanged": true } });
        let server = Server::of(mood)
            .able_to(able)
            .on("subscriptions/listen", |request| {
                let acknowledged = json!({
                    "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                    "params": {
                        "notifications": { "toolsListChanged": true },
                        "_meta": { "io.modelcontextprotocol/subscriptionId": request.json()["id"] },
                    },
                });
                Reply::stream().event(&acknowledged).wait(&Gate::closed())
            });
        let server = server.start().await;
        let gateway = gateway(&server, "1h").await;
        let client = gateway.client("/mcp/docs").modern();
        let wanted = json!({ "notifications": { "toolsListChanged": true } });
        let mut stream: Exchange = client.send("subscriptions/listen", wanted).await.begun().await;
        stream.message().await.expect("an acknowledgement");

        remove(&gateway, &server).await;

        assert_says_so(&stream.message().await.expect("an end in words"));
    }
}
