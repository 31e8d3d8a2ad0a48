//! What a server remembers of a client between its requests, before 2026-07-28.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::calls::Calls;
use super::level::Level;
use super::message::{self, Params};
use super::revision::Revision;

/// How long a person may think about a question.
const PATIENCE: Duration = Duration::from_secs(300);

/// One client's session. Over stdio and HTTP+SSE it lives as long as the connection.
pub(super) struct Session {
    pub(super) revision: Revision,
    pub(super) capabilities: Value,
    pub(super) calls: Arc<Calls>,
    /// The least severity to log. Until the client says, everything is sent.
    level: AtomicU8,
    subscribed: Mutex<HashSet<String>>,
    questions: Mutex<HashMap<u64, oneshot::Sender<Result<Value, Value>>>>,
    asked: AtomicU64,
    /// Counts the streams opened for notifications; only the newest carries them.
    pub(super) newest_stream: watch::Sender<u64>,
}

impl Session {
    pub(super) fn new(revision: Revision, capabilities: Value) -> Session {
        Session {
            revision,
            capabilities,
            calls: Arc::default(),
            level: AtomicU8::new(0),
            subscribed: Mutex::default(),
            questions: Mutex::default(),
            asked: AtomicU64::new(0),
            newest_stream: watch::Sender::new(0),
        }
    }

    /// A request outside of any session is served on its own, by a client that can be asked nothing.
    pub(super) fn none(revision: Revision) -> Session {
        Session::new(revision, json!({}))
    }

    /// Agrees on a revision: the one asked for, else the newest that has sessions.
    pub(super) fn open(params: &Params) -> Session {
        let asked = params
            .get("protocolVersion")
            .and_then(Value::as_str)
            .and_then(Revision::parse);
        let revision = asked
            .filter(|revision| !revision.is_modern())
            .unwrap_or(Revision::V2511);
        let capabilities = params.get("capabilities").cloned().unwrap_or_else(|| json!({}));
        Session::new(revision, capabilities)
    }

    /// Takes note of a notification. Those that need nothing done, such as `initialized`, pass by.
    pub(super) fn notified(&self, method: &str, params: &Params) {
        if let ("notifications/cancelled", Some(id)) = (method, params.get("requestId")) {
            self.calls.cancel(id);
        }
    }

    /// Asks the client something and waits for what it says; `Err` holds the error in its words.
    pub(super) async fn ask(
        &self,
        outbound: &mpsc::Sender<Value>,
        method: &str,
        params: Value,
    ) -> Result<Value, String> {
        let id = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        self.questions().insert(id, answer);
        let _forget = Forget { session: self, id };

        outbound
            .send(message::request(id, method, params))
            .await
            .map_err(|_| "the client is gone".to_owned())?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(Ok(result))) => Ok(result),
            Ok(Ok(Err(error))) => {
                let why = error
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or("no reason given");
                Err(format!("the client refused: {why}"))
            }
            Ok(Err(_)) => Err("the session ended".to_owned()),
            Err(_) => Err("the client did not answer in time".to_owned()),
        }
    }

    /// Hands the client's answer to whoever asked.
    pub(super) fn answered(&self, id: &Value, outcome: Result<Value, Value>) {
        let question = id.as_u64().and_then(|id| self.questions().remove(&id));
        if let Some(question) = question {
            // The asker may have been cancelled meanwhile.
            let _ = question.send(outcome);
        }
    }

    pub(super) fn level(&self) -> Level {
        Level(self.level.load(Ordering::Relaxed))
    }

    pub(super) fn set_level(&self, level: Level) {
        self.level.store(level.0, Ordering::Relaxed);
    }

    pub(super) fn subscribe(&self, uri: &str) {
        self.subscribed().insert(uri.to_owned());
    }

    pub(super) fn unsubscribe(&self, uri: &str) {
        self.subscribed().remove(uri);
    }

    pub(super) fn is_subscribed(&self, uri: &str) -> bool {
        self.subscribed().contains(uri)
    }

    /// Ends what is still running and the stream of notifications.
    pub(super) fn end(&self) {
        self.calls.end();
        self.questions().clear();
        self.newest_stream.send_modify(|newest| *newest += 1);
    }

    fn subscribed(&self) -> MutexGuard<'_, HashSet<String>> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn questions(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<Value, Value>>>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Withdraws a question when nobody waits for its answer any more.
struct Forget<'a> {
    session: &'a Session,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.session.questions().remove(&self.id);
    }
}
