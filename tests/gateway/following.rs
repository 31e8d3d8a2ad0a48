//! Changes that are told across eras: `subscriptions/listen` on one side, the GET stream and `resources/subscribe` on the
//! other.
mod in_a_session;

use std::sync::atomic::{AtomicBool, Ordering};

use harness::{
    Client, Exchange, Gate, Gateway, Mood, Reply, Request, Running, Server, SseClient, until, within,
};
use serde_json::{Value, json};

const LEGACY: Mood = Mood::Sessionful("2025-11-25");
const ID: &str = "io.modelcontextprotocol/subscriptionId";

async fn gateway(server: &Server) -> Running {
    Gateway::new().server("docs", server).start().await
}

fn list_changed(kind: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": format!("notifications/{kind}/list_changed") })
}

fn updated(uri: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": { "uri": uri } })
}

/// A server of an earlier revision that tells these changes on its GET stream once the gate is open.
async fn telling(capabilities: Value, gate: &Gate, changes: Vec<Value>) -> Server {
    let gate = gate.clone();
    Server::of(LEGACY)
        .able_to(capabilities)
        .on("resources/subscribe", |request| {
            Reply::result(request, &json!({}))
        })
        .on("resources/unsubscribe", |request| {
            Reply::result(request, &json!({}))
        })
        .on("GET", move |_| {
            let reply = Reply::stream().wait(&gate);
            let reply = changes.iter().fold(reply, |reply, change| reply.event(change));
            reply.wait(&Gate::closed())
        })
        .start()
        .await
}

fn all() -> Value {
    json!({ "tools": { "listChanged": true }, "prompts": { "listChanged": true }, "resources": { "subscribe": true, "listChanged": true } })
}

/// Listens as a client of 2026-07-28 does; gives the stream, and what was acknowledged.
async fn listen(client: &Client, id: Value, notifications: Value) -> (Exchange, Value) {
    let mut request = client.request("subscriptions/listen", json!({ "notifications": notifications }));
    request["id"] = id.clone();
    let mut stream = client.send_message(&request).await.begun().await;
    let first = stream
        .message()
        .await
        .expect("an acknowledgement before anything else");
    assert_eq!(
        first["method"], "notifications/subscriptions/acknowledged",
        "{first}"
    );
    assert_eq!(
        first["params"]["_meta"][ID], id,
        "of the type that it was sent in: {first}"
    );
    let honoured = first["params"]["notifications"].clone();
    (stream, honoured)
}

async fn heard(stream: &mut Exchange) -> Value {
    stream.message().await.expect("the stream goes on")
}

#[tokio::test]
async fn a_listener_hears_what_an_earlier_server_tells() {
    for id in [json!(1), json!("1")] {
        let gate = Gate::closed();
        let changes = vec![
            list_changed("tools"),
            updated("test://greeting"),
            updated("test://other"),
        ];
        let server = telling(all(), &gate, changes).await;
        let gateway = gateway(&server).await;
        let client = gateway.client("/mcp").modern();

        let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": ["test://greeting"] });
        let (mut stream, honoured) = listen(&client, id.clone(), wanted.clone()).await;
        gate.open();
        let (first, second) = (heard(&mut stream).await, heard(&mut stream).await);

        assert_eq!(honoured, wanted);
        assert_eq!(first["method"], "notifications/tools/list_changed", "{first}");
        assert_eq!(second["params"]["uri"], "test://greeting", "{second}");
        for message in [&first, &second] {
            assert_eq!(message["params"]["_meta"][ID], id, "{message}");
        }
        assert_eq!(
            server.only("resources/subscribe").params()["uri"],
            "test://greeting"
        );
    }
}

