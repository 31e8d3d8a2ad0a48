//! What a running gateway says of itself, as tables: coloured for people, plain for pipes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::terminal::table::{Cell, Table};
use crate::terminal::{Paint, Screen, harmless};

/// The upstreams, and what an operator should look at.
pub(super) fn upstreams(status: &Value) {
    let screen = Screen::stdout();
    let upstreams = list(&status["upstreams"]);
    let mut table = Table::new(&[
        "UPSTREAM",
        "ALIAS",
        "TRANSPORT",
        "REVISION",
        "TOOLS",
        "LISTED",
        "STATE",
    ]);
    let mut reasons = Vec::new();
    for upstream in upstreams {
        let (state, paint) = match upstream["state"].as_str() {
            Some("up") => ("up", Paint::Green),
            Some("unknown") => ("not asked yet", Paint::Yellow),
            Some("disabled") => ("disabled", Paint::Dim),
            Some(_) | None => ("down", Paint::Red),
        };
        // Of one that is up, an error is of before.
        let error = upstream["error"]
            .as_str()
            .filter(|_| state != "up")
            .map(harmless::line);
        let mut said = state.to_owned();
        if let Some(error) = error {
            if screen.is_terminal() {
                reasons.push(format!(
                    "{}: {error}",
                    screen.paint(paint, &text(upstream, "name"))
                ));
            } else {
                said = format!("{state}: {error}");
            }
        }
        let number = |key: &str| upstream[key].as_u64();
        table.row(vec![
            Cell::painted(text(upstream, "name"), Paint::Bold),
            Cell::new(text(upstream, "alias")),
            Cell::new(text(upstream, "transport")),
            Cell::new(text(upstream, "revision")),
            Cell::new(number("tools").map_or("-".to_owned(), |tools| tools.to_string())),
            Cell::new(number("tools_age").map_or("-".to_owned(), |age| ago(Duration::from_secs(age)))),
            Cell::painted(said, paint),
        ]);
    }
    print!("{}", table.shown(screen));
    for reason in reasons {
        println!("{reason}");
    }
    for malformed in list(&status["malformed"]) {
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
        println!("{}", screen.paint(Paint::Red, refusal));
        print!("{refused}");
    }
}

/// Who came through the door of legacy SSE.
pub(super) fn legacy(status: &Value) {
    let uses = list(&status["legacy"]);
    if uses.is_empty() {
        println!("nobody has come by legacy SSE since the start");
        return;
    }
    let mut table = Table::new(&["CLIENT", "ROUTE", "UPSTREAM", "SESSIONS", "LAST"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for used in uses {
        let last = Duration::from_secs(used["last_used"].as_u64().unwrap_or(0));
        table.row(vec![
            Cell::new(text(used, "client")),
            Cell::new(text(used, "route")),
            Cell::new(text(used, "upstream")),
            Cell::new(used["sessions"].as_u64().unwrap_or(0).to_string()),
            Cell::new(ago(now.saturating_sub(last))),
        ]);
    }
    print!("{}", table.shown(Screen::stdout()));
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The text of a member, or a dash.
fn text(value: &Value, key: &str) -> String {
    harmless::line(value[key].as_str().unwrap_or("-")).into_owned()
}

fn ago(length: Duration) -> String {
    format!("{} ago", rough(length))
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
