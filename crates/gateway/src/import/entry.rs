//! One server: what a client's keys say, in ours.

mod reach;
mod rest;

use super::json::{Node, Value};
use super::notes::{Notes, Place};
use super::source::Source;
use super::variables::{Variables, upper};
use super::{remote, secrets};
use crate::terminal::harmless;
use reach::{Reach, Spoken};

/// A server of ours.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) comments: Vec<String>,
    pub(super) keys: Vec<(&'static str, Written)>,
    /// Tools that a wrapper kept from its client.
    denied: Vec<String>,
    place: Place,
}

/// The value of a key.
pub(super) enum Written {
    Text(String),
    /// As our file has it: `300s`.
    Duration(String),
    Flag(bool),
    List(Vec<String>),
    Map(Vec<(String, String)>),
    /// Which tools are shown: all where `allow` is empty, less those denied.
    Picked {
        allow: Vec<String>,
        deny: Vec<String>,
    },
}

/// What a server is read with.
struct Reading<'a> {
    source: &'a Source,
    place: Place,
    variables: &'a mut Variables,
    notes: &'a mut Notes,
}

impl Entry {
    /// Nothing of it is read yet, and it has the name that it has there.
    pub(super) fn new(place: &Place) -> Self {
        Self {
            name: place.server.clone(),
            comments: Vec::new(),
            keys: Vec::new(),
            denied: Vec::new(),
            place: place.clone(),
        }
    }

    /// Gives it its name here.
    pub(super) fn call(&mut self, name: String) {
        if name != self.name {
            let before = format!("called `{}` before", harmless::line(&self.name));
            self.comments.insert(0, before);
        }
        self.name = name;
    }

    pub(super) fn comment(&mut self, text: String) {
        self.comments.push(text);
    }

    /// Reads what a client says of it. False when it is left out, which is told.
    pub(super) fn read(
        &mut self,
        source: &Source,
        body: &Node,
        variables: &mut Variables,
        notes: &mut Notes,
    ) -> bool {
        let mut reading = Reading {
            source,
            place: self.place.clone(),
            variables,
            notes,
        };
        match Reach::of(body, &mut reading) {
            Err(why) => {
                reading.note(format!("is left out: {why}"));
                return false;
            }
            Ok(Reach::Url { url, spoken }) => self.by_url(body, &url, spoken, &mut reading),
            Ok(Reach::Command { program, arguments }) => {
                self.by_command(body, &program, &arguments, &mut reading)
            }
        }
        self.rest(body, &mut reading);
        true
    }

    fn by_url(&mut self, body: &Node, url: &str, spoken: Spoken, reading: &mut Reading<'_>) {
        let headers = reading.pairs(body, "headers");
        self.url(url, spoken, &headers, &[], reading);
    }

    fn url(
        &mut self,
        url: &str,
        spoken: Spoken,
        headers: &[(String, String)],
        own: &[(String, String)],
        reading: &mut Reading<'_>,
    ) {
        if secrets::in_url(url) {
            self.secret("url", None, reading);
        }
        self.keys.push(("url", Written::Text(reading.template(url, own))));
        match spoken {
            Spoken::Any => {}
            Spoken::Http => self.keys.push(("transport", Written::Text("http".to_owned()))),
            Spoken::Sse => self.keys.push(("transport", Written::Text("sse".to_owned()))),
        }
        let mut written = Vec::new();
        for (name, value) in headers {
            let value = reading.template(value, own);
            if secrets::is_secret(name, &value) {
                let variable = upper(&format!("{}_{name}", self.name));
                self.secret(&format!("headers.{name}"), Some(&variable), reading);
            }
            written.push((name.clone(), value));
        }
        if !written.is_empty() {
            self.keys.push(("headers", Written::Map(written)));
        }
    }

