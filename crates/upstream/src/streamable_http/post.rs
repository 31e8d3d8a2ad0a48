//! The link to a Streamable HTTP server: carries the messages of one exchange by POSTs, in whatever session it is of.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use mcp::{Id, Kind, Message};

use super::called::Called;
use super::ear::Ear;
use super::pooled::Lease;
use super::{END_WITHIN, Server, answer, is_gone};
use crate::error::{Error, Fault};
use crate::handshake;
use crate::transport::{Headers, Link, Reply, Session};

/// The link of one exchange.
pub(super) struct Post {
    server: Arc<Server>,
    headers: Arc<Headers>,
    session: Using,
    /// The id of the running request as the server knows it.
    asked: Option<Id>,
    /// The same, where its session is heard.
    heard: Option<(Arc<Ear>, u64)>,
}

/// The session that an exchange speaks in.
pub(super) enum Using {
    None,
    Client(Session),
    /// One of the gateway's own, in which several clients may speak.
    Pooled(Lease),
}

impl Using {
    fn session(&self) -> Option<&Session> {
        match self {
            Self::None => None,
            Self::Client(session) => Some(session),
            Self::Pooled(lease) => lease.session(),
        }
    }
}

#[async_trait]
impl Link for Post {
    async fn send(&mut self, message: &Message) -> Result<Reply, Error> {
        let outcome = self.exchange(message).await;
        let (Using::Pooled(lease), true) = (&self.session, is_gone(&outcome)) else {
            return outcome;
        };
        self.server.pooled.forget(lease);
        if message.kind() != Kind::Request {
            // It speaks of what is gone: the answer to a question that nobody asks any more.
            return Ok(Reply::accepted());
        }
        // The server refused before it processed anything, so this is not a second call.
        let again = self.server.lease(lease.pooled(), &self.headers).await?;
        self.session = Using::Pooled(again);
        // The client has no session that could be gone.
        self.exchange(message).await.map_err(|error| match error.fault {
            Fault::SessionGone => self
                .server
                .fails(Fault::Broken("it forgets every session at once".into())),
            _ => error,
        })
    }

    async fn cancel(&mut self, _request: &Message, reason: &str) {
        let (Some(id), Some(session)) = (self.asked.take(), self.session.session()) else {
            return;
        };
        if let Some((ear, number)) = self.heard.take() {
            // Before the server learns it: what it asks from then on is for another call (`protocol.md` D-45).
            ear.routing.pending.abandon(number);
        }
        let cancelled = handshake::cancelled_notification(&id, reason);
        let sent = self
            .server
            .post(&self.headers, Some(session), cancelled.bytes().clone(), true);
        let _ = tokio::time::timeout(END_WITHIN, sent).await;
    }
}

impl Post {
    pub(super) fn new(server: &Arc<Server>, headers: Arc<Headers>, session: Using) -> Self {
        Self {
            server: Arc::clone(server),
            headers,
            session,
            asked: None,
            heard: None,
        }
    }

    async fn exchange(&mut self, message: &Message) -> Result<Reply, Error> {
        let asks = message.kind() == Kind::Request;
        if let Using::Pooled(lease) = &self.session
            && asks
            && let Some(ear) = lease.ear().cloned()
        {
            let lease = lease.again();
            return self.call(message, lease, &ear).await;
        }
        // In a session of ours two clients may use the same id at the same time, so there it is ours.
        // An answer goes under the id that the server asked by.
        let renamed = match (&self.session, asks) {
            (Using::Pooled(_), true) => Some(message.with_id(&self.server.pooled.next_id())),
            _ => None,
        };
        let sent = renamed.as_ref().unwrap_or(message);
        if asks {
            self.asked = sent.id().cloned();
        }
        let wire = answer::Wire {
            server: &self.server,
            headers: &self.headers,
            session: self.session.session(),
        };
        let reply = put(wire, sent, message).await?;
        Ok(match &self.session {
            Using::Pooled(lease) => lease.keep_for(reply),
            Using::None | Using::Client(_) => reply,
        })
    }

    /// Sends a request in a session that is heard: the server may say elsewhere what belongs to it.
    async fn call(&mut self, message: &Message, lease: Lease, ear: &Arc<Ear>) -> Result<Reply, Error> {
        let gone = || self.server.fails(Fault::SessionGone);
        let (ticket, sent) = ear.routing.pending.register(message).ok_or_else(gone)?;
        self.asked = sent.id().cloned();
        self.heard = Some((Arc::clone(ear), ticket.id));
        let (server, headers) = (Arc::clone(&self.server), Arc::clone(&self.headers));
        let (session, asked) = (lease.session().cloned(), message.clone());
        let posted = async move {
            let wire = answer::Wire {
                server: &server,
                headers: &headers,
                session: session.as_ref(),
            };
            put(wire, &sent, &asked).await
        };
        let called = Called::new(&self.server.name, (ear, lease), ticket, message, posted.boxed());
        called.begin().await
    }
}

/// POSTs `sent`, which the client knows as `asked`, and reads what comes back first.
async fn put(wire: answer::Wire<'_>, sent: &Message, asked: &Message) -> Result<Reply, Error> {
    let repeatable = asked.method().is_some_and(mcp::Method::is_safe_to_repeat);
    let posted = wire
        .server
        .post(wire.headers, wire.session, sent.bytes().clone(), repeatable);
    answer::read(wire, posted.await?, sent, asked).await
}
