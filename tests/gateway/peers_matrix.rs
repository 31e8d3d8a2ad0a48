//! Every official client through the gateway to every official server, whatever revisions and transports they speak.
//!
//! One gateway has all servers as upstreams. A client is one process that connects to each of them in turn and does there
//! whatever both sides can do. What they cannot is skipped with its reason, having been seen to fail without a gateway;
//! what comes out is a table, which `docs/compatibility.md` keeps.
//!
//! `CAUSEWAY_PEERS_DIRECT=1` puts the clients directly in front of the servers instead, over HTTP, since these clients have
//! no way to a child: that is how one sees what the peers themselves can, and who cannot talk to whom.
mod clients;
pub(crate) mod deviations;
mod limits;
mod page;
mod servers;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
};

use harness::{Cell, Gateway, Outcomes, Side, Tap, Wrong, address_of, inspect, pages};
use serde_json::Value;
use tokio::sync::Semaphore;

use clients::{Client, Knows, clients};
use limits::{Spoken, cannot};
use page::{FEATURES, Outcome, Visit, page};
use servers::{MORE, Place, REMOTE, Servers, directly, everywhere};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Http,
    Stdio,
    Sse,
}

/// How many clients run at once: they wait for children to start and to end more than they compute.
const AT_ONCE: usize = 4;

fn label(operation: &Value) -> &str {
    operation["as"].as_str().or(operation["do"].as_str()).unwrap()
}

