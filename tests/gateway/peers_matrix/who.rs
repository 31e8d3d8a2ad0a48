//! Who meets whom: the clients and the servers, what is done where, and what cannot be.
use harness::Player;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    Python1,
    Python2,
    FastMcp,
    TypeScript1,
    TypeScript2,
    Everything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Http,
    Stdio,
    Sse,
}

/// A client: what it is called, whether it comes with 2026-07-28 to those who know it, and over what.
pub(super) struct Client {
    pub(super) name: &'static str,
    pub(super) player: Player,
    modern: bool,
    pub(super) over: Transport,
    /// Python 2.x and what is built on it refuse an SSE event over 1 MiB.
    small_events: bool,
    /// It stands for the others where they do not differ.
    goes_everywhere: bool,
}

impl Server {
    pub(super) const ALL: [Self; 6] = [
        Self::Python1,
        Self::Python2,
        Self::FastMcp,
        Self::TypeScript1,
        Self::TypeScript2,
        Self::Everything,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Python1 => "python-1",
            Self::Python2 => "python-2",
            Self::FastMcp => "fastmcp",
            Self::TypeScript1 => "typescript-1",
            Self::TypeScript2 => "typescript-2",
            Self::Everything => "everything",
        }
    }

    /// Whether it speaks 2026-07-28 besides the earlier revisions.
    fn is_modern(self) -> bool {
        matches!(self, Self::Python2 | Self::FastMcp | Self::TypeScript2)
    }

    pub(super) fn transports(self) -> &'static [Transport] {
        match self {
            Self::TypeScript2 => &[Transport::Http, Transport::Stdio],
            Self::Python1 | Self::Python2 | Self::FastMcp | Self::TypeScript1 | Self::Everything => {
                &[Transport::Http, Transport::Stdio, Transport::Sse]
            }
        }
    }

    /// What a client does there: an operation, and what is to come of it.
    pub(super) fn operations(self) -> Vec<(Value, Value)> {
        let heard = json!("heard");
        if self == Self::Everything {
            let text = |name: &str, arguments: Value| json!({ "do": "call", "as": name, "name": "echo", "arguments": arguments });
            let report = json!({ "duration": 0.6, "steps": 3 });
            let completed = "Long running operation completed. Duration: 0.6 seconds, Steps: 3.";
            return vec![
                (json!({ "do": "list" }), Value::Null),
                (
                    json!({ "do": "read", "uri": "demo://resource/static/document/architecture.md" }),
                    Value::Null,
                ),
                (
                    json!({ "do": "get", "name": "simple-prompt", "arguments": {} }),
                    json!("This is a simple prompt without arguments."),
                ),
                (text("call", json!({ "message": "hello" })), json!("Echo: hello")),
                (
                    json!({ "do": "reported", "as": "progress", "name": "trigger-long-running-operation", "arguments": report }),
                    json!({ "ordered": true, "text": completed }),
                ),
                (
                    json!({ "do": "call", "as": "sample", "name": "trigger-sampling-request", "arguments": { "prompt": "x" } }),
                    Value::Null,
                ),
                (
                    json!({ "do": "call", "as": "elicit", "name": "trigger-elicitation-request" }),
                    Value::Null,
                ),
                (
                    text("400 KB", json!({ "fill": { "message": 400_000 } })),
                    json!("400006 characters"),
                ),
                (json!({ "do": "many", "count": 50 }), json!(50)),
            ];
        }
        let call = |label: &str, name: &str, arguments: Value| json!({ "do": "call", "as": label, "name": name, "arguments": arguments });
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
            (call("sample", "sample", json!({})), json!("a canned completion")),
            (call("elicit", "elicit", json!({})), json!("hello, canned")),
            (
                call("400 KB", "measure", json!({ "fill": { "text": 400_000 } })),
                json!("400000"),
            ),
            (
                call("5 MB", "fill", json!({ "size": 5_000_000 })),
                json!("5000000 characters"),
            ),
            (json!({ "do": "many", "count": 50 }), json!(50)),
            (
                json!({ "do": "twins" }),
                json!(["1 steps of KEY", "1 steps of KEY"]),
            ),
            (json!({ "do": "updates" }), heard.clone()),
            (json!({ "do": "changes" }), heard),
        ]
    }
}

