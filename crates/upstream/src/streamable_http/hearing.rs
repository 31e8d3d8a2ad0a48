//! What a legacy server says outside of calls: the stream behind a GET (2025-11-25 basic/transports
//! §Listening for Messages from the Server).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use egress::{Request, Response};
use http::{HeaderName, HeaderValue, Method};
use mcp::frame::sse::{Event, SseReader};
use mcp::{Body, Kind, Message};
use tokio::time::Instant;

use super::answer::{self, LAST_EVENT_ID, LONGEST_PAUSE, PAUSE, RESUMED_IN_VAIN, SHORTEST_PAUSE};
use super::{Server, lines};
use crate::error::{Error, Fault};
use crate::transport::{Headers, MessageStream, Session};

/// The stream of one session.
pub(super) struct Hearing {
    server: Arc<Server>,
    lines: Vec<(HeaderName, HeaderValue)>,
    of_session: bool,
    response: Option<Response>,
    reader: SseReader,
    /// Messages of an event that was an array of them.
    queued: VecDeque<Message>,
    last_event: Option<HeaderValue>,
    /// The pause that the server asks for before its stream is opened again.
    retry: Option<Duration>,
    opened_again: u32,
}

impl Hearing {
    /// Opens the stream.
    pub(super) async fn open(
        server: &Arc<Server>,
        session: &Session,
        headers: &Headers,
    ) -> Result<Self, Error> {
        let mut hearing = Self {
            server: Arc::clone(server),
            lines: answer::fetching(lines(headers, Some(session))),
            of_session: session.id.is_some(),
            response: None,
            reader: SseReader::new(server.bounds.answer),
            queued: VecDeque::new(),
            last_event: None,
            retry: None,
            opened_again: 0,
        };
        hearing.response = Some(hearing.get().await?);
        Ok(hearing)
    }

    async fn get(&self) -> Result<Response, Error> {
        let mut lines = self.lines.clone();
        lines.extend(self.last_event.iter().map(|id| (LAST_EVENT_ID, id.clone())));
        let request = Request {
            method: Method::GET,
            target: &self.server.target,
            headers: &lines,
            body: Bytes::new(),
            repeatable: true,
        };
        let response = self.server.send(request).await?;
        let status = response.status().as_u16();
        let fault = match status {
            200 if answer::is_events(&response) => return Ok(response),
            401 | 403 => Fault::Unauthorized(status),
            404 if self.of_session => Fault::SessionGone,
            400 if self.of_session && answer::names_session(response, &self.server).await => {
                Fault::SessionGone
            }
            // 409: the server believes the stream before this one to be open still.
            408 | 409 | 425 | 429 | 500.. if status != 501 => Fault::Status {
                status,
                retry_after: None,
            },
            // 405 is how a server says it; nobody should ask for ever what is answered otherwise.
            _ => Fault::NotOffered,
        };
        Err(self.server.fails(fault))
    }

    /// The next message that is already here.
    fn buffered(&mut self) -> Option<Message> {
        loop {
            while let Some(message) = self.queued.pop_front() {
                if matches!(message.kind(), Kind::Request | Kind::Notification) {
                    return Some(message);
                }
                let metrics = &self.server.metrics;
                metrics
                    .foreign_answers
                    .with_label_values(&[&self.server.name])
                    .inc();
            }
            match self.reader.next()? {
                Ok(event) => self.take(event),
                Err(_) => self.count_garbage(),
            }
        }
    }

    /// Takes the messages of an event, and what it says of resuming. One that cannot be read is left out:
    /// what comes after it may matter.
    fn take(&mut self, event: Event) {
        if let Some(id) = event.id {
            self.last_event = HeaderValue::from_str(&id).ok();
        }
        if let Some(milliseconds) = event.retry {
            self.retry = Some(Duration::from_millis(milliseconds).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
        }
        let named_message = event.name.as_deref().is_none_or(|name| name == "message");
        if event.data.is_empty() || !named_message {
            return;
        }
        self.opened_again = 0;
        match Body::parse(event.data, &self.server.bounds.limits) {
            Ok(Body::One(message)) => self.queued.push_back(message),
            // Servers of 2025-03-26 may say several things at once.
            Ok(Body::Batch(messages)) => {
                for message in messages {
                    match message {
                        Ok(message) => self.queued.push_back(message),
                        Err(_) => self.count_garbage(),
                    }
                }
            }
            Err(_) => self.count_garbage(),
        }
    }

    fn count_garbage(&self) {
        let dropped = &self.server.metrics.dropped;
        dropped.with_label_values(&[&self.server.name]).inc();
    }

    /// The server closed its stream: opens it again where it left off, if the server has said that it may
    /// be; else that is its listener's affair.
    async fn open_again(&mut self) -> Result<Response, Error> {
        let ended = || {
            self.server
                .fails(Fault::Broken("its stream outside of calls ended".into()))
        };
        if self.last_event.is_none() && self.retry.is_none() {
            return Err(ended());
        }
        let mut pause = self.retry.unwrap_or(PAUSE);
        loop {
            self.opened_again += 1;
            if self.opened_again > RESUMED_IN_VAIN {
                return Err(ended());
            }
            let moment = Instant::now() + pause.mul_f64(1.0 + fastrand::f64() / 4.0);
            tokio::time::sleep_until(moment).await;
            match self.get().await {
                Err(Error {
                    fault: Fault::Unreachable(_) | Fault::Broken(_) | Fault::Status { .. },
                    ..
                }) => pause = (pause * 2).min(LONGEST_PAUSE),
                outcome => return outcome,
            }
        }
    }
}

#[async_trait]
impl MessageStream for Hearing {
    async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.buffered() {
                return Ok(message);
            }
            let piece = match &mut self.response {
                Some(response) => response.piece().await,
                None => Ok(None),
            };
            match piece {
                Ok(Some(bytes)) => self.reader.push(&bytes),
                Ok(None) | Err(_) => {
                    self.response = None;
                    self.reader = SseReader::new(self.server.bounds.answer);
                    self.response = Some(Box::pin(self.open_again()).await?);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
