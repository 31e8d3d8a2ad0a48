//! `causeway tools`: what a caller sees at an endpoint.

use std::process::ExitCode;

use serde_json::Value;

use super::door::{Address, Door, Trouble};
use super::listing::{Listing, Which};
use crate::explain::{self, At, Says};
use crate::terminal::table::{Cell, Table};
use crate::terminal::{Paint, Screen, harmless};

/// What to list, and where.
#[derive(clap::Args, Debug)]
pub(crate) struct Tools {
    /// Its prompts, in place of its tools
    #[arg(long, conflicts_with = "resources")]
    prompts: bool,
    /// Its resources, in place of its tools
    #[arg(long)]
    resources: bool,
    /// As JSON, each item as it came
    #[arg(long)]
    json: bool,
    /// As whom, by a file and what its gateway has kept: `key:NAME`, `SOURCE:SUBJECT` of a token, or `anonymous`
    #[arg(long = "as", value_name = "WHO", conflicts_with_all = ["gateway", "headers"])]
    who: Option<String>,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    says: Says,
    #[command(flatten)]
    address: Address,
}

/// Lists them.
pub(crate) fn tools(arguments: &Tools) -> ExitCode {
    let which = match (arguments.prompts, arguments.resources) {
        (true, _) => Which::Prompts,
        (false, true) => Which::Resources,
        (false, false) => Which::Tools,
    };
    if let Some(who) = &arguments.who {
        return kept(arguments, who, which);
    }
    super::with_runtime("tools", async {
        let mut door = match Door::new(&arguments.address) {
            Ok(door) => door,
            Err(trouble) => return super::failed("tools", None, &trouble),
        };
        match Listing::read(&mut door, which).await {
            Ok(listing) => {
                let why = "is missing; `causeway status` shows why";
                show(&listing, which, arguments.json, (door.url(), why));
                ExitCode::SUCCESS
            }
            Err(Trouble::Refused { code, .. }) if code == mcp::code::METHOD_NOT_FOUND => {
                eprintln!("the server at {} has no {}", door.url(), which.member());
                ExitCode::SUCCESS
            }
            Err(trouble) => super::failed("tools", Some(door.url()), &trouble),
        }
    })
}

/// Lists what somebody would see, by what was kept.
fn kept(arguments: &Tools, who: &str, which: Which) -> ExitCode {
    let route = arguments.address.route.as_deref();
    match explain::seen(&arguments.at, (who, &arguments.says), route, which) {
        Ok((route, listing)) => {
            let why = "is missing: its catalog was not kept; a gateway that runs keeps it";
            show(&listing, which, arguments.json, (&route, why));
            ExitCode::SUCCESS
        }
        Err(mistake) => mistake.told("tools"),
    }
}

/// `why` is what is said of a server that is missing.
fn show(listing: &Listing, which: Which, json: bool, (url, why): (&str, &str)) {
    let screen = Screen::stdout();
    if json {
        let text = listing.json();
        let text = match screen.is_terminal() {
            true => harmless::json(&text),
            false => text.into(),
        };
        super::print(&text);
    } else if listing.items.is_empty() {
        eprintln!("there are no {} at {url}", which.member());
    } else {
        super::print(&table(listing, which).shown(screen));
    }
    for alias in &listing.missing {
        let words = format!("{} {why}", harmless::line(alias));
        let screen = Screen::stderr();
        eprintln!("{}", screen.paint(Paint::Red, &words));
    }
}

fn table(listing: &Listing, which: Which) -> Table {
    let heads: &[&'static str] = match which {
        Which::Tools => &["NAME", "SERVER", "HINTS", "WHAT IT DOES"],
        Which::Prompts => &["NAME", "SERVER", "ARGUMENTS", "WHAT IT IS FOR"],
        Which::Resources => &["URI", "SERVER", "TYPE", "WHAT IT IS"],
    };
    let mut table = Table::new(heads);
    for item in &listing.items {
        let item: Value = serde_json::from_str(item.get()).unwrap_or_default();
        let name = item[if which == Which::Resources { "uri" } else { "name" }]
            .as_str()
            .unwrap_or_default();
        let server = item["_meta"]["dev.causeway/name"]["server"]
            .as_str()
            .unwrap_or_default();
        let more = match which {
            Which::Tools => hints(&item["annotations"]),
            Which::Prompts => Cell::new(arguments(&item["arguments"])),
            Which::Resources => Cell::new(harmless::line(item["mimeType"].as_str().unwrap_or_default())),
        };
        table.row(vec![
            Cell::painted(harmless::line(name), Paint::Bold),
            Cell::new(harmless::line(server)),
            more,
            Cell::new(what(&item, name)),
        ]);
    }
    table
}

/// Its title, unless that only repeats the name, and the first line of its description; of a resource that has neither, its
/// name.
fn what(item: &Value, name: &str) -> String {
    let said =
        |text: Option<&str>| text.map(|text| text.trim().lines().next().unwrap_or_default().to_owned());
    let title = item["title"]
        .as_str()
        .or_else(|| item["annotations"]["title"].as_str());
    let letters = |text: &str| -> String {
        text.chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect()
    };
    let bare = name.rsplit("__").next().unwrap_or_default();
    let description = said(item["description"].as_str()).filter(|line| !line.is_empty());
    let title = said(title).filter(|title| description.is_none() || letters(title) != letters(bare));
    let parts: Vec<String> = title
        .into_iter()
        .chain(description)
        .filter(|part| !part.is_empty())
        .collect();
    let text = match parts.is_empty() {
        true => item["uri"]
            .as_str()
            .and(item["name"].as_str())
            .unwrap_or_default()
            .to_owned(),
        false => parts.join(": "),
    };
    harmless::line(&text).into_owned()
}

/// What a tool says of what it does to the world; only hints, since nobody holds it to them.
fn hints(annotations: &Value) -> Cell {
    let says = |hint: &str| annotations[hint].as_bool();
    let reads = says("readOnlyHint") == Some(true);
    let destroys = !reads && says("destructiveHint") == Some(true);
    let words = [
        (reads, "read-only"),
        (destroys, "destructive"),
        (says("idempotentHint") == Some(true) && !reads, "idempotent"),
        (says("openWorldHint") == Some(true), "open-world"),
    ];
    let words: Vec<&str> = words
        .iter()
        .filter(|(said, _)| *said)
        .map(|(_, word)| *word)
        .collect();
    let words = words.join(", ");
    match (reads, destroys) {
        (_, true) => Cell::painted(words, Paint::Red),
        (true, _) => Cell::painted(words, Paint::Green),
        (false, false) => Cell::new(words),
    }
}

/// Names of arguments; those that may be left out with a `?`.
fn arguments(arguments: &Value) -> String {
    let arguments = arguments.as_array().map(Vec::as_slice).unwrap_or_default();
    let names = arguments.iter().map(|argument| {
        let optional = if argument["required"].as_bool() == Some(true) {
            ""
        } else {
            "?"
        };
        format!(
            "{}{optional}",
            harmless::line(argument["name"].as_str().unwrap_or_default())
        )
    });
    names.collect::<Vec<_>>().join(", ")
}
