//! `causeway call`: what is shown of a call while it runs, of its result, and of what keeps it from having one.
use harness::{Exit, Gate, Gateway, Mood, Reply, Running, Server, Terminal};
use serde_json::{Value, json};

use super::{at, piped, plain, seen, tool, with_tools};

async fn demo() -> Running {
    Gateway::new().demo().start().await
}

/// A server whose one tool returns this.
async fn returning(result: Value) -> Server {
    Server::of(Mood::Modern)
        .on("tools/call", move |request| Reply::result(request, &result))
        .start()
        .await
}

#[tokio::test]
async fn arguments_come_from_the_command_line_a_file_or_standard_input() {
    let gateway = demo().await;
    let file = gateway.home().join("arguments.json");
    std::fs::write(&file, "{\n  \"text\": \"from a file\"\n}\n").unwrap();

    for (arguments, expected) in [
        (r#"{"text":"hi"}"#.to_owned(), "hi"),
        (format!("@{}", file.display()), "from a file"),
    ] {
        let (exit, said, complaints) = piped(at(&gateway, &["call", "echo", &arguments])).await;
        assert_eq!(
            (exit, said.as_str(), complaints.as_str()),
            (Exit::Code(0), expected, "")
        );
    }
    let mut shell = std::process::Command::new("/bin/sh");
    let line = format!(
        "echo '{{\"text\":\"through a pipe\"}}' | {} call echo - --gateway {}",
        harness::causeway().display(),
        gateway.url("")
    );
    let (exit, said, _) = piped({
        shell.args(["-c", &line]);
        shell
    })
    .await;
    assert_eq!((exit, said.as_str()), (Exit::Code(0), "through a pipe"));
}

#[tokio::test]
async fn wrong_arguments_say_where() {
    let gateway = demo().await;
    for (arguments, words) in [
        (r#"{"text" "hi"}"#, &["line 1, column 9", "expected `:`", "^"][..]),
        ("{\"text\":\n  oops}", &["line 2, column 3"]),
        ("[1]", &["an object"]),
        ("@/nowhere/at/all.json", &["/nowhere/at/all.json", "No such file"]),
    ] {
        let (exit, said, complaints) = piped(at(&gateway, &["call", "echo", arguments])).await;

        assert_eq!((exit, said.as_str()), (Exit::Code(2), ""), "{complaints}");
        for word in words {
            assert!(complaints.contains(word), "{word}: {complaints}");
        }
    }
}

#[tokio::test]
async fn content_is_shown_for_people() {
    let hostile = "one\u{1b}[2J\r\ntwo\u{202e}";
    let server = returning(json!({ "resultType": "complete", "content": [
        { "type": "text", "text": hostile },
        { "type": "resource_link", "uri": "note://a", "name": "a", "title": "A note", "mimeType": "text/plain", "size": 2048 },
        { "type": "image", "data": "A".repeat(4096), "mimeType": "image/png" },
        { "type": "audio", "data": "YWJj", "mimeType": "audio/wav" },
        { "type": "resource", "resource": { "uri": "note://b", "mimeType": "text/plain", "text": "inside" } },
        { "type": "resource", "resource": { "uri": "note://c", "blob": "YWJj" } },
    ], "structuredContent": { "not": "shown" } }))
    .await;
    let gateway = Gateway::new().server("x", &server).start().await;

    let (exit, said, _) = piped(at(&gateway, &["call", "echo"])).await;
    let (_, screen) = seen(at(&gateway, &["call", "echo"]), 80).await;

    assert_eq!(exit, Exit::Code(0));
    let expected = [
        "one\\u{1b}[2J",
        "two\\u{202e}",
        "note://a  A note, text/plain, 2.0 KiB",
        "[image: image/png, 3.0 KiB]",
        "[audio: audio/wav, 3 bytes]",
        "[note://b: text/plain]",
        "inside",
        "[note://c: 3 bytes]",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    assert_eq!(plain(&screen).lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn structured_content_stands_in_where_there_is_nothing_else() {
    let server = Server::of(Mood::Modern)
        .on("tools/call", |request| {
            let result =
                r#"{"resultType":"complete","content":[],"structuredContent":{"b":1.50,"a":["\u001b[1m"]}}"#;
            Reply::result_of(request, result)
        })
        .start()
        .await;
    let gateway = Gateway::new().server("x", &server).start().await;

    let (_, said, _) = piped(at(&gateway, &["call", "echo"])).await;
    let (_, raw, _) = piped(at(&gateway, &["call", "echo", "--json"])).await;

    assert_eq!(said, "{\n  \"b\": 1.50,\n  \"a\": [\n    \"\\u001b[1m\"\n  ]\n}");
    assert!(
        raw.contains(r#""structuredContent":{"b":1.50,"a":["\u001b[1m"]}"#),
        "{raw}"
    );
}

#[tokio::test]
async fn progress_and_logs_go_to_standard_error() {
    let gateway = demo().await;

    let (exit, said, complaints) =
        piped(at(&gateway, &["call", "slow", r#"{"steps":2,"delay_ms":0}"#])).await;
    let (_, _, logged) = piped(at(&gateway, &["call", "log", r#"{"count":2,"level":"warning"}"#])).await;

    assert_eq!((exit, said.as_str()), (Exit::Code(0), "done after 2 steps"));
    assert_eq!(
        complaints,
        "progress: 1/2 (50%)  step 1 of 2\nprogress: 2/2 (100%)  step 2 of 2"
    );
    assert_eq!(logged, "warning: message 1 of 2\nwarning: message 2 of 2");
}

#[tokio::test]
async fn a_terminal_has_one_living_line_that_is_gone_at_the_end() {
    let gateway = demo().await;

    let (_, screen) = seen(at(&gateway, &["call", "slow", r#"{"steps":3,"delay_ms":0}"#]), 40).await;

    assert!(
        screen.contains("\r\u{1b}[2K") && screen.contains("3/3 (100%)"),
        "{screen:?}"
    );
    let after = screen.rsplit("\r\u{1b}[2K").next().unwrap();
    assert_eq!(after, "done after 3 steps\n", "{screen:?}");
}

#[tokio::test]
async fn a_tool_that_failed_fails_the_command() {
    let gateway = demo().await;

    let (exit, said, complaints) = piped(at(&gateway, &["call", "fail"])).await;
    let (exit_json, json, _) = piped(at(&gateway, &["call", "fail", "--json"])).await;

    assert_eq!((exit, said.as_str()), (Exit::Code(1), "This tool always fails."));
    assert!(complaints.contains("`fail` says that it failed"), "{complaints}");
    assert_eq!(exit_json, Exit::Code(1));
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["isError"], true);
}

#[tokio::test]
async fn an_error_says_what_and_where() {
    let gateway = demo().await;

    let (exit, said, complaints) = piped(at(&gateway, &["call", "error", r#"{"code":-32603}"#])).await;

    assert_eq!((exit, said.as_str()), (Exit::Code(1), ""));
    for word in [
        "`error` at http://",
        "/mcp",
        "This tool always answers with an error",
        "-32603",
    ] {
        assert!(complaints.contains(word), "{word}: {complaints}");
    }
}

#[tokio::test]
async fn an_unknown_tool_is_answered_with_those_that_are_near() {
    let crm = with_tools(json!([tool("find_contact", ""), tool("delete", "")])).await;
    let docs = with_tools(json!([tool("search", "")])).await;
    let gateway = Gateway::new()
        .server("crm", &crm)
        .server("docs", &docs)
        .start()
        .await;

    for (name, words) in [
        ("crm__find_contct", "did you mean `crm__find_contact`?"),
        ("serch", "did you mean `docs__search`?"),
        ("docs__delete", "did you mean `crm__delete`?"),
        ("something\u{1b}", "not among the 3 tools"),
    ] {
        let (exit, _, complaints) = piped(at(&gateway, &["call", name])).await;

        assert_eq!(exit, Exit::Code(1));
        assert!(
            complaints.contains(words) && !complaints.contains('\u{1b}'),
            "{name}: {complaints}"
        );
    }
    assert!(crm.asked("tools/call").is_empty() && docs.asked("tools/call").is_empty());
}

/// 2026-07-28 tools may want arguments repeated in headers, and servers refuse calls without.
#[tokio::test]
async fn arguments_that_belong_into_headers_stand_there() {
    let annotated = json!([{ "name": "echo", "inputSchema": {
        "type": "object", "properties": { "region": { "type": "string", "x-mcp-header": "Region" } },
    } }]);
    let server = with_tools(annotated).await;
    let gateway = Gateway::new().server("x", &server).start().await;

    let (exit, _, complaints) = piped(at(&gateway, &["call", "echo", r#"{"region":"eu"}"#])).await;

    assert_eq!(exit, Exit::Code(0), "{complaints}");
    let call = server.only("tools/call");
    assert_eq!(call.headers.get("mcp-param-region"), Some("eu"));
}

#[tokio::test]
async fn ctrl_c_ends_the_call_at_the_server() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(Mood::Modern)
        .on("tools/call", move |request| {
            let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {
                "progressToken": request.params()["_meta"]["progressToken"], "progress": 1, "message": "thinking",
            } });
            Reply::stream().event(&progress).wait(&held)
        })
        .start()
        .await;
    let gateway = Gateway::new().server("x", &server).start().await;

    let terminal = Terminal::start(at(&gateway, &["call", "echo"]), 80);
    let request = server.asked_for("tools/call").await;
    terminal.shows("thinking").await;
    terminal.interrupts();

    assert_eq!(terminal.ended().await, Exit::Code(130));
    server.abandoned(&request).await;
    assert!(
        terminal.screen().contains("its call is cancelled"),
        "{}",
        terminal.screen()
    );
}
