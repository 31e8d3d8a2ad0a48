//! Lists of many servers: page by page, with whom is up, and at once when they were read before.
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use harness::{Gate, Gateway, Mood, Reply, Server};
use serde_json::{Value, json};

use super::values;

fn tools(count: usize) -> Value {
    let tool = |number| json!({ "name": format!("t{number}"), "inputSchema": { "type": "object" } });
    let tools: Vec<Value> = (0..count).map(tool).collect();
    json!({ "tools": tools, "resultType": "complete", "ttlMs": 60_000, "cacheScope": "public" })
}

async fn with_tools(count: usize) -> Server {
    let listed = tools(count);
    Server::of(Mood::Modern)
        .on("tools/list", move |request| Reply::result(request, &listed))
        .start()
        .await
}

#[tokio::test]
async fn a_long_list_comes_in_pages_and_each_tool_once() {
    let (one, other) = (with_tools(1500).await, with_tools(700).await);
    let gateway = Gateway::new().server("a", &one).server("b", &other).start().await;

    let mut read = None;
    for client in [
        gateway.client("/mcp").modern(),
        gateway.client("/mcp").legacy("2025-06-18").await,
    ] {
        let mut names = Vec::new();
        let mut params = json!({});
        loop {
            let page = client.ask("tools/list", params.clone()).await.result();
            names.extend(values(&page, "tools", "name"));
            match page.get("nextCursor") {
                Some(next) => params = json!({ "cursor": next }),
                None => break,
            }
        }
        let read = read.get_or_insert_with(|| one.asked("tools/list").len());
        assert_eq!(
            one.asked("tools/list").len(),
            *read,
            "it is not read for each client"
        );
        assert_eq!(names.len(), 2200);
        assert_eq!(
            (&*names[0], &*names[1500], &*names[2199]),
            ("a__t0", "b__t0", "b__t699")
        );
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_or_endpoint_is_refused() {
    let (one, other) = (with_tools(1500).await, with_tools(1).await);
    let gateway = Gateway::new().server("a", &one).server("b", &other).start().await;
    let client = gateway.client("/mcp").modern();
    let next = client.ask("tools/list", json!({})).await.result()["nextCursor"].clone();

    for (path, method, cursor) in [
        ("/mcp", "prompts/list", next.clone()),
        ("/mcp/a,b", "tools/list", next.clone()),
        ("/mcp", "tools/list", json!("c1.nothing")),
        ("/mcp", "tools/list", json!("")),
    ] {
        let client = gateway.client(path).modern();
        let answer = client.ask(method, json!({ "cursor": cursor })).await;
        assert_eq!(
            (answer.status, answer.code()),
            (200, -32602),
            "{path} {method}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn who_is_down_is_named_and_the_others_are_listed() {
    let up = with_tools(1).await;
    let gateway = Gateway::new()
        .server("up", &up)
        .upstream("down", format!("{{ url: \"{}\" }}", Server::nowhere().await))
        .start()
        .await;

    let client = gateway.client("/mcp").modern();
    let listed = client.ask("tools/list", json!({})).await.result();
    let called = client.ask("tools/call", json!({ "name": "down__t0" })).await;

    assert_eq!(values(&listed, "tools", "name"), ["up__t0"]);
    assert_eq!(listed["_meta"]["dev.causeway/degraded"], json!(["down"]));
    assert_eq!(listed["ttlMs"], 0);
    assert_eq!(called.code(), -32603, "{called:?}");
    assert!(called.complaint().contains("down"), "{called:?}");
}

#[tokio::test]
async fn a_list_fails_only_when_all_are_down() {
    let nowhere = Server::nowhere().await;
    let gateway = Gateway::new()
        .upstream("a", format!("{{ url: \"{nowhere}\" }}"))
        .upstream("b", format!("{{ url: \"{nowhere}\" }}"))
        .start()
        .await;

    let answer = gateway.client("/mcp").modern().ask("tools/list", json!({})).await;

    assert_eq!((answer.status, answer.code()), (200, -32603), "{answer:?}");
    assert!(answer.complaint().contains("a, b"), "{answer:?}");
}

/// The first contact waits for a server that hangs, 3 s at most.
#[tokio::test]
async fn one_that_hangs_keeps_nobody_from_the_others() {
    let never = Gate::closed();
    let hanging = Server::of(Mood::Modern)
        .always(move |_| Reply::stream().wait(&never))
        .unchecked()
        .start()
        .await;
    let up = with_tools(1).await;
    let gateway = Gateway::new()
        .server("hanging", &hanging)
        .server("up", &up)
        .start()
        .await;
    let client = gateway.client("/mcp").modern();

    let listed = client.ask("tools/list", json!({})).await.result();

    assert_eq!(values(&listed, "tools", "name"), ["up__t0"]);
    assert_eq!(listed["_meta"]["dev.causeway/degraded"], json!(["hanging"]));
}

#[tokio::test]
async fn a_single_server_that_sleeps_keeps_nobody_waiting_where_its_catalog_is_asked() {
    for mood in [Mood::Modern, Mood::Sessionful("2025-06-18")] {
        let (never, sleeps) = (Gate::closed(), Arc::new(AtomicBool::new(false)));
        let (listed, asleep) = (tools(2), Arc::clone(&sleeps));
        let server = Server::of(mood)
            .on("tools/list", move |request| match asleep.load(Ordering::SeqCst) {
                true => Reply::stream().wait(&never),
                false => Reply::result(request, &listed),
            })
            .unchecked()
            .start()
            .await;
        let gateway = Gateway::new()
            .server("one", &server)
            .config("routes: [{ path: /mcp, lists: catalog }]")
            .start()
            .await;
        gateway
            .client("/mcp")
            .modern()
            .ask("tools/list", json!({}))
            .await
            .result();

        sleeps.store(true, Ordering::SeqCst);

        for client in [
            gateway.client("/mcp").modern(),
            gateway.client("/mcp").legacy("2025-11-25").await,
        ] {
            let listed = client.ask("tools/list", json!({})).await.result();
            assert_eq!(values(&listed, "tools", "name"), ["t0", "t1"]);
        }
    }
}
