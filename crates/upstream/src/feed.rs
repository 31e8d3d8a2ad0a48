//! What a server tells of its changes, heard once for all who follow them, whatever era it speaks.
//!
//! Who presents the same credentials shares one feed, or, at a server before 2026-07-28, who shares a session
//! of the gateway's own: such a server tells of a change in the session whose call made it, or that subscribed
//! to it. Behind a feed stands one `subscriptions/listen` of a 2026-07-28 server, or what an earlier one says
//! outside of calls in that session. The feed asks for what its followers want, all taken together; each hears only of what it wanted and what
//! the server had confirmed when it began to follow (`protocol.md` §2.7, D-46). A stream that is lost is
//! opened again, and since changes may have been missed meanwhile, all that is followed is then told to have
//! changed.
//!
//! A follower who does not read holds up nobody: what waits for it is each change at most once.

mod life;
mod modern;
mod legacy;

mod followers;
mod tally;
mod queue;
mod change;
mod interest;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use mcp::Message;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{Error, Fault};
use crate::metrics::Counted;
use crate::registry::Upstream;
use crate::transport::{Headers, Pooled};

use followers::{Followers, Settled};
pub use interest::Interest;
use life::Life;

/// How long a follower waits for what the server confirms (D-46).
const CONFIRMED_WITHIN: Duration = Duration::from_secs(2);

/// Sets of credentials, and sessions of the gateway's own, with which one upstream is followed at once.
const FEEDS: usize = 1024;

/// What tells feeds apart.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    credentials: Vec<(HeaderName, HeaderValue)>,
    pooled: Pooled,
}

/// The feeds of one upstream, by what they are heard with.
#[derive(Default)]
pub(crate) struct Feeds {
    by_key: Mutex<HashMap<Key, Arc<Followers>>>,
    removed: CancellationToken,
    lives: TaskTracker,
}

/// One who follows the changes of an upstream. Dropping it ends that, and with the last one the feed.
pub struct Following {
    followers: Arc<Followers>,
    number: u64,
    /// Told when there is something to read.
    told: Arc<Notify>,
    wanted: Arc<Interest>,
    honoured: Arc<Interest>,
}

impl Upstream {
    /// Follows what changes there. Resolves as soon as the server has confirmed what it will tell, after
    /// 2 s at the latest: what is not confirmed by then is not honoured and never told (D-46).
    ///
    /// Credentials are `headers.injected`; what else a client sent is not passed on. `pooled` is the session in
    /// which calls of the follower are made at a server before 2026-07-28, and so the one to listen to.
    ///
    /// # Errors
    /// [`Fault::Full`] at a bound of the gateway, [`Fault::Removed`] when the upstream was removed, and
    /// whatever kept its feed from being opened, if that is known in time. A server that refuses to tell
    /// anything is no error: then nothing is honoured.
    pub async fn follow(
        self: &Arc<Self>,
        interest: Interest,
        pooled: &Pooled,
        headers: Arc<Headers>,
    ) -> Result<Following, Error> {
        let mut following = self.join_feed(pooled, &headers)?;
        following.change(interest).await?;
        Ok(following)
    }

    fn join_feed(self: &Arc<Self>, pooled: &Pooled, headers: &Headers) -> Result<Following, Error> {
        let feeds = &self.feeds;
        if feeds.removed.is_cancelled() {
            return Err(Fault::Removed.of(&self.name));
        }
        let credentials = match self.tells_credentials_apart() {
            true => headers.injected.clone(),
            false => Vec::new(),
        };
        let key = Key {
            credentials,
            pooled: pooled.clone(),
        };
        let mut all = feeds.locked();
        if let Some(followers) = all.get(&key)
            && let Some((number, told)) = followers.join()?
        {
            return Ok(Following::of(followers, number, told));
        }
        if all.len() >= FEEDS {
            let bound =
                format!("{FEEDS} sessions or sets of credentials with which its changes are followed");
            return Err(Fault::Full(bound).of(&self.name));
        }
        let followers = Arc::new(Followers::new(Arc::clone(&self.name)));
        let Some((number, told)) = followers.join()? else {
            return Err(Fault::Removed.of(&self.name));
        };
        all.insert(key.clone(), Arc::clone(&followers));
        let following = Following::of(&followers, number, told);
        feeds.lives.spawn(Arc::clone(self).feed(key, followers));
        Ok(following)
    }

