//! The servers: what they are, how they are reached, and what a client does there.
use harness::{
    MODERN, Peer, everything_over_stdio, fastmcp_over_stdio, python_1_over_stdio, python_1_pinned_over_stdio,
    python_modern_over_stdio, python_over_stdio, rmcp_over_stdio, typescript_1_over_stdio,
    typescript_over_stdio,
};
use serde_json::{Value, json};

use super::Transport;

/// What a server is made with, and what it is told to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// Python 1.30 that knows one revision and no other.
    Pinned(&'static str),
    /// Python 1.30 that keeps no sessions.
    Stateless,
    Python1,
    Everything,
    /// Python 2.3 that knows 2026-07-28 and no other revision.
    Modern,
    Python2,
    TypeScript2,
    Rmcp,
    FastMcp,
    TypeScript1,
}

/// A server over a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) server: Server,
    pub(super) transport: Transport,
}

/// The twelve servers that every client reaches, in the order of the table.
pub(super) const REMOTE: [Place; 12] = [
    at(Server::Pinned("2024-11-05"), Transport::Sse),
    at(Server::Pinned("2025-03-26"), Transport::Http),
    at(Server::Pinned("2025-06-18"), Transport::Http),
    at(Server::Pinned("2025-11-25"), Transport::Http),
    at(Server::Stateless, Transport::Http),
    at(Server::Python1, Transport::Sse),
    at(Server::Everything, Transport::Http),
    at(Server::Everything, Transport::Sse),
    at(Server::Modern, Transport::Http),
    at(Server::Python2, Transport::Http),
    at(Server::TypeScript2, Transport::Http),
    at(Server::Rmcp, Transport::Http),
];

/// The same as children of the gateway.
pub(super) const STDIO: [Place; 10] = [
    at(Server::Pinned("2024-11-05"), Transport::Stdio),
    at(Server::Pinned("2025-03-26"), Transport::Stdio),
    at(Server::Pinned("2025-06-18"), Transport::Stdio),
    at(Server::Pinned("2025-11-25"), Transport::Stdio),
    at(Server::Python1, Transport::Stdio),
    at(Server::Everything, Transport::Stdio),
    at(Server::Modern, Transport::Stdio),
    at(Server::Python2, Transport::Stdio),
    at(Server::TypeScript2, Transport::Stdio),
    at(Server::Rmcp, Transport::Stdio),
];

/// What some clients visit besides: made with what stands on the SDKs above, or the same over one more transport.
pub(super) const MORE: [Place; 8] = [
    at(Server::Python1, Transport::Http),
    at(Server::Python2, Transport::Sse),
    at(Server::FastMcp, Transport::Http),
    at(Server::FastMcp, Transport::Sse),
    at(Server::FastMcp, Transport::Stdio),
    at(Server::TypeScript1, Transport::Http),
    at(Server::TypeScript1, Transport::Sse),
    at(Server::TypeScript1, Transport::Stdio),
];

pub(super) fn everywhere() -> impl Iterator<Item = Place> {
    REMOTE.into_iter().chain(STDIO).chain(MORE)
}

const fn at(server: Server, transport: Transport) -> Place {
    Place { server, transport }
}

impl Place {
    /// What an upstream is called.
    pub(super) fn key(self) -> String {
        let server = match self.server {
            Server::Pinned(revision) => format!("pinned-{revision}"),
            Server::Stateless => "stateless".to_owned(),
            Server::Python1 => "python-1".to_owned(),
            Server::Everything => "everything".to_owned(),
            Server::Modern => "modern".to_owned(),
            Server::Python2 => "python-2".to_owned(),
            Server::TypeScript2 => "typescript-2".to_owned(),
            Server::Rmcp => "rmcp".to_owned(),
            Server::FastMcp => "fastmcp".to_owned(),
            Server::TypeScript1 => "typescript-1".to_owned(),
        };
        format!("{server}-{}", format!("{:?}", self.transport).to_lowercase())
    }

    /// What a reader of the table calls it.
    pub(super) fn title(self) -> String {
        let server = match self.server {
            Server::Pinned(revision) => format!("{revision} only"),
            Server::Stateless => "Python 1.30, stateless".to_owned(),
            Server::Python1 => "Python 1.30".to_owned(),
            Server::Everything => "server-everything".to_owned(),
            Server::Modern => "2026-07-28 only (Python 2.3)".to_owned(),
            Server::Python2 => "Python 2.3".to_owned(),
            Server::TypeScript2 => "TypeScript 2.4".to_owned(),
            Server::Rmcp => "rmcp 3.8".to_owned(),
            Server::FastMcp => "FastMCP 4.1".to_owned(),
            Server::TypeScript1 => "TypeScript 1.32".to_owned(),
        };
        match self.transport {
            Transport::Sse => format!("{server}, SSE"),
            Transport::Http | Transport::Stdio => server,
        }
    }

