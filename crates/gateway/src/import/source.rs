//! A client's file: whose form it has, which servers are in it, and where it stands.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::json::{self, Node};
use super::notes::Notes;
use crate::terminal::harmless;

/// The longest file, in bytes.
const LONGEST: u64 = 8 << 20;

/// Directories within a workspace that its settings stand in.
const SETTINGS: [&str; 9] = [
    ".vscode",
    ".cursor",
    ".windsurf",
    ".claude",
    ".roo",
    ".kiro",
    ".gemini",
    ".amazonq",
    ".devcontainer",
];

/// What is understood, for who brought something else.
const FORMS: &str = "what is understood: `mcpServers` (Claude Desktop and Code, Cursor, Windsurf and most others), \
                     and `servers` with `inputs` (VS Code), also below `mcp` in its settings";

/// One file.
pub(super) struct Source {
    /// Its name as it was given.
    pub(super) shown: String,
    /// What `${workspaceFolder}` means in it.
    pub(super) workspace: PathBuf,
    pub(super) form: Form,
    pub(super) servers: Vec<Server>,
    /// VS Code's questions to its user, by id.
    pub(super) inputs: Vec<Input>,
    /// Servers that a client has for single projects, which are no part of what is imported.
    projects: Vec<String>,
}

/// Whose form a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `mcpServers`.
    Common,
    /// `servers`.
    VsCode,
}

/// A server as it stands there.
pub(super) struct Server {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) body: Node,
}

/// A value that VS Code asks its user for.
pub(super) struct Input {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) default: Option<String>,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// In one line, what stands in the way.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let standard_input = file == Path::new("-");
        let shown = match standard_input {
            true => "standard input".to_owned(),
            false => harmless::line(&file.display().to_string()).into_owned(),
        };
        let text = match standard_input {
            true => text_of(std::io::stdin().lock()),
            false => std::fs::File::open(file).and_then(text_of),
        };
        let text = text.map_err(|error| format!("{shown}: it cannot be read: {error}"))?;
        let root = json::parse(&text).map_err(|wrong| format!("{shown}:{wrong}"))?;
        let (form, servers, inputs) =
            found(&root).ok_or_else(|| format!("{shown}: no servers stand in it; {FORMS}"))?;
        if !servers.is_object() {
            return Err(format!(
                "{shown}:{}: the servers are no object by their names; {FORMS}",
                servers.line
            ));
        }
        let servers = servers.members().iter().map(|(name, body)| Server {
            name: name.clone(),
            line: body.line,
            body: body.clone(),
        });
        let projects = root.get("projects").map(Node::members).unwrap_or_default();
        let projects = projects.iter().filter(|(_, project)| {
            let servers = project.get("mcpServers").map(Node::members);
            servers.is_some_and(|servers| !servers.is_empty())
        });
        Ok(Self {
            workspace: workspace(file),
            form,
            servers: servers.collect(),
            inputs: inputs
                .and_then(Node::items)
                .unwrap_or_default()
                .iter()
                .filter_map(input)
                .collect(),
            projects: projects.map(|(path, _)| path.clone()).collect(),
            shown,
        })
    }

    /// What is to be said of the file as a whole.
    pub(super) fn tell(&self, notes: &mut Notes) {
        if self.projects.is_empty() {
            return;
        }
        let projects: Vec<_> = self.projects.iter().map(|path| harmless::line(path)).collect();
        let projects = projects.join(", ");
        notes.say(format!(
            "{}: servers of single projects are left out: {projects}",
            self.shown
        ));
    }
}

fn text_of(from: impl std::io::Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(LONGEST + 1).read_to_string(&mut text)?;
    match text.len() as u64 > LONGEST {
        true => Err(std::io::Error::other(format!(
            "it is longer than {} MiB",
            LONGEST >> 20
        ))),
        false => Ok(text),
    }
}

/// Where the servers stand, and VS Code's inputs.
fn found(root: &Node) -> Option<(Form, &Node, Option<&Node>)> {
    if let Some(servers) = root.get("mcpServers") {
        return Some((Form::Common, servers, root.get("inputs")));
    }
    let settings = || root.get("mcp");
    let container = || root.get("customizations")?.get("vscode")?.get("mcp");
    let places = [Some(root), settings(), container()];
    for place in places.into_iter().flatten() {
        if let Some(servers) = place.get("servers") {
            return Some((Form::VsCode, servers, place.get("inputs")));
        }
    }
    // Plugins leave the outermost name away.
    let members = root.members();
    let is_server = |node: &Node| {
        ["command", "url"]
            .iter()
            .any(|key| node.get(key).is_some_and(|key| key.text().is_some()))
    };
    let bare = !members.is_empty() && members.iter().all(|(_, node)| is_server(node));
    bare.then_some((Form::Common, root, None))
}

fn input(node: &Node) -> Option<Input> {
    let text = |name: &str| node.get(name).and_then(Node::text);
    let first = || node.get("options")?.items()?.first()?.text();
    Some(Input {
        id: text("id")?.to_owned(),
        description: text("description").unwrap_or_default().to_owned(),
        // A list that is chosen from begins with what most choose, when it says nothing else.
        default: text("default").or_else(first).map(str::to_owned),
    })
}

/// The directory that the file belongs to: settings stand in it, or in one of its own like `.vscode`.
fn workspace(file: &Path) -> PathBuf {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let parent = whole.parent().unwrap_or(Path::new("/"));
    let of_settings = parent
        .file_name()
        .is_some_and(|name| SETTINGS.iter().any(|settings| name == *settings));
    match parent.parent() {
        Some(above) if of_settings => above.to_owned(),
        Some(_) | None => parent.to_owned(),
    }
}
