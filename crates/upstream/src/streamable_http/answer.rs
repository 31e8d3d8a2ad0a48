//! Reading what a server answers to a POST: nothing, one JSON message, or a stream of events.

mod events;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use egress::Response;
use http::{HeaderName, HeaderValue, header};
use mcp::{Body, Id, Kind, Message, code};

use super::{SESSION_ID, Server};
use crate::error::{Error, Fault};
use crate::handshake;
use crate::lost;
use crate::transport::{Headers, MessageStream, Messages, Reply, Session};
use crate::unread;

use events::Events;

/// After the answer a stream should end; a server that lingers costs its connection.
const END_WITHIN: Duration = Duration::from_secs(1);

/// The pause before a stream is resumed, unless the server asks for another …
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// … and the shortest it may ask for.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// How often in a row a stream is resumed that then says nothing.
pub(super) const RESUMED_IN_VAIN: u32 = 5;

/// The longest pause a server may ask for before its stream is resumed.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Where the answer comes from, for errors and for resuming its stream.
#[derive(Clone, Copy)]
pub(super) struct Wire<'a> {
    pub(super) server: &'a Arc<Server>,
    pub(super) headers: &'a Headers,
    pub(super) session: Option<&'a Session>,
}

/// Reads the head of the answer to `sent`, which the client knows as `asked`.
pub(super) async fn read(
    wire: Wire<'_>,
    mut response: Response,
    sent: &Message,
    asked: &Message,
) -> Result<Reply, Error> {
    let server = wire.server;
    let status = response.status().as_u16();
    let fails = |fault| Err(server.fails(fault));
    if let Some(encoding) = response.header(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        return fails(Fault::Broken(
            "its answer is compressed, which nobody asked for".into(),
        ));
    }
    match status {
        200..=299 => {}
        401 | 403 => return fails(Fault::Unauthorized(status)),
        300..=399 => return fails(Fault::Broken(format!("it redirects with status {status}"))),
        _ => return refusal(wire, response, sent, asked).await,
    }
    let session = response
        .header(SESSION_ID)
        .and_then(|id| id.to_str().ok())
        .map(Into::into);
    let expects_answer = asked.kind() == Kind::Request;
    match content_type(&response) {
        Content::Json => {
            let body = response
                .body(server.bounds.answer)
                .await
                .map_err(|error| server.failed(error))?;
            if body.is_empty() && !expects_answer {
                return Ok(Reply::accepted());
            }
            let messages = one_or_many(server, body, sent, asked)?;
            Ok(Reply {
                status,
                session,
                messages,
                doubtful: false,
            })
        }
        Content::Events if expects_answer => {
            let stream = Events::new(wire, response, sent, asked);
            Ok(Reply {
                session,
                ..Reply::stream(Box::new(stream))
            })
        }
        // Both 202 and an empty 200 mean that a notification or a response was taken.
        Content::Events | Content::Other if !expects_answer => {
            // Read to its end, so that the connection can carry the next message.
            let _ = tokio::time::timeout(END_WITHIN, response.body(server.bounds.answer)).await;
            Ok(Reply::accepted())
        }
        Content::Events | Content::Other if status == 202 => fails(Fault::Broken(
            "it took the request with status 202 and will not answer it".into(),
        )),
        Content::Events | Content::Other => {
            let kind = response
                .header(header::CONTENT_TYPE)
                .and_then(|kind| kind.to_str().ok());
            let kind = kind.map_or("no content type".to_owned(), |kind| {
                format!("`{}`", kind.escape_debug())
            });
            fails(Fault::Broken(format!(
                "it answers with {kind} instead of a message"
            )))
        }
    }
}

/// The header lines of a POST, for a GET of a stream.
pub(super) fn fetching(mut lines: Vec<(HeaderName, HeaderValue)>) -> Vec<(HeaderName, HeaderValue)> {
    lines.retain(|(name, _)| *name != header::CONTENT_TYPE && *name != header::ACCEPT);
    lines.push((header::ACCEPT, HeaderValue::from_static("text/event-stream")));
    lines
}

