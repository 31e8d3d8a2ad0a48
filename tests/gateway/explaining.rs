//! `causeway explain` and `causeway tools --as`: what is said of a caller by the file alone is what a gateway does.
use std::collections::BTreeSet;

use harness::{Answer, Client, Exit, Gateway, Issuer, Mood, Reply, Request, Running, Server};
use serde_json::{Value, json};

use super::commands::{at, command, piped, plain, seen};

const KEYS: &str = "auth:
  keys:
    - { name: root, key: cw_rootrootrootrootrootrootroot, roles: [admin] }
    - { name: ann, key: cw_annannannannannannannannannann, roles: [user], tenant: acme, claims: { region: eu } }
    - { name: eve, key: cw_eveeveeveeveeveeveeveeveeveeve, roles: [guest], claims: { region: us } }
    - { name: ci, key: cw_cicicicicicicicicicicicicicicic, roles: [user], scopes: [read] }
";

const RULES: &str = r#"allow:
  - { roles: [admin], upstreams: ["*"] }
  - { roles: [user], tools: ["delete_*"], effect: ask, within: 10m }
  - { tools: [export], arguments: { region: "us*" }, effect: deny, message: "not from over there" }
  - { roles: [user], upstreams: [crm], tools: [export, report], when: "args.region == claims.region" }
  - { roles: [user], upstreams: [crm], tools: [export], scopes: [write, export] }
  - { roles: [guest], tools: [report], arguments: { region: us } }
  - { roles: [user], parameters: { tenant: acme }, tools: [notes] }
  - { roles: [user, guest], annotations: { readOnlyHint: true } }
  - { roles: [user], upstreams: [crm], prompts: [ask], resources: ["note://?"] }
"#;

const ROUTES: &str = "routes: [{ path: /mcp }, { path: \"/mcp/{server}\" }, { path: \"/t/{tenant}/mcp\", upstreams: [crm, wiki] }]";

const TOOLS: [&str; 6] = ["find", "delete_all", "export", "report", "notes", "secret"];

/// A server with these tools, two prompts and two resources.
async fn server() -> Server {
    let complete = |mut result: Value| {
        result["resultType"] = json!("complete");
        result
    };
    let listed = move |mut result: Value| {
        result["ttlMs"] = json!(0);
        result["cacheScope"] = json!("private");
        complete(result)
    };
    let tools = TOOLS.map(|name| {
        json!({ "name": name, "description": format!("Does {name}."), "inputSchema": { "type": "object" },
            "annotations": { "readOnlyHint": name == "find" } })
    });
    let tools = listed(json!({ "tools": tools }));
    let prompts = listed(json!({ "prompts": [{ "name": "ask" }, { "name": "tell" }] }));
    let resources = listed(
        json!({ "resources": [{ "name": "a", "uri": "note://a" }, { "name": "p", "uri": "note://private/p" }] }),
    );
    let called = move |request: &Request| Reply::result(request, &complete(json!({ "content": [] })));
    Server::of(Mood::Modern)
        .able_to(json!({ "tools": {}, "prompts": {}, "resources": {} }))
        .on("tools/list", move |request| Reply::result(request, &tools))
        .on("prompts/list", move |request| Reply::result(request, &prompts))
        .on("resources/list", move |request| {
            Reply::result(request, &resources)
        })
        .on("tools/call", called)
        .on("prompts/get", move |request| {
            Reply::result(request, &complete(json!({ "messages": [] })))
        })
        .on("resources/read", move |request| {
            let uri = request.params()["uri"].clone();
            let contents =
                json!({ "contents": [{ "uri": uri, "text": "x" }], "ttlMs": 0, "cacheScope": "private" });
            Reply::result(request, &complete(contents))
        })
        .start()
        .await
}

/// `crm` is curated and trusted, `wiki` is neither.
async fn gateway(crm: &Server, wiki: &Server, more: &str) -> Running {
    let tools = "{ deny: [secret], rename: { find: search }, change: { report: { fixed: { region: \"${claim:region:-none}\" } } } }";

    Gateway::new()
        .upstream(
            "crm",
            format!("{{ url: \"{}\", trusted: true, tools: {tools} }}", crm.url()),
        )
        .server("wiki", wiki)
        .config(ROUTES)
        .config(more)
        .start()
        .await
}

/// Has somebody who sees everything look at everything, and waits until that is kept.
async fn keep(gateway: &Running, everybody: Client) {
    everybody.ask("tools/list", json!({})).await.result();
    harness::until("both catalogs are kept", || {
        let kept = std::fs::read_dir(gateway.state().join("catalogs")).ok()?;
        let kept = kept
            .flatten()
            .filter(|file| file.path().extension().is_some_and(|end| end == "json"));
        (kept.count() == 2).then_some(())
    })
    .await;
}

