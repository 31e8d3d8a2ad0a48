//! Answers that are kept: for who asks the same again, and only where the operator says so.
mod at_once;

use harness::{Builder, Exit, Gate, Gateway, Mood, Reply, Running, Server, check, questions};
use serde_json::{Value, json};

/// What a tool answers that tells how often it was called.
pub(crate) fn counting(server: Builder) -> Builder {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    server.on("tools/call", move |request| {
        let number = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let result = json!({
            "content": [{ "type": "text", "text": format!("{} {number}", request.params()["arguments"]) }],
            "_meta": { "example/own": [1.0, "é"] },
        });
        Reply::result(request, &complete(request, result))
    })
}

/// A result in the words of who asks.
pub(crate) fn complete(request: &harness::Request, mut result: Value) -> Value {
    if request.revision() == harness::MODERN {
        result["resultType"] = json!("complete");
    }
    result
}

/// A gateway that keeps what `find` of the upstream `crm` says.
pub(crate) async fn keeping(server: &Server) -> Running {
    Gateway::new()
        .server("crm", server)
        .config("cache: { crm: { tools: [find, \"get_*\"], ttl: 1h } }")
        .start()
        .await
}

pub(crate) fn called(server: &Server) -> usize {
    server.asked("tools/call").len()
}

/// How the last call on record was answered.
async fn lookup(gateway: &Running, calls: usize) -> Value {
    let records = harness::until(format!("{calls} calls on record"), || {
        let calls_on_record: Vec<_> = gateway
            .records()
            .into_iter()
            .filter(|record| record["method"] == "tools/call")
            .collect();
        (calls_on_record.len() >= calls).then_some(calls_on_record)
    })
    .await;
    records[calls - 1]["cache"].clone()
}

#[tokio::test]
async fn the_same_question_is_asked_once_and_each_call_is_on_record() {
    for mood in [
        Mood::Modern,
        Mood::Sessionful("2025-06-18"),
        Mood::Sse("2024-11-05"),
    ] {
        let server = counting(Server::of(mood)).start().await;
        let gateway = keeping(&server).await;
        let client = gateway.client("/mcp/crm").modern();

        let first = client.call("find", json!({ "a": 1, "b": [{ "c": 2 }] })).await;
        let again = client
            .send_message(&json!({ "jsonrpc": "2.0", "id": "other", "method": "tools/call", "params": {
                "_meta": { "progressToken": "p", "traceparent": "00-11111111111111111111111111111111-2222222222222222-01",
                    "io.modelcontextprotocol/protocolVersion": harness::MODERN,
                    "io.modelcontextprotocol/clientInfo": { "name": "another", "version": "2" },
                    "io.modelcontextprotocol/clientCapabilities": {} },
                "arguments": { "b": [{ "c": 2 }], "a": 1 }, "name": "find" } }))
            .await
            .answer()
            .await;

        assert_eq!(again.last()["id"], "other");
        assert_eq!(again.result(), first, "{mood:?}");
        assert_eq!(again.result()["_meta"]["example/own"], json!([1.0, "é"]));
        assert_eq!(called(&server), 1, "{mood:?}");
        assert_eq!(lookup(&gateway, 1).await, "miss");
        assert_eq!(lookup(&gateway, 2).await, "hit");
        gateway
            .counted("causeway_results_lookups_total{outcome=\"hit\"} 1")
            .await;
        gateway
            .counted("causeway_results_lookups_total{outcome=\"miss\"} 1")
            .await;
    }
}

#[tokio::test]
async fn what_may_mean_something_else_is_asked_anew() {
    let server = counting(Server::of(Mood::Dual)).start().await;
    let gateway = keeping(&server).await;
    let client = gateway.client("/mcp/crm").modern();
    let other_words = gateway.client("/mcp/crm").modern().with("Baggage", "tenant=acme");
    let asked_more = gateway
        .client("/mcp/crm")
        .able_to(json!({ "elicitation": { "form": {} } }))
        .modern();

    let call = |arguments: Value| json!({ "name": "find", "arguments": arguments });
    for (client, params) in [
        (&client, call(json!({ "a": 1 }))),
        (&client, call(json!({ "a": 1.0 }))),
        (&client, call(json!({ "a": "1" }))),
        (&client, call(json!({ "a": 1, "b": null }))),
        (&client, call(json!({ "a": [1] }))),
        (&client, call(json!({}))),
        (&client, json!({ "name": "find" })),
        (&client, json!({ "name": "get_one", "arguments": { "a": 1 } })),
        (
            &client,
            json!({ "name": "find", "arguments": { "a": 1 }, "_meta": { "example/tenant": "acme" } }),
        ),
        (&other_words, call(json!({ "a": 1 }))),
        (&asked_more, call(json!({ "a": 1 }))),
    ] {
        let before = called(&server);
        client.ask("tools/call", params.clone()).await.result();
        assert_eq!(called(&server), before + 1, "{params}");
        client.ask("tools/call", params.clone()).await.result();
        assert_eq!(called(&server), before + 1, "{params}, again");
    }
    let before = called(&server);
    for _ in 0..2 {
        client.call("delete", json!({ "a": 1 })).await;
    }
    assert_eq!(called(&server), before + 2, "no rule names it");
    let deleted = gateway
        .record("the call", |record| record["tool"] == "delete")
        .await;
    assert_eq!(deleted.get("cache"), None, "{deleted}");
}

