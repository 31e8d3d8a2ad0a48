//! Results that ask nothing, ask without end, or ask where nobody may.
use harness::{
    Mood, Reply, Server,
    questions::{self, input_required},
};
use serde_json::{Value, json};

use super::{able, answers, asking, call, gateway, text};

#[tokio::test]
async fn a_server_that_only_wants_to_be_called_again_is_called_again() {
    let server = Server::of(Mood::Modern).on("tools/call", |request| {
        let result = match request.params()["requestState"].as_str() {
            None => input_required(&[], Some("later")),
            Some(state) => text(state),
        };
        Reply::result(request, &result)
    });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    // It asks nobody, and so this client need offer nothing.
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    let result = client.call("echo", json!({})).await;

    assert_eq!(result["content"][0]["text"], "later");
    assert_eq!(server.asked("tools/call").len(), 2);
}

#[tokio::test]
async fn a_server_that_is_never_ready_is_given_up() {
    let server = Server::of(Mood::Modern)
        .on("tools/call", |request| {
            Reply::result(request, &input_required(&[], Some("later")))
        })
        .start()
        .await;
    let gateway = gateway(&server).await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

    assert_eq!(answer.code(), -32603, "{answer:?}");
    let calls = server.asked("tools/call").len();
    assert!((2..=6).contains(&calls), "called {calls} times");
}

#[tokio::test]
async fn garbage_in_place_of_questions_is_an_error_and_no_second_call() {
    let garbage = [
        json!({ "resultType": "input_required" }),
        json!({ "resultType": "input_required", "inputRequests": {} }),
        json!({ "resultType": "input_required", "inputRequests": [] }),
        json!({ "resultType": "input_required", "inputRequests": { "a": { "method": "tools/call" } } }),
        json!({ "resultType": "input_required", "inputRequests": { "a": 7 } }),
        json!({ "resultType": "input_required", "requestState": 7 }),
        json!({ "resultType": "something else", "content": [] }),
        json!({ "resultType": 7, "content": [] }),
    ];
    for result in garbage {
        let told = result.clone();
        let server = Server::of(Mood::Modern)
            .on("tools/call", move |request| Reply::result(request, &told))
            .start()
            .await;
        let gateway = gateway(&server).await;
        let client = able(&gateway, "2025-11-25").await;

        let answer = client.ask("tools/call", json!({ "name": "echo" })).await;

        assert_eq!(answer.code(), -32603, "{result}: {answer:?}");
        assert_eq!(server.asked("tools/call").len(), 1, "{result}");
    }
}

/// Left out, the answer would be asked for again, and each time the tool called once more.
#[tokio::test]
async fn an_answer_that_is_no_object_stands_for_none_and_is_not_left_out() {
    for (question, told) in [
        (questions::name(), json!({ "action": "cancel" })),
        (questions::roots(), json!({ "roots": [] })),
        (questions::completion(), Value::Null),
    ] {
        for garbage in [json!(5), json!([1]), json!("x"), Value::Null] {
            let server = asking(vec![("it", question.clone())]).await;
            let gateway = gateway(&server).await;
            let client = able(&gateway, "2025-11-25").await.unchecked();

            let (exchange, asked) = call(&client).await;
            client.answer(&asked, garbage.clone()).await;
            let result = exchange.answer().await.result();

            let calls = server.asked("tools/call");
            match told.is_null() {
                true => {
                    assert_eq!(result["isError"], true, "{garbage}: {result}");
                    assert_eq!(calls.len(), 1, "{garbage}");
                }
                false => {
                    assert_eq!(calls.len(), 2, "{garbage}: {asked}");
                    assert_eq!(answers(&calls[1]), json!({ "it": told }), "{garbage}");
                }
            }
        }
    }
}

#[tokio::test]
async fn questions_come_from_calls_prompts_and_resources_alone() {
    for (method, params, may_ask) in [
        ("prompts/get", json!({ "name": "review" }), true),
        ("resources/read", json!({ "uri": "test://greeting" }), true),
        ("tools/list", json!({}), false),
        (
            "completion/complete",
            json!({
                "ref": { "type": "ref/prompt", "name": "review" }, "argument": { "name": "code", "value": "" },
            }),
            false,
        ),
    ] {
        let server = Server::of(Mood::Modern)
            .able_to(json!({ "tools": {}, "prompts": {}, "resources": {}, "completions": {} }))
            .on(method, |request| {
                Reply::result(request, &input_required(&[("who", questions::name())], None))
            })
            .start()
            .await;
        let gateway = gateway(&server).await;
        let client = able(&gateway, "2025-11-25").await;

        let mut exchange = client.send(method, params).await.begun().await;
        let first = match exchange.is_stream() {
            true => exchange.message().await.expect("an answer or a question"),
            false => exchange.answer().await.last().clone(),
        };

        match may_ask {
            true => assert_eq!(first["method"], "elicitation/create", "{method}: {first}"),
            false => assert_eq!(first["error"]["code"], -32603, "{method}: {first}"),
        }
    }
}

/// Nothing can be told before the answers of a batch, which are one array.
#[tokio::test]
async fn what_is_called_in_a_batch_is_asked_nothing() {
    let server = Server::of(Mood::Modern).on("tools/call", |request| {
        let able = &request.params()["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        let result = match able["sampling"].is_object() {
            true => input_required(&[("what", questions::completion())], None),
            false => text("decided alone"),
        };
        Reply::result(request, &result)
    });
    let server = server.start().await;
    let gateway = gateway(&server).await;
    let client = able(&gateway, "2025-03-26").await.unchecked();

    let batch = json!([client.request("tools/call", json!({ "name": "echo" }))]);
    let answer = client.post(batch.to_string()).await;

    assert_eq!(answer.messages.len(), 1, "{answer:?}");
    assert_eq!(
        answer.result()["content"][0]["text"],
        "decided alone",
        "{answer:?}"
    );
}
