//! An upstream known by its URL alone: whether Streamable HTTP is spoken there or HTTP+SSE is found by
//! asking, never with a client's call, and asked anew when it turns out wrong (`protocol.md` §1.6 P1–P3).
//!
//! `server/discover` tells a 2026-07-28 server (P1), `initialize` an earlier one over Streamable HTTP
//! (P2), and where that is refused, a GET whose first event is `endpoint` one over HTTP+SSE (P3). Asking is
//! begun by [`Knowledge`](crate::handshake::Knowledge), once for all who wait.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp::Message;

use crate::error::{Error, Fault};
use crate::flight::Flight;
use crate::sse::Sse;
use crate::streamable_http::StreamableHttp;
use crate::transport::{
    Agreement, Conversation, Discovery, Headers, Link, MessageStream, Overheard, Pooled, Reply, Session,
    Transport,
};

/// A server that has not answered `initialize` after this long is asked for HTTP+SSE besides.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is spoken at the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Streamable HTTP, by a server of 2026-07-28 and maybe earlier revisions.
    Modern,
    /// Streamable HTTP, by a server of earlier revisions alone.
    Streamable,
    /// HTTP+SSE.
    Sse,
}

/// The server behind one URL.
pub(crate) struct ByUrl {
    name: Arc<str>,
    found: Arc<Found>,
}

struct Found {
    http: StreamableHttp,
    sse: Sse,
    way: Mutex<Option<Way>>,
    /// Whether it is never asked, since the file says `transport: sse`.
    pinned: bool,
    finding: Flight<Way>,
}

impl ByUrl {
    /// A server that is asked; `remembered` is what it spoke in an earlier run.
    pub(crate) fn new(name: Arc<str>, http: StreamableHttp, sse: Sse, remembered: Option<Way>) -> Self {
        Self::with(name, http, sse, remembered, false)
    }

    /// A server that speaks HTTP+SSE, as the file says.
    pub(crate) fn pinned_to_sse(name: Arc<str>, http: StreamableHttp, sse: Sse) -> Self {
        Self::with(name, http, sse, Some(Way::Sse), true)
    }

    fn with(name: Arc<str>, http: StreamableHttp, sse: Sse, way: Option<Way>, pinned: bool) -> Self {
        let found = Arc::new(Found {
            http,
            sse,
            way: Mutex::new(way),
            pinned,
            finding: Flight::default(),
        });
        Self { name, found }
    }

    /// What is spoken there; asked for where that is not known, as when the revision is pinned.
    async fn way(&self, headers: &Headers) -> Result<Way, Error> {
        match self.found.way() {
            Some(way) => Ok(way),
            None => {
                let ask = || {
                    let (found, headers) = (Arc::clone(&self.found), headers.clone());
                    async move { Ok(found.share(&Pooled::default(), &headers).await?.1) }
                };
                self.found.finding.join(ask).await
            }
        }
    }
}

impl Found {
    /// A session of the gateway's own, and what it is spoken over (P2, P3).
    async fn share(&self, pooled: &Pooled, headers: &Headers) -> Result<(Agreement, Way), Error> {
        if let Some(Way::Sse) = self.way() {
            let shared = self.sse.share(pooled, headers).await;
            return Ok((shared.map_err(|error| self.doubt(error))?, Way::Sse));
        }
        let mut greeting = std::pin::pin!(self.http.share(pooled, headers));
        let greeted = match tokio::time::timeout(PATIENCE, &mut greeting).await {
            Ok(greeted) => greeted,
            // It may be slow to start, or hang on what it does not know: the other question is asked
            // beside this one, whose answer still counts.
            Err(_) => tokio::select! {
                greeted = &mut greeting => greeted,
                agreement = self.is_sse(pooled, headers) => {
                    self.set(Some(Way::Sse));
                    return Ok((agreement, Way::Sse));
                }
            },
        };
        let refused = match greeted {
            Ok(agreement) => {
                let way = self.way().unwrap_or(Way::Streamable);
                self.set(Some(way));
                return Ok((agreement, way));
            }
            Err(error) if self.way() != Some(Way::Modern) && may_be_sse(&error.fault) => error,
            Err(error) => return Err(error),
        };
        match self.sse.share(pooled, headers).await {
            Ok(agreement) => {
                self.set(Some(Way::Sse));
                Ok((agreement, Way::Sse))
            }
            // Nor is it that; what it said first says best what is wrong.
            Err(Error {
                fault: Fault::Misjudged(_),
                ..
            }) => Err(refused),
            Err(error) => Err(error),
        }
    }

    /// A session over HTTP+SSE; waits for ever where that is not spoken, or cannot be told.
    async fn is_sse(&self, pooled: &Pooled, headers: &Headers) -> Agreement {
        match self.sse.share(pooled, headers).await {
            Ok(agreement) => agreement,
            Err(_) => std::future::pending().await,
        }
    }

    /// What a fault says of the way it came by: a server that does not speak as assumed is asked anew.
    fn doubt(&self, error: Error) -> Error {
        let Fault::Misjudged(what) = &error.fault else {
            return error;
        };
        if self.pinned {
            let fault = Fault::Broken(format!("{what}; the gateway's file says `transport: sse`"));
            return Error { fault, ..error };
        }
        self.set(None);
        error
    }

    fn way(&self) -> Option<Way> {
        *self.locked()
    }

