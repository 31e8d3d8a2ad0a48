//! An explanation as people and scripts read it: the rules in order, and then what comes of it in one sentence.

use std::time::Duration;

use policy::rules::Effect;
use serde_json::json;

use super::verdict::{Outcome, Step, Verdict};
use crate::ask::{print, print_json};
use crate::terminal::table::{Cell, Table};
use crate::terminal::{Paint, Screen, harmless};

/// Prints it; notes to standard error.
pub(super) fn show(verdict: &Verdict, json: bool) {
    if json {
        return print_json(&as_json(verdict));
    }
    let screen = Screen::stdout();
    let mut text = table(&verdict.steps).shown(screen);
    let paint = match (verdict.is_allowed(), &verdict.outcome) {
        (true, _) => Paint::Green,
        (false, Outcome::Asked(_)) => Paint::Yellow,
        (false, _) => Paint::Red,
    };
    if screen.is_terminal() && verdict.steps.is_empty() {
        text.clear();
    }
    text.push_str(&screen.paint(paint, &harmless::line(&sentence(verdict))));
    text.push('\n');
    print(&text);
    for note in &verdict.notes {
        eprintln!("{}", Screen::stderr().paint(Paint::Yellow, &harmless::line(note)));
    }
}

fn table(steps: &[Step]) -> Table {
    let mut table = Table::new(&["LINE", "EFFECT", "WHY", "RULE"]);
    for step in steps {
        let paint = match (step.decides, step.effect) {
            (false, _) => Paint::Dim,
            (true, Effect::Allow) => Paint::Green,
            (true, Effect::Ask) => Paint::Yellow,
            (true, Effect::Deny) => Paint::Red,
        };
        table.row(vec![
            Cell::new(step.line.to_string()),
            Cell::painted(word(step.effect), paint),
            Cell::painted(harmless::line(&step.why), paint),
            Cell::new(harmless::line(&step.says)),
        ]);
    }
    table
}

/// What comes of it, and why.
fn sentence(verdict: &Verdict) -> String {
    let Verdict {
        who,
        route,
        upstream,
        kind,
        name,
        ..
    } = verdict;
    let by = match verdict.line {
        Some(line) => format!("by the rule on line {line}"),
        None => "since no rule speaks of it".to_owned(),
    };
    let call = format!("{who} and the {kind} `{name}` of {upstream} at {route}");
    let said = match &verdict.outcome {
        Outcome::Allowed if verdict.line.is_none() => {
            "allowed, as the file has no rules (`allow`)".to_owned()
        }
        Outcome::Allowed => format!("allowed {by}"),
        Outcome::TurnedAway(why) => format!("denied before any rule: {why}"),
        Outcome::Hidden => format!(
            "denied before any rule: the file does not show this {kind} here, and it looks as if there were none"
        ),
        Outcome::Unknown => format!("denied {by}; it looks as if there were no such {kind}"),
        Outcome::Told(message) => {
            let told = match *kind {
                "tool" => "the tool's answer says so",
                _ => "the answer says so",
            };
            let words = message.as_ref().map(|message| format!(": {message}"));
            format!("denied {by}; {told}{}", words.unwrap_or_default())
        }
        Outcome::Scopes(scopes) => {
            format!("needs the scopes {} (403)", scopes.join(", "))
        }
        Outcome::Asked(within) => format!("asked {by}: somebody must approve within {}", length(*within)),
    };
    let is_only_tried =
        verdict.is_dry && !matches!(verdict.outcome, Outcome::Allowed) && verdict.is_allowed();
    match is_only_tried {
        true => format!("{call}: allowed, as rules are only tried (`dry_run`); else {said}"),
        false => format!("{call}: {said}"),
    }
}

fn as_json(verdict: &Verdict) -> String {
    let rules: Vec<_> = verdict
        .steps
        .iter()
        .map(|step| {
            json!({
                "line": step.line, "effect": word(step.effect), "decides": step.decides,
                "why": step.why, "rule": step.says,
            })
        })
        .collect();
    let (decision, looks) = match &verdict.outcome {
        Outcome::Allowed => ("allowed", None),
        Outcome::TurnedAway(_) => ("denied", Some("turned_away")),
        Outcome::Hidden => ("denied", Some("hidden")),
        Outcome::Unknown => ("denied", Some("unknown")),
        Outcome::Told(_) => ("denied", Some("told")),
        Outcome::Scopes(_) => ("needs_scopes", None),
        Outcome::Asked(_) => ("asked", None),
    };
    let scopes = match &verdict.outcome {
        Outcome::Scopes(scopes) => scopes.as_slice(),
        _ => &[],
    };
    let explained = json!({
        "who": verdict.who, "route": verdict.route, "upstream": verdict.upstream,
        "kind": verdict.kind, "name": verdict.name, "rules": rules,
        "decision": decision, "looks": looks, "line": verdict.line, "scopes": scopes,
        "dry_run": verdict.is_dry, "allowed": verdict.is_allowed(),
        "sentence": sentence(verdict), "notes": verdict.notes,
    });
    explained.to_string()
}

fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
        Effect::Ask => "ask",
    }
}

/// As the file would write it: `10m`.
fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [(3600, "h"), (60, "m")];
    let unit = units
        .into_iter()
        .find(|(of, _)| seconds > 0 && seconds.is_multiple_of(*of));
    let (of, unit) = unit.unwrap_or((1, "s"));
    format!("{}{unit}", seconds / of)
}
