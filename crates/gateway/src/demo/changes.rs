//! What changed, told to the clients that wanted to hear of it.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;

use super::call::Call;
use super::message::{self, Fault};
use super::resources;
use super::server::Server;
use super::session::Session;

/// Something a client may be told of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A tool appeared or disappeared.
    Tools,
    /// `demo://counter` has another value.
    Counter,
}

impl Change {
    fn method(self) -> &'static str {
        match self {
            Change::Tools => "notifications/tools/list_changed",
            Change::Counter => "notifications/resources/updated",
        }
    }

    fn params(self) -> Value {
        match self {
            Change::Tools => json!({}),
            Change::Counter => json!({ "uri": resources::COUNTER }),
        }
    }
}

/// Sends a session its notifications until a newer stream takes over, the session or the server ends.
pub(super) async fn follow(server: Arc<Server>, session: Arc<Session>, outbound: mpsc::Sender<Value>) {
    let mut changes = Changes::of(&server);
    session.newest_stream.send_modify(|newest| *newest += 1);
    let mut newest = session.newest_stream.subscribe();
    let mut closing = server.closing.subscribe();
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            _ = newest.changed() => return,
            _ = closing.wait_for(|closing| *closing) => return,
            () = outbound.closed() => return,
        };
        if change == Change::Counter && !session.is_subscribed(resources::COUNTER) {
            continue;
        }
        if outbound
            .send(message::notification(change.method(), change.params()))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// `subscriptions/listen`: acknowledges what will be told, then tells it until the server closes.
pub(super) async fn listen(call: &Call) -> Result<Value, Fault> {
    let wanted = call.param("notifications").and_then(Value::as_object);
    let wanted =
        wanted.ok_or_else(|| Fault::invalid_params("Invalid params: notifications must be an object"))?;
    let wants = |kind: &str| wanted.get(kind).and_then(Value::as_bool).unwrap_or(false);
    let uris = wanted
        .get("resourceSubscriptions")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let uris: Vec<&str> = uris
        .iter()
        .filter_map(Value::as_str)
        .filter(|uri| resources::exists(uri))
        .collect();

    // Interest is registered before it is acknowledged, so that nothing falls between.
    let mut changes = Changes::of(&call.server);
    let mut closing = call.server.closing.subscribe();
    let identity = json!({ "io.modelcontextprotocol/subscriptionId": call.request.id });
    let mut honoured = json!({});
    if wants("toolsListChanged") {
        honoured["toolsListChanged"] = true.into();
    }
    if !uris.is_empty() {
        honoured["resourceSubscriptions"] = json!(uris);
    }
    let acknowledgement = json!({ "_meta": identity, "notifications": honoured });
    call.send(message::notification(
        "notifications/subscriptions/acknowledged",
        acknowledgement,
    ))
    .await;

    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            _ = closing.wait_for(|closing| *closing) => return Ok(json!({ "_meta": identity })),
        };
        let wanted = match change {
            Change::Tools => wants("toolsListChanged"),
            Change::Counter => uris.contains(&resources::COUNTER),
        };
        if wanted {
            let mut params = change.params();
            params["_meta"] = identity.clone();
            call.send(message::notification(change.method(), params)).await;
        }
    }
}

/// The changes from now on.
struct Changes {
    from: broadcast::Receiver<Change>,
    /// Who falls behind is told of everything once, since any change may be among the lost.
    owed: Vec<Change>,
}

impl Changes {
    fn of(server: &Server) -> Changes {
        Changes {
            from: server.changes.subscribe(),
            owed: Vec::new(),
        }
    }

    async fn next(&mut self) -> Change {
        if let Some(change) = self.owed.pop() {
            return change;
        }
        match self.from.recv().await {
            Ok(change) => change,
            Err(RecvError::Lagged(_)) => {
                self.owed.push(Change::Counter);
                Change::Tools
            }
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