/// Whether this is a stream of events.
pub(super) fn is_events(response: &Response) -> bool {
    matches!(content_type(response), Content::Events)
}

/// Whether a 400 is about the session.
pub(super) async fn names_session(mut response: Response, server: &Server) -> bool {
    let body = response.body(server.bounds.answer).await.unwrap_or_default();
    matches!(Body::parse(body, &server.bounds.limits), Ok(Body::One(message)) if speaks_of_session(&message, None))
}

/// Seconds the server asks us to wait, when it says so in seconds.
pub(super) fn retry_after(response: &Response) -> Option<u64> {
    response
        .header(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// A status of 400 and above. With a JSON-RPC error in it, it is an answer.
async fn refusal(
    wire: Wire<'_>,
    mut response: Response,
    sent: &Message,
    asked: &Message,
) -> Result<Reply, Error> {
    let server = wire.server;
    let status = response.status().as_u16();
    let retry_after = retry_after(&response);
    let is_json = matches!(content_type(&response), Content::Json);
    let body = response
        .body(server.bounds.answer)
        .await
        .map_err(|error| server.failed(error))?;
    let modern = asked.protocol_version().is_some();
    let of_session = wire.session.is_some_and(|session| session.id.is_some());
    // A server that has no such method of HTTP may say so in JSON; that is no answer to the message.
    if is_json
        && status != 405
        && let Ok(Body::One(message)) = Body::parse(body, &server.bounds.limits)
        && message.kind() == Kind::Error
    {
        let about_session = match status {
            400 => speaks_of_session(&message, Some(asked)),
            404 => !is_of_the_call(&message, sent, asked),
            _ => false,
        };
        if of_session && about_session {
            return Err(server.fails(Fault::SessionGone));
        }
        // Any other status speaks of the moment, or of who asks.
        let doubtful = match modern {
            true => matches!(status, 400 | 404) && !is_modern_refusal(&message),
            false => status == 400 && is_of_modern_alone(&message),
        };
        // Only these say what the error says too; a 5xx would make clients drop their session, and
        // 429 speaks of the gateway's own rates.
        let status = if matches!(status, 400 | 404) { status } else { 200 };
        return Ok(Reply {
            doubtful,
            ..Reply::one(status, addressed(message, asked))
        });
    }
    Err(server.fails(match status {
        404 if of_session => Fault::SessionGone,
        400 | 404 | 405 | 406 | 415 if modern => {
            Fault::Misjudged(format!("it refuses a 2026-07-28 request with status {status}"))
        }
        _ => Fault::Status { status, retry_after },
    }))
}

/// Whether a 400 is about the session, as some servers say what should be a 404 (`protocol.md` §9).
fn speaks_of_session(refusal: &Message, asked: Option<&Message>) -> bool {
    let error = refusal.error().unwrap_or_default();
    matches!(refusal.error_code(), Some(-32000 | -32001))
        && lost::speaks_of_session(error, asked.map(|asked| &**asked.bytes()))
}

/// Whether a 404 is the end of the call itself, which is then not made again: servers give this status to errors of
/// their own too. One that does not know the session has not read the call, and so rarely names it; those that do use
/// codes of the transport, or say that the request is none and speak of the session.
fn is_of_the_call(refusal: &Message, sent: &Message, asked: &Message) -> bool {
    match refusal.error_code() {
        // A server that does not know a method may say so with 404 too.
        Some(code::METHOD_NOT_FOUND) => true,
        Some(-32000 | -32001) => false,
        Some(code::INVALID_REQUEST)
            if lost::speaks_of_session(refusal.error().unwrap_or_default(), Some(asked.bytes())) =>
        {
            false
        }
        Some(_) | None => same_id(refusal.id(), sent.id()),
    }
}

/// Whether a 2026-07-28 server would refuse so (basic/transports/streamable-http), and one before it would not:
/// those answer [`code::INVALID_REQUEST`] to what comes without a session.
fn is_modern_refusal(refusal: &Message) -> bool {
    match refusal.error_code() {
        Some(
            code::METHOD_NOT_FOUND
            | code::INVALID_PARAMS
            | code::PARSE_ERROR
            | code::HEADER_MISMATCH
            | code::MISSING_CAPABILITY,
        ) => true,
        Some(code::UNSUPPORTED_VERSION) => handshake::supports_modern(refusal),
        Some(_) | None => false,
    }
}

/// Whether only a server of 2026-07-28 would refuse so: for what a request of an earlier revision has not.
fn is_of_modern_alone(refusal: &Message) -> bool {
    match refusal.error_code() {
        Some(code::HEADER_MISMATCH | code::UNSUPPORTED_VERSION) => true,
        Some(code::INVALID_PARAMS) => {
            let error = refusal.error().unwrap_or_default();
            let named = b"io.modelcontextprotocol/";
            error.windows(named.len()).any(|word| word == named)
        }
        Some(_) | None => false,
    }
}

/// A JSON body: one message, or an array of them from a 2025-03-26 server.
fn one_or_many(server: &Server, body: Bytes, sent: &Message, asked: &Message) -> Result<Messages, Error> {
    let garbage = |error: mcp::ParseError| server.fails(unread::fault(&error));
    match Body::parse(body, &server.bounds.limits).map_err(garbage)? {
        Body::One(message) => match answers(&message, sent) {
            true => Ok(Messages::One(addressed(message, asked))),
            false => Err(server.fails(Fault::Broken("it answered another request than ours".into()))),
        },
        Body::Batch(messages) => {
            let mut several = Vec::with_capacity(messages.len());
            for message in messages {
                let message = message.map_err(garbage)?;
                match message.kind() {
                    Kind::Request | Kind::Notification => several.push(message),
                    Kind::Result | Kind::Error if answers(&message, sent) => {
                        several.push(addressed(message, asked));
                    }
                    Kind::Result | Kind::Error => server.count_foreign_answer(),
                }
            }
            // The answer comes last, as in a stream.
            several.sort_by_key(|message| matches!(message.kind(), Kind::Result | Kind::Error));
            Ok(Messages::Stream(Box::new(Several {
                server: server.name.clone(),
                messages: several.into_iter(),
            })))
        }
    }
}

/// Whether this message is the answer to that request. An error without an id can only be.
fn answers(message: &Message, request: &Message) -> bool {
    match message.kind() {
        Kind::Result => same_id(message.id(), request.id()),
        Kind::Error => message.id().is_none() || same_id(message.id(), request.id()),
        Kind::Request | Kind::Notification => false,
    }
}

/// Equal ids; a server that answers `"7"` for `7` is understood too.
fn same_id(one: Option<&Id>, other: Option<&Id>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            one == other || one.raw().trim_matches('"') == other.raw().trim_matches('"')
        }
        _ => false,
    }
}

/// The answer under the id that the client gave its request, byte for byte.
fn addressed(answer: Message, asked: &Message) -> Message {
    match (answer.id(), asked.id()) {
        (Some(given), Some(wanted)) if given.raw() == wanted.raw() => answer,
        (_, Some(wanted)) => answer.with_id(wanted),
        (_, None) => answer,
    }
}

enum Content {
    Json,
    Events,
    Other,
}

fn content_type(response: &Response) -> Content {
    let kind = response
        .header(header::CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    if kind.eq_ignore_ascii_case(b"application/json") {
        Content::Json
    } else if kind.eq_ignore_ascii_case(b"text/event-stream") {
        Content::Events
    } else {
        Content::Other
    }
}

/// The messages of a batch.
struct Several {
    server: Arc<str>,
    messages: std::vec::IntoIter<Message>,
}

#[async_trait]
impl MessageStream for Several {
    async fn next(&mut self) -> Result<Message, Error> {
        self.messages
            .next()
            .ok_or_else(|| Fault::Broken("its batch holds no answer".into()).of(&self.server))
    }
}