/// Numbers are equal as numbers: Python's progress is a float.
pub(crate) fn is_expected(got: &Value, expected: &Value) -> bool {
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

/// A client in front of a server: what is to be done there, and what is not.
struct Pair {
    place: Place,
    /// An operation, and what is to come of it.
    to_do: Vec<(Value, Value)>,
    not_offered: BTreeMap<String, &'static str>,
}

impl Pair {
    /// `None` where the two have no revision in common.
    fn of(client: &Client, place: Place, is_direct: bool) -> Option<Self> {
        let spoken = match is_direct {
            true => Spoken::directly(client, place)?,
            false => Spoken::through(client, place)?,
        };
        let mut not_offered = BTreeMap::new();
        let mut to_do = Vec::new();
        for (operation, expected) in place.operations() {
            match cannot(client, place, spoken, label(&operation), is_direct) {
                Some(why) => {
                    not_offered.insert(label(&operation).to_owned(), why);
                }
                None if client.does(label(&operation)) => to_do.push((operation, expected)),
                None => {}
            }
        }
        for (_, feature, _) in FEATURES {
            let is_there = |(operation, _): &(Value, Value)| label(operation) == feature;
            if !not_offered.contains_key(feature) && !to_do.iter().any(is_there) {
                not_offered.insert(feature.to_owned(), "server-everything has no tool that shows it");
            }
        }
        Some(Self {
            place,
            to_do,
            not_offered,
        })
    }

    fn cell(&self, url: String, transport: Transport) -> Cell {
        Cell {
            name: self.place.key(),
            url,
            child: None,
            over_sse: transport == Transport::Sse,
            operations: self
                .to_do
                .iter()
                .map(|(operation, _)| operation.clone())
                .collect(),
        }
    }

    /// Of a client that did not get in there is nothing else to tell.
    fn judge(&self, outcomes: &Outcomes) -> Visit {
        if let Some(Err(error)) = outcomes.get(&(self.place.key(), "connect".to_owned())) {
            return Visit([("connect".to_owned(), Outcome::Failed(error.clone()))].into());
        }
        let connect = (Value::Null, "connect");
        let labels = self
            .to_do
            .iter()
            .map(|(operation, expected)| (expected.clone(), label(operation)));
        let done = std::iter::once(connect).chain(labels).map(|(expected, label)| {
            let outcome = match outcomes.get(&(self.place.key(), label.to_owned())) {
                Some(Ok(got)) if label == "connect" || is_expected(got, &expected) => Outcome::Done,
                Some(Ok(got)) => Outcome::Failed(format!("got {got}")),
                Some(Err(error)) => Outcome::Failed(error.clone()),
                None => Outcome::Failed("was not done".to_owned()),
            };
            (label.to_owned(), outcome)
        });
        let not_offered = self.not_offered.iter();
        let not_offered = not_offered.map(|(label, why)| (label.clone(), Outcome::NotOffered(why)));
        Visit(done.chain(not_offered).collect())
    }
}

/// Lets each client make its visits in a process of its own, a few at a time; gives what came of them in the same order.
async fn play(clients: &[Client], plans: Vec<Vec<Cell>>) -> Vec<Outcomes> {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    // Clients without a session share the process of an earlier server, and while two of them call it none can be
    // asked anything there (D-45).
    let alone = Arc::new(Semaphore::new(1));
    let mut running = Vec::new();
    for (client, cells) in clients.iter().zip(plans) {
        let (player, name, turns) = (client.player.clone(), client.name.clone(), turns.clone());
        let alone = matches!(client.knows, Knows::Both | Knows::Only(harness::MODERN)).then(|| alone.clone());
        running.push(tokio::spawn(async move {
            let _alone = match &alone {
                Some(alone) => Some(alone.acquire().await.unwrap()),
                None => None,
            };
            let _turn = turns.acquire().await.unwrap();
            match cells.is_empty() {
                true => Outcomes::new(),
                false => player.play(&name, &cells).await,
            }
        }));
    }
    let mut all = Vec::new();
    for outcomes in running {
        all.push(outcomes.await.unwrap());
    }
    all
}

/// One line of the log, and each failure besides.
fn report(
    client: &Client,
    place: Place,
    revision: &str,
    visit: &Visit,
    failures: &mut Vec<String>,
) -> String {
    let mut done = 0;
    let mut cannot = BTreeSet::new();
    for (label, outcome) in &visit.0 {
        match outcome {
            Outcome::Done => done += 1,
            Outcome::NotOffered(_) => {
                cannot.insert(label.as_str());
            }
            Outcome::Failed(words) => {
                failures.push(format!("{} → {}: {label}: {words}", client.name, place.key()))
            }
        }
    }
    let cannot: Vec<&str> = cannot.into_iter().collect();
    format!(
        "  {:27} {:24} {revision:10} {done:>2} ✓  not offered: {}",
        client.name,
        place.key(),
        cannot.join(", ")
    )
}

type Heard = (BTreeMap<(Side, String), usize>, BTreeSet<Wrong>);

/// Ears on the lines to all servers over HTTP.
struct Taps(Vec<(Place, Tap)>);

impl Taps {
    async fn before(servers: &Servers) -> Self {
        let mut taps = Vec::new();
        for place in everywhere() {
            if let Some(url) = servers.url(place) {
                taps.push((place, Tap::before(address_of(url)).await));
            }
        }
        Self(taps)
    }

    fn url(&self, servers: &Servers, place: Place) -> Option<String> {
        let (_, tap) = self.0.iter().find(|(of, _)| *of == place)?;
        servers.url(place).map(|url| tap.url(url))
    }

    /// How many messages were judged on all lines and pipes, and which of them are wrong, each kind once.
    fn heard(&self, front: &Tap, pipes: Heard) -> Heard {
        let (mut judged, mut wrong) = pipes;
        for tap in self.0.iter().map(|(_, tap)| tap).chain([front]) {
            for (key, count) in tap.judged() {
                *judged.entry(key).or_default() += count;
            }
            wrong.extend(tap.wrong());
        }
        (judged, wrong)
    }
}

/// How many of the pairs of the table have no revision in common.
fn apart(clients: &[Client]) -> usize {
    let table = clients.iter().filter(|client| client.is_of_the_table);
    table
        .flat_map(|client| REMOTE.map(|place| directly(client.knows, place)))
        .filter(Option::is_none)
        .count()
}

#[tokio::test]
async fn every_official_client_reaches_every_official_server() {
    let is_direct = std::env::var_os("CAUSEWAY_PEERS_DIRECT").is_some();
    let servers = Servers::start().await;
    let taps = Taps::before(&servers).await;
    let mut gateway = Gateway::new();
    for place in everywhere() {
        let upstream = match taps.url(&servers, place) {
            Some(url) => format!("{{ url: \"{url}\" }}"),
            None => servers.upstream(place),
        };
        gateway = gateway.upstream(&place.key(), upstream);
    }
    let gateway = gateway.start().await;
    let front = Tap::before(address_of(&gateway.url("/"))).await;
    let url = |client: &Client, place: Place| match (is_direct, client.over) {
        (true, _) => taps.url(&servers, place),
        (false, Transport::Sse) => Some(front.url(&gateway.url(&format!("/mcp/{}/sse", place.key())))),
        (false, Transport::Http | Transport::Stdio) => {
            Some(front.url(&gateway.url(&format!("/mcp/{}", place.key()))))
        }
    };

    let clients = clients();
    let mut pairs = Vec::new();
    let mut plans = Vec::new();
    for client in &clients {
        // Python 2.x and FastMCP agree with themselves on 2026-07-28 even over HTTP+SSE, which that revision does not have.
        let is_beyond = |place: Place| {
            is_direct
                && client.knows == Knows::Both
                && MORE.contains(&place)
                && place.transport == Transport::Sse
        };
        let places = everywhere()
            .filter(|place| client.visits(*place) && url(client, *place).is_some() && !is_beyond(*place));
        let met: Vec<Pair> = places
            .filter_map(|place| Pair::of(client, place, is_direct))
            .collect();
        let cell = |pair: &Pair| {
            let over = if is_direct {
                pair.place.transport
            } else {
                client.over
            };
            pair.cell(url(client, pair.place).unwrap(), over)
        };
        plans.push(met.iter().map(cell).collect());
        pairs.push(met);
    }
    let outcomes = play(&clients, plans).await;

    let (mut table, mut failures, mut visits) = (String::new(), Vec::new(), BTreeMap::new());
    for ((client, met), outcomes) in clients.iter().zip(&pairs).zip(&outcomes) {
        for pair in met {
            let visit = pair.judge(outcomes);
            let connected = outcomes.get(&(pair.place.key(), "connect".to_owned()));
            let revision = connected
                .and_then(|found| found.as_ref().ok())
                .and_then(Value::as_str);
            let line = report(client, pair.place, revision.unwrap_or("–"), &visit, &mut failures);
            writeln!(table, "{line}").unwrap();
            visits.insert((client.name.clone(), pair.place.key()), visit);
        }
    }
    println!("\n{table}");
    gateway.stop().await;
    let pipes = gateway.heard_on_pipes();
    assert!(is_direct || !pipes.0.is_empty(), "nothing was heard on any pipe");
    let (judged, wrong) = taps.heard(&front, pipes);
    println!("judged: {judged:#?}");
    for wrong in wrong {
        match deviations::reason(&wrong) {
            Some(why) => println!("allowed: {why}"),
            None => failures.push(format!(
                "{:?} said in {}: {}",
                wrong.side, wrong.revision, wrong.problem
            )),
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    if !is_direct {
        pages::keep(
            "compatibility.md",
            "matrix",
            &page(&clients, &visits, apart(&clients)),
        );
    }
}

/// Who has no revision in common does not connect: the number on the page is what is seen.
#[tokio::test]
async fn a_gateway_is_what_some_pairs_lack() {
    assert_eq!(apart(&clients()), 36);
    if std::env::var_os("CAUSEWAY_PEERS_DIRECT").is_none() {
        return;
    }
    let servers = Servers::start().await;
    let clients = clients();
    let cells = |client: &Client| {
        let apart = REMOTE
            .into_iter()
            .filter(|place| directly(client.knows, *place).is_none());
        let cell = apart.map(|place| Cell {
            name: place.key(),
            url: servers.url(place).unwrap().to_owned(),
            child: None,
            over_sse: place.transport == Transport::Sse,
            operations: vec![serde_json::json!({ "do": "list" })],
        });
        match client.is_of_the_table {
            true => cell.collect(),
            false => Vec::new(),
        }
    };

    let outcomes = play(&clients, clients.iter().map(cells).collect()).await;

    let mut talked = Vec::new();
    for (client, outcomes) in clients.iter().zip(&outcomes) {
        for ((cell, operation), outcome) in outcomes {
            match outcome {
                Ok(got) if operation == "list" => talked.push(format!("{} → {cell}: {got}", client.name)),
                outcome => println!("  {:27} {cell:24} {operation}: {outcome:?}", client.name),
            }
        }
    }
    assert!(talked.is_empty(), "{talked:#?}");
}

#[tokio::test]
async fn the_inspector_reaches_every_server() {
    let servers = Servers::start().await;
    // It asks for `legacy` unless told otherwise.
    let reached: Vec<Place> = everywhere()
        .filter(|place| place.transport == Transport::Http)
        .collect();
    let mut gateway = Gateway::new();
    for place in &reached {
        gateway = gateway.upstream(&place.key(), servers.upstream(*place));
    }
    let gateway = gateway.start().await;

    for place in reached {
        let url = gateway.url(&format!("/mcp/{}", place.key()));
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
