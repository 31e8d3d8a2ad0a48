//! Official clients in front, official servers behind: what an SDK's user sees through the gateway.
use harness::{
    Facts, Gateway, MODERN, Peer, Running, Sdk, everything_over_stdio, python_over_stdio,
    typescript_over_stdio,
};
use serde_json::{Value, json};

fn steps(wanted: &[&str]) -> Vec<Value> {
    wanted
        .iter()
        .map(|step| match *step {
            "echo" => json!({ "do": "call", "name": "echo", "arguments": { "message": "hello" } }),
            "progress" => {
                json!({ "do": "call", "name": "progress", "arguments": { "steps": 3 }, "progress": true })
            }
            "elicit" => json!({ "do": "call", "name": "elicit" }),
            "read" => json!({ "do": "read", "uri": "test://greeting" }),
            "prompt" => json!({ "do": "prompt", "name": "review", "arguments": { "code": "x" } }),
            list => json!({ "do": list }),
        })
        .collect()
}

/// What `server_py` and `server_ts` have in common.
const COMMON: [&str; 6] = ["tools", "echo", "resources", "read", "prompts", "prompt"];

/// What only a server with a way back to its client can do.
const ASKING: [&str; 2] = ["progress", "elicit"];

fn looks_right(facts: &Facts) {
    assert_eq!(facts.result("echo")["content"][0]["text"], "hello");
    assert!(
        facts.the("tools")["names"]
            .as_array()
            .unwrap()
            .contains(&json!("echo"))
    );
    assert_eq!(facts.the("resources")["uris"], json!(["test://greeting"]));
    assert_eq!(facts.the("prompts")["names"], json!(["review"]));
}

fn asked(facts: &Facts) {
    assert!(!facts.all("progress").is_empty(), "{facts:?}");
    assert_eq!(facts.the("asked")["method"], "elicitation/create");
    assert_eq!(facts.result("elicit")["content"][0]["text"], "hello, canned");
}

fn clients() -> [Sdk; 7] {
    [
        Sdk::python("auto"),
        Sdk::python("legacy"),
        Sdk::python(MODERN),
        Sdk::typescript_1(),
        Sdk::typescript_2("legacy"),
        Sdk::typescript_2("auto"),
        Sdk::typescript_2(MODERN),
    ]
}

#[tokio::test]
async fn every_client_reaches_a_python_server_over_http() {
    let server = Peer::python().await;
    let gateway = Gateway::new()
        .upstream("peer", format!("{{ url: \"{}\" }}", server.url()))
        .start()
        .await;

    for client in clients() {
        let facts = client
            .run(&gateway.url("/mcp"), &steps(&[&COMMON[..], &ASKING].concat()))
            .await
            .succeed();

        looks_right(&facts);
        asked(&facts);
    }
}

#[tokio::test]
async fn every_client_reaches_a_python_server_over_stdio() {
    let gateway = Gateway::new().upstream("peer", python_over_stdio()).start().await;

    for client in clients() {
        let facts = client
            .run(&gateway.url("/mcp"), &steps(&[&COMMON[..], &ASKING].concat()))
            .await
            .succeed();

        looks_right(&facts);
        asked(&facts);
    }
}

#[tokio::test]
async fn every_client_reaches_a_typescript_server() {
    let server = Peer::typescript().await;
    let gateway = Gateway::new()
        .upstream("http", format!("{{ url: \"{}\" }}", server.url()))
        .upstream("stdio", typescript_over_stdio())
        .start()
        .await;

    for path in ["/mcp/http", "/mcp/stdio"] {
        for client in [
            Sdk::python("auto"),
            Sdk::typescript_1(),
            Sdk::typescript_2("auto"),
        ] {
            looks_right(&client.run(&gateway.url(path), &steps(&COMMON)).await.succeed());
        }
    }
}

#[tokio::test]
async fn a_python_server_without_sessions_is_reached_by_every_client() {
    let server = Peer::python_stateless().await;
    let gateway = Gateway::new()
        .upstream("peer", format!("{{ url: \"{}\" }}", server.url()))
        .start()
        .await;

    for client in [
        Sdk::python("auto"),
        Sdk::python("legacy"),
        Sdk::typescript_1(),
        Sdk::typescript_2("auto"),
    ] {
        looks_right(&client.run(&gateway.url("/mcp"), &steps(&COMMON)).await.succeed());
    }
}

