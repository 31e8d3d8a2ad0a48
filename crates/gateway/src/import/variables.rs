//! The variables that clients fill in, as templates of ours: `${env:X}`, `${X:-y}`, `${input:x}`, `${workspaceFolder}`.
//!
//! What a client would take as it is stays as it is: a literal `$` is written so that no template begins with it.

use std::collections::BTreeMap;

use super::source::{Input, Source};

/// What the environment of the gateway has to hold, each with what it is for.
#[derive(Default)]
pub(super) struct Variables {
    found: BTreeMap<String, Variable>,
    /// Names that VS Code's inputs have here.
    inputs: BTreeMap<String, String>,
}

struct Variable {
    description: String,
    needed: bool,
}

/// What one hole of a text is.
enum Hole {
    /// A template of ours.
    Template(String),
    /// Text that the client would put there.
    Text(String),
    /// Nothing that is known here.
    Unknown,
}

/// A text as a template, and the names in it that nobody here can fill in.
pub(super) struct Filled {
    pub(super) text: String,
    pub(super) unknown: Vec<String>,
}

impl Variables {
    /// Those that must be set, since nothing stands in for them.
    pub(super) fn needed(&self) -> impl Iterator<Item = &str> {
        let needed = self.found.iter().filter(|(_, variable)| variable.needed);
        needed.map(|(name, _)| name.as_str())
    }

    /// All with what is known of them.
    pub(super) fn described(&self) -> impl Iterator<Item = (&str, &str)> {
        let needed = self.found.iter().filter(|(_, variable)| variable.needed);
        needed.map(|(name, variable)| (name.as_str(), variable.description.as_str()))
    }

    /// A text of a client as a template of ours; `own` are variables of the entry itself,
    /// templates already, which some wrappers fill in.
    pub(super) fn template(&mut self, text: &str, source: &Source, own: &[(String, String)]) -> Filled {
        let mut filled = Filled {
            text: String::with_capacity(text.len()),
            unknown: Vec::new(),
        };
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            filled.text.push_str(&rest[..dollar]);
            let after = &rest[dollar + 1..];
            let inside = after.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let hole = inside.map(|(inside, behind)| (self.hole(inside, source, own), inside, behind));
            match hole {
                Some((Hole::Template(template), _, behind)) => {
                    filled.text.push_str(&template);
                    rest = behind;
                }
                Some((Hole::Text(text), _, behind)) => {
                    filled.text.push_str(&text.replace('$', "$$"));
                    rest = behind;
                }
                Some((Hole::Unknown, inside, _)) => {
                    filled.unknown.push(inside.to_owned());
                    filled.text.push_str("$$");
                    rest = after;
                }
                None => {
                    let begins_one = after.starts_with(['$', '{']);
                    filled.text.push_str(if begins_one { "$$" } else { "$" });
                    rest = after;
                }
            }
        }
        filled.text.push_str(rest);
        filled
    }

    fn hole(&mut self, inside: &str, source: &Source, own: &[(String, String)]) -> Hole {
        let (named, default) = match inside.split_once(":-") {
            Some((named, default)) => (named, Some(default)),
            None => (inside, None),
        };
        let name = named.strip_prefix("env:").unwrap_or(named);
        if let Some((_, value)) = own.iter().find(|(own, _)| own == name) {
            return Hole::Template(value.clone());
        }
        if let Some(id) = named.strip_prefix("input:") {
            return Hole::Template(self.input(id, &source.inputs));
        }
        let workspace = || source.workspace.display().to_string();
        match named {
            "workspaceFolder" | "workspaceRoot" | "CLAUDE_PROJECT_DIR" => return Hole::Text(workspace()),
            "workspaceFolderBasename" => {
                let name = source.workspace.file_name().unwrap_or_default();
                return Hole::Text(name.to_string_lossy().into_owned());
            }
            "pathSeparator" | "/" => return Hole::Text("/".to_owned()),
            "userHome" => return Hole::Template("${HOME}".to_owned()),
            _ => {}
        }
        // Windsurf's, and the same as ours.
        if let Some(path) = named.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Hole::Template(format!("${{file:{path}}}"));
        }
        // Of two spellings, this is not the one of a variable of an editor, such as `command:x`.
        let is_variable = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let editors = [
            "file",
            "fileBasename",
            "fileDirname",
            "relativeFile",
            "cwd",
            "lineNumber",
            "selectedText",
            "execPath",
        ];
        if !is_variable || (editors.contains(&named) && default.is_none()) {
            return Hole::Unknown;
        }
        self.need(name, "", default.is_none());
        match default {
            Some(default) if default.contains("${") => Hole::Unknown,
            Some(default) => Hole::Template(format!("${{{name}:-{default}}}")),
            None => Hole::Template(format!("${{{name}}}")),
        }
    }

    /// The variable that stands for a question of VS Code.
    fn input(&mut self, id: &str, inputs: &[Input]) -> String {
        let asked = inputs.iter().find(|input| input.id == id);
        let default = asked.and_then(|input| input.default.clone());
        let default = default.filter(|default| !default.is_empty() && !default.contains(['$', '}', '\n']));
        let name = match self.inputs.get(id) {
            Some(name) => name.clone(),
            None => {
                let mut name = upper(id);
                if self.found.contains_key(&name) {
                    name = format!("INPUT_{name}");
                }
                self.inputs.insert(id.to_owned(), name.clone());
                name
            }
        };
        let description = asked.map_or("", |input| &input.description);
        self.need(&name, description, default.is_none());
        match default {
            Some(default) => format!("${{{name}:-{default}}}"),
            None => format!("${{{name}}}"),
        }
    }

    fn need(&mut self, name: &str, description: &str, needed: bool) {
        if name == "HOME" {
            return;
        }
        let variable = self.found.entry(name.to_owned()).or_insert_with(|| Variable {
            description: String::new(),
            needed: false,
        });
        variable.needed |= needed;
        if variable.description.is_empty() {
            description.clone_into(&mut variable.description);
        }
    }
}

/// `perplexity-key` as `PERPLEXITY_KEY`.
pub(super) fn upper(text: &str) -> String {
    let mut upper: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    if !upper.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        upper.insert(0, '_');
    }
    upper
}
