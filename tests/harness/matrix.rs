//! The matrix of official peers: clients that carry out operations on servers, and what came of each.
use std::{collections::BTreeMap, process::Command, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Exit, Program,
    peers::{Child, Python, node, package, script},
};

/// How long one client may take for all its cells.
const PATIENCE: Duration = Duration::from_secs(900);

/// One client in front of one server, and what it is to do there.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// What the results are found by.
    pub name: String,
    /// Where the client connects.
    pub url: String,
    /// What the client starts instead, which only Python 2.3 does.
    pub child: Option<Child>,
    /// Over HTTP+SSE rather than Streamable HTTP.
    pub over_sse: bool,
    /// What it is to do, in this order; see `tests/peers/matrix.py`.
    pub operations: Vec<Value>,
}

/// An official client that carries out whole plans.
#[derive(Clone, Debug)]
pub struct Player {
    words: Vec<String>,
    mode: String,
}

/// What came of each operation: what the client got, or its error.
pub type Outcomes = BTreeMap<(String, String), Result<Value, String>>;

impl Player {
    /// Python `mcp` 1.30.
    pub fn python_1() -> Self {
        Self::python(Python::One, "matrix_py1.py", "legacy")
    }

    /// The same, knowing one revision and no other.
    pub fn python_1_pinned(revision: &str) -> Self {
        Self::python(Python::One, "matrix_py1.py", revision)
    }

    /// Python `mcp` 2.3 in one of its modes.
    pub fn python_2(mode: &str) -> Self {
        Self::python(Python::Two, "matrix_py2.py", mode)
    }

    /// FastMCP 4.1 in one of its modes.
    pub fn fastmcp(mode: &str) -> Self {
        Self::python(Python::FastMcp, "matrix_fastmcp.py", mode)
    }

    /// `@modelcontextprotocol/sdk` 1.32.
    pub fn typescript_1() -> Self {
        Self::typescript("1", "legacy")
    }

    /// `@modelcontextprotocol/client` 2.4 in one of its modes.
    pub fn typescript_2(mode: &str) -> Self {
        Self::typescript("2", mode)
    }

    fn python(environment: Python, file: &str, mode: &str) -> Self {
        Self::new(vec![environment.interpreter(), script(file)], mode)
    }

    fn typescript(generation: &str, mode: &str) -> Self {
        let mut words = node();
        words.extend([script("matrix_ts.mjs"), generation.to_owned()]);
        Self::new(words, mode)
    }

    fn new(words: Vec<String>, mode: &str) -> Self {
        Self {
            words,
            mode: mode.to_owned(),
        }
    }

    /// Carries out all cells, one after the other.
    pub async fn play(&self, name: &str, cells: &[Cell]) -> Outcomes {
        let plan: Vec<Value> = cells
            .iter()
            .map(|cell| {
                let mut plan = json!({
                    "cell": cell.name, "url": cell.url, "operations": cell.operations,
                    "mode": self.mode, "transport": if cell.over_sse { "sse" } else { "http" },
                });
                if let Some(child) = &cell.child {
                    plan["command"] = json!(child.words);
                    plan["environment"] = json!(child.environment);
                }
                plan
            })
            .collect();
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .arg(json!({ "cells": plan }).to_string())
            // Nothing is written into the source tree.
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let program = Program::start(name, command);
        let exit = program.ended_within(PATIENCE).await;
        assert_eq!(exit, Exit::Code(0), "{name}: {}", program.stderr());
        program.stdout().iter().filter_map(|line| outcome(line)).collect()
    }
}

fn outcome(line: &str) -> Option<((String, String), Result<Value, String>)> {
    let told: Value = serde_json::from_str(line).ok()?;
    let key = (told["cell"].as_str()?.to_owned(), told["do"].as_str()?.to_owned());
    let result = match told["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(told["got"].clone()),
    };
    Some((key, result))
}

/// What the command line of the Inspector answers to one question, as in `--method tools/list`.
pub async fn inspect(url: &str, words: &[&str]) -> Value {
    // It keeps a catalog of servers in its user's home.
    let home = TempDir::new().expect("a temporary directory can be made");
    let node = node();
    let mut command = Command::new(&node[0]);
    command
        .arg(package(
            "@modelcontextprotocol/inspector/clients/launcher/build/index.js",
        ))
        .args(["--cli", "--server-url", url, "--transport", "http"])
        .args(words)
        .env("HOME", home.path());
    let program = Program::start("the Inspector", command);
    let exit = program.ended().await;
    assert_eq!(exit, Exit::Code(0), "{url}: {}", program.stderr());
    serde_json::from_str(&program.stdout().join("\n")).expect("it prints JSON")
}
