//! A started program: the lines it prints, its end, and the processes it leaves behind.
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use crate::{DEADLINE, within};

/// A program that runs until it ends or this value is dropped, which kills it and then looks for its descendants.
pub struct Program {
    name: String,
    pid: u32,
    stdout: watch::Receiver<Lines>,
    stderr: watch::Receiver<Lines>,
    exit: watch::Receiver<Option<Exit>>,
}

/// What a program has printed so far.
#[derive(Clone, Debug, Default)]
struct Lines {
    so_far: Vec<String>,
    ended: bool,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => unreachable!("a program ends with a code or by a signal"),
        }
    }
}

impl Program {
    /// Starts a program. `name` is for messages.
    pub fn start(name: &str, mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        Self {
            name: name.to_owned(),
            pid: child.id(),
            stdout: lines_of(stdout),
            stderr: lines_of(stderr),
            exit: exit_of(child),
        }
    }

    /// The first line on stdout that says what is looked for, from the very first on.
    pub async fn line<T>(&self, fact: &str, says: impl Fn(&str) -> Option<T>) -> T {
        self.line_in(self.stdout.clone(), fact, says).await
    }

    /// The same for stderr.
    pub async fn complaint<T>(&self, fact: &str, says: impl Fn(&str) -> Option<T>) -> T {
        self.line_in(self.stderr.clone(), fact, says).await
    }

    async fn line_in<T>(
        &self,
        mut lines: watch::Receiver<Lines>,
        fact: &str,
        says: impl Fn(&str) -> Option<T>,
    ) -> T {
        let told = |lines: &Lines| lines.so_far.iter().find_map(|line| says(line));
        let seen = within(format!("{} to say {fact}", self.name), async {
            let lines = lines.wait_for(|lines| told(lines).is_some() || lines.ended).await;
            lines.ok().and_then(|lines| told(&lines))
        });
        match seen.await {
            Some(seen) => seen,
            None => panic!("{} ended without saying {fact}", self.name),
        }
    }

    /// All lines on stdout so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.borrow().so_far.clone()
    }

    /// All of stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.borrow().so_far.join("\n")
    }

    /// Waits for the end, and for the last of what was printed.
    pub async fn ended(&self) -> Exit {
        self.ended_within(DEADLINE).await
    }

    /// The same for a program that has more to do than others.
    pub async fn ended_within(&self, limit: Duration) -> Exit {
        let mut exit = self.exit.clone();
        let exit = tokio::time::timeout(limit, async move {
            exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit)
        });
        let exit = exit
            .await
            .unwrap_or_else(|_| panic!("waited {limit:?} for {} to end", self.name));
        let exit = exit.expect("the thread that waits for the end tells it");
        for mut lines in [self.stdout.clone(), self.stderr.clone()] {
            within("its last line", async move {
                lines.wait_for(|lines| lines.ended).await.map(|_| ())
            })
            .await
            .ok();
        }
        exit
    }

    /// Whether it has ended by now.
    pub fn has_ended(&self) -> bool {
        self.exit.borrow().is_some()
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        if !self.has_ended() {
            let pid =
                Pid::from_raw(i32::try_from(self.pid).expect("a process id fits")).expect("it is not 0");
            // It may end between the look and the signal, which is what was wanted.
            let _ = kill_process(pid, signal);
        }
    }

    /// Bytes of its memory that are there.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.expect("a running process has memory") * 1024
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The processes below this one, by id, with what they are.
    pub fn descendants(&self) -> BTreeMap<u32, String> {
        descendants(self.pid)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let below = self.descendants();
        self.signal(Signal::KILL);
        let limit = Instant::now() + DEADLINE;
        let left = loop {
            let left: Vec<_> = below.iter().filter(|(pid, _)| is_alive(**pid)).collect();
            if (left.is_empty() && self.has_ended()) || Instant::now() > limit {
                break left;
            }
            thread::sleep(Duration::from_millis(5));
        };
        if thread::panicking() {
            eprintln!("--- stdout of {}\n{}", self.name, self.stdout().join("\n"));
            eprintln!("--- stderr of {}\n{}\n---", self.name, self.stderr());
        } else {
            assert!(left.is_empty(), "{} left processes behind: {left:?}", self.name);
        }
    }
}

/// Whether a process runs. One that has ended and that nobody has asked about (a zombie) does not.
pub fn is_alive(pid: u32) -> bool {
    processes()
        .get(&pid)
        .is_some_and(|process| process.state != 'Z' && process.state != 'X')
}

struct Process {
    parent: u32,
    state: char,
    name: String,
}

fn descendants(of: u32) -> BTreeMap<u32, String> {
    let all = processes();
    let mut found = BTreeMap::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        for (pid, process) in all
            .iter()
            .filter(|(_, process)| process.parent == parent && process.state != 'Z')
        {
            found.insert(*pid, process.name.clone());
            parents.push(*pid);
        }
    }
    found
}

/// The process table, read from `/proc` where there is one and from `ps` elsewhere.
fn processes() -> BTreeMap<u32, Process> {
    if !Path::new("/proc/self/stat").exists() {
        let output = Command::new("ps")
            .args(["-axo", "pid=,ppid=,stat=,comm="])
            .output()
            .expect("ps runs");
        return String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(process_by_ps)
            .collect();
    }
    let entries = std::fs::read_dir("/proc").expect("/proc can be read");
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        Some((
            pid,
            process_by_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?,
        ))
    })
    .collect()
}

fn process_by_stat(stat: &str) -> Option<Process> {
    // The name stands in parentheses and may contain some itself.
    let (before, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Process {
        parent,
        state,
        name: before.split_once('(')?.1.to_owned(),
    })
}

fn process_by_ps(line: &str) -> Option<(u32, Process)> {
    let mut fields = line.split_whitespace();
    let pid = fields.next()?.parse().ok()?;
    let parent = fields.next()?.parse().ok()?;
    let state = fields.next()?.chars().next()?;
    Some((
        pid,
        Process {
            parent,
            state,
            name: fields.collect(),
        },
    ))
}

fn lines_of(from: impl Read + Send + 'static) -> watch::Receiver<Lines> {
    let (told, lines) = watch::channel(Lines::default());
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            told.send_modify(|lines| lines.so_far.push(text));
            line.clear();
        }
        told.send_modify(|lines| lines.ended = true);
    });
    lines
}

pub(crate) fn exit_of(mut child: Child) -> watch::Receiver<Option<Exit>> {
    let (told, exit) = watch::channel(None);
    thread::spawn(move || {
        let status = child.wait().expect("a child can be waited for");
        told.send_replace(Some(status.into()));
    });
    exit
}
