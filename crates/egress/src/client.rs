//! One request out, one answer back, over a pooled connection.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::AsHeaderName;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::upstreams::peer::{HttpPeer, Peer as _};
use pingora::{ErrorSource, ErrorType};

use crate::error::{Error, Reason};
use crate::gather::Gather;
use crate::pool::Pool;
use crate::target::Target;
use crate::tls;

/// Bytes of the head of an answer.
const HEAD: usize = 32 * 1024;

/// Its fields.
const FIELDS: usize = 100;

/// The pooled client. Cheap to share; connections belong to the runtime that made them.
pub struct Client {
    connector: TransportConnector,
    pool: Arc<Pool>,
}

/// How long each step may take. The whole exchange is bounded by its caller.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Name, connection and TLS handshake, for all addresses of the server together.
    pub connect: Duration,
    /// Silence of the server, before its answer and between two pieces of it; `None` where the caller
    /// has a deadline of its own around the whole exchange.
    pub silence: Option<Duration>,
    /// A server that does not read our request.
    pub write: Duration,
}

impl Default for Deadlines {
    /// 2 s to connect, 300 s of silence, 30 s for a write.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            silence: Some(Duration::from_secs(300)),
            write: Duration::from_secs(30),
        }
    }
}

/// What to send.
pub struct Request<'a> {
    /// The HTTP method.
    pub method: Method,
    /// Where to.
    pub target: &'a Target,
    /// Every header but `Host` and `Content-Length`, which are ours.
    pub headers: &'a [(HeaderName, HeaderValue)],
    /// The body; may be empty.
    pub body: Bytes,
    /// Whether the server may see this request twice without harm. Only then is a pooled connection
    /// that turned out to be stale worth a second try once bytes were written.
    pub repeatable: bool,
}

/// An answer whose head has arrived. Its body is read piece by piece; dropping it before the end
/// closes the connection, which is how a server learns that nobody waits any more.
pub struct Response {
    pool: Arc<Pool>,
    server: String,
    key: u64,
    session: Option<HttpSession>,
    status: StatusCode,
    silence: Option<Duration>,
}

impl Client {
    /// A client that believes the system's root certificates, or those in `bundle`; what it
    /// believes is written to `state/roots.pem`.
    ///
    /// # Errors
    /// When that file cannot be written.
    pub fn new(state: &Path, bundle: Option<&Path>) -> std::io::Result<Arc<Self>> {
        let roots = tls::write_roots(state, bundle)?;
        // The engine's pool stays empty; ours is in front of it.
        let mut options = ConnectorOptions::new(1);
        options.ca_file = Some(roots.to_string_lossy().into_owned());
        Ok(Arc::new(Self {
            connector: TransportConnector::new(Some(options)),
            pool: Arc::default(),
        }))
    }

    /// Sends `request` and waits for the head of the answer.
    ///
    /// # Errors
    /// See [`Reason`]; [`Error::sent`] tells whether the server may have seen the request.
    pub async fn send(&self, request: Request<'_>, deadlines: Deadlines) -> Result<Response, Error> {
        let target = request.target;
        let peers = target.peers(deadlines.connect).await?;
        target.budget.count();
        if let Some((key, mut session)) = self.pooled(&peers) {
            match self.exchange(&mut session, &request, deadlines).await {
                // What was not sent is not repeated; what was may be within bounds, if it may be at all.
                Err(error)
                    if went_stale(&error) && (!error.sent || request.repeatable && target.budget.spend()) =>
                {
                    self.pool.clear(key);
                }
                outcome => return outcome.map(|()| self.answered(session, key, &request, deadlines)),
            }
        }
        let (key, mut session) = self.connect(target, &peers, deadlines.connect).await?;
        self.exchange(&mut session, &request, deadlines).await?;
        Ok(self.answered(session, key, &request, deadlines))
    }

    /// An idle connection to the address that answered last.
    fn pooled(&self, peers: &[HttpPeer]) -> Option<(u64, HttpSession)> {
        let peer = peers.first()?;
        let key = peer.reuse_hash();
        Some((key, HttpSession::new_with_options(self.pool.take(key)?, peer)))
    }

    /// A new connection to the first address that accepts one.
    async fn connect(
        &self,
        target: &Target,
        peers: &[HttpPeer],
        within: Duration,
    ) -> Result<(u64, HttpSession), Error> {
        let began = Instant::now();
        let mut last = Reason::Refused;
        for (index, peer) in peers.iter().enumerate() {
            // An address that swallows packets must leave time for those behind it.
            let left = within.saturating_sub(began.elapsed());
            let share = left / u32::try_from(peers.len() - index).unwrap_or(u32::MAX);
            match tokio::time::timeout(share, self.connector.new_stream(peer)).await {
                Ok(Ok(connection)) => {
                    target.prefer(peers, index);
                    let session = HttpSession::new_with_options(Gather::around(connection), peer);
                    return Ok((peer.reuse_hash(), session));
                }
                Ok(Err(error)) => last = connect_reason(&error, within),
                Err(_) => last = Reason::ConnectTimeout(within),
            }
        }
        Err(target.failed(last))
    }

