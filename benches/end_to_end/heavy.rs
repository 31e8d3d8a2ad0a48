//! Large results that cross from era to era: what a megabyte costs, and how much memory is held for it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use causeway_bench::{Outcome, Wire, answer, unlike};
use memchr::memmem;
use serde::Serialize;

use crate::eras::{self, WAYS, Way};
use crate::session::{call_for_much, head_of_call};
use crate::upstream::{BLOCK, BLOCKS};

/// Calls that count, one after the other; a few more come first.
const CALLS: usize = 40;

const WARMING: usize = 3;

/// What one way came to.
#[derive(Serialize)]
pub(crate) struct Row {
    way: &'static str,
    megabytes: f64,
    cpu_us_per_megabyte: f64,
    /// Resident, before the first large result.
    at_rest_kib: u64,
    /// The most while one after the other came through.
    peak_kib: u64,
}

/// Measures each way at a gateway of its own, so that no peak is another's.
pub(crate) async fn measure(executable: &Path, scratch: &Path, upstream: SocketAddr) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for (number, way) in WAYS.into_iter().enumerate() {
        let directory = scratch.join(number.to_string());
        rows.push(
            weigh(way, executable, &directory, upstream)
                .await
                .map_err(|error| format!("{}: {error}", way.name))?,
        );
    }
    Ok(rows)
}

async fn weigh(way: Way, executable: &Path, directory: &Path, upstream: SocketAddr) -> Outcome<Row> {
    let (address, program) = eras::start(executable, directory, upstream)?;
    let program = Arc::new(program);
    let door = way.door(address, &program);
    let mut wire = Wire::connect(address).await?;
    // All bodies have one length, since all ids do.
    let length = call_for_much(way.client, WARMING).len();
    let head = head_of_call(&mut wire, way.client, address, door.path, "fill", length).await?;
    let at_rest = program.memory()?;
    for call in 0..WARMING {
        fetch(&mut wire, &head, way, call).await?;
    }
    program.forget_peak()?;
    let before = program.cpu()?;
    let mut bytes = 0;
    for call in 0..CALLS {
        // One digit, as while warming.
        bytes += fetch(&mut wire, &head, way, call % 10).await?;
    }
    let cpu = program.cpu()?.since(&before);
    Ok(Row {
        way: way.name,
        megabytes: bytes as f64 / CALLS as f64 / 1e6,
        cpu_us_per_megabyte: cpu.as_secs_f64() * 1e12 / bytes as f64,
        at_rest_kib: at_rest,
        peak_kib: program.peak()?,
    })
}

/// Calls the tool that gives much, checks that all of it came, and tells its length.
async fn fetch(wire: &mut Wire, head: &[u8], way: Way, call: usize) -> Outcome<usize> {
    let body = call_for_much(way.client, call);
    wire.send(&[head, body.as_bytes()].concat()).await?;
    let letter = answer(wire, "tools/call", "200").await?;
    let json = letter.json();
    let blocks = memmem::find_iter(json, BLOCK).count();
    if blocks != BLOCKS || memmem::find(json, format!(r#""id":{call}"#).as_bytes()).is_none() {
        return Err(unlike(json, &format!("{blocks} of {BLOCKS} blocks came")));
    }
    Ok(json.len())
}

/// As a table.
pub(crate) fn print(rows: &[Row]) {
    let megabytes = rows.first().map_or(0.0, |row| row.megabytes);
    println!("\na result of {megabytes:.1} MB in {BLOCKS} blocks; memory in KiB");
    println!(
        "\n{:<26}{:>14}{:>10}{:>10}{:>22}",
        "client → server", "CPU µs per MB", "at rest", "peak", "× result above rest"
    );
    for row in rows {
        let above = row.peak_kib.saturating_sub(row.at_rest_kib) as f64 * 1024.0;
        println!(
            "{:<26}{:>14.0}{:>10}{:>10}{:>22.1}",
            row.way,
            row.cpu_us_per_megabyte,
            row.at_rest_kib,
            row.peak_kib,
            above / (row.megabytes * 1e6)
        );
    }
}