#[tokio::test]
async fn each_revision_has_its_own_words_and_all_of_them_share_their_server() {
    let server = counting(Server::of(Mood::Dual)).start().await;
    let gateway = keeping(&server).await;
    let modern = gateway.client("/mcp/crm").modern();
    let one = gateway.client("/mcp/crm").legacy("2025-11-25").await;
    let other = gateway.client("/mcp/crm").legacy("2025-11-25").await;
    let old = gateway.client("/mcp/crm").legacy("2025-03-26").await;

    let of_modern = modern.call("find", json!({})).await;
    let of_one = one.call("find", json!({})).await;
    let of_other = other.call("find", json!({})).await;
    old.call("find", json!({})).await;

    assert_eq!(of_modern["resultType"], "complete");
    assert_eq!(of_one.get("resultType"), None, "{of_one}");
    assert_eq!(of_one, of_other);
    assert_eq!(called(&server), 3, "one for each revision");
}

#[tokio::test]
async fn what_is_no_plain_result_is_never_kept() {
    let big = "x".repeat(1 << 20);
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        let text = |text: &str| json!({ "content": [{ "type": "text", "text": text }] });
        match request.params()["arguments"]["what"].as_str().unwrap() {
            "error" => Reply::error(request, -32000, "no"),
            "failed" => {
                let mut failed = text("failed");
                failed["isError"] = json!(true);
                Reply::result(request, &complete(request, failed))
            }
            "streamed" => {
                let token = &request.params()["_meta"]["progressToken"];
                let progress = json!({ "progressToken": token, "progress": 1 });
                Reply::stream()
                    .event(
                        &json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": progress }),
                    )
                    .result_event(request, &complete(request, text("streamed")))
            }
            "big" => Reply::result(request, &complete(request, text(&big))),
            "malformed" => Reply::result(request, &complete(request, json!({}))),
            _ => Reply::result(
                request,
                &questions::input_required(&[("r", questions::name())], Some("s")),
            ),
        }
    });
    let server = server.start().await;
    let gateway = keeping(&server).await;
    let client = gateway
        .client("/mcp/crm")
        .able_to(json!({ "elicitation": { "form": {} } }))
        .modern()
        .unchecked();

    for what in ["error", "failed", "streamed", "big", "malformed", "asks"] {
        let before = called(&server);
        for _ in 0..2 {
            let params =
                json!({ "name": "find", "arguments": { "what": what }, "_meta": { "progressToken": 1 } });
            client.ask("tools/call", params).await;
        }
        assert_eq!(called(&server), before + 2, "{what}");
    }
}

/// What is kept would be told to those who can be asked.
#[tokio::test]
async fn what_is_answered_after_a_question_in_vain_is_not_kept() {
    let server = Server::of(Mood::Sessionful("2025-11-25")).on("tools/call", |request| {
        Reply::stream()
            .ask(&questions::name().request("q"))
            .conclude(request, |_| json!({ "content": [] }))
    });
    let server = server.start().await;
    let gateway = keeping(&server).await;
    let client = gateway.client("/mcp/crm").modern();

    for _ in 0..2 {
        client.call("find", json!({})).await;
    }

    assert_eq!(called(&server), 2);
}

#[tokio::test]
async fn a_call_that_brings_answers_is_never_answered_from_what_is_kept() {
    let server = counting(Server::of(Mood::Modern)).start().await;
    let gateway = keeping(&server).await;
    let client = gateway.client("/mcp/crm").modern();

    client.call("find", json!({})).await;
    for more in [
        json!({ "inputResponses": { "r": { "action": "accept" } } }),
        json!({ "requestState": "s" }),
    ] {
        let before = called(&server);
        for _ in 0..2 {
            let mut params = json!({ "name": "find", "arguments": {} });
            params
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            client.ask("tools/call", params).await.result();
        }
        assert_eq!(called(&server), before + 2, "{more}");
    }
}

