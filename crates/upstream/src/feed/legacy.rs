//! The changes of a server of earlier revisions: what it says outside of calls in a session of the
//! gateway's own, and the resources it was asked to watch there. It tells of those in the session that
//! asked, so both are done in the same one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use mcp::{Id, Kind, Message, Object};

use super::followers::Followers;
use super::interest::Interest;
use crate::error::{Error, Fault};
use crate::registry::Upstream;
use crate::steady::Steady;
use crate::transport::{Conversation, Headers, Pooled};

/// Subscribing to one resource.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Subscribing to all that is wanted, and unsubscribing from what is not.
const ADJUSTED_WITHIN: Duration = Duration::from_secs(60);

/// Requests at once.
const SIDE_BY_SIDE: usize = 8;

/// A session that is listened to.
pub(super) struct Overhearing {
    stream: Steady,
    /// Whether resources can be watched.
    pub(super) subscribe: bool,
    /// Those that are, as far as the server has said.
    pub(super) subscribed: BTreeSet<Box<str>>,
}

/// Listens, and tells of which lists the server says it will tell changes. `None` when it says nothing
/// outside of calls. The caller bounds how long it takes.
///
/// # Errors
/// When the session could not be begun, or not be listened to.
pub(super) async fn overhear(
    upstream: &Arc<Upstream>,
    pooled: &Pooled,
    headers: &Arc<Headers>,
) -> Result<Option<(Overhearing, Interest)>, Error> {
    let overheard = match upstream.overhear(pooled, headers).await {
        Ok(overheard) => overheard,
        Err(error) if error.fault == Fault::NotOffered => return Ok(None),
        Err(error) => return Err(error),
    };
    let (lists, subscribe) = declared(&overheard.agreement.result);
    let overhearing = Overhearing {
        stream: Steady::new(overheard.stream),
        subscribe,
        subscribed: BTreeSet::new(),
    };
    Ok(Some((overhearing, lists)))
}

impl Overhearing {
    /// The next message.
    ///
    /// # Errors
    /// When the stream broke.
    pub(super) fn poll(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<Message, Error>> {
        self.stream.poll(context)
    }
}

/// Subscribes, then unsubscribes; tells what was subscribed to. What is confirmed counts at once, for those
/// who wait for it.
pub(super) async fn adjust(
    upstream: Arc<Upstream>,
    conversation: Conversation,
    headers: Arc<Headers>,
    followers: Arc<Followers>,
    subscribe: BTreeSet<Box<str>>,
    unsubscribe: BTreeSet<Box<str>>,
) -> Vec<Box<str>> {
    followers.retracted(&unsubscribe);
    let mut subscribed = Vec::new();
    let ask = |method: &'static str, uri: Box<str>| {
        let (upstream, headers) = (Arc::clone(&upstream), Arc::clone(&headers));
        let conversation = conversation.clone();
        async move {
            let taken = ask(&upstream, &conversation, &headers, method, &uri).await;
            (uri, taken)
        }
    };
    let adjusting = async {
        let subscribing = subscribe.iter().cloned().collect::<Vec<_>>().into_iter();
        let subscribing = subscribing.map(|uri| ask("resources/subscribe", uri));
        let mut answers = futures_util::stream::iter(subscribing).buffer_unordered(SIDE_BY_SIDE);
        while let Some((uri, taken)) = answers.next().await {
            followers.answered(uri.clone(), taken);
            if taken {
                subscribed.push(uri);
            }
        }
        let unsubscribing = unsubscribe.into_iter();
        let unsubscribing = unsubscribing.map(|uri| ask("resources/unsubscribe", uri));
        let mut answers = futures_util::stream::iter(unsubscribing).buffer_unordered(SIDE_BY_SIDE);
        while answers.next().await.is_some() {}
    };
    if tokio::time::timeout(ADJUSTED_WITHIN, adjusting).await.is_err() {
        tracing::debug!(upstream = %upstream.name, "it takes too long over subscriptions");
    }
    // One without an answer is not asked for again until somebody wants it anew.
    followers.denied(&Interest {
        uris: subscribe,
        ..Interest::default()
    });
    subscribed
}

/// Whether the server took it.
async fn ask(
    upstream: &Arc<Upstream>,
    conversation: &Conversation,
    headers: &Headers,
    method: &str,
    uri: &str,
) -> bool {
    let params = format!(r#"{{"uri":{}}}"#, serde_json::Value::from(uri));
    // On a shared wire the id becomes one of ours.
    let request = Message::request(&Id::number(1), method, Some(&params));
    let asking = async {
        let mut pass = upstream.breaker.admit()?;
        // It takes no place among the calls: one that waits for its user may hold it for long.
        let reply = upstream.ask_ourselves(conversation, headers, &request).await;
        pass.learned(&reply);
        reply?.messages.answer().await
    };
    match tokio::time::timeout(ANSWERED_WITHIN, asking).await {
        Ok(Ok(answer)) => answer.is_some_and(|answer| answer.kind() == Kind::Result),
        Ok(Err(error)) => {
            tracing::debug!(upstream = %upstream.name, %error, method, "it was not asked");
            false
        }
        Err(_) => false,
    }
}

/// The lists whose changes a server says it will tell, and whether it says that resources can be watched.
fn declared(introduced: &Message) -> (Interest, bool) {
    let capabilities = introduced.result_member("capabilities").unwrap_or_default();
    let Ok(capabilities) = Object::parse(capabilities) else {
        return (Interest::default(), false);
    };
    let says = |of: &str, what: &str| {
        let of = capabilities.get(of).and_then(|of| Object::parse(of).ok());
        of.is_some_and(|of| of.get(what) == Some(b"true"))
    };
    let lists = Interest {
        tools: says("tools", "listChanged"),
        prompts: says("prompts", "listChanged"),
        resources: says("resources", "listChanged"),
        ..Interest::default()
    };
    (lists, says("resources", "subscribe"))
}
