//! How a client reaches a server: which keys say so, in all their spellings.

use super::Reading;
use crate::import::json::Node;
use crate::import::source::Form;
use crate::terminal::harmless;

/// How it is reached.
pub(super) enum Reach {
    Url { url: String, spoken: Spoken },
    Command { program: String, arguments: Vec<String> },
}

/// What is spoken at a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    /// To be found out.
    Any,
    Http,
    Sse,
}

/// What `type` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Stdio,
    Http,
    Sse,
}

/// Keys that say it.
pub(super) const KEYS: [&str; 8] = [
    "type",
    "transport",
    "transportType",
    "command",
    "args",
    "url",
    "serverUrl",
    "httpUrl",
];

impl Reach {
    /// # Errors
    /// Why it cannot be reached from here.
    pub(super) fn of(body: &Node, reading: &mut Reading<'_>) -> Result<Self, String> {
        if !body.is_object() {
            return Err("it is no object".to_owned());
        }
        let kind = kind(body)?;
        let url = ["url", "serverUrl", "httpUrl"]
            .into_iter()
            .find_map(|key| Some((key, body.get(key)?.text()?)));
        let command = command(body);
        match (command, url) {
            (Some(_), Some((key, _))) if matches!(kind, Kind::Stdio | Kind::None) => {
                reading.note(format!("has `command` and `{key}`; `{key}` is left out"));
                Ok(unwrapped(body, reading))
            }
            (None, None) => Err("neither `command` nor `url` says how it is reached".to_owned()),
            (Some(_), None) => Ok(unwrapped(body, reading)),
            (command, Some((key, url))) => {
                if command.is_some() {
                    reading.note("has `command` and a URL; `command` is left out");
                }
                if let Some((scheme, _)) = url.split_once("://")
                    && !["http", "https"].contains(&scheme)
                    && !scheme.contains("${")
                {
                    return Err(format!("`{}://` is not spoken here", harmless::line(scheme)));
                }
                let spoken = match kind {
                    // VS Code takes the older transport for the same word, when there is no other.
                    Kind::Http if reading.source.form == Form::VsCode => Spoken::Any,
                    Kind::Http => Spoken::Http,
                    Kind::Sse => Spoken::Sse,
                    Kind::None if key == "httpUrl" => Spoken::Http,
                    Kind::Stdio | Kind::None => Spoken::Any,
                };
                Ok(Self::Url {
                    url: url.to_owned(),
                    spoken,
                })
            }
        }
    }
}

fn kind(body: &Node) -> Result<Kind, String> {
    let said = ["type", "transport", "transportType"]
        .into_iter()
        .find_map(|key| body.get(key)?.text());
    let letters = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    match said.map(letters).as_deref() {
        None => Ok(Kind::None),
        Some("stdio" | "local" | "command") => Ok(Kind::Stdio),
        Some("http" | "https" | "streamablehttp" | "httpstream" | "httpstreamable" | "streamable") => {
            Ok(Kind::Http)
        }
        Some("remote" | "auto" | "") => Ok(Kind::None),
        Some("sse" | "httpsse") => Ok(Kind::Sse),
        Some(_) => {
            let said = harmless::line(said.unwrap_or_default()).into_owned();
            Err(format!("`{said}` is not spoken here"))
        }
    }
}

/// Its program and its arguments, which some clients write as one list.
fn command(body: &Node) -> Option<(String, Vec<String>)> {
    let node = body.get("command")?;
    let listed = |node: Option<&Node>| -> Vec<String> {
        let items = node.and_then(Node::items).unwrap_or_default();
        items.iter().filter_map(Node::scalar).collect()
    };
    let (program, mut arguments) = match node.text() {
        Some(program) => (program.to_owned(), Vec::new()),
        None => {
            let mut words = listed(Some(node)).into_iter();
            (words.next()?, words.collect())
        }
    };
    arguments.extend(listed(body.get("args")));
    Some((program, arguments))
}

/// Without `cmd /c`, which Windows needs to find scripts.
fn unwrapped(body: &Node, reading: &mut Reading<'_>) -> Reach {
    let (mut program, mut arguments) = command(body).unwrap_or_default();
    let is_shell = ["cmd", "cmd.exe"].contains(&program.to_lowercase().as_str());
    if is_shell && arguments.len() > 1 && arguments[0].eq_ignore_ascii_case("/c") {
        arguments.remove(0);
        program = arguments.remove(0);
        reading.note("is started without `cmd /c`, which Windows alone needs");
    }
    Reach::Command { program, arguments }
}
