//! What belongs to one client stays with it, however many share a server: cancellations, sessions, processes, records.
use harness::{Gateway, Mood, Reply, Server, is_alive, misbehave, until};
use serde_json::json;

#[tokio::test]
async fn a_cancellation_reaches_no_other_clients_call() {
    let scratch = tempfile::tempdir().unwrap();
    let told = scratch.path().join("told").display().to_string();
    let child = misbehave(&["--era", "modern", "--hang-on", "vendor/hang", "--told", &told]);
    let gateway = Gateway::new().upstream("shared", child).start().await;
    let told = || std::fs::read_to_string(&told).unwrap();

    let ours = gateway.client("/mcp").modern();
    let waiting = ours.send("vendor/hang", json!({})).await;
    until("the child to be asked", || {
        told().contains("vendor/hang").then_some(())
    })
    .await;
    // Everybody's first request has the same id; this is somebody else's word about theirs.
    let theirs = gateway.client("/mcp").modern();
    for id in 0..5 {
        let answer = theirs
            .notify("notifications/cancelled", json!({ "requestId": id }))
            .await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    theirs.call("echo", json!({ "message": "after" })).await;
    assert!(!told().contains("notifications/cancelled"), "{}", told());

    // The one whose call it is takes it back by leaving.
    drop(waiting);
    until("the child to hear of it", || {
        told().contains("notifications/cancelled").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_method_that_a_session_does_not_know_does_not_end_it() {
    let server = Server::of(Mood::Sessionful("2025-06-18")).on("vendor/unknown", |request| {
        let answer = json!({
            "jsonrpc": "2.0", "id": request.json()["id"], "error": { "code": -32601, "message": "Method not found" },
        });
        Reply::json(404, &answer)
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    for client in [
        gateway.client("/mcp").legacy("2025-06-18").await,
        gateway.client("/mcp").sessionless("2025-06-18"),
    ] {
        server.forget();
        let answer = client.ask("vendor/unknown", json!({})).await;

        assert_eq!((answer.status, answer.code()), (200, -32601), "{answer:?}");
        assert_eq!(server.asked("vendor/unknown").len(), 1);
        client.call("echo", json!({ "message": "still here" })).await;
    }
}

#[tokio::test]
async fn a_shared_session_that_a_server_forgot_in_other_words_is_begun_again() {
    let server = Server::of(Mood::Sessionful("2025-06-18")).on("tools/call", {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        move |request| {
            if asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
                return Reply::id_less(400, -32000, "Bad Request: No valid session ID provided");
            }
            Reply::result(request, &json!({ "content": [] }))
        }
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    server.forget();

    let answer = gateway
        .client("/mcp")
        .sessionless("2025-06-18")
        .ask("tools/call", json!({ "name": "echo" }))
        .await;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.result()["content"], json!([]));
    assert_eq!(server.asked("initialize").len(), 1);
}

#[tokio::test]
async fn a_child_that_speaks_before_it_answers_is_understood() {
    for arguments in [
        &["--era", "legacy", "--chat"][..],
        &["--era", "dual", "--chat"],
        &["--era", "legacy", "--batch"],
    ] {
        let gateway = Gateway::new()
            .upstream("chatty", misbehave(arguments))
            .start()
            .await;

        for client in [
            gateway.client("/mcp").legacy("2025-06-18").await,
            gateway.client("/mcp").sessionless("2025-06-18"),
        ] {
            let result = client.call("echo", json!({ "message": "hi" })).await;
            assert_eq!(result["content"][0]["text"], "hi", "{arguments:?}");
        }
    }
}

#[tokio::test]
async fn no_more_children_are_started_than_the_bound_allows_where_all_are_used() {
    let scratch = tempfile::tempdir().unwrap();
    let file = |name: &str| scratch.path().join(name).display().to_string();
    let (pids, told) = (file("pids"), file("told"));
    let hanging = ["--hang-on", "vendor/hang", "--pids", &pids, "--told", &told];
    let child = misbehave(&[&["--era", "legacy"], &hanging[..]].concat());
    let gateway = Gateway::new()
        .upstream("bounded", child)
        .config("bounds: { children: 2 }")
        .start()
        .await;
    let before = std::fs::read_to_string(&pids).unwrap().lines().count();
    let mut used = Vec::new();
    for _ in 0..2 {
        let client = gateway.client("/mcp").legacy("2025-06-18").await;
        used.push(client.send("vendor/hang", json!({})).await);
    }
    until("both to be asked", || {
        let told = std::fs::read_to_string(&told).unwrap();
        (told.matches("vendor/hang").count() == 2).then_some(())
    })
    .await;

    let mut greetings = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let client = gateway.client("/mcp");
        greetings.spawn(async move {
            let greeting = client.request("initialize", client.greeting("2025-06-18"));
            client.send_message(&greeting).await.answer().await
        });
    }
    let answers = greetings.join_all().await;

    let started = std::fs::read_to_string(&pids).unwrap().lines().count() - before;
    assert_eq!(started, 2, "{answers:?}");
    for refused in answers {
        assert!(refused.complaint().contains("bounds.children"), "{refused:?}");
    }
}

#[tokio::test]
async fn the_session_that_is_idle_longest_makes_place_and_goes_on_when_its_client_comes_back() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("pids").display().to_string();
    let child = misbehave(&["--era", "legacy", "--pids", &file]);
    let gateway = Gateway::new()
        .upstream("bounded", child)
        .config("bounds: { children: 2 }")
        .start()
        .await;
    let pids = || -> Vec<u32> {
        let lines = std::fs::read_to_string(&file).unwrap();
        lines.lines().map(|line| line.parse().unwrap()).collect()
    };
    let before = pids().len();
    let echo = json!({ "message": "hi" });

    let mut clients = Vec::new();
    for _ in 0..3 {
        let client = gateway.client("/mcp").legacy("2025-06-18").await;
        client.call("echo", echo.clone()).await;
        clients.push(client);
    }
    let lives: Vec<_> = pids()[before..].iter().map(|pid| is_alive(*pid)).collect();
    assert_eq!(lives, [false, true, true]);

    let result = clients[0].call("echo", echo).await;
    assert_eq!(result["content"][0]["text"], "hi");
    let lives: Vec<_> = pids()[before..].iter().map(|pid| is_alive(*pid)).collect();
    assert_eq!(lives, [false, false, true, true]);
    let metrics = gateway.admin("/metrics").await.text();
    for counted in [
        "displaced_total{upstream=\"bounded\"} 2",
        "renewed_total{upstream=\"bounded\"} 1",
    ] {
        assert!(
            metrics.contains(&format!("causeway_upstream_sessions_{counted}")),
            "{metrics}"
        );
    }
}

#[tokio::test]
async fn a_child_that_will_not_end_is_ended_with_its_session() {
    let scratch = tempfile::tempdir().unwrap();
    let pids = scratch.path().join("pids").display().to_string();
    let stubborn = misbehave(&[
        "--era",
        "legacy",
        "--ignore-term",
        "--ignore-end",
        "--pids",
        &pids,
    ]);
    let gateway = Gateway::new().upstream("stubborn", stubborn).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let last = std::fs::read_to_string(&pids)
        .unwrap()
        .lines()
        .last()
        .unwrap()
        .parse()
        .unwrap();
    assert!(is_alive(last));

    let answer = client.fetch("DELETE").await;

    assert_eq!(answer.status, 204, "{answer:?}");
    until("the child to be gone", || (!is_alive(last)).then_some(())).await;
}

#[tokio::test]
async fn a_client_cannot_fill_the_record() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let name = "x".repeat(100_000);

    gateway
        .client("/mcp")
        .sessionless("2025-06-18")
        .ask("tools/call", json!({ "name": name }))
        .await;

    let record = gateway
        .record("the call", |record| record["method"] == "tools/call")
        .await;
    let kept = record["tool"].as_str().unwrap();
    assert!(
        kept.len() < 1000 && kept.starts_with("xxx"),
        "{} bytes were kept",
        kept.len()
    );
}

#[tokio::test]
async fn a_call_that_a_session_takes_back_is_over() {
    let scratch = tempfile::tempdir().unwrap();
    let told = scratch.path().join("told").display().to_string();
    let child = misbehave(&["--era", "legacy", "--hang-on", "vendor/hang", "--told", &told]);
    let gateway = Gateway::new().upstream("child", child).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let request = client.request("vendor/hang", json!({}));
    let waiting = client.send_message(&request).await;
    let asked = || std::fs::read_to_string(&told).unwrap().contains("vendor/hang");
    until("the child to be asked", || asked().then_some(())).await;

    let taken_back = json!({ "requestId": request["id"] });
    let answer = client.notify("notifications/cancelled", taken_back).await;

    assert_eq!(answer.status, 202, "{answer:?}");
    let answer = waiting.answer().await;
    assert!(
        answer.messages.is_empty(),
        "nothing more is said of it: {answer:?}"
    );
    let record = gateway
        .record("the call", |record| record["method"] == "vendor/hang")
        .await;
    assert_eq!(record["outcome"], "cancelled");
    client
        .call("echo", json!({ "message": "the session goes on" }))
        .await;
}