/// What `server-everything` is made to do.
async fn everything(gateway: &Running) {
    let long = json!({
        "do": "call", "name": "trigger-long-running-operation",
        "arguments": { "duration": 0.3, "steps": 3 }, "progress": true,
    });
    let asking = [
        json!({ "do": "call", "name": "trigger-elicitation-request" }),
        json!({ "do": "call", "name": "trigger-sampling-request", "arguments": { "prompt": "x" } }),
    ];
    let steps = [
        &steps(&["tools", "echo", "resources", "prompts"])[..],
        &[long],
        &asking,
    ]
    .concat();

    // It speaks revisions up to 2025-11-25, so the two that insist on 2026-07-28 are not among them.
    for client in [
        Sdk::python("auto"),
        Sdk::python("legacy"),
        Sdk::typescript_1(),
        Sdk::typescript_2("auto"),
    ] {
        let facts = client.run(&gateway.url("/mcp"), &steps).await.succeed();

        assert_eq!(facts.result("echo")["content"][0]["text"], "Echo: hello");
        assert!(!facts.all("progress").is_empty(), "{facts:?}");
        for method in ["elicitation/create", "sampling/createMessage"] {
            assert!(
                facts.all("asked").iter().any(|fact| fact["method"] == method),
                "{method}: {facts:?}"
            );
        }
    }
}

#[tokio::test]
async fn server_everything_is_reached_over_http() {
    let server = Peer::everything().await;
    let gateway = Gateway::new()
        .upstream("peer", format!("{{ url: \"{}\" }}", server.url()))
        .start()
        .await;

    everything(&gateway).await;
}

#[tokio::test]
async fn server_everything_is_reached_over_stdio() {
    let gateway = Gateway::new()
        .upstream("peer", everything_over_stdio())
        .start()
        .await;

    everything(&gateway).await;
}

#[tokio::test]
async fn the_demo_is_reached_by_every_client() {
    let gateway = Gateway::new().demo().start().await;
    let steps = [
        json!({ "do": "tools" }),
        json!({ "do": "call", "name": "echo", "arguments": { "text": "hello" } }),
        json!({ "do": "call", "name": "slow", "arguments": { "steps": 3, "delay_ms": 10 }, "progress": true }),
        json!({ "do": "call", "name": "structured" }),
        json!({ "do": "call", "name": "ask", "arguments": { "question": "who?" } }),
        json!({ "do": "read", "uri": "demo://greeting" }),
        json!({ "do": "prompt", "name": "greet", "arguments": { "name": "Ada" } }),
    ];

    for client in clients() {
        let facts = client.run(&gateway.url("/mcp/demo"), &steps).await.succeed();

        assert_eq!(facts.result("echo")["content"][0]["text"], "hello");
        assert_eq!(facts.the("asked")["method"], "elicitation/create");
    }
}

#[tokio::test]
async fn an_sdk_is_served_by_a_server_of_the_other_era() {
    let modern = Peer::typescript_modern().await;
    let legacy = Peer::everything().await;
    let gateway = Gateway::new()
        .upstream("modern", format!("{{ url: \"{}\" }}", modern.url()))
        .upstream("legacy", format!("{{ url: \"{}\" }}", legacy.url()))
        .start()
        .await;

    for (path, client) in [
        ("/mcp/modern", Sdk::typescript_1()),
        ("/mcp/modern", Sdk::python("legacy")),
        ("/mcp/legacy", Sdk::python(MODERN)),
        ("/mcp/legacy", Sdk::typescript_2(MODERN)),
    ] {
        let facts = client.run(&gateway.url(path), &steps(&["tools"])).await.succeed();

        let names = facts.the("tools")["names"].as_array().unwrap();
        assert!(names.contains(&json!("echo")), "{client:?}: {names:?}");
    }
}

#[tokio::test]
async fn a_clients_header_reaches_an_official_server_by_its_new_name() {
    let server = Peer::python().await;
    let upstream = format!(
        "{{ url: \"{}\", headers: {{ X-Test: \"${{header:x-mine}}\" }} }}",
        server.url()
    );
    let gateway = Gateway::new().upstream("peer", upstream).start().await;
    let step = json!({ "do": "call", "name": "header", "arguments": { "name": "x-test" } });

    for client in [
        Sdk::python("auto"),
        Sdk::typescript_1(),
        Sdk::typescript_2("auto"),
    ] {
        let facts = client
            .with("X-Mine", "hello")
            .run(&gateway.url("/mcp"), std::slice::from_ref(&step))
            .await
            .succeed();

        assert_eq!(facts.result("header")["content"][0]["text"], "hello");
    }
}
