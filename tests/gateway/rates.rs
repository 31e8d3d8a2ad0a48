//! Rates: how many calls, by whom; who is refused is told when to come again, and nobody else is slowed.
use harness::{Client, Exit, Gate, Gateway, Mood, Reply, Running, Server, check};
use serde_json::{Value, json};

const KEYS: &str = "auth:
  keys:
    - { name: ann, key: cw_annannannannannannannannannann }
    - { name: bob, key: cw_bobbobbobbobbobbobbobbobbobbob }
";

async fn gateway(server: &Server, rates: &str) -> Running {
    Gateway::new()
        .server("crm", server)
        .config(KEYS)
        .config(rates)
        .start()
        .await
}

fn as_who(gateway: &Running, who: &str) -> Client {
    let key = format!("cw_{}", who.repeat(10));
    gateway
        .client("/mcp")
        .with("Authorization", &format!("Bearer {key}"))
        .modern()
}

async fn call(client: &Client, tool: &str) -> harness::Answer {
    client
        .ask(
            "tools/call",
            json!({ "name": tool, "arguments": { "message": "hi" } }),
        )
        .await
}

#[tokio::test]
async fn who_has_used_up_a_quota_is_told_when_there_is_more() {
    let server = Server::start(Mood::Dual).await;
    let gateway = gateway(&server, "rates: [{ per: principal, calls: 3/h }]").await;
    let ann = as_who(&gateway, "ann");
    for _ in 0..3 {
        assert_eq!(call(&ann, "echo").await.status, 200);
    }

    let refused = call(&ann, "echo").await;

    assert_eq!((refused.status, refused.code()), (429, -31001), "{refused:?}");
    let seconds: u64 = refused.headers.get("Retry-After").unwrap().parse().unwrap();
    assert!((600..=1200).contains(&seconds), "{seconds}");
    assert_eq!(
        call(&as_who(&gateway, "bob"), "echo").await.status,
        200,
        "his is his own"
    );
    assert_eq!(
        ann.ask("tools/list", json!({})).await.status,
        200,
        "lists are not counted"
    );
    assert_eq!(server.asked("tools/call").len(), 4);
    let record = gateway
        .record("the refused one", |record| record["status"] == 429)
        .await;
    assert_eq!(
        (&record["principal"], &record["outcome"]),
        (&json!("ann"), &json!("denied"))
    );
}

#[tokio::test]
async fn one_tool_that_is_used_up_says_so_itself() {
    let server = Server::start(Mood::Dual).await;
    let gateway = gateway(
        &server,
        "rates: [{ per: [principal, tool], tools: [echo], calls: 1/m }]",
    )
    .await;
    let ann = as_who(&gateway, "ann");
    assert!(call(&ann, "echo").await.result()["isError"].is_null());

    let result: Value = call(&ann, "echo").await.result();

    assert_eq!(result["isError"], json!(true));
    assert!(
        result["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("try again in"),
        "{result}"
    );
    assert!(call(&as_who(&gateway, "bob"), "echo").await.result()["isError"].is_null());
}

#[tokio::test]
async fn places_are_given_back_when_calls_end_however_they_do() {
    let gate = Gate::closed();
    let at = gate.clone();
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        let result = json!({ "resultType": "complete", "content": [] });
        Reply::after(&at, Reply::result(request, &result))
    });
    let server = server.start().await;
    let gateway = gateway(&server, "rates: [{ per: principal, concurrent: 1 }]").await;
    let ann = as_who(&gateway, "ann");

    let first = ann
        .send("tools/call", json!({ "name": "echo", "arguments": {} }))
        .await;
    harness::until("the first at its server", || {
        (server.asked("tools/call").len() == 1).then_some(())
    })
    .await;
    assert_eq!(call(&ann, "echo").await.status, 429);
    // Its client leaves, which takes it back.
    drop(first);
    gateway
        .record("the first one's end", |record| record["outcome"] == "cancelled")
        .await;
    gate.open();
    assert_eq!(call(&ann, "echo").await.status, 200);
    assert_eq!(call(&ann, "echo").await.status, 200);
}

#[tokio::test]
async fn what_was_used_is_not_forgotten_by_a_reload() {
    let server = Server::start(Mood::Dual).await;
    let gateway = gateway(&server, "rates: [{ per: principal, calls: 1/h }]").await;
    let ann = as_who(&gateway, "ann");
    assert_eq!(call(&ann, "echo").await.status, 200);

    gateway.replace("gateway.yaml", &format!("{}grace: 5s\n", gateway.document()));
    gateway.reloaded("all upstreams stay").await;

    assert_eq!(call(&ann, "echo").await.status, 429);
}

#[tokio::test]
async fn rates_that_cannot_be_meant_are_mistakes_with_their_lines() {
    let file = "upstreams:\n  crm: { command: causeway, args: [demo] }\nrates:\n  - { per: principle, calls: 1/m }\n  - { per: tool, calls: 0/m }\n  - { per: principal }\n  - { per: tool, upstreams: [crn], calls: 5/m }\n";
    let (exit, said) = check(file).await;

    assert_eq!(exit, Exit::Code(2), "{said}");
    for line in 4..=7 {
        assert!(said.contains(&format!("gateway.yaml:{line}:")), "{line}: {said}");
    }
    assert!(
        said.contains("did you mean `principal`?") && said.contains("did you mean `crm`?"),
        "{said}"
    );
}
