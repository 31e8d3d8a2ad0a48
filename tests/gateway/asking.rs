//! Questions of a 2026-07-28 server to the users of earlier clients: put on the call's own stream, and answered by calling
//! the server again.
mod between_rounds;
mod oddities;

use harness::{
    Client, Exchange, Gateway, MODERN, Mood, Reply, Request, Running, Server, SseClient,
    questions::{self, Question, completed, input_required, named},
};
use serde_json::{Value, json};

fn text(words: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": words }], "resultType": "complete" })
}

/// A server whose tool asks these questions at once, and says what it was answered.
async fn asking(questions: Vec<(&'static str, Question)>) -> Server {
    let server = Server::of(Mood::Modern).on("tools/call", move |request| {
        let result = match request.params().get("inputResponses") {
            None => input_required(&questions, Some("state-1")),
            Some(answers) => text(&answers.to_string()),
        };
        Reply::result(request, &result)
    });
    server.start().await
}

async fn gateway(server: &Server) -> Running {
    Gateway::new().server("docs", server).start().await
}

async fn able(gateway: &Running, revision: &str) -> Client {
    let able = json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {} });
    gateway.client("/mcp").able_to(able).legacy(revision).await
}

/// Calls the tool, and reads until it is asked something.
async fn call(client: &Client) -> (Exchange, Value) {
    let call = client.send("tools/call", json!({ "name": "echo" })).await;
    let mut call = call.begun().await;
    let question = question(&mut call).await;
    (call, question)
}

async fn question(call: &mut Exchange) -> Value {
    let question = call.message().await.expect("a question before the end");
    assert!(
        question.get("method").is_some() && question.get("id").is_some(),
        "{question}"
    );
    question
}

/// The answers that the server's second call came with.
fn answers(request: &Request) -> Value {
    request.params()["inputResponses"].clone()
}

#[tokio::test]
async fn a_question_is_put_on_the_calls_own_stream_and_its_answer_is_the_next_call() {
    let server = asking(vec![("who", questions::name())]).await;
    let gateway = gateway(&server).await;

    for revision in ["2025-06-18", "2025-11-25"] {
        server.forget();
        let client = able(&gateway, revision).await;
        let (exchange, question) = call(&client).await;
        let accepted = client.answer(&question, named("Ada")).await;
        let result = exchange.answer().await.result();

        assert_eq!(question["method"], "elicitation/create", "{question}");
        assert_eq!(question["params"]["message"], "What is your name?", "{question}");
        assert_eq!(accepted.status, 202, "{accepted:?}");
        assert!(result.get("resultType").is_none(), "{result}");
        let calls = server.asked("tools/call");
        let [first, second] = calls.as_slice() else {
            panic!("{revision}: {calls:?}");
        };
        assert_eq!(answers(second), json!({ "who": named("Ada") }), "{revision}");
        assert_eq!(second.params()["requestState"], "state-1");
        assert_eq!(second.params()["name"], "echo");
        assert_ne!(
            first.json()["id"],
            second.json()["id"],
            "each request has an id of its own"
        );
        assert_eq!(second.headers.get("Mcp-Name"), Some("echo"), "{second:?}");
    }
}

#[tokio::test]
async fn a_client_of_sse_is_asked_on_its_stream() {
    let server = asking(vec![("what", questions::completion())]).await;
    let gateway = gateway(&server).await;
    let client = SseClient::connect(&gateway.client("/mcp/docs/sse")).await;
    let mut client = client
        .able_to(json!({ "sampling": {} }))
        .initialized("2024-11-05")
        .await;

    let id = client.send("tools/call", json!({ "name": "echo" })).await;
    let question = client.message().await;
    client.answer(&question, completed("that")).await;
    let answer = client.message().await;

    assert_eq!(question["method"], "sampling/createMessage", "{question}");
    assert_eq!(answer["id"], id, "{answer}");
    assert!(
        answer["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("that"),
        "{answer}"
    );
}

#[tokio::test]
async fn several_questions_are_put_at_once_and_answered_in_any_order() {
    let all = vec![
        ("b", questions::completion()),
        ("a", questions::name()),
        ("c", questions::roots()),
    ];
    let server = asking(all).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway, "2025-11-25").await;

    let (mut exchange, first) = call(&client).await;
    let mut asked = vec![
        first,
        question(&mut exchange).await,
        question(&mut exchange).await,
    ];
    asked.reverse();
    let roots = json!({ "roots": [{ "uri": "file:///home" }] });
    for question in &asked {
        let answer = match question["method"].as_str().unwrap() {
            "elicitation/create" => named("Ada"),
            "roots/list" => roots.clone(),
            _ => completed("that"),
        };
        client.answer(question, answer).await;
    }
    exchange.answer().await.result();

    let calls = server.asked("tools/call");
    assert_eq!(calls.len(), 2, "{calls:?}");
    let expected = json!({ "a": named("Ada"), "b": completed("that"), "c": roots });
    assert_eq!(answers(&calls[1]), expected);
}

