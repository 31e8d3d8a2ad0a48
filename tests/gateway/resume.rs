//! Streams that clients come back to, with `resume`: nothing is lost with a connection, and nothing is told twice.
mod official;

use harness::{Client, Exchange, Gate, Gateway, Mood, Reply, Request, Running, Server};
use serde_json::{Value, json};

const RESUME: &str = "resume: { events: 1000, for: 5m }";

const REVISIONS: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];

/// How often a connection is cut.
const CUTS: u64 = 20;

fn progress(request: &Request, step: u64) -> Value {
    let token = &request.params()["_meta"]["progressToken"];
    let params = json!({ "progressToken": token, "progress": step });
    json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })
}

fn log(data: usize) -> Value {
    let params = json!({ "level": "info", "data": data });
    json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params })
}

fn done() -> Value {
    json!({ "content": [{ "type": "text", "text": "done" }] })
}

fn call() -> Value {
    json!({ "name": "steps", "_meta": { "progressToken": "mine" } })
}

fn step(message: &Value) -> u64 {
    let step = message["params"]["progress"].as_u64();
    step.unwrap_or_else(|| panic!("not a report: {message}"))
}

/// A server whose only tool reports so many steps, waiting at the gate after the first, and is done.
async fn stepping(revision: &'static str, steps: u64, gate: &Gate) -> Server {
    let gate = gate.clone();
    let server = Server::of(Mood::Sessionful(revision)).on("tools/call", move |request| {
        let first = Reply::stream().event(&progress(request, 1)).wait(&gate);
        let all = (2..=steps).fold(first, |reply, step| reply.event(&progress(request, step)));
        all.result_event(request, &done())
    });
    server.start().await
}

fn open_gate() -> Gate {
    let gate = Gate::closed();
    gate.open();
    gate
}

async fn before(server: &Server, resume: &str) -> Running {
    Gateway::new().server("docs", server).config(resume).start().await
}

async fn begin(client: &Client) -> Exchange {
    let stream = client.send("tools/call", call()).await.begun().await;
    assert!(stream.is_stream(), "{} {:?}", stream.status, stream.headers);
    stream
}

fn returning(client: &Client, id: &str) -> Client {
    let client = client.clone().with("Accept", "text/event-stream");
    client.with("Last-Event-ID", id)
}

/// Comes back to a stream.
async fn resume(client: &Client, id: &str) -> Exchange {
    let stream = returning(client, id).fetching("GET").await.begun().await;
    assert!(
        stream.status == 200 && stream.is_stream(),
        "{} {:?}",
        stream.status,
        stream.headers
    );
    stream
}

async fn listen(client: &Client) -> Exchange {
    let client = client.clone().with("Accept", "text/event-stream");
    client.fetching("GET").await.begun().await
}

fn id_of(stream: &Exchange) -> String {
    stream.last_event_id().expect("an id").to_owned()
}

#[tokio::test]
async fn a_call_whose_connection_is_cut_twenty_times_tells_everything_once_and_in_order() {
    for revision in REVISIONS {
        let server = stepping(revision, CUTS + 5, &open_gate()).await;
        let gateway = before(&server, RESUME).await;
        let client = gateway.client("/mcp").legacy(revision).await;

        let mut stream = begin(&client).await;
        for cut in 1..=CUTS {
            let message = stream.message().await.expect("more to come");
            assert_eq!(step(&message), cut, "{revision}");
            let id = id_of(&stream);
            drop(stream);
            stream = resume(&client, &id).await;
        }
        let rest = stream.answer().await;

        let steps: Vec<_> = rest.messages[..5].iter().map(step).collect();
        assert_eq!(steps, [21, 22, 23, 24, 25], "{revision}");
        assert_eq!(rest.result()["content"][0]["text"], "done");
        assert_eq!(server.asked("tools/call").len(), 1, "{revision}");
        let is_call = |record: &Value| record["method"] == "tools/call" && record["outcome"] == "ok";
        gateway.record("the call", is_call).await;
        gateway
            .counted(&format!("causeway_streams_resumed_total {CUTS}"))
            .await;
        gateway.counted("causeway_detached_calls 0").await;
    }
}

