//! Changes that an earlier server tells to the session alone whose client is concerned, for clients of 2026-07-28 that
//! may be asked something: their calls are made in a session of their own.
use std::sync::Mutex;

use harness::{Client, Gate, Reply, Request, Running, Server, until};
use serde_json::{Value, json};

use super::{LEGACY, all, gateway, heard, list_changed, listen, updated};

fn session(request: &Request) -> String {
    let session = request.headers.get("mcp-session-id");
    session.expect("a session").to_owned()
}

/// The requests for streams outside of calls.
fn listened(server: &Server) -> Vec<Request> {
    let mut all = server.requests();
    all.retain(|request| request.verb == "GET");
    all
}

/// A server that tells each session, once the gate is open, of its own resource: the first of `test://0`, the next of
/// `test://1`.
async fn telling_each(gate: &Gate) -> Server {
    let (gate, sessions) = (gate.clone(), Mutex::new(Vec::new()));
    let taken = |request: &Request| Reply::result(request, &json!({}));
    Server::of(LEGACY)
        .able_to(all())
        .on("resources/subscribe", taken)
        .on("resources/unsubscribe", taken)
        .on("GET", move |request| {
            let mut sessions = sessions.lock().unwrap();
            sessions.push(session(request));
            let change = updated(&format!("test://{}", sessions.len() - 1));
            let stream = Reply::stream().wait(&gate).event(&change);
            stream.event(&list_changed("tools")).wait(&Gate::closed())
        })
        .start()
        .await
}

fn able(gateway: &Running) -> Client {
    let able = json!({ "elicitation": {}, "roots": {} });
    gateway.client("/mcp").able_to(able).modern()
}

fn wanted() -> Value {
    json!({ "toolsListChanged": true, "resourceSubscriptions": ["test://0", "test://1"] })
}

#[tokio::test]
async fn a_listener_hears_what_is_told_to_the_session_of_its_calls() {
    let gate = Gate::closed();
    let server = telling_each(&gate).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    // It listens before it has called anything.
    let (mut stream, honoured) = listen(&client, json!(1), wanted()).await;
    client.call("echo", json!({ "message": "hi" })).await;
    gate.open();
    let told = [heard(&mut stream).await, heard(&mut stream).await];

    assert_eq!(honoured, wanted());
    let methods = told.each_ref().map(|told| told["method"].as_str().unwrap());
    assert!(methods.contains(&"notifications/tools/list_changed"), "{told:?}");
    assert!(methods.contains(&"notifications/resources/updated"), "{told:?}");
    let ours = session(&server.only("tools/call"));
    assert_eq!(listened(&server).len(), 1);
    assert_eq!(session(&listened(&server)[0]), ours, "in the session that calls");
    for subscribed in server.asked("resources/subscribe") {
        assert_eq!(session(&subscribed), ours);
    }
}

#[tokio::test]
async fn who_may_be_asked_nothing_hears_another_session() {
    let gate = Gate::closed();
    let server = telling_each(&gate).await;
    let gateway = gateway(&server).await;

    let uris = |uris: [&str; 2]| json!({ "resourceSubscriptions": uris });
    let both = uris(["test://0", "test://1"]);
    let (mut asked, _) = listen(&able(&gateway), json!(1), both.clone()).await;
    let (mut never, _) = listen(&gateway.client("/mcp").modern(), json!(2), both).await;
    gate.open();

    assert_eq!(heard(&mut asked).await["params"]["uri"], "test://0");
    assert_eq!(heard(&mut never).await["params"]["uri"], "test://1");
    assert_eq!(listened(&server).len(), 2);
}

#[tokio::test]
async fn what_was_subscribed_to_and_listened_for_ends_with_the_listener_and_the_session() {
    let server = telling_each(&Gate::closed()).await;
    let upstream = format!("{{ url: \"{}\", idle: 10s }}", server.url());
    let gateway = harness::Gateway::new().upstream("docs", upstream).start().await;
    let (stream, _) = listen(&able(&gateway), json!(1), wanted()).await;
    gateway
        .counted("causeway_upstream_session_streams{upstream=\"docs\"} 1")
        .await;

    drop(stream);

    let left = server.request("an end", |request| request.verb == "DELETE").await;
    let listened = listened(&server).remove(0);
    assert_eq!(session(&left), session(&listened));
    until("both resources to be left", || {
        (server.asked("resources/unsubscribe").len() == 2).then_some(())
    })
    .await;
    until("the stream to be closed", || {
        server.is_abandoned(&listened).then_some(())
    })
    .await;
    for gauge in ["session_streams", "feeds"] {
        gateway
            .counted(&format!("causeway_upstream_{gauge}{{upstream=\"docs\"}} 0"))
            .await;
    }
}
