//! Streams held open and silent: what each one weighs, what is left when they have closed, and what calls cost meanwhile.

use std::path::Path;
use std::time::Duration;

use causeway_bench::{Outcome, Program};
use serde::Serialize;

use crate::door::Door;
use crate::load::{self, Tally};
use crate::streams::{self, Kind};
use crate::{Arguments, nginx, startup, upstream};

/// Memory is read when it has not changed by more than a hundredth in this time …
const STEADY_FOR: Duration = Duration::from_secs(4);

/// … or in this time when much was freed, since allocators give it back only some seconds later.
const GIVEN_BACK_FOR: Duration = Duration::from_secs(25);

const STEADY_WITHIN: Duration = Duration::from_secs(75);

/// Sessions of the calls that are made beside held streams.
const CALLERS: usize = 16;

/// Streams opened and closed before anything is measured, and calls made: what a first one brings to life is no
/// stream's own. The gateway after it is the base that closed streams are to lead back to.
const WARMING: usize = 64;

const WARMING_CALLS: usize = 200;

/// Descriptors beside those of streams.
const OTHERS: u64 = 500;

/// Who holds streams, and how.
#[derive(Clone, Copy)]
struct Holder {
    name: &'static str,
    kind: Kind,
    /// The upstream's path: whether it has streams of its own.
    path: &'static str,
    gateway: bool,
    /// KiB that a stream may weigh.
    bound: Option<f64>,
}

const HOLDERS: [Holder; 4] = [
    Holder {
        name: "nginx",
        kind: Kind::Streamable,
        path: upstream::HELD,
        gateway: false,
        bound: None,
    },
    Holder {
        name: "GET, upstream unopened",
        kind: Kind::Streamable,
        path: upstream::PATH,
        gateway: true,
        bound: Some(20.0),
    },
    Holder {
        name: "SSE, upstream unopened",
        kind: Kind::Sse,
        path: upstream::PATH,
        gateway: true,
        bound: Some(20.0),
    },
    Holder {
        name: "GET, one to one",
        kind: Kind::Streamable,
        path: upstream::HELD,
        gateway: true,
        bound: Some(32.0),
    },
];

#[derive(Serialize)]
struct Report {
    streams: Vec<Row>,
    calls: Vec<Calls>,
}

#[derive(Serialize)]
struct Row {
    held: &'static str,
    streams: usize,
    at_rest_kib: u64,
    open_kib: u64,
    closed_kib: u64,
    kib_per_stream: f64,
    bound_kib: Option<f64>,
    closed_to_rest: f64,
}

#[derive(Serialize)]
struct Calls {
    streams: usize,
    cpu_us_without: f64,
    cpu_us_with: f64,
    ratio: f64,
}

/// Measures and prints all of it, where a program may have `room` descriptors.
pub(crate) async fn measure(arguments: &Arguments, room: u64) -> Outcome<()> {
    let scratch = tempfile::tempdir()?;
    let upstream = upstream::start()?;
    let mut report = Report {
        streams: Vec::new(),
        calls: Vec::new(),
    };
    for &streams in &arguments.streams {
        for (number, holder) in HOLDERS.into_iter().enumerate() {
            if holder.gateway && arguments.without_gateway {
                continue;
            }
            let directory = scratch.path().join(format!("held-{streams}-{number}"));
            let door = holder.open(arguments, &directory, upstream.address)?;
            let weighed = holder.weigh(&door, streams.min(holder.most(room))).await;
            report
                .streams
                .push(weighed.map_err(|error| format!("{}: {error}", holder.name))?);
        }
        if !arguments.without_gateway {
            let scratch = scratch.path().join(format!("calls-{streams}"));
            report
                .calls
                .push(calls(arguments, &scratch, upstream.address, streams).await?);
        }
    }
    report.print(arguments.json)
}

impl Holder {
    /// A gateway takes no more from where seven eighths of its descriptors are used, and a stream of the upstream's
    /// own takes two.
    fn most(&self, room: u64) -> usize {
        let each = if self.path == upstream::HELD { 2 } else { 1 };
        let free = (room / 8 * 7).saturating_sub(OTHERS);
        usize::try_from(free / each).unwrap_or(usize::MAX)
    }

