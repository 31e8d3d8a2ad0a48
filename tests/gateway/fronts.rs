//! Proxies in front: who is believed about where requests come from, and `docs/nginx.conf` as it is recommended.
use std::{path::Path, time::Duration};

use harness::{Authority, Carrier, Gate, Gateway, Mood, Nginx, Reply, Running, Server, check, until};
use serde_json::{Value, json};

fn done() -> Value {
    json!({ "resultType": "complete", "content": [{ "type": "text", "text": "done" }] })
}

fn calls(gateway: &Running) -> Vec<Value> {
    let records = gateway.records().into_iter();
    records
        .filter(|record| record["method"] == "tools/call")
        .collect()
}

#[tokio::test]
async fn only_a_trusted_proxy_says_where_a_request_comes_from() {
    let told = [
        ("X-Forwarded-For", "9.9.9.9, 198.51.100.7"),
        ("Forwarded", "for=198.51.100.8"),
    ];
    for (proxies, header, source) in [
        ("", None, "127.0.0.1"),
        ("", Some(told[0]), "127.0.0.1"),
        ("trusted_proxies: [10.0.0.0/8]", Some(told[0]), "127.0.0.1"),
        ("trusted_proxies: [127.0.0.0/8]", None, "127.0.0.1"),
        ("trusted_proxies: [127.0.0.0/8]", Some(told[0]), "198.51.100.7"),
        ("trusted_proxies: [127.0.0.1]", Some(told[1]), "198.51.100.8"),
        (
            "trusted_proxies: [127.0.0.1]",
            Some(("X-Forwarded-For", "nonsense")),
            "127.0.0.1",
        ),
    ] {
        let gateway = Gateway::new().demo().config(proxies).start().await;
        let mut client = gateway.client("/mcp/demo").modern();
        if let Some((name, value)) = header {
            client = client.with(name, value);
        }

        client.call("echo", json!({ "text": "hi" })).await;

        let record = gateway
            .record("the call", |record| record["method"] == "tools/call")
            .await;
        assert_eq!(record["source"], source, "{proxies} {header:?}");
    }
}

#[tokio::test]
async fn what_is_no_network_is_told_with_its_line() {
    let (_, said) = check(
        "upstreams:\n  demo: { command: causeway, args: [demo] }\ntrusted_proxies:\n  - 10.0.0.1/8\n  - front\n",
    )
    .await;
    assert!(
        said.contains("4: trusted_proxies[0]: `10.0.0.1/8` has bits behind the first 8; write `10.0.0.0/8`"),
        "{said}"
    );
    assert!(
        said.contains("5: trusted_proxies[1]: `front` is neither an address nor a network"),
        "{said}"
    );
}

/// Two gateways of one key in front of a server, and nginx in front of them as the documentation has it; somebody in
/// front of all, by TLS.
struct Site {
    gateways: [Running; 2],
    front: Carrier,
    _nginx: Nginx,
}

impl Site {
    /// `None` without nginx. `change` makes of the file what the test needs.
    async fn of(server: &Server, change: impl Fn(String) -> String) -> Option<Self> {
        let executable = Nginx::executable()?;
        let gateway = async || {
            Gateway::new()
                .server("docs", server)
                .config("public_url: https://tools.example.com")
                .config("trusted_proxies: [127.0.0.1]")
                .config("session: { key: 0123456789abcdef0123456789abcdef }")
                .start()
                .await
        };
        let gateways = [gateway().await, gateway().await];
        server.forget();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/nginx.conf");
        let mut text = std::fs::read_to_string(file).unwrap();
        for (written, instead) in [
            ("listen 443 ", "listen ADDRESS "),
            ("127.0.0.1:7080;", &format!("{};", gateways[0].address())),
            ("127.0.0.1:7081;", &format!("{};", gateways[1].address())),
            ("/etc/nginx/", "HOME/"),
        ] {
            assert!(text.contains(written), "{written}");
            text = text.replace(written, instead);
        }
        let authority = Authority::new();
        let pair = authority.server(&["localhost"]);
        let files = [("tools.pem", pair.cert.as_str()), ("tools.key", &pair.key)];
        let nginx = Nginx::start(executable, &change(text), &files).await;
        let front = Carrier::by_h2(nginx.address(), Some(authority.believed(&["h2"], None))).await;
        Some(Self {
            gateways,
            front,
            _nginx: nginx,
        })
    }

