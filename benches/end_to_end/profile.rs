//! Where the gateway spends its time, by `perf`.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use causeway_bench::{Outcome, Program};

use crate::door::Door;
use crate::load;

const CALLS: usize = 40_000;
const SYMBOLS: usize = 25;

pub(crate) async fn show(gateway: &Door, scratch: &Path, sessions: &[usize]) -> Outcome<()> {
    let Some(program) = &gateway.program else {
        return Ok(());
    };
    let (samples, log) = (scratch.join("perf.data"), scratch.join("perf.log"));
    let processes: Vec<String> = program.family()?.iter().map(u32::to_string).collect();
    let mut record = Command::new("perf");
    // The CPU clock is there in virtual machines too, where hardware counters often are not.
    record.args(["record", "--event", "cpu-clock", "--freq", "1999", "--pid"]);
    record.arg(processes.join(",")).arg("--output").arg(&samples);
    record
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log)?);
    let recorder = match Program::start(record) {
        Ok(recorder) => recorder,
        Err(error) => {
            println!("\nno profile: perf did not start ({error}); install it with: scripts/need.sh perf");
            return Ok(());
        }
    };
    let sessions = sessions.iter().copied().max().unwrap_or(16);
    load::drive(gateway, sessions, CALLS).await?;
    // Its end writes the samples out.
    drop(recorder);

    let shares = [("object", "dso"), ("symbol", "dso,symbol")];
    println!("\nwhere {CALLS} calls of {sessions} sessions spent the gateway's time");
    for (what, sort) in shares {
        println!("\nby {what}");
        let lines = lines(&samples, sort)?;
        if lines.is_empty() {
            println!("no samples; perf says: {}", fs::read_to_string(&log)?.trim());
        }
        for line in lines.iter().take(SYMBOLS) {
            println!("  {line}");
        }
    }
    Ok(())
}

/// The samples' shares, largest first.
fn lines(samples: &Path, sort: &str) -> Outcome<Vec<String>> {
    let mut report = Command::new("perf");
    report.args([
        "report",
        "--stdio",
        "--no-inline",
        "--no-children",
        "--sort",
        sort,
        "--input",
    ]);
    let output = report.arg(samples).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    // Columns are padded to the longest symbol anywhere, and unused ones hold a dash.
    let words = |line: &str| {
        line.split_whitespace()
            .filter(|word| *word != "-")
            .collect::<Vec<_>>()
            .join(" ")
    };
    Ok(lines.map(words).collect())
}
