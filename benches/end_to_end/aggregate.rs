//! Many servers at one endpoint: what a list of all their tools costs beside a file of the same bytes, what a call costs
//! beside one at a route of its own, how long a list waits for a server that is cold, and what is held for a tool and
//! for a session.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_bench::{Outcome, Program, Wire, answer, greet, unlike};
use memchr::memmem;
use serde::Serialize;

use crate::door::Door;
use crate::load::{self, Tally};
use crate::session::{Era, list_request};
use crate::upstream::{self, TOOLS};
use crate::{Arguments, nginx, startup};

/// Servers of the endpoint.
const SERVERS: usize = 10;

/// Lists that count at each door in each round.
const LISTS: usize = 300;

/// Sessions that are begun for weighing them.
const SESSIONS: usize = 5000;

/// How many times the CPU of a file of the same bytes a list may cost, and of a transparent call one through the endpoint.
const LIST_BOUND: f64 = 3.0;
const CALL_BOUND: f64 = 1.25;

#[derive(Serialize)]
struct Report {
    list: List,
    calls: Vec<Calls>,
    cold: Cold,
    held: Held,
}

#[derive(Serialize)]
struct List {
    bytes: usize,
    cpu_us: f64,
    cpu_us_of_file: f64,
    to_file: f64,
    p50_us: f64,
    p50_us_of_file: f64,
}

#[derive(Serialize)]
struct Calls {
    client: &'static str,
    sessions: usize,
    cpu_us_transparent: f64,
    cpu_us: f64,
    to_transparent: f64,
}

/// How long a list took whose server takes ten seconds for everything, in milliseconds.
#[derive(Serialize)]
struct Cold {
    first_ms: f64,
    second_ms: f64,
    after_restart_ms: f64,
}

#[derive(Serialize)]
struct Held {
    bytes_per_tool_as_sent: f64,
    rss_kib_per_session: f64,
}

/// Measures and prints all of it.
pub(crate) async fn measure(arguments: &Arguments) -> Outcome<()> {
    let scratch = tempfile::tempdir()?;
    let server = upstream::start()?;
    let executable = startup::executable(arguments.gateway.as_deref())?;
    let names: Vec<String> = (0..SERVERS).map(|number| format!("u{number}")).collect();
    let url = format!("http://{}{}", server.address, upstream::CATALOG);
    let servers: Vec<(&str, String)> = names.iter().map(|name| (name.as_str(), url.clone())).collect();
    let (address, gateway) = startup::start(&executable, &scratch.path().join("causeway"), &servers)?;
    let gateway = Arc::new(gateway);

    let report = Report {
        list: lists(&scratch.path().join("nginx"), address, &gateway, arguments.rounds).await?,
        calls: calls(arguments, address, &gateway).await?,
        cold: cold(&executable, &scratch.path().join("cold"), server.address).await?,
        held: held(&executable, &scratch.path().join("held"), &servers).await?,
    };
    report.print(arguments.json)
}

/// Asks for the list, and for a file of its bytes, by turns.
async fn lists(scratch: &Path, address: SocketAddr, gateway: &Program, rounds: usize) -> Outcome<List> {
    let request = list_request(address, "/mcp");
    let mut wire = Wire::connect(address).await?;
    let bytes = fetch(&mut wire, &request).await?;
    fs::create_dir_all(scratch.join("static"))?;
    fs::write(scratch.join("static/list.json"), &bytes)?;
    let setup = nginx::Setup {
        workers: 1,
        logging: false,
        connections: nginx::FOR_CALLS,
    };
    let (server, nginx) = nginx::start(scratch, address, setup)?;
    let mut file_wire = Wire::connect(server).await?;
    let file_request = format!("GET /static/list.json HTTP/1.1\r\nHost: {server}\r\n\r\n").into_bytes();

    let (mut ours, mut file) = (Tally::default(), Tally::default());
    for round in 0..=rounds {
        let of_list = ask(&mut wire, &request, gateway, bytes.len()).await?;
        let of_file = ask(&mut file_wire, &file_request, &nginx, bytes.len()).await?;
        if round > 0 {
            ours.add(of_list);
            file.add(of_file);
        }
    }
    let (cpu, cpu_of_file) = (ours.cpu_per_call(), file.cpu_per_call());
    Ok(List {
        bytes: bytes.len(),
        cpu_us: cpu,
        cpu_us_of_file: cpu_of_file,
        to_file: cpu / cpu_of_file,
        p50_us: ours.into_quantile(0.5),
        p50_us_of_file: file.into_quantile(0.5),
    })
}

async fn ask(wire: &mut Wire, request: &[u8], program: &Program, bytes: usize) -> Outcome<Tally> {
    let mut latencies = Vec::with_capacity(LISTS);
    let (before, begun) = (program.cpu()?, Instant::now());
    for _ in 0..LISTS {
        let asked = Instant::now();
        wire.send(request).await?;
        let letter = answer(wire, "tools/list", "200").await?;
        latencies.push(asked.elapsed());
        // Every time the same but for what is left of its `ttlMs`.
        if letter.body.len().abs_diff(bytes) > 8 {
            return Err(unlike(&letter.body, "another list came"));
        }
    }
    Ok(Tally {
        calls: LISTS,
        elapsed: begun.elapsed(),
        cpu: program.cpu()?.since(&before),
        latencies,
    })
}

/// The list, which holds all tools.
async fn fetch(wire: &mut Wire, request: &[u8]) -> Outcome<Vec<u8>> {
    wire.send(request).await?;
    let letter = answer(wire, "tools/list", "200").await?;
    let tools = memmem::find_iter(&letter.body, b"\"inputSchema\"").count();
    match tools {
        0 => Err(unlike(&letter.body, "no tool came")),
        _ if tools % TOOLS != 0 => Err(unlike(&letter.body, &format!("{tools} tools came"))),
        _ => Ok(letter.body),
    }
}

