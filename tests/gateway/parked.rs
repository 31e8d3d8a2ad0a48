//! Questions of earlier servers to users of 2026-07-28: the running call is kept, the client gets the question in place of a
//! result, and its next call goes on with the kept one. Each is used once, and by whom it was given to.
mod left_behind;
mod malformed;
mod outside_of_calls;
mod room;
mod visits;

use harness::{
    Answer, Client, Gate, Gateway, Mood, Reply, Running, Server, misbehave,
    questions::{self, Question, completed, named},
};
use serde_json::{Value, json};

const LEGACY: Mood = Mood::Sessionful("2025-11-25");

fn text(words: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": words }] })
}

/// What was answered: the results, or the errors.
fn said(answers: &[Value]) -> Value {
    let all: Vec<&Value> = answers
        .iter()
        .map(|answer| answer.get("result").unwrap_or(&answer["error"]))
        .collect();
    text(&json!(all).to_string())
}

/// A server whose tool asks one question after the other in the middle of the call, and then says what it was answered.
async fn asking(questions: Vec<Question>) -> Server {
    let server = Server::of(LEGACY).on("tools/call", move |request| {
        let mut reply = Reply::stream();
        for (number, question) in questions.iter().enumerate() {
            // Different calls of a session may ask at the same time.
            let id = format!("q{number} of {}", request.json()["id"]);
            reply = reply.ask(&question.request(&id));
        }
        reply.conclude(request, said)
    });
    server.start().await
}

fn able(gateway: &Running) -> Client {
    let able = json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {}, "roots": {} });
    gateway.client("/mcp").able_to(able).modern()
}

async fn gateway(server: &Server) -> Running {
    Gateway::new().server("docs", server).start().await
}

/// Calls the tool, which asks.
async fn call(client: &Client) -> Value {
    let asked = client.ask("tools/call", plain()).await.result();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    asked
}

fn plain() -> Value {
    json!({ "name": "echo", "arguments": { "message": "hi" } })
}

/// The same call with these answers, each under the key of the question that it is for.
fn retry(asked: &Value, answer: impl Fn(&Value) -> Option<Value>) -> Value {
    let questions = asked["inputRequests"].as_object().expect("questions");
    let answers: serde_json::Map<String, Value> = questions
        .iter()
        .filter_map(|(key, question)| Some((key.clone(), answer(question)?)))
        .collect();
    let mut call = plain();
    call["inputResponses"] = Value::Object(answers);
    call["requestState"] = asked["requestState"].clone();
    call
}

/// The same call with a name in answer to every question.
fn named_retry(asked: &Value, name: &str) -> Value {
    retry(asked, |_| Some(named(name)))
}

/// The only question of a result.
fn only(asked: &Value) -> &Value {
    let all = asked["inputRequests"].as_object().expect("questions");
    assert_eq!(all.len(), 1, "{asked}");
    all.values().next().unwrap()
}

fn words(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn a_question_is_a_result_and_its_answer_goes_on_with_the_call() {
    let server = asking(vec![questions::name()]).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    let asked = call(&client).await;
    let result = client
        .ask("tools/call", named_retry(&asked, "Ada"))
        .await
        .result();

    assert_eq!(only(&asked)["method"], "elicitation/create", "{asked}");
    assert_eq!(only(&asked)["params"]["message"], "What is your name?", "{asked}");
    assert!(
        asked.get("ttlMs").is_none() && asked.get("cacheScope").is_none(),
        "{asked}"
    );
    assert_eq!(words(&result), json!([named("Ada")]).to_string());
    assert_eq!(result["resultType"], "complete", "{result}");
    let call = server.only("tools/call");
    for member in ["inputResponses", "requestState"] {
        assert!(call.params().get(member).is_none(), "{call:?}");
    }
}

#[tokio::test]
async fn a_child_may_ask_in_the_middle_of_a_call_too() {
    let gateway = Gateway::new()
        .upstream("child", misbehave(&["--era", "legacy", "--ask-on", "tools/call"]))
        .start()
        .await;
    let client = able(&gateway);

    let asked = call(&client).await;
    let result = client
        .ask("tools/call", named_retry(&asked, "Ada"))
        .await
        .result();

    assert!(words(&result).contains("Ada"), "{result}");
}

/// A server that asks for a name and a completion at once.
async fn asking_two_things() -> Server {
    let server = Server::of(LEGACY).on("tools/call", |request| {
        let (who, what) = (
            questions::name().request("who"),
            questions::completion().request("what"),
        );
        Reply::stream()
            .event(&who)
            .event(&what)
            .hear(&who["id"])
            .hear(&what["id"])
            .conclude(request, said)
    });
    server.start().await
}

#[tokio::test]
async fn questions_that_come_together_are_put_together() {
    let server = asking_two_things().await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    let asked = call(&client).await;
    let answer = |question: &Value| match question["method"].as_str().unwrap() {
        "elicitation/create" => Some(named("Ada")),
        _ => Some(completed("that")),
    };
    let result = client.ask("tools/call", retry(&asked, answer)).await.result();

    assert_eq!(asked["inputRequests"].as_object().unwrap().len(), 2, "{asked}");
    assert_eq!(
        words(&result),
        json!([named("Ada"), completed("that")]).to_string()
    );
    server.only("tools/call");
}

#[tokio::test]
async fn answers_may_come_in_several_calls() {
    let server = asking_two_things().await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    let asked = call(&client).await;
    let name = |question: &Value| (question["method"] == "elicitation/create").then(|| named("Ada"));
    let rest = client.ask("tools/call", retry(&asked, name)).await.result();
    let stale = client.ask("tools/call", retry(&asked, name)).await;
    let result = client
        .ask("tools/call", retry(&rest, |_| Some(completed("that"))))
        .await
        .result();

    assert_eq!(only(&rest)["method"], "sampling/createMessage", "{rest}");
    assert_ne!(rest["requestState"], asked["requestState"], "each is used once");
    assert_eq!(stale.code(), -32602, "{stale:?}");
    assert_eq!(
        words(&result),
        json!([named("Ada"), completed("that")]).to_string()
    );
    server.only("tools/call");
}

#[tokio::test]
async fn a_server_may_ask_again_and_again() {
    let server = asking(vec![
        questions::name(),
        questions::roots(),
        questions::completion(),
    ])
    .await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);
    let roots = json!({ "roots": [{ "uri": "file:///home" }] });

    let mut asked = call(&client).await;
    for answer in [named("Ada"), roots.clone(), completed("that")] {
        let next = client
            .ask("tools/call", retry(&asked, |_| Some(answer.clone())))
            .await;
        asked = next.result();
    }

    assert_eq!(
        words(&asked),
        json!([named("Ada"), roots, completed("that")]).to_string()
    );
    server.only("tools/call");
}

