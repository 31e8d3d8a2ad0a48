//! What comes back from an upstream, message by message, each within the call's deadlines.

use std::sync::Arc;
use std::time::Duration;

use mcp::{Era, Id, Kind, Message, Method};
use tokio::time::Instant;
use upstream::{Exchange, Fault, MessageStream, Messages, Reply, Timeouts};

use crate::call::Call;
use crate::failure::Failure;
use crate::session::Asking;

/// A server that does not take the refusal of its question in this time is left with it.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

/// An answer that has begun.
pub(crate) struct Answer {
    /// The HTTP status it deserves.
    pub(crate) status: u16,
    /// The session it begins, for a client's `initialize`.
    pub(crate) session: Option<String>,
    /// The first thing that came back.
    pub(crate) first: First,
    stream: Option<Box<dyn MessageStream>>,
    /// Absent when nothing was sent.
    exchange: Option<Exchange>,
    request: Message,
    era: Era,
    /// Absent when its client cannot be asked anything.
    asking: Option<Asking>,
    deadline: Deadline,
}

/// The first thing that came back.
#[derive(Debug)]
pub(crate) enum First {
    /// Nothing: the message was taken.
    Accepted,
    /// The answer itself.
    Answer(Message),
    /// Something before the answer, which will follow.
    Begun(Message),
    /// It was passed on already; more will follow.
    Told,
}

/// How long a call may still take.
pub(crate) struct Deadline {
    upstream: Arc<str>,
    timeouts: Timeouts,
    /// Absent once it may take as long as it likes.
    last: Option<Instant>,
    heard: Instant,
}

impl Answer {
    /// What was taken without asking anybody.
    pub(crate) fn accepted(call: &Call) -> Self {
        let upstream = &call.visit.upstream;
        Self {
            status: 202,
            session: None,
            first: First::Accepted,
            stream: None,
            exchange: None,
            request: call.message.clone(),
            era: call.era,
            asking: None,
            deadline: Deadline::begin(&upstream.name, upstream.timeouts),
        }
    }

    pub(crate) async fn begin(
        exchange: Exchange,
        reply: Reply,
        deadline: Deadline,
        call: &Call,
        asking: Option<Asking>,
    ) -> Result<Self, Failure> {
        let (first, stream) = match reply.messages {
            Messages::Accepted => (First::Accepted, None),
            Messages::One(message) => (First::Answer(message), None),
            Messages::Stream(stream) => (First::Told, Some(stream)),
        };
        let status = reply.status;
        let mut answer = Self {
            status,
            session: None,
            first,
            stream,
            exchange: Some(exchange),
            request: call.message.clone(),
            era: call.era,
            asking,
            deadline,
        };
        if answer.stream.is_some() {
            // Whether this becomes JSON or a stream is decided by what comes first.
            let message = answer.next().await?;
            answer.first = match message.kind() {
                Kind::Result | Kind::Error => First::Answer(message),
                Kind::Request | Kind::Notification => First::Begun(message),
            };
        }
        Ok(answer)
    }

    /// The next message for the client. After the answer there is none to ask for. A question of the
    /// server comes under an id of ours; one that its client cannot be asked is refused here.
    pub(crate) async fn next(&mut self) -> Result<Message, Failure> {
        loop {
            let message = self.receive().await?;
            let asking = self.asking.as_mut();
            let told = match (message.kind(), message.method()) {
                (Kind::Request, _) => asking.and_then(|asking| asking.pose(&message)),
                (Kind::Notification, Some(Method::NotificationsCancelled)) => {
                    let taken_back = asking.and_then(|asking| asking.taken_back(&message));
                    Some(taken_back.unwrap_or_else(|| message.clone()))
                }
                (Kind::Notification | Kind::Result | Kind::Error, _) => return Ok(message),
            };
            match told {
                Some(told) => return Ok(told),
                None => self.refuse_question(&message, message.id()).await,
            }
        }
    }

    async fn receive(&mut self) -> Result<Message, Failure> {
        let Some(stream) = &mut self.stream else {
            let fault = Fault::Broken("its stream ended before the answer".into());
            return Err(fault.of(&self.deadline.upstream).into());
        };
        let next = self.deadline.keep(stream.next()).await;
        if next.is_err()
            && self.deadline.has_passed()
            && let Some(exchange) = &mut self.exchange
        {
            exchange.overdue(&self.request).await;
        }
        let next = next.map_err(|failure| match (failure, &self.exchange) {
            (Failure::Upstream(error), Some(exchange)) => {
                Failure::Upstream(exchange.excused(&self.request, error))
            }
            (failure, _) => failure,
        });
        // Whatever the upstream says of a call shows that it works on it.
        self.deadline.heard = Instant::now();
        if next.is_ok() && self.request.method() == Some(&Method::SubscriptionsListen) {
            // A subscription is quiet when nothing happens; its client ends it, or a drain.
            self.deadline.lift();
        }
        next
    }