    async fn exchange(
        &self,
        session: &mut HttpSession,
        request: &Request<'_>,
        deadlines: Deadlines,
    ) -> Result<(), Error> {
        let head = self.head(request)?;
        let failed = |error: Box<pingora::Error>, sent: bool| Error {
            server: request.target.authority().to_owned(),
            reason: exchange_reason(&error, deadlines),
            sent,
        };
        session.write_timeout = Some(deadlines.write);
        session.read_timeout = deadlines.silence;
        Gather::hold(session.stream(), !request.body.is_empty());
        session
            .write_request_header(Box::new(head))
            .await
            .map_err(|error| failed(error, false))?;
        Gather::hold(session.stream(), false);
        if !request.body.is_empty() {
            session
                .write_body(&request.body)
                .await
                .map_err(|error| failed(error, true))?;
        }
        session.finish_body().await.map_err(|error| failed(error, true))?;
        loop {
            session
                .read_response()
                .await
                .map_err(|error| failed(error, true))?;
            let informational = session
                .get_status()
                .is_some_and(|status| status.is_informational());
            if informational {
                continue;
            }
            let head = session.resp_header().map(|head| &head.headers);
            let length = head.map_or(0, |head| {
                head.iter()
                    .map(|(name, value)| name.as_str().len() + value.len())
                    .sum()
            });
            if length > HEAD || head.is_some_and(|head| head.len() > FIELDS) {
                return Err(Error {
                    server: request.target.authority().to_owned(),
                    reason: Reason::Garbage(format!("a head of more than {HEAD} bytes or {FIELDS} fields")),
                    sent: true,
                });
            }
            session.respect_keepalive();
            return Ok(());
        }
    }

    fn head(&self, request: &Request<'_>) -> Result<RequestHeader, Error> {
        let inexpressible = |error: Box<pingora::Error>| {
            request
                .target
                .failed(Reason::Inexpressible(error.etype().as_str().to_owned()))
        };
        let path = request.target.path().as_bytes();
        let mut head =
            RequestHeader::build_no_case(request.method.clone(), path, Some(request.headers.len() + 2))
                .map_err(inexpressible)?;
        head.append_header(http::header::HOST, request.target.authority())
            .map_err(inexpressible)?;
        for (name, value) in request.headers {
            head.append_header(name.clone(), value.clone())
                .map_err(inexpressible)?;
        }
        if request.method != Method::GET {
            head.append_header(
                http::header::CONTENT_LENGTH,
                HeaderValue::from(request.body.len()),
            )
            .map_err(inexpressible)?;
        }
        Ok(head)
    }

    fn answered(
        &self,
        session: HttpSession,
        key: u64,
        request: &Request<'_>,
        deadlines: Deadlines,
    ) -> Response {
        let status = session.get_status().unwrap_or(StatusCode::BAD_GATEWAY);
        Response {
            pool: Arc::clone(&self.pool),
            server: request.target.authority().to_owned(),
            key,
            session: Some(session),
            status,
            silence: deadlines.silence,
        }
    }
}

impl Response {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// One of its headers; the first of several lines. None once the body was read to its end.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&HeaderValue> {
        self.session.as_ref()?.resp_header()?.headers.get(name)
    }

    /// The next piece of the body; `None` at its end, when the connection goes back to the pool.
    ///
    /// # Errors
    /// When the server falls silent, or the connection ends early.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(session) = self.session.as_mut() else {
            return Ok(None);
        };
        match session.read_body_bytes().await {
            Ok(Some(piece)) => Ok(Some(piece)),
            Ok(None) => {
                self.release().await;
                Ok(None)
            }
            Err(error) => {
                self.session = None;
                let deadlines = Deadlines {
                    silence: self.silence,
                    ..Deadlines::default()
                };
                Err(Error {
                    server: self.server.clone(),
                    reason: exchange_reason(&error, deadlines),
                    sent: true,
                })
            }
        }
    }

    /// The whole body, at most `bound` bytes of it.
    ///
    /// # Errors
    /// As [`Response::piece`], and [`Reason::TooLong`].
    pub async fn body(&mut self, bound: usize) -> Result<Bytes, Error> {
        // Most answers arrive in one piece, which then needs no copy.
        let Some(first) = self.piece().await? else {
            return Ok(Bytes::new());
        };
        let mut whole = None::<BytesMut>;
        while let Some(next) = self.piece().await? {
            let whole = whole.get_or_insert_with(|| BytesMut::from(&first[..]));
            if whole.len() + next.len() > bound {
                self.session = None;
                return Err(Error {
                    server: self.server.clone(),
                    reason: Reason::TooLong(bound),
                    sent: true,
                });
            }
            whole.extend_from_slice(&next);
        }
        let body = whole.map_or(first, BytesMut::freeze);
        if body.len() > bound {
            return Err(Error {
                server: self.server.clone(),
                reason: Reason::TooLong(bound),
                sent: true,
            });
        }
        Ok(body)
    }

    async fn release(&mut self) {
        if let Some(session) = self.session.take()
            && let Some(connection) = session.reuse().await
        {
            self.pool.put(self.key, connection);
        }
    }
}

/// Whether a pooled connection failed the way it does when the server had closed it meanwhile.
fn went_stale(error: &Error) -> bool {
    error.reason == Reason::Closed
}

fn connect_reason(error: &pingora::Error, within: Duration) -> Reason {
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Reason::ConnectTimeout(within),
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => {
            tracing::warn!(%error, "a TLS handshake failed");
            let words = "the handshake failed; is its certificate valid for this name and signed by a root this machine believes?";
            Reason::Tls(words.into())
        }
        _ => Reason::Refused,
    }
}

fn exchange_reason(error: &pingora::Error, deadlines: Deadlines) -> Reason {
    match error.etype() {
        ErrorType::ReadTimedout => Reason::Silent(deadlines.silence.unwrap_or_default()),
        ErrorType::WriteTimedout => Reason::Stalled(deadlines.write),
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => Reason::Closed,
        ErrorType::InvalidHTTPHeader if matches!(error.esource(), ErrorSource::Internal) => {
            Reason::Inexpressible(error.etype().as_str().to_owned())
        }
        other => Reason::Garbage(other.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests;
