//! What a server says in a session with it, its questions included.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mcp::translate::Between;
use mcp::{Kind, Message, Method};
use upstream::{Conversation, Error, Headers, Listening, Session, Upstream};

use crate::bridge::relay::{Asks, question_for};
use crate::session::Asking;

/// A server that does not take the refusal of its question in this time is left with it.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct InSession {
    listening: Listening,
    asking: Asking,
    session: Session,
    between: Between,
    headers: Arc<Headers>,
    upstream: Arc<Upstream>,
    /// A refusal that is on its way. Kept here, since [`InSession::next`] is given up in the middle of it
    /// whenever its client is told something else, be it a sign of life.
    refusing: Option<BoxFuture<'static, ()>>,
}

impl InSession {
    pub(super) fn begin(
        upstream: &Arc<Upstream>,
        session: Session,
        between: Between,
        headers: Arc<Headers>,
        asking: Asking,
    ) -> Self {
        Self {
            listening: upstream.listen(session.clone(), Arc::clone(&headers)),
            asking,
            session,
            between,
            headers,
            upstream: Arc::clone(upstream),
            refusing: None,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(refusing) = &mut self.refusing {
                refusing.await;
                self.refusing = None;
            }
            let message = self.listening.next().await?;
            match (message.kind(), message.method()) {
                (Kind::Request, _) => match question_for(Some(&mut self.asking), self.between, &message) {
                    Asks::Client(posed) => return Ok(posed),
                    Asks::Nobody(refusal) => {
                        let conversation = Conversation::Session(self.session.clone());
                        let (upstream, headers) = (Arc::clone(&self.upstream), Arc::clone(&self.headers));
                        self.refusing = Some(tell(upstream, conversation, headers, refusal).boxed());
                    }
                    Asks::InVain => {}
                },
                (Kind::Notification, Some(Method::NotificationsCancelled)) => {
                    return Ok(self.asking.taken_back(&message).unwrap_or(message));
                }
                (Kind::Notification, _) if self.between.is_same() => return Ok(message),
                (Kind::Notification, _) => {
                    if let Some(notice) = self.between.notice(&message) {
                        return Ok(notice);
                    }
                }
                // An answer belongs to a call, and here is none.
                (Kind::Result | Kind::Error, _) => {}
            }
        }
    }
}

/// A server that asks what its client cannot be asked, or more than it can have open, hears so.
async fn tell(upstream: Arc<Upstream>, conversation: Conversation, headers: Arc<Headers>, refusal: Message) {
    let sent = async {
        let mut exchange = upstream.open(conversation, Headers::clone(&headers)).await?;
        exchange.send(&refusal).await.map(drop)
    };
    let _ = tokio::time::timeout(REFUSED_WITHIN, sent).await;
}
