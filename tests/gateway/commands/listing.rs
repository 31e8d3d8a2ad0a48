//! `causeway tools`: what a caller sees at an endpoint.
use harness::{Exit, Gateway, Mood, Server, Terminal};
use serde_json::{Value, json};

use super::{at, command, piped, plain, seen, tool, with_tools};

/// Everything a description should not have.
const HOSTILE: &str = "Deletes\u{1b}[2J\u{1b}]0;owned\u{7} all\u{202e}gpj.exe\u{9b}31m\r\nsecond line";

#[tokio::test]
async fn a_terminal_gets_a_table() {
    let mut delete = tool(
        "delete",
        "Deletes a contact for good, and everything that was ever said about it.",
    );
    delete["annotations"] = json!({ "destructiveHint": true });
    let mut find = tool("find", "Finds contacts.");
    find["annotations"] = json!({ "readOnlyHint": true });
    let crm = with_tools(json!([delete, find])).await;
    let docs = with_tools(json!([tool("search", "Searches.\n\nWith details.")])).await;
    let gateway = Gateway::new()
        .server("crm", &crm)
        .server("docs", &docs)
        .start()
        .await;

    let (exit, screen) = seen(at(&gateway, &["tools"]), 70).await;

    assert_eq!(exit, Exit::Code(0), "{screen}");
    assert!(screen.contains("\u{1b}["), "no colours: {screen}");
    let lines: Vec<String> = plain(&screen).lines().map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            "NAME          SERVER  HINTS        WHAT IT DOES",
            "crm__delete   crm     destructive  Deletes a contact for good, and ev…",
            "crm__find     crm     read-only    Finds contacts.",
            "docs__search  docs                 Searches.",
        ]
    );
}