    /// The answer, with everything before it left out: for a client that takes no stream, or left.
    pub(crate) async fn last(&mut self) -> Result<Option<Message>, Failure> {
        match std::mem::replace(&mut self.first, First::Told) {
            First::Accepted => return Ok(None),
            First::Answer(answer) => return Ok(Some(answer)),
            First::Begun(question) if question.kind() == Kind::Request => {
                let asked = self.asking.as_mut().and_then(|asking| asking.withdraw(&question));
                self.refuse_question(&question, asked.as_ref()).await;
            }
            First::Begun(_) => {}
            First::Told => {}
        }
        loop {
            let message = self.receive().await?;
            match message.kind() {
                Kind::Result | Kind::Error => return Ok(Some(message)),
                Kind::Request => self.refuse_question(&message, message.id()).await,
                Kind::Notification => {}
            }
        }
    }

    /// A server that asks its client something hears that nobody is there to be asked. One of 2026-07-28
    /// may ask nothing in this way, and takes no answers either.
    async fn refuse_question(&mut self, question: &Message, asked: Option<&Id>) {
        let (Era::Legacy, Some(id), Some(exchange)) = (self.era, asked, &mut self.exchange) else {
            return;
        };
        let reply = match question.method() {
            Some(Method::Ping) => Message::result_reply(id, "{}"),
            Some(_) | None => {
                let words = "this client cannot be asked on this call";
                Message::error_reply(Some(id), mcp::code::METHOD_NOT_FOUND, words, None)
            }
        };
        let _ = tokio::time::timeout(REFUSED_WITHIN, exchange.send(&reply)).await;
    }
}

impl Deadline {
    pub(crate) fn begin(upstream: &Arc<str>, timeouts: Timeouts) -> Self {
        let now = Instant::now();
        Self {
            upstream: Arc::clone(upstream),
            timeouts,
            last: Some(now + timeouts.whole),
            heard: now,
        }
    }

    /// Waits for something of the upstream, but not for longer than the call has left.
    pub(crate) async fn keep<T>(
        &mut self,
        work: impl Future<Output = Result<T, upstream::Error>>,
    ) -> Result<T, Failure> {
        let Some(moment) = self.moment() else {
            return work.await.map_err(Failure::Upstream);
        };
        match tokio::time::timeout_at(moment, work).await {
            Ok(outcome) => outcome.map_err(Failure::Upstream),
            Err(_) => Err(Fault::Silent(self.waited()).of(&self.upstream).into()),
        }
    }

    pub(crate) fn has_passed(&self) -> bool {
        self.moment().is_some_and(|moment| Instant::now() >= moment)
    }

    /// From now on there is none.
    fn lift(&mut self) {
        self.last = None;
    }

    fn moment(&self) -> Option<Instant> {
        let silent = self.heard + self.timeouts.silence;
        self.last.map(|last| silent.min(last))
    }

    fn waited(&self) -> Duration {
        if self.moment() == self.last {
            self.timeouts.whole
        } else {
            self.timeouts.silence
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn deadline() -> Deadline {
        let timeouts = Timeouts {
            silence: 10 * SECOND,
            whole: 25 * SECOND,
        };
        Deadline::begin(&"docs".into(), timeouts)
    }

    /// Waits for something that comes after so long.
    async fn wait(deadline: &mut Deadline, after: Duration) -> Result<(), Fault> {
        let work = async {
            tokio::time::sleep(after).await;
            Ok(())
        };
        let outcome = deadline.keep(work).await;
        deadline.heard = Instant::now();
        outcome.map_err(|failure| match failure {
            Failure::Upstream(error) => error.fault,
            other => panic!("{other:?}"),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_call() {
        let mut deadline = deadline();

        let outcome = wait(&mut deadline, 11 * SECOND).await;

        assert_eq!(outcome, Err(Fault::Silent(10 * SECOND)));
    }

    #[tokio::test(start_paused = true)]
    async fn every_word_begins_the_silence_anew_but_not_the_whole() {
        let mut deadline = deadline();

        assert_eq!(wait(&mut deadline, 9 * SECOND).await, Ok(()));
        assert_eq!(wait(&mut deadline, 9 * SECOND).await, Ok(()));
        let outcome = wait(&mut deadline, 9 * SECOND).await;

        assert_eq!(outcome, Err(Fault::Silent(25 * SECOND)));
        assert!(deadline.has_passed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_has_begun_may_be_quiet() {
        let mut deadline = deadline();

        assert_eq!(wait(&mut deadline, SECOND).await, Ok(()));
        deadline.lift();

        assert_eq!(wait(&mut deadline, 7 * 24 * 3600 * SECOND).await, Ok(()));
        assert!(!deadline.has_passed());
    }
}
