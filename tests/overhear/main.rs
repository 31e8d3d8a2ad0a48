//! Starts a stdio server and passes on all that is said, having judged it first.
//!
//! ```text
//! overhear COMMAND [ARGUMENT]...
//! ```
//! It ends as the server ends, with its code; the server's stdin ends with its own.
#![allow(clippy::unwrap_used, reason = "a broken test environment may panic")]
#![expect(clippy::disallowed_methods, reason = "it ends as the server has ended")]

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::{Command, Stdio, exit},
    sync::{Arc, Mutex},
    thread,
};

use harness::{PipeEar, Side};

fn main() {
    let mut words = std::env::args().skip(1);
    let mut server = Command::new(words.next().unwrap())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (to_server, from_server) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
    let ear = Arc::new(Mutex::new(PipeEar::default()));
    let heard = Arc::clone(&ear);
    thread::spawn(move || pass(Side::Client, io::stdin(), to_server, &heard));
    pass(Side::Server, from_server, io::stdout(), &ear);
    let status = server.wait().unwrap();
    ear.lock().unwrap().tell();
    exit(status.code().unwrap_or(1));
}

/// Passes on line by line until either end has gone.
fn pass(side: Side, from: impl Read, mut to: impl Write, ear: &Mutex<PipeEar>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        // First, so that no answer is heard before its request.
        ear.lock().unwrap().hear(side, &line);
        if to.write_all(&line).and_then(|()| to.flush()).is_err() {
            return;
        }
        line.clear();
    }
}
