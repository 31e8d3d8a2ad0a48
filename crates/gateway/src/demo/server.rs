//! The methods of the server, with their results as each revision words them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use super::call::{Call, Peer, Stop};
use super::changes::{self, Change};
use super::era::Era;
use super::level::Level;
use super::message::{Answer, Fault, Params};
use super::revision::Revision;
use super::session::Session;
use super::{completion, prompts, resources, tools};

const INSTRUCTIONS: &str = "A demonstration server with one of everything. Try `echo` and `add` first; \
    `slow` reports progress, `ask` has a question for the user.";

/// What all connections of one process share.
pub(super) struct Server {
    pub(super) era: Era,
    /// How often `counter` was called.
    pub(super) counter: AtomicU64,
    /// How many calls were given up before they ended.
    pub(super) cancelled: AtomicU64,
    /// Whether the tool `extra` is listed; `touch` turns it.
    pub(super) extra: AtomicBool,
    pub(super) changes: broadcast::Sender<Change>,
    /// Becomes true when the process is about to end.
    pub(super) closing: watch::Sender<bool>,
}

impl Server {
    pub(super) fn new(era: Era) -> Server {
        Server {
            era,
            counter: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            extra: AtomicBool::new(false),
            changes: broadcast::Sender::new(64),
            closing: watch::Sender::new(false),
        }
    }

    /// Nobody listening is no failure.
    pub(super) fn changed(&self, change: Change) {
        let _ = self.changes.send(change);
    }

    /// The handshake of the older revisions.
    pub(super) fn initialize(&self, params: &Params) -> (Arc<Session>, Value) {
        let session = Session::open(params);
        let result = json!({
            "protocolVersion": session.revision.date(),
            "capabilities": capabilities(session.revision),
            "serverInfo": identity(session.revision),
            "instructions": INSTRUCTIONS,
        });
        (Arc::new(session), result)
    }
}

/// Answers one request. Dropping the future is how a call is cancelled.
pub(super) async fn answer(call: Call) -> Answer {
    let outcome = match &call.peer {
        Peer::Legacy(session) => legacy(&call, session).await,
        Peer::Modern(_) => modern(&call).await,
    };
    let id = call.request.id;
    match outcome {
        Ok(result) => Answer::result(id, result),
        Err(fault) => Answer::fault(Some(id), fault),
    }
}

async fn legacy(call: &Call, session: &Session) -> Result<Value, Fault> {
    match call.request.method.as_str() {
        "ping" => Ok(json!({})),
        "logging/setLevel" => {
            let level = call.param("level").and_then(Level::parse);
            session.set_level(level.ok_or_else(|| Fault::invalid_params("Invalid params: no such level"))?);
            Ok(json!({}))
        }
        "resources/subscribe" => {
            let uri = resources::uri(call)?;
            if !resources::exists(uri) {
                return Err(resources::not_found(call, uri));
            }
            session.subscribe(uri);
            Ok(json!({}))
        }
        "resources/unsubscribe" => {
            session.unsubscribe(resources::uri(call)?);
            Ok(json!({}))
        }
        // Each transport opens its sessions itself, so this one comes inside of a batch or a second time.
        "initialize" => Err(Fault::invalid_request(
            "a session is initialized once, by a message of its own",
        )),
        _ => shared(call).await,
    }
}

async fn modern(call: &Call) -> Result<Value, Fault> {
    let method = call.request.method.as_str();
    let mut result = match method {
        "server/discover" => json!({
            "supportedVersions": call.server.era.revisions().collect::<Vec<_>>(),
            "capabilities": capabilities(Revision::V26),
            "instructions": INSTRUCTIONS,
        }),
        "subscriptions/listen" => changes::listen(call).await?,
        _ => shared(call).await?,
    };
    if result.get("inputRequests").is_some() {
        result["resultType"] = "input_required".into();
    } else {
        result["resultType"] = "complete".into();
        if let Some((ttl, scope)) = caching(method) {
            result["ttlMs"] = ttl.into();
            result["cacheScope"] = scope.into();
        }
    }
    result["_meta"]["io.modelcontextprotocol/serverInfo"] = identity(Revision::V26);
    Ok(result)
}

/// The methods that both halves of the protocol have.
async fn shared(call: &Call) -> Result<Value, Fault> {
    match call.request.method.as_str() {
        "tools/list" => tools::list(call),
        "tools/call" => match tools::call(call).await {
            Ok(result) | Err(Stop::Questions(result)) => Ok(result),
            Err(Stop::Failed(text)) => {
                Ok(json!({ "content": [{ "type": "text", "text": text }], "isError": true }))
            }
            Err(Stop::Fault(fault)) => Err(fault),
        },
        "resources/list" => resources::list(call),
        "resources/templates/list" => resources::templates(call),
        "resources/read" => resources::read(call),
        "prompts/list" => prompts::list(call),
        "prompts/get" => prompts::get(call),
        "completion/complete" => completion::complete(call),
        // Over HTTP, 404 and this code is how a client of 2026-07-28 tells a method from an endpoint.
        method => Err(Fault::new(-32601, format!("Method not found: {method}")).status(404)),
    }
}

/// How long a result stays fresh, and whether others may be given it too.
fn caching(method: &str) -> Option<(u64, &'static str)> {
    match method {
        "server/discover" => Some((3_600_000, "public")),
        // `touch` changes the tools and the counter; who wants to know at once listens.
        "tools/list" => Some((5_000, "public")),
        "resources/list" | "resources/templates/list" | "prompts/list" => Some((300_000, "public")),
        "resources/read" => Some((0, "private")),
        _ => None,
    }
}

/// The page that a `cursor` asks for, with the cursor of the next.
pub(super) fn page(call: &Call, name: &str, items: Vec<Value>, size: usize) -> Result<Value, Fault> {
    let start = match call.param("cursor") {
        None => 0,
        Some(cursor) => {
            let start = cursor
                .as_str()
                .and_then(|cursor| cursor.strip_prefix("from-")?.parse::<usize>().ok());
            let fits = start.filter(|start| *start < items.len() && *start > 0 && start % size == 0);
            fits.ok_or_else(|| Fault::invalid_params("Invalid params: no such cursor"))?
        }
    };
    let end = items.len().min(start + size);
    let mut result = json!({});
    if end < items.len() {
        result["nextCursor"] = format!("from-{end}").into();
    }
    result[name] = items.into_iter().take(end).skip(start).collect();
    Ok(result)
}

fn identity(revision: Revision) -> Value {
    let mut identity = json!({ "name": "causeway-demo", "version": env!("CARGO_PKG_VERSION") });
    if revision >= Revision::V2506 {
        identity["title"] = "Causeway demo".into();
    }
    identity
}

fn capabilities(revision: Revision) -> Value {
    let mut capabilities = json!({
        "tools": { "listChanged": true },
        "resources": { "subscribe": true },
        "prompts": {},
        "logging": {},
    });
    // Before, a server completed without saying so.
    if revision >= Revision::V2503 {
        capabilities["completions"] = json!({});
    }
    capabilities
}
