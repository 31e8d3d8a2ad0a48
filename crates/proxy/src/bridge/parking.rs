//! A client of 2026-07-28, a server before it: the server asks in the middle of the call, the client can only be
//! asked at its end (`protocol.md` §2.5.3).
//!
//! So the call is kept, and its client is given a state that names it. When the client comes back with answers, the
//! server gets them, and the call goes on where it was: it is never made twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mcp::input::{self, InputRequest, Malformed, Retry};
use mcp::translate::Between;
use mcp::{ClientCapabilities, Id, Kind, Message, Method, Refusal, code, meta};
use tokio::time::Instant;

use super::question::{is_accepted, is_offered, unaskable};
use super::{Bridge, Hop, over, relay};
use crate::answer::Answer;
use crate::call::{Call, Visit};
use crate::failure::Failure;
use crate::generation::Generation;
use crate::incoming::Incoming;
use crate::session::parked::{Counted, NotKept, ParkedCall, Question, STOPPING};
use crate::session::state::{State, Waits};

/// What a server asks within this time of its first question is asked together with it.
const TOGETHER: Duration = Duration::from_millis(20);

/// The way back of such a call.
pub(crate) struct Parking {
    current: Arc<Generation>,
    upstream: Arc<str>,
    between: Between,
    visit: Arc<Visit>,
    /// The request, as its client made it this time.
    request: Message,
    /// How often its client has been asked.
    round: u32,
    ready: VecDeque<Message>,
}

/// What a client that comes back comes back to.
pub(crate) enum Return {
    /// Its call, which goes on.
    Resumed(Box<Answer>),
    /// Nothing: the call is made for the first time, or again since its user has been where it was sent.
    Anew,
    /// An end of the call that needs no server.
    Answered(Box<Message>),
}

impl Parking {
    pub(crate) fn new(current: &Arc<Generation>, call: &Call, hop: &Hop) -> Self {
        Self {
            current: Arc::clone(current),
            upstream: Arc::clone(&hop.upstream.name),
            between: hop.between,
            visit: Arc::clone(&call.visit),
            request: call.message.clone(),
            round: 0,
            ready: VecDeque::new(),
        }
    }

