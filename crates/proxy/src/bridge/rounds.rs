//! A client before 2026-07-28, a server of it: the server ends its call with a question, the client can only be
//! asked in the middle of one (`protocol.md` §2.5.2).
//!
//! So its client is asked on the call's own stream, the answers are gathered, and the call is made once more with
//! them, until the server has no more to ask.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mcp::input::{self, InputRequest, InputRequired, ResultType, Retry};
use mcp::translate::Between;
use mcp::{Id, Kind, Message, Method, Revision, code};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use upstream::{Conversation, Fault, Headers, Upstream};

use super::over;
use super::parking::may_ask;
use super::question::{address, is_accepted, is_offered, wanted};
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::incoming::Incoming;
use crate::session::Asking;
use crate::session::questions::Answered;
use crate::session::running::RunningCall;

/// How often a server may ask within one call.
const ROUNDS: u32 = 10;

/// How often it may only want to be called again later.
const DELAYS: u32 = 5;

/// The pause before it is; it doubles.
const LATER: Duration = Duration::from_millis(250);

/// The pause before a call is made again whose user may still be at the address it was sent to; it doubles …
const VISITING: Duration = Duration::from_secs(2);

/// … up to this.
const LONGEST_VISITING: Duration = Duration::from_secs(30);

/// The way back of such a call.
pub(crate) struct Rounds {
    upstream: Arc<Upstream>,
    headers: Arc<Headers>,
    between: Between,
    /// The request as the server was sent it first, and as its client calls it.
    request: Message,
    id: Id,
    /// What its client can be asked, as the server was told.
    capabilities: Vec<u8>,
    /// Absent when its client cannot be asked anything.
    asking: Option<Asking>,
    /// Told when its client takes the call back.
    taken_back: CancellationToken,
    /// Held for as long as it can be taken back.
    _running: Option<RunningCall>,
    /// How long a user may take.
    patience: Duration,
    round: u32,
    delays: u32,
    /// What is to be told before anything else.
    ready: VecDeque<Message>,
    waiting: Option<Waiting>,
    /// The call on its way to the server once more.
    retrying: Option<Retrying>,
    /// Addresses that its user has agreed to visit, with the name that the client knows each visit by.
    visited: HashMap<String, String>,
    visits_until: Option<Instant>,
    /// Where its client's answers come in. Most calls ask nothing, and have no place for any.
    answers: Option<(mpsc::Sender<Answered>, mpsc::Receiver<Answered>)>,
}

/// A call that is made again. It is kept, and gone on with, where its client leaves in the middle of it.
type Retrying = Pin<Box<dyn Future<Output = Result<Incoming, Failure>> + Send>>;

/// Questions that wait for their answers.
struct Waiting {
    since: Instant,
    /// What is left of the call's time. Nothing else of it is held while a user thinks, its place among the calls of
    /// its upstream least of all.
    deadline: Deadline,
    /// By the number that each was asked under.
    open: HashMap<u64, Open>,
    given: Vec<(String, Vec<u8>)>,
    /// What the server wants back, the text of a JSON string.
    state: Option<Vec<u8>>,
    /// A pause before the call is made again.
    pause: Duration,
}

/// A question that was put to the client.
struct Open {
    /// What the server calls it; several names if it sends its user to one address several times.
    keys: Vec<String>,
    method: Method,
    /// The address that its user is sent to, with the name that the client knows the visit by.
    visit: Option<(String, String)>,
}

/// What a call of this kind is made of.
pub(crate) struct Made {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) headers: Arc<Headers>,
    pub(crate) between: Between,
    pub(crate) request: Message,
    pub(crate) id: Id,
    pub(crate) capabilities: Vec<u8>,
    pub(crate) asking: Option<Asking>,
    pub(crate) running: Option<RunningCall>,
    pub(crate) patience: Duration,
}

impl Rounds {
    pub(crate) fn new(made: Made) -> Self {
        let taken_back = made.running.as_ref().map(RunningCall::taken_back);
        Self {
            upstream: made.upstream,
            headers: made.headers,
            between: made.between,
            request: made.request,
            id: made.id,
            capabilities: made.capabilities,
            asking: made.asking,
            taken_back: taken_back.unwrap_or_default(),
            _running: made.running,
            patience: made.patience,
            round: 0,
            delays: 0,
            ready: VecDeque::new(),
            waiting: None,
            retrying: None,
            visited: HashMap::new(),
            visits_until: None,
            answers: None,
        }
    }

