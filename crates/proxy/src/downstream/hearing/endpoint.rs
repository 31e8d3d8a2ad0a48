//! What changes at the servers of an endpoint, for a client that has a session with it: the lists, and the resources
//! that it watches.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mcp::Message;
use mcp::translate::Between;
use tokio_util::sync::CancellationToken;
use upstream::{Error, Interest};

use super::changes::{Watched, interest};
use crate::aggregate::{Audience, Follows};
use crate::bridge::following::Follow as _;

pub(crate) struct OfEndpoint {
    between: Between,
    watched: Watched,
    /// For what it was asked last.
    asked: BTreeSet<Box<str>>,
    /// What is followed, or is on its way to be: kept here, since [`OfEndpoint::next`] is given up in the middle of it.
    following: Option<Box<Follows>>,
    settling: Option<BoxFuture<'static, Box<Follows>>>,
}

impl OfEndpoint {
    pub(super) fn begin(
        audience: &Arc<Audience>,
        replaced: &Arc<CancellationToken>,
        between: Between,
        watched: Watched,
    ) -> Self {
        let asked = watched.borrow().clone();
        let wanted: Interest = interest(&asked);
        let (audience, replaced) = (Arc::clone(audience), replaced.clone());
        let settling = async move { Box::new(Follows::begin(audience, replaced, wanted).await) };
        Self {
            between,
            watched,
            asked,
            following: None,
            settling: Some(settling.boxed()),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(settling) = &mut self.settling {
                self.following = Some(settling.await);
                self.settling = None;
            }
            let Some(mut following) = self.following.take() else {
                return std::future::pending().await;
            };
            let wanted = self.watched.borrow_and_update().clone();
            if wanted != self.asked {
                self.asked = wanted.clone();
                let settling = async move {
                    following.watch(&wanted).await;
                    following
                };
                self.settling = Some(settling.boxed());
                continue;
            }
            let following = self.following.insert(following);
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
}