/// Whatever is wrong with a state, its client is told the same, and nobody else's call is touched.
#[tokio::test]
async fn a_state_is_good_for_one_use_of_the_call_that_it_was_given_for() {
    let server = asking(vec![questions::name()]).await;
    let other = asking(vec![questions::name()]).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .server("other", &other)
        .start()
        .await;
    let able = json!({ "elicitation": {} });
    let client = gateway.client("/mcp/docs").able_to(able).modern();
    let asked = call(&client).await;
    let good = named_retry(&asked, "Ada");
    let state = asked["requestState"].as_str().unwrap();
    let with_state = |state: &str| {
        let mut call = good.clone();
        call["requestState"] = json!(state);
        call
    };
    let mut flipped = state.to_owned().into_bytes();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let mut arguments = good.clone();
    arguments["arguments"] = json!({ "message": "something else" });
    let mut tool = good.clone();
    tool["name"] = json!("another");

    let mut refused = Vec::new();
    for bad in [
        with_state(&String::from_utf8(flipped).unwrap()),
        with_state(&state[..state.len() - 1]),
        with_state(""),
        with_state("gw1.AAAA"),
        with_state(&"A".repeat(10_000)),
        arguments,
        tool,
    ] {
        refused.push(client.ask("tools/call", bad).await);
    }
    refused.push(
        client
            .clone()
            .at("/mcp/other")
            .ask("tools/call", good.clone())
            .await,
    );
    let method = json!({ "name": "echo", "requestState": state, "inputResponses": good["inputResponses"] });
    refused.push(client.ask("prompts/get", method).await);
    let result = client.ask("tools/call", good.clone()).await.result();
    refused.push(client.ask("tools/call", good).await);

    assert_eq!(
        words(&result),
        json!([named("Ada")]).to_string(),
        "the good one is as good as before"
    );
    for answer in &refused {
        assert_eq!((answer.status, answer.code()), (200, -32602), "{answer:?}");
        assert_eq!(
            answer.complaint(),
            refused[0].complaint(),
            "who tries learns nothing"
        );
    }
    server.only("tools/call");
    assert!(other.asked("tools/call").is_empty());
}

#[tokio::test]
async fn of_two_that_return_at_once_one_goes_on() {
    let server = asking(vec![questions::name()]).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);
    let asked = call(&client).await;

    let retry = named_retry(&asked, "Ada");
    let (one, other) = tokio::join!(
        client.ask("tools/call", retry.clone()),
        client.ask("tools/call", retry.clone())
    );

    let is_result = |answer: &Answer| answer.last().get("result").is_some();
    assert_ne!(is_result(&one), is_result(&other), "{one:?} {other:?}");
    let refused = if is_result(&one) { &other } else { &one };
    assert_eq!(refused.code(), -32602, "{refused:?}");
    server.only("tools/call");
}

#[tokio::test]
async fn a_server_that_does_not_wait_for_its_answer_is_heard_on_return() {
    let server = Server::of(LEGACY).on("tools/call", |request| {
        Reply::stream()
            .event(&questions::name().request("who"))
            .result_event(request, &text("decided alone"))
    });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    let first = client.ask("tools/call", plain()).await.result();
    let last = match first["resultType"] == "input_required" {
        true => client
            .ask("tools/call", named_retry(&first, "Ada"))
            .await
            .result(),
        // It may have decided before the question was put.
        false => first,
    };

    assert_eq!(words(&last), "decided alone");
    server.only("tools/call");
}

