//! HTTP/2: the same gateway by another wire. What all other chapters say holds here too (`CAUSEWAY_TESTS_BY=h2`); this
//! one is of what is of this wire alone.
use harness::{Carrier, Exit, Gate, Gateway, Mood, Reply, Running, Server, within};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// One connection in the clear.
async fn connection(
    gateway: &Running,
) -> (
    h2::client::SendRequest<bytes::Bytes>,
    tokio::task::JoinHandle<bool>,
) {
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    // Whether it ends as it should.
    (requests, tokio::spawn(async move { connection.await.is_ok() }))
}

/// A request whose `:authority` is `localhost`, with these lines.
fn request(verb: &str, path: &str, lines: &[(&str, &str)]) -> http::Request<()> {
    let mut request = http::Request::builder()
        .method(verb)
        .uri(format!("http://localhost{path}"))
        .version(http::Version::HTTP_2);
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

async fn status(gateway: &Running, request: http::Request<()>) -> u16 {
    let (requests, _driving) = connection(gateway).await;
    let mut requests = requests.ready().await.unwrap();
    let (answer, _) = requests.send_request(request, true).unwrap();
    let answer = within("an answer", answer).await.unwrap();
    answer.status().as_u16()
}

fn done() -> Value {
    json!({ "resultType": "complete", "content": [{ "type": "text", "text": "done" }] })
}

#[tokio::test]
async fn the_authority_is_the_host_and_no_other_may_stand_beside_it() {
    let gateway = Gateway::new().demo().start().await;
    let of = |authority: &str| {
        let mut request = request("GET", "/nothing", &[]);
        *request.uri_mut() = format!("http://{authority}/nothing").parse().unwrap();
        request
    };

    assert_eq!(status(&gateway, request("GET", "/health", &[])).await, 200);
    assert_eq!(status(&gateway, of("evil.example")).await, 403);
    assert_eq!(status(&gateway, of("localhost:1")).await, 404);
    assert_eq!(
        status(&gateway, request("GET", "/nothing", &[("host", "localhost")])).await,
        404
    );
    for lines in [
        &[("host", "evil.example")][..],
        &[("host", "localhost"), ("host", "localhost")],
        &[("host", "localhost"), ("host", "evil.example")],
    ] {
        assert_eq!(
            status(&gateway, request("GET", "/nothing", lines)).await,
            400,
            "{lines:?}"
        );
    }
    let mut evil = of("evil.example");
    evil.headers_mut().insert("host", "localhost".parse().unwrap());
    assert_eq!(status(&gateway, evil).await, 400);
}

#[tokio::test]
async fn lines_that_stand_several_times_are_not_chosen_from() {
    let gateway = Gateway::new()
        .config("auth: { keys: [{ name: ann, key: \"${env:X_TEST_ANN}\" }] }")
        .environment("X_TEST_ANN", "cw_annannannannannannannannannannannannann")
        .demo()
        .start()
        .await;
    let good = "Bearer cw_annannannannannannannannannannannannann";
    let cookies = [("cookie", "a=1"), ("cookie", "b=2")];

    let mut lines = cookies.to_vec();
    lines.push(("authorization", good));
    assert_eq!(
        status(&gateway, request("DELETE", "/mcp", &lines)).await,
        400,
        "no session is named"
    );
    lines.push(("authorization", good));
    assert_eq!(status(&gateway, request("DELETE", "/mcp", &lines)).await, 401);
}

#[tokio::test]
async fn heads_have_the_bounds_that_they_have_elsewhere() {
    let gateway = Gateway::new()
        .demo()
        .config("bounds: { headers: 2KiB }")
        .start()
        .await;
    let (long, longer) = ("x".repeat(2048), "x".repeat(5 << 10));

    assert_eq!(
        status(&gateway, request("POST", "/mcp", &[("x-long", &long)])).await,
        431
    );
    assert_eq!(
        status(&gateway, request("POST", "/mcp", &[("x-long", &longer)])).await,
        431
    );
}

#[tokio::test]
async fn a_stream_is_framed_by_the_wire_and_taken_back_by_a_reset() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        let token = &request.params()["_meta"]["progressToken"];
        let params = json!({ "progressToken": token, "progress": 1 });
        let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
        Reply::stream()
            .event(&progress)
            .wait(&held)
            .result_event(request, &done())
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let carrier = Carrier::by_h2(gateway.address(), None).await;
    let params = json!({ "name": "steps", "_meta": { "progressToken": 1 } });

    let left = carrier
        .client("/mcp")
        .modern()
        .send("tools/call", params.clone())
        .await;
    let mut left = left.begun().await;
    assert_eq!(
        left.headers.all("transfer-encoding"),
        ["chunked"],
        "it is the carrier's alone"
    );
    assert!(left.headers.get("connection").is_none());
    left.message().await;
    let call = server.only("tools/call");
    let stays = carrier.client("/mcp").modern().send("tools/call", params).await;
    let mut stays = stays.begun().await;
    stays.message().await;

    drop(left);
    server.abandoned(&call).await;
    let is_cancelled = |record: &Value| record["method"] == "tools/call" && record["outcome"] == "cancelled";
    gateway.record("the call", is_cancelled).await;

    // The other call of the same connection does not notice.
    gate.open();
    assert_eq!(stays.answer().await.result()["content"][0]["text"], "done");
}

#[tokio::test]
async fn a_connection_is_told_how_many_requests_it_may_have_open() {
    let gateway = Gateway::new().demo().start().await;
    let (requests, _driving) = connection(&gateway).await;
    let mut requests = requests.ready().await.unwrap();

    // What the gateway wants comes before its first answer.
    let (health, _) = requests
        .send_request(request("GET", "/health", &[]), true)
        .unwrap();
    within("an answer", health).await.unwrap();

    assert_eq!(requests.current_max_send_streams(), 128);
}

#[tokio::test]
async fn a_stop_says_goodbye_and_answers_what_runs() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        Reply::after(&held, Reply::result(request, &done()))
    });
    let server = server.start().await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("grace: 15s")
        .start()
        .await;
    let carrier = Carrier::by_h2(gateway.address(), None).await;
    let sent = carrier
        .client("/mcp")
        .modern()
        .send("tools/call", json!({ "name": "echo" }))
        .await;
    server.asked_for("tools/call").await;
    let (requests, driving) = connection(&gateway).await;
    let mut requests = requests.ready().await.unwrap();
    let (ping, _) = requests
        .send_request(request("GET", "/health", &[]), true)
        .unwrap();
    within("an answer", ping).await.unwrap();

    gateway.program().signal(Signal::TERM);

    // Nothing runs on this one: it ends, and cleanly, while the other call still runs.
    assert!(within("the end of an idle connection", driving).await.unwrap());
    assert!(!gateway.program().has_ended());
    gate.open();
    assert_eq!(sent.answer().await.result()["content"][0]["text"], "done");
    assert_eq!(gateway.program().ended().await, Exit::Code(0));
}