    /// The revisions with a handshake that it knows, as the newest; `None` if it knows none.
    pub(super) fn newest_legacy(self) -> Option<&'static str> {
        match self.server {
            Server::Pinned(revision) => Some(revision),
            Server::Modern => None,
            Server::Stateless
            | Server::Python1
            | Server::Everything
            | Server::Python2
            | Server::TypeScript2
            | Server::Rmcp
            | Server::FastMcp
            | Server::TypeScript1 => Some("2025-11-25"),
        }
    }

    /// Whether it takes part in a handshake with a client that accepts this revision alone.
    pub(super) fn agrees_to(self, revision: &str) -> bool {
        match self.server {
            Server::Pinned(own) => own == revision,
            Server::Modern => false,
            _ => true,
        }
    }

    /// Whether it speaks 2026-07-28, which has no HTTP+SSE.
    pub(super) fn is_modern(self) -> bool {
        let knows = matches!(
            self.server,
            Server::Modern | Server::Python2 | Server::TypeScript2 | Server::Rmcp | Server::FastMcp
        );
        knows && self.transport != Transport::Sse
    }

    /// What a client does there: an operation, and what is to come of it.
    pub(super) fn operations(self) -> Vec<(Value, Value)> {
        match self.server {
            Server::Everything => operations_on_everything(),
            Server::Pinned(_)
            | Server::Stateless
            | Server::Python1
            | Server::Modern
            | Server::Python2
            | Server::TypeScript2
            | Server::Rmcp
            | Server::FastMcp
            | Server::TypeScript1 => operations_on_ours(),
        }
    }
}

/// `server-everything` is what it is, and has its own tools.
fn operations_on_everything() -> Vec<(Value, Value)> {
    let call = |label: &str, name: &str, arguments: Value| json!({ "do": "call", "as": label, "name": name, "arguments": arguments });
    let document = "demo://resource/static/document/architecture.md";
    let report = json!({ "duration": 0.6, "steps": 3 });
    let completed = "Long running operation completed. Duration: 0.6 seconds, Steps: 3.";
    vec![
        (json!({ "do": "list" }), Value::Null),
        (json!({ "do": "read", "uri": document }), Value::Null),
        (
            json!({ "do": "get", "name": "simple-prompt", "arguments": {} }),
            json!("This is a simple prompt without arguments."),
        ),
        (
            call("call", "echo", json!({ "message": "hello" })),
            json!("Echo: hello"),
        ),
        (
            json!({ "do": "reported", "as": "progress", "name": "trigger-long-running-operation", "arguments": report }),
            json!({ "ordered": true, "text": completed }),
        ),
        (
            call("sample", "trigger-sampling-request", json!({ "prompt": "x" })),
            Value::Null,
        ),
        (
            call("elicit", "trigger-elicitation-request", json!({})),
            Value::Null,
        ),
        (
            call(
                "visit",
                "trigger-url-elicitation",
                json!({ "url": "https://example.com/page" }),
            ),
            Value::Null,
        ),
        (call("roots", "get-roots-list", json!({})), Value::Null),
        (
            json!({ "do": "updates", "name": "toggle-subscriber-updates", "uri": document }),
            json!("heard"),
        ),
        (
            call("400 KB", "echo", json!({ "fill": { "message": 400_000 } })),
            json!("400006 characters"),
        ),
        (json!({ "do": "many", "count": 50 }), json!(50)),
    ]
}

