//! What two peers cannot do with each other, and why: because an SDK does not offer it, or because the revision that it
//! speaks has no such thing.
use harness::MODERN;

use super::{
    Transport,
    clients::{Client, Knows},
    servers::{Place, Server},
};

/// In which words each side of a pair speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spoken {
    pub(super) client: &'static str,
    pub(super) server: &'static str,
}

impl Spoken {
    /// With a gateway in between, where each hop agrees on a revision alone. `None` where they do not meet.
    pub(super) fn through(client: &Client, place: Place) -> Option<Self> {
        let newest = if place.is_modern() {
            MODERN
        } else {
            place.newest_legacy()?
        };
        // A session with the client is a session with the server, if that knows sessions.
        let session = |revision| match place.newest_legacy() {
            Some(_) if place.agrees_to(revision) => revision,
            Some(other) => other,
            None => MODERN,
        };
        Some(match client.knows {
            Knows::Only(MODERN) | Knows::Both => Self {
                client: MODERN,
                server: newest,
            },
            Knows::Only(revision) => Self {
                client: revision,
                server: session(revision),
            },
            Knows::Legacy => Self {
                client: "2025-11-25",
                server: session("2025-11-25"),
            },
        })
    }

    /// Without a gateway.
    pub(super) fn directly(client: &Client, place: Place) -> Option<Self> {
        let revision = super::servers::directly(client.knows, place)?;
        Some(Self {
            client: revision,
            server: revision,
        })
    }

    fn older(self) -> &'static str {
        self.client.min(self.server)
    }
}

/// Why the two cannot do this, even without a gateway between them; or only then.
pub(super) fn cannot(
    client: &Client,
    place: Place,
    spoken: Spoken,
    operation: &str,
    is_direct: bool,
) -> Option<&'static str> {
    let over = if is_direct { place.transport } else { client.over };
    let (modern_client, modern_server) = (spoken.client == MODERN, spoken.server == MODERN);
    let asks = matches!(operation, "sample" | "elicit" | "visit" | "roots");
    match (place.server, operation) {
        // Over Streamable HTTP the gateway answers with JSON where a server streams, and so there is no such event.
        (_, "5 MB")
            if client.small_events
                && (over == Transport::Sse
                    || (is_direct && (!modern_server || place.server == Server::Rmcp))) =>
        {
            Some("this client refuses an SSE event over 1 MiB")
        }
        (_, "elicit") if spoken.older() < "2025-06-18" => Some("elicitation came with 2025-06-18"),
        (_, "visit") if spoken.older() < "2025-11-25" => Some("URLs to visit came with 2025-11-25"),
        (Server::Stateless, "cancel" | "updates" | "changes") => Some(NO_SESSIONS),
        (Server::Stateless, _) if asks => Some(NO_SESSIONS),
        (Server::TypeScript2, "cancel" | "updates" | "changes") if is_stateless(place, modern_server) => {
            Some(NO_SESSIONS)
        }
        (Server::TypeScript2, _) if asks && is_stateless(place, modern_server) => Some(NO_SESSIONS),
        (Server::FastMcp, "updates") => Some("FastMCP has no subscriptions to resources"),
        (Server::FastMcp, "visit" | "roots") => Some("FastMCP has no word for it"),
        (Server::FastMcp, "changes") if modern_server => Some("FastMCP does not serve subscriptions/listen"),
        (Server::FastMcp, _) if asks && modern_server => {
            Some("FastMCP asks by requests alone, which 2026-07-28 does not have")
        }
        // A listener of 2026-07-28 is told at the beginning what it will hear of; there a server counts for what it says
        // of itself.
        (Server::Pinned(_) | Server::Python1 | Server::Python2, "updates")
            if modern_client && !modern_server =>
        {
            Some("the Python server does not declare the subscriptions that it serves")
        }
        (Server::Python2 | Server::FastMcp, "changes") if modern_client && !modern_server => {
            Some("the Python server does not declare that its tools change")
        }
        _ => None,
    }
}

const NO_SESSIONS: &str = "this server keeps no sessions, so nothing but an answer comes back from it";

/// The HTTP handler of TypeScript 2.4 serves the earlier revisions request by request.
fn is_stateless(place: Place, modern_server: bool) -> bool {
    place.transport == Transport::Http && !modern_server
}
