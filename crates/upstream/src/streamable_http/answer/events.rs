//! The messages of an event stream, resumed where a legacy server closed it early.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use egress::{Request, Response};
use http::{HeaderName, HeaderValue, Method};
use mcp::frame::sse::{Event, SseReader};
use mcp::{Body, Kind, Message};

use super::super::{Server, lines};
use super::{
    Content, END_WITHIN, LAST_EVENT_ID, LONGEST_PAUSE, PAUSE, RESUMED_IN_VAIN, SHORTEST_PAUSE, Wire,
    addressed, answers, content_type, fetching,
};
use crate::error::{Error, Fault};
use crate::transport::MessageStream;
use crate::unread;

/// The messages of an event stream.
pub(super) struct Events {
    server: Arc<Server>,
    response: Option<Response>,
    reader: SseReader,
    /// Messages of an event that was an array of them.
    queued: VecDeque<Message>,
    sent: Message,
    asked: Message,
    resume: Option<Resume>,
}

/// How a stream that a legacy server closed early goes on (2025-11-25, SEP-1699).
struct Resume {
    lines: Vec<(HeaderName, HeaderValue)>,
    last_event: Option<String>,
    pause: Duration,
    in_vain: u32,
}

impl Events {
    pub(super) fn new(wire: Wire<'_>, response: Response, sent: &Message, asked: &Message) -> Self {
        let server = wire.server;
        let resumable = sent.protocol_version().is_none();
        Self {
            server: Arc::clone(server),
            response: Some(response),
            reader: SseReader::new(server.bounds.answer),
            queued: VecDeque::new(),
            sent: sent.clone(),
            asked: asked.clone(),
            resume: resumable.then(|| Resume {
                lines: lines(wire.headers, wire.session),
                last_event: None,
                pause: PAUSE,
                in_vain: 0,
            }),
        }
    }

    /// The next message that is already here.
    fn buffered(&mut self) -> Result<Option<Message>, Error> {
        loop {
            while let Some(message) = self.queued.pop_front() {
                if let Some(message) = self.judged(message) {
                    return Ok(Some(message));
                }
            }
            let Some(event) = self.reader.next() else {
                return Ok(None);
            };
            let event = event.map_err(|_| Fault::TooLong(self.server.bounds.answer).of(&self.server.name))?;
            self.take(event)?;
        }
    }

    /// Takes the messages of an event, and what it says of resuming.
    fn take(&mut self, event: Event) -> Result<(), Error> {
        if let Some(resume) = &mut self.resume {
            if let Some(id) = event.id {
                resume.last_event = Some(id);
            }
            if let Some(milliseconds) = event.retry {
                resume.pause = Duration::from_millis(milliseconds).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            }
        }
        if event.name.as_deref() == Some("endpoint") {
            // There are servers of HTTP+SSE that open their stream whatever the request is, and read none.
            let what = "it opens a stream of HTTP+SSE instead of answering".into();
            return Err(Fault::Misjudged(what).of(&self.server.name));
        }
        let named_message = event.name.as_deref().is_none_or(|name| name == "message");
        if event.data.is_empty() || !named_message {
            return Ok(());
        }
        let garbage = |error: mcp::ParseError| {
            let what = format!(
                "an event of its stream is no JSON-RPC message: {}",
                unread::why(&error)
            );
            Fault::Broken(what).of(&self.server.name)
        };
        match Body::parse(event.data, &self.server.bounds.limits).map_err(garbage)? {
            Body::One(message) => self.queued.push_back(message),
            // Servers of 2025-03-26 may say several things at once.
            Body::Batch(messages) => {
                for message in messages {
                    self.queued.push_back(message.map_err(garbage)?);
                }
            }
        }
        if let Some(resume) = &mut self.resume {
            resume.in_vain = 0;
        }
        Ok(())
    }

    /// The message as it goes on; none when it answers another request than ours.
    fn judged(&mut self, message: Message) -> Option<Message> {
        if !matches!(message.kind(), Kind::Result | Kind::Error) {
            return Some(message);
        }
        if answers(&message, &self.sent) {
            self.let_go();
            return Some(addressed(message, &self.asked));
        }
        self.server.count_foreign_answer();
        None
    }

    /// After the answer: the connection returns to the pool if the stream ends now.
    fn let_go(&mut self) {
        if let Some(mut response) = self.response.take() {
            tokio::spawn(async move {
                let _ = tokio::time::timeout(END_WITHIN, async {
                    while let Ok(Some(_)) = response.piece().await {}
                })
                .await;
            });
        }
    }

    /// The stream ended before the answer: a legacy server may have only closed the connection.
    async fn go_on(&mut self) -> Result<Response, Error> {
        let early = || Fault::Broken("its stream ended before the answer".into()).of(&self.server.name);
        let resume = self.resume.as_mut().ok_or_else(early)?;
        let last = resume.last_event.clone().ok_or_else(early)?;
        let last = HeaderValue::from_str(&last).map_err(|_| early())?;
        resume.in_vain += 1;
        if resume.in_vain > RESUMED_IN_VAIN {
            return Err(early());
        }
        tokio::time::sleep(resume.pause).await;
        let mut lines = fetching(resume.lines.clone());
        lines.push((LAST_EVENT_ID, last));
        let request = Request {
            method: Method::GET,
            target: &self.server.target,
            headers: &lines,
            body: Bytes::new(),
            repeatable: true,
        };
        match self.server.send(request).await {
            Ok(response) if matches!(content_type(&response), Content::Events) => Ok(response),
            Ok(_) | Err(_) => Err(early()),
        }
    }
}

#[async_trait]
impl MessageStream for Events {
    async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(message);
            }
            let piece = match &mut self.response {
                Some(response) => response.piece().await,
                None => Ok(None),
            };
            match piece {
                Ok(Some(bytes)) => self.reader.push(&bytes),
                Ok(None)
                | Err(egress::Error {
                    reason: egress::Reason::Closed,
                    ..
                }) => {
                    self.response = None;
                    let resumed = self.go_on().await?;
                    self.reader = SseReader::new(self.server.bounds.answer);
                    self.response = Some(resumed);
                }
                Err(error) => {
                    return Err(self.server.failed(error));
                }
            }
        }
    }
}