#[tokio::test]
async fn a_call_that_nobody_comes_back_for_is_ended() {
    for (question, told) in [
        (questions::name(), json!({ "result": { "action": "cancel" } })),
        (questions::completion(), json!({ "code": -1 })),
        (questions::roots(), json!({ "code": -32603 })),
    ] {
        let server = asking(vec![question]).await;
        let gateway = Gateway::new()
            .server("docs", &server)
            .config("bounds: { parked: 1s }")
            .start()
            .await;
        let client = able(&gateway);

        let asked = call(&client).await;
        let answered = server
            .request("an answer", |request| {
                let message = request.json();
                message.get("method").is_none() && message.get("id").is_some()
            })
            .await
            .json();
        let cancelled = server.asked_for("notifications/cancelled").await;
        let late = client.ask("tools/call", named_retry(&asked, "Ada")).await;

        match told.get("result") {
            Some(result) => assert_eq!(answered["result"], *result, "{answered}"),
            None => assert_eq!(answered["error"]["code"], told["code"], "{answered}"),
        }
        assert_eq!(
            cancelled.params()["requestId"],
            server.only("tools/call").json()["id"]
        );
        assert_eq!((late.status, late.code()), (200, -32602), "{late:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_after_its_answer_cancels_the_call() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(LEGACY).on("tools/call", move |request| {
        Reply::stream()
            .ask(&questions::name().request("who"))
            .wait(&held)
            .conclude(request, said)
    });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    let asked = call(&client).await;
    let returned = client.send("tools/call", named_retry(&asked, "Ada")).await;
    server
        .request("the answer", |request| request.json()["id"] == "who")
        .await;
    drop(returned);

    let cancelled = server.asked_for("notifications/cancelled").await;
    assert_eq!(
        cancelled.params()["requestId"],
        server.only("tools/call").json()["id"]
    );
}

#[tokio::test]
async fn a_client_is_never_asked_what_it_has_not_offered() {
    for (able, question, code) in [
        (json!({}), questions::name(), -32602),
        (
            json!({ "elicitation": { "form": {} } }),
            questions::visit("https://example.com").with("elicitationId", json!("e")),
            -32602,
        ),
        (json!({ "elicitation": {} }), questions::completion(), -32601),
        (json!({ "elicitation": {} }), questions::roots(), -32601),
    ] {
        let server = asking(vec![question]).await;
        let gateway = gateway(&server).await;
        let client = gateway.client("/mcp").able_to(able.clone()).modern();

        let result = client.ask("tools/call", plain()).await.result();

        assert_eq!(
            result["resultType"], "complete",
            "the server goes on without: {result}"
        );
        assert!(words(&result).contains(&code.to_string()), "{able}: {result}");
        let greeted = server.asked("initialize").pop().unwrap().params();
        let kinds = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            kinds(&greeted["capabilities"]),
            kinds(&able),
            "the server knew it"
        );
    }
}

#[tokio::test]
async fn what_is_reported_meanwhile_is_told_on_return() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(LEGACY).on("tools/call", move |request| {
        let token = request.params()["_meta"]["progressToken"].clone();
        let report = |progress: u64| {
            json!({
                "jsonrpc": "2.0", "method": "notifications/progress",
                "params": { "progressToken": token, "progress": progress },
            })
        };
        Reply::stream()
            .event(&questions::name().request("who"))
            .event(&report(1))
            .event(&report(2))
            .hear(&json!("who"))
            .wait(&held)
            .conclude(request, said)
    });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);

    let asked = call(&client).await;
    let mut retry = named_retry(&asked, "Ada");
    // The second call is another request, with a token of its own.
    retry["_meta"] = json!({ "progressToken": "mine" });
    gate.open();
    let answer = client.ask("tools/call", retry).await;

    answer.result();
    for message in &answer.messages {
        if message["method"] == "notifications/progress" {
            assert_eq!(message["params"]["progressToken"], "mine", "{message}");
            assert_eq!(
                message["params"]["progress"], 2,
                "only the last counts: {message}"
            );
        }
    }
}

/// Between two of one era nothing is kept: the question passes, and its answer passes back.
#[tokio::test]
async fn a_client_with_a_session_is_asked_by_the_server_itself() {
    let server = asking(vec![questions::name(), questions::completion()]).await;
    let gateway = gateway(&server).await;
    let able = json!({ "elicitation": {}, "sampling": {} });
    let client = gateway.client("/mcp").able_to(able).legacy("2025-11-25").await;

    let mut exchange = client.send("tools/call", plain()).await.begun().await;
    for answer in [named("Ada"), completed("that")] {
        let question = exchange.message().await.expect("a question");
        client.answer(&question, answer).await;
    }

    let result = exchange.answer().await.result();
    assert_eq!(
        words(&result),
        json!([named("Ada"), completed("that")]).to_string()
    );
    server.only("tools/call");
}
