//! The official clients and servers, which `tests/peers/install.sh` has installed.
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    Exit, Program,
    gateway::{beside, causeway},
};

/// An official client, to be pointed at something.
#[derive(Clone, Debug)]
pub struct Sdk {
    name: String,
    words: Vec<String>,
}

impl Sdk {
    /// Python `mcp` 2.3 in one of its modes: `legacy`, `auto`, or a revision.
    pub fn python(mode: &str) -> Self {
        Self {
            name: format!("Python 2.3 ({mode})"),
            words: words(&[
                &Python::Two.interpreter(),
                &script("client_py.py"),
                "--mode",
                mode,
            ]),
        }
    }

    /// `@modelcontextprotocol/sdk` 1.32, which knows only the earlier revisions.
    pub fn typescript_1() -> Self {
        Self::typescript("1", "legacy", "TypeScript 1.32")
    }

    /// `@modelcontextprotocol/client` 2.4 in one of its modes: `legacy`, `auto`, or a revision.
    pub fn typescript_2(mode: &str) -> Self {
        Self::typescript("2", mode, &format!("TypeScript 2.4 ({mode})"))
    }

    fn typescript(generation: &str, mode: &str, name: &str) -> Self {
        let mut words = node();
        words.extend(self::words(&[
            &script("client_ts.mjs"),
            "--sdk",
            generation,
            "--mode",
            mode,
        ]));
        Self {
            name: name.to_owned(),
            words,
        }
    }

    /// The same client with one header more.
    #[must_use]
    pub fn with(mut self, header: &str, value: &str) -> Self {
        self.words
            .extend(["--header".to_owned(), format!("{header}: {value}")]);
        self
    }

    /// Connects it and makes it do its steps; gives what it saw.
    pub async fn run(&self, url: &str, steps: &[Value]) -> Facts {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .args(["--url", url])
            .args(steps.iter().map(Value::to_string));
        let program = Program::start(&self.name, command);
        let exit = program.ended().await;
        let facts = program
            .stdout()
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        Facts {
            client: self.name.clone(),
            exit,
            facts,
            stderr: program.stderr(),
        }
    }
}

/// What an official client saw.
#[derive(Debug)]
pub struct Facts {
    client: String,
    exit: Exit,
    facts: Vec<Value>,
    stderr: String,
}

impl Facts {
    /// Fails the test unless the client did all its steps.
    #[track_caller]
    pub fn succeed(self) -> Self {
        assert_eq!(
            self.exit,
            Exit::Code(0),
            "{} gave up: {:#?}\n{}",
            self.client,
            self.facts,
            self.stderr
        );
        self
    }

    /// The error that ended the client; success fails the test.
    #[track_caller]
    pub fn error(&self) -> &Value {
        assert_eq!(
            self.exit,
            Exit::Code(1),
            "{} did not fail: {:#?}",
            self.client,
            self.facts
        );
        self.the("error")
    }

    /// All facts of one kind.
    pub fn all(&self, fact: &str) -> Vec<&Value> {
        self.facts.iter().filter(|one| one["fact"] == fact).collect()
    }

    /// The first fact of one kind.
    #[track_caller]
    pub fn the(&self, fact: &str) -> &Value {
        self.all(fact)
            .first()
            .copied()
            .unwrap_or_else(|| panic!("{} saw no {fact}: {:#?}", self.client, self.facts))
    }

    /// The result of a call to this tool.
    #[track_caller]
    pub fn result(&self, tool: &str) -> &Value {
        let found = self.all("result").into_iter().find(|one| one["name"] == tool);
        &found.unwrap_or_else(|| panic!("{} saw no result of {tool}: {:#?}", self.client, self.facts))["result"]
    }
}

/// An official server over HTTP.
pub struct Peer {
    url: String,
    sse: Option<String>,
    _program: Program,
}

impl Peer {
    /// `server-everything`: sessions, and revisions up to 2025-11-25.
    pub async fn everything() -> Self {
        Self::typescript_server("server_everything.mjs", &[]).await
    }

    /// The same over HTTP+SSE, which is then its only URL.
    pub async fn everything_over_sse() -> Self {
        Self::typescript_server("server_everything.mjs", &["--sse"]).await
    }

    /// Python `mcp` 1.30, with sessions, over Streamable HTTP and HTTP+SSE.
    pub async fn python_1() -> Self {
        Self::python_server(Python::One, "server_py1.py", &[]).await
    }

    /// The same without sessions, for each request its own.
    pub async fn python_1_stateless() -> Self {
        Self::python_server(Python::One, "server_py1.py", &["--stateless"]).await
    }

