//! Opening a stream: the GET, and its first event, which names the place for POSTs
//! (2024-11-05 transports §HTTP with SSE).

use std::sync::Arc;
use std::time::Duration;

use egress::{Response, Target};
use mcp::frame::sse::{Event, SseReader};

use super::server::{Content, Server, content, is_compressed, redirected, refused};
use crate::error::{Error, Fault};
use crate::transport::Headers;

/// A cold start of the server included.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// From the head of the stream to its first event (`protocol.md` §1.6 P3).
const ENDPOINT_WITHIN: Duration = Duration::from_secs(5);

/// Characters of the place for POSTs.
const LONGEST_ENDPOINT: usize = 4096;

/// A stream that is open and has named the place for POSTs.
pub(super) struct Opened {
    pub(super) response: Response,
    /// What came with the first event and after it.
    pub(super) reader: SseReader,
    pub(super) endpoint: Target,
}

/// Opens a stream.
///
/// # Errors
/// [`Fault::Misjudged`] when what answers there is no HTTP+SSE server.
pub(super) async fn open(server: &Server, headers: &Headers) -> Result<Opened, Error> {
    let head = tokio::time::timeout(HEAD_WITHIN, head(server, headers));
    let (response, target) = head
        .await
        .unwrap_or_else(|_| Err(server.fails(Fault::Silent(HEAD_WITHIN))))?;
    let first = tokio::time::timeout(ENDPOINT_WITHIN, first_event(server, response));
    let (response, reader, event) = first.await.unwrap_or_else(|_| {
        Err(is_none(
            server,
            "its stream does not begin with an `endpoint` event",
        ))
    })?;
    let endpoint = endpoint(server, &target, &event)?;
    Ok(Opened {
        response,
        reader,
        endpoint,
    })
}

/// The head of the stream, and where it is; a redirect within the origin is followed once.
async fn head(server: &Server, headers: &Headers) -> Result<(Response, Arc<Target>), Error> {
    let mut target = Arc::clone(&server.target);
    let mut response = server.get(&target, headers).await?;
    if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        target = redirected(&response, &target)
            .map(Arc::new)
            .ok_or_else(|| is_none(server, "it redirects to nowhere, or to another origin"))?;
        response = server.get(&target, headers).await?;
    }
    match response.status().as_u16() {
        200..=299 => {}
        401 | 403 | 408 | 429 | 500.. => return Err(server.fails(refused(&response))),
        status => {
            let what = format!("it answers status {status} where its event stream should be");
            return Err(is_none(server, &what));
        }
    }
    if !matches!(content(&response), Content::Events) {
        return Err(is_none(server, "what it answers is no event stream"));
    }
    if is_compressed(&response) {
        let what = "its stream is compressed, which nobody asked for";
        return Err(server.fails(Fault::Broken(what.into())));
    }
    Ok((response, target))
}

async fn first_event(server: &Server, mut response: Response) -> Result<(Response, SseReader, Event), Error> {
    let mut reader = SseReader::new(server.bounds.answer);
    loop {
        for event in reader.by_ref() {
            let event = event.map_err(|_| server.fails(Fault::TooLong(server.bounds.answer)))?;
            // A time to reconnect after may stand before it.
            if !event.data.is_empty() {
                return Ok((response, reader, event));
            }
        }
        match response.piece().await {
            Ok(Some(piece)) => reader.push(&piece),
            Ok(None) => return Err(is_none(server, "its stream ended before its first event")),
            Err(error) => return Err(server.failed(error)),
        }
    }
}

fn endpoint(server: &Server, target: &Target, event: &Event) -> Result<Target, Error> {
    if event.name.as_deref() != Some("endpoint") {
        return Err(is_none(server, "the first event of its stream is no `endpoint`"));
    }
    let place = std::str::from_utf8(&event.data)
        .ok()
        .filter(|place| place.len() <= LONGEST_ENDPOINT)
        .ok_or_else(|| server.fails(Fault::Broken("its `endpoint` event is no URL".into())))?;
    // Whoever answers there is sent our credentials.
    target.sibling(place.trim()).map_err(|why| {
        tracing::warn!(upstream = %server.name, %why, "the `endpoint` event of a stream is not followed");
        let what = "its `endpoint` event names no place of its own origin, where alone credentials may go";
        server.fails(Fault::Broken(what.into()))
    })
}

/// What answers is no HTTP+SSE server.
fn is_none(server: &Server, what: &str) -> Error {
    server.fails(Fault::Misjudged(what.into()))
}
