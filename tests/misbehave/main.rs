//! A stdio server that does what it is told on its command line, among that what no server should do.
//!
//! ```text
//! misbehave [--era legacy|modern|dual] [--told FILE] [--pids FILE] [FAULT]...
//!   --told FILE          appends every line it is sent to FILE
//!   --pids FILE          appends its process id, and those of its children, to FILE
//!   --exit-at-once       ends before it reads anything
//!   --exit-on METHOD     ends with code 3 when asked this, without an answer
//!   --hang-on METHOD     never answers this; answers everything else
//!   --garbage            writes a line that is no JSON before each answer
//!   --garbage-on METHOD  writes a line that is no JSON in place of this answer
//!   --strange-on METHOD  answers this with an id that nobody used, and then properly
//!   --twice-on METHOD    answers this twice
//!   --long-on METHOD N   answers this with a line of more than N bytes
//!   --chat               says something before each answer, the first one included
//!   --batch              answers in an array, with something said before the answer
//!   --flood-on METHOD    says something without end in place of this answer
//!   --ask-on METHOD      asks the user a name first, and answers this with what it is told
//!   --deaf-after METHOD  answers this, and reads nothing after it
//!   --shout              writes a mebibyte to stderr before each answer
//!   --ignore-term        ignores SIGTERM
//!   --ignore-end         goes on when its stdin ends
//!   --grandchild         starts a child that ignores SIGTERM and never ends
//! ```
//! Its tools are `echo {message}`, `environment {name}` and `descriptors {}` (what it has inherited).
#![allow(clippy::unwrap_used, reason = "a server that is made to fail may panic")]
#![expect(
    clippy::disallowed_methods,
    reason = "to end without a word is what some of its faults are"
)]

use std::{
    collections::VecDeque,
    fs::OpenOptions,
    io::{self, BufRead, Write},
    os::unix::process::CommandExt,
    process::{Command, Stdio, exit},
    thread,
};

use harness::{PipeEar, Side};
use serde_json::{Value, json};

const MODERN: &str = "2026-07-28";

fn main() {
    let orders = Orders::read();
    if orders.has("--ignore-term") && !orders.has("--termless") {
        ignore_term();
    }
    orders.append("--pids", &std::process::id().to_string());
    if orders.has("--exit-at-once") {
        exit(3);
    }
    if orders.has("--linger") {
        linger();
    }
    #[expect(clippy::zombie_processes, reason = "what it leaves behind is the point")]
    if orders.has("--grandchild") {
        let mut grandchild = Command::new(std::env::current_exe().unwrap());
        grandchild.args(["--ignore-term", "--linger"]);
        if let Some(file) = orders.value("--pids") {
            grandchild.args(["--pids", &file]);
        }
        grandchild
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
    }
    // The requests that wait for what the user says.
    let mut waiting = VecDeque::new();
    // What it is sent is judged; what it says itself is bad on purpose.
    let mut ear = PipeEar::default();
    for line in io::stdin().lock().lines() {
        let line = line.unwrap();
        ear.hear(Side::Client, line.as_bytes());
        orders.append("--told", &line);
        let message: Value = serde_json::from_str(&line).unwrap();
        if message.get("id").is_some() && message.get("method").is_some() {
            if orders.on("--ask-on", message["method"].as_str().unwrap()) {
                ask(&message["id"]);
                waiting.push_back(message["id"].clone());
            } else {
                orders.answer(&message);
            }
        } else if message.get("method").is_none()
            && let Some(id) = waiting.pop_front()
        {
            let told = message.get("result").unwrap_or(&message["error"]).to_string();
            let result = json!({ "content": [{ "type": "text", "text": told }] });
            say(&json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string());
        }
    }
    if orders.has("--ignore-end") {
        linger();
    }
}

/// What the command line demands.
struct Orders(Vec<String>);

impl Orders {
    fn read() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    fn has(&self, order: &str) -> bool {
        self.0.iter().any(|word| word == order)
    }

    fn value(&self, order: &str) -> Option<String> {
        let at = self.0.iter().position(|word| word == order)?;
        self.0.get(at + 1).cloned()
    }

    fn on(&self, order: &str, method: &str) -> bool {
        self.0
            .windows(2)
            .any(|pair| pair[0] == order && pair[1] == method)
    }