#[tokio::test]
async fn a_server_may_ask_again_and_again() {
    let server = Server::of(Mood::Modern).on("tools/call", |request| {
        let round = match request.params()["requestState"].as_str() {
            None => "1",
            Some("1") => "2",
            Some("2") => "3",
            Some(_) => return Reply::result(request, &text("done")),
        };
        Reply::result(
            request,
            &input_required(&[("who", questions::name())], Some(round)),
        )
    });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    let client = able(&gateway, "2025-11-25").await;

    let (mut exchange, first) = call(&client).await;
    client.answer(&first, named("one")).await;
    for name in ["two", "three"] {
        let next = question(&mut exchange).await;
        assert_ne!(next["id"], first["id"], "each question has an id of its own");
        client.answer(&next, named(name)).await;
    }

    assert_eq!(exchange.answer().await.result()["content"][0]["text"], "done");
    let calls = server.asked("tools/call");
    let told: Vec<Value> = calls.iter().skip(1).map(answers).collect();
    let expected = ["one", "two", "three"].map(|name| json!({ "who": named(name) }));
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_server_that_never_stops_asking_is_stopped() {
    let server = Server::of(Mood::Modern).on("tools/call", |request| {
        Reply::result(request, &input_required(&[("who", questions::name())], None))
    });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    let client = able(&gateway, "2025-11-25").await;

    let (mut exchange, mut next) = call(&client).await;
    let end = loop {
        client.answer(&next, named("me")).await;
        let message = exchange.message().await.expect("an end that is said");
        if message.get("method").is_none() {
            break message;
        }
        next = message;
    };

    assert_eq!(end["error"]["code"], -32603, "{end}");
    let calls = server.asked("tools/call").len();
    assert!(calls <= 11, "called {calls} times");
}

#[tokio::test]
async fn what_a_user_declines_is_declined() {
    let server = asking(vec![("who", questions::name())]).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway, "2025-11-25").await;

    let (exchange, question) = call(&client).await;
    client.answer(&question, json!({ "action": "decline" })).await;
    exchange.answer().await.result();

    let calls = server.asked("tools/call");
    assert_eq!(answers(&calls[1]), json!({ "who": { "action": "decline" } }));
}

#[tokio::test]
async fn an_error_in_answer_is_the_nearest_that_the_server_can_be_told() {
    for (question, told) in [
        (questions::name(), json!({ "action": "cancel" })),
        (questions::roots(), json!({ "roots": [] })),
    ] {
        let server = asking(vec![("it", question)]).await;
        let gateway = gateway(&server).await;
        let client = able(&gateway, "2025-11-25").await;

        let (exchange, question) = call(&client).await;
        client.refuse(&question, -32603, "not now").await;
        exchange.answer().await.result();

        let calls = server.asked("tools/call");
        assert_eq!(answers(&calls[1]), json!({ "it": told }), "{question}");
    }
}

#[tokio::test]
async fn a_refused_completion_ends_the_call_in_words() {
    let server = asking(vec![("what", questions::completion())]).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway, "2025-11-25").await;

    let (exchange, question) = call(&client).await;
    client
        .refuse(&question, -1, "User rejected sampling request")
        .await;
    let result = exchange.answer().await.result();

    assert_eq!(result["isError"], true, "{result}");
    let words = result["content"][0]["text"].as_str().unwrap();
    assert!(words.contains("User rejected sampling request"), "{result}");
    assert_eq!(
        server.asked("tools/call").len(),
        1,
        "asked again, it would ask forever"
    );
}

