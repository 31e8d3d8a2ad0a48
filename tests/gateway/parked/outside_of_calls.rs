//! Questions that a server asks in the middle of a call and on no stream of its own: on the one outside of calls.
use harness::{Gate, Reply, Request, Server, questions};
use serde_json::json;

use super::{LEGACY, able, call, gateway, named, named_retry, only, plain, said, text, words};

/// A server whose tool asks on the stream outside of calls, and answers on the stream of the call or at once.
async fn asking_elsewhere(answers_by_stream: bool) -> Server {
    let called = Gate::closed();
    let asks = called.clone();
    let server = Server::of(LEGACY)
        .on("GET", move |_| {
            let stream = Reply::stream().wait(&asks);
            stream
                .event(&questions::name().request("q"))
                .wait(&Gate::closed())
        })
        .on("tools/call", move |request| {
            called.open();
            match answers_by_stream {
                true => Reply::stream().hear(&json!("q")).conclude(request, said),
                false => Reply::result(request, &text("nobody was waited for")),
            }
        });
    server.start().await
}

/// The one request for a stream outside of calls.
fn listened(server: &Server) -> Request {
    let mut all = server.requests();
    all.retain(|request| request.verb == "GET");
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[tokio::test]
async fn a_question_outside_of_calls_is_put_to_the_client_of_the_only_call() {
    let server = asking_elsewhere(true).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    let asked = call(&client).await;
    let result = client
        .ask("tools/call", named_retry(&asked, "Ada"))
        .await
        .result();

    assert_eq!(only(&asked)["method"], "elicitation/create", "{asked}");
    assert_eq!(words(&result), json!([named("Ada")]).to_string());
    let (called, listened) = (server.only("tools/call"), listened(&server));
    assert!(listened.number < called.number, "listened to before it is called");
    let session = |request: &Request| request.headers.get("mcp-session-id").map(str::to_owned);
    assert!(session(&called).is_some());
    assert_eq!(session(&called), session(&listened));
}

#[tokio::test]
async fn a_question_outside_of_calls_that_belongs_to_none_is_refused() {
    let server = asking_elsewhere(false).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    let result = client.ask("tools/call", plain()).await.result();
    let refusal = server
        .request("a refusal", |request| request.json()["id"] == "q")
        .await;

    assert_eq!(words(&result), "nobody was waited for");
    assert_eq!(refusal.json()["error"]["code"], -32601, "{refusal:?}");
}

#[tokio::test]
async fn a_server_that_is_silent_outside_of_calls_is_called_all_the_same() {
    // It takes the GET, and never begins to answer it.
    let server = Server::of(LEGACY).on("GET", |_| Reply::silence()).start().await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    let result = client.ask("tools/call", plain()).await.result();

    assert_eq!(words(&result), "hi");
    listened(&server);
}