    fn append(&self, order: &str, line: &str) {
        let Some(file) = self.value(order) else { return };
        let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
        // One write, so that two processes do not mix their lines.
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn speaks_modern(&self) -> bool {
        matches!(self.value("--era").as_deref(), Some("modern" | "dual"))
    }

    fn speaks_legacy(&self) -> bool {
        self.value("--era").is_none_or(|era| era != "modern")
    }

    fn answer(&self, message: &Value) {
        let method = message["method"].as_str().unwrap();
        if self.on("--exit-on", method) {
            exit(3);
        }
        if self.on("--hang-on", method) {
            return;
        }
        if self.has("--shout") {
            eprintln!("{}", "stderr is not stdout ".repeat(50_000));
        }
        if self.has("--garbage") || self.on("--garbage-on", method) {
            say("this is not JSON");
        }
        if self.on("--garbage-on", method) {
            return;
        }
        if self.on("--flood-on", method) {
            let said = json!({
                "jsonrpc": "2.0", "method": "notifications/message",
                "params": { "level": "info", "data": "flood ".repeat(1000) },
            });
            loop {
                say(&said.to_string());
            }
        }
        if self.on("--strange-on", method) {
            say(&json!({ "jsonrpc": "2.0", "id": "nobody", "result": { "content": [] } }).to_string());
        }
        let answer = json!({ "jsonrpc": "2.0", "id": message["id"] });
        let answer = match self.result(message) {
            Ok(result) => with(answer, "result", result),
            Err(error) => with(answer, "error", error),
        };
        let said = json!({
            "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": "hello" },
        });
        if self.has("--batch") {
            return say(&json!([said, answer]).to_string());
        }
        if self.has("--chat") {
            say(&said.to_string());
        }
        say(&answer.to_string());
        if self.on("--twice-on", method) {
            say(&answer.to_string());
        }
        if self.on("--deaf-after", method) {
            linger();
        }
    }

    fn result(&self, message: &Value) -> Result<Value, Value> {
        let method = message["method"].as_str().unwrap();
        let modern = message["params"]["_meta"]
            .get("io.modelcontextprotocol/protocolVersion")
            .is_some();
        if modern && !self.speaks_modern() && method != "server/discover" || !modern && !self.speaks_legacy()
        {
            let data = json!({ "supported": [MODERN], "requested": "?" });
            return Err(json!({ "code": -32022, "message": "Unsupported protocol version", "data": data }));
        }
        let mut result = match method {
            "server/discover" if self.speaks_modern() => json!({
                "supportedVersions": [MODERN], "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "private",
            }),
            "initialize" => json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "misbehave", "version": "1" },
            }),
            "ping" => json!({}),
            "tools/list" if modern => json!({ "tools": tools(), "ttlMs": 0, "cacheScope": "private" }),
            "tools/list" => json!({ "tools": tools() }),
            "tools/call" => {
                let text = self.tool(&message["params"]);
                json!({ "content": [{ "type": "text", "text": text }] })
            }
            other => return Err(json!({ "code": -32601, "message": format!("Method not found: {other}") })),
        };
        if modern {
            result["resultType"] = json!("complete");
        }
        Ok(result)
    }

    fn tool(&self, params: &Value) -> String {
        let long = self
            .0
            .windows(3)
            .find(|words| words[0] == "--long-on" && words[1] == "tools/call");
        if let Some(words) = long {
            return "x".repeat(words[2].parse().unwrap());
        }
        let arguments = &params["arguments"];
        match params["name"].as_str().unwrap() {
            "environment" => std::env::var(arguments["name"].as_str().unwrap()).unwrap_or_default(),
            "descriptors" => descriptors(),
            _ => arguments["message"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// Asks the user's name on behalf of a request.
fn ask(request: &Value) {
    let form = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
    let params = json!({ "message": "What is your name?", "requestedSchema": form });
    let id = format!("question of {request}");
    say(&json!({ "jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": params }).to_string());
}

fn tools() -> Value {
    let tool = |name| json!({ "name": name, "inputSchema": { "type": "object" } });
    json!([tool("echo"), tool("environment"), tool("descriptors")])
}

fn with(mut message: Value, member: &str, value: Value) -> Value {
    message[member] = value;
    message
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    // Nobody reads any more: as every server, it goes.
    if out
        .write_all(format!("{line}\n").as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        exit(0);
    }
}

/// The open descriptors beyond the usual three, with what they lead to.
fn descriptors() -> String {
    let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mut more: Vec<String> = all
        .filter(|entry| !matches!(entry.file_name().to_str(), Some("0" | "1" | "2")))
        .filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.display().to_string()))
        // The directory that is being read.
        .filter(|target| !target.starts_with("/proc/"))
        .collect();
    more.sort();
    more.join(" ")
}

/// Starts over as a process that ignores SIGTERM: an ignored signal stays ignored across `exec`.
fn ignore_term() {
    let this = std::env::current_exe().unwrap();
    let failure = Command::new("sh")
        .args(["-c", "trap '' TERM; exec \"$0\" \"$@\" --termless"])
        .arg(this)
        .args(std::env::args().skip(1))
        .exec();
    panic!("cannot start over: {failure}");
}

fn linger() -> ! {
    loop {
        thread::park();
    }
}
