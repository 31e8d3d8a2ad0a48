//! A conversation of the earlier revisions: begun by `initialize`, named by a sealed id, ended by DELETE.
use harness::{Gateway, Mood, Reply, Running, Server};
use serde_json::json;

#[tokio::test]
async fn initialize_passes_in_the_clients_own_words() {
    let server = Server::of(Mood::Legacy("2025-06-18")).on("initialize", |request| {
        Reply::result_of(
            request,
            r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{},"vendor":{"n":1.10}},"serverInfo":{"name":"theirs","version":"9","more":1},"instructions":"Read me."}"#,
        )
    });
    let server = server.start().await;
    let upstream = format!("{{ url: \"{}\", revision: 2025-06-18 }}", server.url());
    let gateway = Gateway::new().upstream("docs", upstream).start().await;

    let words = r#"{"protocolVersion":"2025-06-18","clientInfo":{"name":"mine","version":"1.10","x":[1.10]},"capabilities":{"vendor":{}}}"#;
    let client = gateway.client("/mcp");
    let answer = client
        .post(format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{words}}}"#
        ))
        .await;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer.text().contains(r#""vendor":{"n":1.10}"#),
        "{}",
        answer.text()
    );
    assert!(
        answer
            .text()
            .contains(r#""name":"theirs","version":"9","more":1"#),
        "{}",
        answer.text()
    );
    assert_eq!(answer.result()["instructions"], "Read me.");
    let greetings = server.asked("initialize");
    let greeted = greetings
        .iter()
        .any(|request| String::from_utf8_lossy(&request.body).contains(words));
    assert!(greeted, "the client's words did not arrive: {greetings:?}");
}

#[tokio::test]
async fn a_session_id_is_ours_and_hides_the_servers() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;

    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    client.call("echo", json!({ "message": "hi" })).await;

    let session = client.session().expect("a session was begun");
    assert!(
        session.len() <= 4096 && session.bytes().all(|byte| (0x21..=0x7e).contains(&byte)),
        "{session}"
    );
    assert!(!session.contains("upstream-session"), "{session}");
    let theirs = server
        .only("tools/call")
        .headers
        .get("Mcp-Session-Id")
        .unwrap()
        .to_owned();
    assert!(theirs.starts_with("upstream-session-"), "{theirs}");
}

#[tokio::test]
async fn an_id_is_given_at_initialize_only() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    let answer = client.ask("tools/list", json!({})).await;
    let modern = gateway
        .client("/mcp")
        .with("Mcp-Session-Id", client.session().unwrap())
        .modern();
    let ignored = modern.ask("tools/list", json!({})).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers.get("Mcp-Session-Id"), None);
    // A session header on a request of 2026-07-28 is nothing at all.
    assert_eq!(ignored.headers.get("Mcp-Session-Id"), None);
    assert_ne!(ignored.status, 404, "{ignored:?}");
}

/// The same server behind two names and a second gateway: everything a session can be foreign to.
async fn foreign(server: &Server) -> (Running, Running) {
    let here = Gateway::new()
        .server("docs", server)
        .server("crm", server)
        .start()
        .await;
    let there = Gateway::new().server("docs", server).start().await;
    (here, there)
}

#[tokio::test]
async fn a_session_that_is_not_ours_is_not_found() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let (here, there) = foreign(&server).await;
    let ours = here.client("/mcp/docs").legacy("2025-06-18").await;
    let ours = ours.session().unwrap();
    let elsewhere = here.client("/mcp/crm").legacy("2025-06-18").await;
    let elsewhere = elsewhere.session().unwrap();
    let of_another_gateway = there.client("/mcp/docs").legacy("2025-06-18").await;
    let of_another_gateway = of_another_gateway.session().unwrap();
    let before = server.requests().len();

    let middle = ours.len() / 2;
    let flipped = if ours.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let tampered = format!("{}{flipped}{}", &ours[..middle], &ours[middle + 1..]);
    let cut = &ours[..ours.len() - 1];
    let upstreams_own = "upstream-session-1";
    for foreign in [
        elsewhere,
        of_another_gateway,
        &tampered,
        cut,
        "garbage",
        "1",
        upstreams_own,
        &"x".repeat(5000),
    ] {
        let client = here
            .client("/mcp/docs")
            .sessionless("2025-06-18")
            .with("Mcp-Session-Id", foreign);
        let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

        assert_eq!(answer.status, 404, "{foreign}: {answer:?}");
        let deleted = client.fetch("DELETE").await;
        assert_eq!(deleted.status, 404, "{foreign}: {deleted:?}");
    }
    assert_eq!(
        server.requests().len(),
        before,
        "the server was asked: {:?}",
        server.requests()
    );
}

#[tokio::test]
async fn two_session_headers_are_none() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    let session = client.session().unwrap().to_owned();
    let answer = client
        .with_another("Mcp-Session-Id", &session)
        .ask("tools/call", json!({ "name": "echo" }))
        .await;

    assert!(matches!(answer.status, 400 | 404), "{answer:?}");
    assert_eq!(server.asked("tools/call").len(), 0);
}

