//! Lists that are long, that never end, that change while they are read, and that hold what nobody can use.
use harness::{Gateway, Mood, Reply, Server};
use serde_json::{Value, json};

use super::super::{of_both_eras, text, values};
use super::{Shop, all_tools, listening, listing, name, numbered, rest_of_tools, tool, tools, unlike, whole};

#[tokio::test]
async fn thousands_of_tools_are_listed_in_their_order_each_once_and_can_be_called() {
    let many = Shop::of("many", numbered(0..5000), 100).await;
    let few = Shop::of("few", numbered(0..3), usize::MAX).await;
    let gateway = Gateway::new()
        .server("few", &few.server)
        .server("many", &many.server)
        .start()
        .await;

    let expected: Vec<String> = (0..3)
        .map(|number| format!("few__t{number}"))
        .chain((0..5000).map(|number| format!("many__t{number}")))
        .collect();
    for client in of_both_eras(&gateway).await {
        let listed = all_tools(&client).await;

        let names: Vec<&str> = listed.iter().map(name).collect();
        assert!(names == expected, "{} tools", names.len());
        let called = client.call("many__t4999", json!({})).await;
        assert_eq!(text(&called), "many: t4999");
    }
}

#[tokio::test]
async fn a_list_that_changes_while_it_is_read_neither_loses_nor_repeats_what_stayed() {
    let many = Shop::of("many", numbered(0..3000), usize::MAX).await;
    let last = Shop::of("last", numbered(0..3), usize::MAX).await;
    let gateway = Gateway::new()
        .server("many", &many.server)
        .server("last", &last.server)
        .start()
        .await;
    let client = gateway.client("/mcp").modern();
    let mut listening = listening(&client).await;
    let first = client.ask("tools/list", json!({})).await.result();

    // Those that were told last are gone, as is much before and behind them, and others have come in front.
    let stay = |number: &usize| {
        !(0..400).contains(number) && !(994..1100).contains(number) && !(2100..2200).contains(number)
    };
    many.has(numbered((5000..5700).chain((0..3000).filter(stay))));
    let changed = listening.message().await.unwrap();
    assert_eq!(changed["method"], "notifications/tools/list_changed");
    let rest = rest_of_tools(&client, json!({ "cursor": first["nextCursor"] })).await;

    let first: Vec<&str> = first["tools"].as_array().unwrap().iter().map(name).collect();
    let rest = unlike(&rest);
    for number in (0..3000).filter(stay) {
        let name = format!("many__t{number}");
        let times = usize::from(first.contains(&&*name)) + usize::from(rest.contains(&*name));
        assert_eq!(times, 1, "{name}");
    }
    assert!(rest.contains("last__t2"));
}

/// Nobody can tell then what was told and what was not, and a list that looks whole and is not would be worse.
#[tokio::test]
async fn who_reads_on_in_a_list_that_is_quite_another_by_now_is_told_to_begin_anew() {
    let many = Shop::of("many", numbered(0..3000), usize::MAX).await;
    let other = listing(numbered(0..3)).await;
    let gateway = Gateway::new()
        .server("many", &many.server)
        .server("other", &other)
        .start()
        .await;
    let client = gateway.client("/mcp").modern();
    let mut listening = listening(&client).await;
    let first = client.ask("tools/list", json!({})).await.result();

    many.has(numbered((0..500).chain(1500..3000)));
    let changed = listening.message().await.unwrap();
    assert_eq!(changed["method"], "notifications/tools/list_changed");
    let answer = client
        .ask("tools/list", json!({ "cursor": first["nextCursor"] }))
        .await;

    assert_eq!((answer.status, answer.code()), (200, -32602), "{answer:?}");
    assert!(answer.complaint().contains("from the beginning"), "{answer:?}");
    assert_eq!(all_tools(&client).await.len(), 2003);
}

