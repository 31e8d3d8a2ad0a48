//! What is on record: one line for each exchange, whatever became of it, and never a secret.
use std::os::unix::fs::PermissionsExt;

use harness::{Gateway, Mood, Reply, Server};
use serde_json::json;

#[tokio::test]
async fn a_call_leaves_one_line_that_says_what_happened() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    gateway
        .client("/mcp/docs")
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;
    let record = gateway
        .record("the call", |record| record["method"] == "tools/call")
        .await;

    for (member, value) in [
        ("principal", json!("anonymous")),
        ("route", json!("/mcp/{server}")),
        ("upstream", json!("docs")),
        ("era", json!("modern")),
        ("revision", json!("2026-07-28")),
        ("tool", json!("echo")),
        ("outcome", json!("ok")),
        ("status", json!(200)),
    ] {
        assert_eq!(record[member], value, "{member} of {record}");
    }
    assert!(
        record["source"].as_str().unwrap().starts_with("127.0.0.1"),
        "{record}"
    );
    assert!(record["time"].as_str().unwrap().ends_with('Z'), "{record}");
    for member in ["duration_ms", "upstream_ms"] {
        assert!(record[member].as_f64().unwrap() >= 0.0, "{member} of {record}");
    }
    assert!(
        record["duration_ms"].as_f64() >= record["upstream_ms"].as_f64(),
        "{record}"
    );
    for member in ["bytes_in", "bytes_out"] {
        assert!(record[member].as_u64().unwrap() > 0, "{member} of {record}");
    }
    assert!(!record["trace"].as_str().unwrap().is_empty(), "{record}");
    assert_eq!(
        gateway
            .records()
            .iter()
            .filter(|record| record["method"] == "tools/call")
            .count(),
        1
    );
}

#[tokio::test]
async fn each_end_has_its_word() {
    let server = Server::of(Mood::Dual)
        .on("vendor/error", |request| Reply::error(request, -32000, "no"))
        .on("vendor/broken", |_| Reply::reset());
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).demo().start().await;
    let demo = gateway.client("/mcp/demo").modern();
    let docs = gateway.client("/mcp/docs").modern();

    demo.call("echo", json!({ "text": "hi" })).await;
    demo.call("fail", json!({})).await;
    docs.ask("vendor/error", json!({})).await;
    docs.ask("vendor/broken", json!({})).await;
    gateway
        .client("/mcp/docs")
        .with("Origin", "https://evil.example")
        .modern()
        .ask("tools/list", json!({}))
        .await;

    for (what, outcome, is) in [
        ("an answer", "ok", ("tool", "echo")),
        ("a tool that failed", "tool_error", ("tool", "fail")),
        ("an error", "rpc_error", ("method", "vendor/error")),
        ("a broken server", "upstream_failed", ("method", "vendor/broken")),
    ] {
        let record = gateway.record(what, |record| record[is.0] == is.1).await;
        assert_eq!(record["outcome"], outcome, "{what}: {record}");
    }
    let denied = gateway
        .record("a refused page", |record| record["outcome"] == "denied")
        .await;
    assert_eq!(denied["status"], 403, "{denied}");
}

#[tokio::test]
async fn bad_input_is_on_record_too() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    gateway
        .client("/mcp/docs")
        .sessionless("2025-06-18")
        .post("not json")
        .await;
    gateway
        .client("/mcp/nobody")
        .sessionless("2025-06-18")
        .ask("ping", json!({}))
        .await;

    gateway
        .record("a parse error", |record| record["status"] == 400)
        .await;
    gateway
        .record("an unknown server", |record| record["status"] == 404)
        .await;
}

#[tokio::test]
async fn a_trace_begins_with_the_client_and_goes_on_to_the_record() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let client = gateway
        .client("/mcp")
        .with("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"))
        .modern();
    client.call("echo", json!({ "message": "hi" })).await;

    let record = gateway
        .record("the call", |record| record["method"] == "tools/call")
        .await;
    assert!(record["trace"].as_str().unwrap().contains(trace), "{record}");
}

