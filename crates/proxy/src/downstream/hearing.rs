//! Hearing what a server says outside of calls, in the words its client is to read.
//!
//! In a session with the server that is whatever the server says there. A server that knows no sessions says nothing
//! of its own accord: its changes are followed instead, for all clients together.

mod changes;
mod endpoint;
mod session;

use std::sync::Arc;

use mcp::Message;
use tokio_util::sync::CancellationToken;
use upstream::{Error, Headers, Upstream};

use crate::aggregate::Audience;
use crate::call::Visit;
use crate::destination::Destination;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::serve::admit;
use crate::session::{Asking, Claims};

use changes::Changes;
use endpoint::OfEndpoint;
use session::InSession;

pub(crate) use changes::{Followed, Left, Watched};

/// What a stream hears.
pub(crate) enum Source {
    /// One server, as these headers show it.
    Server(Arc<Upstream>, Arc<Headers>),
    /// Many at one endpoint, until that becomes another.
    Endpoint(Arc<Audience>, Arc<CancellationToken>),
}

impl Source {
    /// Of the stream that a request opens.
    ///
    /// # Errors
    /// When the request does not bring what an injected header needs.
    pub(crate) fn of(current: &Generation, visit: &Visit) -> Result<Self, Failure> {
        match &visit.to {
            Destination::One(upstream) => {
                let headers = admit(current, visit, upstream)?;
                Ok(Self::Server(Arc::clone(upstream), headers.into_kept()))
            }
            Destination::Many(aggregate) => {
                let audience = Audience::of(current, visit, aggregate).kept();
                Ok(Self::Endpoint(Arc::new(audience), Arc::clone(&current.endpoints)))
            }
        }
    }

    /// The session that was heard is over: its server is told.
    pub(crate) async fn end(&self, claims: &Claims) {
        match self {
            Self::Server(upstream, headers) => upstream.end(&claims.with_upstream(), headers).await,
            Self::Endpoint(audience, _) => audience.end(claims),
        }
    }
}

/// The way to hear a session.
pub(crate) enum Hearing {
    InSession(Box<InSession>),
    Changes(Box<Changes>),
    OfEndpoint(Box<OfEndpoint>),
    /// An endpoint that has become another.
    Nothing,
}

impl Hearing {
    /// Hears the server of a session. What its client watches is only asked for where the server cannot know it, and
    /// what is `left` of its stream before only matters there.
    pub(crate) fn begin(
        source: &Source,
        claims: &Claims,
        asking: Asking,
        watched: impl FnOnce() -> Watched,
        left: Option<Left>,
    ) -> Self {
        let between = claims.between();
        let (upstream, headers) = match source {
            Source::Server(upstream, headers) => (upstream, Arc::clone(headers)),
            Source::Endpoint(audience, replaced) => {
                let hearing = OfEndpoint::begin(audience, replaced, between, watched());
                return Self::OfEndpoint(Box::new(hearing));
            }
        };
        match between.server.era() {
            mcp::Era::Legacy => {
                let session = claims.with_upstream();
                let hearing = InSession::begin(upstream, session, between, headers, asking);
                Self::InSession(Box::new(hearing))
            }
            mcp::Era::Modern => {
                let changes = Changes::begin(upstream, between, headers, watched(), left);
                Self::Changes(Box::new(changes))
            }
        }
    }

    /// The next message. May be given up and asked again.
    ///
    /// # Errors
    /// When nothing can come any more.
    pub(crate) async fn next(&mut self) -> Result<Message, Error> {
        match self {
            Self::InSession(hearing) => hearing.next().await,
            Self::Changes(changes) => changes.next().await,
            Self::OfEndpoint(changes) => changes.next().await,
            Self::Nothing => std::future::pending().await,
        }
    }
}
