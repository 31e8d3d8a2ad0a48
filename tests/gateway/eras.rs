//! Two eras on both sides: found by asking once, remembered, asked again when wrong; a mismatch is said in words.
use harness::{Gate, Gateway, LEGACY, MODERN, Mood, Reply, Server, misbehave};
use serde_json::json;

#[tokio::test]
async fn every_legacy_revision_is_served_in_its_own_words() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().server("docs", &server).demo().start().await;

    for revision in LEGACY {
        let docs = gateway.client("/mcp/docs").legacy(revision).await;
        let demo = gateway.client("/mcp/demo").legacy(revision).await;

        assert_eq!(
            docs.call("echo", json!({ "message": "hi" })).await["content"][0]["text"],
            "hi",
            "{revision}"
        );
        assert_eq!(
            demo.call("echo", json!({ "text": "hi" })).await["content"][0]["text"],
            "hi",
            "{revision}"
        );
        let call = server.asked("tools/call").pop().unwrap();
        assert_eq!(
            call.headers.get("MCP-Protocol-Version"),
            Some(revision),
            "{call:?}"
        );
        assert!(
            call.params().get("_meta").is_none(),
            "nothing is added to a legacy message: {call:?}"
        );
    }
}

#[tokio::test]
async fn the_modern_era_is_served_over_http_and_stdio() {
    let (modern, dual) = (Server::start(Mood::Modern).await, Server::start(Mood::Dual).await);
    let gateway = Gateway::new()
        .server("modern", &modern)
        .server("dual", &dual)
        .demo()
        .upstream("child", misbehave(&["--era", "modern"]))
        .start()
        .await;

    for (path, arguments) in [
        ("/mcp/modern", json!({ "message": "hi" })),
        ("/mcp/dual", json!({ "message": "hi" })),
        ("/mcp/demo", json!({ "text": "hi" })),
        ("/mcp/child", json!({ "message": "hi" })),
    ] {
        let client = gateway.client(path).modern();
        let discovered = client.ask("server/discover", json!({})).await;
        let result = client.call("echo", arguments).await;

        assert_eq!(discovered.status, 200, "{path}: {discovered:?}");
        assert_eq!(result["content"][0]["text"], "hi", "{path}");
        assert_eq!(result["resultType"], "complete", "{path}");
    }
    for server in [&modern, &dual] {
        let call = server.only("tools/call");
        assert_eq!(call.headers.get("Mcp-Name"), Some("echo"), "{call:?}");
    }
}

#[tokio::test]
async fn a_modern_client_is_served_by_a_legacy_server() {
    let (plain, strict) = (
        Server::start(Mood::Legacy("2025-06-18")).await,
        Server::start(Mood::Sessionful("2025-06-18")).await,
    );
    let gateway = Gateway::new()
        .server("plain", &plain)
        .server("strict", &strict)
        .upstream("child", misbehave(&["--era", "legacy"]))
        .start()
        .await;

    for name in ["plain", "strict", "child"] {
        let client = gateway.client(&format!("/mcp/{name}")).modern();
        let result = client.call("echo", json!({ "message": "hi" })).await;

        assert_eq!(result["content"][0]["text"], "hi", "{name}");
        assert_eq!(result["resultType"], "complete", "{name}");
    }
    for server in [&plain, &strict] {
        let call = server.only("tools/call");
        assert_eq!(
            call.headers.get("MCP-Protocol-Version"),
            Some("2025-06-18"),
            "{call:?}"
        );
        assert_eq!(call.headers.get("Mcp-Method"), None, "{call:?}");
    }
}

#[tokio::test]
async fn a_legacy_client_is_served_by_a_modern_server() {
    let server = Server::start(Mood::Modern).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .upstream("child", misbehave(&["--era", "modern"]))
        .start()
        .await;

    for name in ["docs", "child"] {
        for revision in LEGACY {
            let client = gateway.client(&format!("/mcp/{name}")).legacy(revision).await;
            let result = client.call("echo", json!({ "message": "hi" })).await;
            assert_eq!(result["content"][0]["text"], "hi", "{name} {revision}");

            let alone = gateway.client(&format!("/mcp/{name}")).sessionless(revision);
            let result = alone.call("echo", json!({ "message": "hi" })).await;
            assert_eq!(
                result["content"][0]["text"], "hi",
                "{name} {revision} without a session"
            );
        }
    }
    let call = server.asked("tools/call").pop().unwrap();
    assert_eq!(call.headers.get("MCP-Protocol-Version"), Some(MODERN), "{call:?}");
    assert_eq!(call.headers.get("Mcp-Name"), Some("echo"), "{call:?}");
    assert_eq!(call.headers.get("Mcp-Session-Id"), None, "{call:?}");
}

