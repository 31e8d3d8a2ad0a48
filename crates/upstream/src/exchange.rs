//! One message to an upstream and what comes back: the story of an exchange, healing included.

mod bridged;
mod doubt;

use std::sync::Arc;

use mcp::{Era, Kind, Message, Method};

use crate::breaker::Pass;
use crate::error::{Error, Fault};
use crate::registry::Upstream;
use crate::slots::Slot;
use crate::transport::{Conversation, Headers, Link, Reply, Session};

/// How often a call may find that a session which was begun anew is lost again: platforms end one with
/// each answer, so that of many calls at once all but one find it lost.
const LOST_AGAIN: usize = 16;

/// An exchange with an upstream that was opened and not yet sent. It counts as running until it is
/// dropped.
pub struct Exchange {
    upstream: Arc<Upstream>,
    conversation: Conversation,
    headers: Arc<Headers>,
    /// Absent when the session was found lost before anything was sent, and while nobody knows which headers a
    /// message of ours is to have.
    link: Option<Box<dyn Link>>,
    /// The session that the link speaks in, which another call may have found lost since.
    using: Option<Session>,
    pass: Pass,
    slot: Option<Slot>,
}

impl Exchange {
    /// Opens what carries the messages of a conversation.
    pub(crate) async fn open(
        upstream: Arc<Upstream>,
        conversation: Conversation,
        headers: Arc<Headers>,
    ) -> Result<Self, Error> {
        let mut pass = upstream.breaker.admit()?;
        let using = match &conversation {
            Conversation::Session(session) => Some(upstream.renewals.current(session, &headers)),
            Conversation::Modern
            | Conversation::Bridged
            | Conversation::Greeting
            | Conversation::Pooled(_) => None,
        };
        let opened = match (using.clone(), &conversation) {
            (Some(current), _) => {
                let current = Conversation::Session(current);
                upstream.link(&current, &headers).await.map(Some)
            }
            (None, Conversation::Bridged) => Ok(None),
            (None, _) => upstream.link(&conversation, &headers).await.map(Some),
        };
        let link = match opened {
            Ok(link) => link,
            Err(Error {
                fault: Fault::SessionGone,
                ..
            }) if matches!(conversation, Conversation::Session(_)) => None,
            Err(error) => {
                let failed = Err(error);
                pass.learned(&failed);
                upstream.note(failed.as_ref().err());
                return failed;
            }
        };
        Ok(Self {
            upstream,
            conversation,
            headers,
            link,
            using,
            pass,
            slot: None,
        })
    }

    /// Waits for the place of a message that needs one. Nothing of it was sent until then.
    ///
    /// # Errors
    /// When more wait than may.
    pub async fn take_place(&mut self, message: &Message) -> Result<(), Error> {
        if takes_a_place(message) && self.slot.is_none() {
            let slot = self.upstream.slots.take().await;
            let slot = slot.map_err(|full| Fault::Full(full.0).of(&self.upstream.name))?;
            self.slot = Some(slot);
        }
        Ok(())
    }

    /// Sends the message and waits for the first thing that comes back. A request waits first for a place
    /// among those that may run at once.
    ///
    /// What was refused before it was processed is sent once more where that may help: to an upstream that
    /// speaks otherwise than assumed, after asking it anew; in a session that the upstream has lost, after
    /// beginning it anew. That is no second call.
    ///
    /// # Errors
    /// When the exchange fails before anything came back.
    pub async fn send(&mut self, message: &Message) -> Result<Reply, Error> {
        self.take_place(message).await?;
        let outcome = match self.conversation.clone() {
            Conversation::Session(session) => {
                if message.method() == Some(&Method::NotificationsCancelled) {
                    self.upstream.taken_back.note(&session, message);
                }
                let outcome = self.send_in_session(&session, message).await;
                let outcome = self.judged(message, outcome, Era::Legacy).await;
                outcome.map_err(|error| self.excused(message, error))
            }
            Conversation::Greeting => {
                let outcome = self.send_as_assumed(message).await;
                self.learned(&outcome);
                return self.upstream.judge_greeting(outcome, &self.headers).await;
            }
            Conversation::Bridged => {
                let outcome = self.send_bridged(message).await;
                self.judged(message, outcome, Era::Modern).await
            }
            Conversation::Modern => {
                let outcome = self.send_as_assumed(message).await;
                self.judged(message, outcome, Era::Modern).await
            }
            Conversation::Pooled(_) => {
                let outcome = self.send_as_assumed(message).await;
                self.judged(message, outcome, Era::Legacy).await
            }
        };
        self.learned(&outcome);
        outcome
    }

    /// Gives back the place among the calls that its upstream is given at once: it waits for somebody's user, who may
    /// think for minutes, and must hold up nobody else's call.
    pub fn leave_place(&mut self) {
        self.slot = None;
    }