#[tokio::test]
async fn newer_clients_are_told_an_id_before_anything_happens() {
    let gate = Gate::closed();
    let wait = gate.clone();
    let server = Server::of(Mood::Sessionful("2025-11-25"));
    let server = server.on("tools/call", move |request| {
        Reply::after(&wait, Reply::result(request, &done()))
    });
    let server = server.start().await;
    let gateway = before(&server, RESUME).await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;

    let mut stream = begin(&client).await;
    let id = stream.greeted().await;
    drop(stream);
    let mut stream = resume(&client, &id).await;
    let again = stream.greeted().await;
    gate.open();
    let answer = stream.answer().await;

    assert_ne!(id, again, "each event has an id of its own");
    assert_eq!(answer.result()["content"][0]["text"], "done");
    assert_eq!(server.asked("tools/call").len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_there_at_once_is_no_stream() {
    let server = Server::start(Mood::Sessionful("2025-11-25")).await;
    let gateway = before(&server, RESUME).await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;

    let answer = client.ask("tools/list", json!({})).await;

    assert!(!answer.is_stream(), "{answer:?}");
    gateway.counted("causeway_resumable_streams 0").await;
}

#[tokio::test]
async fn what_a_server_says_while_nobody_listens_is_told_to_who_comes_back() {
    for revision in ["2025-06-18", "2025-11-25"] {
        let (meanwhile, later) = (Gate::closed(), Gate::closed());
        let gates = (meanwhile.clone(), later.clone());
        let server = Server::of(Mood::Sessionful(revision)).on("GET", move |_| {
            let first = Reply::stream().event(&log(1)).wait(&gates.0);
            let more = first.event(&log(2)).event(&log(3)).wait(&gates.1);
            more.event(&log(4)).wait(&Gate::closed())
        });
        let server = server.start().await;
        let gateway = before(&server, RESUME).await;
        let client = gateway.client("/mcp").legacy(revision).await;

        let mut stream = listen(&client).await;
        assert_eq!(stream.message().await.unwrap()["params"]["data"], 1);
        let id = id_of(&stream);
        drop(stream);
        gateway.counted("causeway_held_streams{door=\"http\"} 0").await;
        meanwhile.open();

        let mut stream = resume(&client, &id).await;
        for expected in 2..=3 {
            assert_eq!(stream.message().await.unwrap()["params"]["data"], expected);
        }
        later.open();
        assert_eq!(stream.message().await.unwrap()["params"]["data"], 4);
        let opened = |request: &&Request| request.verb == "GET";
        assert_eq!(server.requests().iter().filter(opened).count(), 1, "{revision}");
    }
}

#[tokio::test]
async fn a_client_that_listens_anew_without_an_id_is_never_too_many() {
    let server = Server::of(Mood::Sessionful("2025-06-18"));
    let server = server.on("GET", |_| Reply::stream().event(&log(1)).wait(&Gate::closed()));
    let server = server.start().await;
    let gateway = before(&server, RESUME).await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    for _ in 0..10 {
        let mut stream = listen(&client).await;
        assert_eq!(stream.message().await.unwrap()["params"]["data"], 1);
        drop(stream);
        gateway.counted("causeway_held_streams{door=\"http\"} 0").await;
    }
}

#[tokio::test]
async fn two_streams_never_mix() {
    let gate = Gate::closed();
    let server = stepping("2025-06-18", 9, &gate).await;
    let gateway = before(&server, RESUME).await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let calls = [begin(&client).await, begin(&client).await];

    let mut ids = Vec::new();
    for mut stream in calls {
        stream.message().await.unwrap();
        ids.push(id_of(&stream));
    }
    gate.open();

    let mut answers = Vec::new();
    for id in &ids {
        let rest = resume(&client, id).await.answer().await;
        assert_eq!(
            rest.messages.iter().take(8).map(step).collect::<Vec<_>>(),
            [2, 3, 4, 5, 6, 7, 8, 9]
        );
        assert_eq!(rest.messages.len(), 9);
        answers.push(rest.last()["id"].clone());
    }
    assert_ne!(answers[0], answers[1]);
}

#[tokio::test]
async fn an_id_that_is_foreign_tampered_with_or_expired_finds_nothing() {
    let gate = Gate::closed();
    let server = stepping("2025-06-18", 2, &gate).await;
    let gateway = before(&server, "resume: { events: 1000, for: 1s }").await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let other = gateway.client("/mcp").legacy("2025-06-18").await;
    let mut stream = begin(&client).await;
    stream.message().await.unwrap();
    let id = id_of(&stream);

    let mut tampered = id.clone();
    let last = tampered.pop().unwrap();
    tampered.push(if last == 'A' { 'Q' } else { 'A' });
    for (who, id) in [
        (&other, &*id),
        (&client, &tampered),
        (&client, "7"),
        (&client, ""),
    ] {
        let refused = returning(who, id).fetch("GET").await;
        assert_eq!(refused.status, 400, "{id}: {refused:?}");
        assert!(refused.complaint().contains("Last-Event-ID"), "{refused:?}");
    }
    let twice = returning(&client, &id)
        .with_another("Last-Event-ID", &id)
        .fetch("GET")
        .await;
    assert_eq!(twice.status, 400, "{twice:?}");

    gate.open();
    let whole = stream.answer().await;
    assert_eq!(
        whole.result()["content"][0]["text"],
        "done",
        "none of them took it over"
    );
    gateway.counted("causeway_resumable_streams 0").await;
    let expired = returning(&client, &id).fetch("GET").await;
    assert_eq!(expired.status, 400, "{expired:?}");
    gateway.counted("causeway_resumptions_refused_total 6").await;
    gateway.counted("causeway_replay_bytes 0").await;
}

#[tokio::test]
async fn a_stream_that_has_told_its_answer_has_nothing_more() {
    let server = stepping("2025-11-25", 1, &open_gate()).await;
    let gateway = before(&server, RESUME).await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;
    let mut stream = begin(&client).await;
    let mut ids = Vec::new();
    while stream.message().await.is_some() {
        ids.push(id_of(&stream));
    }

    let nothing = returning(&client, &ids[1]).fetch("GET").await;
    let answer = resume(&client, &ids[0]).await.answer().await;

    assert_eq!(nothing.status, 204, "{nothing:?}");
    assert_eq!(answer.result()["content"][0]["text"], "done");
    // What somebody still reads outlives its session for a while.
    gateway.counted("causeway_held_streams{door=\"http\"} 0").await;
    gateway.counted("causeway_running_requests 0").await;
    client.fetch("DELETE").await;
    let ended = returning(&client, &ids[0]).fetch("GET").await;
    assert_eq!(ended.status, 404, "{ended:?}");
    gateway.counted("causeway_resumable_streams 0").await;
}

#[tokio::test]
async fn a_second_connection_takes_over_from_the_first() {
    let gate = Gate::closed();
    let server = stepping("2025-06-18", 2, &gate).await;
    let gateway = before(&server, RESUME).await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let mut first = begin(&client).await;
    first.message().await.unwrap();

    let second = resume(&client, &id_of(&first)).await;
    assert!(first.message().await.is_none(), "it is told nothing any more");
    gate.open();

    let rest = second.answer().await;
    assert_eq!(step(&rest.messages[0]), 2);
    assert_eq!(rest.result()["content"][0]["text"], "done");
}

#[tokio::test]
async fn a_question_that_is_asked_while_its_client_is_away_is_answered_when_it_is_back() {
    let (asks, answered) = (Gate::closed(), Gate::closed());
    let gates = (asks.clone(), answered.clone());
    let server = Server::of(Mood::Sessionful("2025-06-18")).on("tools/call", move |request| {
        let params = json!({ "messages": [], "maxTokens": 9 });
        let method = "sampling/createMessage";
        let question = json!({ "jsonrpc": "2.0", "id": "q7", "method": method, "params": params });
        let first = Reply::stream().event(&progress(request, 1)).wait(&gates.0);
        let asked = first.event(&question).wait(&gates.1);
        asked.result_event(request, &done())
    });
    let server = server.start().await;
    let gateway = before(&server, RESUME).await;
    let client = gateway.client("/mcp").able_to(json!({ "sampling": {} }));
    let client = client.legacy("2025-06-18").await;

    let mut stream = begin(&client).await;
    stream.message().await.unwrap();
    let id = id_of(&stream);
    drop(stream);
    gateway.counted("causeway_detached_calls 1").await;
    asks.open();
    let mut stream = resume(&client, &id).await;
    let question = stream.message().await.expect("the question");
    let result = json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": "fine" } });
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": result });
    client.post(answer.to_string()).await;

    let heard = |request: &Request| request.json()["id"] == "q7" && request.json().get("result").is_some();
    server.request("the answer", heard).await;
    answered.open();
    let rest = stream.answer().await;
    assert_eq!(rest.result()["content"][0]["text"], "done");
}

#[tokio::test]
async fn a_call_is_taken_back_while_its_client_is_away() {
    let gate = Gate::closed();
    let ends = gate.clone();
    let server = Server::of(Mood::Sessionful("2025-06-18")).on("tools/call", move |request| {
        Reply::stream().event(&progress(request, 1)).wait(&ends)
    });
    let server = server.start().await;
    let gateway = before(&server, RESUME).await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let request = client.request("tools/call", call());
    let mut stream = client.send_message(&request).await.begun().await;
    stream.message().await.unwrap();
    let id = id_of(&stream);
    drop(stream);

    client
        .notify("notifications/cancelled", json!({ "requestId": request["id"] }))
        .await;

    server.asked_for("notifications/cancelled").await;
    gate.open();
    let is_call = |record: &Value| record["method"] == "tools/call" && record["outcome"] == "cancelled";
    gateway.record("the call", is_call).await;
    let nothing = returning(&client, &id).fetch("GET").await;
    assert_eq!(nothing.status, 204, "{nothing:?}");
}

#[tokio::test]
async fn a_client_that_does_not_read_fills_no_memory() {
    const EVENTS: usize = 1500;
    let server = Server::of(Mood::Sessionful("2025-06-18")).on("tools/call", move |request| {
        let mut large = progress(request, 1);
        large["params"]["message"] = json!("x".repeat(64 << 10));
        let all = (0..EVENTS).fold(Reply::stream(), |reply, _| reply.event(&large));
        all.result_event(request, &done())
    });
    let server = server.start().await;
    let gateway = before(&server, RESUME).await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let bytes = async || {
        let text = gateway.admin("/metrics").await.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("causeway_replay_bytes "));
        line.unwrap().parse::<usize>().unwrap()
    };

    let mut stream = begin(&client).await;
    stream.message().await.unwrap();
    let first = id_of(&stream);
    assert!(bytes().await <= 33 << 20);
    let resident = gateway.program().resident();
    drop(stream);
    let is_call = |record: &Value| record["method"] == "tools/call" && record["outcome"] == "ok";
    gateway.record("the call goes on without it", is_call).await;

    let kept = bytes().await;
    assert!((16 << 20..=32 << 20).contains(&kept), "{kept}");
    assert!(gateway.program().resident() < resident + (96 << 20));
    let lost = returning(&client, &first).fetch("GET").await;
    assert_eq!(lost.status, 400, "what came behind it has fallen out: {lost:?}");
}

#[tokio::test]
async fn ids_of_an_earlier_process_open_a_stream_that_listens_and_no_call() {
    let server = Server::of(Mood::Sessionful("2025-11-25"))
        .on("GET", |_| Reply::stream().event(&log(1)).wait(&Gate::closed()))
        .on("tools/call", |request| {
            let first = Reply::stream().event(&progress(request, 1));
            first.result_event(request, &done())
        });
    let server = server.start().await;
    let gateway = before(&server, RESUME).await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;
    let (listening, call) = (
        listen(&client).await.greeted().await,
        begin(&client).await.greeted().await,
    );

    let gateway = gateway.restart().await;
    let client = client.moved_to(gateway.address());

    let mut stream = resume(&client, &listening).await;
    assert_eq!(stream.message().await.unwrap()["params"]["data"], 1);
    let refused = returning(&client, &call).fetch("GET").await;
    assert_eq!(refused.status, 400, "{refused:?}");
}

#[tokio::test]
async fn without_the_setting_and_for_modern_clients_nothing_has_an_id() {
    let gate = open_gate();
    let legacy = stepping("2025-11-25", 3, &gate).await;
    let gateway = before(&legacy, "").await;
    let client = gateway.client("/mcp").legacy("2025-11-25").await;
    let mut stream = begin(&client).await;
    while stream.message().await.is_some() {
        assert_eq!(stream.last_event_id(), None);
    }

    let server = Server::of(Mood::Dual).on("tools/call", |request| {
        let mut result = done();
        result["resultType"] = json!("complete");
        let first = Reply::stream().event(&progress(request, 1));
        first.result_event(request, &result)
    });
    let server = server.start().await;
    let gateway = before(&server, RESUME).await;
    let client = gateway.client("/mcp").modern().with("Last-Event-ID", "e1.a.b");
    let mut stream = begin(&client).await;
    while stream.message().await.is_some() {
        assert_eq!(stream.last_event_id(), None);
    }
}
