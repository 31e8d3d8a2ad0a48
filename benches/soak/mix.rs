//! All deeds side by side, each at its own even pace.

use std::pin::Pin;
use std::time::{Duration, Instant};

use causeway_bench::Outcome;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::deed::Deed;
use crate::house::House;

const HOUR: Duration = Duration::from_secs(3600);

/// A deed that takes longer hangs.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// How often it is looked what is due.
const TICK: Duration = Duration::from_millis(50);

/// Complaints that are kept in words.
const TOLD: usize = 20;

/// What was done, by deed.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) done: [usize; Deed::EACH_HOUR.len()],
    failed: usize,
    told: Vec<String>,
}

impl Tally {
    fn take(&mut self, kind: usize, outcome: Outcome<()>) {
        match outcome {
            Ok(()) => self.done[kind] += 1,
            Err(error) => {
                self.failed += 1;
                if self.told.len() < TOLD {
                    self.told.push(format!("{}: {error}", Deed::EACH_HOUR[kind].1));
                }
            }
        }
    }

    /// What went wrong.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let more = self.failed - self.told.len();
        let rest = (more > 0).then(|| format!("and {more} more deeds failed"));
        self.told.iter().cloned().chain(rest).collect()
    }
}

/// A deed under way: its kind, and what comes of it.
type Doing<'a> = Pin<Box<dyn Future<Output = (usize, Outcome<()>)> + 'a>>;

/// Goes on for this long, and returns when the last deed is done. `watch` is called every moment.
pub(crate) async fn mix(
    house: &House,
    lasts: Duration,
    tally: &mut Tally,
    mut watch: impl FnMut(Instant) -> Outcome<()>,
) -> Outcome<()> {
    let begun = Instant::now();
    let mut started = [0_usize; Deed::EACH_HOUR.len()];
    let mut running = FuturesUnordered::<Doing<'_>>::new();
    while begun.elapsed() < lasts || !running.is_empty() {
        if begun.elapsed() < lasts {
            let gone = begun.elapsed().as_secs_f64() / HOUR.as_secs_f64();
            for (kind, (deed, _, each_hour)) in Deed::EACH_HOUR.into_iter().enumerate() {
                // The first one at once: in a short run too each is done.
                let due = (f64::from(each_hour) * gone) as usize + 1;
                while started[kind] < due {
                    running.push(Box::pin(doing(house, kind, deed, started[kind])));
                    started[kind] += 1;
                }
            }
        }
        watch(Instant::now())?;
        let moment = tokio::time::sleep(TICK);
        tokio::pin!(moment);
        loop {
            tokio::select! {
                Some((kind, outcome)) = running.next() => tally.take(kind, outcome),
                () = &mut moment => break,
            }
        }
    }
    Ok(())
}

async fn doing(house: &House, kind: usize, deed: Deed, number: usize) -> (usize, Outcome<()>) {
    let done = tokio::time::timeout(DONE_WITHIN, deed.be_done(house, number)).await;
    let hung = || Err(format!("not done within {DONE_WITHIN:?}").into());
    (kind, done.unwrap_or_else(|_| hung()))
}
