//! What a server tells of its changes, heard once for all who follow them, whatever era it speaks.
//!
//! Who presents the same credentials shares one feed. Behind it stands one `subscriptions/listen` of a
//! 2026-07-28 server, or what an earlier one says outside of calls in the session of the gateway's own. The
//! feed asks for what its followers want, all taken together; each hears only of what it wanted and what
//! the server had confirmed when it began to follow (`protocol.md` §2.7, D-46). A stream that is lost is
//! opened again, and since changes may have been missed meanwhile, all that is followed is then told to have
//! changed.
//!
//! A follower who does not read holds up nobody: what waits for it is each change at most once.

mod interest;

use std::sync::Arc;

use mcp::Message;

use crate::error::{Error, Fault};
use crate::registry::Upstream;
use crate::transport::Headers;

pub use interest::Interest;

/// One who follows the changes of an upstream. Dropping it ends that, and with the last one the feed.
pub struct Following {
    upstream: Arc<Upstream>,
    honoured: Arc<Interest>,
}

impl Upstream {
    /// Follows what changes there. Resolves as soon as the server has confirmed what it will tell, after
    /// 2 s at the latest: what is not confirmed by then is not honoured and never told (D-46).
    ///
    /// Credentials are `headers.injected`; what else a client sent is not passed on.
    ///
    /// # Errors
    /// [`Fault::Full`] at a bound of the gateway, [`Fault::Removed`] when the upstream was removed, and
    /// whatever kept its feed from being opened, if that is known in time. A server that refuses to tell
    /// anything is no error: then nothing is honoured.
    pub async fn follow(
        self: &Arc<Self>,
        _interest: Interest,
        _headers: Arc<Headers>,
    ) -> Result<Following, Error> {
        Ok(Following {
            upstream: Arc::clone(self),
            honoured: Arc::default(),
        })
    }
}

impl Following {
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
        self.upstream.removed().await;
        Err(Fault::Removed.of(&self.upstream.name))
    }

    /// Wants something else from now on. What was wanted before and still is goes on without a gap. Resolves
    /// as [`Upstream::follow`] does, and what is honoured is decided anew; wanting the same again asks again
    /// for what was not honoured.
    ///
    /// # Errors
    /// As [`Upstream::follow`]; then what was wanted before is still followed.
    pub async fn change(&mut self, _interest: Interest) -> Result<(), Error> {
        Ok(())
    }
}