#[tokio::test]
async fn what_a_server_does_not_tell_is_not_promised() {
    let gate = Gate::closed();
    gate.open();
    let capabilities = json!({ "tools": {}, "prompts": { "listChanged": true }, "resources": {} });
    let changes = vec![
        list_changed("tools"),
        updated("test://greeting"),
        list_changed("prompts"),
    ];
    let server = telling(capabilities, &gate, changes).await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").modern();

    let wanted = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourceSubscriptions": ["test://greeting"],
    });
    let (mut stream, honoured) = listen(&client, json!(1), wanted).await;
    let first = heard(&mut stream).await;

    assert_eq!(honoured["promptsListChanged"], true, "{honoured}");
    for not in ["toolsListChanged", "resourceSubscriptions"] {
        let kind = &honoured[not];
        assert!(
            kind.is_null() || *kind == false || *kind == json!([]),
            "{honoured}"
        );
    }
    assert_eq!(first["method"], "notifications/prompts/list_changed", "{first}");
    assert!(server.asked("resources/subscribe").is_empty());
}

#[tokio::test]
async fn a_server_without_a_stream_promises_nothing() {
    let server = Server::of(LEGACY).able_to(all()).start().await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").modern();

    let (_stream, honoured) = listen(&client, json!(1), json!({ "toolsListChanged": true })).await;

    assert_ne!(honoured["toolsListChanged"], true, "{honoured}");
}

#[tokio::test]
async fn a_part_of_what_is_subscribed_to_counts() {
    let gate = Gate::closed();
    let changes = vec![updated("test://book-of-jokes"), updated("test://book/chapter/1")];
    let server = telling(all(), &gate, changes).await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").modern();

    let (mut stream, _) = listen(
        &client,
        json!(1),
        json!({ "resourceSubscriptions": ["test://book"] }),
    )
    .await;
    gate.open();

    assert_eq!(heard(&mut stream).await["params"]["uri"], "test://book/chapter/1");
}

#[tokio::test]
async fn two_listeners_are_one_subscription_until_the_last_one_leaves() {
    let gate = Gate::closed();
    let server = telling(all(), &gate, vec![updated("test://greeting")]).await;
    let gateway = gateway(&server).await;
    let wanted = json!({ "resourceSubscriptions": ["test://greeting"] });

    let (mut one, _) = listen(&gateway.client("/mcp").modern(), json!(1), wanted.clone()).await;
    let (mut two, _) = listen(&gateway.client("/mcp").modern(), json!(1), wanted).await;
    gate.open();
    heard(&mut one).await;
    heard(&mut two).await;
    drop(one);
    // What the gateway would do about the first one it would do before this.
    gateway
        .client("/mcp")
        .modern()
        .ask("tools/list", json!({}))
        .await
        .result();
    assert!(server.asked("resources/unsubscribe").is_empty());
    drop(two);

    let last = server.asked_for("resources/unsubscribe").await;
    assert_eq!(last.params()["uri"], "test://greeting");
    assert_eq!(server.asked("resources/subscribe").len(), 1);
}

#[tokio::test]
async fn what_may_have_been_missed_is_said_to_have_changed() {
    let (breaks, first) = (Gate::closed(), AtomicBool::new(true));
    let breaking = breaks.clone();
    let server = Server::of(LEGACY)
        .able_to(all())
        .on("resources/subscribe", |request| {
            Reply::result(request, &json!({}))
        })
        // The first stream breaks, the second stays and says nothing.
        .on("GET", move |_| match first.swap(false, Ordering::SeqCst) {
            true => Reply::stream().raw(": hello\n\n").wait(&breaking).cut(),
            false => Reply::stream().wait(&Gate::closed()),
        });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").modern();

    let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": ["test://greeting"] });
    let (mut stream, _) = listen(&client, json!(1), wanted).await;
    breaks.open();
    let mut methods =
        [heard(&mut stream).await, heard(&mut stream).await].map(|message| message["method"].clone());
    methods.sort_by_key(Value::to_string);

    assert_eq!(
        methods,
        [
            "notifications/resources/updated",
            "notifications/tools/list_changed"
        ]
    );
}

#[tokio::test]
async fn a_gateway_that_stops_says_that_nothing_more_will_come() {
    let server = telling(all(), &Gate::closed(), Vec::new()).await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").modern();
    let (mut stream, _) = listen(&client, json!("mine"), json!({ "toolsListChanged": true })).await;

    let stopping = gateway.stop();
    let (last, _) = tokio::join!(stream.message(), stopping);

    let last = last.expect("a result before the end");
    assert_eq!(last["id"], "mine", "{last}");
    assert_eq!(last["result"]["resultType"], "complete", "{last}");
    assert_eq!(last["result"]["_meta"][ID], "mine", "{last}");
}

