//! A newcomer's first minute: what is printed, the curl that works, what a page in a browser may do, what `status` tells.
use std::process::Command;

use harness::{Client, Exit, Gateway, Mood, Program, Running, Server, causeway};
use serde_json::json;

/// What stands between the marks in a line, as in `'…'`.
fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before)
        .skip(1)
        .filter_map(|rest| rest.split('\'').next())
        .collect()
}

#[tokio::test]
async fn it_says_where_it_is_what_it_has_and_how_to_stop() {
    let server = Server::start(Mood::Legacy("2025-06-18")).await;
    let nowhere = Server::nowhere().await;
    let lost = format!("{{ url: \"{nowhere}\" }}");
    let gateway = Gateway::new()
        .demo()
        .server("docs", &server)
        .upstream("lost", lost)
        .start()
        .await;

    let said = gateway.program().stdout();

    let line = |word: &str| {
        said.iter()
            .find(|line| line.contains(word))
            .unwrap_or_else(|| panic!("no {word}: {said:#?}"))
    };
    assert_eq!(line("listening"), &format!("listening on {}", gateway.url("")));
    assert_eq!(line("admin"), &format!("admin on {}", gateway.admin_url()));
    for (name, words) in [
        ("upstream demo", ["stdio", "2026-07-28", "tools"]),
        ("upstream docs", ["http", "2025-06-18", "1 tool"]),
    ] {
        for word in words {
            assert!(line(name).contains(word), "{word}: {said:#?}");
        }
    }
    line("upstream lost");
    line("Ctrl-C");
    assert_eq!(said.last().unwrap(), "ready");
}

#[tokio::test]
async fn the_printed_curl_answers() {
    let gateway = Gateway::new().demo().start().await;

    let said = gateway.program().stdout().join("\n");
    let from = said.find("curl").expect("a curl to try");
    let curl = &said[from..];
    let url = curl
        .split([' ', '\''])
        .find(|word| word.starts_with("http"))
        .expect("a URL");
    let body = quoted(curl, "-d '").first().copied().expect("a body");
    let path = url.strip_prefix(&gateway.url("")).expect("our URL");
    // Curl sends `Accept: */*` by itself, and no other header than those after -H.
    let client = Client::new(gateway.address(), path)
        .without("Content-Type")
        .with("Accept", "*/*");
    let client = quoted(curl, "-H '").iter().fold(client, |client, header| {
        let (name, value) = header.split_once(": ").expect("a header");
        client.with(name, value)
    });
    let answer = client.post(body).await;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.result()["content"].is_array(), "{answer:?}");
}

#[tokio::test]
async fn a_wrong_address_says_where_to_go() {
    let gateway = Gateway::new().demo().start().await;

    let stream = gateway
        .client("/mcp/notifications")
        .with("Accept", "text/event-stream")
        .fetch("GET")
        .await;

    assert_eq!(stream.status, 404, "{stream:?}");
    assert!(stream.text().contains("GET /mcp"), "{}", stream.text());
}

#[tokio::test]
async fn a_page_may_ask_what_it_may_send() {
    let gateway = Gateway::new().demo().start().await;

    let asked = "content-type, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name, mcp-param-region, authorization";
    let page = gateway.client("/mcp").with("Origin", "http://localhost:5173");
    let page = page
        .with("Access-Control-Request-Method", "POST")
        .with("Access-Control-Request-Headers", asked);
    let answer = page.fetch("OPTIONS").await;
    let elsewhere = page.with("Origin", "https://evil.example").fetch("OPTIONS").await;

    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(
        answer.headers.get("Access-Control-Allow-Origin"),
        Some("http://localhost:5173")
    );
    let allowed = answer
        .headers
        .get("Access-Control-Allow-Headers")
        .unwrap()
        .to_lowercase();
    for name in asked.split(", ") {
        assert!(allowed.contains(name), "{name}: {allowed}");
    }
    assert_eq!(elsewhere.status, 403, "{elsewhere:?}");
    assert_eq!(elsewhere.headers.get("Access-Control-Allow-Origin"), None);
}

#[tokio::test]
async fn a_page_may_read_its_session() {
    let gateway = Gateway::new().demo().start().await;

    let page = gateway.client("/mcp").with("Origin", "http://localhost:5173");
    let (_, answer) = page.initialize("2025-06-18").await;

    assert_eq!(
        answer.headers.get("Access-Control-Allow-Origin"),
        Some("http://localhost:5173"),
        "{answer:?}"
    );
    let exposed = answer
        .headers
        .get("Access-Control-Expose-Headers")
        .unwrap_or_default()
        .to_lowercase();
    assert!(exposed.contains("mcp-session-id"), "{answer:?}");
}

async fn status(gateway: &Running, more: &[&str]) -> (Exit, String) {
    let mut command = Command::new(causeway());
    command.args(["status", &gateway.admin_url()]).args(more);
    let asked = Program::start("causeway status", command);
    (asked.ended().await, asked.stdout().join("\n"))
}

#[tokio::test]
async fn status_names_each_upstream_and_its_health() {
    let nowhere = Server::nowhere().await;
    let lost = format!("{{ url: \"{nowhere}\" }}");
    let gateway = Gateway::new().demo().upstream("lost", lost).start().await;
    gateway
        .client("/mcp/demo")
        .modern()
        .call("echo", json!({ "text": "hi" }))
        .await;

    let (exit, said) = status(&gateway, &[]).await;
    let (_, json) = status(&gateway, &["--json"]).await;

    assert_eq!(exit, Exit::Code(0), "{said}");
    for word in ["demo", "2026-07-28", "lost"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert!(json.to_string().contains("lost"), "{json}");
}
