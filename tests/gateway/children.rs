//! Servers that the gateway starts: what they are given, what they may do wrong, and that none of them is ever left.
use std::collections::BTreeSet;

use harness::{Exit, Gateway, Running, is_alive, misbehave, until};
use serde_json::json;

/// The processes that have written their id into a file.
fn pids(file: &str) -> BTreeSet<u32> {
    std::fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect()
}

fn living(file: &str) -> BTreeSet<u32> {
    pids(file).into_iter().filter(|pid| is_alive(*pid)).collect()
}

async fn echo(gateway: &Running, path: &str) {
    let result = gateway
        .client(path)
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;
    assert_eq!(result["content"][0]["text"], "hi");
}

#[tokio::test]
async fn a_child_that_dies_in_a_call_is_named_and_started_again() {
    for era in ["modern", "legacy"] {
        let upstream = misbehave(&["--era", era, "--exit-on", "vendor/die"]);
        let gateway = Gateway::new().upstream("frail", upstream).start().await;
        let client = gateway.client("/mcp");
        let client = if era == "modern" {
            client.modern()
        } else {
            client.sessionless("2025-06-18")
        };

        let answer = client.ask("vendor/die", json!({})).await;
        let result = client.call("echo", json!({ "message": "again" })).await;

        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.code(), -32603, "{answer:?}");
        assert!(answer.complaint().contains("frail"), "{answer:?}");
        assert_eq!(result["content"][0]["text"], "again");
    }
}

#[tokio::test]
async fn a_child_that_never_lives_is_named() {
    let gateway = Gateway::new()
        .upstream("dead", misbehave(&["--exit-at-once"]))
        .upstream("missing", "{ command: /nowhere/at/all }")
        .upstream("sound", misbehave(&["--era", "dual"]))
        .start()
        .await;

    for name in ["dead", "missing"] {
        for client in [
            gateway.client(&format!("/mcp/{name}")).modern(),
            gateway.client(&format!("/mcp/{name}")).sessionless("2025-06-18"),
        ] {
            let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

            assert_eq!(answer.code(), -32603, "{answer:?}");
            assert!(answer.complaint().contains(name), "{answer:?}");
        }
    }
    echo(&gateway, "/mcp/sound").await;
}