/// A server of 2026-07-28 that acknowledges everything, and tells these changes once the gate is open.
async fn listened_to(gate: &Gate, changes: Vec<Value>) -> Server {
    let gate = gate.clone();
    Server::of(Mood::Modern)
        .able_to(all())
        .on("subscriptions/listen", move |request| {
            let id = request.json()["id"].clone();
            let stamped = |mut message: Value| {
                message["params"]["_meta"] = json!({ ID: id });
                message
            };
            let acknowledged = json!({
                "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                "params": { "notifications": request.params()["notifications"] },
            });
            let reply = Reply::stream().event(&stamped(acknowledged)).wait(&gate);
            let reply = changes
                .iter()
                .fold(reply, |reply, change| reply.event(&stamped(change.clone())));
            reply.wait(&Gate::closed())
        })
        .start()
        .await
}

/// The stream of a session.
async fn stream(client: &Client) -> Exchange {
    let listening = client
        .clone()
        .with("Accept", "text/event-stream")
        .fetching("GET")
        .await;
    let listening = listening.begun().await;
    assert_eq!(listening.status, 200, "{:?}", listening.headers);
    listening
}

fn filter(request: &Request) -> Value {
    request.params()["notifications"].clone()
}

#[tokio::test]
async fn an_earlier_client_hears_on_its_stream_what_a_2026_07_28_server_tells() {
    let gate = Gate::closed();
    let changes = vec![list_changed("tools"), updated("test://greeting")];
    let server = listened_to(&gate, changes).await;
    let gateway = gateway(&server).await;
    let (client, greeting) = gateway.client("/mcp").initialize("2025-11-25").await;

    let mut stream = stream(&client).await;
    let subscribed = client
        .ask("resources/subscribe", json!({ "uri": "test://greeting" }))
        .await
        .result();
    server
        .request("a filter with the resource", |request| {
            filter(request)["resourceSubscriptions"] == json!(["test://greeting"])
        })
        .await;
    gate.open();
    let mut told = Vec::new();
    while told.len() < 2 {
        let message = heard(&mut stream).await;
        assert!(!message.to_string().contains(ID), "{message}");
        // The stream before the subscription may have told some of it already.
        if !told.contains(&message["method"]) {
            told.push(message["method"].clone());
        }
    }

    let capabilities = &greeting.result()["capabilities"];
    assert_eq!(capabilities["resources"]["subscribe"], true, "{capabilities}");
    assert_eq!(capabilities["tools"]["listChanged"], true, "{capabilities}");
    assert_eq!(subscribed, json!({}));
    told.sort_by_key(Value::to_string);
    assert_eq!(
        told,
        [
            "notifications/resources/updated",
            "notifications/tools/list_changed"
        ]
    );
    assert!(
        server.asked("resources/subscribe").is_empty(),
        "2026-07-28 does not know it"
    );
}

#[tokio::test]
async fn what_is_unsubscribed_from_is_listened_for_no_more() {
    let server = listened_to(&Gate::closed(), Vec::new()).await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;
    let _stream = stream(&client).await;
    let is = |uris: Value| move |request: &Request| filter(request)["resourceSubscriptions"] == uris;

    client
        .ask("resources/subscribe", json!({ "uri": "test://a" }))
        .await
        .result();
    let first = server.request("a", is(json!(["test://a"]))).await;
    client
        .ask("resources/subscribe", json!({ "uri": "test://b" }))
        .await
        .result();
    let both = server
        .request("a and b", is(json!(["test://a", "test://b"])))
        .await;
    // The new stream stands before the old one is closed.
    server.abandoned(&first).await;
    client
        .ask("resources/unsubscribe", json!({ "uri": "test://a" }))
        .await
        .result();
    server.request("b", is(json!(["test://b"]))).await;
    server.abandoned(&both).await;
}