    /// The next message. Questions of the server end the exchange, and not the call.
    pub(super) async fn next(&mut self, incoming: &mut Option<Incoming>) -> Result<Message, Failure> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(message);
            }
            let message = over(incoming)?.next().await?;
            match message.kind() {
                Kind::Result | Kind::Error => return self.answer(&message),
                Kind::Notification => self.ready.extend(self.notice(&message)),
                Kind::Request => {
                    if let Some(asked) = self.gather(message, incoming).await? {
                        return Ok(asked);
                    }
                }
            }
        }
    }

    /// What the server asks at once, as the end of the exchange; none when none of it can be asked.
    async fn gather(
        &mut self,
        first: Message,
        incoming: &mut Option<Incoming>,
    ) -> Result<Option<Message>, Failure> {
        let mut questions = Vec::new();
        let until = Instant::now() + TOGETHER;
        let mut message = first;
        loop {
            match message.kind() {
                Kind::Request if questions.len() < input::MOST => {
                    let key = format!("r{}_{}", self.round + 1, questions.len() + 1);
                    match self.question(&message, &key) {
                        Ok(question) => questions.push(question),
                        Err(refusal) => over(incoming)?.say(&refusal).await,
                    }
                }
                Kind::Request => over(incoming)?.say(&too_many(&message)).await,
                Kind::Notification => self.ready.extend(self.notice(&message)),
                // It does not wait for its answers.
                Kind::Result | Kind::Error => return self.answer(&message).map(Some),
            }
            if questions.is_empty() {
                return Ok(None);
            }
            match tokio::time::timeout_at(until, over(incoming)?.next()).await {
                Ok(next) => message = next?,
                Err(_) => break,
            }
        }
        let mut waiting = incoming.take().ok_or(Failure::Ended)?;
        waiting.leave_place();
        let asked = self.park(waiting, questions).await?;
        // What was said before the questions comes before them.
        self.ready.push_back(asked);
        Ok(self.ready.pop_front())
    }

    /// Keeps the call, and tells its client what is asked.
    async fn park(&self, incoming: Incoming, questions: Vec<Question>) -> Result<Message, Failure> {
        let round = self.round + 1;
        let requests: Vec<_> = questions
            .iter()
            .map(|question| {
                (
                    question.key.clone(),
                    question.method.clone(),
                    question.params.clone(),
                )
            })
            .collect();
        let call = ParkedCall {
            incoming,
            questions,
            round,
            upstream: Arc::clone(&self.upstream),
            since: Instant::now(),
            _counted: Counted::in_gauge(&self.current.account.metrics().parked),
        };
        let within = self.current.bounds.parked;
        let parked = self.current.sessions.parked();
        let call = match parked.keep(call, within) {
            Ok(call) => call,
            Err(not_kept) => match *not_kept {
                NotKept::Full(mut call) => {
                    call.incoming.cancel("too many calls wait for their users").await;
                    return Err(Failure::Crowded);
                }
                NotKept::Stopping(call) => {
                    call.end(STOPPING).await;
                    return Err(Failure::Stopping);
                }
            },
        };
        let waits = Waits::Call {
            process: parked.process,
            call,
            round,
        };
        let state = self.seal(waits, within);
        let id = self.request.id().ok_or(Failure::Ended)?;
        Ok(input::input_required(id, &requests, Some(&state)))
    }

    fn seal(&self, waits: Waits, within: Duration) -> String {
        self.current
            .sessions
            .seal_state((&self.visit, &self.upstream), &self.request, waits, within)
    }

    /// What its client can be asked.
    fn capabilities(&self) -> &[u8] {
        self.request.client_capabilities().unwrap_or(b"{}")
    }

    /// A question as its client can be asked it, or what the server is told instead.
    fn question(&self, message: &Message, key: &str) -> Result<Question, Box<Message>> {
        let (id, method) = match (message.id(), message.method()) {
            (Some(id), Some(method)) => (id.clone(), method.clone()),
            _ => {
                let words = "a question needs a method";
                let refusal = Message::error_reply(message.id(), code::INVALID_REQUEST, words, None);
                return Err(Box::new(refusal));
            }
        };
        if method == Method::Ping {
            return Err(Box::new(Message::result_reply(&id, "{}")));
        }
        if !is_offered(self.capabilities(), &method, message.params()) {
            return Err(Box::new(undeclared(&id, &method)));
        }
        match self.between.question(&method, message.params(), key) {
            Ok(params) => Ok(Question {
                key: key.to_owned(),
                id,
                method,
                params: params.map(std::borrow::Cow::into_owned),
            }),
            Err(why) => Err(Box::new(unaskable(&id, why))),
        }
    }

    /// A notification as its client is to read it, if it is to.
    fn notice(&self, message: &Message) -> Option<Message> {
        match message.method() {
            Some(Method::NotificationsMessage) if !self.wants(message) => None,
            Some(Method::NotificationsProgress) => {
                // The call may go on under another token than the one it began with.
                let token = self.request.progress_token()?;
                self.between.notice(&message.with_progress_token(token))
            }
            // Changes are told to those who subscribed to them, and a question that is taken back was answered by
            // the end of the exchange.
            Some(
                Method::NotificationsToolsListChanged
                | Method::NotificationsPromptsListChanged
                | Method::NotificationsResourcesListChanged
                | Method::NotificationsResourcesUpdated
                | Method::NotificationsCancelled,
            ) => None,
            _ => self.between.notice(message),
        }
    }

    /// Whether a log message is grave enough. Without a level none is (2026-07-28 server/utilities/logging).
    fn wants(&self, message: &Message) -> bool {
        let level = message.params_member("level").and_then(meta::log_level);
        matches!((wanted(&self.request), level), (Some(least), Some(level)) if level >= least)
    }

    /// The answer as its client is to read it.
    fn answer(&self, message: &Message) -> Result<Message, Failure> {
        let id = self.request.id().ok_or(Failure::Ended)?;
        let asked = self.request.method().ok_or(Failure::Ended)?;
        let message = match message.id() {
            Some(theirs) if theirs == id => message.clone(),
            _ => message.with_id(id),
        };
        if message.error_code() == Some(code::URL_ELICITATION) {
            return self.visit(id, asked, &message);
        }
        Ok(self.between.answer(asked, &message))
    }

    /// The server refuses the call until its user has been to some addresses (`protocol.md` §2.5.4).
    fn visit(&self, id: &Id, asked: &Method, error: &Message) -> Result<Message, Failure> {
        let failed = || {
            let words = "the server wants its user to visit an address first, and does not say which";
            Message::error_reply(Some(id), code::INTERNAL_ERROR, words, None)
        };
        if !may_ask(asked) {
            return Ok(failed());
        }
        let Ok(requests) = input::url_requests(error) else {
            return Ok(failed());
        };
        if !ClientCapabilities::new(self.capabilities()).elicitation_url() {
            let needed = r#"{"requiredCapabilities":{"elicitation":{"url":{}}}}"#;
            let mut refusal = Refusal::new(
                code::MISSING_CAPABILITY,
                "the server wants its user to visit an address first",
            );
            refusal.data = Some(needed.into());
            return Err(refusal.into());
        }
        let requests: Vec<_> = requests
            .into_iter()
            .map(|InputRequest { key, method, params }| {
                (key.into_owned(), method, params.map(std::borrow::Cow::into_owned))
            })
            .collect();
        let state = self.seal(Waits::Visit, self.current.bounds.parked);
        Ok(input::input_required(id, &requests, Some(&state)))
    }
}

