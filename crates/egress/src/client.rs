//! One request out, one answer back, over a pooled connection.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::v1::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{ErrorSource, ErrorType};

use crate::error::{Error, Reason};
use crate::target::Target;
use crate::tls;

/// Idle connections kept for all servers together.
const POOLED: usize = 1024;

/// Node and uvicorn close an idle connection after 5 s; ours must be the shorter patience, or a
/// request would race the server's close.
const POOLED_FOR: Duration = Duration::from_secs(4);

/// The pooled client. Cheap to share; connections belong to the runtime that made them.
pub struct Client {
    connector: Connector,
}

/// How long each step may take. The whole exchange is bounded by its caller.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Name, connection and TLS handshake, for all addresses of the server together.
    pub connect: Duration,
    /// Silence of the server, before its answer and between two pieces of it.
    pub silence: Duration,
    /// A server that does not read our request.
    pub write: Duration,
}

impl Default for Deadlines {
    /// 2 s to connect, 300 s of silence, 30 s for a write.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            silence: Duration::from_secs(300),
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
    client: Arc<Client>,
    server: String,
    peer: HttpPeer,
    session: Option<HttpSession>,
    status: StatusCode,
    headers: HeaderMap,
    silence: Duration,
}

impl Client {
    /// A client that believes the system's root certificates, or those in `bundle`; what it
    /// believes is written to `state/roots.pem`.
    ///
    /// # Errors
    /// When that file cannot be written.
    pub fn new(state: &Path, bundle: Option<&Path>) -> std::io::Result<Arc<Self>> {
        let roots = tls::write_roots(state, bundle)?;
        let mut options = ConnectorOptions::new(POOLED);
        options.ca_file = Some(roots.to_string_lossy().into_owned());
        Ok(Arc::new(Self {
            connector: Connector::new(Some(options)),
        }))
    }

    /// Sends `request` and waits for the head of the answer.
    ///
    /// # Errors
    /// See [`Reason`]; [`Error::sent`] tells whether the server may have seen the request.
    pub async fn send(
        self: &Arc<Self>,
        request: Request<'_>,
        deadlines: Deadlines,
    ) -> Result<Response, Error> {
        let (mut session, peer, reused) = self.connect(request.target, deadlines.connect).await?;
        match self.exchange(&mut session, &request, deadlines).await {
            Ok(()) => Ok(self.answered(session, peer, &request, deadlines)),
            Err(error) if reused && went_stale(&error) && (request.repeatable || !error.sent) => {
                drop(session);
                let (mut session, peer) = self
                    .connect_anew(request.target, &peer, deadlines.connect)
                    .await?;
                self.exchange(&mut session, &request, deadlines).await?;
                Ok(self.answered(session, peer, &request, deadlines))
            }
            Err(error) => Err(error),
        }
    }

    /// A pooled connection if there is one, else a new one to the first address that accepts.
    async fn connect(
        &self,
        target: &Target,
        within: Duration,
    ) -> Result<(HttpSession, HttpPeer, bool), Error> {
        let peers = target.peers(within).await?;
        if let Some(first) = peers.first()
            && let Some(session) = self.connector.reused_http_session(first).await
        {
            return Ok((session, first.clone(), true));
        }
        let attempts = async {
            let mut last = None;
            for (index, peer) in peers.iter().enumerate() {
                match self.connector.get_http_session(peer).await {
                    Ok((session, reused)) => {
                        target.prefer(&peers, index);
                        return Ok((session, peer.clone(), reused));
                    }
                    Err(error) => last = Some(error),
                }
            }
            Err(last)
        };
        match tokio::time::timeout(within, attempts).await {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(error)) => Err(target.failed(connect_reason(error.as_deref(), within))),
            Err(_) => Err(target.failed(Reason::ConnectTimeout(within))),
        }
    }

    /// A connection nobody used before, to an address that accepted one already.
    async fn connect_anew(
        &self,
        target: &Target,
        peer: &HttpPeer,
        within: Duration,
    ) -> Result<(HttpSession, HttpPeer), Error> {
        loop {
            let connecting = self.connector.get_http_session(peer);
            match tokio::time::timeout(within, connecting).await {
                Ok(Ok((session, false))) => return Ok((session, peer.clone())),
                // The pool may hold more connections that the server has closed: drop them all.
                Ok(Ok((stale, true))) => drop(stale),
                Ok(Err(error)) => return Err(target.failed(connect_reason(Some(&error), within))),
                Err(_) => return Err(target.failed(Reason::ConnectTimeout(within))),
            }
        }
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
        session.read_timeout = Some(deadlines.silence);
        session
            .write_request_header(Box::new(head))
            .await
            .map_err(|error| failed(error, false))?;
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
            if !informational {
                session.respect_keepalive();
                return Ok(());
            }
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
        self: &Arc<Self>,
        session: HttpSession,
        peer: HttpPeer,
        request: &Request<'_>,
        deadlines: Deadlines,
    ) -> Response {
        let (status, headers) = match session.resp_header() {
            Some(head) => (head.status, head.headers.clone()),
            None => (StatusCode::BAD_GATEWAY, HeaderMap::new()),
        };
        Response {
            client: Arc::clone(self),
            server: request.target.authority().to_owned(),
            peer,
            session: Some(session),
            status,
            headers,
            silence: deadlines.silence,
        }
    }
}

impl Response {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
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
        if let Some(session) = self.session.take() {
            self.client
                .connector
                .release_http_session(session, &self.peer, Some(POOLED_FOR))
                .await;
        }
    }
}

/// Whether a pooled connection failed the way it does when the server had closed it meanwhile.
fn went_stale(error: &Error) -> bool {
    error.reason == Reason::Closed
}

fn connect_reason(error: Option<&pingora::Error>, within: Duration) -> Reason {
    match error.map(pingora::Error::etype) {
        Some(ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout) => Reason::ConnectTimeout(within),
        Some(ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError) => {
            Reason::Tls(error.map(root_cause).unwrap_or_default())
        }
        Some(_) | None => Reason::Refused,
    }
}

fn exchange_reason(error: &pingora::Error, deadlines: Deadlines) -> Reason {
    match error.etype() {
        ErrorType::ReadTimedout => Reason::Silent(deadlines.silence),
        ErrorType::WriteTimedout => Reason::Stalled(deadlines.write),
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => Reason::Closed,
        ErrorType::InvalidHTTPHeader if matches!(error.esource(), ErrorSource::Internal) => {
            Reason::Inexpressible(error.etype().as_str().to_owned())
        }
        other => Reason::Garbage(other.as_str().to_owned()),
    }
}

fn root_cause(error: &pingora::Error) -> String {
    error.root_cause().to_string()
}
