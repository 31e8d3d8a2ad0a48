//! Upstreams over Streamable HTTP: one POST per message, answered by JSON or by a stream of events.
//!
//! Sessionful, sessionless and 2026-07-28 servers differ only in the headers of a POST, so all
//! three are this one transport. A client's session maps to one session of the server, whose id the
//! caller keeps; nothing is remembered here but the sessions of the gateway's own ([`pooled`]).

mod answer;
mod hearing;
mod pooled;
mod post;
mod ear;
mod called;
mod overhearing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use egress::{Client, Deadlines, Request, Response, Target};
use http::{HeaderName, HeaderValue, Method, header};
use mcp::{Id, Message, Revision};
use prometheus::IntGauge;

use crate::error::{Error, Fault};
use crate::handshake;
use crate::metrics::Metrics;
use crate::transport::{
    Agreement, Conversation, Discovery, Headers, Link, MessageStream, Overheard, Pooled, Session, Transport,
};

use hearing::Hearing;
use pooled::PooledSessions;
use post::{Post, Using};

/// A legacy server may hang on a method it does not know. Who has not answered by then is greeted beside the question.
const DISCOVER_WITHIN: Duration = Duration::from_secs(5);

/// A handshake of ours, cold start of the server included.
const GREET_WITHIN: Duration = Duration::from_secs(30);

/// Ending a session is a courtesy.
const END_WITHIN: Duration = Duration::from_secs(2);

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const BOTH_TYPES: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("causeway/", env!("CARGO_PKG_VERSION")));

/// One Streamable HTTP server.
#[derive(Clone)]
pub struct StreamableHttp {
    server: Arc<Server>,
}

pub(crate) struct Server {
    name: Arc<str>,
    client: Arc<Client>,
    target: Arc<Target>,
    bounds: Bounds,
    pooled: PooledSessions,
    metrics: Arc<Metrics>,
}

/// What bounds an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of an answer, or of one event of it.
    pub answer: usize,
    /// Nesting of its JSON.
    pub limits: mcp::Limits,
    /// A session of the gateway's own that serves one principal ends when nobody has used it for so long.
    pub idle: Duration,
}

impl StreamableHttp {
    /// The server behind `target`.
    pub fn new(
        name: Arc<str>,
        client: Arc<Client>,
        target: Arc<Target>,
        bounds: Bounds,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            server: Arc::new(Server {
                name,
                client,
                target,
                bounds,
                pooled: PooledSessions::default(),
                metrics,
            }),
        }
    }
}

#[async_trait]
impl Transport for StreamableHttp {
    async fn discover(&self, headers: &Headers) -> Result<Discovery, Error> {
        let server = &self.server;
        let question = handshake::discover_request(&Id::number(0));
        let greeting = headers.clone();
        let headers = Headers {
            injected: headers.injected.clone(),
            passed: vec![
                (VERSION, HeaderValue::from_static(Revision::V2026_07_28.as_str())),
                (METHOD, HeaderValue::from_static("server/discover")),
            ],
        };
        let asked = async {
            let response = server
                .post(&headers, None, question.bytes().clone(), true)
                .await?;
            server.read_discovery(response, &question).await
        };
        let mut asked = std::pin::pin!(asked);
        if let Ok(discovery) = tokio::time::timeout(DISCOVER_WITHIN, &mut asked).await {
            return discovery;
        }
        // It is slow to wake, or hangs on a method that it does not know: what it answers first says which.
        let nobody = Pooled::default();
        let greeted = tokio::select! {
            discovery = &mut asked => return discovery,
            greeted = self.share(&nobody, &greeting) => greeted,
        };
        match greeted {
            Err(Error {
                fault: Fault::NotSpoken { .. },
                ..
            }) => {
                let discovery = tokio::time::timeout(GREET_WITHIN, asked).await;
                discovery.unwrap_or(Ok(Discovery::Legacy))
            }
            Ok(_) | Err(_) => Ok(Discovery::Legacy),
        }
    }

    async fn share(&self, pooled: &Pooled, headers: &Headers) -> Result<Agreement, Error> {
        let lease = self.server.lease(pooled, headers).await?;
        let agreement = lease.agreement().cloned();
        agreement.ok_or_else(|| self.server.fails(Fault::SessionGone))
    }

    fn forget(&self, headers: &Headers) {
        self.server.pooled.forget_any(&headers.injected);
    }

