//! Pages that a user is to visit: asked for by a question, or by an error of 2025-11-25 in place of an answer.
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{Reply, Request, Server, questions};
use serde_json::json;

use super::{LEGACY, able, asking, call, gateway, only, plain, retry, text, words};

#[tokio::test]
async fn a_visit_has_no_id_any_more() {
    let server = asking(vec![
        questions::visit("https://example.com/page").with("elicitationId", json!("e")),
    ])
    .await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    let asked = call(&client).await;
    let accepted = retry(&asked, |_| Some(json!({ "action": "accept" })));
    let result = client.ask("tools/call", accepted).await.result();

    let params = &only(&asked)["params"];
    assert_eq!(
        (&params["mode"], &params["url"]),
        (&json!("url"), &json!("https://example.com/page")),
        "{asked}"
    );
    assert!(params.get("elicitationId").is_none(), "{asked}");
    assert_eq!(words(&result), json!([{ "action": "accept" }]).to_string());
}

/// An error of 2025-11-25 that wants a page to be visited first.
fn look_first(request: &Request) -> Reply {
    let page = json!({
        "mode": "url", "elicitationId": "e", "message": "Look.", "url": "https://example.com/page",
    });
    let error = json!({ "code": -32042, "message": "look first", "data": { "elicitations": [page] } });
    Reply::json(
        200,
        &json!({ "jsonrpc": "2.0", "id": request.json()["id"], "error": error }),
    )
}

#[tokio::test]
async fn an_error_that_wants_a_visit_is_a_question() {
    let is_first = AtomicBool::new(true);
    let server = Server::of(LEGACY).on("tools/call", move |request| {
        match is_first.swap(false, Ordering::SeqCst) {
            true => look_first(request),
            false => Reply::result(request, &text("open")),
        }
    });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    let asked = call(&client).await;
    let accepted = retry(&asked, |_| Some(json!({ "action": "accept" })));
    let result = client.ask("tools/call", accepted).await.result();

    let params = &only(&asked)["params"];
    assert_eq!(
        (&params["mode"], &params["url"]),
        (&json!("url"), &json!("https://example.com/page")),
        "{asked}"
    );
    assert!(params.get("elicitationId").is_none(), "{asked}");
    assert_eq!(words(&result), "open");
    // The first call had ended: this one is no repetition of something that runs.
    assert_eq!(server.asked("tools/call").len(), 2);
}

#[tokio::test]
async fn a_visit_that_is_declined_ends_the_call_in_words() {
    let server = Server::of(LEGACY).on("tools/call", look_first).start().await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    let asked = call(&client).await;
    let declined = retry(&asked, |_| Some(json!({ "action": "decline" })));
    let result = client.ask("tools/call", declined).await.result();

    assert_eq!(result["isError"], true, "{result}");
    server.only("tools/call");
}

#[tokio::test]
async fn a_visit_that_a_client_cannot_make_is_refused_by_its_name() {
    let server = Server::of(LEGACY).on("tools/call", look_first).start().await;
    let gateway = gateway(&server).await;
    let client = gateway
        .client("/mcp")
        .able_to(json!({ "elicitation": { "form": {} } }))
        .modern();

    let modern = client.ask("tools/call", plain()).await;
    let older = gateway.client("/mcp").legacy("2025-06-18").await;
    let older = older.ask("tools/call", plain()).await;
    let same = gateway.client("/mcp").legacy("2025-11-25").await;
    let same = same.ask("tools/call", plain()).await;

    assert_eq!((modern.status, modern.code()), (400, -32021), "{modern:?}");
    let required = &modern.last()["error"]["data"]["requiredCapabilities"];
    assert!(required["elicitation"].get("url").is_some(), "{modern:?}");
    assert_eq!(older.code(), -32603, "{older:?}");
    assert_eq!(same.code(), -32042, "{same:?}");
}