    /// Python `mcp` 1.30 that knows one revision and no other.
    pub async fn python_1_pinned(revision: &str) -> Self {
        Self::python_server(Python::One, "server_py1.py", &["--revision", revision]).await
    }

    /// Python `mcp` 2.3 that knows 2026-07-28 and no other revision.
    pub async fn python_modern() -> Self {
        Self::python_server(Python::Two, "server_py.py", &["--modern-only"]).await
    }

    /// rmcp 3.8, both eras, with sessions for the older.
    pub async fn rmcp() -> Self {
        Self::start("rmcp", words(&[&rmcp(), "--listen"])).await
    }

    /// Python `mcp` 2.3, both eras, with sessions for the older, over Streamable HTTP and HTTP+SSE.
    pub async fn python() -> Self {
        Self::python_server(Python::Two, "server_py.py", &[]).await
    }

    /// The same without sessions.
    pub async fn python_stateless() -> Self {
        Self::python_server(Python::Two, "server_py.py", &["--stateless"]).await
    }

    /// FastMCP 4.1, both eras, with sessions for the older, over Streamable HTTP and HTTP+SSE.
    pub async fn fastmcp() -> Self {
        Self::python_server(Python::FastMcp, "server_fastmcp.py", &[]).await
    }

    /// TypeScript 1.32, with sessions, over Streamable HTTP and HTTP+SSE.
    pub async fn typescript_1() -> Self {
        Self::typescript_server("server_ts1.mjs", &["--listen"]).await
    }

    /// TypeScript 2.4, both eras, without sessions.
    pub async fn typescript() -> Self {
        Self::typescript_server("server_ts.mjs", &["--listen"]).await
    }

    /// TypeScript 2.4 that speaks only 2026-07-28.
    pub async fn typescript_modern() -> Self {
        Self::typescript_server("server_ts.mjs", &["--listen", "--modern-only"]).await
    }

    /// What the conformance suite asks of a server, on Python `mcp` 2.3.
    pub async fn conformance() -> Self {
        Self::conformance_of(&[]).await
    }

    /// The same, knowing 2026-07-28 and no other revision.
    pub async fn conformance_modern() -> Self {
        Self::conformance_of(&["--modern-only"]).await
    }

    /// The same, knowing every revision but 2026-07-28.
    pub async fn conformance_legacy() -> Self {
        Self::conformance_of(&["--legacy-only"]).await
    }

    async fn conformance_of(more: &[&str]) -> Self {
        let mut words = words(&[&Python::Two.interpreter(), &script("conformance_server.py")]);
        words.extend(self::words(more));
        Self::start("conformance_server.py", words).await
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens for clients of HTTP+SSE.
    pub fn sse(&self) -> &str {
        self.sse.as_deref().expect("this server speaks HTTP+SSE")
    }

    async fn python_server(environment: Python, file: &str, more: &[&str]) -> Self {
        let mut words = words(&[
            &environment.interpreter(),
            &script(file),
            "--listen",
            "127.0.0.1:0",
        ]);
        words.extend(self::words(more));
        Self::start(file, words).await
    }

    async fn typescript_server(file: &str, more: &[&str]) -> Self {
        let mut words = node();
        words.push(script(file));
        words.extend(self::words(more));
        Self::start(file, words).await
    }

    async fn start(name: &str, words: Vec<String>) -> Self {
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            // Nothing is written into the source tree.
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let program = Program::start(name, command);
        let told = program.line("where it listens", |line| {
            let fact: Value = serde_json::from_str(line).ok()?;
            (fact["fact"] == "listening").then_some(fact)
        });
        let told = told.await;
        let url = |name: &str| told[name].as_str().map(str::to_owned);
        Self {
            url: url("url").expect("every server has one"),
            sse: url("sse"),
            _program: program,
        }
    }
}

/// A server over stdio that either the gateway starts or a client does.
#[derive(Clone, Debug)]
pub struct Child {
    pub(crate) words: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
}

impl Child {
    /// `server-everything`.
    pub fn everything() -> Self {
        Self::packaged("server-everything", "stdio")
    }

    /// `server-filesystem`, for what is in this directory.
    pub fn filesystem(directory: &Path) -> Self {
        Self::packaged("server-filesystem", &directory.display().to_string())
    }

    /// `server-memory`, which remembers in this file.
    pub fn memory(file: &Path) -> Self {
        let environment = [("MEMORY_FILE_PATH".to_owned(), file.display().to_string())];
        Self {
            environment: environment.into(),
            ..Self::packaged("server-memory", "")
        }
    }

    /// Python `mcp` 2.3 that knows 2026-07-28 and no other revision.
    pub fn python_modern() -> Self {
        Self::of(words(&[
            &Python::Two.interpreter(),
            &script("server_py.py"),
            "--modern-only",
        ]))
    }

