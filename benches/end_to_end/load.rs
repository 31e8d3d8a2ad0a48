//! Closed-loop load: each session sends its next call when the last one has been answered and checked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_bench::Outcome;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::door::Door;
use crate::session::Session;

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

    pub(crate) fn rate(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64()
    }
}

/// Opens the sessions, warms them, and measures `calls` shared among them.
pub(crate) async fn drive(door: &Door, sessions: usize, calls: usize) -> Outcome<Tally> {
    let each = calls.div_ceil(sessions);
    // Two meetings with the one who holds the clock: all are warm; the clock runs.
    let barrier = Arc::new(Barrier::new(sessions + 1));
    let mut tasks = JoinSet::new();
    for number in 0..sessions {
        let barrier = Arc::clone(&barrier);
        let (address, path, name) = (door.address, door.path, door.name);
        tasks.spawn(async move {
            let opened = warm(number, address, path).await;
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

async fn warm(number: usize, address: std::net::SocketAddr, path: &str) -> Outcome<Session> {
    let mut session = Session::open(number, address, path).await?;
    for call in 0..WARMING {
        session.call(call).await?;
    }
    Ok(session)
}
