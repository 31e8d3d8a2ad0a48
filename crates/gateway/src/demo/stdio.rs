//! Standard input and output: a message a line.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::http::LARGEST;
use super::message::{Answer, Fault};
use super::pipe::{Delivery, Pipe, QUEUE};
use super::server::Server;

/// Serves until standard input ends, standard output is closed or the process is told to stop.
///
/// Both streams have a thread of their own rather than tokio's: a read that never returns would keep the
/// runtime from ending, and one hand-over for a line costs less than one for each read.
pub(super) async fn serve(server: Arc<Server>, quiet: bool) -> ExitCode {
    if std::io::stdin().is_terminal() && !quiet {
        eprintln!("an MCP server on standard input and output; a client should start it, or see --listen");
    }
    let (incoming, inbox) = mpsc::channel(QUEUE);
    let (outbound, outgoing) = mpsc::channel(QUEUE);
    let (written, all_written) = oneshot::channel();
    let faults = outbound.downgrade();
    std::thread::spawn(move || read(&incoming, &faults));
    std::thread::spawn(move || {
        write(outgoing);
        let _ = written.send(());
    });

    let mut pipe = Pipe::new(server.clone(), server.era, inbox, outbound);
    tokio::select! {
        () = pipe.serve() => {}
        () = super::told_to_stop() => {}
    }
    server.closing.send_replace(true);
    pipe.finish().await;
    // Whoever no longer reads is not waited for.
    let _ = tokio::time::timeout(std::time::Duration::from_millis(250), all_written).await;
    ExitCode::SUCCESS
}

/// Reads until the end; then `inbox` closes, which ends the pipe.
fn read(inbox: &mpsc::Sender<Delivery>, faults: &mpsc::WeakSender<Value>) {
    let refuse = |fault| match faults.upgrade() {
        Some(outbound) => outbound.blocking_send(Answer::fault(None, fault).message).is_ok(),
        None => false,
    };
    let mut input = std::io::stdin().lock();
    loop {
        let mut line = Vec::new();
        match input.by_ref().take(LARGEST as u64).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => return eprintln!("cannot read standard input: {error}"),
        }
        if line.len() == LARGEST && line.last() != Some(&b'\n') {
            if input.skip_until(b'\n').is_err() || !refuse(Fault::invalid_request("the message is too large"))
            {
                return;
            }
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let goes_on = match serde_json::from_slice(&line) {
            Ok(message) => inbox
                .blocking_send(Delivery {
                    message,
                    headers: None,
                })
                .is_ok(),
            Err(error) => refuse(Fault::parse(&error)),
        };
        if !goes_on {
            return;
        }
    }
}

/// Writes until nobody has anything to say; what is queued goes out in one write.
fn write(mut outgoing: mpsc::Receiver<Value>) {
    let mut output = std::io::stdout().lock();
    let mut lines = Vec::new();
    while let Some(message) = outgoing.blocking_recv() {
        lines.clear();
        add(&mut lines, &message);
        while let Ok(message) = outgoing.try_recv() {
            add(&mut lines, &message);
        }
        if output.write_all(&lines).and_then(|()| output.flush()).is_err() {
            return;
        }
        // One large answer should not be held for the rest of the process.
        lines.shrink_to(1 << 20);
    }
}

fn add(lines: &mut Vec<u8>, message: &Value) {
    // Compact JSON has no newline of its own, and a vector takes whatever is written.
    let _ = serde_json::to_writer(&mut *lines, message);
    lines.push(b'\n');
}