fn as_key(gateway: &Running, name: &str, path: &str) -> Client {
    gateway.client(path).with("Authorization", &bearer(name)).modern()
}

fn bearer(name: &str) -> String {
    let line = KEYS
        .lines()
        .find(|line| line.contains(&format!("name: {name},")))
        .unwrap();
    let key = line.split("key: ").nth(1).unwrap().split(',').next().unwrap();
    format!("Bearer {key}")
}

/// What `explain` says, and how it ends.
async fn explained(gateway: &Running, arguments: &[&str]) -> (Exit, Value) {
    let mut command = command(&["explain", "--json"]);
    command
        .args([
            "--file",
            &gateway.home().join("gateway.yaml").display().to_string(),
        ])
        .args(arguments);
    let (exit, said, complaints) = piped(command).await;
    let said = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{arguments:?}: {said}{complaints}"));
    (exit, said)
}

/// What a gateway did, in the words of `explain`.
fn done(answer: &Answer) -> (&'static str, Value) {
    if answer.status == 403 {
        let challenge = answer.headers.all("WWW-Authenticate").join(" ");
        let scopes = challenge
            .split("scope=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        return ("needs_scopes", json!(scopes.split(' ').collect::<Vec<_>>()));
    }
    if matches!(answer.status, 401 | 404) {
        return ("turned_away", json!([]));
    }
    let last = answer.last();
    if let Some(error) = last["error"]["message"].as_str() {
        let words = if error.contains("nknown") {
            "unknown"
        } else {
            "told"
        };
        return (words, json!([]));
    }
    let text = last["result"]["content"][0]["text"].as_str().unwrap_or_default();
    let is_error = last["result"]["isError"] == json!(true);
    let words = match (is_error, text.contains("approval")) {
        (false, _) => "allowed",
        (true, true) => "asked",
        (true, false) => "told",
    };
    (words, json!([]))
}

/// The same of what `explain` said. What is hidden by the file looks like what is hidden by the rules.
fn said(explained: &Value) -> (&str, Value) {
    let words = match explained["looks"].as_str() {
        Some("hidden") => "unknown",
        Some(looks) => looks,
        None => explained["decision"].as_str().unwrap(),
    };
    (words, explained["scopes"].clone())
}

fn exit_of(words: &str) -> Exit {
    Exit::Code(i32::from(words != "allowed"))
}

#[tokio::test]
async fn an_explanation_is_what_the_gateway_does() {
    let (crm, wiki) = (server().await, server().await);
    let gateway = gateway(&crm, &wiki, &format!("{KEYS}{RULES}")).await;
    keep(&gateway, as_key(&gateway, "root", "/mcp")).await;

    let mut met = BTreeSet::new();
    for who in ["root", "ann", "eve", "ci"] {
        for (path, prefix) in [
            ("/mcp/crm", ""),
            ("/mcp/wiki", ""),
            ("/mcp", "crm__"),
            ("/t/acme/mcp", "crm__"),
            ("/t/acme/mcp", "wiki__"),
        ] {
            let client = as_key(&gateway, who, path);
            for tool in TOOLS.into_iter().chain(["search"]) {
                // A name that the file gave leads to nothing at another server. One that has another name is found by
                // its own at an endpoint of many only by rules that do not ask what it declares.
                if (tool == "search" && (path == "/mcp/wiki" || prefix == "wiki__"))
                    || (tool == "find" && prefix == "crm__")
                {
                    continue;
                }
                for arguments in [
                    r#"{}"#,
                    r#"{"region":"eu"}"#,
                    r#"{"region":"us"}"#,
                    r#"{"Region":"eu"}"#,
                ] {
                    let name = format!("{prefix}{tool}");
                    let params = json!({ "name": name,
                        "arguments": serde_json::from_str::<Value>(arguments).unwrap() });
                    let answer = client.ask("tools/call", params).await;
                    let key = format!("key:{who}");

                    let (exit, told) =
                        explained(&gateway, &["--as", &key, "--route", path, &name, arguments]).await;

                    let case = format!("{who} {path} {name} {arguments}: {told}");
                    assert_eq!(said(&told), done(&answer), "{case}: {answer:?}");
                    assert_eq!(exit, exit_of(said(&told).0), "{case}");
                    met.insert(said(&told).0.to_owned());
                }
            }
        }
    }
    let all = [
        "allowed",
        "asked",
        "needs_scopes",
        "told",
        "turned_away",
        "unknown",
    ];
    assert_eq!(met.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[tokio::test]
async fn prompts_and_resources_are_explained_too() {
    let (crm, wiki) = (server().await, server().await);
    let gateway = gateway(&crm, &wiki, &format!("{KEYS}{RULES}")).await;
    keep(&gateway, as_key(&gateway, "root", "/mcp")).await;

    for who in ["root", "ann", "eve"] {
        for (path, flag, method, member, name) in [
            ("/mcp/crm", "--prompt", "prompts/get", "name", "ask"),
            ("/mcp/crm", "--prompt", "prompts/get", "name", "tell"),
            ("/mcp", "--prompt", "prompts/get", "name", "crm__ask"),
            ("/mcp", "--prompt", "prompts/get", "name", "wiki__ask"),
            ("/mcp/crm", "--resource", "resources/read", "uri", "note://a"),
            ("/mcp", "--resource", "resources/read", "uri", "crm+note://a"),
            (
                "/mcp",
                "--resource",
                "resources/read",
                "uri",
                "crm+note://private/p",
            ),
        ] {
            let client = as_key(&gateway, who, path);
            let answer = client.ask(method, json!({ member: name })).await;
            let key = format!("key:{who}");
            let (_, told) = explained(&gateway, &["--as", &key, "--route", path, flag, name]).await;
            assert_eq!(
                said(&told),
                done(&answer),
                "{who} {path} {name}: {told} {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_token_would_say_is_said_beside_it() {
    let (crm, wiki, issuer) = (server().await, server().await, Issuer::start().await);
    let auth = format!(
        "auth:\n  jwt: [{}]\n{RULES}\npublic_url: https://tools.example.com",
        issuer.entry(", name: corp")
    );
    let gateway = gateway(&crm, &wiki, &auth).await;
    let bearer = |path: &str, claims: Value| {
        let mut all = json!({ "aud": format!("https://tools.example.com{path}"), "sub": "ann" });
        all.as_object_mut()
            .unwrap()
            .extend(claims.as_object().unwrap().clone());
        let client = gateway.client(path).with("Host", "tools.example.com");
        client
            .with("Authorization", &format!("Bearer {}", issuer.token(all)))
            .modern()
    };
    keep(&gateway, bearer("/mcp", json!({ "roles": ["admin"] }))).await;

    for (roles, scopes) in [
        ("user", ""),
        ("user", "write export"),
        ("guest", "read"),
        ("admin", ""),
    ] {
        let said_of_her = json!({ "roles": [roles], "org": "acme", "region": "eu", "scope": scopes });
        let client = bearer("/mcp/crm", said_of_her);
        for tool in TOOLS {
            for arguments in [json!({}), json!({ "region": "eu" }), json!({ "region": "asia" })] {
                let params = json!({ "name": tool, "arguments": arguments });
                let answer = client.ask("tools/call", params).await;
                let (_, told) = explained(
                    &gateway,
                    &[
                        "--as",
                        "corp:ann",
                        "--roles",
                        roles,
                        "--tenant",
                        "acme",
                        "--scopes",
                        &scopes.replace(' ', ","),
                        "--claims",
                        r#"{"region":"eu"}"#,
                        "--route",
                        "/mcp/{server}",
                        "--upstream",
                        "crm",
                        tool,
                        &arguments.to_string(),
                    ],
                )
                .await;
                assert_eq!(
                    said(&told),
                    done(&answer),
                    "{roles} {scopes} {tool}: {told} {answer:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_somebody_would_see_is_what_they_see() {
    let (crm, wiki) = (server().await, server().await);
    let gateway = gateway(&crm, &wiki, &format!("{KEYS}{RULES}")).await;
    keep(&gateway, as_key(&gateway, "root", "/mcp")).await;
    let file = gateway.home().join("gateway.yaml").display().to_string();

    for who in ["root", "ann", "eve", "ci"] {
        for path in ["/mcp", "/mcp/crm", "/mcp/wiki"] {
            for list in [&["--json"][..], &[], &["--prompts"], &["--resources", "--json"]] {
                let header = format!("Authorization: {}", bearer(who));
                let mut asked = at(&gateway, &["tools", "--route", path, "--header", &header]);
                asked.args(list);
                let mut kept = command(&[
                    "tools",
                    "--route",
                    path,
                    "--as",
                    &format!("key:{who}"),
                    "--file",
                    &file,
                ]);
                kept.args(list);

                let (asked, kept) = (piped(asked).await, piped(kept).await);

                assert_eq!(
                    (kept.0, kept.1),
                    (asked.0, asked.1),
                    "{who} {path} {list:?}: {}",
                    kept.2
                );
            }
        }
    }
}

#[tokio::test]
async fn a_server_of_which_nothing_is_kept_is_named() {
    let crm = server().await;
    let routes = ROUTES.replace("crm, wiki", "crm");
    let gateway = Gateway::new()
        .server("crm", &crm)
        .config(&routes)
        .config(KEYS)
        .config(RULES);
    let file = gateway.file("gateway.yaml", &gateway.document());

    let tools = piped(command(&["tools", "--as", "key:ann", "--file", &file])).await;
    assert!(tools.2.contains("crm is missing"), "{tools:?}");

    let call = piped(command(&["explain", "--as", "key:ann", "--file", &file, "find"])).await;
    assert_eq!(call.0, Exit::Code(1), "{call:?}");
    assert_eq!(crm.requests().len(), 0, "a server was asked");
}

#[tokio::test]
async fn people_get_a_table_and_scripts_get_lines() {
    let crm = server().await;
    let routes = ROUTES.replace("crm, wiki", "crm");
    let gateway = Gateway::new()
        .server("crm", &crm)
        .config(&routes)
        .config(KEYS)
        .config(RULES);
    let file = gateway.file("gateway.yaml", &gateway.document());
    let line = |words: &str| {
        let document = gateway.document();
        let before = document.lines().position(|line| line.contains(words)).unwrap();
        before + 1
    };
    let explain = |arguments: &[&str]| {
        let mut command = command(&["explain", "--file", &file, "--as", "key:ann"]);
        command.args(arguments);
        command
    };

    let (exit, text, notes) = piped(explain(&["export", r#"{"region":"us"}"#])).await;
    assert_eq!((exit, notes.as_str()), (Exit::Code(1), ""), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let (first, last) = (line("roles: [admin], up"), line("over there"));
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(
        lines[0],
        format!(
            "{first}\tallow\tdoes not apply: none of its roles\t{{ roles: [admin], upstreams: [\"*\"] }}"
        )
    );
    assert!(
        lines[2].starts_with(&format!("{last}\tdeny\tdecides\t{{ tools: [export]")),
        "{text}"
    );
    assert_eq!(
        lines[3],
        format!(
            "key:ann and the tool `export` of crm at /mcp: denied by the rule on line {last}; the tool's answer says \
             so: not from over there"
        )
    );

    let (_, screen) = seen(explain(&["export", r#"{"region":"us"}"#]), 80).await;
    assert!(screen.contains("\u{1b}["), "no colours: {screen}");
    assert!(plain(&screen).starts_with("LINE  EFFECT  WHY"), "{screen}");
}

#[tokio::test]
async fn mistakes_say_what_could_be_meant() {
    let (crm, wiki) = (server().await, server().await);
    let gateway = Gateway::new().server("crm", &crm).server("wiki", &wiki);
    let gateway = gateway.config(ROUTES).config(KEYS).config(RULES);
    let file = gateway.file("gateway.yaml", &gateway.document());

    for (arguments, words) in [
        (&["--as", "key:anna", "crm/find"][..], "did you mean `ann`?"),
        (&["--as", "ann", "crm/find"], "did you mean `key:ann`?"),
        (&["--as", "corp:ann", "crm/find"], "nobody is known by `corp`"),
        (
            &["--as", "key:ann", "--roles", "admin", "crm/find"],
            "leave out `--roles`",
        ),
        (&["--as", "key:ann", "find"], "`crm/find`, `wiki/find`"),
        (
            &["--as", "key:ann", "--upstream", "crn", "find"],
            "did you mean `crm`?",
        ),
        (
            &["--as", "key:ann", "--route", "/mpc", "crm/find"],
            "did you mean `/mcp`?",
        ),
        (
            &["--as", "key:ann", "--route", "/t/{tenant}/mcp", "crm/find"],
            "--param tenant=",
        ),
        (
            &["--as", "key:ann", "--route", "/mcp/nobody", "find"],
            "it can lead to crm, wiki",
        ),
        (&["--as", "key:ann", "crm/find", "{"], "no JSON"),
        (&["crm/find"], "--as"),
    ] {
        let mut command = command(&["explain", "--file", &file]);
        command.args(arguments);
        let (exit, said, complaints) = piped(command).await;
        assert_eq!(
            (exit, said.as_str()),
            (Exit::Code(2), ""),
            "{arguments:?}: {complaints}"
        );
        assert!(complaints.contains(words), "{arguments:?}: {complaints}");
    }
}
