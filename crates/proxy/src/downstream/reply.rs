//! Writing an answer: one JSON message, or events as they come.

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http::header::{self, HeaderName};
use mcp::Message;
use mcp::frame::sse;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const EXPOSED: HeaderValue = HeaderValue::from_static("Mcp-Session-Id, WWW-Authenticate, Retry-After");

/// Written at once. The engine's deadline is for one write, so that a client which is slow but steady
/// is not taken for one that stopped reading.
pub(crate) const SLICE: usize = 256 * 1024;

/// The client's end of an exchange, while it is answered.
pub(crate) struct Door<'a> {
    http: &'a mut ServerSession,
    /// The page that asks, when it may.
    origin: Option<HeaderValue>,
    streaming: bool,
    reusable: bool,
}

/// The client left, or stopped reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// Headers of an answer beside those that every answer has.
#[derive(Default)]
pub(crate) struct Extra {
    pub(crate) session: Option<String>,
    pub(crate) retry_after: Option<u64>,
    pub(crate) allow: Option<&'static str>,
    pub(crate) challenge: Option<String>,
}

impl<'a> Door<'a> {
    pub(crate) fn new(http: &'a mut ServerSession, origin: Option<HeaderValue>) -> Self {
        Self {
            http,
            origin,
            streaming: false,
            reusable: true,
        }
    }

    /// The door of a stream of events that was begun before.
    pub(crate) fn resume(http: &'a mut ServerSession) -> Self {
        Self {
            http,
            origin: None,
            streaming: true,
            reusable: false,
        }
    }

    /// The same door, for a page that may read the answers.
    pub(crate) fn open_to(&mut self, origin: Option<HeaderValue>) {
        self.origin = origin;
    }

    /// The same door, for every page: what is told is everybody's.
    pub(crate) fn open_to_all(&mut self) {
        self.origin = Some(HeaderValue::from_static("*"));
    }

    /// The connection behind it.
    pub(crate) fn http(&mut self) -> &mut ServerSession {
        self.http
    }