async fn calls(arguments: &Arguments, address: SocketAddr, gateway: &Arc<Program>) -> Outcome<Vec<Calls>> {
    let mut rows = Vec::new();
    for era in [Era::Legacy, Era::Modern] {
        let door = |name, path, tool| Door {
            name,
            address,
            path,
            era,
            tool,
            program: Some(Arc::clone(gateway)),
        };
        let doors = [
            door("transparent", "/mcp/u0", "echo"),
            door("one of many", "/mcp", "u0__echo"),
        ];
        for &sessions in &arguments.sessions {
            let tallies = load::turn_by_turn(&doors, sessions, arguments.calls, arguments.rounds).await?;
            let (transparent, ours) = (tallies[0].cpu_per_call(), tallies[1].cpu_per_call());
            rows.push(Calls {
                client: era.revision(),
                sessions,
                cpu_us_transparent: transparent,
                cpu_us: ours,
                to_transparent: ours / transparent,
            });
        }
    }
    Ok(rows)
}

/// Lists in front of one server that is cold and one that is not.
async fn cold(executable: &Path, directory: &Path, upstream: SocketAddr) -> Outcome<Cold> {
    let url = |path| format!("http://{upstream}{path}");
    let servers = [("cold", url(upstream::COLD)), ("warm", url(upstream::CATALOG))];
    let (address, program) = startup::start(executable, directory, &servers)?;
    let (first, _) = timed(address).await?;
    // Its catalog takes one answer for what it is and one for its list.
    let whole = wait_for(address, 2 * TOOLS).await;
    let (second, _) = timed(address).await?;
    // Catalogs are written within two seconds.
    tokio::time::sleep(Duration::from_secs(3)).await;
    drop(program);
    whole?;
    let (address, _program) = startup::start(executable, directory, &servers)?;
    let (after_restart, tools) = timed(address).await?;
    if tools != 2 * TOOLS {
        return Err(format!("after a restart {tools} tools were listed").into());
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Cold {
        first_ms: ms(first),
        second_ms: ms(second),
        after_restart_ms: ms(after_restart),
    })
}

/// How long a list took, and how many tools were in it.
async fn timed(address: SocketAddr) -> Outcome<(Duration, usize)> {
    let request = list_request(address, "/mcp");
    let mut wire = Wire::connect(address).await?;
    let begun = Instant::now();
    let list = fetch(&mut wire, &request).await?;
    Ok((
        begun.elapsed(),
        memmem::find_iter(&list, b"\"inputSchema\"").count(),
    ))
}

async fn wait_for(address: SocketAddr, tools: usize) -> Outcome<()> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if timed(address).await?.1 == tools {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(format!("{tools} tools were never listed").into())
}

/// What a gateway holds of tools, and for sessions with the endpoint.
async fn held(executable: &Path, directory: &Path, servers: &[(&str, String)]) -> Outcome<Held> {
    let (address, program) = startup::start(executable, directory, servers)?;
    let (_, tools) = timed(address).await?;
    let list = fetch(&mut Wire::connect(address).await?, &list_request(address, "/mcp")).await?;
    let mut wires = Vec::new();
    for _ in 0..20 {
        wires.push(Wire::connect(address).await?);
    }
    // The first of them bring to life what they share.
    for wire in &mut wires {
        greet(wire, address, "/mcp").await?;
    }
    let before = program.memory()?;
    for number in 0..SESSIONS {
        greet(&mut wires[number % 20], address, "/mcp").await?;
    }
    let after = program.memory()?;
    Ok(Held {
        bytes_per_tool_as_sent: list.len() as f64 / tools as f64,
        rss_kib_per_session: after.saturating_sub(before) as f64 / SESSIONS as f64,
    })
}

impl Report {
    fn print(&self, json: bool) -> Outcome<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let List {
            bytes,
            cpu_us,
            cpu_us_of_file,
            to_file,
            p50_us,
            p50_us_of_file,
        } = &self.list;
        println!("\n{SERVERS} servers with {TOOLS} tools each at one endpoint");
        println!(
            "\ntools/list of {bytes} bytes: {cpu_us:.1} µs of CPU, p50 {p50_us:.0} µs; a file of them from nginx \
             {cpu_us_of_file:.1} and {p50_us_of_file:.0}: {to_file:.2} × (bound {LIST_BOUND})"
        );
        println!(
            "\n{:<12}{:>9}{:>22}{:>17}{:>8}   (bound {CALL_BOUND})",
            "tools/call", "sessions", "CPU µs, transparent", "one of many", "×"
        );
        for row in &self.calls {
            println!(
                "{:<12}{:>9}{:>22.1}{:>17.1}{:>8.2}",
                row.client, row.sessions, row.cpu_us_transparent, row.cpu_us, row.to_transparent
            );
        }
        let Cold {
            first_ms,
            second_ms,
            after_restart_ms,
        } = &self.cold;
        println!(
            "\nwith a server that takes {:?} for everything, the first list takes {first_ms:.0} ms, one after it was \
             read {second_ms:.1} ms, the first after a restart {after_restart_ms:.1} ms",
            upstream::COLD_FOR
        );
        println!(
            "\na tool is {:.0} bytes as it is sent; a session with the endpoint adds {:.2} KiB",
            self.held.bytes_per_tool_as_sent, self.held.rss_kib_per_session
        );
        Ok(())
    }
}
