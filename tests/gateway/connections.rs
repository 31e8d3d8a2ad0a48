//! Connections as clients really use them: kept, shared by many, with large messages and with permission asked first.
use harness::{Client, Gate, Gateway, Mood, Reply, Server};
use serde_json::json;

/// A whole request for the echo of a text.
fn request(host: &str, text: &str, lines: &str) -> (String, String) {
    let arguments = json!({ "message": text });
    let params = json!({ "name": "echo", "arguments": arguments });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
    let length = body.len();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{lines}\r\n"
    );
    (head, body)
}

#[tokio::test]
async fn a_connection_serves_one_call_after_the_other() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let before = server.connections();

    let (head, body) = request(gateway.address(), "first", "");
    let mut sent = gateway.client("/mcp").say(head + &body).await;
    for next in ["second", "third", "fourth"] {
        let (answer, mut rest) = sent.answer_and_rest().await;
        assert_eq!(answer.status, 200, "before the {next}: {answer:?}");
        let (head, body) = request(gateway.address(), next, "");
        rest.say(head + &body).await;
        sent = rest;
    }

    assert_eq!(sent.answer().await.result()["content"][0]["text"], "fourth");
    assert!(
        server.connections() <= before + 1,
        "the way to the server was not kept"
    );
}

#[tokio::test]
async fn calls_that_are_sent_at_once_are_answered_in_order() {
    let gate = Gate::closed();
    let waits = gate.clone();
    let server = Server::of(Mood::Dual)
        .on("tools/call", move |request| {
            let text = &request.params()["arguments"]["message"];
            let result = json!({ "content": [{ "type": "text", "text": text }], "resultType": "complete" });
            Reply::after(&waits, Reply::result(request, &result))
        })
        .start()
        .await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let host = gateway.address();
    let whole = |text: &str| {
        let (head, body) = request(host, text, "");
        head + &body
    };

    // The second comes while the first is served, the third with it.
    let mut sent = gateway.client("/mcp").say(whole("first")).await;
    server.asked_for("tools/call").await;
    sent.say(whole("second") + &whole("third")).await;
    gate.open();

    for text in ["first", "second"] {
        let (answer, rest) = sent.answer_and_rest().await;
        assert_eq!(answer.result()["content"][0]["text"], text);
        sent = rest;
    }
    assert_eq!(sent.answer().await.result()["content"][0]["text"], "third");
}

#[tokio::test]
async fn a_refused_body_does_not_harm_the_next_call_on_its_connection() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let host = gateway.address();

    let refused = format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\nnot json"
    );
    let (refused, mut rest) = gateway.client("/mcp").say(refused).await.answer_and_rest().await;
    let (head, body) = request(host, "next", "");
    rest.say(head + &body).await;

    assert_eq!(refused.status, 400);
    // Kept or closed; only never mixed up.
    if let Some(exchange) = rest.try_begun().await {
        assert_eq!(exchange.answer().await.result()["content"][0]["text"], "next");
    }
}

#[tokio::test]
async fn permission_to_send_is_given_when_asked_for() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    // As curl does before a large body.
    let (head, body) = request(
        gateway.address(),
        &"x".repeat(2 << 20),
        "Expect: 100-continue\r\n",
    );
    let (permission, mut rest) = gateway.client("/mcp").say(head).await.answer_and_rest().await;
    rest.say(body).await;
    let answer = rest.answer().await;

    assert_eq!(permission.status, 100);
    assert_eq!(
        answer.result()["content"][0]["text"].as_str().unwrap().len(),
        2 << 20
    );
}

#[tokio::test]
async fn a_large_message_reaches_a_child_and_comes_back() {
    let gateway = Gateway::new().demo().start().await;
    let text = "ü\u{2028}\n\"".repeat(300_000);

    for client in [
        gateway.client("/mcp").modern(),
        gateway.client("/mcp").legacy("2025-06-18").await,
    ] {
        let result = client.call("echo", json!({ "text": text })).await;

        assert!(result["content"][0]["text"] == text, "it was changed on its way");
    }
}

#[tokio::test]
async fn many_at_once_get_their_own_answers() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..32 {
        clients.push(gateway.client("/mcp").legacy("2025-06-18").await);
    }

    let mut sent = Vec::new();
    for round in 0..4 {
        for (number, client) in clients.iter().enumerate() {
            let text = format!("{number} in round {round}");
            let call = json!({ "name": "echo", "arguments": { "message": text } });
            sent.push((text, client.send("tools/call", call).await));
        }
    }

    for (text, sent) in sent {
        assert_eq!(sent.answer().await.result()["content"][0]["text"], text);
    }
    let own = server.asked("tools/call");
    let sessions: std::collections::BTreeSet<_> = own
        .iter()
        .map(|call| call.headers.get("Mcp-Session-Id").unwrap().to_owned())
        .collect();
    assert_eq!(sessions.len(), 32, "each client has a session of its own");
}

#[tokio::test]
async fn a_client_that_says_half_and_leaves_is_forgotten() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    server.forget();

    for part in [
        "",
        "POST",
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\n",
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    ] {
        drop(gateway.client("/mcp").say(part).await);
    }
    gateway
        .client("/mcp")
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;

    assert_eq!(server.requests().len(), 1, "{:?}", server.requests());
}
