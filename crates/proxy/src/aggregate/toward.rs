//! A call that names something of one server goes there, as on a route with that server alone.

use std::sync::Arc;

use mcp::{Message, Method};
use policy::What;
use upstream::Listing;

use super::view::{Target, View};
use super::{Aggregate, Audience, Exposing};
use crate::answer::Answer;
use crate::call::Call;
use crate::curated::given;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::naming::{named, nowhere};
use crate::serve::transparent;

/// Carries the call to its server, up to the first thing that comes back.
pub(super) async fn carry(
    current: &Arc<Generation>,
    call: &mut Call,
    aggregate: &Arc<Aggregate>,
) -> Result<Answer, Failure> {
    let audience = Audience::of(current, &call.visit, aggregate);
    let view = View::of(&audience).await;
    let target = find(&view, &call.message)?;
    let (member, _) = &audience.members[target.server];
    let exposing = Exposing::new(&member.alias, call.message.method());
    // From here on it is a call of that server, and recorded as one.
    call.message = exposing.request(&call.message, &target);
    if let (Some(curation), Some(Method::ToolsCall)) = (&member.curation, call.message.method()) {
        call.tells(given(curation, &call.visit, &call.message)?);
    }
    call.entry.leads_to(&member.upstream.name);
    call.entry.carries(&call.message);
    let answer = transparent(current, call, &member.upstream).await?;
    Ok(answer.exposed(exposing))
}

/// Where a call leads, by what it names. What its caller does not see does not exist.
fn find(view: &View, request: &Message) -> Result<Target, Failure> {
    let Some((what, name)) = named(request)? else {
        return Err(Failure::Ended);
    };
    let found = match what {
        What::Tool => view.named(Listing::Tools, &name),
        What::Prompt => view.named(Listing::Prompts, &name),
        What::Resource => view.located(&name),
    };
    found.map_err(|why| nowhere(what, &name, why))
}
