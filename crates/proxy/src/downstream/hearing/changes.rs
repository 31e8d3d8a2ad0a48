//! What changes at a server that knows no sessions, for a client that has one (`protocol.md` §2.7): the lists, and the
//! resources that the client watches.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mcp::Message;
use mcp::translate::Between;
use tokio::sync::watch;
use upstream::{Error, Fault, Following, Headers, Interest, Pooled, Upstream};

use crate::session::token::Id;
use crate::session::unheard::Unheard;

/// What a client watches, and what that becomes.
pub(crate) type Watched = watch::Receiver<BTreeSet<Box<str>>>;

/// A server that could not be followed is tried again after this long.
const AGAIN: Duration = Duration::from_secs(30);

/// What goes on being followed between two streams of a session.
pub(crate) struct Followed {
    upstream: Weak<Upstream>,
    headers: Arc<Headers>,
    following: Following,
    asked: BTreeSet<Box<str>>,
}

/// Where a stream leaves it, and finds what the one before it has left.
pub(crate) struct Left {
    pub(crate) session: Id,
    pub(crate) unheard: Arc<Unheard<Followed>>,
}

pub(crate) struct Changes {
    upstream: Arc<Upstream>,
    between: Between,
    headers: Arc<Headers>,
    watched: Watched,
    following: Option<Following>,
    /// For what it was asked last.
    asked: BTreeSet<Box<str>>,
    /// Absent where the session ends with its stream.
    left: Option<Left>,
    /// The beginning, kept here since [`Changes::next`] is given up in the middle of it.
    beginning: Option<BoxFuture<'static, Result<Following, Error>>>,
}

impl Changes {
    pub(super) fn begin(
        upstream: &Arc<Upstream>,
        between: Between,
        headers: Arc<Headers>,
        watched: Watched,
        left: Option<Left>,
    ) -> Self {
        let found = left.as_ref().and_then(|left| left.unheard.take(&left.session));
        // Another server may be there by now, or the client present other credentials.
        let found = found.filter(|found| {
            std::ptr::eq(found.upstream.as_ptr(), Arc::as_ptr(upstream))
                && found.headers.injected == headers.injected
        });
        let (following, asked) = found.map(|found| (found.following, found.asked)).unzip();
        Self {
            upstream: Arc::clone(upstream),
            between,
            headers,
            watched,
            following,
            asked: asked.unwrap_or_default(),
            left,
            beginning: None,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Message, Error> {
        loop {
            let Some(following) = &mut self.following else {
                self.follow().await?;
                continue;
            };
            let wanted = self.watched.borrow_and_update().clone();
            if wanted != self.asked {
                // What cannot be had for now is left until its client asks for something else.
                if let Err(error) = following.change(interest(&wanted)).await {
                    tracing::debug!(%error, "what a client watches could not be followed");
                }
                self.asked = wanted;
                continue;
            }
            tokio::select! {
                biased;
                // Its sender is gone when the session's settings were forgotten: nothing changes any more.
                Ok(()) = self.watched.changed() => {}
                change = following.next() => {
                    if let Some(change) = self.between.notice(&change?) {
                        return Ok(change);
                    }
                }
            }
        }
    }

    async fn follow(&mut self) -> Result<(), Error> {
        let begun = self
            .beginning
            .take()
            .unwrap_or_else(|| self.following_after(Duration::ZERO));
        let followed = self.beginning.insert(begun).await;
        self.beginning = None;
        match followed {
            Ok(following) => self.following = Some(following),
            Err(error) if error.fault == Fault::Removed => return Err(error),
            Err(error) if matches!(error.fault, Fault::Full(_)) && self.make_way() => {}
            Err(error) => {
                tracing::debug!(%error, "a server could not be followed");
                self.beginning = Some(self.following_after(AGAIN));
            }
        }
        Ok(())
    }

    /// Who listens comes before those who may come back.
    fn make_way(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.unheard.make_way())
    }

    fn following_after(&mut self, pause: Duration) -> BoxFuture<'static, Result<Following, Error>> {
        self.asked = self.watched.borrow().clone();
        let (upstream, headers) = (Arc::clone(&self.upstream), Arc::clone(&self.headers));
        let wanted = interest(&self.asked);
        async move {
            tokio::time::sleep(pause).await;
            // A 2026-07-28 server tells nobody's sessions apart.
            upstream.follow(wanted, &Pooled::default(), headers).await
        }
        .boxed()
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let (Some(following), Some(left)) = (self.following.take(), &self.left) else {
            return;
        };
        let followed = Followed {
            upstream: Arc::downgrade(&self.upstream),
            headers: Arc::clone(&self.headers),
            following,
            asked: std::mem::take(&mut self.asked),
        };
        left.unheard.leave(&left.session, followed);
    }
}

/// All lists, since a legacy client hears of each that its server says it tells, and these resources.
pub(super) fn interest(watched: &BTreeSet<Box<str>>) -> Interest {
    Interest {
        tools: true,
        prompts: true,
        resources: true,
        uris: watched.clone(),
    }
}
