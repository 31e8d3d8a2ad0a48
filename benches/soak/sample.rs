//! What the gateway is at one moment: memory, descriptors, threads, processes, and what it says of itself.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use causeway_bench::Outcome;

use crate::house::House;

const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// What must be as it was when everything is let go of, by its name in `/metrics`; all its labels together.
const GAUGES: [&str; 5] = [
    "causeway_running_requests",
    "causeway_open_streams",
    "causeway_held_streams",
    "causeway_detached_calls",
    "causeway_upstream_children",
];

#[derive(Clone)]
pub(crate) struct Sample {
    /// Resident memory of the gateway's own process, in KiB.
    pub(crate) memory: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// Those it has started, and theirs.
    pub(crate) processes: u64,
    gauges: [u64; GAUGES.len()],
}

impl Sample {
    pub(crate) fn take(house: &House) -> Outcome<Self> {
        let process = house.gateway.id();
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = |name: &str| -> Outcome<u64> {
            let words = status.lines().find_map(|line| line.strip_prefix(name));
            let number = words.and_then(|words| words.split_whitespace().next());
            Ok(number
                .ok_or_else(|| format!("this kernel tells no `{name}`"))?
                .parse()?)
        };
        let text = metrics(house.admin)?;
        Ok(Self {
            memory: line("VmRSS:")?,
            descriptors: fs::read_dir(format!("/proc/{process}/fd"))?.count() as u64,
            threads: line("Threads:")?,
            processes: house.gateway.family()?.len() as u64 - 1,
            gauges: GAUGES.map(|name| sum(&text, name)),
        })
    }

    /// What must be as it was, with a name for each.
    pub(crate) fn countables(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let own = [
            ("descriptors", self.descriptors),
            ("threads", self.threads),
            ("processes", self.processes),
        ];
        own.into_iter().chain(GAUGES.into_iter().zip(self.gauges))
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} KiB", self.memory)?;
        for (name, count) in self.countables() {
            write!(
                out,
                ", {count} {}",
                name.trim_start_matches("causeway_").replace('_', " ")
            )?;
        }
        Ok(())
    }
}

/// All lines of a metric together.
fn sum(text: &str, name: &str) -> u64 {
    text.lines()
        .filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as u64
}

fn metrics(admin: SocketAddr) -> Outcome<String> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
