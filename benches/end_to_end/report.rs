//! The figures, as a table or as JSON.

use std::time::Duration;

use causeway_bench::Outcome;
use serde::Serialize;

use crate::door::Door;
use crate::load::{Tally, quantile};
use crate::startup;

#[derive(Serialize)]
pub(crate) struct Report {
    cores: usize,
    calls: Vec<Calls>,
    memory: Vec<Memory>,
    /// From process start to the first answered `initialize`, shortest first.
    first_answer_ms: Vec<f64>,
}

#[derive(Serialize)]
struct Calls {
    sessions: usize,
    door: &'static str,
    calls: usize,
    calls_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    added_p50_us: f64,
    added_p99_us: f64,
    /// None for the direct call, which passes no proxy.
    cpu_us_per_call: Option<f64>,
    cpu_to_nginx: Option<f64>,
}

#[derive(Serialize)]
struct Memory {
    door: &'static str,
    at_rest_kib: u64,
    afterwards_kib: u64,
}

impl Report {
    pub(crate) fn new(cores: usize, first_answers: Vec<Duration>) -> Self {
        let first_answer_ms = first_answers
            .iter()
            .map(|took| took.as_secs_f64() * 1e3)
            .collect();
        Self {
            cores,
            calls: Vec::new(),
            memory: Vec::new(),
            first_answer_ms,
        }
    }

    pub(crate) fn at_rest(&mut self, door: &Door) -> Outcome<()> {
        if let Some(program) = &door.program {
            self.memory.push(Memory {
                door: door.name,
                at_rest_kib: program.memory()?,
                afterwards_kib: 0,
            });
        }
        Ok(())
    }

    pub(crate) fn afterwards(&mut self, door: &Door) -> Outcome<()> {
        if let (Some(program), Some(row)) = (
            &door.program,
            self.memory.iter_mut().find(|row| row.door == door.name),
        ) {
            row.afterwards_kib = program.memory()?;
        }
        Ok(())
    }

    /// Takes what each door came to; the first is the direct one, the second the nginx that others are compared with.
    pub(crate) fn measured(&mut self, sessions: usize, doors: &[Door], mut tallies: Vec<Tally>) {
        for tally in &mut tallies {
            tally.latencies.sort_unstable();
        }
        let (direct, nginx) = (&tallies[0], &tallies[1]);
        for (door, tally) in doors.iter().zip(&tallies) {
            let proxied = door.program.is_some();
            self.calls.push(Calls {
                sessions,
                door: door.name,
                calls: tally.calls,
                calls_per_second: tally.rate(),
                p50_us: quantile(tally, 0.50),
                p99_us: quantile(tally, 0.99),
                added_p50_us: quantile(tally, 0.50) - quantile(direct, 0.50),
                added_p99_us: quantile(tally, 0.99) - quantile(direct, 0.99),
                cpu_us_per_call: proxied.then(|| tally.cpu_per_call()),
                cpu_to_nginx: proxied.then(|| tally.cpu_per_call() / nginx.cpu_per_call()),
            });
        }
    }

    pub(crate) fn print(&self, json: bool) -> Outcome<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!(
            "\n1 KiB tools/call, every answer checked; {} cores, nginx with a worker for each",
            self.cores
        );
        println!(
            "\n{:>8}  {:<16}{:>10}{:>9}{:>10}{:>9}{:>9}{:>11}{:>11}",
            "sessions", "door", "CPU µs", "× nginx", "calls/s", "p50 µs", "p99 µs", "added p50", "added p99"
        );
        for row in &self.calls {
            let or_dash = |figure: Option<f64>, digits| {
                figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.digits$}"))
            };
            println!(
                "{:>8}  {:<16}{:>10}{:>9}{:>10.0}{:>9.0}{:>9.0}{:>11.0}{:>11.0}",
                row.sessions,
                row.door,
                or_dash(row.cpu_us_per_call, 1),
                or_dash(row.cpu_to_nginx, 2),
                row.calls_per_second,
                row.p50_us,
                row.p99_us,
                row.added_p50_us,
                row.added_p99_us
            );
        }
        println!("\n{:<18}{:>14}{:>14}", "memory, KiB", "at rest", "afterwards");
        for row in &self.memory {
            println!(
                "{:<18}{:>14}{:>14}",
                row.door, row.at_rest_kib, row.afterwards_kib
            );
        }
        if let Some(median) = self.first_answer_ms.get(self.first_answer_ms.len() / 2) {
            println!(
                "\nfrom process start to the first answered initialize: {median:.1} ms, the median of {} starts of {}",
                self.first_answer_ms.len(),
                startup::NAME
            );
        }
        Ok(())
    }
}