#[tokio::test]
async fn other_credentials_are_another_caller_even_where_results_are_shared() {
    for shared in [false, true] {
        let server = counting(Server::of(Mood::Dual)).start().await;
        let gateway = Gateway::new()
            .upstream(
                "crm",
                format!(
                    "{{ url: \"{}\", headers: {{ X-Tenant: \"${{param:tenant}}\" }} }}",
                    server.url()
                ),
            )
            .config(&format!(
                "cache: {{ crm: {{ tools: [find], shared: {shared} }} }}"
            ))
            .start()
            .await;
        let of = |tenant: &str| gateway.client(&format!("/mcp/crm?tenant={tenant}")).modern();

        let acme = of("acme").call("find", json!({})).await;
        let globex = of("globex").call("find", json!({})).await;
        let again = of("acme").call("find", json!({})).await;
        let refused = gateway
            .client("/mcp/crm")
            .modern()
            .ask("tools/call", json!({ "name": "find", "arguments": {} }))
            .await;

        assert_ne!(acme, globex, "shared: {shared}");
        assert_eq!(acme, again, "shared: {shared}");
        assert_eq!(refused.code(), -32600, "the header cannot be made");
    }
}

#[tokio::test]
async fn a_session_that_is_required_is_required_of_who_could_be_answered_at_once() {
    let server = counting(Server::of(Mood::Dual)).start().await;
    let gateway = Gateway::new()
        .server("crm", &server)
        .config("cache: { crm: { tools: [find] } }\nroutes: [{ path: /mcp, sessions: required }]")
        .start()
        .await;
    let params = json!({ "name": "find", "arguments": {} });

    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    client.ask("tools/call", params.clone()).await.result();
    let without = gateway
        .client("/mcp")
        .sessionless("2025-06-18")
        .ask("tools/call", params)
        .await;

    assert_eq!(without.status, 400, "{without:?}");
}

#[tokio::test]
async fn an_endpoint_of_many_servers_keeps_what_its_servers_say() {
    let crm = crate::aggregate::with_everything(Mood::Modern).await;
    let docs = Server::start(Mood::Legacy("2025-06-18")).await;
    let gateway = Gateway::new()
        .server("crm", &crm)
        .server("docs", &docs)
        .config("cache: { crm: { tools: [find] } }")
        .start()
        .await;

    let at_endpoint = gateway.client("/mcp").modern().call("crm__find", json!({})).await;
    let alone = gateway.client("/mcp/crm").modern().call("find", json!({})).await;
    let again = gateway.client("/mcp").modern().call("crm__find", json!({})).await;

    assert_eq!(called(&crm), 1);
    assert_eq!(at_endpoint["content"][1]["uri"], "crm+note://a");
    assert_eq!(alone["content"][1]["uri"], "note://a");
    assert_eq!(at_endpoint, again);
}

#[tokio::test]
async fn rules_know_tools_by_the_names_of_their_server() {
    let server = counting(Server::of(Mood::Modern)).start().await;
    let gateway = Gateway::new()
        .upstream(
            "crm",
            format!(
                "{{ url: \"{}\", tools: {{ rename: {{ echo: say }} }} }}",
                server.url()
            ),
        )
        .config("cache: { crm: { tools: { allow: [\"e*\"], deny: [say] } } }")
        .start()
        .await;
    let client = gateway.client("/mcp/crm").modern();

    let said = client.call("say", json!({})).await;

    assert_eq!(client.call("say", json!({})).await, said);
    assert_eq!(server.only("tools/call").params()["name"], "echo");
}

#[tokio::test]
async fn a_reload_forgets_what_an_upstream_said_that_became_another_and_nothing_else() {
    let server = counting(Server::of(Mood::Dual)).start().await;
    let gateway = keeping(&server).await;
    let client = gateway.client("/mcp/crm").modern();
    client.call("find", json!({})).await;

    gateway.replace("gateway.yaml", &format!("{}grace: 19s\n", gateway.document()));
    gateway.hang_up();
    gateway.reloaded("all upstreams stay").await;
    client.call("find", json!({})).await;
    assert_eq!(called(&server), 1);

    gateway.replace(
        "gateway.yaml",
        &gateway.document().replace("url:", "timeout: 299s, url:"),
    );
    gateway.hang_up();
    gateway.reloaded("changed crm").await;
    client.call("find", json!({})).await;
    assert_eq!(called(&server), 2);
}

