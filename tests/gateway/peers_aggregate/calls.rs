//! What is asked of each server: every tool with arguments that its schema allows, every resource, prompt and template.
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{
    Lists,
    same::exposed_uri,
    servers::{Kind, One},
};

/// Where the server of files works.
pub(super) fn room(home: &Path) -> PathBuf {
    home.join("room")
}

/// Lays out its files as they are before each client comes.
pub(super) fn files(home: &Path) {
    let room = room(home);
    if room.exists() {
        std::fs::remove_dir_all(&room).unwrap();
    }
    std::fs::create_dir_all(room.join("below")).unwrap();
    std::fs::write(room.join("greeting.txt"), "hello\nthere\n").unwrap();
    std::fs::write(room.join("below/other.txt"), "other\n").unwrap();
    std::fs::write(room.join("dot.png"), b"\x89PNG\r\n\x1a\n").unwrap();
}

/// One request, in the words of the server that it is for.
pub(super) struct Request {
    /// Its place among those of the server.
    number: usize,
    of: &'static str,
    /// The tool, the prompt, the URI or the template.
    named: String,
    /// What is completed or passed besides.
    more: Value,
    /// Whether what comes back depends on more than what was asked.
    pub(super) is_loose: bool,
}

impl Request {
    pub(super) fn named(&self) -> &str {
        &self.named
    }

    pub(super) fn label(&self, alias: Option<&str>) -> String {
        let Self {
            number, of, named, ..
        } = self;
        format!("{} {number}: {of} {named}", alias.unwrap_or("directly"))
    }

    /// What a client does, in the server's words or at an endpoint where it has this alias.
    pub(super) fn operation(&self, alias: Option<&str>) -> Value {
        let name = || alias.map_or(self.named.clone(), |alias| format!("{alias}__{}", self.named));
        let uri = || alias.map_or(self.named.clone(), |alias| exposed_uri(alias, &self.named));
        let (of, params) = match self.of {
            "read" => ("read", json!({ "uri": uri() })),
            "complete prompt" => {
                let reference = json!({ "type": "ref/prompt", "name": name() });
                ("complete", json!({ "ref": reference, "argument": self.more }))
            }
            "complete template" => {
                let reference = json!({ "type": "ref/resource", "uri": uri() });
                ("complete", json!({ "ref": reference, "argument": self.more }))
            }
            of => (of, json!({ "name": name(), "arguments": self.more })),
        };
        json!({ "do": "whole", "as": self.label(alias), "of": of, "params": params })
    }
}

/// Tools that answer with what differs from process to process, or from call to call.
const LOOSE: [&str; 9] = [
    "get-env",
    "toggle-simulated-logging",
    "toggle-subscriber-updates",
    "header",
    "headers",
    "pid",
    "counter",
    "cancelled",
    "touch",
];

/// All requests to a server that lists this.
pub(super) fn requests(one: &One, lists: &Lists, home: &Path) -> Vec<Request> {
    let mut all: Vec<(&'static str, String, Value)> = Vec::new();
    let calls = calls(one.kind, home);
    for tool in &lists["tools"] {
        let is_called = calls.iter().any(|(name, _)| name == tool);
        let is_excused = *tool == "ended" || super::NOT_LISTED.contains(&tool.as_str());
        assert!(
            is_called || is_excused,
            "nobody says how to call {} of {}",
            tool,
            one.alias
        );
    }
    let listed = calls
        .into_iter()
        .filter(|(name, _)| lists["tools"].iter().any(|tool| tool == name));
    all.extend(listed.map(|(name, arguments)| ("call", name.to_owned(), arguments)));
    for prompt in &lists["prompts"] {
        all.push(("get", prompt.clone(), prompt_arguments(prompt)));
    }
    for uri in &lists["resources"] {
        all.push(("read", uri.clone(), Value::Null));
    }
    for template in &lists["resourceTemplates"] {
        all.push(("read", filled(template), Value::Null));
    }
    all.extend(completions(one.kind));
    let request = |(number, (of, named, more)): (usize, (&'static str, String, Value))| Request {
        number,
        of,
        is_loose: of == "call" && LOOSE.contains(&named.as_str()) || named == "demo://counter",
        named,
        more,
    };
    all.into_iter().enumerate().map(request).collect()
}

/// A template with `1` for each of its variables.
fn filled(template: &str) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, variable)) = rest.split_once('{') {
        filled += before;
        filled += "1";
        rest = variable.split_once('}').unwrap().1;
    }
    filled + rest
}

