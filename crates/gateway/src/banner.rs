//! What a person sees at the start: where to knock, what stands behind, and one line to try it.
//! A pipe gets the same facts as plain lines.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use upstream::{Summary, Upstream};

use crate::reload::Change;
use crate::terminal::{Paint, Screen, harmless};

/// Where the facts go: standard output, unless the record of calls goes there.
pub(crate) struct Banner {
    screen: Screen,
    to_stderr: bool,
    /// Of clients' URLs.
    scheme: &'static str,
}

/// A tool to call, for the line to try.
pub(crate) struct Example {
    /// The URL's path.
    pub(crate) path: String,
}

impl Banner {
    pub(crate) fn new(stdout_is_taken: bool, by_tls: bool) -> Self {
        let screen = match stdout_is_taken {
            true => Screen::stderr(),
            false => Screen::stdout(),
        };
        Self {
            screen,
            to_stderr: stdout_is_taken,
            scheme: if by_tls { "https" } else { "http" },
        }
    }

    /// The listeners are open.
    pub(crate) fn listening(&self, clients: SocketAddr, admin: Option<SocketAddr>) {
        let clients = url(self.scheme, clients);
        let mut text = format!("listening on {}\n", self.screen.paint(Paint::Bold, &clients));
        if let Some(admin) = admin {
            let _ = writeln!(text, "admin on {}", url("http", admin));
        }
        self.say(&text);
    }

    /// One upstream answered, or did not.
    pub(crate) fn upstream(&self, upstream: &Upstream, outcome: &Result<Summary, String>, width: usize) {
        let name = format!("{:width$}", upstream.name);
        let kind = upstream.kind();
        let line = match outcome {
            Ok(Summary { revision, tools }) => {
                let revision = revision.map_or("unknown revision", |revision| revision.as_str());
                let tools = match tools {
                    None => "no list of tools".to_owned(),
                    Some(1) => "1 tool".to_owned(),
                    Some(tools) => format!("{tools} tools"),
                };
                format!(
                    "upstream {}  {kind:5}  {revision}  {tools}",
                    self.screen.paint(Paint::Green, &name)
                )
            }
            Err(error) => format!(
                "upstream {}  {kind:5}  {}",
                self.screen.paint(Paint::Red, &name),
                harmless::line(error)
            ),
        };
        self.say(&format!("{line}\n"));
    }

    /// Everything stands.
    pub(crate) fn ready(&self, clients: SocketAddr, example: Option<&Example>) {
        let mut text = String::new();
        if let Some(Example { path }) = example {
            let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}"#;
            let _ = writeln!(
                text,
                "try it:\n  curl -s {}{path} -H 'Content-Type: application/json' \\\n    -d '{body}'",
                url(self.scheme, clients)
            );
        }
        text.push_str("Ctrl-C to stop\nready\n");
        self.say(&text);
    }

    /// The file was loaded again.
    pub(crate) fn reloaded(&self, file: &Path, change: &Change) {
        self.say(&format!("reloaded {}: {change}\n", file.display()));
    }

    /// The file has changed and is not served; `said` is what stands in the way, line by line.
    pub(crate) fn not_reloaded(&self, file: &Path, said: &str) {
        let text = format!(
            "{said}{} was not reloaded: what was loaded before goes on\n",
            file.display()
        );
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn say(&self, text: &str) {
        // Nobody may be reading; that is no reason to stop.
        if self.to_stderr {
            let _ = std::io::stderr().write_all(text.as_bytes());
        } else {
            let _ = std::io::stdout().write_all(text.as_bytes());
            let _ = std::io::stdout().flush();
        }
    }
}

/// The URL of an address, as one can open it from here.
fn url(scheme: &str, address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("{scheme}://localhost:{}", address.port())
    } else {
        format!("{scheme}://{address}")
    }
}
