//! Who looks at an endpoint: with which headers each of its servers is asked for them.

use std::sync::Arc;

use mcp::expose::Style;
use upstream::Headers;

use super::view::Views;
use super::{Aggregate, Member};
use crate::call::Visit;
use crate::generation::Generation;
use crate::serve::injected;
use crate::session::Claims;

/// One who looks at an endpoint. It holds nothing of the configuration that it began with but its servers.
pub(crate) struct Audience {
    /// In the order of the endpoint; without headers where the request does not bring what they are made of. Who does
    /// not is not shown that server.
    pub(super) members: Vec<(Member, Option<Arc<Headers>>)>,
    pub(super) style: Style,
    pub(super) instructions: Option<Arc<str>>,
    pub(super) views: Arc<Views>,
}

impl Audience {
    /// The session with the endpoint is over, and with it those that its calls had with the servers.
    pub(crate) fn end(&self, claims: &Claims) {
        super::end(self.members.iter().map(|(member, _)| member), claims);
    }

    /// Whoever sends this request, for as long as that is served.
    pub(crate) fn of(current: &Generation, visit: &Visit, aggregate: &Aggregate) -> Self {
        let members = aggregate.members.iter().map(|member| {
            let injected = injected(current, visit, &member.upstream).ok();
            let headers = injected.map(|injected| {
                Arc::new(Headers {
                    injected,
                    passed: Vec::new(),
                })
            });
            (member.clone(), headers)
        });
        Self {
            members: members.collect(),
            style: aggregate.style,
            instructions: aggregate.instructions.clone(),
            views: Arc::clone(&current.views),
        }
    }

    /// The same, to whom the rules would hide nothing.
    pub(super) fn without_rules(mut self) -> Self {
        for (member, _) in &mut self.members {
            member.shown = member.shown.without_rules();
        }
        self
    }

    /// The same, for as long as a stream lives.
    pub(crate) fn kept(mut self) -> Self {
        for (_, headers) in &mut self.members {
            *headers = headers
                .take()
                .map(|headers| Arc::unwrap_or_clone(headers).into_kept());
        }
        self
    }
}
