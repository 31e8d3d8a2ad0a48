//! GET within a session: what its server says outside of calls, to one stream at a time, and the questions among it.
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use harness::{
    Client, Exchange, Gate, Gateway, Mood, Program, Reply, Request, Running, Server, causeway, within,
};
use rustix::process::Signal;
use serde_json::{Value, json};

const SESSIONFUL: Mood = Mood::Sessionful("2025-06-18");

/// Opens a stream that listens to this client's session.
async fn listen(client: &Client) -> Exchange {
    let client = client.clone().with("Accept", "text/event-stream");
    let stream = client.fetching("GET").await.begun().await;
    assert!(
        stream.status == 200 && stream.is_stream(),
        "{} {:?}",
        stream.status,
        stream.headers
    );
    stream
}

fn log(data: usize) -> Value {
    let params = json!({ "level": "info", "data": data });
    json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params })
}

fn question(id: &str) -> Value {
    let content = json!({ "type": "text", "text": "how are you?" });
    let params = json!({ "messages": [{ "role": "user", "content": content }], "maxTokens": 9 });
    json!({ "jsonrpc": "2.0", "id": id, "method": "sampling/createMessage", "params": params })
}

fn answer(id: &Value) -> String {
    let result = json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "fine" } });
    json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string()
}

/// Whether it is an answer to a question of the server's.
fn is_answer(request: &Request) -> bool {
    let message = request.json();
    message.get("method").is_none() && message.get("result").is_some()
}

/// A server that asks on its stream, once for each session, and then is quiet.
async fn asking() -> Server {
    let server = Server::of(SESSIONFUL).on("GET", |_| {
        Reply::stream().event(&question("q7")).wait(&Gate::closed())
    });
    server.start().await
}

async fn able(gateway: &Running) -> Client {
    gateway
        .client("/mcp")
        .able_to(json!({ "sampling": {} }))
        .legacy("2025-06-18")
        .await
}

#[tokio::test]
async fn the_stream_begins_at_once_however_quiet_the_server_is() {
    let server = Server::of(SESSIONFUL)
        .on("GET", |_| Reply::silence())
        .start()
        .await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    let foreign = client
        .clone()
        .with("Last-Event-ID", "theirs-7")
        .with("X-Custom", "mine");
    let _stream = listen(&foreign).await;

    let get = server.request("GET", |request| request.verb == "GET").await;
    assert!(
        get.headers
            .get("mcp-session-id")
            .unwrap()
            .starts_with("upstream-session-"),
        "{get:?}"
    );
    assert_eq!(
        get.headers.get("last-event-id"),
        None,
        "an id of somebody else's events: {get:?}"
    );
    client.call("echo", json!({ "message": "meanwhile" })).await;
}

#[tokio::test]
async fn a_session_that_is_not_ours_has_no_stream() {
    let server = Server::start(SESSIONFUL).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .server("crm", &server)
        .start()
        .await;
    let client = gateway.client("/mcp/docs").legacy("2025-06-18").await;
    server.forget();

    let session = client.session().unwrap().to_owned();
    for (path, session) in [
        ("/mcp/docs", "made up"),
        ("/mcp/crm", &session),
        ("/mcp/docs", ""),
    ] {
        let client = gateway
            .client(path)
            .with("Accept", "text/event-stream")
            .with("Mcp-Session-Id", session);
        let refused = client.fetch("GET").await;
        assert_eq!(refused.status, 404, "{path} {session}: {refused:?}");
    }
    let json = client
        .clone()
        .with("Accept", "application/json")
        .fetch("GET")
        .await;
    assert_eq!(json.status, 406, "{json:?}");
    assert!(server.requests().is_empty(), "{:?}", server.requests());
}