#[tokio::test]
async fn a_client_is_never_asked_what_it_has_not_offered() {
    for (able, question, words) in [
        (json!({}), questions::name(), "`elicitation`"),
        (
            json!({ "elicitation": {} }),
            questions::completion(),
            "`sampling`",
        ),
        (
            json!({ "elicitation": {} }),
            questions::visit("https://example.com/page"),
            "`elicitation.url`",
        ),
        (json!({ "sampling": {} }), questions::roots(), "`roots`"),
    ] {
        let server = asking(vec![("it", question)]).await;
        let gateway = gateway(&server).await;
        let client = gateway
            .client("/mcp")
            .able_to(able.clone())
            .legacy("2025-11-25")
            .await;

        let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

        assert_eq!(answer.messages.len(), 1, "nothing was asked: {answer:?}");
        assert_eq!(answer.code(), -32603, "{able}");
        let says = answer.last().to_string();
        assert!(says.contains("it asks `") && says.contains(words), "{says}");
        let told = &server.only("tools/call").params()["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        let kinds = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(kinds(told), kinds(&able), "the server knew it");
    }
}

#[tokio::test]
async fn a_client_that_takes_no_stream_offers_nothing() {
    let server = asking(vec![("who", questions::name())]).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway, "2025-11-25")
        .await
        .with("Accept", "application/json");

    let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

    assert_eq!(answer.code(), -32603, "{answer:?}");
    assert!(
        answer.last().to_string().contains("text/event-stream"),
        "{answer:?}"
    );
    let told = &server.only("tools/call").params()["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(*told, json!({}));
}

#[tokio::test]
async fn answers_to_no_question_change_nothing() {
    let server = asking(vec![("who", questions::name())]).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway, "2025-11-25").await;
    let stranger = able(&gateway, "2025-11-25").await;

    let (exchange, question) = call(&client).await;
    let nobodys = client
        .answer(&json!({ "id": "nobody asked" }), named("Eve"))
        .await;
    let foreign = stranger.answer(&question, named("Eve")).await;
    let mine = client.answer(&question, named("Ada")).await;
    let again = client.answer(&question, named("Eve")).await;
    exchange.answer().await.result();

    for answer in [&nobodys, &foreign, &mine, &again] {
        assert!(matches!(answer.status, 202 | 400 | 404), "{answer:?}");
    }
    assert_eq!(mine.status, 202, "{mine:?}");
    let calls = server.asked("tools/call");
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(answers(&calls[1]), json!({ "who": named("Ada") }));
}

#[tokio::test]
async fn a_client_that_leaves_before_it_answers_leaves_nothing_to_do() {
    let server = asking(vec![("who", questions::name())]).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway, "2025-11-25").await;

    let (exchange, question) = call(&client).await;
    drop(exchange);
    client.answer(&question, named("Ada")).await;
    // Whatever was still to come of it would be before this.
    client.ask("tools/list", json!({})).await.result();

    assert!(
        server.asked("notifications/cancelled").is_empty(),
        "a request that has ended is not cancelled"
    );
}

#[tokio::test]
async fn a_visit_has_an_id_where_its_revision_wants_one() {
    let server = asking(vec![("page", questions::visit("https://example.com/page"))]).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway, "2025-11-25").await;

    let (exchange, question) = call(&client).await;
    client.answer(&question, json!({ "action": "accept" })).await;
    exchange.answer().await.result();

    assert_eq!(question["params"]["mode"], "url", "{question}");
    assert_eq!(
        question["params"]["url"], "https://example.com/page",
        "{question}"
    );
    assert!(question["params"]["elicitationId"].is_string(), "{question}");
    let calls = server.asked("tools/call");
    assert_eq!(answers(&calls[1]), json!({ "page": { "action": "accept" } }));
}

/// Between equal revisions nothing is put in between, whatever it says.
#[tokio::test]
async fn a_client_of_2026_07_28_is_asked_by_the_server_itself() {
    let server = asking(vec![("who", questions::name())]).await;
    let gateway = gateway(&server).await;
    let client = gateway
        .client("/mcp")
        .able_to(json!({ "elicitation": { "form": {} } }))
        .modern();

    let asked = client.ask("tools/call", json!({ "name": "echo" })).await.result();
    let retry = json!({
        "name": "echo", "requestState": asked["requestState"], "inputResponses": { "who": named("Ada") },
    });
    let result = client.ask("tools/call", retry).await.result();

    assert_eq!(asked["resultType"], "input_required", "{asked}");
    assert_eq!(asked["requestState"], "state-1", "{asked}");
    assert!(
        result["content"][0]["text"].as_str().unwrap().contains("Ada"),
        "{result}"
    );
    assert!(
        server
            .asked("tools/call")
            .iter()
            .all(|call| call.revision() == MODERN)
    );
}