#[tokio::test]
async fn garbage_and_foreign_answers_are_skipped() {
    for fault in [
        &["--garbage"][..],
        &["--strange-on", "tools/call"],
        &["--twice-on", "tools/call"],
        &["--shout"],
    ] {
        let arguments = [&["--era", "dual"], fault].concat();
        let gateway = Gateway::new()
            .upstream("odd", misbehave(&arguments))
            .start()
            .await;

        for number in 0..5 {
            let text = format!("number {number}");
            for client in [
                gateway.client("/mcp").modern(),
                gateway.client("/mcp").sessionless("2025-06-18"),
            ] {
                let result = client.call("echo", json!({ "message": text })).await;

                assert_eq!(result["content"][0]["text"], text, "{fault:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_hangs_holds_up_no_other() {
    let upstream = misbehave(&["--era", "modern", "--hang-on", "vendor/hang"]);
    let gateway = Gateway::new().upstream("child", upstream).start().await;
    let client = gateway.client("/mcp").modern();

    let _hanging = client.send("vendor/hang", json!({})).await;

    for _ in 0..5 {
        echo(&gateway, "/mcp").await;
    }
}

#[tokio::test]
async fn clients_with_the_same_id_get_their_own_answers() {
    let gateway = Gateway::new().demo().start().await;

    let mut sent = Vec::new();
    for number in 0..20 {
        // Each client counts from 1.
        let client = gateway.client("/mcp").modern();
        let call = json!({ "name": "echo", "arguments": { "text": format!("number {number}") } });
        sent.push((number, client.send("tools/call", call).await));
    }

    for (number, sent) in sent {
        let answer = sent.answer().await;
        assert_eq!(answer.last()["id"], 1);
        assert_eq!(answer.result()["content"][0]["text"], format!("number {number}"));
    }
}

#[tokio::test]
async fn a_line_over_the_bound_fails_its_call_only() {
    let upstream = misbehave(&["--era", "modern", "--long-on", "tools/call", "100000"]);
    let gateway = Gateway::new()
        .upstream("long", upstream)
        .config("bounds: { answer: 64KiB }")
        .start()
        .await;
    let client = gateway.client("/mcp").modern();

    let answer = client.ask("tools/call", json!({ "name": "echo" })).await;
    let listed = client.ask("tools/list", json!({})).await;

    assert_eq!(answer.code(), -32603, "{answer:?}");
    for word in ["long", "bounds.answer"] {
        assert!(answer.complaint().contains(word), "{answer:?}");
    }
    assert!(listed.result()["tools"].is_array(), "{listed:?}");
}

#[tokio::test]
async fn a_child_sees_its_own_variables_and_no_others() {
    let gateway = Gateway::new()
        .environment("GATEWAY_SECRET", "secret")
        .environment("GATEWAY_GIVEN", "given");
    let file = gateway.file("child.env", "# a comment\nexport FROM_FILE=\"of the file\"\n");
    let child = misbehave(&["--era", "modern"]);
    let child = child.trim_end_matches('}');
    let upstream =
        format!("{child}, envFile: \"{file}\", env: {{ FROM_ENV: \"${{env:GATEWAY_GIVEN}}\" }} }}");
    let gateway = gateway.upstream("child", upstream).start().await;
    let client = gateway.client("/mcp").modern();

    for (name, value) in [
        ("FROM_FILE", "of the file"),
        ("FROM_ENV", "given"),
        ("GATEWAY_SECRET", ""),
        ("GATEWAY_GIVEN", ""),
    ] {
        let result = client.call("environment", json!({ "name": name })).await;
        assert_eq!(result["content"][0]["text"], value, "{name}");
    }
    let path = client.call("environment", json!({ "name": "PATH" })).await;
    assert_ne!(path["content"][0]["text"], "", "a child needs its PATH");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_child_inherits_no_descriptors() {
    let gateway = Gateway::new()
        .demo()
        .upstream("child", misbehave(&["--era", "modern"]))
        .start()
        .await;
    // There are sockets, files and another child's pipes that could be inherited.
    gateway
        .client("/mcp/demo")
        .modern()
        .call("echo", json!({ "text": "hi" }))
        .await;

    let result = gateway
        .client("/mcp/child")
        .modern()
        .call("descriptors", json!({}))
        .await;

    // What whoever runs the tests has left open for every process below is not the gateway's.
    let passed_down = left_open();
    let opened = result["content"][0]["text"].as_str().unwrap().split_whitespace();
    let opened: Vec<_> = opened.filter(|target| !passed_down.contains(*target)).collect();
    assert!(opened.is_empty(), "{opened:?}");
}

/// What this process's descriptors lead to, those that its children inherit.
#[cfg(target_os = "linux")]
fn left_open() -> BTreeSet<String> {
    const CLOSED_IN_CHILDREN: u32 = 0o2_000_000;
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let number = entry.file_name().into_string().unwrap();
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let flags = info
            .lines()
            .find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        if let (Some(flags), Ok(target)) = (flags, std::fs::read_link(entry.path()))
            && flags & CLOSED_IN_CHILDREN == 0
        {
            found.insert(target.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn modern_clients_share_a_child_and_legacy_sessions_have_their_own() {
    let gateway = Gateway::new().demo().start().await;
    let pid =
        async |client: &harness::Client| client.call("pid", json!({})).await["content"][0]["text"].clone();

    let modern = [gateway.client("/mcp").modern(), gateway.client("/mcp").modern()];
    let legacy = [
        gateway.client("/mcp").legacy("2025-06-18").await,
        gateway.client("/mcp").legacy("2025-06-18").await,
    ];

    assert_eq!(pid(&modern[0]).await, pid(&modern[1]).await);
    assert_ne!(pid(&legacy[0]).await, pid(&legacy[1]).await);
    assert_eq!(pid(&legacy[0]).await, pid(&legacy[0]).await);
}

#[tokio::test]
async fn a_deleted_session_ends_its_child() {
    let gateway = Gateway::new();
    let file = gateway.file("pids", "");
    let gateway = gateway
        .upstream("child", misbehave(&["--era", "legacy", "--pids", &file]))
        .start()
        .await;
    let before = living(&file);
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    client.call("echo", json!({ "message": "hi" })).await;
    let own: BTreeSet<_> = living(&file).difference(&before).copied().collect();
    assert_eq!(
        own.len(),
        1,
        "not a process of its own: {own:?} beside {before:?}"
    );

    client.fetch("DELETE").await;

    until("the end of the session's child", || {
        own.is_disjoint(&living(&file)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nothing_outlives_the_gateway_not_even_when_it_is_killed() {
    let stubborn = ["--era", "modern", "--ignore-term", "--ignore-end", "--grandchild"];
    for kill in [false, true] {
        let gateway = Gateway::new();
        let file = gateway.file("pids", "");
        let upstream = misbehave(&[&stubborn[..], &["--pids", &file]].concat());
        let gateway = gateway
            .upstream("stubborn", upstream)
            .config("grace: 1s")
            .start()
            .await;
        echo(&gateway, "/mcp").await;
        let all = until("a grandchild", || {
            (living(&file).len() == 2).then(|| living(&file))
        })
        .await;

        let exit = if kill {
            gateway.kill().await
        } else {
            gateway.stop().await
        };

        assert_eq!(exit, if kill { Exit::Signal(9) } else { Exit::Code(0) });
        until("the end of all of them", || {
            living(&file).is_disjoint(&all).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_silent_child_holds_up_no_other_server() {
    let gateway = Gateway::new()
        .upstream(
            "silent",
            misbehave(&[
                "--era",
                "modern",
                "--hang-on",
                "server/discover",
                "--hang-on",
                "initialize",
            ]),
        )
        .upstream("sound", misbehave(&["--era", "modern"]))
        .start_early()
        .await;

    let _waiting = gateway
        .client("/mcp/silent")
        .modern()
        .send("tools/call", json!({ "name": "echo" }))
        .await;

    echo(&gateway, "/mcp/sound").await;
}

#[tokio::test]
async fn a_child_that_floods_holds_up_nobody_and_fills_no_memory() {
    let flooding = misbehave(&["--era", "modern", "--flood-on", "vendor/flood"]);
    let gateway = Gateway::new()
        .upstream("flooding", flooding)
        .upstream("sound", misbehave(&["--era", "modern"]))
        .start()
        .await;

    let flooded = gateway
        .client("/mcp/flooding")
        .modern()
        .send("vendor/flood", json!({}))
        .await;
    // It reads the first of it, and then nothing more: what follows has no room and is dropped, with a count.
    let mut exchange = flooded.begun().await;
    exchange.message().await.expect("the first of the flood");
    gateway
        .counted("causeway_upstream_dropped_messages_total{upstream=\"flooding\"}")
        .await;

    echo(&gateway, "/mcp/sound").await;
    let megabytes = gateway.program().resident() >> 20;
    assert!(megabytes < 256, "{megabytes} MiB");
}

#[tokio::test]
async fn a_child_that_stops_reading_holds_up_no_other_and_its_calls_end() {
    let deaf = misbehave(&["--era", "modern", "--deaf-after", "tools/list"]);
    let deaf = format!("{}, timeout: 1s }}", deaf.trim_end().trim_end_matches('}'));
    let gateway = Gateway::new()
        .upstream("deaf", deaf)
        .upstream("sound", misbehave(&["--era", "modern"]))
        .start()
        .await;
    // More than a pipe holds, so that whoever writes has to wait.
    let long = json!({ "name": "echo", "arguments": { "message": "x".repeat(400_000) } });

    let mut calls = Vec::new();
    for _ in 0..5 {
        let client = gateway.client("/mcp/deaf").modern();
        calls.push(client.send("tools/call", long.clone()).await);
    }
    echo(&gateway, "/mcp/sound").await;

    for call in calls {
        assert!(call.answer().await.complaint().contains("deaf"));
    }
}
