//! Which keys are good, and whose they are.
use harness::{Gateway, Mood, Reply, Server};
use serde_json::{Value, json};

use super::{KEY, called, complete, counting, in_front_of, keyed, pay, pay_with_key};

#[tokio::test]
async fn a_key_is_for_one_call() {
    let server = counting(Server::of(Mood::Dual)).start().await;
    let gateway = in_front_of(&server).await;
    let legacy = gateway
        .client("/mcp/crm")
        .with("Idempotency-Key", KEY)
        .legacy("2025-11-25")
        .await;
    let first = keyed(&gateway).ask("tools/call", pay()).await.result();

    for other in [
        json!({ "name": "pay", "arguments": { "to": "Eve" } }),
        json!({ "name": "refund", "arguments": { "to": "Bob" } }),
        json!({ "name": "pay" }),
    ] {
        let answer = keyed(&gateway).ask("tools/call", other.clone()).await;
        assert_eq!((answer.status, answer.code()), (200, -32602), "{other}");
        assert!(answer.complaint().contains("another call"), "{other}");
    }
    let in_other_words = legacy.ask("tools/call", pay()).await;
    assert_eq!(
        in_other_words.code(),
        -32602,
        "its answer would be in words that this client does not know"
    );
    let record = gateway
        .record("a refusal", |record| record["repeat"] == "refused")
        .await;
    assert!(!record.to_string().contains(KEY), "{record}");

    assert_eq!(keyed(&gateway).ask("tools/call", pay()).await.result(), first);
    assert_eq!(called(&server), 1);
}

#[tokio::test]
async fn what_is_no_key_is_refused_before_anything_is_sent() {
    let server = counting(Server::of(Mood::Modern)).start().await;
    let gateway = in_front_of(&server).await;
    let client = || gateway.client("/mcp/crm").modern();
    let in_message = |key: Value| {
        let mut params = pay();
        params["_meta"] = json!({ "dev.causeway/idempotency-key": key });
        params
    };

    for (what, client, params) in [
        ("an empty one", client().with("Idempotency-Key", ""), pay()),
        ("a short one", client().with("Idempotency-Key", "order-1"), pay()),
        (
            "a long one",
            client().with("Idempotency-Key", &"k".repeat(10_000)),
            pay(),
        ),
        (
            "one with a space",
            client().with("Idempotency-Key", "0f8fad5b d9cb 469f"),
            pay(),
        ),
        ("two", keyed(&gateway).with_another("Idempotency-Key", KEY), pay()),
        (
            "another in the message",
            keyed(&gateway),
            in_message(json!(format!("{KEY}x"))),
        ),
        (
            "a number",
            client(),
            in_message(json!(12_345_678_901_234_567_u64)),
        ),
        ("nothing", client(), in_message(json!(null))),
        (
            "a long one in the message",
            client(),
            in_message(json!("k".repeat(10_000))),
        ),
        (
            "one with an accent",
            client(),
            in_message(json!("éééééééééééééééééé")),
        ),
    ] {
        let answer = client.ask("tools/call", params).await;
        assert_eq!(
            (answer.status, answer.code()),
            (200, -32602),
            "{what}: {answer:?}"
        );
        assert!(
            !answer.text().contains("kkkk") && !answer.text().contains(KEY),
            "{what}"
        );
    }
    let longest = client().with("Idempotency-Key", &"k".repeat(255));
    longest.ask("tools/call", pay()).await.result();
    assert_eq!(called(&server), 1);
}

#[tokio::test]
async fn a_key_of_what_calls_no_tool_means_nothing() {
    let server = Server::of(Mood::Dual).on("vendor/pay", |request| {
        Reply::result(request, &complete(request, json!({})))
    });
    let server = server.start().await;
    let gateway = in_front_of(&server).await;

    for _ in 0..2 {
        let client = keyed(&gateway).with("Idempotency-Key", "short");
        client.ask("vendor/pay", json!({})).await.result();
    }

    assert_eq!(server.asked("vendor/pay").len(), 2);
}

#[tokio::test]
async fn what_credentials_are_made_of_tells_callers_apart() {
    let server = counting(Server::of(Mood::Modern)).start().await;
    let gateway = Gateway::new()
        .upstream(
            "crm",
            format!(
                "{{ url: \"{}\", headers: {{ X-Tenant: \"${{param:tenant}}\" }} }}",
                server.url()
            ),
        )
        .start()
        .await;
    let of = |tenant: &str| {
        let client = gateway.client(&format!("/mcp/crm?tenant={tenant}")).modern();
        client.with("Idempotency-Key", KEY)
    };

    let acme = of("acme").ask("tools/call", pay()).await.result();
    let globex = of("globex").ask("tools/call", pay()).await.result();
    let again = of("acme").ask("tools/call", pay()).await.result();
    let nobody = keyed(&gateway).ask("tools/call", pay()).await;

    assert_ne!(acme, globex);
    assert_eq!(acme, again);
    assert_eq!(nobody.code(), -32600, "the header cannot be made");
}

#[tokio::test]
async fn other_upstreams_have_other_keys() {
    let (crm, shop) = (
        counting(Server::of(Mood::Modern)).start().await,
        counting(Server::of(Mood::Modern)).start().await,
    );
    let gateway = Gateway::new()
        .server("crm", &crm)
        .server("shop", &shop)
        .start()
        .await;

    keyed(&gateway).ask("tools/call", pay()).await.result();
    keyed(&gateway)
        .at("/mcp/shop")
        .ask("tools/call", pay())
        .await
        .result();

    assert_eq!((called(&crm), called(&shop)), (1, 1));
}

#[tokio::test]
async fn a_session_that_is_required_is_required_of_who_asks_again() {
    let server = counting(Server::of(Mood::Dual)).start().await;
    let gateway = Gateway::new()
        .server("crm", &server)
        .config("routes: [{ path: /mcp, sessions: required }]")
        .start()
        .await;

    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    client.ask("tools/call", pay_with_key()).await.result();
    let without = gateway.client("/mcp").sessionless("2025-06-18");
    let without = without.ask("tools/call", pay_with_key()).await;

    assert_eq!(without.status, 400, "{without:?}");
}

#[tokio::test]
async fn a_reload_in_between_makes_no_second_call() {
    let server = counting(Server::of(Mood::Modern)).start().await;
    let gateway = in_front_of(&server).await;
    let first = keyed(&gateway).ask("tools/call", pay()).await.result();

    gateway.replace(
        "gateway.yaml",
        &gateway.document().replace("url:", "timeout: 299s, url:"),
    );
    gateway.hang_up();
    gateway.reloaded("changed crm").await;
    let again = keyed(&gateway).ask("tools/call", pay()).await.result();

    assert_eq!(again, first);
    assert_eq!(called(&server), 1);
}
