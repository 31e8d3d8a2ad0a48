//! Returns that are none: what stands in place of answers.
use harness::questions;
use serde_json::{Value, json};

use super::{able, asking, call, gateway, named_retry, plain, words};

#[tokio::test]
async fn what_are_no_answers_is_refused_and_spoils_nothing() {
    let server = asking(vec![questions::name()]).await;
    let gateway = gateway(&server).await;
    let client = able(&gateway);
    let asked = call(&client).await;
    let with = |member: &str, value: Value| {
        let mut call = plain();
        call["requestState"] = asked["requestState"].clone();
        call[member] = value;
        call
    };
    let many: serde_json::Map<String, Value> =
        (0..1_000).map(|number| (number.to_string(), json!({}))).collect();

    let mut refused = Vec::new();
    for bad in [
        with("inputResponses", json!("garbage")),
        with("inputResponses", json!([])),
        with("inputResponses", json!(7)),
        with("inputResponses", json!({ "r1_1": "garbage" })),
        with("inputResponses", json!({ "r1_1": [1] })),
        with("inputResponses", Value::Object(many)),
        with("requestState", json!({})),
        with("requestState", json!(7)),
    ] {
        refused.push(client.clone().unchecked().ask("tools/call", bad).await);
    }
    let result = client
        .ask("tools/call", named_retry(&asked, "Ada"))
        .await
        .result();

    for answer in &refused {
        assert_eq!((answer.status, answer.code()), (200, -32602), "{answer:?}");
    }
    assert!(words(&result).contains("Ada"), "{result}");
    server.only("tools/call");
}
