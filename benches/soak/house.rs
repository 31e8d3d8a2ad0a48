//! The gateway under test and the servers behind it, each a process of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use causeway_bench::{Outcome, Program};
use rustix::process::{Pid, Signal, kill_process};

/// What a killed gateway leaves must have ended after this long.
const ENDED_WITHIN: Duration = Duration::from_secs(15);

/// How a client reaches the server over Streamable HTTP, over HTTP+SSE, and the one that is started.
pub(crate) const HTTP: &str = "/mcp/http";
pub(crate) const SSE: &str = "/mcp/old";
pub(crate) const CHILD: &str = "/mcp/child";

/// A session's child that nobody speaks to ends after this long.
pub(crate) const IDLE: Duration = Duration::from_secs(20);

pub(crate) struct House {
    pub(crate) gateway: Program,
    pub(crate) clients: SocketAddr,
    pub(crate) admin: SocketAddr,
    file: PathBuf,
    /// Held for its end.
    _server: Program,
}

impl House {
    pub(crate) fn start(executable: &Path, scratch: &Path) -> Outcome<Self> {
        let mut command = Command::new(executable);
        command.args(["demo", "--listen", "127.0.0.1:0"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut server = Program::start(command)?;
        let [url] = urls(server.stderr()?, ["listening on "])?;
        let file = scratch.join("gateway.yaml");
        fs::write(&file, configuration(&scratch.join("state"), &url))?;

        let mut command = Command::new(executable);
        command.arg("run").arg(&file).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(File::create(scratch.join("gateway.log"))?);
        let mut gateway = Program::start(command)?;
        let [clients, admin] = urls(gateway.stdout()?, ["listening on ", "admin on "])?;
        Ok(Self {
            gateway,
            clients: address(&clients)?,
            admin: address(&admin)?,
            file,
            _server: server,
        })
    }

    /// Has the gateway read its file again, changed by a comment. False when it would rather end.
    pub(crate) fn reload(&self, number: usize) -> Outcome<bool> {
        let process = self.gateway.id();
        if !catches_hangup(process)? {
            return Ok(false);
        }
        let text = fs::read_to_string(&self.file)?;
        let text = text.trim_start_matches(|letter| letter != '\n');
        fs::write(&self.file, format!("# reading {number}{text}"))?;
        if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
            kill_process(process, Signal::HUP)?;
        }
        Ok(true)
    }

    /// Kills the gateway with its hands full, and tells what of it lives on.
    pub(crate) async fn kill(&mut self) -> Outcome<Vec<String>> {
        let mut session = crate::deed::Session::open(self.clients, CHILD).await?;
        session.begin("slow", r#"{"steps":100,"delay_ms":60000}"#).await?;
        let family = self.gateway.family()?;
        if family.len() < 3 {
            return Err("the gateway has neither a guard nor a child to leave behind".into());
        }
        let born: Vec<_> = family
            .into_iter()
            .filter_map(|process| Some((process, birth(process)?)))
            .collect();
        self.gateway.kill()?;
        let killed = Instant::now();
        loop {
            let alive: Vec<String> = born
                .iter()
                .filter(|(process, born)| birth(*process) == Some(*born))
                .map(|(process, _)| format!("process {process} outlived the gateway"))
                .collect();
            if alive.is_empty() || killed.elapsed() > ENDED_WITHIN {
                return Ok(alive);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn configuration(state: &Path, url: &str) -> String {
    format!(
        "# reading 0
listen: 127.0.0.1:0
admin: 127.0.0.1:0
state: {}
upstreams:
  http:
    url: {url}
  old:
    url: {}
    transport: sse
    idle: {}s
  child:
    command: causeway
    args: [demo]
    idle: {}s
",
        state.display(),
        url.replace("/mcp", "/sse"),
        IDLE.as_secs(),
        IDLE.as_secs()
    )
}

/// What a program says behind each of these words; it is read to its end, so that it never waits for a reader.
fn urls<const N: usize>(output: impl Read + Send + 'static, words: [&str; N]) -> Outcome<[String; N]> {
    let mut lines = BufReader::new(output);
    let mut found = [const { String::new() }; N];
    let mut line = String::new();
    while found.iter().any(String::is_empty) {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Err("a program ended before it listened".into());
        }
        for (word, found) in words.iter().zip(&mut found) {
            if let Some(url) = line.trim().strip_prefix(word) {
                *found = url.to_owned();
            }
        }
    }
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    Ok(found)
}

fn address(url: &str) -> Outcome<SocketAddr> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    Ok(address.parse()?)
}

/// When a process was started, in ticks since the machine was; none when there is none, or only its remains.
fn birth(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut words = stat.rsplit_once(") ")?.1.split(' ');
    let state = words.next()?;
    let born = words.nth(18)?.parse().ok()?;
    (state != "Z").then_some(born)
}

/// Whether SIGHUP has a handler there; without one it would end the process.
fn catches_hangup(process: u32) -> Outcome<bool> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .ok_or("this kernel tells no caught signals")?;
    Ok(u64::from_str_radix(caught.trim(), 16)? & 1 == 1)
}