#[tokio::test]
async fn a_server_that_tells_of_a_change_is_asked_anew() {
    let changes = Gate::closed();
    let gate = changes.clone();
    let server = Server::of(Mood::Modern).able_to(json!({ "tools": { "listChanged": true } }));
    let server = counting(server)
        .on("subscriptions/listen", move |request| {
            let meta = json!({ "io.modelcontextprotocol/subscriptionId": request.json()["id"] });
            let wanted = &request.params()["notifications"];
            Reply::stream()
                .event(&json!({
                    "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                    "params": { "_meta": meta, "notifications": wanted },
                }))
                .wait(&gate)
                .event(&json!({
                    "jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": { "_meta": meta },
                }))
                .wait(&Gate::closed())
        })
        .start()
        .await;
    let gateway = keeping(&server).await;
    let client = gateway.client("/mcp/crm").modern();
    client.call("find", json!({})).await;
    server.asked_for("subscriptions/listen").await;
    client.call("find", json!({})).await;
    assert_eq!(called(&server), 1, "it is kept");

    server.forget();
    changes.open();
    // It reads the list anew once it has heard, and finds it as it was.
    server.asked_for("tools/list").await;
    client.call("find", json!({})).await;

    assert_eq!(called(&server), 1);
}

#[tokio::test]
async fn a_hint_is_believed_of_a_server_that_is_trusted() {
    let tools = json!({ "tools": [
        { "name": "find", "inputSchema": { "type": "object" }, "annotations": { "readOnlyHint": true } },
        { "name": "pay", "inputSchema": { "type": "object" } },
    ], "resultType": "complete", "ttlMs": 3_600_000, "cacheScope": "public" });
    let server = counting(Server::of(Mood::Modern))
        .on("tools/list", move |request| Reply::result(request, &tools))
        .start()
        .await;
    let gateway = Gateway::new()
        .upstream("crm", format!("{{ url: \"{}\", trusted: true }}", server.url()))
        .config("cache: { crm: { read_only: true } }")
        .start()
        .await;
    let client = gateway.client("/mcp/crm").modern();
    // The first call has the catalog read; until that is there no tool is known to be harmless.
    client.call("find", json!({})).await;
    gateway
        .counted("causeway_catalog_reads_total{outcome=\"changed\",upstream=\"crm\"} 1")
        .await;

    let before = called(&server);
    for _ in 0..3 {
        client.call("find", json!({ "x": 1 })).await;
    }
    assert_eq!(called(&server), before + 1);
    for _ in 0..2 {
        client.call("pay", json!({ "x": 1 })).await;
    }
    assert_eq!(called(&server), before + 3);
}

#[tokio::test]
async fn mistakes_are_told_with_a_way_out() {
    let file = |upstream: &str, cache: &str| {
        format!("upstreams:\n  crm: {{ url: \"http://127.0.0.1:1/mcp\"{upstream} }}\ncache:\n  {cache}\n")
    };
    for (upstream, cache, words) in [
        ("", "crn: { tools: [find] }", &[":4", "`crn`", "`crm`"][..]),
        (
            "",
            "crm: { read_only: true }",
            &["cache.crm.read_only", "trusted: true"],
        ),
        (
            ", trusted: false",
            "crm: [{ read_only: true }]",
            &["trusted: true"],
        ),
        ("", "crm: { ttl: 60s }", &["cache.crm", "which tools"]),
        (
            "",
            "crm: { tools: [find], ttl: 0s }",
            &["cache.crm.ttl", "1s to 24h"],
        ),
        ("", "crm: { tools: [find], tll: 5s }", &["`tll`", "`ttl`"]),
        ("", "crm: { tools: find }", &["cache.crm.tools"]),
    ] {
        let (exit, said) = check(&file(upstream, cache)).await;

        assert_eq!(exit, Exit::Code(2), "{cache}: {said}");
        for word in words {
            assert!(said.contains(word), "{word} of {cache}: {said}");
        }
    }
    for cache in [
        "crm: { tools: [find, \"get_*\"], ttl: 24h, shared: true }",
        "crm: [{ tools: [find] }, { tools: [\"*\"], read_only: true, ttl: 1s }]",
    ] {
        let (exit, said) = check(&file(", trusted: true", cache)).await;
        assert_eq!(exit, Exit::Code(0), "{cache}: {said}");
    }
}
