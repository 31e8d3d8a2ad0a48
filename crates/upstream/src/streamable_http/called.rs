//! A request in a session that is heard beside its calls ([`Ear`]): what the server says on the stream of its POST, and
//! what it says elsewhere and means for this one. Many servers ask their questions there.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use mcp::{Kind, Message, Method};

use super::ear::Ear;
use super::pooled::Lease;
use crate::error::{Error, Fault};
use crate::pending::Ticket;
use crate::steady::Steady;
use crate::transport::{MessageStream, Messages, Reply};

/// A request that is sent or is being sent. The session is in use as long as this is kept.
pub(super) struct Called {
    upstream: Arc<str>,
    ear: Arc<Ear>,
    /// Brings what is said elsewhere.
    ticket: Ticket,
    post: Post,
    /// The request as its client made it.
    asked: Message,
    first: Option<Message>,
    _lease: Lease,
}

/// What comes of the POST.
enum Post {
    Sent(BoxFuture<'static, Result<Reply, Error>>),
    Stream(Steady),
    Over,
}

impl Called {
    /// A request that the session knows by `ticket`, and what comes of sending it.
    pub(super) fn new(
        upstream: &Arc<str>,
        (ear, lease): (&Arc<Ear>, Lease),
        ticket: Ticket,
        asked: &Message,
        sent: BoxFuture<'static, Result<Reply, Error>>,
    ) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            ear: Arc::clone(ear),
            ticket,
            post: Post::Sent(sent),
            asked: asked.clone(),
            first: None,
            _lease: lease,
        }
    }

    /// Waits for the first thing that comes back, whichever way.
    ///
    /// # Errors
    /// What became of the POST, if nothing came before.
    pub(super) async fn begin(mut self) -> Result<Reply, Error> {
        let Post::Sent(sent) = &mut self.post else {
            return Ok(Reply::stream(Box::new(self)));
        };
        let reply = tokio::select! {
            // What was heard before the answer is told before it.
            biased;
            Some(first) = self.ticket.next() => {
                self.first = Some(first);
                return Ok(Reply::stream(Box::new(self)));
            }
            reply = sent => reply?,
        };
        let Messages::Stream(stream) = reply.messages else {
            return Ok(reply);
        };
        self.post = Post::Stream(Steady::new(stream));
        Ok(Reply {
            messages: Messages::Stream(Box::new(self)),
            ..reply
        })
    }

    /// A message of the POST's own stream as its client is to read it; none if it is rather for who follows changes.
    fn own(&self, message: Message) -> Option<Message> {
        if matches!(message.kind(), Kind::Result | Kind::Error) {
            // What is said from now on is not this one's.
            self.ear.routing.pending.abandon(self.ticket.id);
        }
        match self.asked.progress_token() {
            Some(token) if message.method() == Some(&Method::NotificationsProgress) => {
                Some(message.with_progress_token(token))
            }
            Some(_) | None => self.ear.routing.divert(message),
        }
    }
}

#[async_trait]
impl MessageStream for Called {
    async fn next(&mut self) -> Result<Message, Error> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            let said = tokio::select! {
                biased;
                Some(said) = self.ticket.next() => return Ok(said),
                said = self.post.next() => said,
            };
            let said = said.map_err(|fault| match fault {
                // It was not when the call began, so this one cannot be made again.
                Error {
                    fault: Fault::SessionGone,
                    ..
                } => Fault::Broken("it lost the session in the middle of the call".into()).of(&self.upstream),
                error => error,
            })?;
            if let Some(message) = self.own(said) {
                return Ok(message);
            }
        }
    }
}

impl Post {
    /// The next message of it. May be given up and asked again: nothing is lost.
    async fn next(&mut self) -> Result<Message, Error> {
        if let Self::Sent(sent) = self {
            let reply = sent.await;
            *self = Self::Over;
            match reply?.messages {
                Messages::One(answer) => return Ok(answer),
                Messages::Stream(stream) => *self = Self::Stream(Steady::new(stream)),
                Messages::Accepted => {}
            }
        }
        match self {
            Self::Stream(stream) => stream.next().await,
            // Nobody asks for more than the answer, and a request is not taken without one.
            Self::Sent(_) | Self::Over => std::future::pending().await,
        }
    }
}
