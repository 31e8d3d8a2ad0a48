//! Rules: what a caller may do is what a caller is shown, on every route and whatever way there is to ask.
use std::collections::BTreeSet;

use harness::{Answer, Client, Exit, Gateway, Mood, Reply, Request, Running, Server, check};
use serde_json::{Value, json};

const KEYS: &str = "auth:
  keys:
    - { name: root, key: cw_rootrootrootrootrootrootroot, roles: [admin] }
    - { name: ann, key: cw_annannannannannannannannannann, roles: [user], tenant: acme, claims: { region: eu } }
    - { name: eve, key: cw_eveeveeveeveeveeveeveeveeveeve, roles: [guest] }
    - { name: ci, key: cw_cicicicicicicicicicicicicicicic, roles: [user], scopes: [read] }
";

fn key(name: &str) -> String {
    let line = KEYS
        .lines()
        .find(|line| line.contains(&format!("name: {name},")))
        .unwrap();
    let key = line.split("key: ").nth(1).unwrap();
    key.split(',').next().unwrap().to_owned()
}

/// A server that has this of everything, and says what it was asked.
async fn server(mood: Mood) -> Server {
    let complete = |mut result: Value| {
        result["resultType"] = json!("complete");
        result
    };
    let listed = move |mut result: Value| {
        result["ttlMs"] = json!(0);
        result["cacheScope"] = json!("private");
        complete(result)
    };
    let tool = |name: &str, read_only: bool| {
        json!({ "name": name, "inputSchema": { "type": "object" },
        "annotations": { "readOnlyHint": read_only } })
    };
    let tools =
        listed(json!({ "tools": [tool("find", true), tool("delete_all", false), tool("export", false)] }));
    let prompts = listed(json!({ "prompts": [{ "name": "ask" }, { "name": "tell" }] }));
    let resources = listed(
        json!({ "resources": [{ "name": "a", "uri": "note://a" }, { "name": "p", "uri": "note://private/p" }] }),
    );
    let said = move |request: &Request| {
        let text = request.params().to_string();
        Reply::result(
            request,
            &complete(json!({ "content": [{ "type": "text", "text": text }] })),
        )
    };
    let server = Server::of(mood)
        .able_to(json!({ "tools": {}, "prompts": {}, "resources": {}, "completions": {} }))
        .on("tools/list", move |request| Reply::result(request, &tools))
        .on("prompts/list", move |request| Reply::result(request, &prompts))
        .on("resources/list", move |request| {
            Reply::result(request, &resources)
        })
        .on("tools/call", said)
        .on("prompts/get", move |request| {
            Reply::result(request, &complete(json!({ "messages": [] })))
        })
        .on("resources/read", move |request| {
            let uri = request.params()["uri"].clone();
            let contents =
                json!({ "contents": [{ "uri": uri, "text": "x" }], "ttlMs": 0, "cacheScope": "private" });
            Reply::result(request, &complete(contents))
        });
    server.start().await
}

const RULES: &str = r#"allow:
  - { roles: [admin], upstreams: ["*"] }
  - { roles: [user], upstreams: [crm], tools: ["delete_*"], effect: deny }
  - { roles: [user], upstreams: [crm], tools: [export], when: "args.region == claims.region" }
  - { roles: [user], upstreams: [crm], tools: [export], scopes: [write] }
  - { roles: [user], upstreams: [crm], tools: [find], prompts: [ask], resources: ["note://?"] }
"#;

async fn gateway(crm: &Server, other: &Server, rules: &str) -> Running {
    Gateway::new()
        .server("crm", crm)
        .server("wiki", other)
        .config(KEYS)
        .config(rules)
        .start()
        .await
}

fn as_who(gateway: &Running, who: &str, path: &str) -> Client {
    let client = gateway
        .client(path)
        .with("Authorization", &format!("Bearer {}", key(who)));
    client.modern()
}

