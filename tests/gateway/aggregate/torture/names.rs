//! Names and URIs that are made to be mistaken for one another.
use harness::{Client, Gateway, Mood, Reply, Running, Server};
use serde_json::{Value, json};

use super::super::{of_both_eras, text, values};
use super::{Shop, all_tools, name, tools, unlike};

/// Long, of many alphabets, empty, and each nearly another one.
fn unruly() -> Vec<String> {
    let long = "t".repeat(70);
    let mut all: Vec<String> = [
        "b",
        "b__c",
        "_b",
        "__b",
        "a__b",
        "a-b__c",
        "x.y",
        "x_y",
        "x y",
        "x/y",
        "X_Y",
        "größe",
        "grösse",
        "日本語のツール",
        "🦀",
        "",
        " ",
        "\u{202e}b",
        "b\u{0}",
        "quote\"d",
        "back\\slash",
        "new\nline",
    ]
    .map(str::to_owned)
    .into();
    for end in ["", "1", "2"] {
        all.push(format!("{long}{end}"));
        all.push(format!("{}{end}", "ü".repeat(70)));
    }
    // With their aliases as long as a name may be, and one letter more.
    all.extend(["u".repeat(61), "u".repeat(62)]);
    all
}

fn is_for_every_vendor(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Every tool that is listed leads to the server that is said beside it, under the name that is said there.
async fn each_leads_to_its_own(client: &Client, count: usize) {
    let listed = all_tools(client).await;
    assert_eq!(unlike(&listed).len(), count);
    for tool in &listed {
        assert!(is_for_every_vendor(name(tool)), "{tool}");
        let own = &tool["_meta"]["dev.causeway/name"];
        let own = format!(
            "{}: {}",
            own["server"].as_str().unwrap(),
            own["name"].as_str().unwrap()
        );
        assert_eq!(text(&client.call(name(tool), json!({})).await), own, "{tool}");
    }
}

async fn at_both(a: &Shop, other: &Shop) -> Running {
    Gateway::new()
        .server("a", &a.server)
        .server("a-b", &other.server)
        .start()
        .await
}

#[tokio::test]
async fn names_that_could_be_mistaken_lead_each_to_its_own() {
    let unruly = unruly();
    let of = |label| Shop::of(label, tools(unruly.iter().map(String::as_str)), usize::MAX);
    let (a, other) = (of("a").await, of("a-b").await);
    let gateway = at_both(&a, &other).await;

    for client in of_both_eras(&gateway).await {
        each_leads_to_its_own(&client, 2 * unruly.len()).await;
    }
}

/// The digits of a name that was changed are no secret: a server may say them as the name of another tool.
#[tokio::test]
async fn a_tool_with_the_name_that_another_would_have_takes_nothing_from_it() {
    let other = Shop::of("a-b", tools(["c"]), usize::MAX).await;
    let a = Shop::of("a", tools(["x.y"]), usize::MAX).await;
    let gateway = at_both(&a, &other).await;
    let listed = all_tools(&gateway.client("/mcp").modern()).await;
    let changed = name(&listed[0]).strip_prefix("a__").unwrap().to_owned();
    assert!(changed.starts_with("x_y_"), "{changed}");

    let a = Shop::of("a", tools(["x.y", &changed]), usize::MAX).await;
    let gateway = at_both(&a, &other).await;
    let client = gateway.client("/mcp").modern();

    each_leads_to_its_own(&client, 3).await;
    let called = client.call(&format!("a__{changed}"), json!({})).await;
    assert_eq!(
        text(&called),
        format!("a: {changed}"),
        "what is as it was comes first"
    );
}

/// One of ten that have the same under the same names.
async fn one_of_ten(number: usize) -> Server {
    let list = |member: &str, items: Value| {
        let result = super::whole(json!({ member: items }));
        move |request: &harness::Request| Reply::result(request, &result)
    };
    Server::of(Mood::Modern)
        .able_to(json!({ "tools": {}, "resources": {} }))
        .on("tools/list", list("tools", json!([super::tool("find")])))
        .on(
            "resources/list",
            list(
                "resources",
                json!([{ "name": "a", "uri": "note://a" }, { "name": "w", "uri": "https://example.com/w" }]),
            ),
        )
        .on(
            "resources/templates/list",
            list(
                "resourceTemplates",
                json!([{ "name": "t", "uriTemplate": "note://{id}" }]),
            ),
        )
        .on("tools/call", move |request| {
            let content = json!([{ "type": "text", "text": number.to_string() }]);
            Reply::result(request, &json!({ "content": content, "resultType": "complete" }))
        })
        .on("resources/read", move |request| {
            let contents = json!([{ "uri": request.params()["uri"], "text": number.to_string() }]);
            Reply::result(request, &super::whole(json!({ "contents": contents })))
        })
        .start()
        .await
}

#[tokio::test]
async fn what_ten_servers_call_the_same_is_ten_things_and_none_without_an_alias() {
    let mut servers = Vec::new();
    let mut gateway = Gateway::new();
    for number in 0..10 {
        let server = one_of_ten(number).await;
        gateway = gateway.server(&format!("s{number}"), &server);
        servers.push(server);
    }
    let gateway = gateway.start().await;

    for client in of_both_eras(&gateway).await {
        let listed = all_tools(&client).await;
        let resources = client.ask("resources/list", json!({})).await.result();
        let uris = values(&resources, "resources", "uri");
        assert_eq!(unlike(&listed).len(), 10);
        assert_eq!(uris.len(), 11, "an address of the web is one thing: {uris:?}");
        for number in 0..10 {
            let called = client.call(&format!("s{number}__find"), json!({})).await;
            assert_eq!(text(&called), number.to_string());
            for uri in [format!("s{number}+note://a"), format!("s{number}+note://b")] {
                let read = client.ask("resources/read", json!({ "uri": uri })).await.result();
                assert_eq!(read["contents"][0]["text"], number.to_string(), "{uri}");
                assert_eq!(read["contents"][0]["uri"], uri);
            }
        }
        let shared = client
            .ask("resources/read", json!({ "uri": "https://example.com/w" }))
            .await
            .result();
        assert_eq!(shared["contents"][0]["text"], "0", "that of the first who has it");

        for (method, params) in [
            ("tools/call", json!({ "name": "find" })),
            ("resources/read", json!({ "uri": "note://a" })),
        ] {
            let refused = client.ask(method, params).await;
            assert_eq!((refused.status, refused.code()), (200, -32602), "{refused:?}");
            let words = refused.complaint();
            assert!(
                words.contains("several servers") && words.contains("listed"),
                "it says what to do: {words}"
            );
        }
    }
}