#[tokio::test]
async fn a_server_is_asked_once_however_many_wait() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(Mood::Modern).on("server/discover", move |request| {
        let result = json!({
            "supportedVersions": [MODERN], "capabilities": {}, "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
        });
        Reply::after(&held, Reply::result(request, &result))
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start_early().await;
    let client = gateway.client("/mcp").modern();

    let mut calls = Vec::new();
    for _ in 0..10 {
        calls.push(
            client
                .send(
                    "tools/call",
                    json!({ "name": "echo", "arguments": { "message": "hi" } }),
                )
                .await,
        );
    }
    server.asked_for("server/discover").await;
    gate.open();
    for call in calls {
        assert_eq!(call.answer().await.result()["content"][0]["text"], "hi");
    }
    client.call("echo", json!({ "message": "later" })).await;

    assert_eq!(server.asked("server/discover").len(), 1);
    assert_eq!(server.asked("tools/call").len(), 11);
}

#[tokio::test]
async fn a_pinned_revision_is_not_asked_for() {
    let (old, new) = (
        Server::start(Mood::Legacy("2025-06-18")).await,
        Server::start(Mood::Modern).await,
    );
    let pinned = |server: &Server, revision| format!("{{ url: \"{}\", revision: {revision} }}", server.url());
    let gateway = Gateway::new()
        .upstream("old", pinned(&old, "2025-06-18"))
        .upstream("new", pinned(&new, MODERN))
        .start()
        .await;

    gateway
        .client("/mcp/old")
        .sessionless("2025-06-18")
        .call("echo", json!({ "message": "hi" }))
        .await;
    gateway
        .client("/mcp/new")
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;

    assert_eq!(old.asked("server/discover").len(), 0);
    assert_eq!(new.asked("server/discover").len(), 0);
    assert_eq!(new.asked("initialize").len(), 0);
}

#[tokio::test]
async fn a_server_that_names_only_legacy_revisions_is_greeted_with_one() {
    let server = Server::of(Mood::Legacy("2025-03-26")).on("server/discover", |request| {
        let data = json!({ "supported": ["2025-03-26"], "requested": MODERN });
        let error = json!({ "code": -32022, "message": "Unsupported protocol version", "data": data });
        Reply::json(
            400,
            &json!({ "jsonrpc": "2.0", "id": request.json()["id"], "error": error }),
        )
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    let result = gateway
        .client("/mcp")
        .sessionless("2025-03-26")
        .call("echo", json!({ "message": "hi" }))
        .await;

    assert_eq!(result["content"][0]["text"], "hi");
}

#[tokio::test]
async fn any_other_answer_to_the_question_is_a_legacy_servers() {
    for (name, answer) in [
        (
            "method not found",
            Reply::json as fn(u16, &serde_json::Value) -> Reply,
        ),
        ("plain text", |_, _| Reply::with(400, "text/plain", "Bad Request")),
        ("a page", |_, _| {
            Reply::with(404, "text/html", "<html>not found</html>")
        }),
        ("nothing", |_, _| Reply::new(400)),
        ("an internal error", |_, _| Reply::with(500, "text/plain", "oops")),
        ("a strange success", |_, _| {
            Reply::json(200, &json!({ "ok": true }))
        }),
    ] {
        let unknown = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32601, "message": "?" } });
        let server =
            Server::of(Mood::Legacy("2025-06-18")).on("server/discover", move |_| answer(200, &unknown));
        let server = server.start().await;
        let gateway = Gateway::new().server("docs", &server).start().await;

        let client = gateway.client("/mcp").legacy("2025-06-18").await;
        let result = client.call("echo", json!({ "message": "hi" })).await;

        assert_eq!(result["content"][0]["text"], "hi", "{name}");
    }
}

#[tokio::test]
async fn a_server_that_is_silent_when_asked_is_a_legacy_one() {
    let server = Server::of(Mood::Legacy("2025-06-18"))
        .on("server/discover", |_| Reply::silence())
        .start()
        .await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    let result = gateway
        .client("/mcp")
        .sessionless("2025-06-18")
        .call("echo", json!({ "message": "hi" }))
        .await;

    assert_eq!(result["content"][0]["text"], "hi");
    assert_eq!(server.asked("server/discover").len(), 1);
}

