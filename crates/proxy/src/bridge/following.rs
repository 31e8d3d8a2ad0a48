//! What changes at a server, told to a client of 2026-07-28 on its `subscriptions/listen`, whatever era the server
//! speaks (`protocol.md` §2.7).

use std::sync::Arc;

use async_trait::async_trait;
use mcp::{Id, Message, Method, Object, Refusal, code, meta};
use upstream::{Error, Following, Headers, Interest, MessageStream, Pooled, Upstream};

use crate::failure::Failure;

/// Tells what changes.
#[async_trait]
pub(crate) trait Follow: Send {
    /// What of that which was wanted will be told.
    fn honoured(&self) -> &Interest;

    /// The next change. May be given up and asked again.
    ///
    /// # Errors
    /// When none can come any more.
    async fn next(&mut self) -> Result<Message, Error>;
}

#[async_trait]
impl Follow for Following {
    fn honoured(&self) -> &Interest {
        Self::honoured(self)
    }

    async fn next(&mut self) -> Result<Message, Error> {
        Self::next(self).await
    }
}

/// Begins a subscription at a server that knows none. It is heard in the session of the gateway's own in which calls
/// of its client are made.
///
/// # Errors
/// When the request does not say what it wants to hear of, or the server cannot be followed.
pub(super) async fn follow(
    upstream: &Arc<Upstream>,
    pooled: &Pooled,
    headers: Headers,
    request: &Message,
) -> Result<Box<dyn MessageStream>, Failure> {
    let (id, interest) = wanted(request)?;
    let following = upstream.follow(interest, pooled, headers.into_kept()).await?;
    Ok(subscribe(Box::new(following), &id))
}

/// The id of a `subscriptions/listen`, and what it wants to hear of.
///
/// # Errors
/// When it does not say that.
pub(crate) fn wanted(request: &Message) -> Result<(Id, Interest), Failure> {
    let wanted = request.params_member("notifications");
    let wanted = wanted.filter(|filter| filter.starts_with(b"{"));
    let (Some(id), Some(wanted)) = (request.id(), wanted) else {
        let words = "`params.notifications` must be an object that says what to listen to";
        // 400 would send a client of both eras to the other (`protocol.md` D-10).
        let refusal = Refusal {
            status: 200,
            ..Refusal::new(code::INVALID_PARAMS, words)
        };
        return Err(refusal.into());
    };
    Ok((id.clone(), Interest::of_filter(wanted)))
}

/// A subscription: its acknowledgement first, then what changes.
pub(crate) fn subscribe(following: Box<dyn Follow>, id: &Id) -> Box<dyn MessageStream> {
    Box::new(Subscription {
        acknowledged: false,
        following,
        id: id.clone(),
    })
}

/// A subscription of one client.
struct Subscription {
    acknowledged: bool,
    following: Box<dyn Follow>,
    /// The id of its request, which every message of it names, as the client wrote it.
    id: Id,
}

#[async_trait]
impl MessageStream for Subscription {
    async fn next(&mut self) -> Result<Message, Error> {
        if !self.acknowledged {
            self.acknowledged = true;
            return Ok(self.acknowledgement());
        }
        let change = self.following.next().await?;
        Ok(self.of_subscription(&change))
    }
}

impl Subscription {
    fn acknowledgement(&self) -> Message {
        let params = format!(
            r#"{{"notifications":{},"_meta":{{"{}":{}}}}}"#,
            self.following.honoured().filter(),
            meta::SUBSCRIPTION_ID,
            self.id.raw()
        );
        let method = Method::NotificationsSubscriptionsAcknowledged;
        Message::notification(method.as_str(), Some(&params))
    }

    /// The same message, belonging to this subscription.
    fn of_subscription(&self, change: &Message) -> Message {
        let params = change.params().unwrap_or(b"{}");
        let (Some(method), Ok(params)) = (change.method(), Object::parse(params)) else {
            return change.clone();
        };
        let ours = params.get("_meta").filter(|meta| meta.starts_with(b"{"));
        let ours = Object::parse(ours.unwrap_or(b"{}")).map(|ours| {
            let mut edits = ours.edit();
            edits.set(meta::SUBSCRIPTION_ID, self.id.raw().as_bytes().to_vec());
            edits.apply()
        });
        let mut edits = params.edit();
        if let Ok(ours) = ours {
            edits.set("_meta", ours);
        }
        Message::notification(method.as_str(), Some(&String::from_utf8_lossy(&edits.apply())))
    }
}