    async fn open(&self, conversation: &Conversation, headers: Arc<Headers>) -> Result<Box<dyn Link>, Error> {
        let session = match conversation {
            Conversation::Modern | Conversation::Bridged | Conversation::Greeting => Using::None,
            Conversation::Session(session) => Using::Client(session.clone()),
            Conversation::Pooled(pooled) => Using::Pooled(self.server.lease(pooled, &headers).await?),
        };
        Ok(Box::new(Post::new(&self.server, headers, session)))
    }

    async fn listen(
        &self,
        session: &Session,
        headers: Arc<Headers>,
    ) -> Result<Box<dyn MessageStream>, Error> {
        let hearing = Hearing::open(&self.server, session, &headers).await?;
        Ok(Box::new(hearing))
    }

    async fn overhear(&self, pooled: &Pooled, headers: &Arc<Headers>) -> Result<Overheard, Error> {
        overhearing::open(&self.server, pooled, headers).await
    }

    async fn end(&self, session: &Session, headers: &Headers) {
        self.server.end_session(session, &headers.injected).await;
    }

    fn release(&self, scope: &[u8]) {
        self.server.release(scope);
    }

    async fn stop(&self) {
        self.server.end_all().await;
    }

    fn kind(&self) -> &'static str {
        "http"
    }
}

fn is_gone<T>(outcome: &Result<T, Error>) -> bool {
    let fault = outcome.as_ref().err().map(|error| &error.fault);
    fault == Some(&Fault::SessionGone)
}

impl Server {
    /// A session of the gateway's own: `initialize`, then `notifications/initialized`.
    async fn greet(self: &Arc<Self>, headers: &Headers, pooled: &Pooled) -> Result<Agreement, Error> {
        let greeting = async {
            let question = handshake::initialize_request(&Id::number(0), pooled);
            let headers = Headers {
                injected: headers.injected.clone(),
                passed: Vec::new(),
            };
            let response = self.post(&headers, None, question.bytes().clone(), true).await?;
            let status = response.status().as_u16();
            let wire = answer::Wire {
                server: self,
                headers: &headers,
                session: None,
            };
            let reply = answer::read(wire, response, &question, &question).await?;
            let session = reply.session;
            let answer = reply.messages.answer().await?;
            let answer = answer
                .ok_or_else(|| self.fails(Fault::Broken("it took `initialize` without answering".into())))?;
            let revision = handshake::agreement(&self.name, &answer).map_err(|error| match error.fault {
                // Words around a refusal: its status says more.
                Fault::NotAgreed if status >= 400 => self.fails(Fault::Status {
                    status,
                    retry_after: None,
                }),
                _ => error,
            })?;
            let session = Session {
                id: session,
                revision,
                greeting: None,
            };
            let ready = handshake::initialized_notification();
            let headers = Headers {
                passed: vec![(VERSION, HeaderValue::from_static(revision.as_str()))],
                ..headers
            };
            let mut response = self
                .post(&headers, Some(&session), ready.bytes().clone(), true)
                .await?;
            let _ = response.body(self.bounds.answer).await;
            Ok(Agreement {
                session,
                result: answer,
            })
        };
        match tokio::time::timeout(GREET_WITHIN, greeting).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.fails(Fault::Silent(GREET_WITHIN))),
        }
    }

    /// Ends a session at the server: a courtesy, within [`END_WITHIN`].
    async fn end_session(&self, session: &Session, credentials: &[(HeaderName, HeaderValue)]) {
        let Some(id) = &session.id else { return };
        let Some(id) = HeaderValue::from_str(id).ok() else {
            return;
        };
        let mut lines = credentials.to_vec();
        lines.push((SESSION_ID, id));
        lines.push((VERSION, HeaderValue::from_static(session.revision.as_str())));
        let request = Request {
            method: Method::DELETE,
            target: &self.target,
            headers: &lines,
            body: Bytes::new(),
            repeatable: true,
        };
        let ending = async {
            // 405 means that the server does not end sessions at a client's word.
            if let Ok(mut response) = self.client.send(request, self.deadlines()).await {
                let _ = response.body(self.bounds.answer).await;
            }
        };
        let _ = tokio::time::timeout(END_WITHIN, ending).await;
    }

    async fn read_discovery(
        self: &Arc<Self>,
        response: Response,
        question: &Message,
    ) -> Result<Discovery, Error> {
        match response.status().as_u16() {
            status @ (401 | 403) => return Err(self.fails(Fault::Unauthorized(status))),
            status @ (408 | 429 | 502 | 503 | 504) => {
                let retry_after = answer::retry_after(&response);
                return Err(self.fails(Fault::Status { status, retry_after }));
            }
            _ => {}
        }
        let headers = Headers::default();
        let wire = answer::Wire {
            server: self,
            headers: &headers,
            session: None,
        };
        let Ok(reply) = answer::read(wire, response, question, question).await else {
            return Ok(Discovery::Legacy);
        };
        match reply.messages.answer().await {
            Ok(Some(answer)) => handshake::judge_discovery(&self.name, &answer),
            Ok(None) | Err(_) => Ok(Discovery::Legacy),
        }
    }

    /// One POST; a redirect within the same origin is followed once.
    async fn post(
        &self,
        headers: &Headers,
        session: Option<&Session>,
        body: Bytes,
        repeatable: bool,
    ) -> Result<Response, Error> {
        let lines = lines(headers, session);
        let request = |target| Request {
            method: Method::POST,
            target,
            headers: &lines,
            body: body.clone(),
            repeatable,
        };
        let response = self.send(request(&self.target)).await?;
        if !matches!(response.status().as_u16(), 307 | 308) {
            return Ok(response);
        }
        let location = response
            .header(header::LOCATION)
            .and_then(|location| location.to_str().ok());
        let target = location
            .ok_or_else(|| "it redirects to nowhere".to_owned())
            .and_then(|location| {
                self.target
                    .sibling(location)
                    .map_err(|why| format!("it redirects, but {why}"))
            })
            .map_err(|why| self.fails(Fault::Broken(why)))?;
        self.send(request(&target)).await
    }

    async fn send(&self, request: Request<'_>) -> Result<Response, Error> {
        self.client
            .send(request, self.deadlines())
            .await
            .map_err(|error| self.failed(error))
    }

    fn deadlines(&self) -> Deadlines {
        // Every exchange is awaited within its caller's deadline.
        Deadlines {
            silence: None,
            ..Deadlines::default()
        }
    }

    fn session_streams(&self) -> IntGauge {
        self.metrics.session_streams.with_label_values(&[&self.name])
    }

    /// It answered what it was not asked.
    fn count_foreign_answer(&self) {
        let foreign = &self.metrics.foreign_answers;
        foreign.with_label_values(&[&self.name]).inc();
    }

    fn fails(&self, fault: Fault) -> Error {
        fault.of(&self.name)
    }

    fn failed(&self, error: egress::Error) -> Error {
        tracing::debug!(upstream = %self.name, %error, "an exchange failed");
        self.fails(error.reason.into())
    }
}

