//! Commands that ask a running gateway: `health` and `status` its pages, `tools` and `call` its front door.

mod show;

mod tools;
mod call;
mod listing;
mod door;

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::terminal::{Paint, Screen, harmless};
use door::Trouble;

pub(crate) use call::{Arguments, Call, call};
pub(crate) use listing::{Listing, Which};
pub(crate) use tools::{Tools, tools};

/// A gateway on this machine answers at once, or is not well.
const WITHIN: Duration = Duration::from_secs(3);

/// The longest page read, in bytes.
const LONGEST: u64 = 4 << 20;

/// Exits 0 when the page answers 200.
pub(crate) fn health(url: &str) -> ExitCode {
    let url = if path_of(url) == "/" {
        format!("{}/health", url.trim_end_matches('/'))
    } else {
        url.to_owned()
    };
    match get(&url) {
        Ok((200, body)) => {
            print(&format!("{}\n", harmless::line(body.trim())));
            ExitCode::SUCCESS
        }
        Ok((status, body)) => {
            eprintln!("{url} answers {status}: {}", harmless::line(body.trim()));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{url}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Shows the upstreams, or who still comes by legacy SSE.
pub(crate) fn status(admin: &str, legacy: bool, json: bool) -> ExitCode {
    let url = format!("{}/status", admin.trim_end_matches('/'));
    let body = match get(&url) {
        Ok((200, body)) => body,
        Ok((status, _)) => {
            eprintln!("{url} answers {status}; is this the admin address of a gateway?");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("{url}: {error}; is the gateway running?");
            return ExitCode::FAILURE;
        }
    };
    match serde_json::from_str::<Value>(&body) {
        Ok(status) => {
            match (json, legacy) {
                (true, true) => print_json(&status["legacy"].to_string()),
                (true, false) => print_json(&body),
                (false, true) => show::legacy(&status),
                (false, false) => show::upstreams(&status),
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{url} is no status page: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A GET of plain HTTP: status and body.
fn get(url: &str) -> Result<(u16, String), String> {
    let rest = url
        .strip_prefix("http://")
        .ok_or("the address must begin with http://")?;
    let authority = rest.split('/').next().unwrap_or(rest);
    let address = if authority
        .rsplit(':')
        .next()
        .is_some_and(|port| port.parse::<u16>().is_ok())
    {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let addresses = address.to_socket_addrs().map_err(|error| error.to_string())?;
    let mut last = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, WITHIN) {
            Ok(stream) => {
                return exchange(stream, authority, path_of(url)).map_err(|error| error.to_string());
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

fn exchange(mut stream: TcpStream, host: &str, path: &str) -> std::io::Result<(u16, String)> {
    stream.set_read_timeout(Some(WITHIN))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    status
        .map(|status| (status, body.to_owned()))
        .ok_or_else(|| std::io::Error::other("the answer is no HTTP"))
}

fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |slash| &rest[slash..])
}

/// Runs what a command does, on this thread. What still waits when it is done is left.
fn with_runtime(command: &str, work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("causeway {command}: no runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says what went wrong, where, and what to do.
fn failed(command: &str, at: Option<&str>, trouble: &Trouble) -> ExitCode {
    let screen = Screen::stderr();
    let at = at.map_or_else(String::new, |at| format!("{at}: "));
    eprintln!(
        "causeway {command}: {at}{}",
        screen.paint(Paint::Red, &trouble.to_string())
    );
    if let Some(hint) = trouble.hint() {
        eprintln!("  {hint}");
    }
    ExitCode::FAILURE
}

/// Prints JSON, which in a terminal does nothing to it.
pub(crate) fn print_json(text: &str) {
    let shown = match Screen::stdout().is_terminal() {
        true => harmless::json(text),
        false => text.into(),
    };
    print(&format!("{shown}\n"));
}

/// Prints to standard output. Who reads may have heard enough (`head`); that is no reason to complain.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
