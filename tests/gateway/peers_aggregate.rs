//! Ten real servers of both eras and all transports at one endpoint, as official clients of both eras find them there.
//!
//! Each server is first asked directly, by one client: what it lists, and what it answers to a call of every tool, a
//! reading of every resource and of every filled template, every prompt, and completions. Every client then does the
//! same at the endpoint, in one session with all ten, and finds the same, save for the names and URIs, which are the
//! endpoint's; at each URI in what it gets it reads what is there.
mod calls;
mod same;
mod servers;

use std::collections::BTreeMap;

use harness::{Cell, Gateway, Mood, Outcomes, Player, Reply, Running, Server, Tap, address_of, until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers_matrix::deviations;
use calls::{conversations, files, requests};
use same::{exposed, exposed_uri, is_the_same};
use servers::{One, Ten};

/// What `server-everything` lists only to clients that declare that they can be asked, and the gateway, which asks for
/// lists on behalf of all, does not; and what must be called as a task, which no client of these can.
const NOT_LISTED: [&str; 7] = [
    "get-roots-list",
    "trigger-elicitation-request",
    "trigger-elicitation-request-async",
    "trigger-sampling-request",
    "trigger-sampling-request-async",
    "trigger-url-elicitation",
    "simulate-research-query",
];

/// Tools of a server besides the ten: the list of all of them has two pages.
const MANY: usize = 1200;

/// The lists of a server, as the first client found them.
type Lists = BTreeMap<String, Vec<String>>;

/// What one client got in one place.
struct Got<'o> {
    outcomes: &'o Outcomes,
    cell: &'o str,
}

impl Got<'_> {
    fn of(&self, label: &str) -> Result<Value, String> {
        let found = self.outcomes.get(&(self.cell.to_owned(), label.to_owned()));
        found.cloned().unwrap_or_else(|| {
            let connected = self.outcomes.get(&(self.cell.to_owned(), "connect".to_owned()));
            Err(format!("was not done ({connected:?})"))
        })
    }

    /// The names of each list.
    fn lists(&self) -> Lists {
        let lists = self
            .of("lists")
            .unwrap_or_else(|why| panic!("{}: {why}", self.cell));
        let names = |list: &Value| serde_json::from_value(list["names"].clone()).unwrap();
        let lists = lists.as_object().unwrap().iter();
        lists.map(|(list, found)| (list.clone(), names(found))).collect()
    }
}

/// A server with more tools than a page holds, one of which has a view.
async fn many() -> Server {
    let mut tools: Vec<Value> = (0..MANY)
        .map(|number| json!({ "name": format!("t{number}"), "inputSchema": { "type": "object" } }))
        .collect();
    tools[0]["_meta"] = json!({ "ui": { "resourceUri": "ui://view" } });
    let listed = json!({ "tools": tools, "resultType": "complete", "ttlMs": 60_000, "cacheScope": "public" });
    Server::of(Mood::Modern)
        .able_to(json!({ "tools": {}, "resources": {} }))
        .on("tools/list", move |request| Reply::result(request, &listed))
        .on("resources/list", |request| {
            let none = json!({ "resources": [], "resultType": "complete", "ttlMs": 60_000, "cacheScope": "public" });
            Reply::result(request, &none)
        })
        .on("resources/read", |request| {
            let contents = json!([{ "uri": request.params()["uri"], "text": "a view" }]);
            let read = json!({ "contents": contents, "resultType": "complete", "ttlMs": 0, "cacheScope": "private" });
            Reply::result(request, &read)
        })
        .start()
        .await
}

/// What each server lists, and what it answers to all that is asked of it.
async fn directly(ten: &Ten, home: &TempDir) -> (BTreeMap<&'static str, Lists>, Outcomes) {
    let client = Player::python_2("auto");
    files(home.path());
    let cells = |operations: &dyn Fn(&One) -> Vec<Value>| {
        let cell = |one: &One| Cell {
            name: one.alias.to_owned(),
            operations: operations(one),
            ..one.cell()
        };
        ten.all.iter().map(cell).collect::<Vec<_>>()
    };
    let outcomes = client
        .play(
            "Python 2.3, directly",
            &cells(&|_| vec![json!({ "do": "lists" })]),
        )
        .await;
    let lists: BTreeMap<&str, Lists> = ten
        .all
        .iter()
        .map(|one| {
            let got = Got {
                outcomes: &outcomes,
                cell: one.alias,
            };
            (one.alias, got.lists())
        })
        .collect();
    files(home.path());
    let operations = |one: &One| {
        let requests = requests(one, &lists[one.alias], home.path());
        requests.iter().map(|request| request.operation(None)).collect()
    };
    let outcomes = client.play("Python 2.3, directly", &cells(&operations)).await;
    (lists, outcomes)
}

