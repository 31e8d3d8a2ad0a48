//! Whether it is well: told to everyone on every listener, in detail to the operator only.
use std::process::Command;

use harness::{Exit, Gateway, Mood, Program, Server};

#[tokio::test]
async fn health_is_told_to_whoever_asks() {
    let gateway = Gateway::new().demo().start().await;

    // As a kubelet asks: by the pod's address, from anywhere.
    let asker = gateway
        .client("/health")
        .with("Host", "10.1.2.3:7080")
        .with("Origin", "https://evil.example");
    let health = asker.clone().fetch("GET").await;
    let ready = asker.at("/ready").fetch("GET").await;

    assert_eq!(health.status, 200, "{health:?}");
    let said = &health.messages[0];
    assert_eq!(said["status"], "healthy", "{said}");
    assert!(said["uptime"].is_number(), "{said}");
    assert_eq!(
        said.as_object().unwrap().len(),
        2,
        "it tells more than that: {said}"
    );
    assert_eq!(ready.status, 200, "{ready:?}");
    assert_eq!(ready.messages[0].to_string(), r#"{"ready":true}"#);
}

#[tokio::test]
async fn the_operator_is_told_more() {
    let nowhere = Server::nowhere().await;
    let gateway = Gateway::new()
        .demo()
        .upstream("lost", format!("{{ url: \"{nowhere}\" }}"))
        .start()
        .await;

    let health = gateway.admin("/healthz").await;
    let ready = gateway.admin("/readyz").await;
    let elsewhere = gateway.admin("/mcp").await;

    assert_eq!(health.status, 200, "{health:?}");
    for name in ["demo", "lost"] {
        assert!(ready.text().contains(name), "{name} is not in {}", ready.text());
    }
    assert_eq!(elsewhere.status, 404, "{elsewhere:?}");
}

#[tokio::test]
async fn the_operators_pages_are_not_for_everyone() {
    let gateway = Gateway::new().demo().start().await;

    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = gateway.client(path).fetch("GET").await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_reads_no_operators_page() {
    let gateway = Gateway::new().demo().start().await;
    let admin = gateway.admin_url();
    let ask = |path: &str, name: &'static str, value: &'static str| {
        let client = harness::Client::new(admin.trim_start_matches("http://"), path);
        async move { client.with(name, value).fetch("GET").await.status }
    };

    for (name, value) in [("Host", "evil.example"), ("Origin", "http://evil.example")] {
        for path in ["/status", "/metrics"] {
            assert_eq!(ask(path, name, value).await, 403, "{path} for {name}: {value}");
        }
        assert_eq!(
            ask("/healthz", name, value).await,
            200,
            "health tells nothing and is for all"
        );
    }
    assert_eq!(ask("/status", "Host", "localhost:7090").await, 200);
}

#[tokio::test]
async fn health_is_a_command_too() {
    let gateway = Gateway::new().demo().start().await;
    let url = gateway.url("/health");
    let nowhere = Server::nowhere().await;

    for (url, code) in [(url.as_str(), 0), (nowhere.trim_end_matches("/mcp"), 1)] {
        let mut command = Command::new(harness::causeway());
        command.args(["health", url]);
        let asked = Program::start("causeway health", command);

        assert_eq!(asked.ended().await, Exit::Code(code), "{url}: {}", asked.stderr());
    }
}

#[tokio::test]
async fn one_lost_server_does_not_make_it_unready() {
    let nowhere = Server::nowhere().await;
    let sound = Server::start(Mood::Dual).await;
    let gateway = Gateway::new()
        .server("sound", &sound)
        .upstream("lost", format!("{{ url: \"{nowhere}\" }}"))
        .start()
        .await;

    let ready = gateway.client("/ready").fetch("GET").await;

    assert_eq!(ready.status, 200, "{ready:?}");
}
