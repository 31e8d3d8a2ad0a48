//! The changes of a 2026-07-28 server: one `subscriptions/listen` (basic/patterns/subscriptions).

use std::sync::Arc;

use mcp::{Id, Kind, Message, Method, Revision, meta};

use super::interest::Interest;
use crate::error::{Error, Fault};
use crate::handshake;
use crate::registry::Upstream;
use crate::steady::Steady;
use crate::transport::{Conversation, Headers, Messages};

/// A subscription that was acknowledged.
pub(super) struct Listening {
    id: Id,
    stream: Steady,
}

/// What came of asking.
pub(super) enum Asked {
    /// The server tells this, which may be less than it was asked.
    Acknowledged(Listening, Interest),
    /// It tells nothing.
    Refused,
}

/// Asks for this, and waits until the server has acknowledged it. The caller bounds how long.
///
/// # Errors
/// When the server could not be asked, or ended the subscription before it acknowledged it.
pub(super) async fn listen(
    upstream: &Arc<Upstream>,
    headers: &Headers,
    wanted: &Interest,
    number: u64,
) -> Result<Asked, Error> {
    // Over HTTP ids go as they are, beside those of clients; none would choose this one.
    let id = Id::text(&format!("causeway/feed/{number}"));
    let mut exchange = upstream.open(Conversation::Bridged, headers.clone()).await?;
    let reply = match exchange.send(&request(&id, wanted)).await {
        Ok(reply) => reply,
        Err(error) if refuses(&error.fault) => return Ok(Asked::Refused),
        Err(error) => return Err(error),
    };
    let mut listening = match reply.messages {
        Messages::Stream(stream) => Listening {
            stream: Steady::new(stream),
            id,
        },
        Messages::One(answer) => return listening_ended(upstream, &answer),
        Messages::Accepted => return Ok(Asked::Refused),
    };
    loop {
        let message = listening.stream.next().await?;
        match message.kind() {
            // Nothing may come before the acknowledgement, and what does was not agreed upon.
            Kind::Notification if listening.acknowledges(&message) => {
                let told = message.params_member("notifications").unwrap_or_default();
                let told = Interest::of_filter(told).intersection(wanted);
                return Ok(Asked::Acknowledged(listening, told));
            }
            Kind::Notification | Kind::Request => {}
            Kind::Result | Kind::Error => return listening_ended(upstream, &message),
        }
    }
}

impl Listening {
    /// The next notification of this subscription.
    ///
    /// # Errors
    /// When the server has ended it, or its stream broke.
    pub(super) fn poll(
        &mut self,
        upstream: &Arc<str>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<Message, Error>> {
        loop {
            let message = std::task::ready!(self.stream.poll(context))?;
            match message.kind() {
                Kind::Notification if self.is_cancelled_by(&message) => {}
                Kind::Notification if self.is_ours(&message) => return std::task::Poll::Ready(Ok(message)),
                // A server of this era asks nothing outside of calls.
                Kind::Notification | Kind::Request => continue,
                Kind::Result | Kind::Error => {}
            }
            let ended = Fault::Broken("it ended the subscription".into());
            return std::task::Poll::Ready(Err(ended.of(upstream)));
        }
    }

    fn acknowledges(&self, message: &Message) -> bool {
        message.method() == Some(&Method::NotificationsSubscriptionsAcknowledged) && self.is_ours(message)
    }

    /// Whether it belongs to this subscription. What names none came over its stream.
    fn is_ours(&self, message: &Message) -> bool {
        message.subscription().is_none_or(|id| id == self.id)
    }

    fn is_cancelled_by(&self, message: &Message) -> bool {
        message.method() == Some(&Method::NotificationsCancelled)
            && message.cancelled_request().as_ref() == Some(&self.id)
    }
}

/// The server answered before it acknowledged: with an error it refuses; with a result it has ended what
/// never began, and may take it another time.
fn listening_ended(upstream: &Arc<Upstream>, answer: &Message) -> Result<Asked, Error> {
    match answer.kind() {
        Kind::Error => Ok(Asked::Refused),
        Kind::Result | Kind::Notification | Kind::Request => {
            let ended = "it ended the subscription without acknowledging it";
            Err(Fault::Broken(ended.into()).of(&upstream.name))
        }
    }
}

/// Whether a fault says that there is no such thing, and not that something else went wrong.
fn refuses(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Status {
            status: 400 | 404 | 405 | 406 | 415 | 422 | 501,
            ..
        }
    )
}

fn request(id: &Id, wanted: &Interest) -> Message {
    let params = format!(
        r#"{{"_meta":{{"{}":"{}","{}":{{}},"{}":{}}},"notifications":{}}}"#,
        meta::PROTOCOL_VERSION,
        Revision::V2026_07_28.as_str(),
        meta::CLIENT_CAPABILITIES,
        meta::CLIENT_INFO,
        handshake::implementation(),
        wanted.filter()
    );
    Message::request(id, "subscriptions/listen", Some(&params))
}