    /// The demo.
    pub fn demo() -> Self {
        Self::of(words(&[&causeway().display().to_string(), "demo"]))
    }

    fn packaged(name: &str, argument: &str) -> Self {
        let mut words = node();
        words.push(package(&format!("@modelcontextprotocol/{name}/dist/index.js")));
        words.extend((!argument.is_empty()).then(|| argument.to_owned()));
        Self::of(words)
    }

    fn of(words: Vec<String>) -> Self {
        // Nothing is written into the source tree.
        let environment = [("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())];
        Self {
            words,
            environment: environment.into(),
        }
    }

    /// What the gateway is told of it. What is said on its pipes is judged.
    pub fn upstream(&self) -> String {
        format!(
            "{{ command: {:?}, args: {:?}, env: {} }}",
            beside("overhear"),
            self.words,
            json!(self.environment)
        )
    }
}

/// `server-everything` as an upstream that the gateway starts.
pub fn everything_over_stdio() -> String {
    Child::everything().upstream()
}

/// Python `mcp` 1.30 as an upstream that the gateway starts.
pub fn python_1_over_stdio() -> String {
    upstream(&words(&[&Python::One.interpreter(), &script("server_py1.py")]))
}

/// Python `mcp` 1.30 that knows one revision and no other, as an upstream that the gateway starts.
pub fn python_1_pinned_over_stdio(revision: &str) -> String {
    upstream(&words(&[
        &Python::One.interpreter(),
        &script("server_py1.py"),
        "--revision",
        revision,
    ]))
}

/// Python `mcp` 2.3 that knows 2026-07-28 and no other revision, as an upstream that the gateway starts.
pub fn python_modern_over_stdio() -> String {
    Child::python_modern().upstream()
}

/// rmcp 3.8 as an upstream that the gateway starts.
pub fn rmcp_over_stdio() -> String {
    upstream(&words(&[&rmcp()]))
}

/// Python `mcp` 2.3 as an upstream that the gateway starts.
pub fn python_over_stdio() -> String {
    upstream(&words(&[&Python::Two.interpreter(), &script("server_py.py")]))
}

/// FastMCP 4.1 as an upstream that the gateway starts.
pub fn fastmcp_over_stdio() -> String {
    upstream(&words(&[
        &Python::FastMcp.interpreter(),
        &script("server_fastmcp.py"),
    ]))
}

/// TypeScript 1.32 as an upstream that the gateway starts.
pub fn typescript_1_over_stdio() -> String {
    let mut words = node();
    words.push(script("server_ts1.mjs"));
    upstream(&words)
}

/// TypeScript 2.4 as an upstream that the gateway starts.
pub fn typescript_over_stdio() -> String {
    let mut words = node();
    words.push(script("server_ts.mjs"));
    upstream(&words)
}

fn upstream(words: &[String]) -> String {
    Child::of(words.to_vec()).upstream()
}

/// Where the packages are.
fn peers() -> PathBuf {
    let path = std::env::var_os("CAUSEWAY_PEERS").map_or_else(
        || {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .parent()
                .expect("tests/ has a parent")
                .join("target/peers")
        },
        PathBuf::from,
    );
    assert!(
        path.join("node/.stamp").exists(),
        "{} is not installed: run `make test`",
        path.display()
    );
    path
}

/// Node, told to look for packages where the script's link is and not where it leads.
pub(crate) fn node() -> Vec<String> {
    let node = peers().join("node/node_modules/.bin/node").display().to_string();
    words(&[&node, "--preserve-symlinks", "--preserve-symlinks-main"])
}

/// One of the environments with an official Python SDK in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Python {
    /// `mcp` 1.30.
    One,
    /// `mcp` 2.3.
    Two,
    /// FastMCP 4.1, which brings its own `mcp`.
    FastMcp,
}

impl Python {
    pub(crate) fn interpreter(self) -> String {
        let environment = match self {
            Self::One => "python-1",
            Self::Two => "python-2",
            Self::FastMcp => "python-fastmcp",
        };
        peers().join(environment).join("bin/python").display().to_string()
    }
}

/// The server made with rmcp, which `install.sh` has built.
fn rmcp() -> String {
    peers()
        .join("rmcp/debug/causeway-peer-rmcp")
        .display()
        .to_string()
}

/// A file of an installed package.
pub(crate) fn package(path: &str) -> String {
    peers().join("node/node_modules").join(path).display().to_string()
}

pub(crate) fn script(name: &str) -> String {
    peers().join("node/scripts").join(name).display().to_string()
}

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|&word| word.to_owned()).collect()
}
