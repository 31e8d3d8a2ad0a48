//! Servers that go as far as a server can, and beyond: at an endpoint of many each costs only itself.
mod lists;
mod names;
mod servers;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use harness::{Client, Exchange, Gate, Mood, Reply, Request, Server};
use serde_json::{Value, json};

/// A server of 2026-07-28 whose tools a test may change. Each says whose it is and what it was called.
struct Shop {
    server: Server,
    tools: Arc<Mutex<Vec<Value>>>,
    /// Once it is open, the server tells that its tools have changed.
    changed: Gate,
}

impl Shop {
    /// A server that says this of itself in each call, and lists its tools in pages of so many.
    async fn of(label: &str, tools: Vec<Value>, page: usize) -> Self {
        Self::started(Server::of(Mood::Modern), label, tools, page).await
    }

    /// The same, where another server has been.
    async fn in_place_of(other: &Server, label: &str, tools: Vec<Value>) -> Self {
        let builder = Server::of(Mood::Modern).in_place_of(other);
        Self::started(builder, label, tools, usize::MAX).await
    }

    async fn started(builder: harness::Builder, label: &str, tools: Vec<Value>, page: usize) -> Self {
        let tools = Arc::new(Mutex::new(tools));
        let (listed, changed, label) = (Arc::clone(&tools), Gate::closed(), label.to_owned());
        let gate = changed.clone();
        let server = builder
            .able_to(json!({ "tools": { "listChanged": true } }))
            .on("tools/list", move |request| {
                let start: usize = request.params()["cursor"]
                    .as_str()
                    .map_or(0, |at| at.parse().unwrap());
                let tools = listed.lock().unwrap();
                let end = tools.len().min(start.saturating_add(page));
                let mut result = whole(json!({ "tools": tools[start..end] }));
                if end < tools.len() {
                    result["nextCursor"] = json!(end.to_string());
                }
                Reply::result(request, &result)
            })
            .on("tools/call", move |request| {
                let text = format!("{label}: {}", request.params()["name"].as_str().unwrap());
                let content =
                    json!({ "content": [{ "type": "text", "text": text }], "resultType": "complete" });
                Reply::result(request, &content)
            })
            .on("subscriptions/listen", move |request| told(request, &gate))
            .start()
            .await;
        Self {
            server,
            tools,
            changed,
        }
    }

    /// From now on it has these tools, and says so.
    fn has(&self, tools: Vec<Value>) {
        *self.tools.lock().unwrap() = tools;
        self.changed.open();
    }
}

/// A stream that tells of changed tools once the gate is open.
fn told(request: &Request, gate: &Gate) -> Reply {
    let stamp = json!({ "io.modelcontextprotocol/subscriptionId": request.json()["id"] });
    let notice = |method: &str, mut params: Value| {
        params["_meta"] = stamp.clone();
        json!({ "jsonrpc": "2.0", "method": method, "params": params })
    };
    let honoured = json!({ "notifications": { "toolsListChanged": true } });
    Reply::stream()
        .event(&notice("notifications/subscriptions/acknowledged", honoured))
        .wait(gate)
        .event(&notice("notifications/tools/list_changed", json!({})))
        .wait(&Gate::closed())
}

/// A list that holds for a minute unless the server says that it has changed.
fn whole(mut result: Value) -> Value {
    for (member, value) in [
        ("resultType", json!("complete")),
        ("ttlMs", json!(60_000)),
        ("cacheScope", json!("public")),
    ] {
        result[member] = value;
    }
    result
}

fn tool(name: &str) -> Value {
    json!({ "name": name, "inputSchema": { "type": "object" } })
}

fn tools<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<Value> {
    names.into_iter().map(tool).collect()
}

fn numbered(numbers: impl IntoIterator<Item = usize>) -> Vec<Value> {
    numbers
        .into_iter()
        .map(|number| tool(&format!("t{number}")))
        .collect()
}

/// A server that lists this, and nothing else.
async fn listing(tools: Vec<Value>) -> Server {
    Server::of(Mood::Modern)
        .on("tools/list", move |request| {
            Reply::result(request, &whole(json!({ "tools": tools })))
        })
        .start()
        .await
}

/// Listens for what changes.
async fn listening(client: &Client) -> Exchange {
    let filter = json!({ "notifications": { "toolsListChanged": true } });
    let mut stream = client.send("subscriptions/listen", filter).await.begun().await;
    stream.message().await.expect("it is acknowledged");
    stream
}

/// All pages of the endpoint's tools.
async fn all_tools(client: &Client) -> Vec<Value> {
    rest_of_tools(client, json!({})).await
}

async fn rest_of_tools(client: &Client, mut params: Value) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let mut page = client.ask("tools/list", params).await.result();
        all.append(page["tools"].as_array_mut().unwrap());
        match page.get("nextCursor") {
            Some(next) => params = json!({ "cursor": next }),
            None => return all,
        }
    }
}

fn name(tool: &Value) -> &str {
    tool["name"].as_str().unwrap()
}

/// What they are called, each of which may be so once.
#[track_caller]
fn unlike(tools: &[Value]) -> BTreeSet<&str> {
    let names: BTreeSet<&str> = tools.iter().map(name).collect();
    assert_eq!(names.len(), tools.len(), "two tools of one name");
    names
}
