//! A client and a server of different revisions: greeted by each other's words, answered in their own, and nothing lost
//! in between but what the other side has no place for.
mod in_flight;
mod parameters;

use harness::{Answer, Gateway, LEGACY, MODERN, Mood, Reply, Request, Running, Server, SseClient, misbehave};
use serde_json::{Value, json};

const META: &str = "io.modelcontextprotocol/";

async fn gateway(server: &Server) -> Running {
    Gateway::new().server("docs", server).start().await
}

fn meta<'a>(params: &'a Value, member: &str) -> &'a Value {
    &params["_meta"][format!("{META}{member}")]
}

/// A result with members that nobody has heard of, numbers that no machine holds, and an order of its own.
const STRANGE: &str = r#""zeta":{"b":1.10,"a":[12345678901234567890123,1E2]},"content":[{"type":"text","zz":0.10,"text":"hi","annotations":{"vendor":1.0}}],"alpha":null"#;

#[tokio::test]
async fn an_earlier_client_is_greeted_in_front_of_a_2026_07_28_server() {
    let server = Server::of(Mood::Modern)
        .able_to(json!({ "tools": { "listChanged": true }, "logging": {} }))
        .start()
        .await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .upstream("child", misbehave(&["--era", "modern"]))
        .start()
        .await;

    for revision in LEGACY {
        for path in ["/mcp/docs", "/mcp/child"] {
            let (client, greeting) = gateway.client(path).initialize(revision).await;
            let result = client.call("echo", json!({ "message": "hi" })).await;
            let listed = client.ask("tools/list", json!({})).await.result();
            let ping = client.ask("ping", json!({})).await.result();

            let greeting = greeting.result();
            assert_eq!(greeting["protocolVersion"], revision, "{path}");
            assert!(greeting["serverInfo"]["name"].is_string(), "{path}: {greeting}");
            assert!(
                greeting["capabilities"]["tools"].is_object(),
                "{path}: {greeting}"
            );
            assert_eq!(result["content"][0]["text"], "hi", "{path} {revision}");
            assert_eq!(listed["tools"][0]["name"], "echo", "{path} {revision}");
            assert_eq!(ping, json!({}), "{path} {revision}");
            for answer in [&greeting, &result, &listed] {
                for member in ["resultType", "ttlMs", "cacheScope"] {
                    assert!(answer.get(member).is_none(), "{path} {revision}: {answer}");
                }
            }
        }
    }

    for question in server.asked("initialize") {
        let client = &question.params()["clientInfo"]["name"];
        assert_eq!(
            *client, "causeway",
            "whether it knows one is asked by the gateway: {question:?}"
        );
    }
    assert!(server.asked("ping").is_empty());
    for call in server.asked("tools/call") {
        let params = call.params();
        assert_eq!(*meta(&params, "protocolVersion"), MODERN, "{call:?}");
        assert!(meta(&params, "clientCapabilities").is_object(), "{call:?}");
        assert_eq!(call.headers.get("Mcp-Method"), Some("tools/call"), "{call:?}");
        assert_eq!(call.headers.get("Mcp-Name"), Some("echo"), "{call:?}");
    }
}

#[tokio::test]
async fn a_client_of_sse_is_greeted_in_front_of_a_2026_07_28_server() {
    let server = Server::start(Mood::Modern).await;
    let gateway = gateway(&server).await;
    let client = SseClient::connect(&gateway.client("/mcp/docs/sse")).await;
    let mut client = client.initialized("2024-11-05").await;

    let result = client.call("echo", json!({ "message": "hi" })).await;

    assert_eq!(result["content"][0]["text"], "hi");
    assert!(result.get("resultType").is_none(), "{result}");
}

#[tokio::test]
async fn a_client_that_asks_for_no_revision_of_ours_gets_the_newest_that_has_a_greeting() {
    let server = Server::start(Mood::Modern).await;
    let gateway = gateway(&server).await;

    let client = gateway.client("/mcp");
    let mut greeting = client.greeting("1999-01-01");
    greeting["protocolVersion"] = json!("1999-01-01");
    let answer = client.unchecked().ask("initialize", greeting).await;

    assert_eq!(answer.result()["protocolVersion"], "2025-11-25", "{answer:?}");
}

