//! Bad input: which status and code it gets, that its id comes back, and that no server ever sees it.
use harness::{Answer, Client, Gateway, MODERN, Mood, Running, Server};
use serde_json::{Value, json};

/// A gateway that knows its server already, so that whatever the server sees from now on is the client's.
struct Door {
    server: Server,
    gateway: Running,
}

impl Door {
    async fn open(sections: &str) -> Self {
        let server = Server::start(Mood::Dual).await;
        let gateway = Gateway::new()
            .server("docs", &server)
            .config(sections)
            .start()
            .await;
        gateway
            .client("/mcp")
            .modern()
            .call("echo", json!({ "message": "hi" }))
            .await;
        gateway
            .client("/mcp")
            .sessionless("2025-06-18")
            .call("echo", json!({ "message": "hi" }))
            .await;
        Self { server, gateway }
    }

    fn client(&self) -> Client {
        self.gateway.client("/mcp")
    }

    fn legacy(&self) -> Client {
        self.client().sessionless("2025-06-18")
    }

    fn modern(&self) -> Client {
        self.client().modern()
    }

    /// Sends what should be refused, and looks whether the server heard of it.
    async fn refused(&self, name: &str, status: u16, sent: impl Future<Output = Answer>) -> Answer {
        let before = self.server.requests().len();
        let answer = sent.await;
        assert_eq!(answer.status, status, "{name}: {answer:?} {}", answer.text());
        assert_eq!(
            self.server.requests().len(),
            before,
            "{name}: the server was asked: {:?}",
            self.server.requests()
        );
        answer
    }
}

