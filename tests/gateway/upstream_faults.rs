//! Servers that fail: the client hears which one and what happened, once, and everyone else goes on.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use harness::{Client, Gate, Gateway, MODERN, Mood, Reply, Request, Running, Server};
use serde_json::{Value, json};

fn good(request: &Request) -> Value {
    let modern = request.revision() == MODERN;
    let mut result = json!({ "content": [{ "type": "text", "text": "fine" }] });
    if modern {
        result["resultType"] = json!("complete");
    }
    json!({ "jsonrpc": "2.0", "id": request.json()["id"], "result": result })
}

fn with_id(mut message: Value, id: Value) -> Value {
    message["id"] = id;
    message
}

async fn in_front_of(server: &Server) -> Running {
    let upstream = format!("{{ url: \"{}\", timeout: 1s }}", server.url());
    Gateway::new()
        .upstream("frail", upstream)
        .config("bounds: { answer: 64KiB }")
        .start()
        .await
}

fn both(gateway: &Running) -> [Client; 2] {
    [
        gateway.client("/mcp").modern(),
        gateway.client("/mcp").sessionless("2025-06-18"),
    ]
}

#[tokio::test]
async fn a_call_that_breaks_is_answered_with_the_name_of_the_server() {
    type Fault = fn(&Request) -> Reply;
    let faults: [(&str, Fault); 25] = [
        ("reset", |_| Reply::reset()),
        ("closed", |_| Reply::garbage("")),
        ("garbage", |_| Reply::garbage("this is not HTTP\r\n\r\n")),
        ("half a head", |_| Reply::garbage("HTTP/1.1 200 OK\r\nContent-")),
        ("less than it said", |_| {
            Reply::garbage("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
        }),
        ("two lengths", |_| {
            Reply::garbage(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            )
        }),
        ("a page", |_| {
            Reply::with(200, "text/html", "<html>sign in</html>")
        }),
        ("no json", |_| Reply::with(200, "application/json", "not json")),
        ("nothing", |_| Reply::with(200, "application/json", "")),
        ("nothing at all", |_| Reply::new(200)),
        ("accepted", |_| Reply::new(202)),
        ("moved", |_| {
            Reply::new(302).header("Location", "http://127.0.0.1:1/")
        }),
        ("an error page", |_| {
            Reply::with(500, "text/html", "<html>oops</html>")
        }),
        ("overload", |_| Reply::new(503)),
        ("too many", |_| Reply::new(429).header("Retry-After", "7")),
        ("another's id", |request| {
            Reply::json(200, &with_id(good(request), json!("another")))
        }),
        ("no id", |request| {
            Reply::json(200, &with_id(good(request), Value::Null))
        }),
        ("no message", |_| Reply::json(200, &json!({ "hello": 1 }))),
        ("neither result nor error", |request| {
            Reply::json(200, &json!({ "jsonrpc": "2.0", "id": request.json()["id"] }))
        }),
        ("too large", |request| {
            let mut message = good(request);
            message["result"]["content"][0]["text"] = json!("x".repeat(100 << 10));
            Reply::json(200, &message)
        }),
        ("a stream without an answer", |_| {
            Reply::stream().raw(": hello\n\n")
        }),
        ("a stream that is cut", |_| {
            Reply::stream().raw("data: {\"jsonrpc\"").cut()
        }),
        ("a stream that is torn", |_| {
            Reply::stream().raw(": hello\n\n").torn()
        }),
        ("a stream of no json", |_| {
            Reply::stream().raw("data: not json\n\n")
        }),
        ("a stream for another", |request| {
            Reply::stream().event(&with_id(good(request), json!("another")))
        }),
    ];
    let mut repeated = Vec::new();
    for (name, fault) in faults {
        let server = Server::of(Mood::Dual).on("tools/call", fault).start().await;
        let gateway = in_front_of(&server).await;

        for client in both(&gateway) {
            let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

            assert_eq!(answer.status, 200, "{name}: {answer:?}");
            assert_eq!(answer.code(), -32603, "{name}: {answer:?}");
            assert_eq!(answer.last()["id"], 1, "{name}: {answer:?}");
            assert!(answer.complaint().contains("frail"), "{name}: {answer:?}");
        }
        gateway
            .record(name, |record| {
                record["method"] == "tools/call" && record["outcome"] == "upstream_failed"
            })
            .await;
        if server.asked("tools/call").len() != 2 {
            repeated.push((name, server.asked("tools/call").len()));
        }
    }
    // A call may have had an effect: it is never sent twice, whatever became of it.
    assert!(
        repeated.is_empty(),
        "two clients called, and the server was called: {repeated:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let nowhere = Server::nowhere().await;
    let gateway = Gateway::new()
        .upstream("frail", format!("{{ url: \"{nowhere}\" }}"))
        .start()
        .await;
    // The gateway starts all the same.

    for client in both(&gateway) {
        let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.code(), -32603, "{answer:?}");
        assert!(answer.complaint().contains("frail"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_server_that_comes_up_later_is_used() {
    let mut first = Server::start(Mood::Dual).await;
    first.stop().await;
    let gateway = Gateway::new().server("frail", &first).start().await;
    let client = gateway.client("/mcp").modern();
    assert_eq!(client.ask("tools/list", json!({})).await.code(), -32603);

    let _server = Server::of(Mood::Dual).in_place_of(&first).start().await;
    let result = client.call("echo", json!({ "message": "hi" })).await;

    assert_eq!(result["content"][0]["text"], "hi");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let server = Server::of(Mood::Dual)
        .on("tools/call", |_| Reply::silence())
        .start()
        .await;
    let gateway = in_front_of(&server).await;

    for client in both(&gateway) {
        let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.code(), -32603, "{answer:?}");
        assert!(answer.complaint().contains("frail"), "{answer:?}");
        server.abandoned(&server.asked("tools/call").pop().unwrap()).await;
    }
    gateway
        .record("a timeout", |record| record["outcome"] == "timeout")
        .await;
    // One that speaks an earlier revision is told in words.
    server.asked_for("notifications/cancelled").await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_given_up() {
    let server = Server::of(Mood::Dual).on("tools/call", |request| {
        let params = json!({ "progressToken": request.params()["_meta"]["progressToken"], "progress": 1 });
        let report = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
        Reply::stream().event(&report).wait(&Gate::closed())
    });
    let server = server.start().await;
    let gateway = in_front_of(&server).await;

    for client in both(&gateway) {
        let call = json!({ "name": "echo", "_meta": { "progressToken": 1 } });
        let answer = client.ask("tools/call", call).await;

        assert_eq!(answer.messages.len(), 2, "{answer:?}");
        assert_eq!(answer.code(), -32603, "{answer:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_hangs_nobody_else() {
    let gate = Gate::closed();
    let held = gate.clone();
    let frail = Server::of(Mood::Dual)
        .always(move |_| Reply::after(&held, Reply::new(503)))
        .unchecked()
        .start()
        .await;
    let sound = Server::start(Mood::Dual).await;
    let gateway = Gateway::new()
        .server("frail", &frail)
        .server("sound", &sound)
        .start_early()
        .await;

    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(
            gateway
                .client("/mcp/frail")
                .modern()
                .send("tools/call", json!({ "name": "echo" }))
                .await,
        );
    }
    frail.request("anything", |_| true).await;
    let result = gateway
        .client("/mcp/sound")
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;

    assert_eq!(result["content"][0]["text"], "hi");
}

#[tokio::test]
async fn a_401_of_a_server_is_not_the_clients() {
    for status in [401, 403] {
        let server = Server::of(Mood::Dual).on("tools/call", move |_| {
            Reply::new(status).header("WWW-Authenticate", "Bearer realm=\"theirs\"")
        });
        let server = server.start().await;
        let gateway = in_front_of(&server).await;

        for client in both(&gateway) {
            let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.code(), -32603, "{answer:?}");
            assert!(answer.complaint().contains("frail"), "{answer:?}");
            assert_eq!(answer.headers.get("WWW-Authenticate"), None, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_servers_cookies_and_headers_stay_here() {
    let server = Server::of(Mood::Dual).on("tools/call", |request| {
        Reply::json(200, &good(request))
            .header("Set-Cookie", "a=b")
            .header("Server", "theirs")
            .header("X-Internal", "1")
    });
    let server = server.start().await;
    let gateway = in_front_of(&server).await;

    let answer = gateway
        .client("/mcp")
        .modern()
        .ask("tools/call", json!({ "name": "echo" }))
        .await;

    for name in ["Set-Cookie", "X-Internal"] {
        assert_eq!(answer.headers.get(name), None, "{answer:?}");
    }
    assert_ne!(answer.headers.get("Server"), Some("theirs"), "{answer:?}");
}

#[tokio::test]
async fn a_list_is_asked_for_again_on_a_fresh_connection() {
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&broken);
    let server = Server::of(Mood::Dual).on("tools/list", move |request| {
        match breaks.swap(false, Ordering::Relaxed) {
            true => Reply::reset(),
            false => {
                let result =
                    json!({ "tools": [], "resultType": "complete", "ttlMs": 0, "cacheScope": "private" });
                Reply::result(request, &result)
            }
        }
    });
    let server = server.start().await;
    let gateway = in_front_of(&server).await;
    server.forget();
    broken.store(true, Ordering::Relaxed);

    let answer = gateway.client("/mcp").modern().ask("tools/list", json!({})).await;

    assert_eq!(answer.result()["tools"], json!([]));
    assert_eq!(server.asked("tools/list").len(), 2);
}

#[tokio::test]
async fn the_address_of_a_server_is_not_its_clients_business() {
    let server = Server::of(Mood::Dual)
        .on("tools/call", |_| Reply::reset())
        .start()
        .await;
    let nowhere = Server::nowhere().await;
    let gateway = Gateway::new()
        .server("frail", &server)
        .upstream("lost", format!("{{ url: \"{nowhere}\" }}"));
    let gateway = gateway.start().await;

    for (name, address) in [
        ("frail", server.address()),
        ("lost", nowhere.trim_end_matches("/mcp")),
    ] {
        let client = gateway.client(&format!("/mcp/{name}")).modern();
        let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

        let port = address.rsplit(':').next().unwrap();
        assert!(answer.complaint().contains(name), "{answer:?}");
        assert!(!answer.last().to_string().contains(port), "{}", answer.last());
    }
}

#[tokio::test]
async fn a_second_final_answer_is_dropped() {
    let server = Server::of(Mood::Dual).on("tools/call", |request| {
        let params = json!({ "progressToken": 1, "progress": 1 });
        let report = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
        let mut other = good(request);
        other["result"]["content"][0]["text"] = json!("second");
        Reply::stream().event(&report).event(&good(request)).event(&other)
    });
    let server = server.start().await;
    let gateway = in_front_of(&server).await;

    for client in both(&gateway) {
        let answer = client
            .ask(
                "tools/call",
                json!({ "name": "echo", "_meta": { "progressToken": 1 } }),
            )
            .await;

        assert_eq!(answer.result()["content"][0]["text"], "fine", "{answer:?}");
    }
}

#[tokio::test]
async fn a_result_of_another_shape_passes_and_is_named_on_record() {
    let server = Server::of(Mood::Dual).on("tools/call", |request| {
        Reply::result(request, &json!({ "content": "no list" }))
    });
    let server = server.start().await;
    let gateway = in_front_of(&server).await;

    let client = gateway.client("/mcp").sessionless("2025-06-18").unchecked();
    let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

    assert_eq!(answer.result(), json!({ "content": "no list" }));
    gateway
        .record("a malformed result", |record| record["outcome"] == "malformed")
        .await;
}

#[tokio::test]
async fn an_unknown_method_has_the_status_of_its_era() {
    let modern = Server::of(Mood::Modern).on("vendor/none", |request| {
        let error = json!({ "code": -32601, "message": "Method not found" });
        Reply::json(
            404,
            &json!({ "jsonrpc": "2.0", "id": request.json()["id"], "error": error }),
        )
    });
    let (modern, legacy) = (
        modern.start().await,
        Server::start(Mood::Legacy("2025-06-18")).await,
    );
    let gateway = Gateway::new()
        .server("modern", &modern)
        .server("legacy", &legacy)
        .demo()
        .start()
        .await;

    for (path, status) in [("/mcp/modern", 404), ("/mcp/demo", 404)] {
        let answer = gateway.client(path).modern().ask("vendor/none", json!({})).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, -32601),
            "{path}: {answer:?}"
        );
    }
    for path in ["/mcp/legacy", "/mcp/demo"] {
        let answer = gateway
            .client(path)
            .sessionless("2025-06-18")
            .ask("vendor/none", json!({}))
            .await;
        // 404 would tell a legacy client that its session is gone.
        assert_eq!(
            (answer.status, answer.code()),
            (200, -32601),
            "{path}: {answer:?}"
        );
    }
}

/// A server that reports a step every so often, this many times, before it is done.
async fn busy(steps: usize) -> Server {
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        let token = request.params()["_meta"]["progressToken"].clone();
        let report = |step: usize| {
            let params = json!({ "progressToken": token, "progress": step });
            json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })
        };
        let steps = (1..=steps).fold(Reply::stream(), |reply, step| {
            reply.event(&report(step)).work(Duration::from_millis(300))
        });
        steps.event(&good(request))
    });
    server.start().await
}

#[tokio::test]
async fn progress_extends_a_call() {
    let server = busy(6).await;
    // Six steps take longer than a call may be silent.
    let gateway = in_front_of(&server).await;

    for client in both(&gateway) {
        let answer = client
            .ask(
                "tools/call",
                json!({ "name": "echo", "_meta": { "progressToken": 1 } }),
            )
            .await;

        assert_eq!(answer.result()["content"][0]["text"], "fine", "{answer:?}");
    }
}

#[tokio::test]
async fn progress_does_not_extend_a_call_for_ever() {
    let server = busy(100).await;
    let upstream = format!("{{ url: \"{}\", timeout: 1s, max_timeout: 2s }}", server.url());
    let gateway = Gateway::new().upstream("frail", upstream).start().await;

    for client in both(&gateway) {
        let answer = client
            .ask(
                "tools/call",
                json!({ "name": "echo", "_meta": { "progressToken": 1 } }),
            )
            .await;

        assert_eq!(answer.code(), -32603, "{answer:?}");
        assert!(answer.messages.len() < 20, "{}", answer.messages.len());
    }
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_told_of_in_its_words() {
    for (status, words) in [(429, "asks to wait 7 s"), (503, "asks to wait 7 s")] {
        let server = Server::of(Mood::Dual).on("tools/call", move |_| {
            Reply::new(status).header("Retry-After", "7")
        });
        let server = server.start().await;
        let gateway = in_front_of(&server).await;

        for client in both(&gateway) {
            let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

            // Its own rates are not the gateway's: the status is that of an answer.
            assert_eq!((answer.status, answer.code()), (200, -32603), "{answer:?}");
            assert!(answer.complaint().contains(words), "{answer:?}");
            let status = format!("status {status}");
            assert!(answer.complaint().contains(&status), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_storm_of_500_is_not_fed() {
    let server = Server::of(Mood::Dual).on("tools/call", |_| Reply::new(500));
    let server = server.start().await;
    let gateway = in_front_of(&server).await;
    let client = gateway.client("/mcp").modern();

    let mut said = Vec::new();
    for _ in 0..50 {
        said.push(
            client
                .ask("tools/call", json!({ "name": "echo" }))
                .await
                .complaint(),
        );
    }

    let asked = server.asked("tools/call").len();
    assert!(asked < 15, "{asked} of 50 calls reached a server in trouble");
    assert!(said.last().unwrap().contains("tried again in"), "{said:?}");
}
