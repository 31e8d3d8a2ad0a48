//! A stream held open for a client: for hours, mostly silent, by the thousand.
//!
//! It lives in a small task of its own that owns the connection, since the engine's future around an
//! exchange weighs several times what a silent stream needs (`docs/decisions/0005`).

mod connection;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pingora::protocols::http::ServerSession;
use prometheus::IntGauge;

pub(crate) use connection::Connection;

use super::listen::Listen;
use super::reply::Gone;
use super::resumable::following::Following;
use super::sse::Sse;
use super::telling::HEARTBEAT;
use crate::bearer::Bearer;
use crate::destination::Destination;
use crate::health::Health;

/// Ending what hung on a stream is a courtesy to its upstream.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Clients whose streams end together come back spread over this, in milliseconds: ten thousand of them a thousand a
/// second, and none before a restart can be over.
const RETURNS: RangeInclusive<u64> = 1_000..=10_000;

/// A stream whose head is written, and what is told on it.
pub(crate) struct Held {
    told: Told,
    bearer: Bearer,
    _open: Open,
}

enum Told {
    Listen(Box<Listen>),
    Sse(Box<Sse>),
    Following(Box<Following>),
}

impl Held {
    /// What a server says outside of calls, to a client of Streamable HTTP.
    pub(crate) fn listen(listen: Listen, bearer: Bearer, gauge: &IntGauge) -> Self {
        Self {
            told: Told::Listen(Box::new(listen)),
            bearer,
            _open: Open::count(gauge),
        }
    }

    /// Everything that a client of the 2024-11-05 transport is told.
    pub(crate) fn sse(sse: Sse, bearer: Bearer, gauge: &IntGauge) -> Self {
        Self {
            told: Told::Sse(Box::new(sse)),
            bearer,
            _open: Open::count(gauge),
        }
    }

    /// A stream that its client can come back to.
    pub(crate) fn following(following: Following, bearer: Bearer, gauge: &IntGauge) -> Self {
        Self {
            told: Told::Following(Box::new(following)),
            bearer,
            _open: Open::count(gauge),
        }
    }

    /// Tells until there is nothing more to tell, or nobody to tell it to. A client must take each piece
    /// within `stalled`.
    pub(crate) async fn run(self, http: ServerSession, stalled: Duration) {
        let Self {
            mut told,
            bearer,
            _open,
        } = self;
        let connection = Connection::of(http, stalled);
        let telling = async {
            match &mut told {
                Told::Following(following) => Box::pin(following.tell_on(connection)).await,
                Told::Listen(_) | Told::Sse(_) => told.tell(connection).await,
            }
        };
        tokio::select! {
            biased;
            _ = telling => {}
            // Cut, whatever was being said.
            () = Box::pin(bearer.departs()) => {}
        }
        if let Told::Sse(sse) = told {
            let _ = tokio::time::timeout(END_WITHIN, Box::pin(sse.end())).await;
        }
    }
}

impl Told {
    async fn tell(&mut self, mut connection: Connection) -> Result<(), Gone> {
        loop {
            let line = tokio::select! {
                biased;
                line = self.next() => line,
                () = connection.gone() => return Err(Gone),
                () = tokio::time::sleep(HEARTBEAT) => {
                    connection.heartbeat().await?;
                    continue;
                }
            };
            match line {
                Some(line) => connection.line(line).await?,
                None => break,
            }
        }
        if let Some(pause) = self.pause() {
            connection.retry(pause).await?;
        }
        connection.end().await
    }

    /// How long the client of a stream that we end is to stay away, in milliseconds.
    fn pause(&self) -> Option<u64> {
        match self {
            Self::Listen(listen) => pause_of(listen),
            Self::Sse(_) | Self::Following(_) => None,
        }
    }

    /// The next message as one line; none when the stream ends.
    async fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Listen(listen) => listen.next().await,
            Self::Sse(sse) => sse.next().await,
            Self::Following(_) => None,
        }
    }
}

/// How long the client of a listening stream that we end is to stay away, in milliseconds.
pub(super) fn pause_of(listen: &Listen) -> Option<u64> {
    listen
        .may_be_told_when_to_return()
        .then(|| fastrand::u64(RETURNS))
}

/// Counts a held stream for as long as it is.
struct Open(IntGauge);

impl Open {
    fn count(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Where a stream of this kind is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HeldBy {
    /// A client of Streamable HTTP.
    Http = 0,
    /// A client of the 2024-11-05 transport.
    Sse = 1,
}

/// What ends a held stream besides its client.
pub(crate) struct Ends {
    pub(crate) health: Arc<Health>,
    pub(crate) to: Destination,
}

impl Ends {
    /// Waits until the gateway stops, or a reload removes where the stream leads.
    pub(crate) async fn over(&self) {
        tokio::select! {
            () = self.health.drained() => {}
            () = self.to.removed() => {}
        }
    }
}