/// What the client of a call comes back to.
///
/// # Errors
/// The same for every state that is not good, whatever is wrong with it.
pub(crate) async fn come_back(current: &Arc<Generation>, call: &Call, hop: &Hop) -> Result<Return, Failure> {
    if !call.message.method().is_some_and(may_ask) {
        return Ok(Return::Anew);
    }
    let retry = match Retry::read(&call.message) {
        Ok(Some(retry)) => retry,
        Ok(None) => return Ok(Return::Anew),
        Err(malformed) => return Err(unfit(malformed).into()),
    };
    let Some(text) = &retry.state else {
        // Answers to nothing that we asked go nowhere.
        return Ok(Return::Anew);
    };
    let parking = Parking::new(current, call, hop);
    let sessions = &current.sessions;
    let state = sessions.open_state((&call.visit, &hop.upstream.name), &call.message, text);
    let State { waits, .. } = state.ok_or(Failure::StateUnknown)?;
    let (number, round) = match waits {
        Waits::Visit => return Ok(visited(call, &retry)),
        Waits::Call { process, .. } if process != sessions.parked().process => {
            return Err(Failure::Interrupted);
        }
        Waits::Call { call, round, .. } => (call, round),
    };
    let parked = sessions
        .parked()
        .take(number, round)
        .ok_or(Failure::StateUnknown)?;
    let answer = parking.resume(parked, &retry).await?;
    Ok(Return::Resumed(Box::new(answer)))
}

/// Answers that are none. What is wrong lies with the call and not with the request around it, so the status is that
/// of an answered one (`protocol.md` D-10).
fn unfit(malformed: Malformed) -> Refusal {
    Refusal {
        status: 200,
        ..Refusal::new(code::INVALID_PARAMS, malformed.as_str())
    }
}

impl Parking {
    /// Gives the server its answers, and goes on with the call. What was not answered is asked once more.
    async fn resume(mut self, parked: ParkedCall, retry: &Retry<'_>) -> Result<Answer, Failure> {
        let ParkedCall {
            mut incoming,
            questions,
            round,
            since,
            ..
        } = parked;
        incoming.deadline().pause_since(since);
        self.round = round;
        let mut missing = Vec::new();
        for question in questions {
            let response = retry.responses.iter().find(|(key, _)| *key == question.key);
            match response {
                Some((_, response)) => {
                    let answer = Message::result_reply(&question.id, &String::from_utf8_lossy(response));
                    incoming
                        .say(&relay::reply(self.between, Some(&question.method), &answer))
                        .await;
                }
                None => missing.push(question),
            }
        }
        if missing.is_empty() {
            let bridge = Bridge::Parking(Box::new(self));
            return Answer::begin(200, incoming, bridge).await;
        }
        let asked = self.park(incoming, missing).await?;
        Ok(Answer::said(asked))
    }
}

/// What becomes of a call whose user was sent to some addresses: it is made again, if the user went.
fn visited(call: &Call, retry: &Retry<'_>) -> Return {
    let all =
        !retry.responses.is_empty() && retry.responses.iter().all(|(_, response)| is_accepted(response));
    let (Some(id), false) = (call.message.id(), all) else {
        return Return::Anew;
    };
    Return::Answered(Box::new(match call.message.method() {
        Some(Method::ToolsCall) => Message::result_reply(
            id,
            r#"{"resultType":"complete","isError":true,"content":[{"type":"text","text":"The user did not visit the address that the server asked for."}]}"#,
        ),
        _ => {
            let words = "the user did not visit the address that the server asked for";
            Message::error_reply(Some(id), code::INTERNAL_ERROR, words, None)
        }
    }))
}

/// From which of the levels on a request wants log messages.
pub(super) fn wanted(request: &Message) -> Option<usize> {
    request.log_level().and_then(meta::log_level)
}

/// The requests whose answer may be a question (2026-07-28 basic, multi-round-trip requests).
pub(super) fn may_ask(method: &Method) -> bool {
    matches!(
        method,
        Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead
    )
}

/// What a server is told that asks what its client has not offered (`protocol.md` §2.5.3).
fn undeclared(id: &Id, method: &Method) -> Message {
    let code = match method {
        Method::ElicitationCreate => code::INVALID_PARAMS,
        _ => code::METHOD_NOT_FOUND,
    };
    let words = "the client of this call has not offered to be asked this";
    Message::error_reply(Some(id), code, words, None)
}

fn too_many(question: &Message) -> Message {
    let words = "too many questions wait for this client's answer";
    Message::error_reply(question.id(), code::INTERNAL_ERROR, words, None)
}