    fn by_command(&mut self, body: &Node, program: &str, arguments: &[String], reading: &mut Reading<'_>) {
        let variables = reading.pairs(body, "env");
        let names: Vec<String> = variables.iter().map(|(name, _)| name.clone()).collect();
        match remote::recognise(program, arguments, &names) {
            remote::Command::Plain => {}
            remote::Command::Needed(why) => {
                reading.note(format!("keeps mcp-remote, since it is given {why}"));
            }
            remote::Command::Wrapped(wrapped) => return self.unwrapped(&variables, &wrapped, reading),
        }
        self.keys
            .push(("command", Written::Text(reading.template(program, &[]))));
        for name in secrets::in_arguments(arguments) {
            self.secret(&format!("args: `{name}`"), None, reading);
        }
        if !arguments.is_empty() {
            let arguments = arguments.iter().map(|argument| reading.template(argument, &[]));
            self.keys.push(("args", Written::List(arguments.collect())));
        }
        let mut written = Vec::new();
        for (name, value) in &variables {
            if secrets::is_secret(name, value) {
                self.secret(&format!("env.{name}"), Some(name), reading);
            }
            written.push((name.clone(), reading.template(value, &[])));
        }
        if !written.is_empty() {
            self.keys.push(("env", Written::Map(written)));
        }
        for key in ["envFile", "cwd"] {
            if let Some(path) = body.get(key).and_then(Node::text) {
                self.keys.push((
                    if key == "cwd" { "cwd" } else { "envFile" },
                    Written::Text(reading.path(path)),
                ));
            }
        }
    }

    /// What mcp-remote was started for.
    fn unwrapped(
        &mut self,
        variables: &[(String, String)],
        wrapped: &remote::Wrapped,
        reading: &mut Reading<'_>,
    ) {
        let spoken = match wrapped.transport {
            Some("http") => Spoken::Http,
            Some("sse") => Spoken::Sse,
            Some(_) | None => Spoken::Any,
        };
        let own: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| (name.clone(), reading.template(value, &[])))
            .collect();
        self.url(&wrapped.url, spoken, &wrapped.headers, &own, reading);
        self.denied.clone_from(&wrapped.denied);
        self.comment("by way of mcp-remote before".to_owned());
        let sign_in = match wrapped
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        {
            true => "",
            false => {
                "; if it asks to sign in (OAuth), it needs a token in `headers`, or mcp-remote as before"
            }
        };
        reading.note(format!("is reached without mcp-remote{sign_in}"));
    }

    /// Tells of a secret, without it.
    fn secret(&mut self, at: &str, variable: Option<&str>, reading: &mut Reading<'_>) {
        let way = match variable {
            Some(variable) => format!("`${{{variable}}}` in its place takes it from the environment"),
            None => "`${NAME}` in its place takes it from the environment".to_owned(),
        };
        let at = harmless::line(at).into_owned();
        reading.note(format!(
            "a secret stands in {at} in clear; {}",
            harmless::line(&way)
        ));
        self.comment(format!("a secret stands in {at} in clear"));
    }
}

impl Reading<'_> {
    fn note(&mut self, text: impl std::fmt::Display) {
        self.notes.add(&self.place, text);
    }

    /// A text of the client as a template.
    fn template(&mut self, text: &str, own: &[(String, String)]) -> String {
        let filled = self.variables.template(text, self.source, own);
        for unknown in filled.unknown {
            let unknown = harmless::line(&unknown).into_owned();
            self.note(format!(
                "`${{{unknown}}}` is filled in by nobody here and stands as text"
            ));
        }
        if ["${workspaceFolder", "${workspaceRoot}", "${CLAUDE_PROJECT_DIR"]
            .iter()
            .any(|hole| text.contains(hole))
        {
            let workspace = harmless::line(&self.source.workspace.display().to_string()).into_owned();
            self.notes
                .say(format!("{}: the workspace is {workspace}", self.source.shown));
        }
        filled.text
    }

    /// A path, which clients take from the workspace.
    fn path(&mut self, path: &str) -> String {
        let template = self.template(path, &[]);
        let relative = !template.starts_with(['/', '$', '~', '\\']) && template.get(1..2) != Some(":");
        match relative {
            true => format!(
                "{}/{template}",
                self.source.workspace.display().to_string().replace('$', "$$")
            ),
            false => template,
        }
    }

    /// The names and texts of an object; what has no text is left out, and told.
    fn pairs(&mut self, body: &Node, key: &str) -> Vec<(String, String)> {
        let members = body.get(key).map(Node::members).unwrap_or_default();
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, node) in members {
            pairs.retain(|(before, _)| before != name);
            match node.scalar() {
                Some(text) => pairs.push((name.clone(), text)),
                None => {
                    let is = if matches!(node.value, Value::Null) {
                        "null"
                    } else {
                        "no text"
                    };
                    let name = harmless::line(name).into_owned();
                    self.note(format!("`{key}.{name}` is {is} and left out"));
                }
            }
        }
        pairs
    }
}