fn prompt_arguments(prompt: &str) -> Value {
    match prompt {
        "simple-prompt" => json!({}),
        "args-prompt" => json!({ "city": "Bern", "state": "BE" }),
        "completable-prompt" => json!({ "department": "Sales", "name": "Eve" }),
        "resource-prompt" => json!({ "resourceType": "Text", "resourceId": "1" }),
        "review" => json!({ "code": "x" }),
        "greet" => json!({ "name": "Ada" }),
        other => panic!("nobody says how to get {other}"),
    }
}

fn completions(kind: Kind) -> Vec<(&'static str, String, Value)> {
    let prompt = |name: &str, argument: Value| ("complete prompt", name.to_owned(), argument);
    let template = |uri: &str, argument: Value| ("complete template", uri.to_owned(), argument);
    match kind {
        Kind::Everything => vec![
            prompt(
                "completable-prompt",
                json!({ "name": "department", "value": "S" }),
            ),
            template(
                "demo://resource/dynamic/text/{resourceId}",
                json!({ "name": "resourceId", "value": "7" }),
            ),
        ],
        Kind::Demo => vec![
            prompt("greet", json!({ "name": "style", "value": "f" })),
            template("demo://notes/{id}", json!({ "name": "id", "value": "1" })),
        ],
        Kind::Ours | Kind::Files | Kind::Memory => Vec::new(),
    }
}

/// Every tool with arguments, in an order in which each leaves what the next one needs.
fn calls(kind: Kind, home: &Path) -> Vec<(&'static str, Value)> {
    match kind {
        Kind::Everything => of_everything(),
        Kind::Ours => of_ours(),
        Kind::Files => of_files(home),
        Kind::Memory => of_memory(),
        Kind::Demo => of_demo(),
    }
}

fn of_everything() -> Vec<(&'static str, Value)> {
    let file = |kind: &str| json!({ "name": "x.gz", "data": "data:text/plain,hello", "outputType": kind });
    vec![
        ("echo", json!({ "message": "hello" })),
        ("get-sum", json!({ "a": 1, "b": 2.5 })),
        ("get-tiny-image", json!({})),
        (
            "get-annotated-message",
            json!({ "messageType": "success", "includeImage": true }),
        ),
        ("get-env", json!({})),
        ("get-resource-links", json!({ "count": 4 })),
        (
            "get-resource-reference",
            json!({ "resourceType": "Text", "resourceId": 1 }),
        ),
        ("get-structured-content", json!({ "location": "New York" })),
        ("gzip-file-as-resource", file("resourceLink")),
        ("gzip-file-as-resource", file("resource")),
        (
            "trigger-long-running-operation",
            json!({ "duration": 0.1, "steps": 2 }),
        ),
        // On and off again.
        ("toggle-simulated-logging", json!({})),
        ("toggle-simulated-logging", json!({})),
        ("toggle-subscriber-updates", json!({})),
        ("toggle-subscriber-updates", json!({})),
    ]
}

fn of_ours() -> Vec<(&'static str, Value)> {
    vec![
        ("echo", json!({ "message": "hello" })),
        ("steps", json!({ "key": "none", "count": 0 })),
        ("open", json!({ "key": "nobody's" })),
        ("sample", json!({})),
        ("elicit", json!({})),
        ("visit", json!({})),
        ("roots", json!({})),
        ("log", json!({})),
        ("touch", json!({})),
        ("grow", json!({})),
        ("measure", json!({ "text": "größer" })),
        ("fill", json!({ "size": 10 })),
        ("progress", json!({ "steps": 2 })),
        ("header", json!({ "name": "accept" })),
        ("fail", json!({})),
    ]
}

fn of_files(home: &Path) -> Vec<(&'static str, Value)> {
    let at = |name: &str| room(home).join(name).display().to_string();
    let path = |name: &str| json!({ "path": at(name) });
    vec![
        ("list_allowed_directories", json!({})),
        ("list_directory", path("")),
        ("list_directory_with_sizes", path("")),
        ("directory_tree", path("")),
        ("read_file", path("greeting.txt")),
        ("read_text_file", json!({ "path": at("greeting.txt"), "head": 1 })),
        ("read_media_file", path("dot.png")),
        (
            "read_multiple_files",
            json!({ "paths": [at("greeting.txt"), at("below/other.txt"), at("none.txt")] }),
        ),
        ("search_files", json!({ "path": at(""), "pattern": "**/*.txt" })),
        ("get_file_info", path("greeting.txt")),
        ("create_directory", path("made")),
        (
            "write_file",
            json!({ "path": at("made/new.txt"), "content": "one\ntwo\n" }),
        ),
        (
            "edit_file",
            json!({ "path": at("made/new.txt"), "edits": [{ "oldText": "two", "newText": "three" }] }),
        ),
        (
            "move_file",
            json!({ "source": at("made/new.txt"), "destination": at("made/moved.txt") }),
        ),
        ("read_text_file", path("made/moved.txt")),
        // What it may not read it says, and that is no less an answer.
        ("read_text_file", json!({ "path": "/etc/hostname" })),
    ]
}

