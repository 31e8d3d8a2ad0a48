//! Keys that are no part of how a server is reached: the few that mean something here, and what became of the others.

use super::reach::KEYS;
use super::{Entry, Node, Reading, Written};
use crate::import::json::Value;
use crate::terminal::harmless;

/// A number that is larger is of milliseconds: no client lets a call wait for more seconds than this.
const MOST_SECONDS: u64 = 3_600;

/// What is read elsewhere.
const READ: [&str; 4] = ["env", "headers", "envFile", "cwd"];

impl Entry {
    /// Reads them.
    pub(super) fn rest(&mut self, body: &Node, reading: &mut Reading<'_>) {
        let mut allow = Vec::new();
        let mut deny = std::mem::take(&mut self.denied);
        let is_command = self.keys.iter().any(|(key, _)| *key == "command");
        for (key, node) in body.members() {
            match key.as_str() {
                "timeout" => self.timeout(node, reading),
                "disabled" | "enabled" => {
                    if node.flag() == Some(key == "disabled") {
                        self.keys.push(("disabled", Written::Flag(true)));
                    }
                }
                "disabledTools" | "excludeTools" if node.items().is_some() => deny.extend(texts(node)),
                "enabledTools" | "includeTools" | "allowedTools" | "tools" if node.items().is_some() => {
                    allow.extend(texts(node));
                }
                "headers" if is_command => reading.note("`headers` is dropped: a process has none"),
                "env" | "envFile" | "cwd" | "args" if !is_command && !self.was_wrapped() => {
                    reading.note(format!("`{key}` is dropped: it belongs to a command"));
                }
                "envFile" if is_command => {
                    reading.note("its `envFile` has to be there when the gateway starts")
                }
                key if READ.contains(&key) || KEYS.contains(&key) => {}
                key => {
                    let shown = harmless::line(key).into_owned();
                    reading.note(format!("`{shown}` is dropped: {}", why(key)));
                }
            }
        }
        // Whoever allows all says nothing.
        allow.retain(|name| name != "*");
        if !(allow.is_empty() && deny.is_empty()) {
            self.keys.push(("tools", Written::Picked { allow, deny }));
        }
    }

    fn was_wrapped(&self) -> bool {
        self.comments.iter().any(|comment| comment.contains("mcp-remote"))
    }

    fn timeout(&mut self, node: &Node, reading: &mut Reading<'_>) {
        let written = match &node.value {
            Value::Number(number) => match number.parse::<u64>() {
                Ok(0) | Err(_) => None,
                Ok(seconds) if seconds <= MOST_SECONDS => {
                    reading.note(format!("`timeout: {seconds}` is taken for seconds"));
                    Some(format!("{seconds}s"))
                }
                Ok(milliseconds) => {
                    reading.note(format!("`timeout: {milliseconds}` is taken for milliseconds"));
                    Some(match milliseconds % 1000 {
                        0 => format!("{}s", milliseconds / 1000),
                        _ => format!("{milliseconds}ms"),
                    })
                }
            },
            Value::Text(text) => config::scalar::duration(text).is_ok().then(|| text.clone()),
            _ => None,
        };
        match written {
            Some(written) => self.keys.push(("timeout", Written::Duration(written))),
            None => reading.note("`timeout` is dropped: it is no length of time"),
        }
    }
}

fn texts(node: &Node) -> Vec<String> {
    let items = node.items().unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item.text().map(str::to_owned))
        .collect()
}

/// Why a key means nothing here.
fn why(key: &str) -> &'static str {
    match key {
        "autoApprove" | "alwaysAllow" | "alwaysApprove" | "trust" | "autoApproveAll" | "autoApproveTools" => {
            "whether a call is approved is between a client and its user"
        }
        "disabledTools" | "enabledTools" | "includeTools" | "excludeTools" | "tools" | "allowedTools" => {
            "it is no list of tools, and all of them are served"
        }
        "oauth" | "auth" | "authProvider" | "authProviderType" | "headersHelper" => {
            "the gateway does not sign in by itself; what it shall present stands in `headers`"
        }
        _ => "it means nothing to the gateway",
    }
}
