//! What breaks behind the gateway and is whole again before its clients notice, or as soon as it can be.
use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use harness::{Answer, Client, Gate, Gateway, Mood, Program, Reply, Server, causeway, misbehave, until};
use serde_json::json;

/// A server that keeps sessions, and counts the calls it carries out.
async fn counting() -> (Server, Arc<AtomicUsize>) {
    let carried_out = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&carried_out);
    let server = Server::of(Mood::Sessionful("2025-06-18"))
        .on("tools/call", move |request| {
            count.fetch_add(1, Ordering::Relaxed);
            Reply::result(request, &json!({ "content": [] }))
        })
        .on("logging/setLevel", |request| Reply::result(request, &json!({})))
        .start()
        .await;
    (server, carried_out)
}

async fn call(client: &Client) -> Answer {
    client.ask("tools/call", json!({ "name": "echo" })).await
}

/// As many calls at once.
async fn calls(client: &Client, number: usize) -> Vec<Answer> {
    let mut sent = Vec::new();
    for _ in 0..number {
        sent.push(
            client
                .send(
                    "tools/call",
                    json!({ "name": "echo", "arguments": { "text": "hi" } }),
                )
                .await,
        );
    }
    let mut answers = Vec::new();
    for sent in sent {
        answers.push(sent.answer().await);
    }
    answers
}

#[tokio::test]
async fn a_session_that_its_server_lost_is_begun_anew_once_for_all_and_no_call_runs_twice() {
    let (server, carried_out) = counting().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway
        .client("/mcp")
        .able_to(json!({ "roots": {}, "elicitation": {} }))
        .legacy("2025-06-18")
        .await;
    client
        .ask("logging/setLevel", json!({ "level": "warning" }))
        .await;
    server.forget();

    server.forget_sessions();
    for answer in calls(&client, 20).await {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.last().get("result").is_some(), "{answer:?}");
    }

    assert_eq!(carried_out.load(Ordering::Relaxed), 20);
    // It is the client who greets, in all it said of itself.
    let greeting = server.only("initialize").params();
    assert_eq!(greeting, client.greeting("2025-06-18"));
    let renewed = server.only("notifications/initialized");
    let session = renewed.headers.get("Mcp-Session-Id").unwrap().to_owned();
    let level = server.only("logging/setLevel");
    assert_eq!(level.params(), json!({ "level": "warning" }));
    assert_eq!(level.headers.get("Mcp-Session-Id"), Some(&*session));
    assert_eq!(call(&client).await.status, 200);
    let last = server.asked("tools/call").pop().unwrap();
    assert_eq!(last.headers.get("Mcp-Session-Id"), Some(&*session));
}

#[tokio::test]
async fn a_server_that_says_400_to_a_session_it_lost_is_understood_too() {
    let forgetful = AtomicUsize::new(0);
    let server = Server::of(Mood::Sessionful("2025-06-18"))
        .on("tools/call", move |request| {
            match forgetful.fetch_add(1, Ordering::Relaxed) {
                0 => Reply::id_less(400, -32000, "Bad Request: No valid session ID provided"),
                _ => Reply::result(request, &json!({ "content": [] })),
            }
        })
        .start()
        .await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    let answer = call(&client).await;

    assert!(answer.last().get("result").is_some(), "{answer:?}");
}

#[tokio::test]
async fn a_session_that_was_begun_anew_is_ended_by_its_client_all_the_same() {
    let (server, _) = counting().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    server.forget_sessions();
    assert_eq!(call(&client).await.status, 200);
    let renewed = server.asked("tools/call").pop().unwrap();
    server.forget();

    client.fetch("DELETE").await;
    let afterwards = call(&client).await;

    assert_eq!(afterwards.status, 404, "{afterwards:?}");
    let ended = server.request("DELETE", |request| request.verb == "DELETE").await;
    assert_eq!(
        ended.headers.get("Mcp-Session-Id"),
        renewed.headers.get("Mcp-Session-Id")
    );
    assert!(server.asked("initialize").is_empty());
}

#[tokio::test]
async fn a_server_that_agrees_to_something_else_by_now_has_its_client_begin_again() {
    let greeted = AtomicUsize::new(0);
    let server = Server::of(Mood::Legacy("2025-06-18"))
        .unchecked()
        .on("initialize", move |request| {
            let revision = match greeted.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => "2025-06-18",
                _ => "2024-11-05",
            };
            let result = json!({ "protocolVersion": revision, "capabilities": {}, "serverInfo": { "name": "x", "version": "1" } });
            Reply::result(request, &result).header("Mcp-Session-Id", "x")
        })
        .on("tools/call", |_| Reply::new(404))
        .start()
        .await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    assert_eq!(call(&client).await.status, 404);
}

#[tokio::test]
async fn a_platform_that_forgets_its_sessions_with_each_answer_serves_every_call() {
    let mut command = Command::new(causeway());
    command.args(["demo", "--listen", "127.0.0.1:0", "--era", "legacy"]);
    command.args(["--serverless", "--cold", "100ms", "--kill", "1s"]);
    let demo = Program::start("causeway demo", command);
    let url = demo
        .complaint("where it listens", |line| {
            Some(line.strip_prefix("listening on ")?.trim().to_owned())
        })
        .await;
    let gateway = Gateway::new()
        .upstream("demo", format!("{{ url: \"{url}\" }}"))
        .start()
        .await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;
    let level = client.ask("logging/setLevel", json!({ "level": "error" })).await;
    assert_eq!(level.status, 200, "{level:?}");

    for _ in 0..5 {
        let result = client.call("echo", json!({ "text": "hi" })).await;
        assert_eq!(result["content"][0]["text"], "hi");
    }
    for answer in calls(&client, 6).await {
        assert_eq!(answer.result()["content"][0]["text"], "hi", "{answer:?}");
    }
}

