//! The gateway as a newcomer starts it, and how long until it answers.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use causeway_bench::{Outcome, Program};

use crate::session::{Era, Session};
use crate::upstream;

pub(crate) const NAME: &str = "causeway";
pub(crate) const UPSTREAM: &str = "bench";
pub(crate) const PATH: &str = "/mcp/bench";

/// How often the start is measured.
const STARTS: usize = 7;

/// The gateway asked for, or the one that was built beside this program.
pub(crate) fn executable(asked: Option<&Path>) -> Outcome<PathBuf> {
    let path = match asked {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name(NAME),
    };
    if path.exists() {
        Ok(path)
    } else {
        Err(format!(
            "no gateway at {}: build it, or measure `--without-gateway`",
            path.display()
        )
        .into())
    }
}

/// From the start of the process to the first `initialize` answered and acknowledged, several times, each from nothing.
pub(crate) async fn first_answers(
    executable: &Path,
    scratch: &Path,
    upstream: SocketAddr,
) -> Outcome<Vec<Duration>> {
    let mut answers = Vec::new();
    for start_number in 0..STARTS {
        let begun = Instant::now();
        let (address, _program) = start(
            executable,
            &scratch.join(format!("start-{start_number}")),
            &[(UPSTREAM, format!("http://{upstream}{}", upstream::PATH))],
        )?;
        Session::open(Era::Legacy, 0, address, PATH, "echo").await?;
        answers.push(begun.elapsed());
    }
    answers.sort();
    Ok(answers)
}

/// Starts the gateway in front of servers, each with its name and URL, with two injected headers for each, and returns as
/// soon as it listens.
pub(crate) fn start(
    executable: &Path,
    directory: &Path,
    upstreams: &[(&str, String)],
) -> Outcome<(SocketAddr, Program)> {
    fs::create_dir_all(directory)?;
    let file = directory.join("gateway.yaml");
    let state = directory.join("state");
    let mut settings = format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nstate: {}\nupstreams:\n",
        state.display()
    );
    for (name, url) in upstreams {
        settings.push_str(&format!(
            "  {name}:
    url: {url}
    headers:
      Authorization: Bearer injected
      X-Agent: ${{header:user-agent:-unnamed}}
"
        ));
    }
    fs::write(&file, settings)?;
    let log = directory.join("stderr.log");
    let mut command = Command::new(executable);
    command.arg("run").arg(&file);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log)?);
    let mut program = Program::start(command)?;
    let mut lines = BufReader::new(program.stdout()?);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if let Some(url) = line.trim().strip_prefix("listening on http://") {
            let address = url.trim_end_matches('/').parse()?;
            // Whatever else it prints is read to its end, so that it never waits for a reader.
            std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
            return Ok((address, program));
        }
        line.clear();
    }
    let told = fs::read_to_string(&log).unwrap_or_default();
    Err(format!("the gateway ended before it listened: {told}").into())
}