#[tokio::test]
async fn the_newest_stream_hears_and_the_older_takes_over_when_it_ends() {
    let opened = AtomicUsize::new(0);
    let server = Server::of(SESSIONFUL).on("GET", move |_| {
        let number = opened.fetch_add(1, Ordering::Relaxed) + 1;
        Reply::stream().event(&log(number)).wait(&Gate::closed())
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let heard = |message: Option<Value>| message.unwrap()["params"]["data"].clone();

    let mut older = listen(&client).await;
    assert_eq!(heard(older.message().await), 1);
    let mut newer = listen(&client).await;
    assert_eq!(heard(newer.message().await), 2);
    drop(newer);

    // And never the second, which went to the other.
    assert_eq!(heard(older.message().await), 3);
}

#[tokio::test]
async fn the_end_of_the_session_ends_its_streams() {
    let server = Server::of(SESSIONFUL)
        .on("GET", |_| Reply::silence())
        .start()
        .await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let other = gateway.client("/mcp").legacy("2025-06-18").await;
    let (mut one, mut two) = (listen(&client).await, listen(&client).await);
    let _others = listen(&other).await;

    let deleted = client.fetch("DELETE").await;

    assert_eq!(deleted.status, 204, "{deleted:?}");
    one.rest().await;
    two.rest().await;
    gateway.counted("causeway_held_streams{door=\"http\"} 1").await;
    let again = client.with("Accept", "text/event-stream").fetch("GET").await;
    assert_eq!(again.status, 404, "{again:?}");
}

#[tokio::test]
async fn a_stream_that_the_gateway_ends_tells_newer_clients_when_to_return() {
    let server = Server::of(Mood::Sessionful("2025-11-25"))
        .on("GET", |_| Reply::silence())
        .start()
        .await;
    let old = Server::of(SESSIONFUL)
        .on("GET", |_| Reply::silence())
        .start()
        .await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .server("old", &old)
        .start()
        .await;
    let newer = gateway.client("/mcp/docs").legacy("2025-11-25").await;
    let mut ended = listen(&newer).await;
    newer.fetch("DELETE").await;
    assert!(
        !told_when_to_return(&ended.rest().await),
        "there is nothing to return to"
    );

    let newer = gateway.client("/mcp/docs").legacy("2025-11-25").await;
    let older = gateway.client("/mcp/old").legacy("2025-06-18").await;
    let (mut newer, mut older) = (listen(&newer).await, listen(&older).await);
    gateway.program().signal(Signal::TERM);

    assert!(told_when_to_return(&newer.rest().await));
    assert!(
        !told_when_to_return(&older.rest().await),
        "it would take it for a message"
    );
}

fn told_when_to_return(rest: &[u8]) -> bool {
    let rest = String::from_utf8_lossy(rest);
    let told = rest
        .lines()
        .find_map(|line| line.strip_prefix("retry: ")?.parse::<u64>().ok());
    told.is_some_and(|milliseconds| (1_000..=10_000).contains(&milliseconds))
}

#[tokio::test]
async fn so_many_streams_listen_to_a_session_and_no_more() {
    let server = Server::of(SESSIONFUL)
        .on("GET", |_| Reply::silence())
        .start()
        .await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(listen(&client).await);
    }

    let refused = client
        .clone()
        .with("Accept", "text/event-stream")
        .fetch("GET")
        .await;

    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.headers.get("retry-after").is_some(), "{refused:?}");
}

#[tokio::test]
async fn a_question_outside_of_calls_is_answered_to_the_server_that_asked() {
    let server = asking().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = able(&gateway).await;
    let mut stream = listen(&client).await;

    let posed = stream.message().await.expect("a question");
    let accepted = client.post(answer(&posed["id"])).await;

    assert_eq!(posed["method"], "sampling/createMessage", "{posed}");
    assert_ne!(posed["id"], "q7", "two servers may use the same id");
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let heard = server.request("an answer", is_answer).await;
    assert_eq!(heard.json()["id"], "q7", "{heard:?}");
    let get = server.request("GET", |request| request.verb == "GET").await;
    assert_eq!(
        heard.headers.get("mcp-session-id"),
        get.headers.get("mcp-session-id")
    );
}

#[tokio::test]
async fn an_answer_to_nothing_goes_nowhere() {
    let server = asking().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let (client, other) = (able(&gateway).await, able(&gateway).await);
    let mut stream = listen(&client).await;
    let posed = stream.message().await.expect("a question");

    // Of another session, under the server's own id, under one that nobody has, without a session, twice.
    let alone = gateway.client("/mcp").sessionless("2025-06-18");
    let nothing = [
        (&other, &posed["id"]),
        (&client, &json!("q7")),
        (&client, &json!("gw-999999")),
        (&client, &json!(7)),
        (&alone, &posed["id"]),
    ];
    for (who, id) in nothing {
        let answer = who.post(answer(id)).await;
        assert_eq!(answer.status, 202, "{id}: {answer:?}");
    }
    assert!(
        !server.requests().iter().any(is_answer),
        "{:?}",
        server.requests()
    );
    for _ in 0..2 {
        client.post(answer(&posed["id"])).await;
    }

    let heard = server.requests().into_iter().filter(is_answer).count();
    assert_eq!(heard, 1, "{:?}", server.requests());
    gateway.counted("causeway_answers_to_nothing_total 6").await;
}