#[tokio::test]
async fn a_client_of_sse_hears_on_its_stream_too() {
    let gate = Gate::closed();
    let server = listened_to(&gate, vec![updated("test://greeting")]).await;
    let gateway = gateway(&server).await;
    let client = SseClient::connect(&gateway.client("/mcp/docs/sse")).await;
    let mut client = client.initialized("2024-11-05").await;

    client
        .ask("resources/subscribe", json!({ "uri": "test://greeting" }))
        .await;
    server.asked_for("subscriptions/listen").await;
    gate.open();
    let message = client.message().await;

    assert_eq!(message["method"], "notifications/resources/updated", "{message}");
    assert!(!message.to_string().contains(ID), "{message}");
}

#[tokio::test]
async fn a_session_that_ends_listens_no_more() {
    let server = listened_to(&Gate::closed(), Vec::new()).await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;
    let _stream = stream(&client).await;
    client
        .ask("resources/subscribe", json!({ "uri": "test://a" }))
        .await
        .result();
    server.asked_for("subscriptions/listen").await;

    client.fetch("DELETE").await;

    until("every stream to be closed", || {
        let all = server.asked("subscriptions/listen");
        all.iter()
            .all(|request| server.is_abandoned(request))
            .then_some(())
    })
    .await;
}

/// A session in front of a 2026-07-28 server, whose only stream has just been closed after a change was told on it. The
/// server tells another where it was listened to first, once the gate is open, and elsewhere nothing.
async fn left(gate: &Gate) -> (Server, Running, Client) {
    let (gate, first) = (gate.clone(), AtomicBool::new(true));
    let server = Server::of(Mood::Modern)
        .able_to(all())
        .on("subscriptions/listen", move |request| {
            let stamp = json!({ ID: request.json()["id"] });
            let acknowledged = json!({
                "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                "params": { "notifications": filter(request), "_meta": stamp },
            });
            let changed = |kind| {
                let mut changed = list_changed(kind);
                changed["params"] = json!({ "_meta": stamp });
                changed
            };
            let reply = Reply::stream().event(&acknowledged);
            match first.swap(false, Ordering::SeqCst) {
                true => {
                    let reply = reply.event(&changed("prompts")).wait(&gate);
                    reply.event(&changed("tools")).wait(&Gate::closed())
                }
                false => reply.wait(&Gate::closed()),
            }
        })
        .start()
        .await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;
    let mut listening = stream(&client).await;
    heard(&mut listening).await;
    drop(listening);
    until_left(&gateway).await;
    (server, gateway, client)
}

/// Waits until the operator sees that no stream is held.
async fn until_left(gateway: &Running) {
    let streams = |text: &str| {
        let lines = text
            .lines()
            .filter(|line| line.starts_with("causeway_held_streams{"));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum::<f64>()
    };
    let left = async { while streams(&gateway.admin("/metrics").await.text()) > 0.0 {} };
    within("the stream to be let go of", left).await;
}

#[tokio::test]
async fn what_changes_between_two_streams_is_told_on_the_second() {
    let gate = Gate::closed();
    let (server, _gateway, client) = left(&gate).await;

    gate.open();
    let mut again = stream(&client).await;
    let message = heard(&mut again).await;

    assert_eq!(message["method"], "notifications/tools/list_changed", "{message}");
    server.only("subscriptions/listen");
}

#[tokio::test]
async fn nothing_is_followed_for_a_session_that_ends_between_two_streams() {
    let (server, _gateway, client) = left(&Gate::closed()).await;

    client.fetch("DELETE").await;

    server.abandoned(&server.only("subscriptions/listen")).await;
}

#[tokio::test]
async fn a_listener_that_takes_no_events_is_refused() {
    for mood in [Mood::Modern, Mood::Sessionful("2025-11-25")] {
        let server = Server::start(mood).await;
        let gateway = Gateway::new().server("docs", &server).start().await;
        let client = gateway.client("/mcp").modern().with("Accept", "application/json");

        let answer = client
            .ask(
                "subscriptions/listen",
                json!({ "notifications": { "toolsListChanged": true } }),
            )
            .await;

        assert_eq!(
            (answer.status, answer.code()),
            (406, -32600),
            "{mood:?}: {answer:?}"
        );
        assert!(answer.complaint().contains("text/event-stream"), "{answer:?}");
        assert!(server.asked("subscriptions/listen").is_empty(), "{mood:?}");
    }
}