async fn listed(client: &Client, method: &str, member: &str, key: &str) -> BTreeSet<String> {
    let result = client.ask(method, json!({})).await.result();
    let items = result[member].as_array().unwrap().iter();
    items.map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn call(client: &Client, tool: &str, arguments: Value) -> Answer {
    client
        .ask("tools/call", json!({ "name": tool, "arguments": arguments }))
        .await
}

#[tokio::test]
async fn what_is_listed_is_what_may_be_called() {
    let (crm, wiki) = (server(Mood::Dual).await, server(Mood::Dual).await);
    let gateway = gateway(&crm, &wiki, RULES).await;

    for (who, path, tools, prompts, resources) in [
        (
            "root",
            "/mcp/crm",
            &["find", "delete_all", "export"][..],
            &["ask", "tell"][..],
            &["note://a", "note://private/p"][..],
        ),
        ("ann", "/mcp/crm", &["find", "export"], &["ask"], &["note://a"]),
        ("eve", "/mcp/crm", &[], &[], &[]),
        ("ann", "/mcp/wiki", &[], &[], &[]),
        (
            "ann",
            "/mcp",
            &["crm__find", "crm__export"],
            &["crm__ask"],
            &["crm+note://a"],
        ),
        ("eve", "/mcp", &[], &[], &[]),
    ] {
        let client = as_who(&gateway, who, path);
        assert_eq!(
            listed(&client, "tools/list", "tools", "name").await,
            set(tools),
            "{who} {path}"
        );
        assert_eq!(
            listed(&client, "prompts/list", "prompts", "name").await,
            set(prompts),
            "{who} {path}"
        );
        assert_eq!(
            listed(&client, "resources/list", "resources", "uri").await,
            set(resources),
            "{who} {path}"
        );
        for tool in ["find", "delete_all", "export"] {
            let name = if path == "/mcp" {
                format!("crm__{tool}")
            } else {
                tool.to_owned()
            };
            let answer = call(&client, &name, json!({ "region": "eu" })).await;
            match tools.contains(&&*name) {
                true => assert!(
                    answer.result()["isError"].is_null(),
                    "{who} {path} {tool}: {answer:?}"
                ),
                false => {
                    // Just as what there is not.
                    let nothing = call(&client, "nothing", json!({})).await;
                    let told = answer.complaint().replace(&name, "nothing");
                    assert_eq!(
                        (answer.status, answer.code(), told),
                        (nothing.status, nothing.code(), nothing.complaint())
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn what_a_rule_says_of_arguments_is_the_tools_answer() {
    let (crm, wiki) = (server(Mood::Dual).await, server(Mood::Dual).await);
    let gateway = gateway(&crm, &wiki, RULES).await;

    for path in ["/mcp/crm", "/mcp"] {
        let client = as_who(&gateway, "ann", path);
        let tool = if path == "/mcp" { "crm__export" } else { "export" };
        crm.forget();
        for arguments in [
            json!({ "region": "us" }),
            json!({}),
            json!({ "region": ["eu"] }),
            json!({ "Region": "eu" }),
        ] {
            let result = call(&client, tool, arguments).await.result();
            assert_eq!(result["isError"], json!(true), "{result}");
            assert!(
                result["content"][0]["text"]
                    .as_str()
                    .unwrap()
                    .contains("do not allow"),
                "{result}"
            );
        }
        let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"TOOL","arguments":{"region":"us","region":"eu"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let answer = client
            .clone()
            .with("Mcp-Method", "tools/call")
            .with("Mcp-Name", tool)
            .post(twice.replace("TOOL", tool))
            .await;
        assert!(answer.last()["result"]["isError"] != json!(false), "{answer:?}");
        assert_eq!(
            crm.asked("tools/call").len(),
            0,
            "a denied call reached its server"
        );
        assert!(call(&client, tool, json!({ "region": "eu" })).await.result()["isError"].is_null());
    }
    let record = gateway
        .record("a denied call", |record| record["decision"] == "deny")
        .await;
    assert_eq!(
        (&record["principal"], &record["tool"]),
        (&json!("ann"), &json!("export"))
    );
}

#[tokio::test]
async fn a_token_with_too_few_scopes_is_told_which_it_needs() {
    let (crm, wiki) = (server(Mood::Dual).await, server(Mood::Dual).await);
    let gateway = gateway(&crm, &wiki, RULES).await;

    for (path, tool) in [("/mcp/crm", "export"), ("/mcp", "crm__export")] {
        let answer = call(&as_who(&gateway, "ci", path), tool, json!({ "region": "us" })).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_eq!(
            answer.headers.all("WWW-Authenticate"),
            ["Bearer error=\"insufficient_scope\", scope=\"write\""]
        );
    }
    // What no scope would help with is no matter of scopes.
    let hidden = call(&as_who(&gateway, "ci", "/mcp/crm"), "delete_all", json!({})).await;
    assert_eq!((hidden.status, hidden.code()), (200, -32602), "{hidden:?}");
}

#[tokio::test]
async fn earlier_clients_are_held_to_the_same() {
    let crm = server(Mood::Dual).await;
    let wiki = server(Mood::Dual).await;
    let gateway = gateway(&crm, &wiki, RULES).await;
    for path in ["/mcp/crm", "/mcp"] {
        let client = gateway
            .client(path)
            .with("Authorization", &format!("Bearer {}", key("ann")));
        let client = client.legacy("2025-06-18").await;
        let prefix = if path == "/mcp" { "crm__" } else { "" };
        let tools = listed(&client, "tools/list", "tools", "name").await;
        assert_eq!(
            tools,
            set(&[&format!("{prefix}find"), &format!("{prefix}export")])
        );
        let answer = call(&client, &format!("{prefix}delete_all"), json!({})).await;
        assert_eq!(answer.code(), -32602, "{answer:?}");
        let denied = call(&client, &format!("{prefix}export"), json!({ "region": "us" }))
            .await
            .result();
        assert_eq!(denied["isError"], json!(true));
        assert!(denied.get("resultType").is_none(), "{denied}");
    }
    assert_eq!(crm.asked("tools/call").len(), 0);
}

#[tokio::test]
async fn other_methods_of_a_server_are_for_those_who_have_all_of_it() {
    let (crm, wiki) = (server(Mood::Dual).await, server(Mood::Dual).await);
    let gateway = gateway(&crm, &wiki, RULES).await;

    as_who(&gateway, "ann", "/mcp/crm")
        .unchecked()
        .ask("vendor/secret", json!({}))
        .await
        .complaint();
    assert_eq!(crm.asked("vendor/secret").len(), 0);
    as_who(&gateway, "root", "/mcp/crm")
        .unchecked()
        .ask("vendor/secret", json!({}))
        .await;
    assert_eq!(crm.asked("vendor/secret").len(), 1);
}

#[tokio::test]
async fn rules_that_are_only_tried_deny_nothing_and_say_what_they_would() {
    let (crm, wiki) = (server(Mood::Dual).await, server(Mood::Dual).await);
    let rules = RULES
        .replace("allow:\n", "allow:\n  dry_run: true\n  rules:\n")
        .replace("\n  -", "\n    -");
    let gateway = gateway(&crm, &wiki, &rules).await;
    let client = as_who(&gateway, "ann", "/mcp/crm");

    assert_eq!(listed(&client, "tools/list", "tools", "name").await.len(), 3);
    assert!(call(&client, "delete_all", json!({})).await.result()["isError"].is_null());

    let record = gateway
        .record("what would be denied", |record| {
            record["decision"] == "would_deny"
        })
        .await;
    assert_eq!(record["tool"], json!("delete_all"));
    assert!(record["rule"].as_u64().is_some(), "{record}");
}

#[tokio::test]
async fn what_a_server_says_of_its_tools_counts_where_it_is_trusted() {
    let (crm, wiki) = (server(Mood::Dual).await, server(Mood::Dual).await);
    let gateway = Gateway::new()
        .upstream("crm", format!("{{ url: \"{}\", trusted: true }}", crm.url()))
        .server("wiki", &wiki)
        .config(KEYS)
        .config("allow: [{ roles: [user], tools: [\"*\"], annotations: { readOnlyHint: true } }]")
        .start()
        .await;

    for (path, tools) in [
        ("/mcp/crm", &["find"][..]),
        ("/mcp/wiki", &[]),
        ("/mcp", &["crm__find"]),
    ] {
        let client = as_who(&gateway, "ann", path);
        assert_eq!(
            listed(&client, "tools/list", "tools", "name").await,
            set(tools),
            "{path}"
        );
    }
    let client = as_who(&gateway, "ann", "/mcp/crm");
    assert!(call(&client, "find", json!({})).await.result()["isError"].is_null());
    assert_eq!(call(&client, "export", json!({})).await.code(), -32602);
}

#[tokio::test]
async fn a_reload_changes_what_everybody_may() {
    let (crm, wiki) = (server(Mood::Dual).await, server(Mood::Dual).await);
    let gateway = gateway(&crm, &wiki, RULES).await;
    let client = as_who(&gateway, "ann", "/mcp");
    assert_eq!(listed(&client, "tools/list", "tools", "name").await.len(), 2);

    gateway.replace(
        "gateway.yaml",
        &gateway
            .document()
            .replace("tools: [find], prompts", "tools: [nothing], prompts"),
    );
    gateway.reloaded("all upstreams stay").await;

    assert_eq!(
        listed(&client, "tools/list", "tools", "name").await,
        set(&["crm__export"])
    );
    assert_eq!(call(&client, "crm__find", json!({})).await.code(), -32602);
}

#[tokio::test]
async fn no_rule_lets_nobody_do_anything() {
    let (crm, wiki) = (server(Mood::Dual).await, server(Mood::Dual).await);
    let gateway = gateway(&crm, &wiki, "allow: []").await;
    let client = as_who(&gateway, "root", "/mcp/crm");

    assert_eq!(listed(&client, "tools/list", "tools", "name").await.len(), 0);
    assert_eq!(call(&client, "find", json!({})).await.code(), -32602);
}

#[tokio::test]
async fn rules_that_cannot_be_meant_are_mistakes_with_their_lines() {
    let upstreams = "upstreams:\n  crm: { command: causeway, args: [demo] }\n";
    let (exit, said) = check(&format!(
        "{upstreams}{KEYS}allow:\n  - {{ roles: [admn], tools: [a] }}\n  - {{ upstreams: [crn], tools: [a] }}\n  \
         - {{ tool: [a] }}\n  - {{ when: \"arg.x ==\" }}\n"
    ))
    .await;

    assert_eq!(exit, Exit::Code(2), "{said}");
    for words in [
        "did you mean `admin`?",
        "did you mean `crm`?",
        "did you mean `tools`?",
        "gateway.yaml:12:",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
