//! What the file shows of a server, and as what: the same in a list and in a call, on a route of its own and at an
//! endpoint of many.
use harness::{Gateway, Mood, Reply, Running, Server};
use serde_json::{Value, json};

const CURATED: &str = r#"
    tools:
      deny: ["delete_*"]
      rename: { find: search }
      change:
        find:
          title: Search
          description: Finds what is there.
          annotations: { readOnlyHint: true }
          defaults: { limit: 10 }
          fixed: { region: eu }
    prompts: [ask]
    resources: { deny: ["note://private*"] }
"#;

/// A server with something to hide.
async fn server(mood: Mood) -> Server {
    let modern = matches!(mood, Mood::Modern | Mood::Dual);
    let whole = move |mut result: Value| {
        if modern {
            result["resultType"] = json!("complete");
            result["ttlMs"] = json!(0);
            result["cacheScope"] = json!("private");
        }
        result
    };
    let schema = json!({ "type": "object", "required": ["q", "region"], "properties": {
        "q": { "type": "string" }, "limit": { "type": "integer" }, "region": { "type": "string" } } });
    let lists = [
        (
            "tools/list",
            json!({ "tools": [
            { "name": "find", "description": "old", "inputSchema": schema },
            { "name": "delete_all", "inputSchema": { "type": "object" } },
            { "name": "plain", "inputSchema": { "type": "object" } } ] }),
        ),
        (
            "prompts/list",
            json!({ "prompts": [{ "name": "ask" }, { "name": "tell" }] }),
        ),
        (
            "resources/list",
            json!({ "resources": [
            { "name": "a", "uri": "note://a" }, { "name": "p", "uri": "note://private/p" } ] }),
        ),
        (
            "resources/templates/list",
            json!({ "resourceTemplates": [
            { "name": "t", "uriTemplate": "note://{id}" }, { "name": "tp", "uriTemplate": "note://private/{id}" } ] }),
        ),
    ];
    let able = json!({ "tools": {}, "prompts": {}, "resources": {}, "completions": {} });
    let mut server = Server::of(mood).able_to(able);
    for (method, result) in lists {
        let result = whole(result);
        server = server.on(method, move |request| Reply::result(request, &result));
    }
    let answered = move |request: &harness::Request, mut result: Value| {
        if modern {
            result["resultType"] = json!("complete");
        }
        Reply::result(request, &result)
    };
    server
        .on("tools/call", move |request| {
            let params = request.params();
            let said = json!([params["name"], params["arguments"]]).to_string();
            answered(request, json!({ "content": [{ "type": "text", "text": said }] }))
        })
        .on("prompts/get", move |request| {
            answered(request, json!({ "messages": [] }))
        })
        .on("completion/complete", move |request| {
            answered(request, json!({ "completion": { "values": ["x"] } }))
        })
        .on("resources/read", move |request| {
            let uri = request.params()["uri"].clone();
            Reply::result(
                request,
                &whole(json!({ "contents": [{ "uri": uri, "text": "it" }] })),
            )
        })
        .start()
        .await
}

/// A gateway in front of it, and of another.
async fn curated(server: &Server, other: &Server, more: &str) -> Running {
    Gateway::new()
        .upstream("crm", format!("\n    url: {}{CURATED}", server.url()))
        .server("other", other)
        .config(more)
        .start()
        .await
}

fn keys(result: &Value, list: &str, member: &str) -> Vec<String> {
    let items = result[list]
        .as_array()
        .unwrap_or_else(|| panic!("{list} in {result}"));
    let keys = items.iter().map(|item| item[member].as_str().unwrap().to_owned());
    keys.collect()
}