#[tokio::test]
async fn what_is_not_json_is_a_parse_error() {
    let door = Door::open("").await;

    for (name, body) in [
        ("nothing", &b""[..]),
        ("half a message", br#"{"jsonrpc":"2.0","id":1,"method":"#),
        ("two messages", br#"{"jsonrpc":"2.0","id":1,"method":"ping"}{}"#),
        (
            "a trailing comma",
            br#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#,
        ),
        (
            "a byte order mark",
            b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
        ),
        (
            "bytes that are no text",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\xffng\"}",
        ),
        (
            "a bare line break in a string",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\nng\"}",
        ),
        (
            "a number with a leading zero",
            br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":01}}"#,
        ),
        (
            "not a number",
            br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}"#,
        ),
        (
            "half a surrogate",
            br#"{"jsonrpc":"2.0","id":1,"method":"pi\ud800ng"}"#,
        ),
    ] {
        for client in [door.legacy(), door.modern()] {
            let answer = door.refused(name, 400, client.post(body)).await;

            let code = answer.code();
            assert!(
                code == -32700 || (name == "half a surrogate" && code == -32600),
                "{name}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_message_is_an_invalid_request() {
    let door = Door::open("").await;
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"echo","deep":{deep}}}}}"#
    );

    for (name, body, id) in [
        ("a number", "1", Value::Null),
        ("a text", "\"ping\"", Value::Null),
        ("null", "null", Value::Null),
        ("nothing in it", "{}", Value::Null),
        ("no version", r#"{"id":7,"method":"ping"}"#, json!(7)),
        (
            "another version",
            r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#,
            json!(7),
        ),
        (
            "a version that is no text",
            r#"{"jsonrpc":2.0,"id":7,"method":"ping"}"#,
            json!(7),
        ),
        (
            "a method that is no text",
            r#"{"jsonrpc":"2.0","id":7,"method":1}"#,
            json!(7),
        ),
        (
            "neither method nor answer",
            r#"{"jsonrpc":"2.0","id":7}"#,
            json!(7),
        ),
        (
            "method and result",
            r#"{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}"#,
            json!(7),
        ),
        (
            "parameters that are text",
            r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":"a"}"#,
            json!(7),
        ),
        (
            "parameters in a row",
            r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":[1]}"#,
            json!(7),
        ),
        (
            "no id at all",
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            Value::Null,
        ),
        (
            "a fraction as id",
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            Value::Null,
        ),
        (
            "a truth as id",
            r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#,
            Value::Null,
        ),
        (
            "an object as id",
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            Value::Null,
        ),
        (
            "a row as id",
            r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#,
            Value::Null,
        ),
        (
            "two methods",
            r#"{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/call"}"#,
            json!(7),
        ),
        (
            "a method in capitals too",
            r#"{"jsonrpc":"2.0","id":7,"method":"ping","Method":"tools/call"}"#,
            json!(7),
        ),
        (
            "two sets of parameters",
            r#"{"jsonrpc":"2.0","id":7,"method":"a","params":{},"params":{}}"#,
            json!(7),
        ),
        (
            "two names",
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","name":"delete"}}"#,
            json!(7),
        ),
        (
            "a name in capitals too",
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","NAME":"delete"}}"#,
            json!(7),
        ),
        (
            "a name spelt with an escape too",
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","n\u0061me":"delete"}}"#,
            json!(7),
        ),
        (
            "two addresses",
            r#"{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"a:a","uri":"a:b"}}"#,
            json!(7),
        ),
        (
            "two of what is about it",
            r#"{"jsonrpc":"2.0","id":7,"method":"a","params":{"_meta":{},"_meta":{}}}"#,
            json!(7),
        ),
        ("too deep", &deep, json!(7)),
    ] {
        let answer = door.refused(name, 400, door.legacy().post(body)).await;

        assert_eq!(answer.code(), -32600, "{name}: {answer:?}");
        assert_eq!(answer.last()["id"], id, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn two_ids_are_neither() {
    let door = Door::open("").await;

    let body = r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}"#;
    let answer = door.refused("two ids", 400, door.legacy().post(body)).await;

    assert_eq!(answer.code(), -32600);
}

#[tokio::test]
async fn only_2025_03_26_has_batches() {
    let door = Door::open("").await;
    let ping = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
    let many = vec![ping; 51].join(",");

    for (name, client, body) in [
        (
            "2024-11-05",
            door.client().sessionless("2024-11-05"),
            format!("[{ping}]"),
        ),
        ("2025-06-18", door.legacy(), format!("[{ping}]")),
        (
            "2025-11-25",
            door.client().sessionless("2025-11-25"),
            format!("[{ping}]"),
        ),
        ("2026-07-28", door.modern(), format!("[{ping}]")),
        (
            "an empty one",
            door.client().sessionless("2025-03-26"),
            "[]".to_owned(),
        ),
        (
            "too many",
            door.client().sessionless("2025-03-26"),
            format!("[{many}]"),
        ),
    ] {
        let answer = door.refused(name, 400, client.post(body)).await;

        assert_eq!(answer.code(), -32600, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_batch_is_answered_message_by_message() {
    let door = Door::open("").await;
    let call = |id: Value, text: &str| {
        let params = json!({ "name": "echo", "arguments": { "message": text } });
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
    };
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });

    let client = door.client().sessionless("2025-03-26").unchecked();
    let answer = client
        .post(json!([call(json!(1), "one"), note, call(json!("1"), "two")]).to_string())
        .await;
    let silent = client.post(json!([note, note]).to_string()).await;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.messages.len(), 2, "{answer:?}");
    for (id, text) in [(json!(1), "one"), (json!("1"), "two")] {
        let one = answer
            .messages
            .iter()
            .find(|message| message["id"] == id)
            .unwrap();
        assert_eq!(one["result"]["content"][0]["text"], text);
    }
    assert_eq!(silent.status, 202, "{silent:?}");
    for request in door.server.requests() {
        assert!(request.json().is_object(), "a batch went up: {request:?}");
    }
}

#[tokio::test]
async fn a_body_must_say_that_it_is_json() {
    let door = Door::open("").await;
    let ping = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;

    for client in [
        door.legacy().with("Content-Type", "text/plain"),
        door.legacy().with("Content-Type", "application/jsonp"),
        door.legacy().without("Content-Type"),
        door.legacy().with("Content-Encoding", "gzip"),
        door.legacy().with("Content-Encoding", "br"),
    ] {
        door.refused(&format!("{client:?}"), 415, client.post(ping)).await;
    }
    for kind in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json;charset=UTF-8",
    ] {
        let answer = door.legacy().with("Content-Type", kind).post(ping).await;
        assert_eq!(answer.status, 200, "{kind}: {answer:?}");
    }
}

#[tokio::test]
async fn an_answer_must_be_acceptable_in_some_form() {
    let door = Door::open("").await;
    let ping = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;

    for accept in [
        "text/html",
        "application/xml",
        "application/json;q=0, text/event-stream;q=0",
    ] {
        door.refused(accept, 406, door.legacy().with("Accept", accept).post(ping))
            .await;
    }
    for accept in [
        "*/*",
        "application/*",
        "text/*",
        "application/json;q=0.5",
        "text/html, */*;q=0.1",
    ] {
        let answer = door.legacy().with("Accept", accept).post(ping).await;
        assert_eq!(answer.status, 200, "{accept}: {answer:?}");
    }
    assert_eq!(door.legacy().without("Accept").post(ping).await.status, 200);
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused_by_the_name_of_the_bound() {
    let door = Door::open("bounds: { body: 1KiB }").await;
    let large = json!({ "jsonrpc": "2.0", "id": 7, "method": "ping", "params": { "a": "x".repeat(2000) } })
        .to_string();
    let just = json!({ "jsonrpc": "2.0", "id": 7, "method": "ping", "params": { "a": "x".repeat(900) } })
        .to_string();

    let told = door
        .refused("told by its length", 413, door.legacy().post(&large))
        .await;
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        door.gateway.address()
    );
    let chunked = format!("{head}{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let found = door
        .refused("found while reading", 413, async {
            door.client().say(chunked).await.answer().await
        })
        .await;

    for answer in [told, found] {
        assert!(answer.text().contains("bounds.body"), "{answer:?}");
    }
    assert_eq!(door.legacy().post(just).await.status, 200);
}

#[tokio::test]
async fn only_three_verbs_are_known() {
    let door = Door::open("").await;

    for verb in ["PUT", "PATCH", "TRACE"] {
        let answer = door.refused(verb, 405, door.client().fetch(verb)).await;
        assert!(
            answer
                .headers
                .get("Allow")
                .is_some_and(|allow| allow.contains("POST")),
            "{verb}: {answer:?}"
        );
    }
    for verb in ["GET", "DELETE"] {
        let answer = door.refused(verb, 405, door.modern().fetch(verb)).await;
        assert_eq!(answer.headers.get("Allow"), Some("POST, OPTIONS"), "{verb}");
    }
}

#[tokio::test]
async fn a_page_from_elsewhere_may_not_call() {
    let door = Door::open("").await;
    let ping = r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;

    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1.evil.example",
        "https://localhost.evil.example",
    ] {
        door.refused(origin, 403, door.legacy().with("Origin", origin).post(ping))
            .await;
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
    ] {
        door.refused(host, 403, door.legacy().with("Host", host).post(ping))
            .await;
    }
    for host in [
        "localhost",
        "127.0.0.1:1",
        "[::1]:80",
        "host.docker.internal",
        "LOCALHOST:7080",
    ] {
        let answer = door.legacy().with("Host", host).post(ping).await;
        assert_eq!(answer.status, 200, "{host}: {answer:?}");
    }
    for origin in ["http://localhost:5173", "http://127.0.0.1:3000"] {
        let answer = door.legacy().with("Origin", origin).post(ping).await;
        assert_eq!(answer.status, 200, "{origin}: {answer:?}");
    }
}

#[tokio::test]
async fn an_unknown_version_names_the_known_ones() {
    let door = Door::open("").await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2027-01-01", "io.modelcontextprotocol/clientCapabilities": {},
    });
    let request = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": { "_meta": meta } });
    let plain = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" });

    let modern = door
        .client()
        .with("MCP-Protocol-Version", "2027-01-01")
        .with("Mcp-Method", "tools/list");
    let modern = door
        .refused("in 2026's words", 400, modern.post(request.to_string()))
        .await;
    let legacy = door.client().with("MCP-Protocol-Version", "2023-01-01");
    let legacy = door
        .refused("in older words", 400, legacy.post(plain.to_string()))
        .await;

    for answer in [modern, legacy] {
        assert_eq!(answer.code(), -32022, "{answer:?}");
        let supported = answer.last()["error"]["data"]["supported"]
            .as_array()
            .unwrap()
            .clone();
        assert!(supported.contains(&json!(MODERN)), "{answer:?}");
        assert_eq!(answer.last()["id"], 7);
    }
}

