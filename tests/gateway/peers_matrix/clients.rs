//! The clients: what they are, what they know, and whom they visit.
use harness::{LEGACY, MODERN, Player};

use super::{
    Transport,
    servers::{MORE, Place, REMOTE, STDIO, Server},
};

/// Which revisions a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knows {
    /// This one.
    Only(&'static str),
    /// Those that begin with `initialize`.
    Legacy,
    /// All, the newest first.
    Both,
}

pub(super) struct Client {
    pub(super) name: String,
    pub(super) player: Player,
    pub(super) knows: Knows,
    /// What it comes over to a gateway. Without one it has to take what the server speaks.
    pub(super) over: Transport,
    /// Python 2.x and what is built on it refuse an SSE event over 1 MiB.
    pub(super) small_events: bool,
    /// Whether it stands in the table, or besides.
    pub(super) is_of_the_table: bool,
    /// It stands for the others where they do not differ.
    pub(super) goes_everywhere: bool,
}

pub(super) fn clients() -> Vec<Client> {
    let client = |name: &str, player, knows| Client {
        name: name.to_owned(),
        player,
        knows,
        over: Transport::Http,
        small_events: name.starts_with("Python 2.3") || name.starts_with("FastMCP"),
        is_of_the_table: true,
        goes_everywhere: false,
    };
    let everywhere = |client: Client| Client {
        goes_everywhere: true,
        ..client
    };
    let over_sse = |client: Client| Client {
        name: format!("{}, SSE", client.name),
        over: Transport::Sse,
        is_of_the_table: false,
        ..client
    };
    let mut all: Vec<Client> = LEGACY
        .into_iter()
        .map(|revision| {
            let name = format!("{revision} only (Python 1.30)");
            let mut client = client(&name, Player::python_1_pinned(revision), Knows::Only(revision));
            // The revision before Streamable HTTP.
            if revision == "2024-11-05" {
                client.over = Transport::Sse;
            }
            client
        })
        .collect();
    all.extend([
        client("Python 1.30", Player::python_1(), Knows::Legacy),
        everywhere(client("Python 2.3, auto", Player::python_2("auto"), Knows::Both)),
        client("Python 2.3, legacy", Player::python_2("legacy"), Knows::Legacy),
        client(
            "Python 2.3, 2026-07-28",
            Player::python_2(MODERN),
            Knows::Only(MODERN),
        ),
        client("FastMCP 4.1, auto", Player::fastmcp("auto"), Knows::Both),
        everywhere(client("TypeScript 1.32", Player::typescript_1(), Knows::Legacy)),
        client("TypeScript 2.4, auto", Player::typescript_2("auto"), Knows::Both),
        client(
            "TypeScript 2.4, legacy",
            Player::typescript_2("legacy"),
            Knows::Legacy,
        ),
        client(
            "TypeScript 2.4, 2026-07-28",
            Player::typescript_2(MODERN),
            Knows::Only(MODERN),
        ),
        over_sse(client("Python 1.30", Player::python_1(), Knows::Legacy)),
        over_sse(client("Python 2.3", Player::python_2("legacy"), Knows::Legacy)),
        over_sse(client("FastMCP 4.1", Player::fastmcp("legacy"), Knows::Legacy)),
        over_sse(client("TypeScript 1.32", Player::typescript_1(), Knows::Legacy)),
        over_sse(client(
            "TypeScript 2.4",
            Player::typescript_2("legacy"),
            Knows::Legacy,
        )),
    ]);
    all
}

impl Client {
    /// Whom it visits: all of the table from within the table, else one server of each kind.
    pub(super) fn visits(&self, place: Place) -> bool {
        if !self.is_of_the_table {
            return place.transport == Transport::Http
                && matches!(
                    place.server,
                    Server::Pinned("2025-06-18")
                        | Server::Modern
                        | Server::Python1
                        | Server::Rmcp
                        | Server::Everything
                );
        }
        REMOTE.contains(&place) || STDIO.contains(&place) || (self.goes_everywhere && MORE.contains(&place))
    }

    /// Whether an operation is worth its time: some are about the gateway, and none of the client's business.
    pub(super) fn does(&self, operation: &str) -> bool {
        self.goes_everywhere || !matches!(operation, "400 KB" | "many" | "twins")
    }
}