#[tokio::test]
async fn a_refused_question_says_nothing_of_the_era() {
    let mut locked = Server::of(Mood::Modern)
        .always(|_| Reply::new(401))
        .unchecked()
        .start()
        .await;
    let gateway = Gateway::new().server("docs", &locked).start().await;
    let client = gateway.client("/mcp").modern();
    let refused = client.ask("tools/list", json!({})).await;
    assert_eq!(refused.code(), -32603, "{refused:?}");

    locked.stop().await;
    let server = Server::of(Mood::Modern).in_place_of(&locked).start().await;
    let result = client.call("echo", json!({ "message": "hi" })).await;

    assert_eq!(result["content"][0]["text"], "hi");
    assert_eq!(
        locked.asked("initialize").len(),
        0,
        "401 was taken for an era: {:?}",
        locked.requests()
    );
    assert_eq!(server.asked("initialize").len(), 0);
}

#[tokio::test]
async fn a_server_that_changes_its_era_is_asked_again() {
    let mut before = Server::start(Mood::Modern).await;
    let gateway = Gateway::new().server("docs", &before).start().await;
    let client = gateway.client("/mcp").modern();
    client.call("echo", json!({ "message": "before" })).await;

    before.stop().await;
    let _after = Server::of(Mood::Sessionful("2025-06-18"))
        .in_place_of(&before)
        .unchecked()
        .start()
        .await;
    let result = client.call("echo", json!({ "message": "after" })).await;
    assert_eq!(result["content"][0]["text"], "after", "translated from now on");
    let legacy = gateway.client("/mcp").legacy("2025-06-18").await;
    let result = legacy.call("echo", json!({ "message": "after" })).await;

    assert_eq!(result["content"][0]["text"], "after");
}

#[tokio::test]
async fn a_child_that_dies_of_the_question_is_started_again_and_greeted() {
    let upstream = misbehave(&["--era", "legacy", "--exit-on", "server/discover"]);
    let gateway = Gateway::new().upstream("child", upstream).start().await;

    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    assert_eq!(
        client.call("echo", json!({ "message": "hi" })).await["content"][0]["text"],
        "hi"
    );
}

#[tokio::test]
async fn an_old_session_with_a_server_that_became_modern_is_begun_anew_by_its_client() {
    let mut server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let old = gateway.client("/mcp").legacy("2025-06-18").await;
    old.call("echo", json!({ "message": "hi" })).await;
    server.stop().await;
    let words = "params._meta needs a valid io.modelcontextprotocol/protocolVersion";
    let server = Server::of(Mood::Modern)
        .on("tools/call", move |request| {
            let meta = &request.params()["_meta"];
            match meta.get("io.modelcontextprotocol/protocolVersion") {
                Some(_) => Reply::result(request, &json!({ "content": [], "resultType": "complete" })),
                None => Reply::json(400, &json!({
                    "jsonrpc": "2.0", "id": request.json()["id"], "error": { "code": -32602, "message": words },
                })),
            }
        })
        .in_place_of(&server)
        .start()
        .await;

    let told = old.ask("tools/call", json!({ "name": "echo" })).await;
    let modern = gateway.client("/mcp").modern();
    modern.ask("tools/call", json!({ "name": "echo" })).await.result();
    let anew = gateway.client("/mcp").legacy("2025-06-18").await;
    anew.ask("tools/call", json!({ "name": "echo" })).await.result();

    assert_eq!(
        told.status, 404,
        "which is what makes a client begin anew: {told:?}"
    );
    assert!(!server.asked("server/discover").is_empty());
}

/// Serverless ones take ten seconds to wake, and answer then whatever they were asked first.
#[tokio::test]
async fn a_server_of_2026_07_28_that_is_slow_to_wake_is_not_taken_for_an_earlier_one() {
    let awake = Gate::closed();
    let (asleep, wakes) = (awake.clone(), awake.clone());
    let server = Server::of(Mood::Modern)
        .on("server/discover", move |request| {
            let discovered = json!({
                "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} },
                "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
            });
            Reply::after(&asleep, Reply::result(request, &discovered))
        })
        .on("initialize", move |request| {
            wakes.open();
            Reply::error(request, -32022, "unsupported protocol version")
        })
        .unchecked()
        .start()
        .await;
    let gateway = Gateway::new().server("slow", &server).start().await;

    let called = gateway
        .client("/mcp/slow")
        .modern()
        .call("echo", json!({ "message": "a" }))
        .await;

    assert_eq!(called["content"][0]["text"], "a");
    assert_eq!(server.asked("initialize").len(), 1);
}
