//! Whether everything is as it was, in figures.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use causeway_bench::Outcome;

use crate::deed::Deed;
use crate::house::House;
use crate::mix::Tally;
use crate::sample::Sample;

/// Memory may be a fifth above its baseline.
const MEMORY: f64 = 1.2;

/// What is counted may not be above its baseline by one, save for what is pooled: a connection to a server that is
/// kept for the next call, and a thread that the runtime keeps for the next file it reads. A leak over thousands of
/// deeds passes these at once.
fn allowance(name: &str) -> u64 {
    match name {
        "descriptors" => 8,
        "threads" => 4,
        _ => 0,
    }
}

/// A state that stays the same for this long is settled. Allocators give back what was freed within ten seconds.
const SETTLED_FOR: Duration = Duration::from_secs(25);

const LOOK: Duration = Duration::from_secs(1);

/// The state once it does not change any more; with a baseline, as soon as nothing is left above it.
pub(crate) async fn settled(house: &House, baseline: Option<&Sample>, within: Duration) -> Outcome<Sample> {
    let begun = Instant::now();
    let mut last = Sample::take(house)?;
    let mut since = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = Sample::take(house)?;
        let same =
            now.countables().eq(last.countables()) && now.memory.abs_diff(last.memory) * 100 <= last.memory;
        if !same {
            since = Instant::now();
            last = now.clone();
        }
        let done = match baseline {
            Some(baseline) => compare(baseline, &now).is_empty(),
            // Its children are the last to go, and are told to only when they have been idle.
            None => since.elapsed() > SETTLED_FOR && begun.elapsed() > crate::house::IDLE + SETTLED_FOR,
        };
        if done || begun.elapsed() > within {
            return Ok(now);
        }
    }
}

/// What is above the baseline.
pub(crate) fn compare(baseline: &Sample, now: &Sample) -> Vec<String> {
    let mut above: Vec<String> = baseline
        .countables()
        .zip(now.countables())
        .filter(|((name, was), (_, is))| *is > was + allowance(name))
        .map(|((name, was), (_, is))| format!("{name}: {is}, and {was} at first"))
        .collect();
    if now.memory as f64 > baseline.memory as f64 * MEMORY {
        above.push(format!(
            "memory: {} KiB, and {} at first",
            now.memory, baseline.memory
        ));
    }
    above
}

/// What was done and what it came to, in Markdown.
pub(crate) fn table(
    tally: &Tally,
    baseline: &Sample,
    samples: &[(Duration, Sample)],
    end: &Sample,
) -> String {
    let mut text = String::from("\n| deed | times |\n|---|---|\n");
    for ((_, name, _), done) in Deed::EACH_HOUR.iter().zip(tally.done) {
        let _ = writeln!(text, "| {name} | {done} |");
    }
    text.push_str("\n| | baseline | most | end |\n|---|---|---|---|\n");
    let most = samples
        .iter()
        .map(|(_, sample)| sample.memory)
        .max()
        .unwrap_or_default();
    let _ = writeln!(
        text,
        "| memory, KiB | {} | {most} | {} |",
        baseline.memory, end.memory
    );
    for (index, ((name, was), (_, is))) in baseline.countables().zip(end.countables()).enumerate() {
        let each = samples
            .iter()
            .filter_map(|(_, sample)| Some(sample.countables().nth(index)?.1));
        let _ = writeln!(
            text,
            "| {name} | {was} | {} | {is} |",
            each.max().unwrap_or_default()
        );
    }
    text
}
