//! Who looks at an endpoint: with which headers each of its servers is asked for them.

use std::sync::Arc;

use mcp::expose::Style;
use upstream::Headers;

use super::view::Views;
use super::{Aggregate, Member};
use crate::call::Visit;
use crate::generation::Generation;
use crate::serve::admit;

/// One who looks at an endpoint, for as long as a request or a stream lives. It holds nothing of the configuration
/// that it began with but its servers.
pub(crate) struct Audience {
    /// In the order of the endpoint; without headers where the request does not bring what they are made of. Who does
    /// not is not shown that server.
    pub(super) members: Vec<(Member, Option<Arc<Headers>>)>,
    pub(super) style: Style,
    pub(super) instructions: Option<Arc<str>>,
    pub(super) views: Arc<Views>,
}

impl Audience {
    pub(crate) fn of(current: &Generation, visit: &Visit, aggregate: &Aggregate) -> Self {
        let members = aggregate.members.iter().map(|member| {
            let headers = admit(current, visit, &member.upstream);
            (member.clone(), headers.ok().map(Headers::into_kept))
        });
        Self {
            members: members.collect(),
            style: aggregate.style,
            instructions: aggregate.instructions.clone(),
            views: Arc::clone(&current.views),
        }
    }
}
