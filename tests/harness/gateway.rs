//! The real `causeway`, run as its users run it: a file, a process, its lines, its record.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{Answer, Carrier, Client, Exit, Program, Server, Side, Wrong, pipe::Pipes, until, within};

/// What a gateway is to be given before it starts.
pub struct Gateway {
    listen: String,
    admin: String,
    upstreams: Vec<(String, String)>,
    sections: String,
    environment: Vec<(String, String)>,
    descriptors: Option<(u64, u64)>,
    home: TempDir,
}

impl Default for Gateway {
    fn default() -> Self {
        Self::new()
    }
}

impl Gateway {
    /// A gateway without upstreams, on ports of its own choice.
    pub fn new() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            admin: "127.0.0.1:0".to_owned(),
            upstreams: Vec::new(),
            sections: String::new(),
            environment: Vec::new(),
            descriptors: None,
            home: TempDir::new().expect("a temporary directory can be made"),
        }
    }

    /// One upstream more, as it stands in the file: `{ command: causeway, args: [demo] }`.
    #[must_use]
    pub fn upstream(mut self, name: &str, yaml: impl AsRef<str>) -> Self {
        self.upstreams.push((name.to_owned(), yaml.as_ref().to_owned()));
        self
    }

    /// The demo, as the upstream `demo`.
    #[must_use]
    pub fn demo(self) -> Self {
        self.upstream("demo", "{ command: causeway, args: [demo] }")
    }

    /// A server, under a name.
    #[must_use]
    pub fn server(self, name: &str, server: &Server) -> Self {
        self.upstream(name, format!("{{ url: \"{}\" }}", server.url()))
    }

    /// Whole sections of the file: `routes:`, `bounds:`, `grace:`, …
    #[must_use]
    pub fn config(mut self, yaml: &str) -> Self {
        self.sections.push_str(yaml);
        self.sections.push('\n');
        self
    }

    /// One variable of its environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How many descriptors it may have: at its start, and at most.
    #[must_use]
    pub fn descriptors(mut self, soft: u64, hard: u64) -> Self {
        self.descriptors = Some((soft, hard));
        self
    }

    /// Where its pages shall be, in place of a port of its own choice on loopback.
    #[must_use]
    pub fn admin_at(mut self, address: &str) -> Self {
        address.clone_into(&mut self.admin);
        self
    }

    /// Where it shall listen, in place of a port of its own choice.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// A file beside the configuration; gives its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).expect("the directory is ours");
        path.display().to_string()
    }

    /// Starts it, and waits until it has got to know its servers: what they are sent from then on is a client's.
    pub async fn start(self) -> Running {
        let gateway = self.start_early().await;
        gateway.ready().await;
        gateway
    }

    /// Starts it, and waits only until it listens: for servers that are slow to be known.
    pub async fn start_early(self) -> Running {
        self.launch().listening().await
    }

    /// Starts one that is expected to give up, and waits until it has; gives its end and what it said.
    pub async fn fail(self) -> (Exit, String) {
        let gateway = self.launch();
        let exit = gateway.program.ended().await;
        (
            exit,
            format!(
                "{}\n{}",
                gateway.program.stdout().join("\n"),
                gateway.program.stderr()
            ),
        )
    }

    /// What stands in the file.
    pub fn document(&self) -> String {
        let mut text = format!(
            "listen: {}\nadmin: {}\nstate: {}\n",
            self.listen,
            self.admin,
            self.state().display()
        );
        text.push_str("upstreams:");
        text.push_str(if self.upstreams.is_empty() { " {}\n" } else { "\n" });
        for (name, yaml) in &self.upstreams {
            text.push_str(&format!("  {name}: {yaml}\n"));
        }
        text + &self.sections
    }

    fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    fn launch(self) -> Running {
        let file = self.home.path().join("gateway.yaml");
        std::fs::write(&file, self.document()).expect("the directory is ours");
        Running::launch(self.home, self.environment, self.descriptors)
    }
}

/// A gateway that runs.
pub struct Running {
    program: Program,
    listen: String,
    carrier: Option<Carrier>,
    admin: String,
    state: PathBuf,
    environment: Vec<(String, String)>,
    descriptors: Option<(u64, u64)>,
    // Dropped after the process and its children, which write into it.
    pipes: Pipes,
    home: TempDir,
}

