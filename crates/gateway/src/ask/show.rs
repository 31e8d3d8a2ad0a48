//! What a running gateway says of itself, as tables: coloured for people, plain for pipes.

use std::io::IsTerminal as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// The upstreams, and what an operator should look at.
pub(super) fn upstreams(status: &Value) {
    let colours = std::io::stdout().is_terminal();
    let empty = Vec::new();
    let upstreams = status["upstreams"].as_array().unwrap_or(&empty);
    let width = upstreams
        .iter()
        .map(|upstream| text(upstream, "name").len())
        .max()
        .unwrap_or(0)
        .max(8);
    println!(
        "{:width$}  {:9}  {:10}  {:>5}  STATE",
        "UPSTREAM", "TRANSPORT", "REVISION", "TOOLS"
    );
    for upstream in upstreams {
        let up = upstream["up"].as_bool().unwrap_or(false);
        let state = if up {
            "up".to_owned()
        } else {
            format!("down: {}", text(upstream, "error"))
        };
        let state = painted(colours, if up { "32" } else { "31" }, &state);
        let tools = upstream["tools"]
            .as_u64()
            .map_or("-".to_owned(), |tools| tools.to_string());
        println!(
            "{:width$}  {:9}  {:10}  {tools:>5}  {state}",
            text(upstream, "name"),
            text(upstream, "transport"),
            text(upstream, "revision")
        );
    }
    for malformed in status["malformed"].as_array().unwrap_or(&empty) {
        println!(
            "{} gave {} results of `{}` that are not of their shape; they were passed on",
            text(malformed, "upstream"),
            malformed["results"],
            text(malformed, "method")
        );
    }
    if let Some(lost) = status["records_lost"].as_u64().filter(|lost| *lost > 0) {
        println!("{lost} calls could not be recorded");
    }
    let configuration = &status["configuration"];
    if let Some(refused) = configuration["refused"].as_str() {
        let refusal = "the file has changed and cannot be loaded; what was loaded before goes on:";
        println!("{}", painted(colours, "31", refusal));
        print!("{refused}");
    }
}

/// Who came through the door of legacy SSE.
pub(super) fn legacy(status: &Value) {
    let empty = Vec::new();
    let uses = status["legacy"].as_array().unwrap_or(&empty);
    if uses.is_empty() {
        println!("nobody has come by legacy SSE since the start");
        return;
    }
    let widest = |key: &str, least: usize| {
        let lengths = uses.iter().map(|used| text(used, key).chars().count());
        lengths.max().unwrap_or(0).max(least)
    };
    let (client, route, upstream) = (widest("client", 6), widest("route", 5), widest("upstream", 8));
    let head = format!(
        "{:client$}  {:route$}  {:upstream$}  SESSIONS  LAST",
        "CLIENT", "ROUTE", "UPSTREAM"
    );
    println!("{}", painted(std::io::stdout().is_terminal(), "1", &head));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for used in uses {
        let last = Duration::from_secs(used["last_used"].as_u64().unwrap_or(0));
        println!(
            "{:client$}  {:route$}  {:upstream$}  {:>8}  {} ago",
            text(used, "client"),
            text(used, "route"),
            text(used, "upstream"),
            used["sessions"].as_u64().unwrap_or(0),
            rough(now.saturating_sub(last))
        );
    }
}

/// The text of a member, or a dash.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("-")
}

/// A length of time in its largest unit: `3 h`.
fn rough(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = units
        .into_iter()
        .find(|(of, _)| seconds >= *of)
        .unwrap_or((1, "s"));
    format!("{} {}", seconds / unit.0, unit.1)
}

fn painted(colours: bool, code: &str, text: &str) -> String {
    if colours {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}