#[tokio::test]
async fn a_question_outlives_the_stream_it_was_asked_on() {
    let server = asking().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = able(&gateway).await;
    let mut stream = listen(&client).await;
    let posed = stream.message().await.expect("a question");

    // Something between the two cuts it while a person thinks.
    drop(stream);
    gateway.counted("causeway_held_streams{door=\"http\"} 0").await;
    client.post(answer(&posed["id"])).await;

    let heard = server.request("an answer", is_answer).await;
    assert_eq!(heard.json()["id"], "q7", "{heard:?}");
}

#[tokio::test]
async fn a_question_of_a_call_comes_on_the_stream_of_the_call() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(SESSIONFUL)
        .on("GET", |_| Reply::silence())
        .on("tools/call", move |request| {
            let done = json!({ "content": [{ "type": "text", "text": "done" }] });
            Reply::stream()
                .event(&question("q1"))
                .wait(&held)
                .result_event(request, &done)
        })
        .start()
        .await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = able(&gateway).await;
    let mut listening = listen(&client).await;

    let mut call = client
        .send("tools/call", json!({ "name": "echo" }))
        .await
        .begun()
        .await;
    let posed = call.message().await.expect("a question");
    client.post(answer(&posed["id"])).await;
    server.request("an answer", is_answer).await;
    gate.open();

    assert_eq!(call.answer().await.result()["content"][0]["text"], "done");
    client.fetch("DELETE").await;
    assert_eq!(listening.message().await, None, "nothing was said there");
}

#[tokio::test]
async fn a_client_that_takes_only_json_is_not_asked() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(SESSIONFUL).on("tools/call", move |request| {
        let done = json!({ "content": [{ "type": "text", "text": "done" }] });
        Reply::stream()
            .event(&question("q1"))
            .wait(&held)
            .result_event(request, &done)
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = able(&gateway).await.with("Accept", "application/json");

    let sent = client.send("tools/call", json!({ "name": "echo" })).await;
    let refusal = server
        .request("a refusal", |request| request.json()["error"]["code"] == -32601)
        .await;
    gate.open();

    assert_eq!(refusal.json()["id"], "q1", "{refusal:?}");
    let answer = sent.answer().await;
    assert!(!answer.is_stream() && answer.messages.len() == 1, "{answer:?}");
}

/// A process that serves many sessions, each of which hears what the others do.
async fn shared_demo() -> (Program, String) {
    let mut command = std::process::Command::new(causeway());
    command.args(["demo", "--listen", "127.0.0.1:0"]);
    let program = Program::start("demo", command);
    let url = program
        .complaint("where it listens", |line| {
            Some(line.split_once("listening on ")?.1.trim().to_owned())
        })
        .await;
    (program, format!("{{ url: \"{url}\" }}"))
}

/// What a stream hears first of what a tool does. What a server says before it is listened to is said to nobody, and
/// from outside nobody sees when it is, so the tool is called until it is heard.
async fn heard_of(actor: &Client, tool: &str, stream: &mut Exchange) -> Value {
    within(format!("{tool} to be heard of"), async {
        loop {
            actor.call(tool, json!({})).await;
            let heard = tokio::time::timeout(Duration::from_millis(200), stream.message()).await;
            if let Ok(heard) = heard {
                return heard.expect("the stream goes on");
            }
        }
    })
    .await
}

#[tokio::test]
async fn changes_are_told_to_those_who_listen_and_updates_to_those_who_subscribed() {
    let (_demo, upstream) = shared_demo().await;
    let gateway = Gateway::new().upstream("demo", upstream).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let actor = gateway.client("/mcp").legacy("2025-06-18").await;
    let bystander = gateway.client("/mcp").legacy("2025-06-18").await;
    client
        .ask("resources/subscribe", json!({ "uri": "demo://counter" }))
        .await
        .result();
    let (mut hears, mut other) = (listen(&client).await, listen(&bystander).await);

    let updated = heard_of(&actor, "counter", &mut hears).await;
    let told = heard_of(&actor, "touch", &mut other).await;

    assert_eq!(updated["method"], "notifications/resources/updated", "{updated}");
    assert_eq!(updated["params"]["uri"], "demo://counter", "{updated}");
    // It did not subscribe, so this is all it heard.
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
}

#[tokio::test]
async fn a_child_that_says_something_after_its_answer_is_heard_once() {
    let gateway = Gateway::new().demo().start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let mut stream = listen(&client).await;

    for round in 0..10 {
        let answer = client
            .ask("tools/call", json!({ "name": "touch", "arguments": {} }))
            .await;
        let on_call = answer
            .messages
            .iter()
            .filter(|message| message.get("method").is_some())
            .count();
        let on_stream = match on_call {
            0 => usize::from(stream.message().await.unwrap()["method"] == "notifications/tools/list_changed"),
            _ => 0,
        };
        assert_eq!(on_call + on_stream, 1, "round {round}: {answer:?}");
    }
}
