//! The part of `docs/compatibility.md` that the matrix writes.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{
    clients::Client,
    servers::{Place, REMOTE, STDIO},
};

/// What two peers may do with each other beyond calls: its letter, the operation that shows it, what it is.
pub(super) const FEATURES: [(&str, &str, &str); 10] = [
    ("P", "progress", "progress in order"),
    ("C", "cancel", "cancellation"),
    ("L", "logging", "logging"),
    ("S", "sample", "sampling"),
    ("E", "elicit", "elicitation by form"),
    ("U", "visit", "elicitation by URL"),
    ("R", "roots", "roots"),
    ("N", "updates", "subscriptions to resources"),
    ("T", "changes", "news of changed lists"),
    ("5", "5 MB", "a result of 5 MB"),
];

/// What came of one thing that a client was to do at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// One of the two does not offer it.
    NotOffered(&'static str),
    /// Both offer it, and it did not work.
    Failed(String),
}

/// All that came of a client's visit.
#[derive(Clone, Debug, Default)]
pub(super) struct Visit(pub(super) BTreeMap<String, Outcome>);

impl Visit {
    /// The letters of what works, a dot where it is not offered.
    fn letters(&self) -> String {
        let basics = ["connect", "list", "read", "get", "call"];
        if basics
            .iter()
            .any(|label| self.0.get(*label) != Some(&Outcome::Done))
        {
            return "✗".to_owned();
        }
        let letter = |(letter, label, _): (&'static str, &str, &str)| match self.0.get(label) {
            Some(Outcome::Done) => letter,
            Some(Outcome::Failed(_)) => "✗",
            Some(Outcome::NotOffered(_)) | None => "·",
        };
        FEATURES.into_iter().map(letter).collect()
    }

    /// What keeps the letters away that are not there.
    fn reasons(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        FEATURES
            .into_iter()
            .filter_map(|(letter, label, _)| match self.0.get(label) {
                Some(Outcome::NotOffered(why)) => Some((*why, letter)),
                _ => None,
            })
    }
}

/// What is written: two tables, and the reasons for what is not in them.
pub(super) fn page(clients: &[Client], visits: &BTreeMap<(String, String), Visit>, apart: usize) -> String {
    let rows: Vec<&Client> = clients.iter().filter(|client| client.is_of_the_table).collect();
    let mut text = format!(
        "{} clients, {} servers. Without a gateway {apart} of the {} pairs have no revision in common, and none crosses from\n\
         one transport to another.\n\nA cell says what was seen to work beyond connecting, listing, reading, prompting and calling:\n",
        rows.len(),
        REMOTE.len(),
        rows.len() * REMOTE.len(),
    );
    let legend: Vec<String> = FEATURES
        .into_iter()
        .map(|(letter, _, what)| format!("`{letter}` {what}"))
        .collect();
    writeln!(
        text,
        "{}.\nA dot stands for what one of the two does not offer; the reasons are below.",
        legend.join(", ")
    )
    .unwrap();
    for (title, places) in [
        ("Servers over HTTP", REMOTE.as_slice()),
        ("The same servers as children (stdio)", STDIO.as_slice()),
    ] {
        text.push_str(&table(title, &rows, places, visits));
    }
    text.push_str(&reasons(&rows, visits));
    text
}

fn table(
    title: &str,
    rows: &[&Client],
    places: &[Place],
    visits: &BTreeMap<(String, String), Visit>,
) -> String {
    let heads: Vec<String> = places.iter().map(|place| place.title()).collect();
    let mut text = format!(
        "\n### {title}\n\n| | {} |\n|---|{}\n",
        heads.join(" | "),
        "---|".repeat(heads.len())
    );
    for client in rows {
        let cells: Vec<String> = places
            .iter()
            .map(|place| match visits.get(&(client.name.clone(), place.key())) {
                Some(visit) => format!("`{}`", visit.letters()),
                None => "–".to_owned(),
            })
            .collect();
        writeln!(text, "| {} | {} |", client.name, cells.join(" | ")).unwrap();
    }
    text
}

/// What one reason keeps away, and where.
#[derive(Default)]
struct Missing<'a> {
    letters: BTreeSet<&'static str>,
    clients: BTreeSet<&'a str>,
    servers: BTreeSet<&'a str>,
}

fn reasons(rows: &[&Client], visits: &BTreeMap<(String, String), Visit>) -> String {
    let places = REMOTE.into_iter().chain(STDIO);
    let titles: BTreeMap<String, String> = places.map(|place| (place.key(), place.title())).collect();
    let mut found: BTreeMap<&str, Missing<'_>> = BTreeMap::new();
    for ((client, place), visit) in visits {
        let (true, Some(title)) = (rows.iter().any(|row| row.name == *client), titles.get(place)) else {
            continue;
        };
        for (why, letter) in visit.reasons() {
            let missing = found.entry(why).or_default();
            missing.letters.insert(letter);
            missing.clients.insert(client);
            missing.servers.insert(title);
        }
    }
    let mut text =
        "\n### What is not offered\n\n| | Why | Clients | Servers |\n|---|---|---|---|\n".to_owned();
    let list = |all: BTreeSet<&str>| all.into_iter().collect::<Vec<_>>().join("; ");
    for (why, missing) in found {
        let clients = match missing.clients.len() == rows.len() {
            true => "all".to_owned(),
            false => list(missing.clients),
        };
        let letters: String = missing.letters.into_iter().collect();
        writeln!(
            text,
            "| `{letters}` | {why} | {clients} | {} |",
            list(missing.servers)
        )
        .unwrap();
    }
    text
}