/// What the endpoint is to list, of these servers.
fn expected(lists: &BTreeMap<&str, Lists>, of: &[&str]) -> Lists {
    let mut all = Lists::new();
    for alias in of {
        for (list, names) in &lists[alias] {
            let exposed = names.iter().filter(|name| !NOT_LISTED.contains(&&***name));
            let exposed = exposed.map(|name| match list.as_str() {
                "tools" | "prompts" => format!("{alias}__{name}"),
                _ => exposed_uri(alias, name),
            });
            all.entry(list.clone()).or_default().extend(exposed);
        }
    }
    all
}

/// Each with whether it has a session, which ends when it leaves, and whether it comes over HTTP+SSE.
fn clients() -> [(&'static str, Player, bool, bool); 5] {
    [
        ("Python 1.30", Player::python_1(), true, false),
        ("TypeScript 1.32", Player::typescript_1(), true, false),
        ("TypeScript 1.32, SSE", Player::typescript_1(), true, true),
        ("Python 2.3", Player::python_2("auto"), false, false),
        ("TypeScript 2.4", Player::typescript_2("auto"), false, false),
    ]
}

/// Processes of the children that those without a session share who can be asked the same: `every-stdio`, `files` and
/// `memory`, which know nothing but sessions, each with its ear.
const SHARED: usize = 6;

#[tokio::test]
async fn ten_official_servers_at_one_endpoint_are_what_they_are_directly() {
    let home = TempDir::new().unwrap();
    let (ten, many) = (Ten::start(home.path()).await, many().await);
    let (lists, direct) = directly(&ten, &home).await;
    let mut gateway = Gateway::new();
    for one in &ten.all {
        gateway = gateway.upstream(one.alias, one.upstream());
    }
    let gateway = gateway.server("many", &many).start().await;
    let front = Tap::before(address_of(&gateway.url("/"))).await;
    let children = || gateway.program().descendants();
    let before = children();

    let mut failures = Vec::new();
    for (name, player, has_session, over_sse) in clients() {
        files(home.path());
        let cells = cells(&ten, &lists, &home, &gateway, &front, over_sse);
        let outcomes = player.play(name, &cells).await;
        let found = judge(&ten, &lists, &home, &direct, &outcomes);
        failures.extend(found.into_iter().map(|what| format!("{name}: {what}")));
        if has_session {
            let are_gone = || children().keys().all(|child| before.contains_key(child));
            let fact = format!("the end of what {name} had");
            until(fact, || are_gone().then_some(())).await;
        }
    }
    assert!(children().len() <= before.len() + SHARED, "{:?}", children());
    // It looks whether anything of it is left.
    gateway.stop().await;
    for wrong in front.wrong() {
        if deviations::reason(&wrong).is_none() {
            let (side, revision, problem) = (wrong.side, wrong.revision, wrong.problem);
            failures.push(format!("{side:?} said in {revision}: {problem}"));
        }
    }
    let (heard, wrong) = gateway.heard_on_pipes();
    assert!(!heard.is_empty(), "nothing was heard on any pipe");
    let wrong = wrong
        .into_iter()
        .filter(|wrong| deviations::reason(wrong).is_none());
    failures.extend(wrong.map(|wrong| format!("on a pipe: {wrong:?}")));
    assert!(failures.is_empty(), "{} failures: {failures:#?}", failures.len());
}

/// Two of the ten at an endpoint of their own, and how that is said in a URL.
const SUBSET: [&str; 2] = ["demo", "py1-sse"];

fn cells(
    ten: &Ten,
    lists: &BTreeMap<&'static str, Lists>,
    home: &TempDir,
    gateway: &Running,
    front: &Tap,
    over_sse: bool,
) -> Vec<Cell> {
    let at = |path: &str| front.url(&gateway.url(path));
    let mut operations = vec![json!({ "do": "lists" })];
    let view = json!({ "uri": "ui://many+view" });
    operations.push(json!({ "do": "whole", "as": "the view", "of": "read", "params": view }));
    for one in &ten.all {
        let requests = requests(one, &lists[one.alias], home.path());
        let listed = requests
            .iter()
            .filter(|request| !NOT_LISTED.contains(&request.named()));
        operations.extend(listed.map(|request| request.operation(Some(one.alias))));
        operations.extend(conversations(one).into_iter().map(|(operation, _)| operation));
    }
    let everything = Cell {
        name: "all".to_owned(),
        url: at(if over_sse { "/mcp/sse" } else { "/mcp" }),
        over_sse,
        operations,
        ..Cell::default()
    };
    if over_sse {
        return vec![everything];
    }
    let subset = |name: &str, url: String| Cell {
        name: name.to_owned(),
        url,
        operations: vec![json!({ "do": "lists" })],
        ..Cell::default()
    };
    let names = SUBSET.join(",");
    vec![
        everything,
        subset("path", at(&format!("/mcp/{names}"))),
        // Past the ear, which takes a query for that of a stream.
        subset("query", gateway.url(&format!("/mcp?server={names}"))),
    ]
}

fn judge(
    ten: &Ten,
    lists: &BTreeMap<&'static str, Lists>,
    home: &TempDir,
    direct: &Outcomes,
    outcomes: &Outcomes,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let here = Got {
        outcomes,
        cell: "all",
    };
    let aliases: Vec<&str> = ten.all.iter().map(|one| one.alias).collect();
    let mut all = expected(lists, &aliases);
    let tools = all.get_mut("tools").unwrap();
    tools.extend((0..MANY).map(|number| format!("many__t{number}")));
    for (cell, expected) in [
        ("all", all),
        ("path", expected(lists, &SUBSET)),
        ("query", expected(lists, &SUBSET)),
    ] {
        if !outcomes.keys().any(|(of, _)| of == cell) {
            continue;
        }
        let found = Got { outcomes, cell }.lists();
        for (list, expected) in &expected {
            // It comes and goes with every `touch`.
            let found = found[list].iter().filter(|name| *name != "demo__extra");
            let found: Vec<&String> = found.collect();
            let missing: Vec<_> = expected.iter().filter(|name| !found.contains(name)).collect();
            let more: Vec<_> = found.iter().filter(|name| !expected.contains(**name)).collect();
            if !missing.is_empty() || !more.is_empty() || found.len() != expected.len() {
                wrong.push(format!("{cell}: {list}: missing {missing:?}, more {more:?}"));
            }
        }
    }
    let views = here.of("lists").map(|lists| lists["tools"]["uris"].clone());
    if views != Ok(json!(["ui://many+view"])) {
        wrong.push(format!("the views of tools are {views:?}"));
    }
    match here.of("the view") {
        Ok(view) if view["result"]["contents"][0]["text"] == "a view" => {}
        other => wrong.push(format!("the view: {other:?}")),
    }
    for one in &ten.all {
        let there = Got {
            outcomes: direct,
            cell: one.alias,
        };
        for request in requests(one, &lists[one.alias], home.path()) {
            if NOT_LISTED.contains(&request.named()) {
                continue;
            }
            let expected = there.of(&request.label(None));
            let expected = expected
                .unwrap_or_else(|why| panic!("{} directly: {}: {why}", one.alias, request.label(None)));
            let label = request.label(Some(one.alias));
            match here.of(&label) {
                Ok(got) if is_the_same(&got, &exposed(one.alias, &expected), request.is_loose) => {}
                Ok(got) => wrong.push(format!("{label}: got {got}, expected {expected}")),
                Err(why) => wrong.push(format!("{label}: {why}")),
            }
        }
        for (operation, expected) in conversations(one) {
            let label = operation["as"].as_str().unwrap();
            match here.of(label) {
                Ok(got) if crate::peers_matrix::is_expected(&got, &expected) => {}
                other => wrong.push(format!("{label}: {other:?}")),
            }
        }
    }
    wrong
}
