//! One child process: started without a shell, in a group of its own, and ended with its whole group.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use config::Secret;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

use super::descriptors;
use super::guard::Guard;

/// What a child sees of our environment unless the file says more: where things are and in which
/// language to speak, and nothing that could hold a credential.
const INHERITED: [&str; 16] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LOGNAME",
    "NODE_EXTRA_CA_CERTS",
    "PATH",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
];

/// After its input is closed a child may tidy up this long, and as long again after TERM.
const PATIENCE: Duration = Duration::from_secs(2);

/// Nobody tells us when a grandchild ends; we look this often.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Lines of a child's error output that reach our log, each second.
const STDERR_LINES_A_SECOND: u32 = 50;

/// Bytes of such a line that reach our log.
const STDERR_LINE: usize = 1024;

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The executable, or its name to be found on the `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables beside the inherited ones.
    pub environment: Vec<(String, Secret)>,
    /// Where it runs; the gateway's own directory if not said.
    pub directory: Option<PathBuf>,
}

/// A running child.
pub(super) struct Process {
    child: Child,
    group: Pid,
    guard: Arc<Guard>,
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    patience: Duration,
}

impl Command {
    /// Starts it, in a process group of its own that `guard` knows of.
    ///
    /// # Errors
    /// When there is no such program, or it may not be run.
    pub(super) fn start(&self, guard: &Arc<Guard>) -> std::io::Result<Process> {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .process_group(0)
            .kill_on_drop(true);
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        for (name, value) in &self.environment {
            command.env(name, value.expose());
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let piped = std::process::Stdio::piped;
        let mut child = command.stdin(piped()).stdout(piped()).stderr(piped()).spawn()?;
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .ok_or_else(|| std::io::Error::other("it ended before it began"))?;
        descriptors::limit(group);
        if let Err(error) = guard.watch(group) {
            let _ = kill_process_group(group, Signal::KILL);
            return Err(error);
        }
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        Ok(Process {
            child,
            group,
            guard: Arc::clone(guard),
            stdin,
            stdout,
            stderr,
            patience: PATIENCE,
        })
    }
}

impl Process {
    /// Reads the child's error output into our log until it ends, so that it never blocks on it.
    pub(super) fn drain_stderr(
        &mut self,
        upstream: &Arc<str>,
        secrets: Vec<Secret>,
    ) -> impl Future<Output = ()> + use<> {
        let stderr = self.stderr.take();
        let upstream = Arc::clone(upstream);
        async move {
            let Some(stderr) = stderr else { return };
            let mut lines = BufReader::with_capacity(4096, stderr);
            let mut line = Vec::new();
            let mut budget = Budget::default();
            loop {
                line.clear();
                match read_line(&mut lines, &mut line).await {
                    Ok(true) if budget.spend() => {
                        let text = presentable(&line, &secrets);
                        tracing::info!(%upstream, "its process says: {text}");
                    }
                    Ok(true) => {}
                    Ok(false) | Err(_) => return,
                }
            }
        }
    }

    /// Ends the child: its input is closed, then its group gets TERM, then KILL.
    pub(super) async fn end(mut self) -> String {
        drop(self.stdin.take());
        let patience = self.patience;
        let stays = tokio::time::timeout(patience, self.child.wait()).await.is_err();
        // Where the child went, something it started may have stayed.
        if stays || self.group_lives() {
            let _ = kill_process_group(self.group, Signal::TERM);
            if tokio::time::timeout(patience, self.group_ended()).await.is_err() {
                let _ = kill_process_group(self.group, Signal::KILL);
            }
        }
        let outcome = describe(self.child.wait().await);
        self.guard.forget(self.group);
        outcome
    }

    /// Waits until the child and all it started have ended.
    async fn group_ended(&mut self) {
        // Reaped first: until then the child itself counts as one of its group.
        let _ = self.child.wait().await;
        while self.group_lives() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn group_lives(&self) -> bool {
        test_kill_process_group(self.group).is_ok()
    }
}

fn describe(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

/// One line, of which at most [`STDERR_LINE`] bytes are kept. False at the end.
async fn read_line(lines: &mut BufReader<ChildStderr>, line: &mut Vec<u8>) -> std::io::Result<bool> {
    loop {
        let available = lines.fill_buf().await?;
        if available.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = &available[..end.unwrap_or(available.len())];
        let room = STDERR_LINE.saturating_sub(line.len());
        line.extend_from_slice(&taken[..taken.len().min(room)]);
        let used = end.map_or(available.len(), |end| end + 1);
        lines.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Text that is safe in a log: control characters escaped, the child's secrets blanked.
fn presentable(line: &[u8], secrets: &[Secret]) -> String {
    let mut text = String::from_utf8_lossy(line).trim_end().to_owned();
    for secret in secrets {
        // Shorter values are words like `true` that would blank half the log.
        if secret.expose().len() >= 8 {
            text = text.replace(secret.expose(), "***");
        }
    }
    text.escape_debug().to_string()
}

/// How many lines may still be logged this second.
struct Budget {
    second: std::time::Instant,
    left: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            second: std::time::Instant::now(),
            left: STDERR_LINES_A_SECOND,
        }
    }
}

impl Budget {
    fn spend(&mut self) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            *self = Self::default();
        }
        let affordable = self.left > 0;
        self.left = self.left.saturating_sub(1);
        affordable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::Lines;

    const SHORT: Duration = Duration::from_millis(100);

    /// Starts a script, and waits until it has written `ready`.
    async fn start(script: &str, patience: Duration) -> (Process, Lines<BufReader<ChildStdout>>) {
        let command = Command {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            directory: None,
        };
        // `grep guard` reads its input to the end, as a guard does.
        let guard = Arc::new(Guard::new("grep".into()));
        let mut process = command.start(&guard).unwrap();
        process.patience = patience;
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("ready"));
        (process, lines)
    }

    async fn end(process: Process) -> String {
        let ended = tokio::time::timeout(Duration::from_secs(10), process.end());
        ended.await.expect("the end of a process is bounded")
    }

    #[tokio::test]
    async fn a_child_ends_when_its_input_does() {
        let (process, _) = start("echo ready; cat", PATIENCE).await;

        assert_eq!(end(process).await, "exit status: 0");
    }

    #[tokio::test]
    async fn a_child_that_ignores_the_end_of_its_input_gets_term() {
        let (process, _) = start("echo ready; exec sleep 60", SHORT).await;

        assert!(end(process).await.starts_with("signal: 15"));
    }

    #[tokio::test]
    async fn a_child_that_ignores_term_is_killed() {
        let script = r#"trap "" TERM; echo ready; cat >/dev/null; while :; do sleep 1; done"#;
        let (process, _) = start(script, SHORT).await;

        assert!(end(process).await.starts_with("signal: 9"));
    }

    #[tokio::test]
    async fn a_grandchild_that_stayed_has_time_to_tidy_up() {
        let script = r#"(trap "echo tidied; exit" TERM; echo ready; while :; do sleep 0.1; done) & exit 0"#;
        let (process, mut lines) = start(script, PATIENCE).await;

        end(process).await;

        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("tidied"));
    }

    #[tokio::test]
    async fn a_grandchild_that_ignores_term_is_killed() {
        let script = r#"(trap "" TERM; echo ready; while :; do sleep 1; done) & exit 0"#;
        let (process, mut lines) = start(script, SHORT).await;

        end(process).await;

        // Its output ends when it does.
        let ended = tokio::time::timeout(Duration::from_secs(10), lines.next_line());
        assert_eq!(ended.await.unwrap().unwrap(), None);
    }
}
