//! Every official client through the gateway to every official server of its era, over every transport that either has.
//!
//! One gateway has all servers as upstreams. A client is one process that connects to each of them in turn and does there
//! whatever both sides can do; what they cannot is skipped with its reason, having been seen to fail without a gateway.
//! `CAUSEWAY_PEERS_DIRECT=1` puts the clients directly in front of the servers instead: that is how one sees it, over
//! HTTP, since these clients have no way to a child.
mod who;

use std::{collections::BTreeSet, fmt::Write, sync::Arc};

use harness::{
    Cell, Gateway, Outcomes, Peer, everything_over_stdio, fastmcp_over_stdio, inspect, python_1_over_stdio,
    python_over_stdio, typescript_1_over_stdio, typescript_over_stdio,
};
use serde_json::Value;
use tokio::sync::Semaphore;

use who::{Client, Server, Transport, clients};

/// How many clients run at once: they wait for children to start and to end more than they compute.
const AT_ONCE: usize = 4;

/// The servers, as long as they shall run, and how the gateway is told of each.
struct Servers {
    peers: Vec<(Server, Peer)>,
    everything_over_sse: Peer,
}

impl Servers {
    async fn start() -> Self {
        let (python_1, python_2, fastmcp, typescript_1, typescript_2, everything, everything_over_sse) = tokio::join!(
            Peer::python_1(),
            Peer::python(),
            Peer::fastmcp(),
            Peer::typescript_1(),
            Peer::typescript(),
            Peer::everything(),
            Peer::everything_over_sse(),
        );
        let peers = vec![
            (Server::Python1, python_1),
            (Server::Python2, python_2),
            (Server::FastMcp, fastmcp),
            (Server::TypeScript1, typescript_1),
            (Server::TypeScript2, typescript_2),
            (Server::Everything, everything),
        ];
        Self {
            peers,
            everything_over_sse,
        }
    }

    fn url(&self, server: Server, transport: Transport) -> Option<&str> {
        let (_, peer) = self.peers.iter().find(|(of, _)| *of == server)?;
        match (transport, server) {
            (Transport::Http, _) => Some(peer.url()),
            (Transport::Sse, Server::Everything) => Some(self.everything_over_sse.url()),
            (Transport::Sse, _) => Some(peer.sse()),
            (Transport::Stdio, _) => None,
        }
    }

    fn upstream(&self, server: Server, transport: Transport) -> String {
        match self.url(server, transport) {
            Some(url) => format!("{{ url: \"{url}\" }}"),
            None => match server {
                Server::Python1 => python_1_over_stdio(),
                Server::Python2 => python_over_stdio(),
                Server::FastMcp => fastmcp_over_stdio(),
                Server::TypeScript1 => typescript_1_over_stdio(),
                Server::TypeScript2 => typescript_over_stdio(),
                Server::Everything => everything_over_stdio(),
            },
        }
    }
}

fn cell_name(server: Server, transport: Transport) -> String {
    format!("{}-{}", server.name(), format!("{transport:?}").to_lowercase())
}

fn upstreams() -> impl Iterator<Item = (Server, Transport)> {
    Server::ALL.into_iter().flat_map(|server| {
        server
            .transports()
            .iter()
            .map(move |transport| (server, *transport))
    })
}

fn label(operation: &Value) -> &str {
    operation["as"].as_str().or(operation["do"].as_str()).unwrap()
}

/// Numbers are equal as numbers: Python's progress is a float.
fn is_expected(got: &Value, expected: &Value) -> bool {
    match (got, expected) {
        // What differs from server to server; that there is an answer is what counts.
        (got, Value::Null) => !got.is_null(),
        (Value::Number(got), Value::Number(expected)) => got.as_f64() == expected.as_f64(),
        (Value::Array(got), Value::Array(expected)) => {
            got.len() == expected.len() && got.iter().zip(expected).all(|(got, one)| is_expected(got, one))
        }
        (Value::Object(got), Value::Object(expected)) => {
            got.len() == expected.len()
                && expected
                    .iter()
                    .all(|(key, one)| got.get(key).is_some_and(|got| is_expected(got, one)))
        }
        (got, expected) => got == expected,
    }
}

