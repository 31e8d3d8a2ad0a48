//! Upstreams over HTTP+SSE, the transport of 2024-11-05: one stream for all that the server says, and a
//! place it names there for POSTs.
//!
//! The stream is the session: when it ends, the session has. So a client's session has a connection of
//! its own, kept under an id of ours; requests without a session share one that the gateway greeted, per
//! set of credentials, and per principal where its clients can be asked something. Only eras before 2026-07-28 are spoken this way, whatever their revision.
//!
//! An answer may be on its way whenever the stream breaks, so what was sent is never sent again.

mod connections;

mod connection;
mod carrier;

mod started;
mod opening;
mod posting;
mod server;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use egress::{Client, Target};
use mcp::Era;
use tokio::runtime::Handle;

use crate::error::{Error, Fault};
use crate::metrics::Metrics;
use crate::transport::{
    Agreement, Conversation, Discovery, Headers, Link, MessageStream, Overheard, Pooled, Session, Transport,
};

use carrier::Carrier;
use connection::Heard;
use connections::Connections;
use server::Server;

/// One HTTP+SSE server.
pub struct Sse {
    connections: Arc<Connections>,
}

/// What bounds the connections to one server.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of one event, and of one answer to a POST.
    pub answer: usize,
    /// Nesting of its JSON.
    pub limits: mcp::Limits,
    /// Connections that serve one session or one principal each.
    pub sessions: usize,
    /// One of them that nobody speaks over or listens to ends after this long: clients rarely say goodbye.
    pub idle: Duration,
}

impl Sse {
    /// The server whose stream is at `target`. Its connections live on `runtime`; there are none yet.
    pub fn new(
        name: Arc<str>,
        client: Arc<Client>,
        target: Arc<Target>,
        runtime: Handle,
        bounds: Bounds,
        metrics: Arc<Metrics>,
    ) -> Self {
        let server = Arc::new(Server {
            name,
            client,
            target,
            bounds,
            metrics,
        });
        Self {
            connections: Arc::new(Connections::new(server, runtime)),
        }
    }

    /// Whether a session lives here.
    pub(crate) fn keeps(&self, session: &Session) -> bool {
        self.connections.of_session(session).is_ok()
    }
}

#[async_trait]
impl Transport for Sse {
    async fn discover(&self, _headers: &Headers) -> Result<Discovery, Error> {
        // 2026-07-28 knows no such transport, so there is nothing to ask.
        Ok(Discovery::Legacy)
    }

    async fn share(&self, pooled: &Pooled, headers: &Headers) -> Result<Agreement, Error> {
        Ok(self.connections.pooled(pooled, headers).await?.1)
    }

    async fn open(&self, conversation: &Conversation, headers: Arc<Headers>) -> Result<Box<dyn Link>, Error> {
        let connections = &self.connections;
        let carrier = match conversation {
            Conversation::Modern | Conversation::Bridged => {
                return Err(connections.fails(Fault::NotSpoken { wanted: Era::Modern }));
            }
            Conversation::Pooled(pooled) => {
                let (connection, _) = connections.pooled(pooled, &headers).await?;
                Carrier::pooled(connections, connection, headers, pooled.clone())
            }
            Conversation::Greeting => {
                let started = connections.open_private(&headers).await?;
                Carrier::greeting(connections, started, headers)
            }
            Conversation::Session(session) => {
                Carrier::on(connections, connections.of_session(session)?, headers)
            }
        };
        Ok(Box::new(carrier))
    }

    async fn listen(
        &self,
        session: &Session,
        _headers: Arc<Headers>,
    ) -> Result<Box<dyn MessageStream>, Error> {
        if session.id.is_none() {
            return Err(self.connections.fails(Fault::NotOffered));
        }
        let connection = self.connections.of_session(session)?;
        Ok(Box::new(Heard::on(&connection)))
    }

    async fn overhear(&self, pooled: &Pooled, headers: &Arc<Headers>) -> Result<Overheard, Error> {
        let (connection, agreement) = self.connections.pooled(pooled, headers).await?;
        Ok(Overheard {
            agreement,
            stream: Box::new(Heard::on(&connection)),
        })
    }

    async fn end(&self, session: &Session, _headers: &Headers) {
        self.connections.end_session(session);
    }

    fn release(&self, scope: &[u8]) {
        self.connections.release(scope);
    }

    async fn stop(&self) {
        self.connections.stop().await;
    }

    fn kind(&self) -> &'static str {
        "sse"
    }
}
