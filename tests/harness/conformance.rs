//! The official conformance suite: its verdict on a server, and on what a gateway sends to one.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Program, Switchboard, causeway,
    peers::{Python, node, package, script},
};

/// How long one run of the suite may take. It waits up to seconds for what must not come, and runs one scenario after
/// the other.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the suite said of one check, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is as it should be.
    Passed,
    /// Looked at without a judgement: skipped, or only noted.
    NotAsked,
    /// Not what a server SHOULD do.
    Warned,
    /// Not what a server MUST do.
    Failed,
}

/// A check of a scenario. Several checks of a scenario may share an id, and differ in their name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Check {
    /// The scenario.
    pub scenario: String,
    /// The id of the check, as the suite prints it.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.scenario, self.id, self.name)
    }
}

/// What a run of the suite came to.
#[derive(Debug, Default)]
pub struct Verdicts {
    checks: BTreeMap<Check, (Verdict, Vec<String>)>,
}

impl Verdicts {
    /// Runs all server scenarios of a revision against a server.
    pub async fn of_server(url: &str, revision: &str) -> Self {
        let results = TempDir::new().expect("a temporary directory can be made");
        let mut command = suite("server", revision, results.path());
        command.args(["--url", url, "--suite", "all"]);
        run(command, &format!("the conformance suite at {revision}"), &results).await
    }

    /// Runs one client scenario: an official client speaks with the mock server of the suite through a gateway. The first
    /// tap of the board is then behind that gateway, the second in front of it.
    pub async fn of_client(scenario: &str, revision: &str, board: &Switchboard) -> Self {
        let results = TempDir::new().expect("a temporary directory can be made");
        let client = format!(
            "{} {}",
            Python::Two.interpreter(),
            script("conformance_client.py")
        );
        let mut command = suite("client", revision, results.path());
        command
            .args(["--command", &client, "--scenario", scenario])
            .env("CAUSEWAY_BIN", causeway())
            .env("CAUSEWAY_TAPS", board.address());
        run(command, &format!("{scenario} at {revision}"), &results).await
    }

    /// All checks, with what the suite had to say about each.
    pub fn iter(&self) -> impl Iterator<Item = (&Check, Verdict, &[String])> {
        self.checks
            .iter()
            .map(|(check, (verdict, words))| (check, *verdict, words.as_slice()))
    }

    /// The verdict on a check. One that a run never came to was not asked.
    pub fn on(&self, check: &Check) -> Verdict {
        self.checks
            .get(check)
            .map_or(Verdict::NotAsked, |(verdict, _)| *verdict)
    }

    /// What the suite had to say about a check.
    pub fn words(&self, check: &Check) -> &[String] {
        self.checks.get(check).map_or(&[], |(_, words)| words)
    }

    /// The scenarios that were run.
    pub fn scenarios(&self) -> BTreeSet<&str> {
        self.checks.keys().map(|check| check.scenario.as_str()).collect()
    }

    /// How many checks of a scenario have this verdict.
    pub fn count(&self, scenario: &str, verdict: Verdict) -> usize {
        self.iter()
            .filter(|(check, found, _)| check.scenario == scenario && *found == verdict)
            .count()
    }
}

fn suite(side: &str, revision: &str, results: &Path) -> Command {
    let node = node();
    let mut command = Command::new(&node[0]);
    command
        .args(&node[1..])
        .arg(package("@modelcontextprotocol/conformance/dist/index.js"))
        .args([side, "--spec-version", revision, "--output-dir"])
        .arg(results);
    command
}

/// Its exit code says whether all passed; which ones did is in the files it leaves.
async fn run(command: Command, name: &str, results: &TempDir) -> Verdicts {
    let program = Program::start(name, command);
    program.ended_within(PATIENCE).await;
    let mut verdicts = Verdicts::default();
    for run in std::fs::read_dir(results.path())
        .expect("the directory is ours")
        .flatten()
    {
        let checks =
            std::fs::read_to_string(run.path().join("checks.json")).expect("a run leaves its checks");
        let checks: Vec<Value> = serde_json::from_str(&checks).expect("they are JSON");
        let scenario = scenario_of(&run.file_name().to_string_lossy());
        for check in &checks {
            verdicts.add(&scenario, check);
        }
    }
    assert!(
        !verdicts.checks.is_empty(),
        "{name} left no verdict: {}\n{}",
        program.stdout().join("\n"),
        program.stderr()
    );
    verdicts
}

impl Verdicts {
    fn add(&mut self, scenario: &str, found: &Value) {
        let text = |member: &str| found[member].as_str().unwrap_or_default().to_owned();
        let check = Check {
            scenario: scenario.to_owned(),
            id: text("id"),
            name: text("name"),
        };
        let verdict = match found["status"].as_str() {
            Some("SUCCESS") => Verdict::Passed,
            Some("INFO" | "SKIPPED") => Verdict::NotAsked,
            Some("WARNING") => Verdict::Warned,
            status => {
                assert_eq!(
                    status,
                    Some("FAILURE"),
                    "a status that the suite did not have: {found}"
                );
                Verdict::Failed
            }
        };
        let (worst, words) = self.checks.entry(check).or_insert((verdict, Vec::new()));
        // A check that is made several times has passed if it was asked at least once and never missed.
        *worst = match (*worst, verdict) {
            (Verdict::Passed | Verdict::NotAsked, Verdict::Passed) => Verdict::Passed,
            (Verdict::Passed, Verdict::NotAsked) => Verdict::Passed,
            (before, now) => before.max(now),
        };
        words.extend(found["errorMessage"].as_str().map(str::to_owned));
    }
}

/// A run's directory is called `server-<scenario>-<time>`, or `<scenario>-<time>` for a client.
fn scenario_of(directory: &str) -> String {
    const TIME: usize = "-2026-01-01T00-00-00-000Z".len();
    let name = &directory[..directory.len().saturating_sub(TIME)];
    // Scenarios about servers begin with `server-` themselves, after the prefix.
    name.strip_prefix("server-").unwrap_or(name).to_owned()
}
