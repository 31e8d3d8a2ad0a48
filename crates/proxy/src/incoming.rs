//! The upstream's half of one call: what it is sent, and what it says, message by message, each within the call's
//! deadlines.

use std::sync::Arc;
use std::time::Duration;

use mcp::{Kind, Message, Method};
use upstream::{Exchange, Fault, MessageStream, Messages, Removal};

use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::generation::Generation;

/// A server that does not take what is said to its question in this time is left with it.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// What a server hears whose call is cut since it was removed.
pub(crate) const REMOVED: &str = "the gateway no longer serves this server";

/// The upstream's half of a call.
pub(crate) struct Incoming {
    /// What came at once, until it is taken.
    ready: Option<Message>,
    stream: Option<Box<dyn MessageStream>>,
    /// Absent when nothing is sent to anybody.
    exchange: Option<Exchange>,
    /// As the upstream is sent it.
    request: Message,
    deadline: Deadline,
    /// Whether nothing came before what comes next.
    alone: bool,
    /// Where the upstream is told in words that nobody waits any more, for one that does not hear it otherwise.
    told_on: Option<Arc<Generation>>,
}

/// How an upstream took a message.
pub(crate) struct Sent {
    /// The HTTP status of its answer.
    pub(crate) status: u16,
    /// What it calls the session that an `initialize` began.
    pub(crate) session: Option<Box<str>>,
    /// Whether something follows.
    pub(crate) answers: bool,
}

impl Incoming {
    /// A call that is not sent yet.
    pub(crate) fn new(exchange: Exchange, request: Message, deadline: Deadline) -> Self {
        Self {
            ready: None,
            stream: None,
            exchange: Some(exchange),
            request,
            deadline,
            alone: true,
            told_on: None,
        }
    }

    /// What comes from a stream of our own, to which nothing can be said.
    pub(crate) fn of(stream: Box<dyn MessageStream>, request: Message, deadline: Deadline) -> Self {
        Self {
            ready: None,
            stream: Some(stream),
            exchange: None,
            request,
            deadline,
            alone: true,
            told_on: None,
        }
    }

    /// The same call, which is made again with what was asked for.
    pub(crate) fn made_again(mut self) -> Self {
        self.alone = false;
        self
    }

    /// Whether its answer is all that came, to a call that was made once.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    /// The same call; if it is given up before its answer, the upstream is told in words.
    pub(crate) fn told_if_given_up(mut self, current: &Arc<Generation>) -> Self {
        self.told_on = Some(Arc::clone(current));
        self
    }

    /// Waits until its server may be given the call. Nothing of it was sent until then.
    ///
    /// # Errors
    /// When too many wait, or the time is over.
    pub(crate) async fn take_place(&mut self) -> Result<(), Failure> {
        match &mut self.exchange {
            Some(exchange) => self.deadline.keep(exchange.take_place(&self.request)).await,
            None => Err(Failure::Ended),
        }
    }

    /// Sends the request, and waits for the first thing that comes back.
    ///
    /// # Errors
    /// When nothing can come, or the time is over, which the upstream is told.
    pub(crate) async fn send(&mut self) -> Result<Sent, Failure> {
        let Some(exchange) = &mut self.exchange else {
            return Err(Failure::Ended);
        };
        let sent = self.deadline.keep(exchange.send(&self.request)).await;
        let reply = match sent {
            Ok(reply) => reply,
            Err(failure) => {
                self.given_up(&failure).await;
                self.told_on = None;
                return Err(failure);
            }
        };
        let answers = match reply.messages {
            Messages::Accepted => {
                self.told_on = None;
                false
            }
            Messages::One(message) => {
                self.ready = Some(message);
                true
            }
            Messages::Stream(stream) => {
                self.stream = Some(stream);
                true
            }
        };
        Ok(Sent {
            status: reply.status,
            session: reply.session,
            answers,
        })
    }

    /// The next message. After the answer there is none to ask for. May be given up and asked again.
    ///
    /// # Errors
    /// When none can come: the stream broke, or the time is over, which the upstream is told.
    pub(crate) async fn next(&mut self) -> Result<Message, Failure> {
        let next = match self.ready.take() {
            Some(ready) => Ok(ready),
            None => self.receive().await,
        };
        match &next {
            Ok(message) if matches!(message.kind(), Kind::Request | Kind::Notification) => self.alone = false,
            Ok(_) | Err(_) => self.told_on = None,
        }
        next
    }

    async fn receive(&mut self) -> Result<Message, Failure> {
        let Some(stream) = &mut self.stream else {
            let fault = Fault::Broken("its stream ended before the answer".into());
            return Err(fault.of(self.deadline.upstream()).into());
        };
        let next = self.deadline.keep(stream.next()).await;
        if let Err(failure) = &next {
            self.given_up(failure).await;
        }
        let next = next.map_err(|failure| match (failure, &self.exchange) {
            (Failure::Upstream(error), Some(exchange)) => {
                Failure::Upstream(exchange.excused(&self.request, error))
            }
            (failure, _) => failure,
        });
        self.deadline.note_life();
        if next.is_ok() && self.request.method() == Some(&Method::SubscriptionsListen) {
            // A subscription is quiet when nothing happens; its client ends it, or a drain.
            self.deadline.lift();
        }
        next
    }

    /// Answers a question of the upstream, as far as it still listens.
    pub(crate) async fn say(&mut self, answer: &Message) {
        if let Some(exchange) = &mut self.exchange {
            let _ = tokio::time::timeout(TAKEN_WITHIN, exchange.send(answer)).await;
        }
    }

    /// From now on it waits for its user, and keeps no place among the calls of its upstream.
    pub(crate) fn leave_place(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.leave_place();
        }
    }

    /// Tells the upstream that nobody waits for this call any more.
    pub(crate) async fn cancel(&mut self, reason: &str) {
        self.told_on = None;
        if let Some(exchange) = &mut self.exchange {
            exchange.cancel(&self.request, reason).await;
        }
    }

    /// Tells the upstream that the call is over, if that is our decision and not its own.
    async fn given_up(&mut self, failure: &Failure) {
        let removed = matches!(failure, Failure::Upstream(error) if error.fault == Fault::Removed);
        if removed {
            return self.cancel(REMOVED).await;
        }
        if self.deadline.has_passed() {
            self.told_on = None;
            if let Some(exchange) = &mut self.exchange {
                exchange.overdue(&self.request).await;
            }
        }
    }

    /// What ends it before its time.
    pub(crate) fn removal(&self) -> Arc<Removal> {
        self.deadline.removal()
    }

    /// How long it may still take.
    pub(crate) fn deadline(&mut self) -> &mut Deadline {
        &mut self.deadline
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let (Some(current), Some(mut exchange)) = (self.told_on.take(), self.exchange.take()) else {
            return;
        };
        // At the end of the process nobody is there to tell it.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (request, stream) = (self.request.clone(), self.stream.take());
        current.detach(async move {
            exchange.cancel(&request, "its client left").await;
            drop(stream);
        });
    }
}
