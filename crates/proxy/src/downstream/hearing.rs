//! Hearing what a server says in a session outside of calls, in the words its client is to read.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mcp::{Kind, Message, Method, code};
use upstream::{Conversation, Error, Headers, Listening, Session, Upstream};

use crate::session::Asking;

/// A server that does not take the refusal of its question in this time is left with it.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

/// The way to hear a session.
pub(crate) struct Hearing {
    listening: Listening,
    asking: Asking,
    session: Session,
    headers: Arc<Headers>,
    upstream: Arc<Upstream>,
    /// A refusal that is on its way. Kept here, since [`Hearing::next`] is given up in the middle of it
    /// whenever its client is told something else, be it a sign of life.
    refusing: Option<BoxFuture<'static, ()>>,
}

impl Hearing {
    pub(crate) fn begin(
        upstream: &Arc<Upstream>,
        session: Session,
        headers: Arc<Headers>,
        asking: Asking,
    ) -> Self {
        Self {
            listening: upstream.listen(session.clone(), Arc::clone(&headers)),
            asking,
            session,
            headers,
            upstream: Arc::clone(upstream),
            refusing: None,
        }
    }

    /// The next message. May be given up and asked again.
    ///
    /// # Errors
    /// When nothing can come any more.
    pub(crate) async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(refusing) = &mut self.refusing {
                refusing.await;
                self.refusing = None;
            }
            let message = self.listening.next().await?;
            match (message.kind(), message.method()) {
                (Kind::Request, _) => match self.asking.pose(&message) {
                    Some(posed) => return Ok(posed),
                    None => {
                        let conversation = Conversation::Session(self.session.clone());
                        let (upstream, headers) = (Arc::clone(&self.upstream), Arc::clone(&self.headers));
                        let refusal = refuse(upstream, conversation, headers, message);
                        self.refusing = Some(refusal.boxed());
                    }
                },
                (Kind::Notification, Some(Method::NotificationsCancelled)) => {
                    return Ok(self.asking.taken_back(&message).unwrap_or(message));
                }
                (Kind::Notification, _) => return Ok(message),
                // An answer belongs to a call, and here is none.
                (Kind::Result | Kind::Error, _) => {}
            }
        }
    }
}

/// A server that asks more than its client can have open hears so.
async fn refuse(
    upstream: Arc<Upstream>,
    conversation: Conversation,
    headers: Arc<Headers>,
    question: Message,
) {
    let words = "too many questions wait for this client's answer";
    let refusal = Message::error_reply(question.id(), code::INTERNAL_ERROR, words, None);
    let sent = async {
        let mut exchange = upstream.open(conversation, Headers::clone(&headers)).await?;
        exchange.send(&refusal).await.map(drop)
    };
    let _ = tokio::time::timeout(REFUSED_WITHIN, sent).await;
}
