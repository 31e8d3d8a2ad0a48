//! One HTTP+SSE server as it is reached: what every request to it carries, and what its refusals mean.

use std::sync::Arc;

use bytes::Bytes;
use egress::{Client, Deadlines, Request, Response, Target};
use http::{HeaderName, HeaderValue, Method, header};

use super::Bounds;
use crate::error::{Error, Fault};
use crate::metrics::Metrics;
use crate::transport::Headers;

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("causeway/", env!("CARGO_PKG_VERSION")));

pub(super) struct Server {
    pub(super) name: Arc<str>,
    pub(super) client: Arc<Client>,
    /// Where its stream is.
    pub(super) target: Arc<Target>,
    pub(super) bounds: Bounds,
    pub(super) metrics: Arc<Metrics>,
}

/// What a response says it holds.
pub(super) enum Content {
    Json,
    Events,
    Other,
}

impl Server {
    /// Opens its stream, at `target`.
    pub(super) async fn get(&self, target: &Target, headers: &Headers) -> Result<Response, Error> {
        let lines = lines(
            headers,
            [
                (header::ACCEPT, HeaderValue::from_static("text/event-stream")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ],
        );
        self.send(Method::GET, target, &lines, Bytes::new()).await
    }

    /// Sends one message to the place that its stream named.
    pub(super) async fn post(
        &self,
        target: &Target,
        headers: &Headers,
        body: Bytes,
    ) -> Result<Response, Error> {
        let lines = lines(
            headers,
            [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (
                    header::ACCEPT,
                    HeaderValue::from_static("application/json, text/event-stream"),
                ),
            ],
        );
        self.send(Method::POST, target, &lines, body).await
    }

    async fn send(
        &self,
        method: Method,
        target: &Target,
        lines: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Response, Error> {
        let request = Request {
            repeatable: method == Method::GET,
            method,
            target,
            headers: lines,
            body,
        };
        // A stream may be silent for as long as there is nothing to say, and a POST is awaited within
        // the deadline of its call.
        let deadlines = Deadlines {
            silence: None,
            ..Deadlines::default()
        };
        self.client
            .send(request, deadlines)
            .await
            .map_err(|error| self.failed(error))
    }

    pub(super) fn fails(&self, fault: Fault) -> Error {
        fault.of(&self.name)
    }

    pub(super) fn failed(&self, error: egress::Error) -> Error {
        tracing::debug!(upstream = %self.name, %error, "an exchange failed");
        self.fails(error.reason.into())
    }
}

/// The header lines of a request. Injected ones come first and stand alone: what would be added under
/// the same name is left out. `Mcp-*` belongs to Streamable HTTP and means nothing here.
fn lines<const N: usize>(
    headers: &Headers,
    ours: [(HeaderName, HeaderValue); N],
) -> Vec<(HeaderName, HeaderValue)> {
    let mut lines = headers.injected.clone();
    let passed = headers
        .passed
        .iter()
        .filter(|(name, _)| !name.as_str().starts_with("mcp-"));
    let others = ours
        .into_iter()
        .chain([(header::USER_AGENT, USER_AGENT)])
        .chain(passed.cloned());
    for (name, value) in others {
        if !headers.injected.iter().any(|(taken, _)| *taken == name) {
            lines.push((name, value));
        }
    }
    lines
}

/// What a refusal with this status means when it says nothing of a session.
pub(super) fn refused(response: &Response) -> Fault {
    match response.status().as_u16() {
        status @ (401 | 403) => Fault::Unauthorized(status),
        status => Fault::Status {
            status,
            retry_after: response
                .header(header::RETRY_AFTER)
                .and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok()),
        },
    }
}

pub(super) fn content(response: &Response) -> Content {
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

pub(super) fn is_compressed(response: &Response) -> bool {
    response
        .header(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
}

/// Where a redirect leads, if it stays within its origin: anywhere else the credentials would go astray.
pub(super) fn redirected(response: &Response, from: &Target) -> Option<Target> {
    from.sibling(response.header(header::LOCATION)?.to_str().ok()?)
        .ok()
}
