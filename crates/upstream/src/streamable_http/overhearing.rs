//! What a legacy server says outside of calls in a session of the gateway's own, for who follows its changes. It ends
//! with the session, also when a call was first to find it lost.
//!
//! A session that is heard anyway ([`Ear`](super::ear::Ear)) is only read along; any other has a stream as long as
//! somebody follows.

use std::sync::Arc;

use async_trait::async_trait;
use mcp::Message;

use super::ear::Attending;
use super::hearing::Hearing;
use super::pooled::Lease;
use super::{Server, is_gone};
use crate::error::{Error, Fault};
use crate::metrics::Counted;
use crate::transport::{Headers, MessageStream, Overheard, Pooled};

struct Overhearing {
    server: Arc<Server>,
    source: Source,
    /// Keeps the session from being ended for want of use.
    lease: Lease,
}

enum Source {
    Own(
        Box<Hearing>,
        #[expect(dead_code, reason = "it counts until it is dropped")] Counted,
    ),
    Ear(Attending),
}

/// Opens the stream. A session that the server has lost is begun anew, once.
pub(super) async fn open(
    server: &Arc<Server>,
    pooled: &Pooled,
    headers: &Headers,
) -> Result<Overheard, Error> {
    let mut lease = lease(server, pooled, headers).await?;
    let mut opened = hear(server, &lease, headers).await;
    if is_gone(&opened) {
        server.pooled.forget(&lease);
        lease = self::lease(server, pooled, headers).await?;
        opened = hear(server, &lease, headers).await;
    }
    let gone = || server.fails(Fault::SessionGone);
    let agreement = lease.agreement().cloned().ok_or_else(gone)?;
    let overhearing = Overhearing {
        server: Arc::clone(server),
        source: opened?,
        lease,
    };
    Ok(Overheard {
        agreement,
        stream: Box::new(overhearing),
    })
}

/// A use of the session to be heard: where a server tells none apart, the one that all share.
async fn lease(server: &Arc<Server>, pooled: &Pooled, headers: &Headers) -> Result<Lease, Error> {
    let lease = server.lease(pooled, headers).await?;
    if lease.session().is_some_and(|session| session.id.is_some()) {
        return Ok(lease);
    }
    server.lease(&Pooled::default(), headers).await
}

async fn hear(server: &Arc<Server>, lease: &Lease, headers: &Headers) -> Result<Source, Error> {
    match (lease.ear(), lease.session()) {
        (Some(ear), _) => {
            let attending = ear.attend().await;
            Ok(Source::Ear(attending.map_err(|fault| server.fails(fault))?))
        }
        (None, Some(session)) => {
            let hearing = Hearing::open(server, session, headers).await?;
            Ok(Source::Own(
                Box::new(hearing),
                Counted::one(server.session_streams()),
            ))
        }
        (None, None) => Err(server.fails(Fault::SessionGone)),
    }
}

#[async_trait]
impl MessageStream for Overhearing {
    async fn next(&mut self) -> Result<Message, Error> {
        let server = &self.server;
        let said = async {
            match &mut self.source {
                Source::Own(hearing, _) => hearing.next().await,
                Source::Ear(attending) => attending.next().await.map_err(|fault| server.fails(fault)),
            }
        };
        let heard = tokio::select! {
            heard = said => heard,
            () = self.lease.over() => Err(server.fails(Fault::SessionGone)),
        };
        if is_gone(&heard) {
            server.pooled.forget(&self.lease);
        }
        heard
    }
}