    /// Told when its client takes the call back.
    pub(super) fn taken_back(&self) -> CancellationToken {
        self.taken_back.clone()
    }

    /// The next message. May be given up and asked again.
    pub(super) async fn next(&mut self, incoming: &mut Option<Incoming>) -> Result<Message, Failure> {
        let taken_back = self.taken_back.clone();
        tokio::select! {
            biased;
            // The server hears of it by the end of its stream.
            () = taken_back.cancelled() => {
                *incoming = None;
                self.retrying = None;
                Err(Fault::Cancelled.of(&self.upstream.name).into())
            }
            next = self.go_on(incoming) => next,
        }
    }

    async fn go_on(&mut self, incoming: &mut Option<Incoming>) -> Result<Message, Failure> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(message);
            }
            if let Some(retrying) = &mut self.retrying {
                let outcome = retrying.await;
                self.retrying = None;
                *incoming = Some(outcome?);
                continue;
            }
            if self.waiting.is_some() {
                if let Some(end) = self.answered().await? {
                    return Ok(end);
                }
                continue;
            }
            let message = over(incoming)?.next().await?;
            match message.kind() {
                Kind::Result => match self.ends(&message)? {
                    true => return Ok(self.answer(message)),
                    false => {
                        // Its server is done until it is called again.
                        let mut done = incoming.take().ok_or(Failure::Ended)?;
                        let deadline = done.deadline().clone();
                        drop(done);
                        if let Some(end) = self.ask(&message, deadline)? {
                            return Ok(end);
                        }
                    }
                },
                Kind::Error => return Ok(self.answer(message)),
                Kind::Notification => self.ready.extend(self.between.notice(&message)),
                // It may not ask in this way (2026-07-28 basic §Messages), and takes no answers either.
                Kind::Request => {}
            }
        }
    }

    pub(super) fn asks_no_more(&mut self) {
        self.asking = None;
    }

    /// Whether a result is the end of the call, and not a question.
    fn ends(&self, result: &Message) -> Result<bool, Failure> {
        match input::result_type(result) {
            ResultType::Complete => Ok(true),
            ResultType::InputRequired if self.request.method().is_some_and(may_ask) => Ok(false),
            ResultType::InputRequired => Err(self.broken("it asks its user something where it may not")),
            ResultType::Task | ResultType::Unknown(_) => {
                Err(self.broken("its result is of a type that was not offered to it"))
            }
        }
    }

    /// Asks the client what the server wants to know; the end of the call if its user has not been in time where
    /// it was sent.
    fn ask(&mut self, result: &Message, deadline: Deadline) -> Result<Option<Message>, Failure> {
        self.round += 1;
        if self.round > ROUNDS {
            return Err(self.broken("it asks its user without end"));
        }
        let asked = InputRequired::read(result).map_err(|why| self.broken(why.as_str()))?;
        let mut waiting = Waiting {
            since: Instant::now(),
            deadline,
            open: HashMap::new(),
            given: Vec::new(),
            state: asked.state.map(<[u8]>::to_vec),
            pause: Duration::ZERO,
        };
        if asked.requests.is_empty() {
            if self.delays == DELAYS {
                return Err(self.broken("it wants to be called again without end"));
            }
            waiting.pause = LATER * 2_u32.pow(self.delays);
            self.delays += 1;
        }
        let mut visiting = 0;
        for request in &asked.requests {
            visiting += usize::from(self.pose(request, &mut waiting)?);
        }
        if visiting > 0 && waiting.open.is_empty() {
            // Nothing new: the user is on the way. That is no round of questions.
            self.round -= 1;
            match self.visiting() {
                Some(pause) => waiting.pause = pause,
                None => {
                    let words = "finish at the address that the server asked to visit, then call again";
                    return Ok(Some(self.declined(words)));
                }
            }
        }
        self.waiting = Some(waiting);
        Ok(None)
    }

    /// One question, asked unless its answer is known without asking. True if it is known since the user was sent
    /// to this very address before.
    fn pose(&mut self, request: &InputRequest<'_>, waiting: &mut Waiting) -> Result<bool, Failure> {
        let key = request.key.clone().into_owned();
        let params = request.params.as_deref();
        if !is_offered(&self.capabilities, &request.method, params) {
            return Err(self.broken(&self.unoffered(&request.method, params)));
        }
        let url = address(&request.method, params);
        if url.as_ref().is_some_and(|url| self.visited.contains_key(url)) {
            waiting.given.push((key, br#"{"action":"accept"}"#.to_vec()));
            return Ok(true);
        }
        let same = |open: &&mut Open| {
            let asked = open.visit.as_ref().map(|(asked, _)| asked);
            asked.is_some() && asked == url.as_ref()
        };
        if let Some(open) = waiting.open.values_mut().find(same) {
            // Its user is asked once, and what is answered to that answers this.
            open.keys.push(key);
            return Ok(false);
        }
        let name = match &url {
            // Only an address needs a name that no other visit has.
            Some(_) => format!("{:032x}", fastrand::u128(..)),
            None => format!("{}-{}", self.round, waiting.open.len() + waiting.given.len()),
        };
        let params = match self.between.question(&request.method, params, &name) {
            Ok(params) => params,
            Err(why) => match why.stands_for() {
                Some(result) => {
                    waiting.given.push((key, result.as_bytes().to_vec()));
                    return Ok(false);
                }
                None => return Err(self.broken(why.as_str())),
            },
        };
        let params = params.map(|params| String::from_utf8_lossy(&params).into_owned());
        let (sender, _) = self.answers.get_or_insert_with(|| mpsc::channel(input::MOST));
        let Some(asking) = self.asking.as_mut() else {
            return Err(Fault::Cancelled.of(&self.upstream.name).into());
        };
        let Some((number, question)) = asking.ask(&request.method, params.as_deref(), sender) else {
            return Err(self.broken("it asks more at once than its user may be asked"));
        };
        let open = Open {
            keys: vec![key],
            method: request.method.clone(),
            visit: url.map(|url| (url, name)),
        };
        waiting.open.insert(number, open);
        self.ready.push_back(question);
        Ok(false)
    }

    /// Waits for an answer. When there are all, the call is made again; the end of the call if there is one
    /// without that.
    async fn answered(&mut self) -> Result<Option<Message>, Failure> {
        if let Some(complete) = self.waiting.take_if(|waiting| waiting.open.is_empty()) {
            self.retrying = Some(self.again(complete));
            return Ok(None);
        }
        let Some(waiting) = self.waiting.as_mut() else {
            return Ok(None);
        };
        if self.asking.is_none() {
            // Its client has left, and its answers go nowhere.
            return Err(Fault::Cancelled.of(&self.upstream.name).into());
        }
        let until = waiting.since + self.patience;
        let Some((_, answers)) = self.answers.as_mut() else {
            return Err(Failure::Ended);
        };
        let answer = match tokio::time::timeout_at(until, answers.recv()).await {
            Ok(Some((number, answer))) => waiting.open.remove(&number).zip(Some(answer)),
            // Nobody answers: what is open counts as declined.
            Ok(None) | Err(_) => return Ok(Some(self.unanswered())),
        };
        let Some((asked, answer)) = answer else {
            return Ok(None);
        };
        // What is no object no server can be told; without an answer at all it would ask the same again.
        let given = match answer.result().filter(|result| Retry::can_carry(result)) {
            Some(result) => {
                let reply = self
                    .between
                    .reply(&asked.method, result)
                    .map(std::borrow::Cow::into_owned);
                reply.map_err(|why| why.as_str().to_owned())
            }
            None => in_place_of(&asked.method, &answer),
        };
        match given {
            Ok(given) => {
                if let Some((url, name)) = asked.visit
                    && is_accepted(&given)
                {
                    self.visited.insert(url, name);
                }
                let given = asked.keys.into_iter().map(|key| (key, given.clone()));
                waiting.given.extend(given);
                Ok(None)
            }
            Err(why) => {
                self.waiting = None;
                Ok(Some(self.declined(&format!(
                    "the client declined what the server asked: {why}"
                ))))
            }
        }
    }

    /// Makes the call again, with the answers, after the pause that its server wants.
    fn again(&self, waiting: Waiting) -> Retrying {
        let id = Id::text(&format!("gw-again-{:016x}", fastrand::u64(..)));
        let given = waiting
            .given
            .iter()
            .map(|(key, response)| (key.as_str(), response.as_slice()));
        let request = Retry::compose(&self.request, &id, given, waiting.state.as_deref());
        let (upstream, headers) = (Arc::clone(&self.upstream), Arc::clone(&self.headers));
        let (since, pause, mut deadline) = (waiting.since, waiting.pause, waiting.deadline);
        Box::pin(async move {
            tokio::time::sleep(pause).await;
            deadline.pause_since(since);
            let opened = upstream.open(Conversation::Bridged, headers);
            let exchange = deadline.keep(opened).await?;
            let mut next = Incoming::new(exchange, request, deadline).made_again();
            next.send().await?;
            Ok(next)
        })
    }

    /// How long to wait for a user who is on the way; none when that was long enough.
    fn visiting(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let until = *self.visits_until.get_or_insert(now + self.patience);
        let left = until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        let gone = self.patience.saturating_sub(left);
        Some(gone.clamp(VISITING, LONGEST_VISITING).min(left))
    }

    /// The end of the call as its client is to read it; before it, that the addresses have been visited.
    fn answer(&mut self, message: Message) -> Message {
        let message = match message.id() == Some(&self.id) {
            true => message,
            false => message.with_id(&self.id),
        };
        let asked = self.request.method().cloned().unwrap_or(Method::Ping);
        let message = match asked {
            Method::ToolsList => self.upstream.callable(message),
            _ => message,
        };
        let answer = self.between.answer(&asked, &message);
        let visited = std::mem::take(&mut self.visited);
        if message.kind() == Kind::Error || visited.is_empty() || self.between.client != Revision::V2025_11_25
        {
            return answer;
        }
        for name in visited.into_values() {
            let params = format!(r#"{{"elicitationId":{}}}"#, serde_json::json!(name));
            let complete = Message::notification("notifications/elicitation/complete", Some(&params));
            self.ready.push_back(complete);
        }
        self.ready.push_back(answer);
        self.ready.pop_front().unwrap_or(message)
    }

    /// The end of a call whose client did not answer in time.
    fn unanswered(&mut self) -> Message {
        self.waiting = None;
        self.declined("the user did not answer in time what the server asked")
    }

    /// The end of a call that cannot go on for want of an answer.
    fn declined(&self, words: &str) -> Message {
        match self.request.method() {
            Some(Method::ToolsCall) => {
                let text = serde_json::json!({"content": [{"type": "text", "text": words}], "isError": true});
                Message::result_reply(&self.id, &text.to_string())
            }
            _ => Message::error_reply(Some(&self.id), code::INTERNAL_ERROR, words, None),
        }
    }

    /// What the server asked that its client cannot be asked, as the server was told.
    fn unoffered(&self, method: &Method, params: Option<&[u8]>) -> String {
        let (method, wanted) = (method.as_str(), wanted(method, params));
        let why = match self.asking {
            Some(_) => format!("`{wanted}` is not among its client's capabilities"),
            None => "its client is asked nothing in a batch, outside of a session, or where it accepts no \
                     `text/event-stream`"
                .to_owned(),
        };
        format!("it asks `{method}`, which was not offered to it: {why}")
    }

    fn broken(&self, what: &str) -> Failure {
        Fault::Broken(what.to_owned()).of(&self.upstream.name).into()
    }
}

/// What the server gets for an error of the client, or for a result that is no object; or why it can get nothing:
/// 2026-07-28 has no words for one.
fn in_place_of(method: &Method, answer: &Message) -> Result<Vec<u8>, String> {
    match method {
        Method::ElicitationCreate => Ok(br#"{"action":"cancel"}"#.to_vec()),
        Method::RootsList => Ok(br#"{"roots":[]}"#.to_vec()),
        _ if answer.kind() == Kind::Result => Err("its answer is not an object".to_owned()),
        _ => {
            let error = answer.error().and_then(|error| mcp::Object::parse(error).ok());
            let words = error.and_then(|error| error.get_text("message").map(std::borrow::Cow::into_owned));
            Err(words.unwrap_or_else(|| "without a reason".to_owned()))
        }
    }
}