pub(super) fn clients() -> Vec<Client> {
    let client = |name: &'static str, player, modern, small_events| Client {
        name,
        player,
        modern,
        over: Transport::Http,
        small_events,
        goes_everywhere: name.starts_with("TypeScript 1.32"),
    };
    let over_sse = |client: Client| Client {
        player: client.player.over_sse(),
        over: Transport::Sse,
        modern: false,
        ..client
    };
    vec![
        client("Python 1.30", Player::python_1(), false, false),
        client("Python 2.3", Player::python_2("legacy"), false, true),
        client("Python 2.3 (auto)", Player::python_2("auto"), true, true),
        client("FastMCP 4.1", Player::fastmcp("auto"), true, true),
        client("TypeScript 1.32", Player::typescript_1(), false, false),
        client("TypeScript 2.4", Player::typescript_2("legacy"), false, false),
        client("TypeScript 2.4 (auto)", Player::typescript_2("auto"), true, false),
        over_sse(client("Python 1.30, SSE", Player::python_1(), false, false)),
        over_sse(client("Python 2.3, SSE", Player::python_2("legacy"), false, true)),
        over_sse(client("FastMCP 4.1, SSE", Player::fastmcp("legacy"), false, true)),
        over_sse(client(
            "TypeScript 1.32, SSE",
            Player::typescript_1(),
            false,
            false,
        )),
        over_sse(client(
            "TypeScript 2.4, SSE",
            Player::typescript_2("legacy"),
            false,
            false,
        )),
    ]
}

impl Client {
    /// Whom it visits: its other mode only servers where that makes a difference, and HTTP+SSE first of all the servers
    /// that do not speak it.
    pub(super) fn visits(&self, server: Server, transport: Transport, direct: bool) -> bool {
        // Without a gateway nobody crosses transports.
        if direct && transport != self.over {
            return false;
        }
        let other_mode = self.name.ends_with("(auto)");
        if other_mode && (!server.is_modern() || transport == Transport::Sse) {
            return false;
        }
        self.over == Transport::Http || transport == Transport::Http || self.goes_everywhere || direct
    }

    /// Whether it is worth the time: a legacy client has a child process of its own, so that there nothing can be mixed up.
    pub(super) fn spares(&self, server: Server, transport: Transport, operation: &str) -> bool {
        let shared = self.modern && server.is_modern();
        operation == "twins" && transport == Transport::Stdio && !shared && !self.goes_everywhere
    }

    /// Why the two cannot do this, even without a gateway between them; or only then.
    pub(super) fn cannot(
        &self,
        server: Server,
        transport: Transport,
        operation: &str,
        direct: bool,
    ) -> Option<&'static str> {
        let modern = self.modern && server.is_modern() && transport != Transport::Sse;
        match (server, operation) {
            // Over Streamable HTTP the gateway answers with JSON where a server streams, and so there is no such event.
            (_, "5 MB") if self.small_events && (self.over == Transport::Sse || (direct && !modern)) => {
                Some("this client refuses an SSE event over 1 MiB")
            }
            (Server::FastMcp, "updates") => Some("FastMCP has no subscriptions to resources"),
            (Server::FastMcp, "changes") if modern => Some("FastMCP does not serve subscriptions/listen"),
            (Server::FastMcp, "sample" | "elicit") if modern => {
                Some("FastMCP asks by requests alone, which 2026-07-28 does not have")
            }
            (Server::TypeScript2, "cancel" | "sample" | "elicit" | "updates" | "changes")
                if transport == Transport::Http && !modern =>
            {
                Some("its handler keeps no sessions, so nothing but an answer comes back from it")
            }
            _ => None,
        }
    }
}
