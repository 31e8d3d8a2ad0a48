//! A program we started: what it and its children use, and its end with us.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, ChildStderr, ChildStdout, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;

/// One program, ended when this is dropped.
pub struct Program {
    child: Child,
}

/// CPU used so far by each thread of a program and its children.
pub struct Cpu(BTreeMap<u32, Duration>);

impl Cpu {
    /// A thread that ended in between is left out, which no worker thread does.
    pub fn since(&self, before: &Cpu) -> Duration {
        let used = |(thread, now): (&u32, &Duration)| {
            now.saturating_sub(before.0.get(thread).copied().unwrap_or_default())
        };
        self.0.iter().map(used).sum()
    }
}

impl Program {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Outcome<Self> {
        Ok(Self {
            child: command.spawn()?,
        })
    }

    /// What it prints, once.
    ///
    /// # Errors
    /// When its standard output is not a pipe, or was taken before.
    pub fn stdout(&mut self) -> Outcome<ChildStdout> {
        Ok(self
            .child
            .stdout
            .take()
            .ok_or("its standard output was not asked for, or taken before")?)
    }

    /// What it complains of, once.
    ///
    /// # Errors
    /// When its standard error is not a pipe, or was taken before.
    pub fn stderr(&mut self) -> Outcome<ChildStderr> {
        Ok(self
            .child
            .stderr
            .take()
            .ok_or("its standard error was not asked for, or taken before")?)
    }

    /// The number the system knows it by.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without asking, and waits for its end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// User and system time together. The kernel's `schedstat` is the clock behind `utime` and `stime` of `stat`,
    /// in nanoseconds rather than in ticks of ten milliseconds.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn cpu(&self) -> Outcome<Cpu> {
        let mut threads = BTreeMap::new();
        for process in self.family()? {
            let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else {
                continue;
            };
            for task in tasks.flatten() {
                let Ok(times) = fs::read_to_string(task.path().join("schedstat")) else {
                    continue;
                };
                let nanoseconds = times.split_ascii_whitespace().next().unwrap_or("0").parse()?;
                let thread = task.file_name().to_string_lossy().parse()?;
                threads.insert(thread, Duration::from_nanos(nanoseconds));
            }
        }
        if threads.is_empty() {
            return Err("this kernel tells no CPU times in /proc/PID/task/*/schedstat".into());
        }
        Ok(Cpu(threads))
    }

    /// Resident memory in KiB, pages shared with other processes counted in part: summing plain RSS would count what
    /// workers share once for each of them.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn memory(&self) -> Outcome<u64> {
        let mut total = 0;
        for process in self.family()? {
            let Ok(text) = fs::read_to_string(format!("/proc/{process}/smaps_rollup")) else {
                continue;
            };
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("Pss:"))
                .unwrap_or("0");
            total += line.trim().trim_end_matches(" kB").parse::<u64>()?;
        }
        Ok(total)
    }

    /// The most resident memory that it had, its children left out, since [`Program::forget_peak`], in KiB.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn peak(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let line = line.ok_or("this kernel tells no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// From here on the peak is that of what comes.
    ///
    /// # Errors
    /// When the kernel does not forget it.
    pub fn forget_peak(&self) -> Outcome<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?)
    }

    /// The process and all that descend from it.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn family(&self) -> Outcome<Vec<u32>> {
        let mut parents = BTreeMap::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Ok(process) = entry.file_name().to_string_lossy().parse::<u32>() else {
                continue;
            };
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
                continue;
            };
            // The name in parentheses may hold anything; the parent is the second word behind it.
            let parent = stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u32>().ok());
            parents.insert(process, parent.unwrap_or_default());
        }
        let mut family = vec![self.child.id()];
        let mut next = 0;
        while let Some(&parent) = family.get(next) {
            family.extend(
                parents
                    .iter()
                    .filter(|&(_, of)| *of == parent)
                    .map(|(&process, _)| process),
            );
            next += 1;
        }
        Ok(family)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Asked first: nginx killed at once would leave its workers behind.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(5) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
