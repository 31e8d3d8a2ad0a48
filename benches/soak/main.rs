//! Nothing is left behind: a gateway under everything that leaves something behind when it is done badly.
//!
//! Sessions are abandoned, clients go in the middle of a call, children are killed, streams are cut, files are read
//! again, and calls go on all the while. Then everything is let go of, and the gateway must be what it was before:
//! in memory, descriptors, threads, processes and by its own gauges. At last it is killed, and nothing of it may
//! live on. What was seen on the way becomes a table and a graph.

mod house;

mod deed;
mod mix;

mod sample;
mod verdict;
mod graph;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use causeway_bench::{Outcome, make_room};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use deed::Session;
use house::{HTTP, House};
use mix::{Tally, mix};
use sample::Sample;

/// The mix goes on this long before the gateway's state is taken for its baseline: what a first session, a first
/// child and a first stream bring to life stays, and is nobody's remains.
const WARMING: Duration = Duration::from_secs(60);

/// Sessions before that, which fill what remembers a bounded number of them.
const FILLING: usize = 2500;

/// What is let go of must be gone after this long.
const LET_GO_WITHIN: Duration = Duration::from_secs(180);

/// Samples in a run.
const SAMPLES: u32 = 360;

/// Puts a gateway under everything that leaves something behind, and shows that nothing is.
#[derive(Parser)]
struct Arguments {
    /// How long the mix goes on; sixty minutes make 10,000 sessions.
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// The gateway; without it, the one built beside this program.
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Where the graph is written.
    #[arg(long, default_value = "docs/soak.svg")]
    graph: PathBuf,
}

fn main() -> Outcome<ExitCode> {
    let arguments = Arguments::parse();
    make_room()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            outcome = soak(&arguments) => outcome,
            // What was started ends with the house.
            told = told_to_stop() => told.and(Err("told to stop before the end".into())),
        }
    })
}

async fn told_to_stop() -> Outcome<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    Ok(())
}

async fn soak(arguments: &Arguments) -> Outcome<ExitCode> {
    let executable = match &arguments.gateway {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("causeway"),
    };
    let scratch = tempfile::tempdir()?;
    let mut house = House::start(&executable, scratch.path())?;
    let lasts = Duration::from_secs_f64(arguments.minutes * 60.0);

    println!("warming up for {} s", WARMING.as_secs());
    for _ in 0..FILLING {
        Session::open(house.clients, HTTP).await?;
    }
    let mut warming = Tally::default();
    mix(&house, WARMING, &mut warming, |_| Ok(())).await?;
    let mut samples = Vec::new();
    let baseline = verdict::settled(&house, None, LET_GO_WITHIN).await?;
    println!("baseline: {baseline}");

    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut next = begun;
    let watch = |at: Instant| {
        if at >= next {
            next = at + (lasts / SAMPLES).max(Duration::from_secs(1));
            samples.push((begun.elapsed(), Sample::take(&house)?));
        }
        Ok(())
    };
    mix(&house, lasts, &mut tally, watch).await?;
    println!("the mix is over, everything is let go of");
    let end = verdict::settled(&house, Some(&baseline), LET_GO_WITHIN).await?;
    samples.push((begun.elapsed(), end.clone()));

    let mut remains = verdict::compare(&baseline, &end);
    remains.extend(tally.complaints());
    remains.extend(house.kill().await?);
    print!("{}", verdict::table(&tally, &baseline, &samples, &end));
    std::fs::write(&arguments.graph, graph::draw(&samples, &baseline))?;
    println!("\ngraph: {}", arguments.graph.display());
    if remains.is_empty() {
        println!("nothing is left behind");
        return Ok(ExitCode::SUCCESS);
    }
    for what in &remains {
        eprintln!("left behind: {what}");
    }
    Ok(ExitCode::FAILURE)
}