#[tokio::test]
async fn a_2026_07_28_client_is_greeted_in_front_of_every_earlier_server() {
    for revision in LEGACY {
        for mood in [
            Mood::Legacy(revision),
            Mood::Sessionful(revision),
            Mood::Sse(revision),
        ] {
            let server = Server::start(mood).await;
            let gateway = gateway(&server).await;
            let client = gateway.client("/mcp").modern();

            let discovered = client.ask("server/discover", json!({})).await.result();
            let result = client.call("echo", json!({ "message": "hi" })).await;
            let listed = client.ask("tools/list", json!({})).await.result();

            let mut versions = vec![MODERN];
            versions.extend(LEGACY.iter().rev());
            assert_eq!(discovered["supportedVersions"], json!(versions), "{mood:?}");
            assert!(
                discovered["capabilities"]["tools"].is_object(),
                "{mood:?}: {discovered}"
            );
            assert_eq!(result["content"][0]["text"], "hi", "{mood:?}");
            assert_eq!(result["resultType"], "complete", "{mood:?}: {result}");
            for cached in [&discovered, &listed] {
                assert!(
                    cached["ttlMs"].is_u64() && cached["cacheScope"].is_string(),
                    "{mood:?}: {cached}"
                );
            }
            let call = server.only("tools/call");
            let told = call.params()["_meta"].to_string();
            assert!(!told.contains(META), "{mood:?}: {call:?}");
            for header in ["Mcp-Method", "Mcp-Name"] {
                assert_eq!(call.headers.get(header), None, "{mood:?}: {call:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_an_era_does_not_have_is_unknown_in_it() {
    let legacy = Server::start(Mood::Sessionful("2025-11-25")).await;
    let modern = Server::start(Mood::Modern).await;
    let gateway = Gateway::new()
        .server("legacy", &legacy)
        .server("modern", &modern)
        .start()
        .await;
    let new = gateway.client("/mcp/legacy").modern();
    let old = gateway.client("/mcp/modern").legacy("2025-11-25").await;

    for (method, params) in [
        ("ping", json!({})),
        ("logging/setLevel", json!({ "level": "info" })),
        ("resources/subscribe", json!({ "uri": "test://greeting" })),
        ("initialize", new.greeting("2025-11-25")),
    ] {
        let answer = new.ask(method, params).await;
        assert_eq!(
            (answer.status, answer.code()),
            (404, -32601),
            "{method}: {answer:?}"
        );
    }
    for (method, params) in [
        ("subscriptions/listen", json!({ "notifications": {} })),
        ("server/discover", json!({})),
    ] {
        let answer = old.ask(method, params).await;
        // 404 would say that the session is gone.
        assert_eq!(
            (answer.status, answer.code()),
            (200, -32601),
            "{method}: {answer:?}"
        );
    }
}

/// What the client was told, byte for byte.
fn body(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text()
}

#[tokio::test]
async fn results_arrive_as_they_were_sent() {
    let modern = Server::of(Mood::Modern)
        .on("tools/call", |request| {
            Reply::result_of(request, &format!("{{{STRANGE},\"resultType\":\"complete\"}}"))
        })
        .start()
        .await;
    let legacy = Server::of(Mood::Sessionful("2025-11-25"))
        .on("tools/call", |request| {
            Reply::result_of(request, &format!("{{{STRANGE}}}"))
        })
        .start()
        .await;
    let gateway = Gateway::new()
        .server("modern", &modern)
        .server("legacy", &legacy)
        .start()
        .await;
    let old = gateway.client("/mcp/modern").legacy("2025-11-25").await;
    let new = gateway.client("/mcp/legacy").modern();

    let call = json!({ "name": "echo", "arguments": {} });
    let down = old.ask("tools/call", call.clone()).await;
    let up = new.ask("tools/call", call).await;

    assert!(body(&down).contains(STRANGE), "{}", down.text());
    assert!(body(&up).contains(STRANGE), "{}", up.text());
}

#[tokio::test]
async fn arguments_arrive_as_they_were_sent() {
    let modern = Server::start(Mood::Modern).await;
    let legacy = Server::start(Mood::Sessionful("2025-11-25")).await;
    let gateway = Gateway::new()
        .server("modern", &modern)
        .server("legacy", &legacy)
        .start()
        .await;
    let arguments = r#""arguments":{"z":1.10,"message":"hi","n":12345678901234567890123,"a":{"é":[1E2,-0.0]}},"vendor":{"x":0.10}"#;
    let old = gateway.client("/mcp/modern").legacy("2025-11-25").await;
    let new = gateway.client("/mcp/legacy").modern();

    old.post(format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo",{arguments},"_meta":{{"vendor/y":2.50}}}}}}"#
    ))
    .await
    .result();
    let stamp = format!(
        r#""_meta":{{"vendor/y":2.50,"{META}protocolVersion":"{MODERN}","{META}clientCapabilities":{{}}}}"#
    );
    new.with("Mcp-Method", "tools/call")
        .with("Mcp-Name", "echo")
        .post(format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo",{arguments},{stamp}}}}}"#
        ))
        .await
        .result();

    for server in [&modern, &legacy] {
        let call = server.only("tools/call");
        let sent = String::from_utf8_lossy(&call.body).into_owned();
        assert!(sent.contains(arguments), "{sent}");
        assert!(sent.contains(r#""vendor/y":2.50"#), "{sent}");
    }
}

#[tokio::test]
async fn content_that_nobody_knows_passes_where_it_may() {
    let unknown = r#"{"type":"hologram","depth":1.10}"#;
    let content = format!(r#"{{"content":[{unknown}],"resultType":"complete"}}"#);
    let server =
        Server::of(Mood::Modern).on("tools/call", move |request| Reply::result_of(request, &content));
    let server = server.unchecked().start().await;
    let gateway = gateway(&server).await;

    // A kind of content that its schema does not know is what this test is about.
    let newest = gateway.client("/mcp").legacy("2025-11-25").await.unchecked();
    let older = gateway.client("/mcp").legacy("2025-03-26").await;
    let call = json!({ "name": "echo" });
    let passed = newest.ask("tools/call", call.clone()).await;
    let replaced = older.ask("tools/call", call).await.result();

    assert!(body(&passed).contains(unknown), "{}", passed.text());
    // A client with a strict union drops the whole result otherwise.
    assert_eq!(replaced["content"][0]["type"], "text", "{replaced}");
}

fn failing(mood: Mood, code: i64, data: Value) -> impl Future<Output = Server> {
    let fail = move |request: &Request| {
        let error = json!({ "code": code, "message": "as asked", "data": data });
        let error = json!({ "jsonrpc": "2.0", "id": request.json()["id"], "error": error });
        Reply::json(200, &error)
    };
    let fail = std::sync::Arc::new(fail);
    let again = fail.clone();
    Server::of(mood)
        .able_to(json!({ "tools": {}, "resources": {} }))
        .on("resources/read", move |request| fail(request))
        .on("tools/call", move |request| again(request))
        .start()
}

#[tokio::test]
async fn errors_have_the_codes_of_the_clients_era() {
    let read = ("resources/read", json!({ "uri": "test://nowhere" }));
    let call = ("tools/call", json!({ "name": "echo" }));
    let (old, new) = (Mood::Sessionful("2025-11-25"), Mood::Modern);
    for (mood, (method, params), sent, expected) in [
        (old, &read, -32002, -32602),
        (old, &call, -32002, -32603),
        (old, &call, -32050, -32603),
        (old, &call, -32000, -32000),
        (old, &call, 42, 42),
        (new, &read, -32602, -32002),
        (new, &call, -32602, -32602),
        (new, &call, -32000, -32000),
        (new, &call, 42, 42),
    ] {
        let server = failing(mood, sent, json!({ "uri": "test://nowhere" })).await;
        let gateway = gateway(&server).await;
        let client = match mood {
            Mood::Modern => gateway.client("/mcp").legacy("2025-11-25").await,
            _ => gateway.client("/mcp").modern(),
        };

        let answer = client.ask(method, params.clone()).await;

        assert_eq!(answer.code(), expected, "{mood:?} {method} {sent}: {answer:?}");
        if expected == sent {
            assert_eq!(answer.complaint(), "as asked", "{mood:?} {method} {sent}");
        }
    }
}

#[tokio::test]
async fn a_task_that_nobody_can_keep_is_a_call() {
    let server = Server::start(Mood::Modern).await;
    let gateway = gateway(&server).await;
    let (client, greeting) = gateway.client("/mcp").initialize("2025-11-25").await;

    let call = json!({ "name": "echo", "arguments": { "message": "hi" }, "task": { "ttl": 1000 } });
    let result = client.ask("tools/call", call).await.result();

    assert!(
        greeting.result()["capabilities"].get("tasks").is_none(),
        "{greeting:?}"
    );
    assert_eq!(result["content"][0]["text"], "hi", "{result}");
    assert!(server.only("tools/call").params().get("task").is_none());
}

#[tokio::test]
async fn a_call_is_made_once_however_it_ends() {
    for mood in [Mood::Modern, Mood::Sessionful("2025-11-25")] {
        for reply in [
            (|_: &Request| Reply::reset()) as fn(&Request) -> Reply,
            |_| Reply::stream().cut(),
            |_| Reply::with(200, "application/json", "garbage"),
            |_| Reply::new(500),
            |request| Reply::result(request, &json!([])),
        ] {
            let server = Server::of(mood).on("tools/call", reply).start().await;
            let gateway = gateway(&server).await;
            let client = match mood {
                Mood::Modern => gateway.client("/mcp").legacy("2025-11-25").await,
                _ => gateway.client("/mcp").modern(),
            };

            let answer = client
                .unchecked()
                .ask("tools/call", json!({ "name": "echo" }))
                .await;

            assert!(!answer.messages.is_empty(), "{mood:?}: it is said: {answer:?}");
            server.only("tools/call");
        }
    }
}

#[tokio::test]
async fn a_client_that_declares_too_much_for_a_session_of_its_own_is_told_so() {
    let upstream = misbehave(&["--era", "legacy"]);
    let gateway = Gateway::new().upstream("old", upstream).start().await;
    let echo = json!({ "name": "echo", "arguments": { "message": "hi" } });

    for (bytes, code) in [(100, None), (4096, Some(-32602))] {
        let extensions = json!({ "com.example/x": { "words": "x".repeat(bytes) } });
        let capabilities = json!({ "elicitation": {}, "extensions": extensions });
        let client = gateway.client("/mcp").able_to(capabilities).modern();

        let answer = client.ask("tools/call", echo.clone()).await;

        let error = answer.last().get("error");
        assert_eq!(error.and_then(|error| error["code"].as_i64()), code, "{answer:?}");
    }
}
