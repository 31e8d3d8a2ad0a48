//! What ends our children when we can no longer: a second process of this executable.
//!
//! It is told of every process group over a pipe. The pipe ends when the gateway does, however it
//! does, SIGKILL included; then every group still known gets TERM and, two seconds later, KILL.
//! Parent-death signals would need `unsafe`, follow a thread instead of a process, and miss the
//! grandchildren of `npx` and its like (`docs/decisions/0004-the-guard-that-ends-children.md`).

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// How long a group may take to end after TERM.
const PATIENCE: Duration = Duration::from_secs(2);

/// The gateway's side: tells the guard what to watch.
pub struct Guard {
    executable: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    process: Option<Child>,
    groups: BTreeSet<i32>,
}

impl Guard {
    /// A guard that starts `executable guard` once there is something to watch.
    pub fn new(executable: PathBuf) -> Self {
        Self {
            executable,
            state: Mutex::new(State::default()),
        }
    }

    /// From now on this process group does not outlive us.
    ///
    /// # Errors
    /// When the guard process cannot be started: then the child must not run either.
    pub fn watch(&self, group: Pid) -> std::io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let number = group.as_raw_nonzero().get();
        state.groups.insert(number);
        let told = self.tell_of(&mut state, number);
        if told.is_err() {
            // The child is ended in this case. Its number may soon be somebody else's, whom a later
            // guard must not be told of.
            state.groups.remove(&number);
        }
        told
    }

    /// This group has ended; its number may soon be somebody else's.
    pub fn forget(&self, group: Pid) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if state.groups.remove(&group.as_raw_nonzero().get()) {
            let _ = state.tell(&format!("-{}\n", group.as_raw_nonzero()));
        }
    }

    /// Ends the guard process itself, and what it still watches.
    pub fn stop(&self) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(mut process) = state.process.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }

    fn tell_of(&self, state: &mut State, group: i32) -> std::io::Result<()> {
        if state.process.is_some() && state.tell(&format!("+{group}\n")).is_ok() {
            return Ok(());
        }
        // Not started yet, or somebody killed it: a new one learns of all groups.
        let process = Command::new(&self.executable)
            .arg("guard")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        if let Some(mut old) = state.process.replace(process) {
            let _ = old.wait();
        }
        let all: String = state.groups.iter().map(|group| format!("+{group}\n")).collect();
        state.tell(&all)
    }
}

impl State {
    fn tell(&mut self, lines: &str) -> std::io::Result<()> {
        let pipe = self.process.as_mut().and_then(|process| process.stdin.as_mut());
        pipe.ok_or(std::io::ErrorKind::BrokenPipe)?
            .write_all(lines.as_bytes())
    }
}

/// The guard process: reads groups from `orders` until it ends, then ends the groups.
pub fn keep(orders: impl BufRead) {
    let mut groups = std::collections::HashSet::new();
    for line in orders.lines() {
        let Ok(line) = line else { break };
        let group = |number: &str| number.parse().ok().and_then(Pid::from_raw);
        if let Some(added) = line.strip_prefix('+').and_then(group) {
            groups.insert(added);
        } else if let Some(ended) = line.strip_prefix('-').and_then(group) {
            groups.remove(&ended);
        }
    }
    for group in &groups {
        let _ = kill_process_group(*group, Signal::TERM);
    }
    let asked = std::time::Instant::now();
    while asked.elapsed() < PATIENCE && groups.iter().any(|group| lives(*group)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    for group in groups {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Whether anything of a group still runs. What has ended and waits for its parent to notice does
/// not; where the system does not tell, it is taken for running.
fn lives(group: Pid) -> bool {
    if test_kill_process_group(group).is_err() {
        return false;
    }
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return true;
    };
    let group = group.as_raw_nonzero().to_string();
    processes.flatten().any(|process| {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // `pid (name) state parent group …`, and a name may hold anything.
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        fields.next().is_some_and(|state| state != "Z") && fields.nth(1) == Some(&group)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_could_not_be_watched_is_not_remembered() {
        let guard = Guard::new("/nonexistent/causeway".into());

        let outcome = guard.watch(Pid::from_raw(4_000_000).unwrap());

        assert!(outcome.is_err());
        assert!(guard.state.lock().unwrap().groups.is_empty());
    }
}