/// The servers under `tests/peers` are one server, written with each SDK.
fn operations_on_ours() -> Vec<(Value, Value)> {
    let call = |label: &str, name: &str, arguments: Value| json!({ "do": "call", "as": label, "name": name, "arguments": arguments });
    let heard = json!("heard");
    vec![
        (json!({ "do": "list" }), Value::Null),
        (json!({ "do": "read", "uri": "test://greeting" }), json!("hello")),
        (
            json!({ "do": "get", "name": "review", "arguments": { "code": "x" } }),
            json!("Review this: x"),
        ),
        (
            call("call", "echo", json!({ "message": "hello" })),
            json!("hello"),
        ),
        (
            json!({ "do": "progress" }),
            json!({ "seen": [1, 2, 3], "text": "3 steps of KEY" }),
        ),
        (json!({ "do": "cancel" }), json!("cancelled")),
        (json!({ "do": "logging" }), heard.clone()),
        (call("sample", "sample", json!({})), json!("a canned completion")),
        (call("elicit", "elicit", json!({})), json!("hello, canned")),
        (call("visit", "visit", json!({})), json!("accept")),
        (call("roots", "roots", json!({})), json!("file:///home/matrix")),
        (json!({ "do": "updates" }), heard.clone()),
        (json!({ "do": "changes" }), heard),
        (
            call("5 MB", "fill", json!({ "size": 5_000_000 })),
            json!("5000000 characters"),
        ),
        (
            call("400 KB", "measure", json!({ "fill": { "text": 400_000 } })),
            json!("400000"),
        ),
        (json!({ "do": "many", "count": 50 }), json!(50)),
        (
            json!({ "do": "twins" }),
            json!(["1 steps of KEY", "1 steps of KEY"]),
        ),
    ]
}

/// The servers, as long as they shall run.
pub(super) struct Servers(Vec<(Server, Peer)>, Peer);

impl Servers {
    pub(super) async fn start() -> Self {
        let pinned =
            |revision| async move { (Server::Pinned(revision), Peer::python_1_pinned(revision).await) };
        let (first, second, third, fourth) = tokio::join!(
            pinned("2024-11-05"),
            pinned("2025-03-26"),
            pinned("2025-06-18"),
            pinned("2025-11-25"),
        );
        let (stateless, python_1, modern, python_2, fastmcp) = tokio::join!(
            Peer::python_1_stateless(),
            Peer::python_1(),
            Peer::python_modern(),
            Peer::python(),
            Peer::fastmcp(),
        );
        let (typescript_1, typescript_2, everything, everything_over_sse, rmcp) = tokio::join!(
            Peer::typescript_1(),
            Peer::typescript(),
            Peer::everything(),
            Peer::everything_over_sse(),
            Peer::rmcp(),
        );
        let peers = vec![
            first,
            second,
            third,
            fourth,
            (Server::Stateless, stateless),
            (Server::Python1, python_1),
            (Server::Modern, modern),
            (Server::Python2, python_2),
            (Server::FastMcp, fastmcp),
            (Server::TypeScript1, typescript_1),
            (Server::TypeScript2, typescript_2),
            (Server::Everything, everything),
            (Server::Rmcp, rmcp),
        ];
        Self(peers, everything_over_sse)
    }

    /// Where it listens; nowhere if it is a child.
    pub(super) fn url(&self, place: Place) -> Option<&str> {
        let Self(peers, everything_over_sse) = self;
        let (_, peer) = peers.iter().find(|(server, _)| *server == place.server)?;
        match (place.transport, place.server) {
            (Transport::Http, _) => Some(peer.url()),
            (Transport::Sse, Server::Everything) => Some(everything_over_sse.url()),
            (Transport::Sse, _) => Some(peer.sse()),
            (Transport::Stdio, _) => None,
        }
    }

    /// What the gateway is told of it.
    pub(super) fn upstream(&self, place: Place) -> String {
        match self.url(place) {
            Some(url) => format!("{{ url: \"{url}\" }}"),
            None => match place.server {
                Server::Pinned(revision) => python_1_pinned_over_stdio(revision),
                Server::Stateless | Server::Python1 => python_1_over_stdio(),
                Server::Modern => python_modern_over_stdio(),
                Server::Python2 => python_over_stdio(),
                Server::FastMcp => fastmcp_over_stdio(),
                Server::TypeScript1 => typescript_1_over_stdio(),
                Server::TypeScript2 => typescript_over_stdio(),
                Server::Everything => everything_over_stdio(),
                Server::Rmcp => rmcp_over_stdio(),
            },
        }
    }
}

/// The revision that the two sides of this pair agree on, each in the newest way both know; `None` if there is none.
pub(super) fn directly(known: super::Knows, place: Place) -> Option<&'static str> {
    use super::Knows;
    match known {
        Knows::Only(MODERN) => place.is_modern().then_some(MODERN),
        Knows::Only(revision) => place.agrees_to(revision).then_some(revision),
        Knows::Legacy => place.newest_legacy(),
        Knows::Both if place.is_modern() => Some(MODERN),
        Knows::Both => place.newest_legacy(),
    }
}