/// A modern request, with its headers as they should be.
fn modern_call() -> (Vec<(&'static str, String)>, Value) {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "name": "echo", "arguments": { "message": "hi" }, "_meta": meta });
    let headers = vec![
        ("MCP-Protocol-Version", MODERN.to_owned()),
        ("Mcp-Method", "tools/call".to_owned()),
        ("Mcp-Name", "echo".to_owned()),
    ];
    (
        headers,
        json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params }),
    )
}

#[tokio::test]
async fn a_modern_request_must_say_what_it_is() {
    let door = Door::open("").await;

    for (name, code, change) in [
        (
            "no version in the body",
            -32602,
            "/params/_meta/io.modelcontextprotocol~1protocolVersion",
        ),
        (
            "no capabilities in the body",
            -32602,
            "/params/_meta/io.modelcontextprotocol~1clientCapabilities",
        ),
    ] {
        let (headers, mut body) = modern_call();
        let (parent, member) = change.rsplit_once('/').unwrap();
        let member = member.replace("~1", "/");
        body.pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(&member);
        let client = headers
            .iter()
            .fold(door.client(), |client, (name, value)| client.with(name, value));

        let answer = door.refused(name, 400, client.post(body.to_string())).await;

        assert_eq!(answer.code(), code, "{name}: {answer:?}");
        assert_eq!(answer.last()["id"], 7, "{name}");
    }
}

