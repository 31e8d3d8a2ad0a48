//! What one caller is shown of one server: what the file shows of it at the route, and of that what the rules may let
//! them have. Lists and calls ask here, so that what is not listed cannot be called.

use std::sync::Arc;

use bytes::Bytes;
use mcp::Object;
use policy::rules::{Selection, Subject};
use policy::{Curation, What};

use crate::call::Visit;
use crate::generation::Generation;
use crate::route::Route;

/// What one caller is shown of one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    /// What the file shows of it, and how; nothing where that is all as it is.
    pub(crate) curation: Option<Arc<Curation>>,
    /// What the rules say; nothing where there are none that are kept to.
    rules: Option<Rules>,
}

#[derive(Debug, Clone)]
struct Rules {
    selection: Arc<Selection>,
    upstream: Arc<str>,
    /// Whether rules may believe what the server says of its tools.
    trusted: bool,
}

/// Tells what is shown to one from what is shown to another.
pub(crate) type Key = (Option<Arc<Curation>>, Option<[u8; 32]>);

impl Shown {
    /// Of this upstream at this route, to whom these rules speak of.
    pub(crate) fn of(
        current: &Generation,
        route: &Route,
        upstream: &Arc<str>,
        selection: Option<&Arc<Selection>>,
    ) -> Self {
        let rules = selection
            .filter(|_| !current.is_dry_run())
            .map(|selection| Rules {
                selection: Arc::clone(selection),
                upstream: Arc::clone(upstream),
                trusted: current.trusts(upstream),
            });
        Self {
            curation: route.face.curations.get(upstream).cloned(),
            rules,
        }
    }

    /// The same, to whoever makes this request.
    pub(crate) fn to(current: &Generation, visit: &Visit, upstream: &Arc<str>) -> Self {
        Self::of(current, &visit.route, upstream, visit.rules.as_ref())
    }

    /// The same, as if there were no rules.
    pub(crate) fn without_rules(&self) -> Self {
        Self {
            curation: self.curation.clone(),
            rules: None,
        }
    }

    /// Whether that is everything, as it is.
    pub(crate) fn is_all(&self) -> bool {
        self.curation.is_none() && self.rules.is_none()
    }

    /// Those of whom this is the same see the same.
    pub(crate) fn key(&self) -> Key {
        let rules = self.rules.as_ref().map(|rules| rules.selection.digest());
        (self.curation.clone(), rules)
    }

    /// Whether something of this original name is shown; of a tool, as its server lists it where that is known.
    pub(crate) fn shows(&self, what: What, original: &str, item: Option<&[u8]>) -> bool {
        let curated = self.curation.as_ref();
        curated.is_none_or(|curation| curation.shows(what, original))
            && self
                .rules
                .as_ref()
                .is_none_or(|rules| rules.show(what, original, item))
    }

    /// What a tool is called.
    pub(crate) fn called<'n>(&'n self, original: &'n str) -> &'n str {
        let curated = self.curation.as_ref();
        curated
            .and_then(|curation| curation.called(original))
            .unwrap_or(original)
    }

    /// The original name of what is called so, if it may be shown; of a tool, as far as its name says.
    pub(crate) fn meant<'n>(&'n self, what: What, called: &'n str) -> Option<&'n str> {
        let original = match (&self.curation, what) {
            (Some(curation), What::Tool) => curation.meant(called)?,
            _ => called,
        };
        self.shows(what, original, None).then_some(original)
    }

    /// What a tool says of itself where the file says it otherwise.
    pub(crate) fn tool(&self, original: &str, item: &[u8]) -> Option<Bytes> {
        self.curation.as_ref()?.tool(original, item)
    }
}

impl Rules {
    fn show(&self, what: What, original: &str, item: Option<&[u8]>) -> bool {
        let item = item.filter(|_| self.trusted);
        let subject = subject(what, original, item);
        self.selection.shows(&self.upstream, &subject)
    }
}

/// What rules judge. `item` is how a server that is trusted lists it.
pub(crate) fn subject<'a>(what: What, original: &'a str, item: Option<&'a [u8]>) -> Subject<'a> {
    match what {
        What::Tool => Subject::Tool {
            name: original,
            annotations: item.and_then(|item| Object::parse(item).ok()?.get("annotations")),
        },
        What::Prompt => Subject::Prompt { name: original },
        What::Resource => Subject::Resource { uri: original },
    }
}
