//! A client and a server before 2026-07-28, where the session of one is none with the other: the client's is with an
//! endpoint of many servers, the server's is one of the gateway's own (decision 11).
//!
//! Messages pass as within one session. What the server asks on the call's stream is answered on the call's own
//! exchange; what the client takes back is taken back in the server's words.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mcp::input;
use mcp::translate::Between;
use mcp::{Id, Kind, Message, Method};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use upstream::Fault;

use super::question::unaskable;
use super::{over, relay};
use crate::failure::Failure;
use crate::incoming::Incoming;
use crate::session::Asking;
use crate::session::questions::Answered;
use crate::session::running::RunningCall;

/// The way back of such a call.
pub(crate) struct Pooling {
    upstream: Arc<str>,
    between: Between,
    /// What the client asked.
    asked: Method,
    /// Absent when its client cannot be asked anything.
    asking: Option<Asking>,
    /// Told when its client takes the call back.
    taken_back: CancellationToken,
    /// Held for as long as it can be taken back.
    _running: Option<RunningCall>,
    /// What the server calls each question that waits for its answer, and what it asked.
    open: HashMap<u64, (Id, Method)>,
    answers: (mpsc::Sender<Answered>, mpsc::Receiver<Answered>),
    /// How long a user may take.
    patience: Duration,
    /// What the server is to be told: kept here, since [`Pooling::next`] may be given up while it is said.
    unsaid: VecDeque<Message>,
}

impl Pooling {
    pub(super) fn new(
        upstream: &Arc<str>,
        between: Between,
        asked: Method,
        (asking, patience): (Option<Asking>, Duration),
        running: Option<RunningCall>,
    ) -> Self {
        let taken_back = running.as_ref().map(RunningCall::taken_back);
        Self {
            upstream: Arc::clone(upstream),
            between,
            asked,
            asking,
            taken_back: taken_back.unwrap_or_default(),
            _running: running,
            open: HashMap::new(),
            answers: mpsc::channel(input::MOST),
            patience,
            unsaid: VecDeque::new(),
        }
    }

    /// Told when its client takes the call back.
    pub(super) fn taken_back(&self) -> CancellationToken {
        self.taken_back.clone()
    }

    /// The next message. May be given up and asked again.
    pub(super) async fn next(&mut self, incoming: &mut Option<Incoming>) -> Result<Message, Failure> {
        loop {
            while let Some(message) = self.unsaid.front() {
                over(incoming)?.say(message).await;
                self.unsaid.pop_front();
            }
            let server = over(incoming)?;
            if self.open.is_empty() {
                server.deadline().answered();
            }
            let message = tokio::select! {
                biased;
                () = self.taken_back.cancelled() => {
                    server.cancel("its client took it back").await;
                    return Err(Fault::Cancelled.of(&self.upstream).into());
                }
                Some((number, answer)) = self.answers.1.recv() => {
                    self.answered(number, &answer);
                    continue;
                }
                message = server.next() => message?,
            };
            match message.kind() {
                Kind::Result | Kind::Error => return Ok(self.between.answer(&self.asked, &message)),
                Kind::Request => {
                    if let Some(posed) = self.ask(&message) {
                        // Its silence is not counted while a user thinks.
                        server.deadline().ask(self.patience);
                        return Ok(posed);
                    }
                }
                Kind::Notification => {
                    if let Some(notice) = self.notice(&message) {
                        return Ok(notice);
                    }
                }
            }
        }
    }

    /// Its client cannot be asked any more: what it was asked and has not answered is refused.
    pub(super) fn asks_no_more(&mut self) {
        while let Ok((number, answer)) = self.answers.1.try_recv() {
            self.answered(number, &answer);
        }
        self.asking = None;
        for (_, (id, method)) in self.open.drain() {
            self.unsaid.push_back(relay::refusal(&id, Some(&method)));
        }
    }

    /// A question as the client is asked it. One that it cannot be asked is refused.
    fn ask(&mut self, question: &Message) -> Option<Message> {
        let (id, method) = (question.id()?, question.method()?);
        let Some(asking) = self.asking.as_mut() else {
            self.unsaid.push_back(relay::refusal(id, Some(method)));
            return None;
        };
        let name = format!("{}", self.open.len());
        let params = match self.between.question(method, question.params(), &name) {
            Ok(params) => params,
            Err(why) => {
                self.unsaid.push_back(unaskable(id, why));
                return None;
            }
        };
        let params = params.as_deref().map(String::from_utf8_lossy);
        match asking.ask(method, params.as_deref(), &self.answers.0) {
            Some((number, posed)) => {
                self.open.insert(number, (id.clone(), method.clone()));
                Some(posed)
            }
            None => {
                self.unsaid.push_back(relay::refusal(id, Some(method)));
                None
            }
        }
    }

    fn answered(&mut self, number: u64, answer: &Message) {
        if let Some((id, method)) = self.open.remove(&number) {
            let answer = relay::reply(self.between, Some(&method), &answer.with_id(&id));
            self.unsaid.push_back(answer);
        }
    }

    fn notice(&mut self, notice: &Message) -> Option<Message> {
        match notice.method() {
            Some(Method::NotificationsCancelled) => {
                let asked = notice.cancelled_request()?;
                let number = self.open.iter().find(|(_, (id, _))| *id == asked);
                let number = *number?.0;
                self.open.remove(&number);
                let posed = self.asking.as_mut()?.forget(number)?;
                Some(notice.with_cancelled_request(&posed))
            }
            // Changes are told on the stream that listens to the endpoint.
            Some(
                Method::NotificationsToolsListChanged
                | Method::NotificationsPromptsListChanged
                | Method::NotificationsResourcesListChanged
                | Method::NotificationsResourcesUpdated,
            ) => None,
            _ => self.between.notice(notice),
        }
    }
}
