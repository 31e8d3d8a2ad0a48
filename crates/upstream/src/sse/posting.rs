//! Sending a message to the server, and what the response to that says. Its answer belongs on the stream;
//! some servers give it here instead, and it is taken from here too.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use egress::Response;
use mcp::frame::sse::SseReader;
use mcp::{Body, Id, Kind, Message};

use super::connection::Connection;
use super::server::{Content, content, is_compressed, redirected, refused};
use crate::error::{Error, Fault};
use crate::lost;
use crate::transport::Headers;

/// Bytes of a refusal that are read for what it is about.
const REFUSAL: usize = 64 * 1024;

/// A response that says nothing should end at once.
const END_WITHIN: Duration = Duration::from_secs(1);

/// What the fate of one message says of the connection that it was to go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Stays,
    /// The server does not know it, as far as its words can be trusted: nothing new goes over it. Where
    /// others speak over it too, what runs there runs on.
    Doubted,
    /// The server does not know it: nothing that runs there will be answered.
    Gone,
}

/// A message that the server did not take.
pub(super) struct Untaken {
    pub(super) error: Error,
    pub(super) verdict: Verdict,
}

impl From<Error> for Untaken {
    fn from(error: Error) -> Self {
        let verdict = Verdict::Stays;
        Self { error, verdict }
    }
}

/// POSTs a message, and waits until the server has taken it.
///
/// # Errors
/// When it did not take it: the fate of the one request in it, and of the connection as the verdict says.
pub(super) async fn post(
    connection: &Arc<Connection>,
    message: &Message,
    headers: &Headers,
) -> Result<(), Untaken> {
    let server = &connection.server;
    let body = message.bytes().clone();
    let mut response = server.post(&connection.endpoint, headers, body.clone()).await?;
    if matches!(response.status().as_u16(), 307 | 308) {
        let elsewhere = redirected(&response, &connection.endpoint).ok_or_else(|| {
            server.fails(Fault::Broken(
                "it redirects to nowhere, or to another origin".into(),
            ))
        })?;
        response = server.post(&elsewhere, headers, body).await?;
    }
    if is_compressed(&response) {
        let what = "its answer is compressed, which nobody asked for";
        return Err(server.fails(Fault::Broken(what.into())).into());
    }
    if response.status().is_success() {
        return Ok(take(connection, response).await?);
    }
    refuse(connection, message, response).await
}

/// Takes what is said in the response to a message that was accepted.
async fn take(connection: &Arc<Connection>, mut response: Response) -> Result<(), Error> {
    let server = &connection.server;
    match content(&response) {
        Content::Json => {
            let body = response
                .body(server.bounds.answer)
                .await
                .map_err(|error| server.failed(error))?;
            // Words such as `"Accepted"` are no message, and harmless.
            connection.hear(body);
            Ok(())
        }
        Content::Events => {
            let mut reader = SseReader::new(server.bounds.answer);
            loop {
                for event in reader.by_ref() {
                    let event = event.map_err(|_| server.fails(Fault::TooLong(server.bounds.answer)))?;
                    connection.hear(event.data);
                }
                match response.piece().await {
                    Ok(Some(piece)) => reader.push(&piece),
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(server.failed(error)),
                }
            }
        }
        Content::Other => {
            // Read to its end, so that the connection can carry the next message.
            let _ = tokio::time::timeout(END_WITHIN, response.body(REFUSAL)).await;
            Ok(())
        }
    }
}

/// Judges the response to a message that was not accepted.
async fn refuse(
    connection: &Arc<Connection>,
    message: &Message,
    mut response: Response,
) -> Result<(), Untaken> {
    let server = &connection.server;
    let status = response.status().as_u16();
    let fault = refused(&response);
    let gone = |verdict| {
        Err(Untaken {
            error: server.fails(Fault::SessionGone),
            verdict,
        })
    };
    if matches!(status, 404 | 410) {
        return gone(Verdict::Gone);
    }
    let body = match tokio::time::timeout(END_WITHIN, response.body(REFUSAL)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) | Err(_) => Bytes::new(),
    };
    let said = match Body::parse(body.clone(), &server.bounds.limits) {
        Ok(Body::One(said)) => Some(said),
        Ok(Body::Batch(_)) | Err(_) => None,
    };
    // What answers this very request was said by whoever carried it out, so it must not be sent again.
    let carried_out = said.as_ref().is_some_and(|said| {
        said.id().is_some()
            && said.id() == message.id()
            && !matches!(said.error_code(), Some(-32000 | -32001))
    });
    if status == 400 && !carried_out && lost::speaks_of_session(&body, Some(message.bytes())) {
        return gone(Verdict::Doubted);
    }
    if (400..500).contains(&status)
        && !matches!(fault, Fault::Unauthorized(_))
        && let Some(id) = message.id()
        && let Some(answer) = said
        && answers(&answer, id)
    {
        connection.routing.take(answer.with_id(id));
        return Ok(());
    }
    Err(server.fails(fault).into())
}

/// Whether a refusal is a JSON-RPC answer to this request.
fn answers(refusal: &Message, request: &Id) -> bool {
    refusal.kind() == Kind::Error && refusal.id().is_none_or(|id| id.raw() == request.raw())
}