/// A server whose pages lead nowhere, round and round, and one for whom an empty cursor is one.
#[tokio::test]
async fn a_list_that_never_ends_has_what_it_told_and_an_empty_cursor_is_followed() {
    let round = Server::of(Mood::Modern)
        .on("tools/list", |request| {
            let at = request.params()["cursor"].as_str().unwrap_or("0").to_owned();
            let next = if at == "2" {
                "1".to_owned()
            } else {
                (at.parse::<u8>().unwrap() + 1).to_string()
            };
            let result = json!({ "tools": [tool(&format!("t{at}"))], "nextCursor": next });
            Reply::result(request, &whole(result))
        })
        .start()
        .await;
    let honest = Server::of(Mood::Modern)
        .on("tools/list", |request| {
            let mut result = whole(json!({ "tools": [tool("first")], "nextCursor": "" }));
            if request.params()["cursor"] == "" {
                result = whole(json!({ "tools": [tool("second")] }));
            }
            Reply::result(request, &result)
        })
        .start()
        .await;
    let gateway = Gateway::new()
        .server("round", &round)
        .server("honest", &honest)
        .start()
        .await;
    for client in of_both_eras(&gateway).await {
        let listed = all_tools(&client).await;
        let names: Vec<&str> = listed.iter().map(name).collect();
        assert_eq!(
            names,
            [
                "round__t0",
                "round__t1",
                "round__t2",
                "honest__first",
                "honest__second"
            ]
        );
        client.call("round__t2", json!({})).await;
    }
    warned(&gateway, &["round", "never ends"]).await;
}

/// Waits until the operator was warned in one line with these words.
async fn warned(gateway: &harness::Running, words: &[&str]) {
    let says = |line: &str| words.iter().all(|word| line.contains(word)).then_some(());
    gateway
        .program()
        .complaint(&format!("a warning with {words:?}"), says)
        .await;
}

#[tokio::test]
async fn a_list_without_measure_costs_what_lies_beyond_the_bound_and_its_operator_is_told() {
    let many = listing(numbered(0..10_001)).await;
    let big = {
        let mut big = tools(["one", "two", "three", "four"]);
        for tool in &mut big {
            tool["description"] = json!("x".repeat(4 << 20));
        }
        Shop::of("big", big, 1).await
    };
    let other = listing(tools(["find"])).await;
    let gateway = Gateway::new()
        .server("many", &many)
        .server("big", &big.server)
        .server("other", &other)
        .start()
        .await;

    let listed = all_tools(&gateway.client("/mcp").modern()).await;

    let of = |alias: &str| listed.iter().filter(|tool| name(tool).starts_with(alias)).count();
    assert_eq!((of("many__"), of("big__"), of("other__")), (10_000, 3, 1));
    for server in ["many", "big"] {
        warned(&gateway, &[server, "longer than what is read"]).await;
    }
}

#[tokio::test]
async fn of_two_tools_of_one_name_the_first_is_listed() {
    let titled = |title: &str| {
        let mut tool = tool("find");
        tool["title"] = json!(title);
        tool
    };
    let twice = listing(vec![titled("first"), tool("other"), titled("second")]).await;
    let other = listing(tools(["find"])).await;
    let gateway = Gateway::new()
        .server("twice", &twice)
        .server("other", &other)
        .start()
        .await;
    let client = gateway.client("/mcp").modern();

    let listed = all_tools(&client).await;
    client.call("twice__find", json!({})).await;

    let shown: Vec<(&str, &Value)> = listed.iter().map(|tool| (name(tool), &tool["title"])).collect();
    assert_eq!(
        shown,
        [
            ("twice__find", &json!("first")),
            ("twice__other", &Value::Null),
            ("other__find", &Value::Null)
        ]
    );
    assert_eq!(twice.only("tools/call").params()["name"], "find");
    warned(&gateway, &["twice", "listed once"]).await;
}

/// Objects within one another, this many.
fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(true), |within, _| json!({ "properties": within }))
}

