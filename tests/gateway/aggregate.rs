//! Many servers at one endpoint: what each has under names that say whose it is, what each says as if it were alone.
mod changes;
mod lists;
mod sessions;
mod torture;

use harness::{
    Client, Gateway, MODERN, Mood, Reply, Running, Server,
    questions::{self, completed, input_required, named},
};
use serde_json::{Value, json};

/// A server of the given mood with one of everything.
pub(crate) async fn with_everything(mood: Mood) -> Server {
    let modern = matches!(mood, Mood::Modern | Mood::Dual);
    let whole = move |mut result: Value, cached: bool| {
        if modern {
            result["resultType"] = json!("complete");
            if cached {
                result["ttlMs"] = json!(0);
                result["cacheScope"] = json!("private");
            }
        }
        result
    };
    let object = json!({ "type": "object" });
    let lists = [
        (
            "tools/list",
            json!({ "tools": [{ "name": "find", "inputSchema": object, "_meta": { "ui": { "resourceUri": "ui://view" } } }] }),
        ),
        ("prompts/list", json!({ "prompts": [{ "name": "ask" }] })),
        (
            "resources/list",
            json!({ "resources": [{ "name": "a", "uri": "note://a" }, { "name": "w", "uri": "https://example.com/w" }] }),
        ),
        (
            "resources/templates/list",
            json!({ "resourceTemplates": [{ "name": "t", "uriTemplate": "note://{id}" }] }),
        ),
    ];
    let calls = [
        (
            "tools/call",
            json!({ "content": [
                { "type": "text", "text": "note://a stays" },
                { "type": "resource_link", "uri": "note://a", "name": "a" },
                { "type": "resource", "resource": { "uri": "note://b", "text": "b" } },
            ] }),
        ),
        (
            "prompts/get",
            json!({ "messages": [{ "role": "user", "content": { "type": "resource", "resource": { "uri": "note://a", "text": "a" } } }] }),
        ),
        (
            "completion/complete",
            json!({ "completion": { "values": ["x"] } }),
        ),
    ];
    let able = json!({ "tools": {}, "prompts": {}, "resources": {}, "completions": {}, "logging": {} });
    let mut server = Server::of(mood).able_to(able);
    for (method, result) in lists {
        let result = whole(result, true);
        server = server.on(method, move |request| Reply::result(request, &result));
    }
    for (method, result) in calls {
        let result = whole(result, false);
        server = server.on(method, move |request| Reply::result(request, &result));
    }
    let read = move |request: &harness::Request| {
        let uri = request.params()["uri"].clone();
        let contents = json!({ "contents": [{ "uri": uri, "text": "it" }] });
        Reply::result(request, &whole(contents, true))
    };
    server.on("resources/read", read).start().await
}

/// A gateway in front of two servers, one of each era.
async fn two(modern: &Server, legacy: &Server) -> Running {
    Gateway::new()
        .server("new", modern)
        .server("Old_one", legacy)
        .start()
        .await
}

/// A client of each era at the endpoint.
async fn of_both_eras(gateway: &Running) -> [Client; 2] {
    let able = json!({ "elicitation": { "form": {} }, "sampling": {}, "roots": {} });
    [
        gateway.client("/mcp").able_to(able.clone()).modern(),
        gateway.client("/mcp").able_to(able).legacy("2025-11-25").await,
    ]
}

