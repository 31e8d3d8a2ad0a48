//! What a call through the gateway costs, beside nginx and a direct call, all measured in one run.
//!
//! A cheap upstream, nginx as a plain reverse proxy and the gateway are started as processes of their own. Sessions of
//! 1 KiB `tools/call` then go to each in turn, round after round, so that whatever else the machine is doing disturbs
//! all of them alike. Every answer is checked. CPU is the proxies' own, read from the kernel; what the driver and the
//! upstream burn is not in it.

mod door;
mod load;

mod nginx;
mod upstream;

mod session;

mod eras;
mod heavy;

mod aggregate;

mod held;
mod streams;

mod profile;
mod report;
mod startup;

use std::path::PathBuf;

use causeway_bench::{Outcome, make_room};
use clap::{Parser, Subcommand};

use crate::door::Door;
use crate::report::Report;

/// Measures the gateway beside nginx and a direct call.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// How many sessions call at the same time; each number is measured by itself.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    sessions: Vec<usize>,
    /// Calls to each door in each round, shared by its sessions.
    #[arg(long, default_value_t = 6000)]
    calls: usize,
    /// How many streams are held open; each number is measured by itself.
    #[arg(long, value_delimiter = ',', default_value = "1000,9000")]
    streams: Vec<usize>,
    /// Rounds that count; one more warms everything up.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// The gateway to measure; without it, the one built beside this program.
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Measure nginx and the direct call alone.
    #[arg(long)]
    without_gateway: bool,
    /// Afterwards, show where the gateway spends its time (needs perf).
    #[arg(long)]
    profile: bool,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Part {
    /// Be the upstream: started by the benchmark itself, ends with its standard input.
    Upstream,
    /// Measure held streams alone.
    Held,
    /// Measure calls between eras alone.
    Eras,
    /// Measure many servers at one endpoint alone.
    Aggregate,
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    // Of this process, and so of all that it starts.
    let room = make_room()?;
    // One thread drives everything, which leaves the other cores to what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match arguments.part {
        Some(Part::Upstream) => runtime.block_on(upstream::serve()),
        Some(Part::Held) => runtime.block_on(held::measure(&arguments, room)),
        Some(Part::Eras) => runtime.block_on(eras::measure(&arguments)),
        Some(Part::Aggregate) => runtime.block_on(aggregate::measure(&arguments)),
        None => runtime.block_on(async {
            measure(&arguments).await?;
            if !arguments.without_gateway {
                eras::measure(&arguments).await?;
                aggregate::measure(&arguments).await?;
            }
            held::measure(&arguments, room).await
        }),
    }
}

async fn measure(arguments: &Arguments) -> Outcome<()> {
    let scratch = tempfile::tempdir()?;
    let cores = std::thread::available_parallelism()?.get();
    let upstream = upstream::start()?;
    let nginx = |name, workers, logging| {
        let connections = nginx::FOR_CALLS;
        let setup = nginx::Setup {
            workers,
            logging,
            connections,
        };
        Door::nginx(name, scratch.path(), upstream.address, setup)
    };
    let mut doors = vec![
        Door::direct(upstream.address),
        nginx("nginx", cores, false)?,
        nginx("nginx, logging", cores, true)?,
        nginx("nginx, 1 worker", 1, false)?,
    ];
    let mut first_answers = Vec::new();
    if !arguments.without_gateway {
        let gateway = startup::executable(arguments.gateway.as_deref())?;
        first_answers = startup::first_answers(&gateway, scratch.path(), upstream.address).await?;
        doors.push(Door::gateway(
            &gateway,
            scratch.path(),
            upstream.address,
            upstream::PATH,
        )?);
    }

    let mut report = Report::new(cores, first_answers);
    for door in &doors {
        report.at_rest(door)?;
    }
    for &sessions in &arguments.sessions {
        let tallies = load::turn_by_turn(&doors, sessions, arguments.calls, arguments.rounds).await?;
        report.measured(sessions, &doors, tallies);
    }
    for door in &doors {
        report.afterwards(door)?;
    }
    report.print(arguments.json)?;

    if arguments.profile
        && let Some(gateway) = doors.iter().find(|door| door.is_gateway())
    {
        profile::show(gateway, scratch.path(), &arguments.sessions).await?;
    }
    Ok(())
}
