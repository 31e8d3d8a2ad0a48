//! `causeway status`: the servers of a gateway, as their operator looks at them.
use harness::{Exit, Gateway, Mood, Running, Server};
use serde_json::{Value, json};

use super::{command, piped, plain, seen};

/// Two that run, one that is down, one that waits for a call, one that is switched off.
async fn five(server: &Server) -> Running {
    let nowhere = Server::nowhere().await;
    Gateway::new()
        .demo()
        .server("Old_one", server)
        .upstream("lost", format!("{{ url: \"{nowhere}\" }}"))
        .upstream(
            "tenants",
            format!("{{ url: \"{nowhere}\", headers: {{ X: \"${{param:tenant}}\" }} }}"),
        )
        .upstream("off", "{ command: nothing, disabled: true }")
        .start()
        .await
}

#[tokio::test]
async fn a_terminal_gets_a_table_and_the_reasons_below() {
    let server = Server::start(Mood::Legacy("2025-06-18")).await;
    let gateway = five(&server).await;

    let (exit, screen) = seen(command(&["status", &gateway.admin_url()]), 80).await;

    assert_eq!(exit, Exit::Code(0), "{screen}");
    let screen = plain(&screen);
    for row in [
        &[
            "UPSTREAM",
            "ALIAS",
            "TRANSPORT",
            "REVISION",
            "TOOLS",
            "LISTED",
            "STATE",
        ][..],
        &["demo", "demo", "stdio", "2026-07-28", "s", "ago", "up"],
        &["Old_one", "old-one", "http", "2025-06-18", "1", "up"],
        &["lost", "lost", "http", "-", "down"],
        &["tenants", "tenants", "http", "-", "not asked yet"],
        &["off", "off", "stdio", "-", "disabled"],
    ] {
        let line = screen.lines().find(|line| line.starts_with(row[0]));
        let line = line.unwrap_or_else(|| panic!("{row:?}: {screen}"));
        assert!(row.iter().all(|word| line.contains(word)), "{row:?}: {screen}");
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(
        screen.contains("lost: upstream `lost` cannot be reached"),
        "{screen}"
    );
}

#[tokio::test]
async fn a_pipe_gets_a_line_for_each_and_json_has_it_all() {
    let server = Server::start(Mood::Legacy("2025-06-18")).await;
    let gateway = five(&server).await;

    let (_, said, _) = piped(command(&["status", &gateway.admin_url()])).await;
    let (_, json, _) = piped(command(&["status", &gateway.admin_url(), "--json"])).await;

    let rows: Vec<Vec<&str>> = said.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 5, "{said}");
    assert_eq!(rows[1][..5], ["Old_one", "old-one", "http", "2025-06-18", "1"]);
    assert!(rows[2][6].starts_with("down: upstream `lost`"), "{said}");
    assert_eq!(rows[4], ["off", "off", "stdio", "-", "-", "-", "disabled"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let states: Vec<&str> = json["upstreams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["up", "up", "down", "unknown", "disabled"]);
    assert_eq!(json["upstreams"][1]["tools"], json!(1));
    assert!(json["upstreams"][1]["tools_age"].is_u64(), "{json}");
}

#[tokio::test]
async fn a_reload_switches_servers_off_and_on() {
    let gateway = Gateway::new().demo().start().await;
    let document = gateway.document();
    let disabled = document.replace("args: [demo]", "args: [demo], disabled: true");
    let state = async || {
        let (_, json, _) = piped(command(&["status", &gateway.admin_url(), "--json"])).await;
        let json: Value = serde_json::from_str(&json).unwrap();
        json["upstreams"][0]["state"].clone()
    };

    gateway.replace("gateway.yaml", &disabled);
    gateway.reloaded("removed demo").await;
    assert_eq!(state().await, "disabled");

    gateway.replace("gateway.yaml", &document);
    gateway.reloaded("added demo").await;
    assert_ne!(state().await, "disabled");
}
