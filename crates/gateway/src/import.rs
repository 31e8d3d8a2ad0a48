//! `causeway import`: the servers that clients are configured with, as our file.
//!
//! Nothing is contacted, started or looked up in the environment. What a client's file says and ours cannot is told on
//! standard error, each with its place; what it means is written in ours. A secret stays where it was, and is never repeated
//! in what is told.

mod json;
mod source;
mod notes;
mod variables;
mod names;
mod entry;
mod remote;
mod secrets;
mod yaml;

use std::collections::HashMap;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::terminal::harmless;
use entry::Entry;
use names::Names;
use notes::{Notes, Place};
use source::Source;
use variables::Variables;

/// Exit status for files that cannot be imported.
const MISTAKEN: u8 = 2;

/// What to import, and where to.
#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    /// Files with `mcpServers`, or VS Code's with `servers`; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write it here instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace what is there
    #[arg(long, requires = "out")]
    force: bool,
}

/// Imports them.
pub(crate) fn import(arguments: &Import) -> ExitCode {
    match imported(&arguments.files) {
        Ok((text, notes)) => {
            eprint!("{notes}");
            match &arguments.out {
                None => {
                    let mut stdout = std::io::stdout().lock();
                    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
                    ExitCode::SUCCESS
                }
                Some(out) => written(out, arguments.force, &text),
            }
        }
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("{mistake}");
            }
            ExitCode::from(MISTAKEN)
        }
    }
}

/// All files as one of ours, and what is to be told; or what stands in the way, line by line.
fn imported(files: &[PathBuf]) -> Result<(String, String), Vec<String>> {
    let mut mistakes = Vec::new();
    let mut sources = Vec::new();
    for file in files {
        match Source::read(file) {
            Ok(source) => sources.push(source),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    mistakes.extend(twice(&sources));
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut notes = Notes::default();
    let mut names = Names::default();
    let mut variables = Variables::default();
    // Names that can stay are kept from those that have to change.
    for server in sources.iter().flat_map(|source| &source.servers) {
        names.reserve(&server.name);
    }
    let mut entries = Vec::new();
    for source in &sources {
        source.tell(&mut notes);
        for server in &source.servers {
            let place = Place {
                file: source.shown.clone(),
                line: server.line,
                server: server.name.clone(),
            };
            let mut entry = Entry::new(&place);
            if entry.read(source, &server.body, &mut variables, &mut notes) {
                entry.call(names.fit(&server.name, &mut |text| notes.add(&place, text)));
                if files.len() > 1 {
                    entry.comment(format!("from {}", source.shown));
                }
                entries.push(entry);
            }
        }
    }
    if entries.is_empty() {
        let mut said: Vec<String> = notes.lines();
        said.push("there is no server in it that could be imported".to_owned());
        return Err(said);
    }
    let from: Vec<&str> = sources.iter().map(|source| source.shown.as_str()).collect();
    let text = yaml::document(&from, &variables, &entries);
    notes.end(&variables);
    Ok((text, notes.to_string()))
}

/// The names that stand twice, in one file or in two.
fn twice(sources: &[Source]) -> Vec<String> {
    let mut seen: HashMap<&str, (&str, usize)> = HashMap::new();
    let mut mistakes = Vec::new();
    for source in sources {
        for server in &source.servers {
            if let Some((file, line)) = seen.insert(&server.name, (&source.shown, server.line)) {
                let name = harmless::line(&server.name);
                mistakes.push(format!(
                    "{}:{}: `{name}` stands in {file}:{line} too; rename one of them",
                    source.shown, server.line
                ));
            }
        }
    }
    mistakes
}

/// Readable for its owner alone, since it may hold secrets.
fn written(out: &Path, force: bool, text: &str) -> ExitCode {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(0o600);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let shown = out.display();
    let write = || -> std::io::Result<()> {
        let mut file = options.open(out)?;
        // One that was there may be for others to read.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())
    };
    match write() {
        Ok(()) => {
            eprintln!("{shown} is written; `causeway check {shown}` says what it still needs");
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            eprintln!("{shown} is there already; `--force` replaces it");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{shown} cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}