#[tokio::test]
async fn what_nobody_can_use_is_left_out_by_name_and_the_rest_is_listed() {
    let schema = |name: &str, schema: Value| json!({ "name": name, "inputSchema": schema });
    let broken = vec![
        schema("good", json!({ "type": "object" })),
        schema("array", json!([])),
        schema("text", json!("object")),
        schema("null", Value::Null),
        json!({ "name": "missing" }),
        schema(
            "annotated",
            json!({ "properties": { "n": { "type": "number", "x-mcp-header": "N" } } }),
        ),
        schema("deep", nested(100)),
        schema("deepest", nested(120)),
        json!({ "inputSchema": {} }),
        json!(7),
        schema("also-good", nested(30)),
    ];
    for mood in [Mood::Modern, Mood::Sessionful("2025-11-25")] {
        let page = broken.clone();
        let resources = json!([{ "name": "r", "uri": "note://r" }, { "name": "d", "uri": "note://deep", "_meta": nested(100) }]);
        let server = Server::of(mood)
            .able_to(json!({ "tools": {}, "resources": {} }))
            .on("tools/list", move |request| {
                Reply::result(request, &whole(json!({ "tools": page })))
            })
            .on("resources/list", move |request| {
                Reply::result(request, &whole(json!({ "resources": resources })))
            })
            .start()
            .await;
        let other = listing(tools(["find"])).await;
        let gateway = Gateway::new()
            .server("broken", &server)
            .server("other", &other)
            .start()
            .await;
        let client = gateway.client("/mcp").modern().unchecked();

        let listed = all_tools(&client).await;
        let resources = client.ask("resources/list", json!({})).await.result();

        let mut expected = vec!["broken__good", "broken__also-good", "other__find"];
        let mut left_out = vec!["\"array\"", "\"text\"", "\"null\""];
        if mood == Mood::Modern {
            left_out.extend(["\"missing\"", "\"annotated\""]);
        } else {
            // Servers forgot the schema, and the annotation was no part of the protocol.
            expected.splice(1..1, ["broken__missing", "broken__annotated"]);
        }
        assert_eq!(listed.iter().map(name).collect::<Vec<_>>(), expected, "{mood:?}");
        assert_eq!(values(&resources, "resources", "uri"), ["broken+note://r"]);
        client.call("broken__also-good", json!({})).await;
        let refused = client.ask("tools/call", json!({ "name": "broken__deep" })).await;
        assert_eq!(refused.code(), -32602, "{refused:?}");
        for tool in left_out {
            warned(&gateway, &["broken", "left out", tool]).await;
        }
        for tool in ["\"deep\"", "\"deepest\"", "\"note://deep\""] {
            warned(&gateway, &["broken", "left out", tool, "bounds.depth"]).await;
        }
    }
}

#[tokio::test]
async fn a_cursor_that_was_made_elsewhere_or_touched_is_refused_with_what_to_do() {
    let (one, other) = (listing(numbered(0..1500)).await, listing(numbered(0..1500)).await);
    let start = || async { Gateway::new().server("a", &one).server("b", &other).start().await };
    let (here, elsewhere) = (start().await, start().await);
    let cursor = |gateway: &harness::Running, path: &'static str| {
        let client = gateway.client(path).modern();
        async move {
            let page = client.ask("tools/list", json!({})).await.result();
            page["nextCursor"].as_str().unwrap().to_owned()
        }
    };
    let ours = cursor(&here, "/mcp").await;
    let mut refused = vec![
        cursor(&elsewhere, "/mcp").await,
        cursor(&here, "/mcp/a,b").await,
        cursor(&here, "/mcp?server=b,a").await,
        "x".repeat(100_000),
        format!("{ours}A"),
    ];
    // Each letter of it counts.
    for at in (0..ours.len()).step_by(7) {
        let mut touched = ours.clone().into_bytes();
        touched[at] = if touched[at] == b'A' { b'B' } else { b'A' };
        refused.push(String::from_utf8(touched).unwrap());
    }

    for client in of_both_eras(&here).await {
        for cursor in &refused {
            let answer = client.ask("tools/list", json!({ "cursor": cursor })).await;
            assert_eq!(
                (answer.status, answer.code()),
                (200, -32602),
                "{cursor}: {answer:?}"
            );
            assert!(answer.complaint().contains("from the beginning"), "{answer:?}");
        }
    }
    // Who speaks another revision in another session is the same principal, and may go on.
    for client in of_both_eras(&here).await {
        let answer = client.ask("tools/list", json!({ "cursor": ours })).await.result();
        assert_eq!(answer["tools"][0]["name"], "a__t1000");
    }
}