    /// Whether events have begun, so that no status can be told any more.
    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming
    }

    /// Whether the connection may carry another request.
    pub(crate) fn is_reusable(&self) -> bool {
        self.reusable
    }

    /// The connection ends with this answer.
    pub(crate) fn close(&mut self) {
        self.reusable = false;
        self.http.set_keepalive(None);
    }

    /// Waits until the client leaves.
    pub(crate) async fn gone(&mut self) {
        let _ = self.http.read_body_or_idle(true).await;
    }

    /// Answers with a JSON body.
    pub(crate) async fn json(&mut self, status: u16, body: Bytes, extra: Extra) -> Result<(), Gone> {
        let mut head = self.head(status, extra, 6)?;
        set(&mut head, header::CONTENT_TYPE, JSON)?;
        set(&mut head, header::CONTENT_LENGTH, HeaderValue::from(body.len()))?;
        self.write_head(head).await?;
        self.write(body, true).await
    }

    /// Answers without a body.
    pub(crate) async fn empty(
        &mut self,
        status: u16,
        extra: Extra,
        more: &[(HeaderName, HeaderValue)],
    ) -> Result<(), Gone> {
        let mut head = self.head(status, extra, 4 + more.len())?;
        for (name, value) in more {
            set(&mut head, name.clone(), value.clone())?;
        }
        if status != 204 {
            set(&mut head, header::CONTENT_LENGTH, HeaderValue::from(0))?;
        }
        self.write_head(head).await?;
        self.write(Bytes::new(), true).await
    }

    /// Begins a stream of events.
    pub(crate) async fn begin_events(&mut self, extra: Extra) -> Result<(), Gone> {
        let mut head = self.head(200, extra, 6)?;
        set(&mut head, header::CONTENT_TYPE, EVENTS)?;
        set(&mut head, ACCEL_BUFFERING, HeaderValue::from_static("no"))?;
        if !self.http.is_http2() {
            set(
                &mut head,
                header::TRANSFER_ENCODING,
                HeaderValue::from_static("chunked"),
            )?;
        }
        self.streaming = true;
        self.write_head(head).await
    }

    /// One message as an event. Awaiting it is the back-pressure.
    pub(crate) async fn event(&mut self, message: &Message) -> Result<(), Gone> {
        self.line(message.one_line()).await
    }

    /// The same of a message that is one line already.
    pub(crate) async fn line(&mut self, line: Bytes) -> Result<(), Gone> {
        self.named_event("message", &line).await
    }

    /// An event of this name, whose data is one line.
    pub(crate) async fn named_event(&mut self, name: &str, line: &[u8]) -> Result<(), Gone> {
        let mut event = BytesMut::with_capacity(line.len() + name.len() + 24);
        sse::write_event(&mut event, Some(name), line);
        self.write(event.freeze(), false).await
    }

    /// Events as they are written.
    pub(crate) async fn frame(&mut self, events: Bytes) -> Result<(), Gone> {
        self.write(events, false).await
    }

    /// A sign of life that means nothing.
    pub(crate) async fn heartbeat(&mut self) -> Result<(), Gone> {
        self.write(Bytes::from_static(sse::COMMENT), false).await
    }

    /// Tells how many milliseconds to wait before the stream is opened again.
    pub(crate) async fn retry(&mut self, milliseconds: u64) -> Result<(), Gone> {
        let mut field = BytesMut::with_capacity(32);
        sse::write_retry(&mut field, milliseconds);
        self.write(field.freeze(), false).await
    }

    /// Ends the stream of events.
    pub(crate) async fn end_events(&mut self) -> Result<(), Gone> {
        self.write(Bytes::new(), true).await
    }

    fn head(&self, status: u16, extra: Extra, more: usize) -> Result<ResponseHeader, Gone> {
        let mut head = ResponseHeader::build_no_case(status, Some(more + 4)).map_err(|_| Gone)?;
        set(&mut head, header::CACHE_CONTROL, NO_STORE)?;
        if let Some(origin) = &self.origin {
            set(&mut head, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())?;
            set(&mut head, header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED)?;
            set(&mut head, header::VARY, HeaderValue::from_static("Origin"))?;
        }
        if let Some(session) = extra
            .session
            .and_then(|session| HeaderValue::from_str(&session).ok())
        {
            set(&mut head, SESSION_ID, session)?;
        }
        if let Some(seconds) = extra.retry_after {
            set(&mut head, header::RETRY_AFTER, HeaderValue::from(seconds))?;
        }
        if let Some(allow) = extra.allow {
            set(&mut head, header::ALLOW, HeaderValue::from_static(allow))?;
        }
        if let Some(challenge) = extra.challenge {
            let challenge = HeaderValue::try_from(challenge).map_err(|_| Gone)?;
            set(&mut head, header::WWW_AUTHENTICATE, challenge)?;
        }
        Ok(head)
    }

    async fn write_head(&mut self, head: ResponseHeader) -> Result<(), Gone> {
        let written = self.http.write_response_header(Box::new(head)).await;
        self.check(written.is_ok())
    }

    /// Writes a piece of the body, slice by slice; `end` when none follows.
    async fn write(&mut self, mut piece: Bytes, end: bool) -> Result<(), Gone> {
        while piece.len() > SLICE {
            let slice = piece.split_to(SLICE);
            let written = self.http.write_response_body(slice, false).await;
            self.check(written.is_ok())?;
        }
        let written = self.http.write_response_body(piece, end).await;
        self.check(written.is_ok())
    }

    fn check(&mut self, written: bool) -> Result<(), Gone> {
        if written {
            return Ok(());
        }
        self.reusable = false;
        Err(Gone)
    }
}

fn set(head: &mut ResponseHeader, name: HeaderName, value: HeaderValue) -> Result<(), Gone> {
    head.insert_header(name, value).map_err(|_| Gone)
}
