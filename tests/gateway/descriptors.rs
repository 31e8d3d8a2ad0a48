//! Descriptors: as many as may be had, and no silence when there are none left.
use std::net::TcpStream;

use harness::{Gateway, Mood, Running, Server, misbehave, within};
use serde_json::json;

/// The limit of a process: soft and hard.
fn limit(pid: u32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let mut words = line.split_whitespace().skip(3).map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

#[tokio::test]
async fn the_gateway_has_what_it_may_and_children_what_they_had() {
    let gateway = Gateway::new();
    let pids = gateway.file("pids", "");
    let child = misbehave(&["--era", "modern", "--pids", &pids]);
    let gateway = gateway
        .upstream("child", child)
        .config("bounds: { streams: 1000 }");
    let gateway = gateway.descriptors(200, 900).start().await;
    gateway
        .client("/mcp")
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;

    assert_eq!(limit(gateway.program().pid()), ("900".into(), "900".into()));
    let child = std::fs::read_to_string(pids).unwrap().trim().parse().unwrap();
    assert_eq!(limit(child), ("200".into(), "900".into()));
    let says =
        |line: &str| (line.contains("`bounds.streams: 1000`") && line.contains("limit of 900")).then_some(());
    gateway.program().complaint("that streams do not fit", says).await;
}

/// The status of a call on a connection of its own.
async fn status_of_a_call(gateway: &Running) -> u16 {
    let client = gateway.client("/mcp").modern();
    client
        .ask(
            "tools/call",
            json!({ "name": "echo", "arguments": { "message": "hi" } }),
        )
        .await
        .status
}

#[tokio::test]
async fn when_descriptors_run_short_work_is_shed_and_health_answers() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .descriptors(160, 160)
        .start()
        .await;
    let in_use = || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", gateway.program().pid()));
        open.unwrap().count()
    };
    assert_eq!(status_of_a_call(&gateway).await, 200);

    let mut idle = Vec::new();
    within("most descriptors to be in use", async {
        while in_use() < 144 {
            idle.push(TcpStream::connect(gateway.address()).unwrap());
            // It is accepted when somebody after it has been answered.
            assert_eq!(gateway.client("/health").fetch("GET").await.status, 200);
        }
    })
    .await;
    within("calls to be shed", async {
        while status_of_a_call(&gateway).await != 503 {}
    })
    .await;
    assert_eq!(gateway.client("/health").fetch("GET").await.status, 200);
    assert_eq!(gateway.admin("/healthz").await.status, 200);

    drop(idle);
    within("calls to be served again", async {
        while status_of_a_call(&gateway).await != 200 {}
    })
    .await;
}
