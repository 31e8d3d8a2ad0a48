//! A call that names something of one server goes there, as on a route with that server alone.

use std::sync::Arc;

use mcp::Method;
use policy::What;
use upstream::Listing;

use super::view::{Target, View};
use super::{Aggregate, Audience, Exposing, addressed};
use crate::admission::lacking_scopes;
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
    if let (Some(curation), Some(Method::ToolsCall)) = (&member.shown.curation, call.message.method()) {
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
    let audience = Audience::of(current, &call.visit, aggregate);
    let look = async |audience: &Audience| {
        let view = View::of(audience).await;
        match what {
            What::Tool => view.named(Listing::Tools, &name),
            What::Prompt => view.named(Listing::Prompts, &name),
            What::Resource => view.located(&name),
        }
    };
    let why = match look(&audience).await {
        Ok(target) => return Ok(target),
        Err(why) => why,
    };
    // Who may be granted more is told so, and not that there is nothing (`protocol.md` RS-8).
    let has_scopes = call
        .visit
        .principal
        .identity()
        .is_some_and(|identity| identity.scopes.is_some());
    if has_scopes && let Ok(target) = look(&audience.without_rules()).await {
        let upstream = &aggregate.members[target.server].upstream.name;
        if let Some(failure) = lacking_scopes(call, upstream, (what, &target.original)) {
            return Err(failure);
        }
    }
    Err(nowhere(what, &name, why))
}