    fn client(&self) -> harness::Client {
        self.front.client("/mcp").with("Host", "tools.example.com")
    }
}

#[tokio::test]
async fn an_event_arrives_through_nginx_before_the_answer_ends() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        let token = &request.params()["_meta"]["progressToken"];
        let params = json!({ "progressToken": token, "progress": 1 });
        let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
        Reply::stream()
            .event(&progress)
            .wait(&held)
            .result_event(request, &done())
    });
    let server = server.start().await;
    let Some(site) = Site::of(&server, |text| text).await else {
        return;
    };
    let client = site
        .client()
        .modern()
        .with("X-Forwarded-For", "9.9.9.9")
        .with("Forwarded", "for=9.9.9.9");
    let params = json!({ "name": "steps", "_meta": { "progressToken": 1 } });

    let mut stream = client.send("tools/call", params.clone()).await.begun().await;
    assert_eq!(
        stream.message().await.unwrap()["method"],
        "notifications/progress"
    );
    gate.open();
    assert_eq!(stream.answer().await.result()["content"][0]["text"], "done");

    // What a client says of its address is gone, and nginx is believed.
    let record = until("the record", || {
        site.gateways.iter().find_map(|gateway| calls(gateway).pop())
    })
    .await;
    assert_eq!(record["source"], "127.0.0.1", "{record}");
}

#[tokio::test]
async fn a_client_that_leaves_nginx_takes_its_call_back() {
    let server = Server::of(Mood::Dual)
        .on("tools/call", |_| Reply::silence())
        .start()
        .await;
    let Some(site) = Site::of(&server, |text| text).await else {
        return;
    };

    let sent = site
        .client()
        .modern()
        .send("tools/call", json!({ "name": "echo" }))
        .await;
    let call = server.asked_for("tools/call").await;
    drop(sent);

    server.abandoned(&call).await;
}

#[tokio::test]
async fn a_session_goes_on_at_either_gateway() {
    let server = Server::of(Mood::Sessionful("2025-11-25")).on("tools/call", |request| {
        Reply::result(
            request,
            &json!({ "content": [{ "type": "text", "text": "done" }] }),
        )
    });
    let server = server.start().await;
    let Some(site) = Site::of(&server, |text| text).await else {
        return;
    };
    let client = site.client().legacy("2025-11-25").await;

    for _ in 0..6 {
        assert_eq!(client.call("echo", json!({})).await["content"][0]["text"], "done");
    }

    until("six records, at both", || {
        let counts = site.gateways.each_ref().map(|gateway| calls(gateway).len());
        (counts.iter().sum::<usize>() == 6 && !counts.contains(&0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_passed_over_and_no_call_is_made_twice() {
    let server = Server::of(Mood::Dual).on("tools/call", |request| match request.params()["name"].as_str() {
        Some("waits") => Reply::silence(),
        _ => Reply::result(request, &done()),
    });
    let server = server.start().await;
    let Some(site) = Site::of(&server, |text| text).await else {
        return;
    };
    let client = site.client().modern();
    let sent = client.send("tools/call", json!({ "name": "waits" })).await;
    server.asked_for("tools/call").await;
    for gateway in &site.gateways {
        let metrics = gateway.admin("/metrics").await.text();
        // The one that has the call.
        if metrics.contains("\ncauseway_running_requests 1") {
            gateway.kill().await;
        }
    }

    assert_eq!(
        sent.answer().await.status,
        502,
        "it may have been made, so that nobody makes it again"
    );
    assert_eq!(server.asked("tools/call").len(), 1);
    for _ in 0..4 {
        let answer = client.ask("tools/call", json!({ "name": "echo" })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
async fn a_silent_call_is_waited_for() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        Reply::after(&held, Reply::result(request, &done()))
    });
    let server = server.start().await;
    // Where the file says nothing, a second has to do.
    let impatient = |text: String| text.replace("http {\n", "http {\n    proxy_read_timeout 1s;\n");
    let Some(site) = Site::of(&server, impatient).await else {
        return;
    };

    let sent = site
        .client()
        .modern()
        .send("tools/call", json!({ "name": "echo" }))
        .await;
    server.asked_for("tools/call").await;
    // Not a wait for something: the silence is what the test is about.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    gate.open();

    assert_eq!(sent.answer().await.status, 200);
}