    /// One feed, from its first follower to its last.
    async fn feed(self: Arc<Self>, key: Key, followers: Arc<Followers>) {
        let _counted = Counted::one(self.feeds_gauge());
        let headers = Headers {
            injected: key.credentials.clone(),
            passed: Vec::new(),
        };
        let life = Life::new(
            Arc::clone(&self),
            key.pooled.clone(),
            headers.into_kept(),
            Arc::clone(&followers),
        );
        let ends = || {
            let mut all = self.feeds.locked();
            // Nobody joins while this is held.
            let ends = followers.end_if_left();
            if ends {
                all.remove(&key);
            }
            ends
        };
        tokio::select! {
            () = life.live(ends) => {}
            () = self.feeds.removed.cancelled() => {
                followers.end(&Fault::Removed);
                self.feeds.locked().remove(&key);
            }
        }
    }
}

impl Feeds {
    /// Ends all of them; there are no others after that.
    pub(crate) fn remove(&self) {
        self.removed.cancel();
    }

    /// The same, and waits until they have ended.
    pub(crate) async fn stop(&self) {
        self.remove();
        self.lives.close();
        self.lives.wait().await;
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Key, Arc<Followers>>> {
        self.by_key
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Following {
    fn of(followers: &Arc<Followers>, number: u64, told: Arc<Notify>) -> Self {
        Self {
            followers: Arc::clone(followers),
            number,
            told,
            wanted: Arc::default(),
            honoured: Arc::default(),
        }
    }

    /// What is told here: that part of what was wanted which the server had confirmed in time. It stays as
    /// it is until something else is wanted.
    pub fn honoured(&self) -> &Interest {
        &self.honoured
    }

    /// The next change: a `list_changed` or `resources/updated` notification that belongs to no subscription.
    /// May be given up and asked again: nothing is lost.
    ///
    /// # Errors
    /// [`Fault::Removed`] when the upstream was removed.
    pub async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.followers.pop(self.number)? {
                return Ok(message);
            }
            // Told since then, it does not wait.
            self.told.notified().await;
        }
    }

    /// Wants something else from now on. What was wanted before and still is goes on without a gap. Resolves
    /// as [`Upstream::follow`] does, and what is honoured is decided anew. Wanting the same again asks the
    /// server again for resources that were not honoured.
    ///
    /// Given up, it goes on by itself; what is honoured is known when it is asked again.
    ///
    /// # Errors
    /// As [`Upstream::follow`]; then what was wanted before is still followed.
    pub async fn change(&mut self, interest: Interest) -> Result<(), Error> {
        let wanted = Arc::new(interest);
        let settled = self.followers.want(self.number, &wanted)?;
        let before = std::mem::replace(&mut self.wanted, Arc::clone(&wanted));
        let outcome = self.settled(settled).await;
        if outcome.is_err() {
            self.followers.want_again(self.number, &before);
            self.wanted = before;
            return outcome;
        }
        self.honoured = self.followers.honoured(self.number);
        Ok(())
    }

    async fn settled(&self, mut settled: Settled) -> Result<(), Error> {
        match tokio::time::timeout(CONFIRMED_WITHIN, &mut settled).await {
            Ok(Ok(outcome)) => outcome,
            // Nothing that was said is passed over.
            Ok(Err(_)) | Err(_) => settled.try_recv().unwrap_or(Ok(())),
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.followers.leave(self.number);
    }
}

#[cfg(test)]
mod tests;