fn values(result: &Value, list: &str, member: &str) -> Vec<String> {
    let items = result[list]
        .as_array()
        .unwrap_or_else(|| panic!("{list} in {result}"));
    items
        .iter()
        .map(|item| item[member].as_str().unwrap().to_owned())
        .collect()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

/// Under which key the only question of a result stands.
fn only_key(asked: &Value) -> String {
    let requests = asked["inputRequests"].as_object().unwrap();
    assert_eq!(requests.len(), 1, "{asked}");
    requests.keys().next().unwrap().clone()
}

/// The result of a call whose client is asked something on the way.
async fn asked_in_the_call(client: &Client, tool: &str, answer: Value) -> Value {
    let call = client.send("tools/call", json!({ "name": tool })).await;
    let mut call = call.begun().await;
    let question = call.message().await.unwrap();
    client.answer(&question, answer).await;
    call.answer().await.result()
}

#[tokio::test]
async fn every_list_is_that_of_all_servers_and_everything_in_it_leads_to_its_own() {
    let new = with_everything(Mood::Modern).await;
    let old = with_everything(Mood::Sessionful("2025-06-18")).await;
    let gateway = two(&new, &old).await;

    for client in of_both_eras(&gateway).await {
        let tools = client.ask("tools/list", json!({})).await.result();
        let prompts = client.ask("prompts/list", json!({})).await.result();
        let resources = client.ask("resources/list", json!({})).await.result();
        let templates = client.ask("resources/templates/list", json!({})).await.result();

        assert_eq!(values(&tools, "tools", "name"), ["new__find", "old-one__find"]);
        assert_eq!(
            tools["tools"][1]["_meta"],
            json!({
                "ui": { "resourceUri": "ui://old-one+view" },
                "dev.causeway/name": { "server": "old-one", "name": "find" },
            })
        );
        assert_eq!(values(&prompts, "prompts", "name"), ["new__ask", "old-one__ask"]);
        assert_eq!(
            values(&resources, "resources", "uri"),
            ["new+note://a", "https://example.com/w", "old-one+note://a"]
        );
        assert_eq!(
            values(&templates, "resourceTemplates", "uriTemplate"),
            ["new+note://{id}", "old-one+note://{id}"]
        );
        for (alias, server) in [("new", &new), ("old-one", &old)] {
            server.forget();
            let called = client.call(&format!("{alias}__find"), json!({})).await;
            assert_eq!(server.only("tools/call").params()["name"], "find");
            assert_eq!(called["content"][0]["text"], "note://a stays");
            assert_eq!(called["content"][1]["uri"], json!(format!("{alias}+note://a")));
            assert_eq!(
                called["content"][2]["resource"]["uri"],
                json!(format!("{alias}+note://b"))
            );

            let uri = format!("{alias}+note://a");
            let read = client.ask("resources/read", json!({ "uri": uri })).await.result();
            assert_eq!(server.only("resources/read").params()["uri"], "note://a");
            assert_eq!(read["contents"][0]["uri"], json!(uri));

            let name = format!("{alias}__ask");
            let got = client.ask("prompts/get", json!({ "name": name })).await.result();
            assert_eq!(server.only("prompts/get").params()["name"], "ask");
            assert_eq!(got["messages"][0]["content"]["resource"]["uri"], json!(uri));

            for reference in [
                json!({ "type": "ref/prompt", "name": name }),
                json!({ "type": "ref/resource", "uri": format!("{alias}+note://{{id}}") }),
            ] {
                server.forget();
                let wanted = json!({ "ref": reference, "argument": { "name": "id", "value": "" } });
                client.ask("completion/complete", wanted).await.result();
                let asked = server.only("completion/complete").params()["ref"].clone();
                assert!(asked["name"] == "ask" || asked["uri"] == "note://{id}", "{asked}");
            }
        }
    }
}

#[tokio::test]
async fn a_subset_of_servers_has_an_endpoint_of_its_own() {
    let servers = [
        Server::start(Mood::Dual).await,
        Server::start(Mood::Dual).await,
        Server::start(Mood::Dual).await,
    ];
    let gateway = Gateway::new()
        .server("a", &servers[0])
        .server("b", &servers[1])
        .server("c", &servers[2])
        .start()
        .await;

    for path in ["/mcp/c,a", "/mcp?server=c,a"] {
        let client = gateway.client(path).modern();
        let tools = client.ask("tools/list", json!({})).await.result();
        let outside = client.ask("tools/call", json!({ "name": "b__echo" })).await;

        assert_eq!(values(&tools, "tools", "name"), ["c__echo", "a__echo"], "{path}");
        assert_eq!(
            (outside.status, outside.code()),
            (200, -32602),
            "{path}: {outside:?}"
        );
    }
}

#[tokio::test]
async fn a_name_without_its_alias_leads_to_the_only_server_that_has_it() {
    let one = with_everything(Mood::Modern).await;
    let other = Server::start(Mood::Modern).await;
    let gateway = two(&one, &other).await;
    let client = gateway.client("/mcp").modern();

    client.call("find", json!({})).await;
    client.call("echo", json!({ "message": "hi" })).await;

    assert_eq!(one.only("tools/call").params()["name"], "find");
    assert_eq!(other.only("tools/call").params()["name"], "echo");
}

#[tokio::test]
async fn a_call_is_recorded_with_its_server_and_under_the_name_that_it_has_there() {
    let (new, old) = (Server::start(Mood::Modern).await, Server::start(Mood::Dual).await);
    let gateway = two(&new, &old).await;

    gateway
        .client("/mcp")
        .modern()
        .call("old-one__echo", json!({ "message": "hi" }))
        .await;

    let record = gateway
        .record("the call", |record| record["method"] == "tools/call")
        .await;
    assert_eq!(record["upstream"], "Old_one", "{record}");
    assert_eq!(record["tool"], "echo", "{record}");
}

/// As its lists are read, and as all its other callers are heard: what one of them changes the others hear of.
#[tokio::test]
async fn a_server_of_both_eras_is_called_in_the_newest_by_everybody() {
    let (dual, other) = (Server::start(Mood::Dual).await, Server::start(Mood::Modern).await);
    let gateway = two(&dual, &other).await;

    for client in of_both_eras(&gateway).await {
        dual.forget();
        client.call("new__echo", json!({ "message": "hi" })).await;
        assert_eq!(dual.only("tools/call").revision(), MODERN);
    }
}

#[tokio::test]
async fn a_question_of_a_modern_server_reaches_clients_of_both_eras() {
    let asking = Server::of(Mood::Modern)
        .on("tools/call", |request| {
            let result = match request.params().get("inputResponses") {
                None => input_required(&[("who", questions::name())], Some("s")),
                Some(answers) => {
                    json!({ "content": [{ "type": "text", "text": answers.to_string() }], "resultType": "complete" })
                }
            };
            Reply::result(request, &result)
        })
        .start()
        .await;
    let other = Server::start(Mood::Modern).await;
    let gateway = two(&asking, &other).await;
    let [modern, legacy] = of_both_eras(&gateway).await;

    let asked = modern
        .ask("tools/call", json!({ "name": "new__echo" }))
        .await
        .result();
    let retry = json!({
        "name": "new__echo", "inputResponses": { "who": named("Ada") }, "requestState": asked["requestState"],
    });
    let answered = modern.ask("tools/call", retry).await.result();
    assert!(text(&answered).contains("Ada"), "{answered}");

    let answered = asked_in_the_call(&legacy, "new__echo", named("Bob")).await;
    assert!(text(&answered).contains("Bob"), "{answered}");
}

#[tokio::test]
async fn a_question_of_an_earlier_server_reaches_clients_of_both_eras() {
    let asking = Server::of(Mood::Sessionful("2025-11-25"))
        .on("tools/call", |request| {
            let id = format!("q{}", request.number);
            Reply::stream()
                .ask(&questions::completion().request(&id))
                .conclude(
                    request,
                    |answers| json!({ "content": [{ "type": "text", "text": json!(answers).to_string() }] }),
                )
        })
        .start()
        .await;
    let other = Server::start(Mood::Modern).await;
    let gateway = two(&other, &asking).await;
    let [modern, legacy] = of_both_eras(&gateway).await;

    let asked = modern
        .ask("tools/call", json!({ "name": "old-one__echo" }))
        .await
        .result();
    let key = only_key(&asked);
    let retry = json!({
        "name": "old-one__echo", "inputResponses": { key: completed("Ada") }, "requestState": asked["requestState"],
    });
    let answered = modern.ask("tools/call", retry).await.result();
    assert!(text(&answered).contains("Ada"), "{answered}");

    let answered = asked_in_the_call(&legacy, "old-one__echo", completed("Bob")).await;
    assert!(text(&answered).contains("Bob"), "{answered}");
}

/// Two servers that ask the same of who calls their equal tools.
#[tokio::test]
async fn what_waits_at_one_server_does_not_go_on_at_another() {
    let asking = || {
        Server::of(Mood::Sessionful("2025-11-25")).on("tools/call", |request| {
            Reply::stream()
                .ask(&questions::completion().request("q"))
                .conclude(request, |_| json!({ "content": [] }))
        })
    };
    let (one, other) = (asking().start().await, asking().start().await);
    let gateway = two(&one, &other).await;
    let [modern, _] = of_both_eras(&gateway).await;

    let asked = modern
        .ask("tools/call", json!({ "name": "new__echo" }))
        .await
        .result();
    let key = only_key(&asked);
    let retry = |name: &str| json!({ "name": name, "inputResponses": { &key: completed("x") }, "requestState": asked["requestState"] });
    let elsewhere = modern.ask("tools/call", retry("old-one__echo")).await;
    let there = modern.ask("tools/call", retry("new__echo")).await;

    assert_eq!(elsewhere.code(), -32602, "{elsewhere:?}");
    assert_eq!(there.result()["content"], json!([]));
    assert!(other.asked("tools/call").is_empty());
}

#[tokio::test]
async fn what_nobody_has_is_unknown() {
    let (new, old) = (
        with_everything(Mood::Modern).await,
        with_everything(Mood::Modern).await,
    );
    let gateway = two(&new, &old).await;

    for client in of_both_eras(&gateway).await {
        for (method, params) in [
            ("tools/call", json!({ "name": "new__nothing" })),
            ("tools/call", json!({ "name": "find" })),
            ("tools/call", json!({ "name": "none__find" })),
            ("prompts/get", json!({ "name": "ask" })),
            ("resources/read", json!({ "uri": "note://a" })),
        ] {
            let answer = client.ask(method, params.clone()).await;
            assert_eq!(
                (answer.status, answer.code()),
                (200, -32602),
                "{method} {params}: {answer:?}"
            );
        }
    }
    assert!(new.asked("tools/call").is_empty() && old.asked("tools/call").is_empty());
}