    fn open(&self, arguments: &Arguments, scratch: &Path, upstream: std::net::SocketAddr) -> Outcome<Door> {
        let mut door = if self.gateway {
            let executable = startup::executable(arguments.gateway.as_deref())?;
            Door::gateway(&executable, scratch, upstream, self.path)?
        } else {
            let setup = nginx::Setup {
                workers: 1,
                logging: false,
                connections: nginx::FOR_STREAMS,
            };
            Door::nginx(self.name, scratch, upstream, setup)?
        };
        if !self.gateway {
            door.path = self.path;
        }
        Ok(door)
    }

    async fn weigh(&self, door: &Door, count: usize) -> Outcome<Row> {
        let program = door.program.as_ref().ok_or("nobody holds these streams")?;
        load::drive(door, 1, WARMING_CALLS).await?;
        drop(streams::open(door.address, door.path, self.kind, WARMING).await?);
        let at_rest = steady(program, STEADY_FOR).await?;
        let streams = streams::open(door.address, door.path, self.kind, count).await?;
        let open = steady(program, STEADY_FOR).await?;
        let alive = streams::alive(&streams);
        if alive < count {
            return Err(format!("{}: of {count} streams {alive} stayed open", self.name).into());
        }
        drop(streams);
        let closed = steady(program, GIVEN_BACK_FOR).await?;
        Ok(Row {
            held: self.name,
            streams: count,
            at_rest_kib: at_rest,
            open_kib: open,
            closed_kib: closed,
            kib_per_stream: open.saturating_sub(at_rest) as f64 / count as f64,
            bound_kib: self.bound,
            closed_to_rest: closed as f64 / at_rest as f64,
        })
    }
}

/// The CPU of a call at two gateways, one of which holds streams besides, turn by turn.
async fn calls(
    arguments: &Arguments,
    scratch: &Path,
    upstream: std::net::SocketAddr,
    count: usize,
) -> Outcome<Calls> {
    let executable = startup::executable(arguments.gateway.as_deref())?;
    let free = Door::gateway(&executable, &scratch.join("free"), upstream, upstream::PATH)?;
    let laden = Door::gateway(&executable, &scratch.join("laden"), upstream, upstream::PATH)?;
    let held = streams::open(laden.address, laden.path, Kind::Streamable, count).await?;
    let (mut without, mut with) = (Tally::default(), Tally::default());
    for round in 0..=arguments.rounds {
        let one = load::drive(&free, CALLERS, arguments.calls).await?;
        let other = load::drive(&laden, CALLERS, arguments.calls).await?;
        if round > 0 {
            without.add(one);
            with.add(other);
        }
    }
    drop(held);
    Ok(Calls {
        streams: count,
        cpu_us_without: without.cpu_per_call(),
        cpu_us_with: with.cpu_per_call(),
        ratio: with.cpu_per_call() / without.cpu_per_call(),
    })
}

/// Memory in KiB once it stays what it is.
async fn steady(program: &Program, unchanged: Duration) -> Outcome<u64> {
    let begun = std::time::Instant::now();
    let mut last = program.memory()?;
    loop {
        tokio::time::sleep(unchanged).await;
        let now = program.memory()?;
        if now.abs_diff(last) * 100 <= last || begun.elapsed() > STEADY_WITHIN {
            return Ok(now);
        }
        last = now;
    }
}

impl Report {
    fn print(&self, json: bool) -> Outcome<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!(
            "\nheld streams, idle; memory in KiB, nginx with one worker and a stream to the upstream for each"
        );
        println!(
            "\n{:>8}  {:<24}{:>10}{:>10}{:>10}{:>12}{:>8}{:>15}",
            "streams", "held", "at rest", "open", "closed", "per stream", "bound", "closed/at rest"
        );
        for row in &self.streams {
            let bound = row
                .bound_kib
                .map_or_else(|| "–".to_owned(), |bound| format!("{bound}"));
            println!(
                "{:>8}  {:<24}{:>10}{:>10}{:>10}{:>12.1}{:>8}{:>15.2}",
                row.streams,
                row.held,
                row.at_rest_kib,
                row.open_kib,
                row.closed_kib,
                row.kib_per_stream,
                bound,
                row.closed_to_rest
            );
        }
        if self.calls.is_empty() {
            return Ok(());
        }
        println!(
            "\n{:>8}{:>24}{:>22}{:>8}",
            "streams", "CPU µs, none open", "CPU µs, all open", "ratio"
        );
        for row in &self.calls {
            println!(
                "{:>8}{:>24.1}{:>22.1}{:>8.2}",
                row.streams, row.cpu_us_without, row.cpu_us_with, row.ratio
            );
        }
        Ok(())
    }
}
