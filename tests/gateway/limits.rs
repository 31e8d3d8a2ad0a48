//! Clients that are slow, stall, send too much or vanish: each costs a stated amount, for a stated time.
use std::time::Duration;

use harness::{Gate, Gateway, Mood, Reply, Running, Server, within};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn running(bounds: &str) -> (Server, Running) {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config(bounds)
        .start()
        .await;
    server.forget();
    (server, gateway)
}

/// Says the beginning, and then a byte at a time for as long as anybody listens; gives what came back.
async fn drip(gateway: &Running, beginning: &str) -> String {
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    to.write_all(beginning.as_bytes()).await.unwrap();
    let dripping = async {
        // Not a wait for something: its slowness is what the test is about.
        while to.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    within("the gateway to lose its patience", async {
        tokio::select! {
            // A reset is an end too.
            _ = from.read_to_end(&mut said) => {}
            () = dripping => {}
        }
    })
    .await;
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn a_head_that_drips_is_not_waited_for() {
    let (server, gateway) = running("bounds: { arrival: 1s, idle: 1s }").await;

    let said = drip(&gateway, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-Drip: ").await;

    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(server.requests().is_empty(), "{:?}", server.requests());
    gateway.counted("causeway_running_requests 0").await;
}

#[tokio::test]
async fn a_body_that_drips_is_answered_so() {
    let (server, gateway) = running("bounds: { arrival: 1s }").await;
    for path in ["/mcp", "/mcp/docs"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");

        let said = drip(&gateway, &format!("{head}Content-Length: 9999\r\n\r\n{{")).await;

        assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    }
    assert!(server.requests().is_empty(), "{:?}", server.requests());
    gateway.counted("causeway_running_requests 0").await;
}

#[tokio::test]
async fn a_head_that_is_too_long_or_has_too_many_fields_is_refused() {
    let (server, gateway) = running("bounds: { headers: 2KiB }").await;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

    let long = gateway
        .client("/mcp")
        .with("X-Long", &"x".repeat(2048))
        .post(ping)
        .await;
    let path = gateway
        .client(&format!("/mcp?x={}", "x".repeat(2048)))
        .post(ping)
        .await;
    let mut many = gateway.client("/mcp");
    for number in 0..98 {
        many = many.with(&format!("X-{number}"), "1");
    }
    let many = many.post(ping).await;
    let mut far = gateway.client("/mcp");
    for number in 0..300 {
        far = far.with(&format!("X-{number}"), "1");
    }
    let far = far.post(ping).await;

    for answer in [&long, &path, &many] {
        assert_eq!(answer.status, 431, "{answer:?}");
        assert!(answer.complaint().contains("bounds.headers"), "{answer:?}");
    }
    assert!(matches!(far.status, 400 | 431), "{far:?}");
    assert!(server.requests().is_empty(), "{:?}", server.requests());
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let (_server, gateway) = running("bounds: { idle: 1s, arrival: 1s }").await;

    let fresh = gateway.client("/mcp").say("").await;
    let used = gateway
        .client("/mcp")
        .modern()
        .send("tools/list", json!({}))
        .await;
    let (answer, rest) = used.answer_and_rest().await;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(fresh.try_begun().await.is_none());
    assert!(rest.try_begun().await.is_none());
}

/// A server that says more than any buffer holds, and then waits for ever.
async fn torrent() -> Server {
    let server = Server::of(Mood::Dual).on("tools/call", |request| {
        let token = &request.params()["_meta"]["progressToken"];
        let words = "x".repeat(1 << 20);
        let progress = |step: usize| {
            let params = json!({ "progressToken": token, "progress": step, "message": words });
            json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })
        };
        let reply = (0..32).fold(Reply::stream(), |reply, step| reply.event(&progress(step)));
        reply.wait(&Gate::closed())
    });
    server.start().await
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_and_its_call_with_it() {
    let server = torrent().await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("bounds: { stalled: 1s }")
        .start()
        .await;

    let params = json!({ "name": "echo", "_meta": { "progressToken": 1 } });
    let sent = gateway.client("/mcp").modern().send("tools/call", params).await;
    server.asked_for("tools/call").await;

    let record = |record: &Value| record["method"] == "tools/call" && record["outcome"] == "cancelled";
    gateway.record("the call that was cut", record).await;
    gateway.counted("causeway_running_requests 0").await;
    drop(sent);
}

/// A server whose calls are never answered.
async fn silent() -> Server {
    Server::of(Mood::Dual)
        .on("tools/call", |_| Reply::silence())
        .start()
        .await
}

#[tokio::test]
async fn a_client_that_vanishes_frees_its_place() {
    let server = silent().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let mut sent = Vec::new();
    for _ in 0..50 {
        sent.push(
            gateway
                .client("/mcp")
                .modern()
                .send("tools/call", json!({ "name": "echo" }))
                .await,
        );
    }
    within("all calls to arrive", async {
        while server.asked("tools/call").len() < 50 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    drop(sent);

    gateway.counted("causeway_running_requests 0").await;
    for call in server.asked("tools/call") {
        server.abandoned(&call).await;
    }
}

#[tokio::test]
async fn a_client_that_closes_its_half_has_left() {
    let server = silent().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let mut sent = gateway
        .client("/mcp")
        .modern()
        .send("tools/call", json!({ "name": "echo" }))
        .await;
    let call = server.asked_for("tools/call").await;

    sent.hush().await;

    server.abandoned(&call).await;
    gateway.counted("causeway_running_requests 0").await;
}

#[tokio::test]
async fn held_streams_count_and_health_answers_all_the_same() {
    let server = Server::of(Mood::Sessionful("2025-06-18"))
        .on("GET", |_| Reply::silence())
        .start()
        .await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("bounds: { streams: 3 }")
        .start()
        .await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let events = |client: harness::Client| client.with("Accept", "text/event-stream");
    let mut held = vec![events(client.clone()).fetching("GET").await.begun().await];
    for _ in 0..2 {
        held.push(events(gateway.client("/sse")).fetching("GET").await.begun().await);
    }
    assert!(held.iter().all(|stream| stream.status == 200));

    let call = client.ask("tools/call", json!({ "name": "echo" })).await;
    let stream = events(gateway.client("/sse")).fetch("GET").await;

    for refused in [&call, &stream] {
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(refused.headers.get("retry-after").is_some(), "{refused:?}");
        assert!(refused.complaint().contains("bounds.streams"), "{refused:?}");
    }
    assert_eq!(gateway.client("/health").fetch("GET").await.status, 200);
    held.pop();
    within("a place", async {
        while client.ask("tools/list", json!({})).await.status != 200 {}
    })
    .await;
}
