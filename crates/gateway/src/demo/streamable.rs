//! Streamable HTTP: one URL for both eras, with a session before 2026-07-28 and none since.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{ACCEPT, HeaderValue};
use hyper::{HeaderMap, Response};
use serde_json::Value;
use tokio::sync::mpsc;

use super::call::{Call, Peer};
use super::changes;
use super::era::Era;
use super::headers;
use super::http::not_allowed;
use super::message::{Answer, Fault, Message, Request};
use super::pipe::QUEUE;
use super::reply::{self, Body, Form, Owned, Stream};
use super::revision::Revision;
use super::server;
use super::session::Session;
use super::site::Site;
use super::terms::Terms;
use super::work::{self, Work};

/// A POST: a message, or a batch of them in 2025-03-26.
pub(super) async fn post(site: &Arc<Site>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let accepted = Accepted::of(&headers);
    if !accepted.json && !accepted.stream {
        return reply::plain(406, "Accept must name application/json and text/event-stream\n");
    }
    let form = if accepted.stream {
        site.manners.answers
    } else {
        Form::Json
    };
    let value: Value = match serde_json::from_slice(&body) {
        Ok(value) => value,
        Err(error) => return reply::refused(None, Fault::parse(&error)),
    };
    drop(body);

    let era = site.server.era;
    let version = match headers::single(&headers, headers::VERSION) {
        Ok(version) => version,
        Err(fault) => return reply::refused(None, fault),
    };
    if let Value::Array(batch) = value {
        return legacy_batch(site, headers, batch, form).await;
    }
    match Message::read(value) {
        Err(answer) => reply::json(answer.status, &answer.message),
        Ok(Message::Request(request)) => match era.of(&request, version) {
            Era::Modern | Era::Both => modern(site, headers, request, form).await,
            Era::Legacy if request.method == "initialize" => initialize(site, request, form).await,
            Era::Legacy => legacy_request(site, headers, request, form).await,
        },
        // Since 2026-07-28 nothing is asked of a client, so there is nothing to respond to; and a
        // notification has nothing to tell.
        Ok(message) if era == Era::Modern || version == Some(Revision::V26.date()) && era == Era::Both => {
            match message {
                Message::Response { .. } => {
                    reply::refused(None, Fault::invalid_request("no response is expected"))
                }
                Message::Notification { .. } | Message::Request(_) => reply::empty(202),
            }
        }
        Ok(message) => match session_of(site, &headers) {
            Err(fault) => reply::refused(None, fault),
            Ok(session) => {
                work::receive(&site.server, &session.known, message, None, None);
                reply::empty(202)
            }
        },
    }
}

/// A request of 2026-07-28, which says everything by itself.
async fn modern(site: &Arc<Site>, headers: HeaderMap, request: Request, form: Form) -> Response<Body> {
    let era = site.server.era;
    let terms = Terms::read(era, &request).and_then(|terms| {
        headers::check(&headers, &terms, &request)?;
        terms.admit(era).map(|()| terms)
    });
    let terms = match terms {
        Ok(terms) => terms,
        Err(fault) => return reply::refused(Some(request.id), fault),
    };
    warm_up(site).await;
    // Listening is streaming, whatever else is answered in one piece.
    let form = if request.method == "subscriptions/listen" {
        Form::AsNeeded
    } else {
        form
    };
    let (outbound, messages) = mpsc::channel(QUEUE);
    let call = Call {
        server: site.server.clone(),
        peer: Peer::Modern(terms),
        request,
        outbound: (form != Form::Json).then(|| outbound.clone()),
        headers: Some(headers),
    };
    let work: Work = Box::pin(async move { Some(server::answer(call).await) });
    reply::reply(work, outbound, messages, form, false, site.kill()).await
}

/// The handshake. It is answered even if a header names a version nobody knows: the body negotiates.
async fn initialize(site: &Arc<Site>, request: Request, form: Form) -> Response<Body> {
    warm_up(site).await;
    let (session, result) = site.server.initialize(&request.params);
    let id = match site.manners.sessions {
        false => None,
        true => match site.keep(session) {
            Some(id) => Some(id),
            None => {
                let fault = Fault::new(-32603, "too many sessions").status(503);
                return reply::refused(Some(request.id), fault);
            }
        },
    };
    let (outbound, messages) = mpsc::channel(1);
    let answer = Answer::result(request.id, result);
    let work: Work = Box::pin(std::future::ready(Some(answer)));
    let mut response = reply::reply(work, outbound, messages, form, true, site.kill()).await;
    if let Some(id) = id.and_then(|id| HeaderValue::try_from(id).ok()) {
        response.headers_mut().insert(headers::SESSION, id);
    }
    response
}

async fn legacy_request(
    site: &Arc<Site>,
    headers: HeaderMap,
    request: Request,
    form: Form,
) -> Response<Body> {
    let session = match session_of(site, &headers) {
        Ok(session) => session,
        Err(fault) => {
            // What only the newer half knows is an unknown method first of all.
            let unknown = request.method == "server/discover";
            let fault = if unknown {
                Fault {
                    code: -32601,
                    ..fault
                }
            } else {
                fault
            };
            return reply::refused(Some(request.id), fault);
        }
    };
    let (outbound, messages) = mpsc::channel(QUEUE);
    let sender = (form != Form::Json).then_some(&outbound);
    let Some(work) = work::receive(
        &site.server,
        &session.known,
        Message::Request(request),
        sender,
        Some(headers),
    ) else {
        return reply::empty(202);
    };
    legacy_reply(site, session, work, (outbound, messages), form).await
}

