//! Many servers at one endpoint (decision 11).
//!
//! What a caller sees of them is a [`View`], made of their catalogs. What the endpoint is asked itself, its greeting
//! and its lists, is answered from it ([`here`]); what names something goes to the one server that has it, as on a
//! route of its own, with names and URIs edited on the way there and back ([`toward`]). To everybody it is a server of
//! 2026-07-28; for earlier clients what it says is translated like that of any other.

mod audience;
mod seen;
mod view;
mod listed;
pub(crate) mod cursor;
mod greeting;
mod here;
mod addressed;
mod toward;
mod exposing;
mod following;

use std::sync::Arc;

use mcp::expose::{Alias, Style};
use mcp::translate::Between;
use mcp::{Era, Kind, Method, Revision};
use policy::rules::Selection;
use upstream::Upstream;

use crate::answer::Answer;
use crate::call::Call;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::route::Route;
use crate::session::Claims;
use crate::shown::Shown;

pub(crate) use audience::Audience;
pub(crate) use exposing::{Exposing, renamed};
pub(crate) use following::Follows;
pub use view::Views;
pub(crate) use view::catalog;

/// The servers of an endpoint, in the order of the file.
pub(crate) struct Aggregate {
    pub(crate) members: Vec<Member>,
    pub(crate) style: Style,
    /// What the file says of it in place of what its servers say.
    pub(crate) instructions: Option<Arc<str>>,
}

/// One of them.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) alias: Alias,
    pub(crate) upstream: Arc<Upstream>,
    /// What of it is shown.
    pub(crate) shown: Shown,
}

impl Aggregate {
    /// Of the upstreams of these names at this route, for whom these rules speak of; none when one of them does not
    /// exist.
    pub(crate) fn of(
        current: &Generation,
        route: &Route,
        names: &[Arc<str>],
        rules: Option<&Arc<Selection>>,
    ) -> Option<Self> {
        let mut members: Vec<Member> = Vec::with_capacity(names.len());
        for name in names {
            if members.iter().any(|member| member.upstream.name == *name) {
                continue;
            }
            members.push(Member {
                alias: current.aliases.get(name)?.clone(),
                upstream: Arc::clone(current.upstreams.get(name)?),
                shown: Shown::of(current, route, name, rules),
            });
        }
        Some(Self {
            members,
            // A single one needs no alias to be told apart.
            style: match names.len() {
                1 => Style::Bare,
                _ => route.face.names,
            },
            instructions: route.face.instructions.clone(),
        })
    }

    /// A session with the endpoint is over, and with it those that its calls had with the servers.
    pub(crate) fn end(&self, claims: &Claims) {
        end(&self.members, claims);
    }
}

fn end<'m>(members: impl IntoIterator<Item = &'m Member>, claims: &Claims) {
    let scope = claims.scope();
    for member in members {
        member.upstream.release(&scope);
    }
}

/// Carries one message to the endpoint, up to the first thing that comes back.
pub(crate) async fn serve(
    current: &Arc<Generation>,
    call: &mut Call,
    aggregate: &Arc<Aggregate>,
) -> Result<Answer, Failure> {
    if call.lacks_session() {
        return Err(Failure::SessionMissing);
    }
    if call.message.kind() == Kind::Notification {
        return Ok(here::taken(current, call));
    }
    match call.message.method() {
        Some(Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead | Method::CompletionComplete) => {
            toward::carry(current, call, aggregate).await
        }
        _ => here::answer(current, call, aggregate).await,
    }
}

/// The revisions on both sides of what it says in its client's own words already.
fn same(call: &Call) -> Between {
    Between {
        client: call.revision,
        server: call.revision,
    }
}

/// The revisions on both sides of the endpoint: it is a server of 2026-07-28.
fn between(call: &Call) -> Between {
    let client = call
        .session
        .as_ref()
        .filter(|_| call.era == Era::Legacy)
        .map_or(call.revision, |session| session.revision());
    Between {
        client,
        server: Revision::V2026_07_28,
    }
}