#[tokio::test]
async fn the_header_of_a_modern_request_must_agree_with_its_body() {
    let door = Door::open("").await;
    let (headers, body) = modern_call();
    let good = headers
        .iter()
        .fold(door.client(), |client, (name, value)| client.with(name, value));

    for (name, client) in [
        ("no method", good.clone().without("Mcp-Method")),
        ("another method", good.clone().with("Mcp-Method", "tools/list")),
        (
            "the method in capitals",
            good.clone().with("Mcp-Method", "Tools/Call"),
        ),
        (
            "two methods",
            good.clone().with_another("Mcp-Method", "tools/call"),
        ),
        (
            "two methods, one false",
            good.clone().with_another("Mcp-Method", "tools/list"),
        ),
        ("no name", good.clone().without("Mcp-Name")),
        ("another name", good.clone().with("Mcp-Name", "delete")),
        ("two names", good.clone().with_another("Mcp-Name", "echo")),
        (
            "a name that cannot be decoded",
            good.clone().with("Mcp-Name", "=?base64?&&&?="),
        ),
        (
            "a name that is no text",
            good.clone().with("Mcp-Name", "=?base64?/w==?="),
        ),
        ("no version", good.clone().without("MCP-Protocol-Version")),
        (
            "an older version",
            good.clone().with("MCP-Protocol-Version", "2025-06-18"),
        ),
        (
            "two versions",
            good.clone().with_another("MCP-Protocol-Version", MODERN),
        ),
    ] {
        let answer = door.refused(name, 400, client.post(body.to_string())).await;

        assert_eq!(answer.code(), -32020, "{name}: {answer:?}");
        assert_eq!(answer.last()["id"], 7, "{name}");
    }
    for (name, client) in [
        ("as it should be", good.clone()),
        ("in base64", good.clone().with("Mcp-Name", "=?base64?ZWNobw==?=")),
        (
            "with spaces around it",
            good.clone().with("Mcp-Name", "  echo \t"),
        ),
    ] {
        let answer = client.post(body.to_string()).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_body_of_another_version_than_its_header_is_a_mismatch() {
    let door = Door::open("").await;
    let (headers, mut body) = modern_call();
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("v999");
    let client = headers
        .iter()
        .fold(door.client(), |client, (name, value)| client.with(name, value));

    let answer = door.refused("v999", 400, client.post(body.to_string())).await;

    // Not -32022: the conformance suite fixes this order.
    assert_eq!(answer.code(), -32020, "{answer:?}");
}

#[tokio::test]
async fn a_modern_client_may_not_send_answers() {
    let door = Door::open("").await;

    let body = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    let answer = door.refused("an answer", 400, door.modern().post(body)).await;

    assert_eq!(answer.code(), -32600, "{answer:?}");
}

#[tokio::test]
async fn a_notification_is_accepted_without_words() {
    let door = Door::open("").await;

    for client in [door.legacy(), door.modern()] {
        let answer = client
            .notify("notifications/cancelled", json!({ "requestId": 99 }))
            .await;

        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.text(), "");
    }
}

#[tokio::test]
async fn no_bad_input_ends_the_gateway() {
    let door = Door::open("").await;
    let bomb = "[".repeat(1 << 20);
    let keys: String = (0..100_000).map(|number| format!("\"k{number}\":1,")).collect();
    let wide = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"ping","params":{{{keys}"z":1}}}}"#);

    let deep = door.legacy().post(bomb).await;
    let wide = door.legacy().post(wide).await;
    let long = door
        .legacy()
        .post(format!(
            r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#,
            "i".repeat(1 << 20)
        ))
        .await;

    assert_eq!(deep.status, 400, "{deep:?}");
    assert_eq!(wide.status, 200, "{}", wide.status);
    assert!(matches!(long.status, 200 | 400), "{}", long.status);
    door.modern()
        .call("echo", json!({ "message": "still here" }))
        .await;
}