impl Running {
    fn launch(home: TempDir, environment: Vec<(String, String)>, descriptors: Option<(u64, u64)>) -> Self {
        let mut command = match descriptors {
            None => Command::new(causeway()),
            Some((soft, hard)) => {
                let limits = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &limits]).arg(causeway());
                shell
            }
        };
        command
            .arg("run")
            .arg(home.path().join("gateway.yaml"))
            .current_dir(home.path())
            .envs(environment.iter().cloned());
        Self {
            program: Program::start("causeway", command),
            listen: String::new(),
            carrier: None,
            admin: String::new(),
            state: home.path().join("state"),
            environment,
            descriptors,
            pipes: Pipes::of(home.path()),
            home,
        }
    }

    /// Waits until it listens, and learns where.
    async fn listening(mut self) -> Self {
        let address = |name: &'static str| {
            move |line: &str| {
                Some(
                    line.strip_prefix(name)?
                        .strip_prefix(" on http")?
                        .trim_start_matches('s')
                        .strip_prefix("://")?
                        .trim()
                        .to_owned(),
                )
            }
        };
        self.listen = self
            .program
            .line("`listening on http://…`", address("listening"))
            .await;
        self.admin = self.program.line("`admin on http://…`", address("admin")).await;
        if std::env::var_os("CAUSEWAY_TESTS_BY").is_some_and(|by| by == "h2") {
            self.carrier = Some(Carrier::by_h2(&self.listen, None).await);
        }
        self
    }

    /// Stops it and starts it anew, with the same file and the same state. It may listen elsewhere then.
    pub async fn restart(self) -> Self {
        self.stop().await;
        let Self {
            home,
            environment,
            descriptors,
            ..
        } = self;
        let gateway = Self::launch(home, environment, descriptors).listening().await;
        gateway.ready().await;
        gateway
    }

    /// Where a path of it is.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.listen
    }

    /// Somebody in front of it. With `CAUSEWAY_TESTS_BY=h2` in the environment they speak HTTP/2, so that every
    /// chapter can be read once more by it; tests of HTTP/1.1 itself then fail.
    pub fn client(&self, path: &str) -> Client {
        match &self.carrier {
            Some(carrier) => Client::new(carrier.address(), path),
            None => Client::new(&self.listen, path),
        }
    }

    /// Its operator, in front of the admin listener.
    pub async fn admin(&self, path: &str) -> Answer {
        Client::new(&self.admin, path).fetch("GET").await
    }

    /// Waits until its metrics have this line, or one that begins so.
    pub async fn counted(&self, line: &str) {
        within(format!("`{line}` in the metrics"), async {
            while !self.admin("/metrics").await.text().contains(&format!("\n{line}")) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Where its operator looks.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// The process.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Waits until it says that all upstreams have been asked.
    pub async fn ready(&self) {
        self.program
            .line("`ready`", |line| (line == "ready").then_some(()))
            .await;
    }

    /// The directory of its file.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// What stands in its file now.
    pub fn document(&self) -> String {
        std::fs::read_to_string(self.home().join("gateway.yaml")).expect("the directory is ours")
    }

    /// Another content for its file, or for one beside it, put in its place as editors do.
    pub fn replace(&self, name: &str, content: &str) {
        let next = self.home().join(".next");
        std::fs::write(&next, content)
            .and_then(|()| std::fs::rename(&next, self.home().join(name)))
            .expect("the directory is ours");
    }

    /// Tells it to read its file now, and not only when it looks.
    pub fn hang_up(&self) {
        self.program.signal(Signal::HUP);
    }

    /// Waits until it says that it has loaded its file again, in a line with these words.
    pub async fn reloaded(&self, words: &str) {
        let says = |line: &str| (line.starts_with("reloaded ") && line.contains(words)).then_some(());
        self.program.line(&format!("`reloaded … {words}`"), says).await;
    }

    /// Waits until it says these words on the way of refusing its file.
    pub async fn refused(&self, words: &str) {
        let says = |line: &str| line.contains(words).then_some(());
        self.program.complaint(&format!("`{words}`"), says).await;
        let says = |line: &str| line.contains("was not reloaded").then_some(());
        self.program.complaint("`was not reloaded`", says).await;
    }

    /// What `causeway check` says to its file: its end, and its words.
    pub async fn check(&self) -> (Exit, String) {
        check_in(self.home()).await
    }

    /// How many messages were judged on the pipes of official servers that have ended, by side and revision; and what was
    /// wrong on all pipes so far.
    pub fn heard_on_pipes(&self) -> (BTreeMap<(Side, String), usize>, BTreeSet<Wrong>) {
        self.pipes.heard()
    }

    /// Its state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// All records so far.
    pub fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.state.join("calls.jsonl")).unwrap_or_default();
        // The last line may still be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// Waits until there is a record that is what the test waits for.
    pub async fn record(&self, fact: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(format!("a record of {fact}"), || {
            self.records().into_iter().find(|record| is(record))
        })
        .await
    }

    /// Asks it to stop, and waits until it has; nothing of it may be left.
    pub async fn stop(&self) -> Exit {
        self.end(Signal::TERM).await
    }

    /// Kills it, and waits until nothing of it is left.
    pub async fn kill(&self) -> Exit {
        self.end(Signal::KILL).await
    }

    async fn end(&self, signal: Signal) -> Exit {
        let below = self.program.descendants();
        self.program.signal(signal);
        let exit = self.program.ended().await;
        until(format!("the end of {below:?}"), || {
            below.keys().all(|pid| !crate::is_alive(*pid)).then_some(())
        })
        .await;
        exit
    }
}

/// What `causeway check` says to a file: its end, and its words.
pub async fn check(document: &str) -> (Exit, String) {
    let home = TempDir::new().expect("a temporary directory can be made");
    std::fs::write(home.path().join("gateway.yaml"), document).expect("the directory is ours");
    check_in(home.path()).await
}

async fn check_in(home: &Path) -> (Exit, String) {
    let mut command = Command::new(causeway());
    command
        .arg("check")
        .arg(home.join("gateway.yaml"))
        .current_dir(home);
    let program = Program::start("causeway check", command);
    let exit = program.ended().await;
    (
        exit,
        format!("{}\n{}", program.stdout().join("\n"), program.stderr()),
    )
}

/// The upstream that is a misbehaving child: `misbehave` with these arguments.
pub fn misbehave(arguments: &[&str]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|argument| format!("{argument:?}")).collect();
    format!(
        "{{ command: \"{}\", args: [{}] }}",
        beside("misbehave").display(),
        arguments.join(", ")
    )
}

/// The binary under test.
pub fn causeway() -> PathBuf {
    std::env::var_os("CAUSEWAY_BIN").map_or_else(|| beside("causeway"), PathBuf::from)
}

/// A binary of the same build: the tests run from `target/<profile>/deps`.
pub(crate) fn beside(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("a test knows where it is");
    let path = here
        .ancestors()
        .nth(2)
        .expect("tests run from target/<profile>/deps")
        .join(name);
    assert!(
        path.exists(),
        "{} is not there: run `make test`, which builds it",
        path.display()
    );
    path
}