#[tokio::test]
async fn one_request_without_a_session_is_served_on_its_own() {
    let (plain, strict) = (
        Server::start(Mood::Legacy("2025-06-18")).await,
        Server::start(Mood::Sessionful("2025-06-18")).await,
    );
    let gateway = Gateway::new()
        .server("plain", &plain)
        .server("strict", &strict)
        .demo()
        .start()
        .await;

    for (path, arguments) in [
        ("/mcp/plain", json!({ "message": "hi" })),
        ("/mcp/strict", json!({ "message": "hi" })),
        ("/mcp/demo", json!({ "text": "hi" })),
    ] {
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "echo", "arguments": arguments },
        });
        // As a newcomer would with curl: no version, no session, any answer.
        let answer = gateway
            .client(path)
            .with("Accept", "*/*")
            .post(body.to_string())
            .await;

        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.result()["content"][0]["text"], "hi", "{path}");
        assert_eq!(answer.headers.get("Mcp-Session-Id"), None, "{path}");
    }
}

#[tokio::test]
async fn a_deleted_session_is_gone_here_and_there() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let other = gateway.client("/mcp").legacy("2025-06-18").await;

    let deleted = client.fetch("DELETE").await;
    let afterwards = client.ask("tools/call", json!({ "name": "echo" })).await;
    let again = client.fetch("DELETE").await;

    assert!(matches!(deleted.status, 200 | 204), "{deleted:?}");
    assert_eq!(afterwards.status, 404, "{afterwards:?}");
    assert_eq!(again.status, 404, "{again:?}");
    let told = server.request("DELETE", |request| request.verb == "DELETE").await;
    assert!(
        told.headers
            .get("Mcp-Session-Id")
            .unwrap()
            .starts_with("upstream-session-"),
        "{told:?}"
    );
    other.call("echo", json!({ "message": "hi" })).await;
}

#[tokio::test]
async fn a_server_that_forgot_a_session_has_its_client_begin_again() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    server.forget_sessions();
    let answer = client
        .ask(
            "tools/call",
            json!({ "name": "echo", "arguments": { "message": "hi" } }),
        )
        .await;

    // Either it is renewed unseen, or the client is told so in the words of its revision.
    assert!(matches!(answer.status, 200 | 404), "{answer:?}");
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    assert_eq!(
        client.call("echo", json!({ "message": "hi" })).await["content"][0]["text"],
        "hi"
    );
}

#[tokio::test]
async fn a_server_that_forgot_the_shared_session_is_greeted_again_unseen() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").sessionless("2025-06-18");
    client.call("echo", json!({ "message": "before" })).await;

    server.forget_sessions();
    let result = client.call("echo", json!({ "message": "after" })).await;

    assert_eq!(result["content"][0]["text"], "after");
}

#[tokio::test]
async fn gateways_with_one_key_share_their_sessions() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let key = "session: { key: \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\" }";
    let one = Gateway::new().server("docs", &server).config(key).start().await;
    let other = Gateway::new().server("docs", &server).config(key).start().await;

    let client = one.client("/mcp").legacy("2025-06-18").await;
    let moved = other
        .client("/mcp")
        .sessionless("2025-06-18")
        .with("Mcp-Session-Id", client.session().unwrap());
    let result = moved.call("echo", json!({ "message": "hi" })).await;

    assert_eq!(result["content"][0]["text"], "hi");
}

#[tokio::test]
async fn a_route_may_demand_sessions_or_never_begin_them() {
    let server = Server::start(Mood::Legacy("2025-06-18")).await;
    let routes = "routes: [{ path: /strict, sessions: required }, { path: /loose, sessions: \"off\" }]";
    let gateway = Gateway::new()
        .server("docs", &server)
        .config(routes)
        .start()
        .await;

    let alone = gateway
        .client("/strict")
        .sessionless("2025-06-18")
        .ask("tools/list", json!({}))
        .await;
    let strict = gateway.client("/strict").legacy("2025-06-18").await;
    let loose = gateway.client("/loose").legacy("2025-06-18").await;

    assert_eq!(alone.status, 400, "{alone:?}");
    assert_eq!(alone.last()["id"], 1, "{alone:?}");
    assert!(strict.session().is_some());
    strict.call("echo", json!({ "message": "hi" })).await;
    assert_eq!(loose.session(), None);
    loose.call("echo", json!({ "message": "hi" })).await;
    for verb in ["GET", "DELETE"] {
        let answer = loose
            .clone()
            .with("Accept", "text/event-stream")
            .fetch(verb)
            .await;
        assert_eq!(answer.status, 405, "{verb}: {answer:?}");
    }
}

#[tokio::test]
async fn a_client_gets_the_revision_it_asks_for_where_no_session_begins() {
    let server = Server::start(Mood::Sessionful("2025-11-25")).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("routes: [{ path: /loose, sessions: \"off\" }]")
        .start()
        .await;

    let (client, greeting) = gateway.client("/loose").initialize("2025-06-18").await;
    client.call("echo", json!({ "message": "hi" })).await;

    assert_eq!(greeting.result()["protocolVersion"], "2025-06-18", "{greeting:?}");
    assert_eq!(client.session(), None);
}
