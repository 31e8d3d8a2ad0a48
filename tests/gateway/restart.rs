//! A gateway that is stopped and started again: its clients do not notice, unless what they used is truly gone.
use harness::{Client, Gateway, Mood, Server};
use serde_json::json;

/// A client that has declared what servers ask clients for.
async fn able(client: Client) -> Client {
    let abilities = json!({ "roots": { "listChanged": true }, "elicitation": {} });
    client.able_to(abilities).legacy("2025-06-18").await
}

#[tokio::test]
async fn an_idle_client_goes_on_with_the_session_of_its_server() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = able(gateway.client("/mcp")).await;
    client.call("echo", json!({ "message": "before" })).await;

    let gateway = gateway.restart().await;
    let client = client.moved_to(gateway.address());
    let result = client.call("echo", json!({ "message": "after" })).await;

    assert_eq!(result["content"][0]["text"], "after");
    let calls = server.asked("tools/call");
    let session = |call: usize| calls[call].headers.get("mcp-session-id");
    assert_eq!(session(0), session(1), "a session is not begun anew without need");
}

#[tokio::test]
async fn the_child_of_an_idle_client_is_begun_anew_as_its_client_greeted_it() {
    let gateway = Gateway::new().demo().start().await;
    let client = able(gateway.client("/mcp")).await;

    let gateway = gateway.restart().await;
    let client = client.moved_to(gateway.address());
    let echoed = client.call("echo", json!({ "text": "after" })).await;
    let ask = json!({ "name": "ask", "arguments": { "question": "who?" } });
    let mut asked = client.send("tools/call", ask).await.begun().await;
    let question = asked.message().await.expect("a question");
    let declined = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "decline" } });
    client.post(declined.to_string()).await;

    assert_eq!(echoed["content"][0]["text"], "after");
    assert_eq!(question["method"], "elicitation/create", "{question}");
    assert_eq!(asked.answer().await.result()["content"][0]["text"], "declined");
}

#[tokio::test]
async fn a_session_that_its_client_ended_stays_ended() {
    let server = Server::start(Mood::Legacy("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let (client, other) = (
        able(gateway.client("/mcp")).await,
        able(gateway.client("/mcp")).await,
    );
    assert_eq!(client.fetch("DELETE").await.status, 204);

    // Twice, since what is written down is read and written anew.
    let gateway = gateway.restart().await.restart().await;
    let client = client.moved_to(gateway.address());
    let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

    assert_eq!(answer.status, 404, "{answer:?}");
    assert_eq!(client.fetch("DELETE").await.status, 404);
    let other = other.moved_to(gateway.address());
    assert_eq!(
        other.call("echo", json!({ "message": "hi" })).await["content"][0]["text"],
        "hi"
    );
}

#[tokio::test]
async fn garbage_where_ended_sessions_are_kept_is_ignored() {
    let server = Server::start(Mood::Legacy("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = able(gateway.client("/mcp")).await;
    assert_eq!(client.fetch("DELETE").await.status, 204);
    gateway.stop().await;
    let file = gateway.state().join("ended-sessions");
    let mut text = b"\xff\xfe garbage\n\n0123 9\nzz 1\n".to_vec();
    text.extend(std::fs::read(&file).unwrap());
    text.extend(b"00112233445566778899aabbccddeeff 99999999");
    std::fs::write(&file, text).unwrap();

    let gateway = gateway.restart().await;
    let client = client.moved_to(gateway.address());

    assert_eq!(client.ask("tools/list", json!({})).await.status, 404);
}