#[tokio::test]
async fn a_pipe_gets_plain_lines_in_full() {
    let long = "x".repeat(500);
    let crm = with_tools(json!([tool("delete", &long), tool("find", "Finds\tcontacts.")])).await;
    let other = Server::start(Mood::Modern).await;
    let gateway = Gateway::new()
        .server("crm", &crm)
        .server("other", &other)
        .start()
        .await;

    let (exit, said, complaints) = piped(at(&gateway, &["tools"])).await;

    assert_eq!((exit, complaints.as_str()), (Exit::Code(0), ""), "{said}");
    let expected = [
        format!("crm__delete\tcrm\t\t{long}"),
        "crm__find\tcrm\t\tFinds contacts.".to_owned(),
        "other__echo\tother\t\tSays what it is told.".to_owned(),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn json_is_what_the_servers_said() {
    let item = r#"{"name":"odd","inputSchema":{"type":"object"},"x-vendor":{"z":1.50,"a":12345678901234567890},"description":"\u001b[2J"}"#;
    let server = Server::of(Mood::Modern)
        .on("tools/list", move |request| {
            let text =
                format!(r#"{{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{item}]}}"#);
            harness::Reply::result_of(request, &text)
        })
        .start()
        .await;
    let gateway = Gateway::new().server("odd", &server).start().await;

    let (exit, said, _) = piped(at(&gateway, &["tools", "--json"])).await;

    assert_eq!(exit, Exit::Code(0), "{said}");
    assert!(said.contains(item), "{said}");
    assert!(serde_json::from_str::<Value>(&said).unwrap().is_array(), "{said}");
}

#[tokio::test]
async fn what_servers_say_does_nothing_to_the_terminal() {
    let mut evil = tool("evil", HOSTILE);
    evil["title"] = json!("\u{1b}[31mTitle\u{200b}");
    let server = with_tools(json!([evil])).await;
    let gateway = Gateway::new().server("x", &server).start().await;

    let mut uncoloured = at(&gateway, &["tools"]);
    uncoloured.env("NO_COLOR", "1");
    let (_, screen) = seen(uncoloured, 300).await;
    let (_, in_json) = seen(at(&gateway, &["tools", "--json"]), 300).await;
    let (_, in_a_pipe, _) = piped(at(&gateway, &["tools"])).await;

    for shown in [&screen, &in_json, &in_a_pipe] {
        let bad =
            |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || c == '\u{202e}' || c == '\u{200b}';
        assert!(!shown.contains(bad), "{shown:?}");
        assert!(shown.contains("Deletes"), "{shown}");
    }
    // One item is one line, whatever it says.
    assert_eq!(
        (screen.lines().count(), in_a_pipe.lines().count()),
        (2, 1),
        "{screen}\n{in_a_pipe}"
    );
    let items: Value = serde_json::from_str(&in_json).unwrap();
    assert_eq!(items[0]["description"], HOSTILE);
}

#[tokio::test]
async fn a_server_that_is_missing_is_named_below() {
    let nowhere = Server::nowhere().await;
    let server = Server::start(Mood::Modern).await;
    let gateway = Gateway::new()
        .server("here", &server)
        .upstream("gone", format!("{{ url: \"{nowhere}\" }}"))
        .start()
        .await;

    let (exit, said, complaints) = piped(at(&gateway, &["tools"])).await;

    assert_eq!(exit, Exit::Code(0));
    assert!(
        said.starts_with("here__echo\t") && !said.contains("gone"),
        "{said}"
    );
    assert!(complaints.contains("gone is missing"), "{complaints}");
}

#[tokio::test]
async fn all_pages_are_read() {
    let tools: Vec<Value> = (0..700).map(|number| tool(&format!("t{number}"), "")).collect();
    let server = with_tools(json!(tools)).await;
    let other = Server::start(Mood::Modern).await;
    let gateway = Gateway::new()
        .server("many", &server)
        .server("other", &other)
        .start()
        .await;

    let (_, said, _) = piped(at(&gateway, &["tools"])).await;

    assert_eq!(said.lines().count(), 701);
}

#[tokio::test]
async fn another_route_another_list_and_headers_for_the_gateway() {
    let docs = Server::start(Mood::Modern).await;
    let gateway = Gateway::new()
        .demo()
        .upstream(
            "docs",
            format!(
                "{{ url: \"{}\", headers: {{ X-Who: \"${{header:x-who}}\" }} }}",
                docs.url()
            ),
        )
        .start()
        .await;

    let (_, here, _) = piped(at(
        &gateway,
        &["tools", "--route", "/mcp/docs", "--header", "X-Who: me"],
    ))
    .await;
    let (_, prompts, _) = piped(at(&gateway, &["tools", "--route", "/mcp/demo", "--prompts"])).await;
    let (_, resources, _) = piped(at(
        &gateway,
        &["tools", "--route", "mcp?server=demo", "--resources"],
    ))
    .await;

    assert_eq!(here, "echo\t\t\tSays what it is told.");
    assert_eq!(
        docs.asked_for("tools/list").await.headers.get("x-who"),
        Some("me")
    );
    assert!(prompts.starts_with("greet\t\tname, style?\t"), "{prompts}");
    assert!(
        resources.starts_with("demo://greeting\t\ttext/plain\t"),
        "{resources}"
    );
}

#[tokio::test]
async fn who_cannot_be_asked_is_named_with_a_way_out() {
    let nowhere = Server::nowhere().await;
    let nowhere = nowhere.trim_end_matches("/mcp");
    let gateway = Gateway::new().demo().start().await;

    for (command, words) in [
        (
            command(&["tools", "--gateway", nowhere]),
            &["refuses connections", "--gateway"][..],
        ),
        (
            at(&gateway, &["tools", "--route", "/elsewhere"]),
            &["/elsewhere", "--route"],
        ),
        (
            command(&["tools", "--gateway", &gateway.admin_url()]),
            &["/mcp", "admin"],
        ),
        (
            command(&["tools", "--gateway", "127.0.0.1:1"]),
            &["did you mean `https://127.0.0.1:1/mcp`"],
        ),
    ] {
        let (exit, said, complaints) = piped(command).await;

        assert_eq!((exit, said.as_str()), (Exit::Code(1), ""), "{complaints}");
        for word in words {
            assert!(complaints.contains(word), "{word}: {complaints}");
        }
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_refused_without_showing_it() {
    for (header, words) in [
        ("Authorization: s3cret\u{1}", "cannot be sent"),
        ("Authorization Bearer s3cret", "--header"),
    ] {
        let terminal = Terminal::start(command(&["tools", "--header", header]), 80);

        assert_eq!(terminal.ended().await, Exit::Code(2));
        let screen = terminal.screen();
        assert!(screen.contains(words) && !screen.contains("s3cret"), "{screen}");
    }
}