fn said(result: &Value) -> Value {
    serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn what_is_not_shown_is_neither_listed_nor_reached_and_looks_unknown() {
    for mood in [Mood::Modern, Mood::Sessionful("2025-11-25")] {
        let (crm, other) = (server(mood).await, server(Mood::Modern).await);
        let gateway = curated(&crm, &other, "").await;

        for (path, name, uri) in [
            (
                "/mcp/crm",
                |name: &str| name.to_owned(),
                |uri: &str| uri.to_owned(),
            ),
            (
                "/mcp",
                |name: &str| format!("crm__{name}"),
                |uri: &str| format!("crm+{uri}"),
            ),
        ] as [(&str, fn(&str) -> String, fn(&str) -> String); 2]
        {
            for client in [
                gateway.client(path).modern(),
                gateway.client(path).legacy("2025-06-18").await,
            ] {
                let of_crm = |keys: Vec<String>| -> Vec<String> {
                    keys.into_iter().filter(|key| !key.starts_with("other")).collect()
                };
                for (method, list, member, expected) in [
                    ("tools/list", "tools", "name", vec![name("search"), name("plain")]),
                    ("prompts/list", "prompts", "name", vec![name("ask")]),
                    ("resources/list", "resources", "uri", vec![uri("note://a")]),
                    (
                        "resources/templates/list",
                        "resourceTemplates",
                        "uriTemplate",
                        vec![uri("note://{id}")],
                    ),
                ] {
                    let listed = client.ask(method, json!({})).await.result();
                    assert_eq!(of_crm(keys(&listed, list, member)), expected, "{path} {listed}");
                }
                for (method, hidden, unknown) in [
                    (
                        "tools/call",
                        json!({ "name": name("delete_all") }),
                        json!({ "name": name("nobody") }),
                    ),
                    (
                        "prompts/get",
                        json!({ "name": name("tell") }),
                        json!({ "name": name("nobody") }),
                    ),
                    (
                        "resources/read",
                        json!({ "uri": uri("note://private/p") }),
                        json!({}),
                    ),
                    (
                        "completion/complete",
                        json!({ "ref": { "type": "ref/prompt", "name": name("tell") }, "argument": { "name": "a", "value": "" } }),
                        json!({}),
                    ),
                ] {
                    crm.forget();
                    let refused = client.ask(method, hidden.clone()).await;
                    assert_eq!((refused.status, refused.code()), (200, -32602), "{path} {hidden}");
                    assert!(crm.asked(method).is_empty(), "{path} {hidden} came to the server");
                    if path == "/mcp" && unknown != json!({}) {
                        let other = client.ask(method, unknown).await;
                        let words = |answer: &harness::Answer| {
                            answer
                                .complaint()
                                .replace("nobody", "…")
                                .replace("delete_all", "…")
                                .replace("tell", "…")
                        };
                        assert_eq!(words(&refused), words(&other), "{method}");
                    }
                }
                let read = client
                    .ask("resources/read", json!({ "uri": uri("note://a") }))
                    .await;
                assert_eq!(read.result()["contents"][0]["uri"], json!(uri("note://a")));
            }
        }
    }
}

#[tokio::test]
async fn a_changed_tool_reads_as_the_file_says_and_is_called_as_its_server_knows_it() {
    let (crm, other) = (server(Mood::Modern).await, server(Mood::Modern).await);
    let gateway = curated(&crm, &other, "").await;

    for (path, tool) in [("/mcp/crm", "search"), ("/mcp", "crm__search")] {
        for client in [
            gateway.client(path).modern(),
            gateway.client(path).legacy("2025-11-25").await,
        ] {
            let listed = client.ask("tools/list", json!({})).await.result();
            let found = listed["tools"]
                .as_array()
                .unwrap()
                .iter()
                .find(|item| item["name"] == tool);
            let found = found.unwrap_or_else(|| panic!("{tool} in {listed}"));
            assert_eq!(found["title"], "Search");
            assert_eq!(found["description"], "Finds what is there.");
            assert_eq!(found["annotations"], json!({ "readOnlyHint": true }));
            assert_eq!(
                found["inputSchema"],
                json!({ "type": "object", "required": ["q"], "properties": {
                    "q": { "type": "string" }, "limit": { "type": "integer", "default": 10 } } })
            );
            assert_eq!(
                found["_meta"]["dev.causeway/name"],
                json!({ "server": "crm", "name": "find" })
            );

            for (arguments, limit) in [
                (json!({ "q": "x" }), 10),
                (json!({ "q": "x", "limit": 3, "region": "us" }), 3),
            ] {
                let called = client.call(tool, arguments).await;
                assert_eq!(
                    said(&called),
                    json!(["find", { "q": "x", "limit": limit, "region": "eu" }]),
                    "{path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_route_is_a_server_of_what_it_picks() {
    let (crm, other) = (
        server(Mood::Modern).await,
        server(Mood::Sessionful("2025-11-25")).await,
    );
    let routes = r#"
routes:
  - path: /mcp
  - path: /sales/mcp
    names: bare
    instructions: For sales.
    upstreams:
      other: { tools: { allow: [plain, delete_all], rename: { delete_all: sweep } }, prompts: [], resources: [] }
      crm: { tools: [find, delete_all] }
"#;
    let gateway = curated(&crm, &other, routes).await;

    for client in [
        gateway.client("/sales/mcp").modern(),
        gateway.client("/sales/mcp").legacy("2025-11-25").await,
    ] {
        let tools = client.ask("tools/list", json!({})).await.result();
        assert_eq!(keys(&tools, "tools", "name"), ["sweep", "plain", "search"]);
        let prompts = client.ask("prompts/list", json!({})).await.result();
        assert_eq!(keys(&prompts, "prompts", "name"), ["ask"]);
        let resources = client.ask("resources/list", json!({})).await.result();
        assert_eq!(keys(&resources, "resources", "uri"), ["crm+note://a"]);

        assert_eq!(said(&client.call("sweep", json!({})).await)[0], "delete_all");
        assert_eq!(
            said(&client.call("search", json!({ "q": "x" })).await)[1]["region"],
            "eu"
        );
        // The upstream's own `deny` holds wherever it is shown.
        let refused = client
            .ask("tools/call", json!({ "name": "crm__delete_all" }))
            .await;
        assert_eq!(refused.code(), -32602);
    }
    let greeted = gateway
        .client("/sales/mcp")
        .modern()
        .ask("server/discover", json!({}))
        .await
        .result();
    assert_eq!(greeted["instructions"], "For sales.");
}

#[tokio::test]
async fn names_may_be_as_servers_say_them() {
    let (crm, other) = (server(Mood::Modern).await, server(Mood::Modern).await);
    let routes = "routes: [{ path: /mcp, names: spec }, { path: /bare, names: bare }]\n";
    let gateway = curated(&crm, &other, routes).await;

    let names = |path: &'static str| {
        let client = gateway.client(path).modern();
        async move {
            keys(
                &client.ask("tools/list", json!({})).await.result(),
                "tools",
                "name",
            )
        }
    };
    assert_eq!(
        names("/bare").await,
        ["search", "crm__plain", "find", "delete_all", "other__plain"]
    );
    assert_eq!(names("/mcp").await[0], "crm__search");
}

#[tokio::test]
async fn who_listens_is_told_when_a_reload_shows_something_else() {
    let (crm, other) = (server(Mood::Modern).await, server(Mood::Modern).await);
    let gateway = curated(&crm, &other, "").await;
    let client = gateway.client("/mcp").modern();
    let listening = client
        .send(
            "subscriptions/listen",
            json!({ "notifications": { "toolsListChanged": true } }),
        )
        .await;
    let mut listening = listening.begun().await;
    listening.message().await.unwrap();

    let document = gateway.document().replace("delete_*", "plain");
    gateway.replace("gateway.yaml", &document);
    gateway.hang_up();

    let told = listening.message().await.unwrap();
    assert_eq!(told["method"], "notifications/tools/list_changed");
    let tools = client.ask("tools/list", json!({})).await.result();
    assert_eq!(
        keys(&tools, "tools", "name")[..2],
        ["crm__search", "crm__delete_all"]
    );
}

#[tokio::test]
async fn what_is_curated_and_does_not_exist_is_told_with_its_line() {
    let crm = server(Mood::Modern).await;
    let yaml = format!(
        "{{ url: \"{}\", tools: {{ deny: [delete_al], rename: {{ fnd: search }} }} }}",
        crm.url()
    );
    let gateway = Gateway::new().upstream("crm", &yaml).start().await;

    let says = |line: &str| {
        line.contains("`crm` has no tool `delete_al`")
            .then(|| line.to_owned())
    };
    let told = gateway.program().complaint("the warning", says).await;
    assert!(
        told.contains("did you mean `delete_all`?") && told.contains("line "),
        "{told}"
    );

    // Once it is known what it has, `check` calls it a mistake.
    harness::until("the catalog is kept", || {
        let kept = std::fs::read_dir(gateway.state().join("catalogs")).ok()?;
        kept.flatten()
            .find(|file| file.path().extension().is_some_and(|end| end == "json"))
    })
    .await;
    let (exit, said) = gateway.check().await;
    assert_eq!(exit, harness::Exit::Code(2), "{said}");
    assert!(
        said.contains("`crm` has no tool `fnd`") && said.contains("delete_all"),
        "{said}"
    );
}

#[tokio::test]
async fn a_call_that_does_not_bring_what_an_argument_needs_is_refused() {
    let crm = server(Mood::Modern).await;
    let yaml = format!(
        "{{ url: \"{}\", tools: {{ change: {{ plain: {{ fixed: {{ tenant: '${{param:tenant}}' }} }} }} }} }}",
        crm.url()
    );
    let gateway = Gateway::new().upstream("crm", &yaml).start().await;

    let refused = gateway.client("/mcp/crm").modern();
    let refused = refused
        .ask("tools/call", json!({ "name": "plain", "arguments": {} }))
        .await;
    assert_eq!(refused.code(), -32602);
    assert!(
        refused.complaint().contains("param:tenant"),
        "{}",
        refused.complaint()
    );
    let client = gateway.client("/mcp/crm?tenant=acme").modern();
    let called = client.call("plain", json!({ "tenant": "globex" })).await;
    assert_eq!(said(&called)[1], json!({ "tenant": "acme" }));
}

/// Servers read more than one spelling, and more than one kind of message.
#[tokio::test]
async fn what_is_hidden_is_not_reached_by_another_spelling() {
    for mood in [Mood::Modern, Mood::Sessionful("2025-11-25")] {
        let (crm, other) = (server(mood).await, server(Mood::Modern).await);
        let gateway = curated(&crm, &other, "").await;
        for client in [
            gateway.client("/mcp/crm").modern().unchecked(),
            gateway.client("/mcp/crm").legacy("2025-11-25").await.unchecked(),
        ] {
            for (method, hidden) in [
                ("resources/read", json!({ "uri": "NOTE://private/p" })),
                ("resources/read", json!({ "uri": "note://%70rivate/p" })),
                ("resources/read", json!({ "uri": "note://private/../private/p" })),
                (
                    "completion/complete",
                    json!({ "ref": { "type": "ref/prompt", "name": "tell", "uri": "note://a" }, "argument": { "name": "a", "value": "" } }),
                ),
                (
                    "completion/complete",
                    json!({ "ref": { "type": "ref/prompt", "name": "ask", "Name": "tell" }, "argument": { "name": "a", "value": "" } }),
                ),
            ] {
                let refused = client.ask(method, hidden.clone()).await;
                assert_eq!(refused.code(), -32602, "{hidden}");
                assert!(crm.asked(method).is_empty(), "{hidden} came to the server");
            }
        }
        let client = gateway.client("/mcp/crm").legacy("2025-11-25").await.unchecked();
        client.notify("tools/call", json!({ "name": "delete_all" })).await;
        client.call("plain", json!({})).await;
        assert_eq!(
            crm.asked("tools/call").len(),
            1,
            "a call without an id goes nowhere"
        );
    }
}

#[tokio::test]
async fn headers_say_what_the_server_is_told() {
    let crm = server(Mood::Modern).await;
    let other = server(Mood::Modern).await;
    let gateway = curated(&crm, &other, "").await;

    for (path, tool) in [
        ("/mcp/crm", "search"),
        ("/mcp", "crm__search"),
        ("/mcp", "crm__find"),
        ("/mcp/crm", "find"),
    ] {
        crm.forget();
        gateway
            .client(path)
            .modern()
            .call(tool, json!({ "q": "x" }))
            .await;
        assert_eq!(
            crm.only("tools/call").headers.get("Mcp-Name"),
            Some("find"),
            "{path} {tool}"
        );
    }
}

#[tokio::test]
async fn an_argument_that_the_file_gives_is_repeated_for_the_server_and_not_asked_of_the_client() {
    let schema = json!({ "type": "object", "properties": {
        "region": { "type": "string", "x-mcp-header": "Region" } } });
    let listed = json!({ "tools": [{ "name": "find", "inputSchema": schema }],
        "resultType": "complete", "ttlMs": 0, "cacheScope": "private" });
    let crm = Server::of(Mood::Modern)
        .on("tools/list", move |request| Reply::result(request, &listed))
        .start()
        .await;
    let other = server(Mood::Modern).await;
    let yaml = format!(
        "{{ url: \"{}\", tools: {{ change: {{ find: {{ fixed: {{ region: eu }} }} }} }} }}",
        crm.url()
    );
    let gateway = Gateway::new()
        .upstream("crm", &yaml)
        .server("other", &other)
        .start()
        .await;

    for (path, tool) in [("/mcp/crm", "find"), ("/mcp", "crm__find")] {
        crm.forget();
        let client = gateway.client(path).modern();
        client.call(tool, json!({})).await;
        let call = crm.only("tools/call");
        assert_eq!(call.params()["arguments"], json!({ "region": "eu" }), "{path}");
        assert_eq!(call.headers.get("Mcp-Param-Region"), Some("eu"), "{path}");
    }
}
