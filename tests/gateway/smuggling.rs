//! Requests whose end is in doubt: refused, the connection closed, and nothing behind them is ever read as a request.
use harness::{Gateway, Mood, Server};
use serde_json::json;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;

#[tokio::test]
async fn a_request_of_doubtful_length_is_refused_and_its_connection_closed() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    gateway
        .client("/mcp")
        .sessionless("2025-06-18")
        .call("echo", json!({ "message": "hi" }))
        .await;
    let before = server.requests().len();
    let host = gateway.address();
    let length = PING.len();
    let chunk = format!("{length:x}\r\n{PING}\r\n0\r\n\r\n");

    let mut served = Vec::new();
    for (name, lines, body) in [
        (
            "two lengths",
            format!("Content-Length: {length}\r\nContent-Length: 5\r\n"),
            PING.to_owned(),
        ),
        (
            "two lengths in one",
            format!("Content-Length: {length}, 5\r\n"),
            PING.to_owned(),
        ),
        (
            "a length and chunks",
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
            chunk.clone(),
        ),
        (
            "a signed length",
            format!("Content-Length: +{length}\r\n"),
            PING.to_owned(),
        ),
        (
            "a negative length",
            "Content-Length: -1\r\n".to_owned(),
            PING.to_owned(),
        ),
        (
            "a length in hexadecimal",
            format!("Content-Length: {length:#x}\r\n"),
            PING.to_owned(),
        ),
        (
            "an unknown coding",
            "Transfer-Encoding: gzip, chunked\r\n".to_owned(),
            chunk.clone(),
        ),
        (
            "chunks twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".to_owned(),
            chunk.clone(),
        ),
        (
            "chunks not last",
            "Transfer-Encoding: chunked, identity\r\n".to_owned(),
            chunk.clone(),
        ),
        (
            "a folded line",
            format!("X-Folded: a\r\n b\r\nContent-Length: {length}\r\n"),
            PING.to_owned(),
        ),
        (
            "a space before the colon",
            format!("Content-Length : {length}\r\n"),
            PING.to_owned(),
        ),
        (
            "a bare carriage return",
            format!("X-Bare: a\rb\r\nContent-Length: {length}\r\n"),
            PING.to_owned(),
        ),
        (
            "a null",
            format!("X-Null: a\0b\r\nContent-Length: {length}\r\n"),
            PING.to_owned(),
        ),
    ] {
        let head =
            format!("POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{lines}\r\n");
        let smuggled =
            format!("POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{PING}");
        let sent = gateway
            .client("/mcp")
            .say(format!("{head}{body}{smuggled}"))
            .await;

        if let Some(exchange) = sent.try_begun().await
            && !(400..=501).contains(&exchange.status)
        {
            served.push((name, exchange.status));
        }
    }
    assert!(served.is_empty(), "served in spite of it: {served:?}");
    assert_eq!(server.requests().len(), before, "{:?}", server.requests());
    gateway
        .client("/mcp")
        .sessionless("2025-06-18")
        .call("echo", json!({ "message": "still here" }))
        .await;
}

#[tokio::test]
async fn nobody_gets_a_tunnel() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let host = gateway.address();

    for (name, request, answered) in [
        (
            "connect",
            format!(
                "CONNECT {} HTTP/1.1\r\nHost: {}\r\n\r\n",
                server.address(),
                server.address()
            ),
            400..=501,
        ),
        (
            "websocket",
            format!(
                "GET /mcp HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            ),
            400..=501,
        ),
        (
            "somebody else's url",
            format!(
                "GET http://{}/mcp HTTP/1.1\r\nHost: {}\r\n\r\n",
                server.address(),
                server.address()
            ),
            // An address is only a name for what is here: at most this opens a stream of our own.
            200..=501,
        ),
    ] {
        let connections = server.connections();
        if let Some(exchange) = gateway.client("/mcp").say(request).await.try_begun().await {
            assert!(answered.contains(&exchange.status), "{name}: {}", exchange.status);
        }
        assert_eq!(server.connections(), connections, "{name}");
    }
}

#[tokio::test]
async fn a_header_over_the_bound_is_refused() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    gateway
        .client("/mcp")
        .sessionless("2025-06-18")
        .call("echo", json!({ "message": "hi" }))
        .await;
    let before = server.requests().len();

    let client = gateway
        .client("/mcp")
        .sessionless("2025-06-18")
        .with("X-Long", &"x".repeat(40 << 10));
    let sent = client.send("tools/call", json!({ "name": "echo" })).await;

    if let Some(exchange) = sent.try_begun().await {
        assert!(matches!(exchange.status, 400 | 413 | 431), "{}", exchange.status);
    }
    assert_eq!(server.requests().len(), before);
}

#[tokio::test]
async fn two_requests_in_one_breath_are_never_mixed_up() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let host = gateway.address();
    let request = |id: u8| {
        let body = json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "echo", "arguments": { "message": format!("number {id}") } },
        });
        let body = body.to_string();
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: {}\r\nContent-Length: {}\r\n\r\n{body}",
            if id == 2 { "close" } else { "keep-alive" },
            body.len()
        )
    };

    let sent = gateway
        .client("/mcp")
        .say(format!("{}{}", request(1), request(2)))
        .await;
    let (first, rest) = sent.answer_and_rest().await;
    let second = rest.try_begun().await;

    assert_eq!(first.result()["content"][0]["text"], "number 1");
    // A gateway may close after the first instead; then the client sends the second again elsewhere.
    if let Some(second) = second {
        assert_eq!(second.answer().await.result()["content"][0]["text"], "number 2");
    }
}
