//! A call that names something of one server goes there, as on a route with that server alone.

use std::sync::Arc;

use mcp::Method;
use policy::What;
use upstream::Listing;

use super::view::{Target, View};
use super::{Aggregate, Audience, Exposing, addressed};
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
    let target = find(current, call, aggregate).await?;
    let member = &aggregate.members[target.server];
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
async fn find(current: &Generation, call: &Call, aggregate: &Aggregate) -> Result<Target, Failure> {
    let Some((what, name)) = named(&call.message)? else {
        return Err(Failure::Ended);
    };
    if let Some(target) = addressed::target(current, &call.visit, aggregate, (what, &name)).await {
        return Ok(target);
    }
    let view = View::of(&Audience::of(current, &call.visit, aggregate)).await;
    let found = match what {
        What::Tool => view.named(Listing::Tools, &name),
        What::Prompt => view.named(Listing::Prompts, &name),
        What::Resource => view.located(&name),
    };
    found.map_err(|why| nowhere(what, &name, why))
}
