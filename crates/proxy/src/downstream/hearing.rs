//! Hearing what a server says outside of calls, in the words its client is to read.
//!
//! In a session with the server that is whatever the server says there. A server that knows no sessions says nothing
//! of its own accord: its changes are followed instead, for all clients together.

mod changes;
mod session;

use std::sync::Arc;

use mcp::Message;
use upstream::{Error, Headers, Upstream};

use crate::session::{Asking, Claims};

use changes::Changes;
use session::InSession;

pub(crate) use changes::{Followed, Left, Watched};

/// The way to hear a session.
pub(crate) enum Hearing {
    InSession(Box<InSession>),
    Changes(Box<Changes>),
}

impl Hearing {
    /// Hears the server of a session. What its client watches is only asked for where the server cannot know it, and
    /// what is `left` of its stream before only matters there.
    pub(crate) fn begin(
        upstream: &Arc<Upstream>,
        claims: &Claims,
        headers: Arc<Headers>,
        asking: Asking,
        watched: impl FnOnce() -> Watched,
        left: Option<Left>,
    ) -> Self {
        let between = claims.between();
        match between.server.era() {
            mcp::Era::Legacy => {
                let session = claims.with_upstream();
                let hearing = InSession::begin(upstream, session, between, headers, asking);
                Self::InSession(Box::new(hearing))
            }
            mcp::Era::Modern => {
                let changes = Changes::begin(upstream, between, headers, watched(), left);
                Self::Changes(Box::new(changes))
            }
        }
    }

    /// The next message. May be given up and asked again.
    ///
    /// # Errors
    /// When nothing can come any more.
    pub(crate) async fn next(&mut self) -> Result<Message, Error> {
        match self {
            Self::InSession(hearing) => hearing.next().await,
            Self::Changes(changes) => changes.next().await,
        }
    }
}
