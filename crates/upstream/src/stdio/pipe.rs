//! The link to a child: carries the messages of one exchange over its wire.

use std::sync::Arc;

use async_trait::async_trait;
use mcp::{Id, Kind, Message, Method};

use super::children::Children;
use super::wire::{LEFT, Started, Wire};
use crate::error::{Error, Fault};
use crate::pending::Ticket;
use crate::transport::{Link, MessageStream, Pooled, Reply};
use crate::unclaimed::Reader;

/// The link of one exchange.
pub(super) struct Pipe {
    children: Arc<Children>,
    wire: Arc<Wire>,
    /// The child that a session is to begin with. A client that leaves before its handshake is done
    /// drops it here, and so leaves no child behind.
    greeting: Option<Started>,
    /// Whether the child serves one session, which is gone with it.
    of_session: bool,
    /// The session of the gateway's own that the child serves, which can be begun anew.
    pooled: Option<Pooled>,
    /// The running request, by its id on the wire.
    asked: Option<u64>,
}

impl Pipe {
    /// To a child that serves already.
    pub(super) fn to(children: &Arc<Children>, wire: Arc<Wire>) -> Self {
        Self {
            children: Arc::clone(children),
            wire,
            greeting: None,
            of_session: false,
            pooled: None,
            asked: None,
        }
    }

    /// To a child of a session of the gateway's own.
    pub(super) fn pooled(children: &Arc<Children>, wire: Arc<Wire>, pooled: Pooled) -> Self {
        Self {
            pooled: Some(pooled),
            ..Self::to(children, wire)
        }
    }

    /// To the child of a session that was begun.
    pub(super) fn of_session(children: &Arc<Children>, wire: Arc<Wire>) -> Self {
        Self {
            of_session: true,
            ..Self::to(children, wire)
        }
    }

    /// To a child whose session begins with this exchange.
    pub(super) fn greeting(children: &Arc<Children>, started: Started) -> Self {
        let wire = Arc::clone(started.wire());
        Self {
            greeting: Some(started),
            ..Self::to(children, wire)
        }
    }

    async fn ask(&mut self, message: &Message) -> Result<Reply, Error> {
        // An error here says that nothing was sent.
        let ticket = match (self.wire.ask(message).await, &self.pooled) {
            // It was idle for too long, just now. Its next child hears the request for the first time.
            (Err(_), Some(pooled)) if pooled.is_private() => {
                self.wire = self.children.greeted(pooled).await?.0;
                self.wire.ask(message).await
            }
            (asked, _) => asked,
        };
        let ticket = ticket.map_err(|error| self.unsent(error))?;
        self.asked = Some(ticket.id);
        // An `initialize` cannot be cancelled.
        let cancellable = message.method() != Some(&Method::Initialize);
        let mut answer = Answer {
            wire: Arc::clone(&self.wire),
            ticket,
            first: None,
            cancellable,
        };
        let first = answer.next().await?;
        if matches!(first.kind(), Kind::Result | Kind::Error) {
            return Ok(Reply::one(200, first));
        }
        answer.first = Some(first);
        Ok(Reply::stream(Box::new(answer)))
    }

    /// What it means that a message could not be given to the child: its session ended before it.
    fn unsent(&self, error: Error) -> Error {
        match self.of_session {
            true => Fault::SessionGone.of(&self.wire.upstream),
            false => error,
        }
    }

    /// Carries an `initialize`: the child stays if it agreed, and ends if it did not.
    async fn greet(&self, started: Started, message: &Message) -> Result<Reply, Error> {
        let answer = self.wire.answer_to(message).await?;
        let agreed = answer.kind() == Kind::Result;
        let mut reply = Reply::one(200, answer);
        if agreed {
            reply.session = Some(self.children.begin_session(started));
        }
        Ok(reply)
    }

    /// Tells the child that its client no longer waits for a request.
    async fn pass_cancellation(&self, message: &Message) -> Result<(), Error> {
        // On a shared wire the id may be that of another client's request. There a client takes its
        // request back by leaving.
        if self.wire.routing.is_shared() {
            return Ok(());
        }
        // The child knows the request by our id. One that has ended needs no cancelling.
        let running = message
            .cancelled_request()
            .and_then(|asked| self.wire.routing.pending.id_of(&asked));
        if let Some(id) = running {
            // Nothing more is said of it, and whoever waits for its answer learns that here. Before the child
            // learns it: what it asks from then on is for another call (D-45).
            self.wire.routing.pending.abandon(id);
            let cancelled = message.with_cancelled_request(&Id::number(id));
            self.wire.put(&cancelled).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Link for Pipe {
    async fn send(&mut self, message: &Message) -> Result<Reply, Error> {
        match message.kind() {
            Kind::Request => match self.greeting.take() {
                Some(started) => self.greet(started, message).await,
                None => self.ask(message).await,
            },
            Kind::Notification if message.method() == Some(&Method::NotificationsCancelled) => {
                self.pass_cancellation(message).await?;
                Ok(Reply::accepted())
            }
            Kind::Notification | Kind::Result | Kind::Error => {
                let sent = self.wire.put(message).await;
                sent.map_err(|error| self.unsent(error))?;
                Ok(Reply::accepted())
            }
        }
    }

    async fn cancel(&mut self, request: &Message, reason: &str) {
        // One whose reply was dropped is told already, and an `initialize` cannot be cancelled.
        if request.method() != Some(&Method::Initialize)
            && let Some(id) = self.asked.take()
        {
            self.wire.give_up(id, reason);
        }
    }
}

/// Everything that comes back for one request.
struct Answer {
    wire: Arc<Wire>,
    ticket: Ticket,
    first: Option<Message>,
    cancellable: bool,
}

#[async_trait]
impl MessageStream for Answer {
    async fn next(&mut self) -> Result<Message, Error> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        let Some(message) = self.ticket.next().await else {
            return Err(match (self.ticket.broken(), self.wire.is_alive()) {
                (Some(fault), _) => fault.of(&self.wire.upstream),
                (None, true) => Fault::Cancelled.of(&self.wire.upstream),
                (None, false) => self.wire.ending(),
            });
        };
        if matches!(message.kind(), Kind::Result | Kind::Error) {
            self.wire.note_answer();
        }
        Ok(message)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.cancellable {
            self.wire.give_up(self.ticket.id, LEFT);
        }
        self.wire.touch();
    }
}

/// What a session's child says outside of any call.
pub(super) struct Hearing {
    upstream: Arc<str>,
    reader: Reader,
}

impl Hearing {
    pub(super) fn of(wire: &Wire) -> Self {
        Self {
            upstream: Arc::clone(&wire.upstream),
            reader: wire.routing.unclaimed.reader(),
        }
    }
}

#[async_trait]
impl MessageStream for Hearing {
    async fn next(&mut self) -> Result<Message, Error> {
        let next = self.reader.next().await;
        // The session ended with its child.
        next.ok_or_else(|| Fault::SessionGone.of(&self.upstream))
    }
}
