//! What people do at a terminal in front of a running gateway, and scripts in a pipe: look, call, answer, import.
use std::process::Command;

use harness::{Exit, Mood, Program, Reply, Running, Server, Terminal, causeway};
use serde_json::{Value, json};

mod listing;
mod calling;
mod forms;
mod status;
mod importing;

/// `causeway` with these arguments.
pub(super) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(causeway());
    command.args(arguments).env_remove("NO_COLOR");
    command
}

/// The same at the front door of a gateway.
pub(super) fn at(gateway: &Running, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command.args(["--gateway", &gateway.url("")]);
    command
}

/// What a script gets: how it ended, and what it said on both streams.
pub(super) async fn piped(command: Command) -> (Exit, String, String) {
    let program = Program::start("causeway", command);
    let exit = program.ended().await;
    (exit, program.stdout().join("\n"), program.stderr())
}

/// What a person sees at the end, on a terminal of so many columns.
pub(super) async fn seen(command: Command, columns: u16) -> (Exit, String) {
    let terminal = Terminal::start(command, columns);
    let exit = terminal.ended().await;
    (exit, terminal.screen())
}

/// Without the sequences by which we colour.
pub(super) fn plain(screen: &str) -> String {
    let mut plain = String::new();
    let mut rest = screen;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once(['m', 'K']).map_or("", |(_, after)| after);
    }
    plain + rest
}

/// A server of 2026-07-28 with these tools.
async fn with_tools(tools: Value) -> Server {
    Server::of(Mood::Modern)
        .on("tools/list", move |request| {
            let result =
                json!({ "tools": tools, "ttlMs": 0, "cacheScope": "private", "resultType": "complete" });
            Reply::result(request, &result)
        })
        .start()
        .await
}

/// A tool.
fn tool(name: &str, description: &str) -> Value {
    json!({ "name": name, "description": description, "inputSchema": { "type": "object" } })
}