#[tokio::test]
async fn a_trace_that_stands_in_the_message_alone_is_on_record_and_passes_as_it_is() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let context = json!({
        "traceparent": format!("00-{trace}-00f067aa0ba902b7-01"), "tracestate": "a=1", "baggage": "b=2",
    });

    let call = json!({ "name": "echo", "arguments": { "message": "hi" }, "_meta": context });
    let client = gateway.client("/mcp").modern();
    client.ask("tools/call", call).await.result();

    let record = gateway
        .record("the call", |record| record["method"] == "tools/call")
        .await;
    assert_eq!(record["trace"], trace, "{record}");
    let passed = server.only("tools/call").params()["_meta"].clone();
    for (member, value) in context.as_object().unwrap() {
        assert_eq!(passed[member], *value, "{passed}");
    }
}

#[tokio::test]
async fn no_secret_is_on_record_or_in_the_log() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let upstream = format!(
        "{{ url: \"{}\", headers: {{ Authorization: \"Bearer ${{env:TOKEN}}\" }} }}",
        server.url()
    );
    let gateway = Gateway::new()
        .environment("TOKEN", "secret-injected")
        .upstream("docs", upstream)
        .config("telemetry: { log: trace }")
        .start()
        .await;

    let client = gateway
        .client("/mcp?token=secret-query")
        .with("Authorization", "Bearer secret-client");
    let client = client.with("Cookie", "secret-cookie").legacy("2025-06-18").await;
    let session = client.session().unwrap().to_owned();
    client.call("echo", json!({ "message": "secret-argument" })).await;
    client
        .post(r#"{"jsonrpc":"2.0","id":"secret-id","method":"tools/call","params":{"secret-broken"#)
        .await;
    gateway
        .record("the call", |record| record["method"] == "tools/call")
        .await;
    gateway
        .record("the broken one", |record| record["status"] == 400)
        .await;

    let file = std::fs::read_to_string(gateway.state().join("calls.jsonl")).unwrap();
    for (place, text) in [("on record", file), ("in the log", gateway.program().stderr())] {
        for secret in [
            "secret-injected",
            "secret-client",
            "secret-cookie",
            "secret-argument",
            "secret-query",
            "secret-broken",
            "upstream-session",
            &session,
        ] {
            assert!(!text.contains(secret), "`{secret}` is {place}:\n{text}");
        }
    }
}

#[tokio::test]
async fn a_name_cannot_forge_a_line() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    let name = "a\n{\"outcome\":\"forged\"}\u{1b}[31m\u{2028}";
    gateway
        .client("/mcp")
        .sessionless("2025-06-18")
        .ask("tools/call", json!({ "name": name }))
        .await;

    gateway.record("the call", |record| record["tool"] == name).await;
    assert!(
        gateway
            .records()
            .iter()
            .all(|record| record["outcome"] != "forged")
    );
    let stderr = gateway.program().stderr();
    assert!(
        !stderr.contains("\u{1b}[31m")
            && !stderr
                .lines()
                .any(|line| line.starts_with("{\"outcome\":\"forged\"")),
        "{stderr}"
    );
}

#[tokio::test]
async fn the_state_is_for_its_owner_only() {
    let gateway = Gateway::new().demo().start().await;

    gateway
        .client("/mcp")
        .modern()
        .call("echo", json!({ "text": "hi" }))
        .await;
    gateway
        .record("the call", |record| record["method"] == "tools/call")
        .await;

    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(gateway.state()), 0o700);
    for entry in std::fs::read_dir(gateway.state()).unwrap() {
        let path = entry.unwrap().path();
        // Certificates are public.
        if path.extension().is_some_and(|kind| kind == "pem") {
            continue;
        }
        assert_eq!(mode(&path) & 0o077, 0, "{} is open to others", path.display());
    }
}
