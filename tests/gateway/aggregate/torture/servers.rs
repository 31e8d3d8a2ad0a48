//! Servers that hang, die, come back as another, or go for good, while others read on.
use std::time::{Duration, Instant};

use harness::{Gate, Gateway, Mood, Reply, Server};
use serde_json::json;

use super::super::text;
use super::{Shop, all_tools, listening, listing, name, numbered, tools};

async fn hanging() -> Server {
    let never = Gate::closed();
    Server::of(Mood::Modern)
        .always(move |_| Reply::stream().wait(&never))
        .unchecked()
        .start()
        .await
}

/// While it is waited for the first time, and ever after: nobody's list or call pays for it again.
#[tokio::test]
async fn one_that_hangs_is_waited_for_once_and_calls_to_it_fail_in_words() {
    let hanging = hanging().await;
    let up = Shop::of("up", tools(["find"]), usize::MAX).await;
    let gateway = Gateway::new()
        .upstream(
            "hanging",
            format!("{{ url: \"{}\", timeout: 1s }}", hanging.url()),
        )
        .server("up", &up.server)
        .start()
        .await;
    let client = gateway.client("/mcp").modern();
    assert_eq!(all_tools(&client).await.len(), 1);

    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(all_tools(&client).await.len(), 1);
        assert_eq!(text(&client.call("up__find", json!({})).await), "up: find");
    }
    let took = begun.elapsed();
    let called = client.ask("tools/call", json!({ "name": "hanging__x" })).await;

    // Ten times 3 s if each had waited.
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert_eq!((called.status, called.code()), (200, -32603), "{called:?}");
    assert!(called.complaint().contains("hanging"), "{called:?}");
}

#[tokio::test]
async fn one_that_dies_and_comes_back_as_another_is_told_and_known_anew() {
    let stays = Shop::of("stays", tools(["find"]), usize::MAX).await;
    let mut mortal = Shop::of("first life", tools(["old", "kept"]), usize::MAX).await;
    let gateway = Gateway::new()
        .server("stays", &stays.server)
        .server("mortal", &mortal.server)
        .start()
        .await;
    let client = gateway.client("/mcp").modern();
    let mut stream = listening(&client).await;
    assert_eq!(all_tools(&client).await.len(), 3);

    mortal.server.stop().await;
    // What it had stays listed, and a call says who is missing.
    let dead = client.ask("tools/call", json!({ "name": "mortal__kept" })).await;
    assert_eq!((dead.status, dead.code()), (200, -32603), "{dead:?}");
    assert!(dead.complaint().contains("mortal"), "{dead:?}");
    assert_eq!(all_tools(&client).await.len(), 3);
    let mortal = Shop::in_place_of(&mortal.server, "second life", tools(["new", "kept"])).await;
    let told = stream.message().await.expect("the stream goes on");

    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
    let listed = all_tools(&client).await;
    let names: Vec<&str> = listed.iter().map(name).collect();
    assert_eq!(names, ["stays__find", "mortal__new", "mortal__kept"]);
    assert_eq!(
        text(&client.call("mortal__new", json!({})).await),
        "second life: new"
    );
    let old = client.ask("tools/call", json!({ "name": "mortal__old" })).await;
    assert_eq!((old.status, old.code()), (200, -32602), "{old:?}");
    assert!(mortal.server.asked("tools/call").len() == 1);
}

/// What is behind it in the list is not lost for who had read up to there.
#[tokio::test]
async fn a_cursor_that_points_to_a_server_that_has_gone_does_not_end_the_list_early() {
    let (goes, stays) = (listing(numbered(0..1500)).await, listing(numbered(0..3)).await);
    let third = listing(tools(["find"])).await;
    let gateway = Gateway::new()
        .server("goes", &goes)
        .server("stays", &stays)
        .server("third", &third)
        .start()
        .await;
    let client = gateway.client("/mcp").modern();
    let first = client.ask("tools/list", json!({})).await.result();
    assert_eq!(first["tools"].as_array().unwrap().len(), 1000);

    let line = format!("  goes: {{ url: \"{}\" }}\n", goes.url());
    let document = gateway.document();
    assert!(document.contains(&line), "{document}");
    gateway.replace("gateway.yaml", &document.replace(&line, ""));
    gateway.reloaded("goes").await;
    let params = json!({ "cursor": first["nextCursor"] });
    let answer = client.ask("tools/list", params).await;

    // What is behind it cannot be found without it. It must not look as if that were all.
    assert_eq!((answer.status, answer.code()), (200, -32602), "{answer:?}");
    assert!(answer.complaint().contains("from the beginning"), "{answer:?}");
    assert_eq!(all_tools(&client).await.len(), 4);
}
