//! The end: nothing new is promised, what runs may finish, nothing is left.
use harness::{Exit, Gate, Gateway, Mood, Reply, Running, Server, until};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A server whose calls wait at the gate.
async fn waiting(gate: &Gate) -> Server {
    let gate = gate.clone();
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        let result = json!({ "content": [{ "type": "text", "text": "done" }], "resultType": "complete" });
        Reply::after(&gate, Reply::result(request, &result))
    });
    server.start().await
}

/// Waits until the gateway promises nothing new: it says that it is not ready, or does not accept at all.
async fn unready(gateway: &Running) {
    let address = gateway.address().to_owned();
    let ready = || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&address).ok()?;
        stream
            .write_all(
                format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
            )
            .ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.contains("200").then_some(text)
    };
    until("the gateway not to be ready", || ready().is_none().then_some(())).await;
}

#[tokio::test]
async fn an_idle_gateway_stops_at_once_and_leaves_nothing() {
    for signal in [Signal::TERM, Signal::INT] {
        let gateway = Gateway::new().demo().start().await;
        gateway
            .client("/mcp")
            .legacy("2025-06-18")
            .await
            .call("echo", json!({ "text": "hi" }))
            .await;
        let children = gateway.program().descendants();
        assert!(!children.is_empty(), "the demo is a child");

        gateway.program().signal(signal);

        assert_eq!(gateway.program().ended().await, Exit::Code(0));
        until("the end of the children", || {
            children.keys().all(|pid| !harness::is_alive(*pid)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_call_that_runs_may_finish() {
    let gate = Gate::closed();
    let server = waiting(&gate).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("grace: 15s")
        .start()
        .await;
    let sent = gateway
        .client("/mcp")
        .modern()
        .send("tools/call", json!({ "name": "echo" }))
        .await;
    server.asked_for("tools/call").await;

    gateway.program().signal(Signal::TERM);
    unready(&gateway).await;
    assert!(!gateway.program().has_ended());
    gate.open();

    assert_eq!(sent.answer().await.result()["content"][0]["text"], "done");
    assert_eq!(gateway.program().ended().await, Exit::Code(0));
    assert_eq!(last_call(&gateway)["outcome"], "ok");
}

#[tokio::test]
async fn a_call_that_does_not_finish_ends_with_the_grace() {
    let server = waiting(&Gate::closed()).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("grace: 1s")
        .start()
        .await;
    let sent = gateway
        .client("/mcp")
        .modern()
        .send("tools/call", json!({ "name": "echo" }))
        .await;
    server.asked_for("tools/call").await;

    let exit = gateway.stop().await;

    assert_eq!(exit, Exit::Code(0));
    // The client is told, or at least not left waiting.
    if let Some(exchange) = sent.try_begun().await {
        assert_eq!(exchange.answer().await.code(), -32603);
    }
    assert_ne!(last_call(&gateway)["outcome"], "ok");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let server = waiting(&Gate::closed()).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .demo()
        .config("grace: 1h")
        .start()
        .await;
    let _sent = gateway
        .client("/mcp/docs")
        .modern()
        .send("tools/call", json!({ "name": "echo" }))
        .await;
    server.asked_for("tools/call").await;

    gateway.program().signal(Signal::TERM);
    unready(&gateway).await;
    let exit = gateway.stop().await;

    assert_ne!(exit, Exit::Signal(9), "{exit:?}");
}

#[tokio::test]
async fn every_record_is_written_before_the_end() {
    let gateway = Gateway::new().demo().start().await;
    let client = gateway.client("/mcp").modern();
    for _ in 0..50 {
        client.call("echo", json!({ "text": "hi" })).await;
    }

    assert_eq!(gateway.stop().await, Exit::Code(0));

    assert_eq!(
        gateway
            .records()
            .iter()
            .filter(|record| record["tool"] == "echo")
            .count(),
        50
    );
}

fn last_call(gateway: &Running) -> Value {
    let mut calls = gateway.records();
    calls.retain(|record| record["method"] == "tools/call");
    calls.pop().expect("the call is on record")
}

#[tokio::test]
async fn a_stream_that_is_cut_by_the_grace_ends_with_an_error() {
    let server = Server::of(Mood::Dual).on("tools/call", |request| {
        let params = json!({ "progressToken": request.params()["_meta"]["progressToken"], "progress": 1 });
        let report = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
        Reply::stream().event(&report).wait(&Gate::closed())
    });
    let server = server.start().await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("grace: 1s")
        .start()
        .await;
    let call = json!({ "name": "echo", "_meta": { "progressToken": 1 } });
    let mut exchange = gateway
        .client("/mcp")
        .modern()
        .send("tools/call", call)
        .await
        .begun()
        .await;
    exchange.message().await;

    let exit = gateway.stop().await;

    assert_eq!(exit, Exit::Code(0));
    assert_eq!(exchange.answer().await.code(), -32603);
}

#[tokio::test]
async fn a_gateway_that_stops_takes_no_new_call() {
    let gate = Gate::closed();
    let server = waiting(&gate).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("grace: 15s")
        .start()
        .await;
    let running = gateway
        .client("/mcp")
        .modern()
        .send("tools/call", json!({ "name": "echo" }))
        .await;
    server.asked_for("tools/call").await;

    gateway.program().signal(Signal::TERM);
    unready(&gateway).await;
    let refused = gateway
        .client("/mcp")
        .modern()
        .ask("tools/call", json!({ "name": "echo" }))
        .await;
    gate.open();

    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(server.asked("tools/call").len(), 1);
    assert_eq!(running.answer().await.result()["content"][0]["text"], "done");
    assert_eq!(gateway.program().ended().await, Exit::Code(0));
}

#[tokio::test]
async fn a_thousand_streams_end_cleanly_and_two_hundred_calls_are_answered() {
    let gate = Gate::closed();
    let server = waiting(&gate).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("grace: 20s")
        .start()
        .await;
    let mut streams = Vec::new();
    for _ in 0..500 {
        let client = gateway.client("/mcp").legacy("2025-06-18").await;
        let listening = client.with("Accept", "text/event-stream").fetching("GET").await;
        streams.push(listening.begun().await);
        let old = gateway.client("/mcp/docs/sse");
        let sse = old.with("Accept", "text/event-stream").fetching("GET").await;
        streams.push(sse.begun().await);
    }
    let mut calls = Vec::new();
    for _ in 0..200 {
        let client = gateway.client("/mcp").modern();
        calls.push(client.send("tools/call", json!({ "name": "echo" })).await);
    }
    until("all calls to have arrived", || {
        (server.asked("tools/call").len() == 200).then_some(())
    })
    .await;
    assert!(streams.iter().all(harness::Exchange::is_stream));

    gateway.program().signal(Signal::TERM);
    unready(&gateway).await;
    gate.open();

    for call in calls {
        assert_eq!(call.answer().await.result()["content"][0]["text"], "done");
    }
    for stream in &mut streams {
        // Not cut: the last chunk says that nothing follows.
        stream.rest().await;
    }
    assert_eq!(gateway.program().ended().await, Exit::Code(0));
}