    fn set(&self, way: Option<Way>) {
        *self.locked() = way;
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Option<Way>> {
        self.way.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Whether a server that refuses `initialize` so may be one of HTTP+SSE: 400, 404, 405 and every other
/// 4xx that speaks neither of credentials nor of the moment (§1.6 P2).
fn may_be_sse(fault: &Fault) -> bool {
    match fault {
        Fault::Status { status, .. } => {
            (400..500).contains(status) && !matches!(status, 401 | 403 | 408 | 429)
        }
        Fault::NotSpoken { .. } | Fault::Misjudged(_) => true,
        _ => false,
    }
}

#[async_trait]
impl Transport for ByUrl {
    async fn discover(&self, headers: &Headers) -> Result<Discovery, Error> {
        let found = &self.found;
        if found.pinned {
            return Ok(Discovery::Legacy);
        }
        let discovery = found.http.discover(headers).await?;
        match discovery {
            Discovery::Modern { .. } => found.set(Some(Way::Modern)),
            Discovery::Legacy if found.way() == Some(Way::Modern) => {
                found.http.forget(headers);
                found.set(None);
            }
            Discovery::Legacy => {}
        }
        Ok(discovery)
    }

    async fn share(&self, pooled: &Pooled, headers: &Headers) -> Result<Agreement, Error> {
        Ok(self.found.share(pooled, headers).await?.0)
    }

    fn forget(&self, headers: &Headers) {
        self.found.http.forget(headers);
    }

    async fn open(&self, conversation: &Conversation, headers: Arc<Headers>) -> Result<Box<dyn Link>, Error> {
        let found = &self.found;
        let way = match conversation {
            Conversation::Modern | Conversation::Bridged if found.pinned => Way::Sse,
            Conversation::Modern | Conversation::Bridged => Way::Modern,
            Conversation::Session(session) if found.sse.keeps(session) => Way::Sse,
            Conversation::Session(_) | Conversation::Greeting | Conversation::Pooled(_) => {
                self.way(&headers).await?
            }
        };
        let assumed = Assumed {
            found: Arc::clone(found),
            way,
            headers: Arc::clone(&headers),
            conversation: match conversation {
                Conversation::Modern | Conversation::Bridged => Era::Modern,
                Conversation::Session(_) => Era::Session,
                Conversation::Greeting | Conversation::Pooled(_) => Era::Legacy,
            },
        };
        let opened = match way {
            Way::Sse => found.sse.open(conversation, headers).await,
            Way::Modern | Way::Streamable => found.http.open(conversation, headers).await,
        };
        let link = opened.map_err(|error| assumed.judge(error))?;
        Ok(Box::new(Doubting { link, assumed }))
    }

    async fn listen(
        &self,
        session: &Session,
        headers: Arc<Headers>,
    ) -> Result<Box<dyn MessageStream>, Error> {
        let found = &self.found;
        if found.sse.keeps(session) {
            return found.sse.listen(session, headers).await;
        }
        match self.way(&headers).await? {
            Way::Sse => Err(Fault::SessionGone.of(&self.name)),
            Way::Modern | Way::Streamable => found.http.listen(session, headers).await,
        }
    }

    async fn overhear(&self, pooled: &Pooled, headers: &Arc<Headers>) -> Result<Overheard, Error> {
        let found = &self.found;
        match found.share(pooled, headers).await?.1 {
            Way::Sse => found
                .sse
                .overhear(pooled, headers)
                .await
                .map_err(|error| found.doubt(error)),
            Way::Modern | Way::Streamable => found.http.overhear(pooled, headers).await,
        }
    }

    async fn end(&self, session: &Session, headers: &Headers) {
        let found = &self.found;
        if found.sse.keeps(session) {
            found.sse.end(session, headers).await;
        } else if found.way() != Some(Way::Sse) {
            found.http.end(session, headers).await;
        }
    }

    fn release(&self, scope: &[u8]) {
        self.found.http.release(scope);
        self.found.sse.release(scope);
    }

    async fn stop(&self) {
        self.found.sse.stop().await;
        self.found.http.stop().await;
    }

    fn kind(&self) -> &'static str {
        match self.found.way() {
            Some(Way::Sse) => self.found.sse.kind(),
            Some(Way::Modern | Way::Streamable) | None => self.found.http.kind(),
        }
    }

    fn may_change(&self) -> bool {
        !self.found.pinned
    }
}

/// What an exchange takes for granted.
struct Assumed {
    found: Arc<Found>,
    way: Way,
    headers: Arc<Headers>,
    conversation: Era,
}

/// What an exchange belongs to, as far as its refusal tells something of the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Era {
    Modern,
    Session,
    Legacy,
}

impl Assumed {
    /// The fault as it is, or as what it says of the server. Every fault judged otherwise here means that
    /// the message was refused by something that does not understand it: nothing was processed.
    fn judge(&self, error: Error) -> Error {
        let refused = matches!(
            error.fault,
            Fault::Status {
                status: 404 | 405,
                ..
            }
        );
        let fault = match (self.way, self.conversation, refused) {
            // What a session began with is gone, with whatever answers there now.
            (Way::Streamable, Era::Session, true) => Fault::SessionGone,
            (Way::Streamable, Era::Legacy, true) => {
                self.found.http.forget(&self.headers);
                Fault::Misjudged("it refuses what a server of Streamable HTTP understands".into())
            }
            _ => return self.found.doubt(error),
        };
        self.found.doubt(Error { fault, ..error })
    }
}

/// A link whose refusals may say that another transport is spoken there now.
struct Doubting {
    link: Box<dyn Link>,
    assumed: Assumed,
}

#[async_trait]
impl Link for Doubting {
    async fn send(&mut self, message: &Message) -> Result<Reply, Error> {
        let outcome = self.link.send(message).await;
        outcome.map_err(|error| self.assumed.judge(error))
    }

    async fn cancel(&mut self, request: &Message, reason: &str) {
        self.link.cancel(request, reason).await;
    }
}

#[cfg(test)]
mod tests;
