//! What translation costs: calls of clients of each era to servers of each, through one gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use causeway_bench::{Outcome, Program};
use serde::Serialize;

use crate::door::Door;
use crate::load::{self, Tally};
use crate::session::Era;
use crate::{Arguments, heavy, nginx, profile, startup, upstream};

/// How many times the CPU of an untranslated call of the same client a translated one may cost.
const BOUND: f64 = 1.4;

/// Who calls whom.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    /// As the tables call it.
    pub(crate) name: &'static str,
    pub(crate) client: Era,
    pub(crate) server: Era,
}

/// Each translated way behind the untranslated one that it is compared with.
pub(crate) const WAYS: [Way; 4] = [
    way("2025-11-25 → 2025-11-25", Era::Legacy, Era::Legacy),
    way("2025-11-25 → 2026-07-28", Era::Legacy, Era::Modern),
    way("2026-07-28 → 2026-07-28", Era::Modern, Era::Modern),
    way("2026-07-28 → 2025-11-25", Era::Modern, Era::Legacy),
];

const fn way(name: &'static str, client: Era, server: Era) -> Way {
    Way { name, client, server }
}

#[derive(Serialize)]
struct Report {
    calls: Vec<Row>,
    large: Vec<heavy::Row>,
}

#[derive(Serialize)]
struct Row {
    sessions: usize,
    way: &'static str,
    cpu_us_per_call: f64,
    cpu_to_nginx: f64,
    /// None for what is not translated.
    cpu_to_untranslated: Option<f64>,
    calls_per_second: f64,
    p50_us: f64,
}

/// Measures and prints all of it.
pub(crate) async fn measure(arguments: &Arguments) -> Outcome<()> {
    let scratch = tempfile::tempdir()?;
    let server = upstream::start()?;
    let executable = startup::executable(arguments.gateway.as_deref())?;
    let cores = std::thread::available_parallelism()?.get();
    let setup = nginx::Setup {
        workers: cores,
        logging: false,
        connections: nginx::FOR_CALLS,
    };
    let mut doors = vec![Door::nginx("nginx", scratch.path(), server.address, setup)?];
    let (address, gateway) = start(&executable, &scratch.path().join("causeway"), server.address)?;
    let gateway = Arc::new(gateway);
    doors.extend(WAYS.map(|way| way.door(address, &gateway)));

    let mut calls = Vec::new();
    for &sessions in &arguments.sessions {
        let tallies = load::turn_by_turn(&doors, sessions, arguments.calls, arguments.rounds).await?;
        calls.extend(rows(sessions, tallies));
    }
    let large = heavy::measure(&executable, &scratch.path().join("heavy"), server.address).await?;
    Report { calls, large }.print(arguments.json)?;

    if arguments.profile {
        for door in &doors[1..] {
            println!("\n{}", door.name);
            profile::show(door, scratch.path(), &arguments.sessions).await?;
        }
    }
    Ok(())
}

/// A gateway in front of a server of each era.
pub(crate) fn start(
    executable: &Path,
    directory: &Path,
    upstream: SocketAddr,
) -> Outcome<(SocketAddr, Program)> {
    let url = |path| format!("http://{upstream}{path}");
    let servers = [
        (startup::UPSTREAM, url(upstream::PATH)),
        ("modern", url(upstream::MODERN)),
    ];
    startup::start(executable, directory, &servers)
}

impl Way {
    /// Its door of a gateway that [`start`] has started.
    pub(crate) fn door(self, address: SocketAddr, gateway: &Arc<Program>) -> Door {
        Door {
            name: self.name,
            address,
            path: match self.server {
                Era::Legacy => startup::PATH,
                Era::Modern => "/mcp/modern",
            },
            era: self.client,
            tool: "echo",
            program: Some(Arc::clone(gateway)),
        }
    }

    /// Whether the two sides speak differently.
    pub(crate) fn is_translated(self) -> bool {
        self.client != self.server
    }
}

/// The first tally is nginx's, the others are of the ways in their order.
fn rows(sessions: usize, tallies: Vec<Tally>) -> Vec<Row> {
    let nginx = tallies[0].cpu_per_call();
    let mut untranslated = nginx;
    let mut rows = Vec::new();
    for (way, tally) in WAYS.into_iter().zip(tallies.into_iter().skip(1)) {
        let cpu = tally.cpu_per_call();
        if !way.is_translated() {
            untranslated = cpu;
        }
        rows.push(Row {
            sessions,
            way: way.name,
            cpu_us_per_call: cpu,
            cpu_to_nginx: cpu / nginx,
            cpu_to_untranslated: way.is_translated().then_some(cpu / untranslated),
            calls_per_second: tally.rate(),
            p50_us: tally.into_quantile(0.5),
        });
    }
    rows
}

impl Report {
    fn print(&self, json: bool) -> Outcome<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!("\n1 KiB tools/call between eras; translated, the bound is {BOUND} × untranslated");
        println!(
            "\n{:>8}  {:<26}{:>10}{:>10}{:>16}{:>10}{:>9}",
            "sessions", "client → server", "CPU µs", "× nginx", "× untranslated", "calls/s", "p50 µs"
        );
        for row in &self.calls {
            let times = row
                .cpu_to_untranslated
                .map_or_else(|| "–".to_owned(), |times| format!("{times:.2}"));
            println!(
                "{:>8}  {:<26}{:>10.1}{:>10.2}{:>16}{:>10.0}{:>9.0}",
                row.sessions,
                row.way,
                row.cpu_us_per_call,
                row.cpu_to_nginx,
                times,
                row.calls_per_second,
                row.p50_us
            );
        }
        heavy::print(&self.large);
        Ok(())
    }
}
