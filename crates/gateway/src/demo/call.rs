//! One request being answered: who asks, and how to speak to them before the answer.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use hyper::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::level::Level;
use super::message::{self, Fault, Request};
use super::revision::Revision;
use super::server::Server;
use super::session::Session;
use super::terms::Terms;

/// A request and all that is needed to answer it.
pub(super) struct Call {
    pub(super) server: Arc<Server>,
    pub(super) peer: Peer,
    pub(super) request: Request,
    /// Where messages ahead of the answer go. `None` when the client can be sent nothing but the answer.
    pub(super) outbound: Option<mpsc::Sender<Value>>,
    /// The headers of the HTTP request that brought it.
    pub(super) headers: Option<HeaderMap>,
}

/// The client as its era describes it.
pub(super) enum Peer {
    Legacy(Arc<Session>),
    Modern(Terms),
}

/// Why a call has no ordinary result yet.
#[derive(Debug)]
pub(super) enum Stop {
    /// The tool was used wrongly or failed: text for the model.
    Failed(String),
    /// The request itself is wrong: a JSON-RPC error.
    Fault(Fault),
    /// The client has to come back with answers: an `input_required` result.
    Questions(Value),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

/// A question that a server may have for the client.
#[derive(Clone, Copy)]
pub(super) enum Question {
    Elicitation,
    Sampling,
    Roots,
}

impl Question {
    fn capability(self) -> &'static str {
        match self {
            Question::Elicitation => "elicitation",
            Question::Sampling => "sampling",
            Question::Roots => "roots",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Question::Elicitation => "elicitation/create",
            Question::Sampling => "sampling/createMessage",
            Question::Roots => "roots/list",
        }
    }

    /// The part of the client's capabilities that this question needs and does not find.
    fn lacks(self, capabilities: &Value) -> Option<Value> {
        let Some(declared) = capabilities.get(self.capability()) else {
            return Some(json!({ self.capability(): {} }));
        };
        match self {
            // An empty declaration means forms; one that names only `url` means not forms.
            Question::Elicitation if declared.get("url").is_some() && declared.get("form").is_none() => {
                Some(json!({ "elicitation": { "form": {} } }))
            }
            Question::Elicitation | Question::Sampling | Question::Roots => None,
        }
    }
}

impl Call {
    pub(super) fn revision(&self) -> Revision {
        match &self.peer {
            Peer::Legacy(session) => session.revision,
            Peer::Modern(_) => Revision::V26,
        }
    }

    pub(super) fn param(&self, name: &str) -> Option<&Value> {
        self.request.params.get(name)
    }

    /// Reports progress, if the client gave a token for it.
    pub(super) async fn progress(&self, progress: u64, total: u64) {
        let token = self.param("_meta").and_then(|meta| meta.get("progressToken"));
        let Some(token) = token else { return };
        let mut params = json!({ "progressToken": token, "progress": progress, "total": total });
        if self.revision() >= Revision::V2503 {
            params["message"] = json!(format!("step {progress} of {total}"));
        }
        self.send(message::notification("notifications/progress", params))
            .await;
    }

    /// Logs to the client, if it wants to hear of this level.
    pub(super) async fn log(&self, level: Level, text: String) {
        let least = match &self.peer {
            Peer::Legacy(session) => session.level(),
            // 2026-07-28 server/utilities/logging: nothing unless this very request asks for it.
            Peer::Modern(Terms {
                level: Some(least), ..
            }) => *least,
            Peer::Modern(Terms { level: None, .. }) => return,
        };
        if level < least {
            return;
        }
        let params = json!({ "level": level.name(), "logger": "demo", "data": text });
        self.send(message::notification("notifications/message", params))
            .await;
    }

    pub(super) async fn send(&self, message: Value) {
        if let Some(outbound) = &self.outbound {
            // A client that is gone needs no progress; the call itself is ended by its connection.
            let _ = outbound.send(message).await;
        }
    }

    /// Asks the client: at once in a session, by way of a second request since 2026-07-28.
    pub(super) async fn ask(&self, question: Question, params: Value) -> Result<Value, Stop> {
        match &self.peer {
            Peer::Legacy(session) => self.ask_now(session, question, params).await,
            Peer::Modern(terms) => self.ask_for_next_time(terms, question, params),
        }
    }

    async fn ask_now(&self, session: &Session, question: Question, params: Value) -> Result<Value, Stop> {
        let too_old = matches!(question, Question::Elicitation) && session.revision < Revision::V2506;
        let Some(outbound) = self
            .outbound
            .as_ref()
            .filter(|_| !too_old && question.lacks(&session.capabilities).is_none())
        else {
            return Err(Stop::Failed(format!(
                "this client cannot be asked: it has no {}",
                question.capability()
            )));
        };
        session
            .ask(outbound, question.method(), params)
            .await
            .map_err(Stop::Failed)
    }

    fn ask_for_next_time(&self, terms: &Terms, question: Question, params: Value) -> Result<Value, Stop> {
        if let Some(lacking) = question.lacks(&terms.capabilities) {
            let message = format!(
                "Server requires the {} capability for this request",
                question.capability()
            );
            let data = json!({ "requiredCapabilities": lacking });
            return Err(Fault::new(-32021, message).data(data).status(400).into());
        }
        let state = self.state();
        if let Some(response) = self
            .param("inputResponses")
            .and_then(|responses| responses.get(QUESTION))
        {
            if self.param("requestState").and_then(Value::as_str) != Some(&state) {
                return Err(Fault::invalid_params("requestState does not belong to this request").into());
            }
            return Ok(response.clone());
        }
        Err(Stop::Questions(json!({
            "inputRequests": { QUESTION: { "method": question.method(), "params": params } },
            "requestState": state,
        })))
    }

    /// Binds a retry to the request it repeats. It needs no key: who forges it gains nothing, and any
    /// instance can check it.
    fn state(&self) -> String {
        let mut digest = DefaultHasher::new();
        self.request.method.hash(&mut digest);
        for name in ["name", "arguments"] {
            self.param(name).map(Value::to_string).hash(&mut digest);
        }
        format!("demo.{:016x}", digest.finish())
    }
}

/// The key of the only question a call asks at a time.
const QUESTION: &str = "question";