    /// Takes the running request back, since it took longer than allowed: this counts as the upstream's
    /// silence.
    pub async fn overdue(&mut self, request: &Message) {
        self.upstream.note_silence();
        self.cancel(request, "it took longer than allowed").await;
    }

    /// Tells the upstream that nobody waits for this request any more, whether its stream is still read or
    /// not; it knows the request by an id of ours where the wire is shared. A 2026-07-28 upstream over HTTP
    /// is told by dropping the stream.
    pub async fn cancel(&mut self, request: &Message, reason: &str) {
        if let Some(link) = &mut self.link {
            link.cancel(request, reason).await;
        }
    }

    /// The fault as it is, unless the request was taken back by its client: then a call that ends without
    /// an answer ends as it should.
    #[must_use]
    pub fn excused(&self, request: &Message, error: Error) -> Error {
        match (&error.fault, &self.conversation) {
            (Fault::Broken(_), Conversation::Session(session))
                if self.upstream.taken_back.was(session, request) =>
            {
                Fault::Cancelled.of(&self.upstream.name)
            }
            _ => error,
        }
    }

    fn learned(&mut self, outcome: &Result<Reply, Error>) {
        self.pass.learned(outcome);
        self.upstream.note(outcome.as_ref().err());
    }

    /// Sends the message to an upstream that may not be what it was assumed to be.
    async fn send_as_assumed(&mut self, message: &Message) -> Result<Reply, Error> {
        let mut outcome = self.put(message).await;
        if let Err(Error {
            fault: Fault::Misjudged(_),
            ..
        }) = &outcome
        {
            self.upstream.forget_eras();
            self.link = Some(self.upstream.link(&self.conversation, &self.headers).await?);
            outcome = self.put(message).await;
        }
        outcome
    }

    /// Sends the message in a session that the upstream may have lost.
    async fn send_in_session(&mut self, session: &Session, message: &Message) -> Result<Reply, Error> {
        let upstream = Arc::clone(&self.upstream);
        let headers = Arc::clone(&self.headers);
        // Not the current one, if that is another by now: it is this one that the upstream may not know.
        let mut using = self.using.take().unwrap_or_else(|| session.clone());
        upstream.renewals.enter(session, &using, &headers);
        let mut outcome = self.put(message).await;
        let mut begun = false;
        for _ in 0..LOST_AGAIN {
            if !is_gone(&outcome) {
                break;
            }
            if means_nothing_anew(message) {
                return Ok(Reply::accepted());
            }
            let Some(renewal) = upstream.renewals.of(session, &headers) else {
                break;
            };
            if begun && !renewal.forget_settings() && renewal.was_alone(&using) {
                break;
            }
            self.using = Some(using.clone());
            let renewed = Box::pin(renewal.renew(&upstream, session, &using, &headers)).await?;
            begun |= renewed.1;
            using = renewed.0;
            renewal.enter(&using);
            let conversation = Conversation::Session(using.clone());
            outcome = match upstream.link(&conversation, &headers).await {
                Ok(link) => {
                    self.link = Some(link);
                    self.put(message).await
                }
                Err(error) => Err(error),
            };
        }
        self.using = Some(using);
        if begun && is_gone(&outcome) {
            // Its client would only begin one after the other.
            let what = "it forgets every session at once".into();
            return Err(Fault::Broken(what).of(&upstream.name));
        }
        match &outcome {
            Ok(reply) if !reply.refuses() => upstream.renewals.note(session, &headers, message),
            Err(Error {
                fault: Fault::Exited(_),
                ..
            }) => upstream.renewals.note_crash(session, &headers),
            Ok(_) | Err(_) => {}
        }
        outcome
    }

    async fn put(&mut self, message: &Message) -> Result<Reply, Error> {
        match &mut self.link {
            Some(link) => link.send(message).await,
            None => Err(Fault::SessionGone.of(&self.upstream.name)),
        }
    }
}

fn is_gone(outcome: &Result<Reply, Error>) -> bool {
    matches!(
        outcome,
        Err(Error {
            fault: Fault::SessionGone,
            ..
        })
    )
}

/// What speaks of the session that is lost, and of nothing that could be in another: answers to its
/// questions, calls of it taken back, the end of its handshake.
fn means_nothing_anew(message: &Message) -> bool {
    match message.kind() {
        Kind::Result | Kind::Error => true,
        Kind::Notification => matches!(
            message.method(),
            Some(Method::NotificationsCancelled | Method::NotificationsInitialized)
        ),
        Kind::Request => false,
    }
}

/// What runs until it is answered. A subscription is answered when it ends; the rest says something and
/// is done, and may be what a running call waits for.
fn takes_a_place(message: &Message) -> bool {
    message.kind() == Kind::Request && message.method() != Some(&Method::SubscriptionsListen)
}