async fn legacy_batch(site: &Arc<Site>, headers: HeaderMap, batch: Vec<Value>, form: Form) -> Response<Body> {
    let session = match session_of(site, &headers) {
        Ok(session) => session,
        Err(fault) => return reply::refused(None, fault),
    };
    if site.server.era == Era::Modern || session.known.revision != Revision::V2503 || batch.is_empty() {
        return reply::refused(None, Fault::invalid_request("batches are of 2025-03-26 only"));
    }
    let (outbound, messages) = mpsc::channel(QUEUE);
    let sender = (form != Form::Json).then_some(&outbound);
    let mut works: Vec<Work> = Vec::new();
    for message in batch {
        match Message::read(message) {
            Ok(message) => {
                works.extend(work::receive(
                    &site.server,
                    &session.known,
                    message,
                    sender,
                    Some(headers.clone()),
                ));
            }
            Err(answer) => works.push(Box::pin(std::future::ready(Some(answer)))),
        }
    }
    if works.is_empty() {
        return reply::empty(202);
    }
    legacy_reply(
        site,
        session,
        Box::pin(work::together(works)),
        (outbound, messages),
        form,
    )
    .await
}

async fn legacy_reply(
    site: &Arc<Site>,
    session: Found,
    work: Work,
    (outbound, messages): (mpsc::Sender<Value>, mpsc::Receiver<Value>),
    form: Form,
) -> Response<Body> {
    if session.id.is_none() {
        warm_up(site).await;
    }
    let work: Work = match session.id.filter(|_| site.manners.serverless.is_some()) {
        None => work,
        Some(id) => {
            let site = site.clone();
            Box::pin(async move {
                let answer = work.await;
                site.forget(&id);
                answer
            })
        }
    };
    let mut response = reply::reply(work, outbound, messages, form, true, site.kill()).await;
    // Statuses are of 2026-07-28. To a client with a session, 404 would say that the session is gone.
    *response.status_mut() = hyper::StatusCode::OK;
    response
}

/// A GET: the stream of what is not part of any answer.
pub(super) fn get(site: &Arc<Site>, headers: &HeaderMap) -> Response<Body> {
    if !site.manners.sessions
        || headers
            .get(headers::VERSION)
            .is_some_and(|date| date == Revision::V26.date())
    {
        return not_allowed("POST");
    }
    if !Accepted::of(headers).stream {
        return reply::plain(406, "Accept must name text/event-stream\n");
    }
    let session = match session_of(site, headers) {
        Ok(Found { id: Some(_), known }) => known,
        Ok(Found { id: None, .. }) => return reply::plain(400, "Mcp-Session-Id is missing\n"),
        Err(fault) => return reply::refused(None, fault),
    };
    let (outbound, messages) = mpsc::channel(QUEUE);
    let task = Owned(tokio::spawn(changes::follow(
        site.server.clone(),
        session,
        outbound,
    )));
    reply::stream(Stream::new(VecDeque::new(), messages, Some(task), site.kill()))
}

/// A DELETE: the client is done with its session.
pub(super) fn delete(site: &Arc<Site>, headers: &HeaderMap) -> Response<Body> {
    if !site.manners.sessions
        || headers
            .get(headers::VERSION)
            .is_some_and(|date| date == Revision::V26.date())
    {
        return not_allowed("POST");
    }
    match headers::single(headers, headers::SESSION) {
        Ok(Some(id)) if site.forget(id) => reply::empty(204),
        Ok(Some(_)) => reply::refused(None, session_not_found()),
        Ok(None) | Err(_) => reply::plain(400, "Mcp-Session-Id is missing\n"),
    }
}

/// The session a request belongs to; without an id it stands on its own.
struct Found {
    id: Option<String>,
    known: Arc<Session>,
}

fn session_of(site: &Site, headers: &HeaderMap) -> Result<Found, Fault> {
    let revision = match headers::single(headers, headers::VERSION)? {
        // 2025-06-18 basic/transports §Protocol Version Header: without it, the revision before it came.
        None => Revision::V2503,
        Some(date) => match Revision::parse(date).filter(|revision| !revision.is_modern()) {
            Some(revision) => revision,
            None => {
                let known: Vec<_> = Era::Legacy.revisions().collect();
                let message = format!(
                    "Bad Request: Unsupported protocol version (supported: {})",
                    known.join(", ")
                );
                return Err(Fault::new(-32000, message).status(400));
            }
        },
    };
    let id = headers::single(headers, headers::SESSION)?;
    match id.filter(|_| site.manners.sessions) {
        None => Ok(Found {
            id: None,
            known: Arc::new(Session::none(revision)),
        }),
        Some(id) => match site.session(id) {
            Some(known) => Ok(Found {
                id: Some(id.to_owned()),
                known,
            }),
            None => Err(session_not_found()),
        },
    }
}

fn session_not_found() -> Fault {
    Fault::new(-32001, "Session not found").status(404)
}

/// Waits for an instance, where there is none between requests.
async fn warm_up(site: &Site) {
    if let Some(serverless) = site.manners.serverless {
        tokio::time::sleep(serverless.cold).await;
    }
}

/// What the client can read.
struct Accepted {
    json: bool,
    stream: bool,
}

impl Accepted {
    fn of(headers: &HeaderMap) -> Accepted {
        let mut accepted = Accepted {
            json: false,
            stream: false,
        };
        let mut said = false;
        for line in headers.get_all(ACCEPT) {
            said = true;
            for range in line.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
                // A weight of nothing is a refusal.
                if parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000")) {
                    continue;
                }
                accepted.json |= matches!(kind.as_str(), "*/*" | "application/*" | "application/json");
                accepted.stream |= matches!(kind.as_str(), "*/*" | "text/*" | "text/event-stream");
            }
        }
        if said {
            accepted
        } else {
            Accepted {
                json: true,
                stream: true,
            }
        }
    }
}
