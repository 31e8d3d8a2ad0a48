//! Calls under way, each by itself or several as a batch.

use std::pin::Pin;
use std::sync::Arc;

use hyper::HeaderMap;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::call::{Call, Peer};
use super::calls::Calls;
use super::message::{Answer, Fault, Message};
use super::server::{Server, answer};
use super::session::Session;

/// A call under way. Its answer is `None` when the client cancelled it and expects no more.
pub(super) type Work = Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;

/// Starts a call that can be cancelled by its id.
pub(super) fn start(calls: &Arc<Calls>, call: Call) -> Work {
    match calls.begin(&call.request.id) {
        Some(place) => Box::pin(place.run(answer(call))),
        None => {
            let fault = Fault::invalid_request("this id is in use by a call in progress");
            Box::pin(std::future::ready(Some(Answer::fault(
                Some(call.request.id),
                fault,
            ))))
        }
    }
}

/// Takes a message within a session; only a request makes work.
pub(super) fn receive(
    server: &Arc<Server>,
    session: &Arc<Session>,
    message: Message,
    outbound: Option<&mpsc::Sender<Value>>,
    headers: Option<HeaderMap>,
) -> Option<Work> {
    match message {
        Message::Request(request) => {
            let peer = Peer::Legacy(session.clone());
            let call = Call {
                server: server.clone(),
                peer,
                request,
                outbound: outbound.cloned(),
                headers,
            };
            Some(start(&session.calls, call))
        }
        Message::Notification { method, params } => {
            session.notified(&method, &params);
            None
        }
        Message::Response { id, outcome } => {
            session.answered(&id, outcome);
            None
        }
    }
}

/// A batch: its calls run side by side and are answered by one array (2025-03-26 basic §Batching).
pub(super) async fn together(works: Vec<Work>) -> Option<Answer> {
    let mut running: JoinSet<_> = works.into_iter().collect();
    let mut answers = Vec::new();
    while let Some(ended) = running.join_next().await {
        if let Ok(Some(answer)) = ended {
            answers.push(answer.message);
        }
    }
    (!answers.is_empty()).then_some(Answer {
        status: 200,
        message: Value::Array(answers),
    })
}
