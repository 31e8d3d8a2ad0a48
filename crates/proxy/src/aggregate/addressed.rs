//! What says its server itself: a name with an alias before it, a URI with one. It leads there whatever the other
//! servers have, so these are not looked at, and one that hangs holds up no call to another.

use mcp::expose::uri;
use policy::What;
use upstream::{Headers, Listing};

use super::view::{Target, catalog};
use super::{Aggregate, Member};
use crate::call::Visit;
use crate::generation::Generation;
use crate::serve::injected;

/// Where this leads, if it says so and its server has it. Everything else is for the view of all servers to say, which
/// leads what is found here to the same.
pub(super) async fn target(
    current: &Generation,
    visit: &Visit,
    aggregate: &Aggregate,
    (what, named): (What, &str),
) -> Option<Target> {
    let members = &aggregate.members;
    let called = |alias: &str| members.iter().position(|member| member.alias.as_str() == alias);
    let to = |server, original: &str| Target {
        server,
        named: named.to_owned(),
        original: original.to_owned(),
    };
    let listing = match what {
        What::Tool => Listing::Tools,
        What::Prompt => Listing::Prompts,
        What::Resource => {
            let (server, original) = uri::reveal(named, called)?;
            return shows(&members[server], what, &original).then(|| to(server, &original));
        }
    };
    let (alias, name) = named.split_once("__")?;
    let server = called(alias)?;
    let member = &members[server];
    let original = match (&member.curation, what) {
        (Some(curation), What::Tool) => {
            let original = curation.meant(name)?;
            (curation.called(original) == Some(name)).then_some(original)?
        }
        _ => shows(member, what, name).then_some(name)?,
    };
    let headers = Headers {
        injected: injected(current, visit, &member.upstream).ok()?,
        passed: Vec::new(),
    };
    let catalog = catalog(member, &headers).await?;
    catalog.list(listing)?.get(original)?;
    Some(to(server, original))
}

fn shows(member: &Member, what: What, original: &str) -> bool {
    let curation = member.curation.as_ref();
    curation.is_none_or(|curation| curation.shows(what, original))
}
