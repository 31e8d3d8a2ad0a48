//! What says its server itself: a name with an alias before it, a URI with one. It leads there whatever the other
//! servers have, so these are not looked at, and one that hangs holds up no call to another.

use mcp::expose::uri;
use policy::What;
use upstream::{Headers, Listing};

use super::Aggregate;
use super::view::{Target, catalog};
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
            let shown = members[server].shown.shows(what, &original, None);
            return shown.then(|| to(server, &original));
        }
    };
    let (alias, name) = named.split_once("__")?;
    let server = called(alias)?;
    let member = &members[server];
    let original = member.shown.meant(what, name)?;
    if what == What::Tool && member.shown.called(original) != name {
        return None;
    }
    let headers = Headers {
        injected: injected(current, visit, &member.upstream).ok()?,
        passed: Vec::new(),
    };
    let catalog = catalog(&member.upstream, &headers).await?;
    let item = catalog.list(listing)?.get(original)?;
    if !member.shown.shows(what, original, Some(&item.text)) {
        return None;
    }
    Some(to(server, original))
}