/// The header lines of a POST. Injected ones come first and stand alone: what the protocol would
/// add under the same name is left out.
fn lines(headers: &Headers, session: Option<&Session>) -> Vec<(HeaderName, HeaderValue)> {
    let mut lines = Vec::with_capacity(headers.injected.len() + headers.passed.len() + 4);
    lines.extend_from_slice(&headers.injected);
    let injected = lines.len();
    let mut add = |name: HeaderName, value: HeaderValue| {
        if !lines[..injected].iter().any(|(taken, _)| *taken == name) {
            lines.push((name, value));
        }
    };
    add(header::CONTENT_TYPE, JSON);
    add(header::ACCEPT, BOTH_TYPES);
    add(header::USER_AGENT, USER_AGENT);
    // A session is spoken in the revision that was agreed in it, whatever the client writes. Earlier ones do not
    // know the header: there it may be missing, but not say another.
    let agreed = session.map(|session| session.revision);
    let always = agreed.filter(|revision| *revision >= Revision::V2025_06_18);
    for (name, value) in &headers.passed {
        let may_say = agreed.is_none_or(|agreed| always.is_none() && value == agreed.as_str());
        if *name != VERSION || may_say {
            add(name.clone(), value.clone());
        }
    }
    if let Some(revision) = always {
        add(VERSION, HeaderValue::from_static(revision.as_str()));
    }
    if let Some(id) = session.and_then(|session| session.id.as_deref())
        && let Ok(id) = HeaderValue::from_str(id)
    {
        add(SESSION_ID, id);
    }
    lines
}

#[cfg(test)]
pub(crate) mod tests;
