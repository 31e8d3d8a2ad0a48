//! Closed-loop load: each session sends its next call when the last one has been answered and checked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_bench::Outcome;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::door::Door;
use crate::session::{Era, Session};

/// Calls of each session before the clock starts: connections are pooled and caches are warm by then.
const WARMING: usize = 20;

/// What some rounds at one door came to.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) calls: usize,
    pub(crate) elapsed: Duration,
    pub(crate) cpu: Duration,
    pub(crate) latencies: Vec<Duration>,
}

impl Tally {
    pub(crate) fn add(&mut self, round: Tally) {
        self.calls += round.calls;
        self.elapsed += round.elapsed;
        self.cpu += round.cpu;
        self.latencies.extend(round.latencies);
    }

    pub(crate) fn cpu_per_call(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls as f64
    }

    /// The latency that this part of the calls does not exceed, in microseconds.
    pub(crate) fn into_quantile(mut self, part: f64) -> f64 {
        self.latencies.sort_unstable();
        quantile(&self, part)
    }

    pub(crate) fn rate(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }
}

/// Drives each door in turn, round after round, so that what else the machine does disturbs all of them alike. What
/// the rounds at each come to; the first only warms everything up.
pub(crate) async fn turn_by_turn(
    doors: &[Door],
    sessions: usize,
    calls: usize,
    rounds: usize,
) -> Outcome<Vec<Tally>> {
    let mut tallies: Vec<Tally> = doors.iter().map(|_| Tally::default()).collect();
    for round in 0..=rounds {
        for (door, tally) in doors.iter().zip(&mut tallies) {
            let measured = drive(door, sessions, calls).await?;
            if round > 0 {
                tally.add(measured);
            }
        }
    }
    Ok(tallies)
}

/// Opens the sessions, warms them, and measures `calls` shared among them.
pub(crate) async fn drive(door: &Door, sessions: usize, calls: usize) -> Outcome<Tally> {
    let each = calls.div_ceil(sessions);
    // Two meetings with the one who holds the clock: all are warm; the clock runs.
    let barrier = Arc::new(Barrier::new(sessions + 1));
    let mut tasks = JoinSet::new();
    for number in 0..sessions {
        let barrier = Arc::clone(&barrier);
        let (era, address, path, name) = (door.era, door.address, door.path, door.name);
        let tool = door.tool;
        tasks.spawn(async move {
            let opened = warm(era, number, address, path, tool).await;
            barrier.wait().await;
            barrier.wait().await;
            // A session that failed still came to both meetings: the others would wait for it for ever.
            let mut session = opened.map_err(|error| format!("{name}: {error}"))?;
            let mut latencies = Vec::with_capacity(each);
            for call in 0..each {
                let begun = Instant::now();
                session
                    .call(WARMING + call)
                    .await
                    .map_err(|error| format!("{name}: {error}"))?;
                latencies.push(begun.elapsed());
            }
            Ok::<_, String>(latencies)
        });
    }

    barrier.wait().await;
    let before = door.program.as_ref().map(|program| program.cpu()).transpose()?;
    let begun = Instant::now();
    barrier.wait().await;
    let mut latencies = Vec::with_capacity(each * sessions);
    while let Some(finished) = tasks.join_next().await {
        latencies.extend(finished??);
    }
    let elapsed = begun.elapsed();
    let cpu = match (&door.program, before) {
        (Some(program), Some(before)) => program.cpu()?.since(&before),
        _ => Duration::ZERO,
    };
    Ok(Tally {
        calls: latencies.len(),
        elapsed,
        cpu,
        latencies,
    })
}

async fn warm(
    era: Era,
    number: usize,
    address: SocketAddr,
    path: &str,
    tool: &'static str,
) -> Outcome<Session> {
    let mut session = Session::open(era, number, address, path, tool).await?;
    for call in 0..WARMING {
        session.call(call).await?;
    }
    Ok(session)
}

/// In microseconds, of latencies that stand in order.
pub(crate) fn quantile(tally: &Tally, part: f64) -> f64 {
    let last = tally.latencies.len().saturating_sub(1);
    let place = (last as f64 * part).round() as usize;
    tally
        .latencies
        .get(place)
        .map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
}