/// What came of a client's cells, in one line each; the failures besides.
fn judge(client: &Client, outcomes: &Outcomes, direct: bool, table: &mut String, failures: &mut Vec<String>) {
    for (server, transport) in
        upstreams().filter(|(server, transport)| client.visits(*server, *transport, direct))
    {
        let cell = cell_name(server, transport);
        let mut done = 0;
        let mut cannot = BTreeSet::new();
        for (operation, expected) in server.operations() {
            let label = label(&operation);
            if client.spares(server, transport, label) {
                continue;
            }
            if let Some(why) = client.cannot(server, transport, label, direct) {
                cannot.insert(format!("{label}: {why}"));
            } else {
                let outcome = outcomes.get(&(cell.clone(), label.to_owned()));
                match outcome {
                    Some(Ok(got)) if is_expected(got, &expected) => done += 1,
                    outcome => failures.push(format!("{} → {cell}: {label}: {outcome:?}", client.name)),
                }
            }
        }
        let connected = outcomes.get(&(cell.clone(), "connect".to_owned()));
        let revision = connected
            .and_then(|found| found.as_ref().ok())
            .and_then(Value::as_str)
            .unwrap_or("–");
        let notes: Vec<String> = cannot.into_iter().map(|why| format!("cannot {why}")).collect();
        writeln!(
            table,
            "  {:22} {cell:20} {revision:10} {done:>2} ✓  {}",
            client.name,
            notes.join("; ")
        )
        .unwrap();
        if connected.is_some_and(Result::is_err) {
            failures.push(format!("{} → {cell}: {connected:?}", client.name));
        }
    }
}

#[tokio::test]
async fn every_official_client_reaches_every_official_server() {
    let direct = std::env::var_os("CAUSEWAY_PEERS_DIRECT").is_some();
    let servers = Servers::start().await;
    let mut gateway = Gateway::new();
    for (server, transport) in upstreams() {
        gateway = gateway.upstream(&cell_name(server, transport), servers.upstream(server, transport));
    }
    let gateway = gateway.start().await;

    // Each client in a process of its own, a few at a time.
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let clients = clients();
    let mut running = Vec::new();
    for client in &clients {
        let visited = upstreams().filter(|(server, transport)| client.visits(*server, *transport, direct));
        let cells: Vec<Cell> = visited
            .filter_map(|(server, transport)| {
                let name = cell_name(server, transport);
                let url = if direct {
                    servers.url(server, transport)?.to_owned()
                } else if client.over == Transport::Sse {
                    gateway.url(&format!("/mcp/{name}/sse"))
                } else {
                    gateway.url(&format!("/mcp/{name}"))
                };
                let does = |label: &str| {
                    !client.spares(server, transport, label)
                        && client.cannot(server, transport, label, direct).is_none()
                };
                let operations = server.operations().into_iter().map(|(operation, _)| operation);
                let operations: Vec<Value> = operations.filter(|operation| does(label(operation))).collect();
                (!operations.is_empty()).then_some(Cell {
                    name,
                    url,
                    operations,
                })
            })
            .collect();
        let (player, name, turns) = (client.player.clone(), client.name, turns.clone());
        running.push(tokio::spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            if cells.is_empty() {
                Outcomes::new()
            } else {
                player.play(name, &cells).await
            }
        }));
    }

    let (mut table, mut failures) = (String::new(), Vec::new());
    for (client, outcomes) in clients.iter().zip(running) {
        judge(
            client,
            &outcomes.await.unwrap(),
            direct,
            &mut table,
            &mut failures,
        );
    }
    println!("\n{table}");
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test]
async fn the_inspector_reaches_every_server() {
    let servers = Servers::start().await;
    let mut gateway = Gateway::new();
    for server in Server::ALL {
        gateway = gateway.upstream(server.name(), servers.upstream(server, Transport::Http));
    }
    let gateway = gateway.start().await;

    for server in Server::ALL {
        let url = gateway.url(&format!("/mcp/{}", server.name()));
        let listed = inspect(&url, &["--method", "tools/list"]).await;
        let call = [
            "--method",
            "tools/call",
            "--tool-name",
            "echo",
            "--tool-arg",
            "message=hello",
        ];
        let called = inspect(&url, &call).await;

        let tools = listed["tools"].as_array().unwrap();
        assert!(tools.iter().any(|tool| tool["name"] == "echo"), "{listed}");
        assert!(
            called["content"][0]["text"].as_str().unwrap().ends_with("hello"),
            "{called}"
        );
    }
}