fn of_memory() -> Vec<(&'static str, Value)> {
    let ada = json!({ "name": "Ada", "entityType": "person", "observations": ["counts"] });
    let engine = json!({ "name": "engine", "entityType": "machine", "observations": [] });
    let knows = json!({ "from": "Ada", "to": "engine", "relationType": "knows" });
    vec![
        ("create_entities", json!({ "entities": [ada, engine] })),
        ("create_relations", json!({ "relations": [knows] })),
        (
            "add_observations",
            json!({ "observations": [{ "entityName": "engine", "contents": ["turns"] }] }),
        ),
        ("read_graph", json!({})),
        ("search_nodes", json!({ "query": "turns" })),
        ("open_nodes", json!({ "names": ["Ada"] })),
        (
            "delete_observations",
            json!({ "deletions": [{ "entityName": "Ada", "observations": ["counts"] }] }),
        ),
        ("delete_relations", json!({ "relations": [knows] })),
        ("delete_entities", json!({ "entityNames": ["Ada", "engine"] })),
        ("read_graph", json!({})),
    ]
}

fn of_demo() -> Vec<(&'static str, Value)> {
    vec![
        ("echo", json!({ "text": "hello" })),
        ("add", json!({ "a": 1, "b": 2.5 })),
        ("slow", json!({ "steps": 2, "delay_ms": 1 })),
        ("fail", json!({})),
        ("error", json!({})),
        ("image", json!({})),
        ("structured", json!({})),
        ("big", json!({ "bytes": 100 })),
        ("log", json!({ "level": "warning", "count": 2 })),
        ("ask", json!({ "question": "Who?" })),
        ("sample", json!({ "prompt": "What?" })),
        ("roots", json!({})),
        ("headers", json!({})),
        ("environment", json!({ "names": ["NOBODY_SETS_THIS"] })),
        ("counter", json!({})),
        ("pid", json!({})),
        ("link", json!({})),
        ("cancelled", json!({})),
        ("touch", json!({})),
        ("touch", json!({})),
    ]
}

/// What takes more than a question and an answer, and what is to come of it.
pub(super) fn conversations(one: &One) -> Vec<(Value, Value)> {
    let alias = one.alias;
    let named = |tool: &str| format!("{alias}__{tool}");
    let labelled = |mut operation: Value| {
        operation["as"] = json!(format!("{alias}: {}", operation["do"].as_str().unwrap()));
        operation["prefix"] = json!(named(""));
        operation
    };
    let heard = json!("heard");
    match one.kind {
        Kind::Everything => {
            let text = "Long running operation completed. Duration: 0.3 seconds, Steps: 3.";
            let arguments = json!({ "duration": 0.3, "steps": 3 });
            let name = named("trigger-long-running-operation");
            let reported = json!({ "do": "reported", "name": name, "arguments": arguments });
            vec![(labelled(reported), json!({ "ordered": true, "text": text }))]
        }
        Kind::Ours => {
            let steps = json!({ "seen": [1, 2, 3], "text": "3 steps of KEY" });
            let mut all = vec![
                (labelled(json!({ "do": "progress" })), steps),
                (labelled(json!({ "do": "cancel" })), json!("cancelled")),
                (labelled(json!({ "do": "logging" })), heard.clone()),
            ];
            // The Python server before 2026-07-28 does not declare the subscriptions that it serves.
            if alias != "py1-sse" {
                let uri = exposed_uri(alias, "test://greeting");
                all.push((labelled(json!({ "do": "updates", "uri": uri })), heard));
            }
            all
        }
        Kind::Demo => {
            let uri = exposed_uri(alias, "demo://counter");
            let updates = json!({ "do": "updates", "uri": uri, "name": "counter" });
            let changes = json!({ "do": "changes", "name": "touch" });
            vec![(labelled(updates), heard.clone()), (labelled(changes), heard)]
        }
        Kind::Files | Kind::Memory => Vec::new(),
    }
}
