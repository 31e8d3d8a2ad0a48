//! The link to an HTTP+SSE server: carries the messages of one exchange over its connection.

use std::sync::Arc;

use async_trait::async_trait;
use mcp::{Id, Kind, Message, Method};

use super::connection::{Asked, Connection, LEFT};
use super::connections::Connections;
use super::started::Started;
use crate::error::{Error, Fault};
use crate::transport::{Headers, Link, MessageStream, Pooled, Reply};

/// The link of one exchange.
pub(super) struct Carrier {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
    headers: Arc<Headers>,
    /// The connection that a session is to begin with. A client that leaves before its handshake is
    /// done drops it here, and so leaves no connection behind.
    greeting: Option<Started>,
    /// The session of the gateway's own that the connection serves, which can be begun anew.
    pooled: Option<Pooled>,
    /// The running request, by its id on the wire.
    asked: Option<u64>,
}

impl Carrier {
    /// Over a connection whose handshake is done.
    pub(super) fn on(
        connections: &Arc<Connections>,
        connection: Arc<Connection>,
        headers: Arc<Headers>,
    ) -> Self {
        Self {
            connections: Arc::clone(connections),
            connection,
            headers,
            greeting: None,
            pooled: None,
            asked: None,
        }
    }

    /// Over a connection of a session of the gateway's own.
    pub(super) fn pooled(
        connections: &Arc<Connections>,
        connection: Arc<Connection>,
        headers: Arc<Headers>,
        pooled: Pooled,
    ) -> Self {
        Self {
            pooled: Some(pooled),
            ..Self::on(connections, connection, headers)
        }
    }

    /// Over a connection whose session begins with this exchange.
    pub(super) fn greeting(connections: &Arc<Connections>, started: Started, headers: Arc<Headers>) -> Self {
        let connection = Arc::clone(started.connection());
        Self {
            greeting: Some(started),
            ..Self::on(connections, connection, headers)
        }
    }

    async fn ask(&mut self, message: &Message) -> Result<Reply, Error> {
        let asked = self.connection.ask(message, &self.headers)?;
        self.asked = Some(asked.id());
        let mut answer = Answer {
            connection: Arc::clone(&self.connection),
            headers: Arc::clone(&self.headers),
            asked,
            first: None,
            // An `initialize` cannot be cancelled.
            cancellable: message.method() != Some(&Method::Initialize),
        };
        let first = answer.next().await?;
        if matches!(first.kind(), Kind::Result | Kind::Error) {
            return Ok(Reply::one(200, first));
        }
        answer.first = Some(first);
        Ok(Reply::stream(Box::new(answer)))
    }

    /// Carries an `initialize`: the connection stays if the server agreed, and ends if it did not.
    async fn greet(&self, started: Started, message: &Message) -> Result<Reply, Error> {
        let answer = self.connection.answer_to(message, &self.headers).await;
        let answer = answer.map_err(|error| self.connections.never_gone(error))?;
        let agreed = answer.kind() == Kind::Result;
        let mut reply = Reply::one(200, answer);
        if agreed {
            reply.session = Some(self.connections.begin_session(started));
        }
        Ok(reply)
    }

    async fn carry(&mut self, message: &Message) -> Result<Reply, Error> {
        match message.kind() {
            Kind::Request => match self.greeting.take() {
                Some(started) => self.greet(started, message).await,
                None => self.ask(message).await,
            },
            Kind::Notification if message.method() == Some(&Method::NotificationsCancelled) => {
                self.pass_cancellation(message).await
            }
            Kind::Notification | Kind::Result | Kind::Error => {
                self.connection.put(message, &self.headers).await?;
                Ok(Reply::accepted())
            }
        }
    }

    /// Tells the server that its client no longer waits for a request.
    async fn pass_cancellation(&self, message: &Message) -> Result<Reply, Error> {
        let routing = &self.connection.routing;
        // On a shared connection the id may be that of another client's request. There a client takes
        // its request back by leaving.
        if routing.is_shared() {
            return Ok(Reply::accepted());
        }
        // The server knows the request by our id. One that has ended needs no cancelling.
        let running = message
            .cancelled_request()
            .and_then(|asked| routing.pending.id_of(&asked));
        if let Some(id) = running {
            // Nothing more is said of it, and whoever waits for its answer learns that here. Before the server
            // learns it: what it asks from then on is for another call (D-45).
            routing.pending.abandon(id);
            let cancelled = message.with_cancelled_request(&Id::number(id));
            self.connection.put(&cancelled, &self.headers).await?;
        }
        Ok(Reply::accepted())
    }
}

#[async_trait]
impl Link for Carrier {
    async fn send(&mut self, message: &Message) -> Result<Reply, Error> {
        let outcome = self.carry(message).await;
        let gone = outcome
            .as_ref()
            .is_err_and(|error| error.fault == Fault::SessionGone);
        let (Some(pooled), true) = (&self.pooled, gone) else {
            return outcome;
        };
        if matches!(message.kind(), Kind::Result | Kind::Error) {
            // The answer to a question that nobody asks any more.
            return Ok(Reply::accepted());
        }
        // Nothing was processed, so this is not a second call.
        self.connection = self.connections.pooled(pooled, &self.headers).await?.0;
        let outcome = self.carry(message).await;
        // The client has no session that could be gone.
        outcome.map_err(|error| self.connections.never_gone(error))
    }

    async fn cancel(&mut self, request: &Message, reason: &str) {
        // One whose reply was dropped is told already, and an `initialize` cannot be cancelled.
        if request.method() != Some(&Method::Initialize)
            && let Some(id) = self.asked.take()
        {
            self.connection.give_up(id, reason, &self.headers);
        }
    }
}

/// Everything that comes back for one request.
struct Answer {
    connection: Arc<Connection>,
    headers: Arc<Headers>,
    asked: Asked,
    first: Option<Message>,
    cancellable: bool,
}

#[async_trait]
impl MessageStream for Answer {
    async fn next(&mut self) -> Result<Message, Error> {
        match self.first.take() {
            Some(first) => Ok(first),
            None => self.asked.next().await,
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.cancellable {
            self.connection.give_up(self.asked.id(), LEFT, &self.headers);
        }
        self.connection.touch();
    }
}
