//! What a legacy server says outside of calls in a session of the gateway's own. It ends with the session, also
//! when a call was first to find it lost.

use std::sync::Arc;

use async_trait::async_trait;
use mcp::Message;

use super::hearing::Hearing;
use super::pooled::Lease;
use super::{Server, is_gone};
use crate::error::{Error, Fault};
use crate::transport::{Headers, MessageStream, Overheard, Pooled};

struct Overhearing {
    server: Arc<Server>,
    hearing: Hearing,
    /// Keeps the session from being ended for want of use.
    lease: Lease,
}

/// Opens the stream. A session that the server has lost is begun anew, once.
pub(super) async fn open(
    server: &Arc<Server>,
    pooled: &Pooled,
    headers: &Headers,
) -> Result<Overheard, Error> {
    let mut lease = server.lease(pooled, headers).await?;
    let mut opened = hear(server, &lease, headers).await;
    if is_gone(&opened) {
        server.pooled.forget(&lease);
        lease = server.lease(pooled, headers).await?;
        opened = hear(server, &lease, headers).await;
    }
    let gone = || server.fails(Fault::SessionGone);
    let agreement = lease.agreement().cloned().ok_or_else(gone)?;
    let overhearing = Overhearing {
        server: Arc::clone(server),
        hearing: opened?,
        lease,
    };
    Ok(Overheard {
        agreement,
        stream: Box::new(overhearing),
    })
}

async fn hear(server: &Arc<Server>, lease: &Lease, headers: &Headers) -> Result<Hearing, Error> {
    match lease.session() {
        Some(session) => Hearing::open(server, session, headers).await,
        None => Err(server.fails(Fault::SessionGone)),
    }
}

#[async_trait]
impl MessageStream for Overhearing {
    async fn next(&mut self) -> Result<Message, Error> {
        let heard = tokio::select! {
            heard = self.hearing.next() => heard,
            () = self.lease.lost() => Err(self.server.fails(Fault::SessionGone)),
        };
        if is_gone(&heard) {
            self.server.pooled.forget(&self.lease);
        }
        heard
    }
}