#[tokio::test]
async fn a_child_that_crashed_is_there_again_for_its_session_and_its_call_ran_once() {
    let gateway = Gateway::new();
    let told = gateway.file("told", "");
    let upstream = misbehave(&["--era", "legacy", "--exit-on", "vendor/die", "--told", &told]);
    let gateway = gateway.upstream("frail", upstream).start().await;
    let client = gateway
        .client("/mcp")
        .able_to(json!({ "roots": {} }))
        .legacy("2025-06-18")
        .await;

    let began = Instant::now();
    let answer = client.ask("vendor/die", json!({})).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let result = client.call("echo", json!({ "message": "again" })).await;

    assert_eq!(answer.code(), -32603, "{answer:?}");
    assert_eq!(result["content"][0]["text"], "again");
    let told = std::fs::read_to_string(told).unwrap();
    assert_eq!(told.matches("vendor/die").count(), 1, "{told}");
    assert_eq!(
        told.matches(r#""roots""#).count(),
        2,
        "its own greeting, twice: {told}"
    );
}

#[tokio::test]
async fn a_child_that_crashes_in_call_after_call_is_given_pauses() {
    let upstream = misbehave(&["--era", "legacy", "--exit-on", "vendor/die"]);
    let gateway = Gateway::new().upstream("frail", upstream).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let other = gateway.client("/mcp").legacy("2025-06-18").await;

    let mut said = String::new();
    for _ in 0..10 {
        said = client.ask("vendor/die", json!({})).await.complaint();
        if said.contains("the next start is in") {
            break;
        }
    }

    assert!(said.contains("the next start is in"), "{said}");
    // Another client's session is not made to wait for it.
    other.call("echo", json!({ "message": "hi" })).await;
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_left_alone_and_found_again() {
    let mut server = Server::start(Mood::Legacy("2025-06-18")).await;
    let sound = Server::start(Mood::Legacy("2025-06-18")).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .server("sound", &sound)
        .start()
        .await;
    let client = gateway.client("/mcp/docs").sessionless("2025-06-18");
    server.stop().await;

    let mut said = String::new();
    let mut tries = 0;
    while !said.contains("tried again in") {
        said = call(&client).await.complaint();
        tries += 1;
        assert!(tries < 20, "{said}");
    }
    assert!(tries > 5, "{tries}");
    assert!(said.contains("docs") && !said.contains("127.0.0."), "{said}");
    let began = Instant::now();
    call(&client).await;
    assert!(
        began.elapsed() < Duration::from_millis(250),
        "{:?}",
        began.elapsed()
    );
    let metrics = gateway.admin("/metrics").await.text();
    assert!(
        metrics.contains(r#"causeway_upstream_breaker_open{upstream="docs"} 1"#),
        "{metrics}"
    );
    let others = gateway.client("/mcp/sound").sessionless("2025-06-18");
    others.call("echo", json!({ "message": "hi" })).await;

    let _again = Server::of(Mood::Legacy("2025-06-18"))
        .in_place_of(&server)
        .start()
        .await;
    let mut found = call(&client).await;
    while found.last().get("result").is_none() {
        found = call(&client).await;
    }
    let metrics = gateway.admin("/metrics").await.text();
    assert!(
        metrics.contains(r#"causeway_upstream_breaker_open{upstream="docs"} 0"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn more_calls_than_a_server_may_be_given_wait_and_more_than_may_wait_are_refused() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(Mood::Sessionful("2025-06-18"))
        .on("tools/call", move |request| {
            Reply::after(&held, Reply::result(request, &json!({ "content": [] })))
        })
        .start()
        .await;
    let upstream = format!("{{ url: \"{}\", max_concurrency: 2 }}", server.url());
    let gateway = Gateway::new().upstream("docs", upstream).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    let mut sent = Vec::new();
    for _ in 0..2 {
        sent.push(client.send("tools/call", json!({ "name": "echo" })).await);
    }
    until("two calls at the server", || {
        (server.asked("tools/call").len() == 2).then_some(())
    })
    .await;
    // Of five more two find room to wait, and the others hear it at once, whichever they are.
    let mut more = Vec::new();
    for _ in 0..5 {
        more.push(client.send("tools/call", json!({ "name": "echo" })).await);
    }
    let refused = gateway.record("a refused call", |record| record["outcome"] == "upstream_failed");
    refused.await;
    // What is no call goes through meanwhile.
    let told = client.notify("notifications/roots/list_changed", json!({})).await;
    assert_eq!(told.status, 202);
    assert_eq!(server.asked("tools/call").len(), 2);

    gate.open();
    let mut served = 0;
    for sent in sent.into_iter().chain(more) {
        let answer = sent.answer().await;
        if answer.last().get("result").is_some() {
            served += 1;
        } else {
            assert!(answer.complaint().contains("max_concurrency"), "{answer:?}");
        }
    }
    assert_eq!(served, 4);
}
