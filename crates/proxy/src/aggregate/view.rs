//! What one caller sees of the servers of an endpoint: the one place that decides it. Listing and calling ask the
//! same, so that what is not listed cannot be called, and is not told apart from what does not exist.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use futures_util::future::join_all;
use mcp::expose::{Alias, Named, Names, Style, Unresolved, uri};
use policy::What;
use upstream::{Catalog, Headers, Listing, Upstream};

use super::audience::Audience;
use super::listed::Listed;
use super::seen::Seen;
use crate::naming::Nowhere;
use crate::shown;

/// Nobody's list waits longer for a server that was never read (`protocol.md` §3.9).
const FIRST_WITHIN: Duration = Duration::from_secs(3);

/// Views kept for those who see the same …
const KEPT: usize = 64;

/// … and of the same servers, which show several callers something else, or something else than before.
const OF_THE_SAME: usize = 16;

/// What one caller sees.
pub(crate) struct View {
    /// As the endpoint has them, each with what it shows; none where that is not known.
    pub(super) seen: Vec<Seen>,
    tools: Names,
    prompts: Names,
    listed: [OnceLock<Arc<Listed>>; 4],
}

/// Views that were made, for those who see the same.
#[derive(Default)]
pub struct Views {
    kept: Mutex<Vec<(Key, Arc<View>)>>,
}

/// What a view is made of: what the servers are called, what each has and what is shown of it, and how names are made.
#[derive(PartialEq, Eq)]
struct Key {
    style: Style,
    seen: Vec<(Alias, Option<u64>, shown::Key)>,
}

/// Which server something leads to, and what it is called there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The place of the server among those of the endpoint.
    pub(super) server: usize,
    /// What it was called here.
    pub(super) named: String,
    pub(super) original: String,
}

impl View {
    /// What somebody sees. Servers that were never read are waited for, all at once and up to a bound.
    pub(super) async fn of(audience: &Audience) -> Arc<Self> {
        Self::with_catalogs(audience).await.0
    }

    /// The same, with the catalogs as they are now: those of a kept view may have been read before.
    pub(super) async fn with_catalogs(audience: &Audience) -> (Arc<Self>, Vec<Option<Arc<Catalog>>>) {
        let catalogs = audience
            .members
            .iter()
            .map(|(member, headers)| async move { catalog(&member.upstream, headers.as_deref()?).await });
        let catalogs = join_all(catalogs).await;
        (audience.views.view(audience, &catalogs), catalogs)
    }

    fn new(audience: &Audience, catalogs: &[Option<Arc<Catalog>>]) -> Self {
        let seen = audience.members.iter().zip(catalogs);
        let seen: Vec<Seen> = seen
            .map(|((member, _), catalog)| {
                Seen::new(member.alias.clone(), catalog.clone(), member.shown.clone())
            })
            .collect();
        let names = |listing: Listing| {
            let names = seen.iter().map(|seen| {
                let called = seen.items(listing).map(|item| seen.called(listing, item));
                (seen.alias.clone(), called)
            });
            Names::new(audience.style, names)
        };
        Self {
            tools: names(Listing::Tools),
            prompts: names(Listing::Prompts),
            listed: Default::default(),
            seen,
        }
    }

    /// A list of all servers as the endpoint shows it.
    pub(super) fn listed(&self, listing: Listing) -> Arc<Listed> {
        let listed = &self.listed[listing as usize];
        Arc::clone(listed.get_or_init(|| Arc::new(Listed::of(self, listing))))
    }

    /// What a tool or a prompt is called at the endpoint.
    pub(super) fn exposed_name(&self, listing: Listing, server: usize, item: usize) -> Option<String> {
        let named = Named { server, place: item };
        self.names(listing)
            .and_then(|names| names.exposed(named))
            .map(std::borrow::Cow::into_owned)
    }

    /// What a name of the endpoint leads to.
    pub(super) fn named(&self, listing: Listing, name: &str) -> Result<Target, Nowhere> {
        let names = self.names(listing).ok_or(Nowhere::Unknown)?;
        match names.resolve(name, |_| true) {
            Ok(found) => match self.seen[found.server].item(listing, found.place) {
                Some(item) => Ok(Target {
                    server: found.server,
                    named: name.to_owned(),
                    original: item.key.clone().into(),
                }),
                None => Err(Nowhere::Unknown),
            },
            Err(Unresolved::Ambiguous) => Err(Nowhere::Ambiguous),
            Err(Unresolved::Unknown) => match self.by_own(listing, name) {
                Some(found) => found,
                None => self.unread(listing, name),
            },
        }
    }

    /// Whose URI this is, and what it is there: that of the alias it begins with, else of the one server that lists
    /// it, else of the only one that has resources at all.
    pub(super) fn located(&self, exposed: &str) -> Result<Target, Nowhere> {
        let (server, original) = match uri::reveal(exposed, |alias| self.server_called(alias)) {
            Some((server, original)) => (server, original),
            None => (self.owner(exposed)?, exposed.into()),
        };
        if !self.seen[server].shows(What::Resource, &original) {
            return Err(Nowhere::Unknown);
        }
        Ok(Target {
            server,
            named: exposed.to_owned(),
            original: original.into_owned(),
        })
    }

    /// The server of a URI without alias.
    fn owner(&self, uri: &str) -> Result<usize, Nowhere> {
        let lists = |seen: &Seen| {
            [Listing::Resources, Listing::Templates]
                .into_iter()
                .any(|listing| seen.lists(listing, uri))
        };
        let mut listing = (0..self.seen.len()).filter(|server| lists(&self.seen[*server]));
        match (listing.next(), listing.next()) {
            (Some(only), None) => return Ok(only),
            // Under an address of the web it is the same wherever it is listed.
            (Some(first), Some(_)) if uri::is_shared(uri) => return Ok(first),
            (Some(_), Some(_)) => return Err(Nowhere::Ambiguous),
            (None, _) => {}
        }
        let may_have = |seen: &Seen| {
            let catalog = seen.catalog.as_ref();
            catalog.is_none_or(|catalog| catalog.profile.declares(Listing::Resources))
                && seen.shows(What::Resource, uri)
        };
        let mut with_resources = (0..self.seen.len()).filter(|server| may_have(&self.seen[*server]));
        match (with_resources.next(), with_resources.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(Nowhere::Ambiguous),
            (None, _) => Err(Nowhere::Unknown),
        }
    }

    /// The aliases of servers that were never read, or that could not tell all of it.
    pub(super) fn missing(&self, listing: Option<Listing>) -> impl Iterator<Item = &str> {
        self.seen.iter().filter_map(move |seen| {
            let missing = match (&seen.catalog, listing) {
                (None, _) => true,
                (Some(catalog), Some(listing)) => catalog.lacks(listing),
                (Some(catalog), None) => Listing::ALL.into_iter().any(|listing| catalog.lacks(listing)),
            };
            missing.then(|| seen.alias.as_str())
        })
    }

    /// What the file has given another name, by its own.
    fn by_own(&self, listing: Listing, name: &str) -> Option<Result<Target, Nowhere>> {
        let has = |server: usize, own: &str| {
            let seen = &self.seen[server];
            seen.meant(listing, own) == Some(own) && seen.lists(listing, own)
        };
        let to = |server: usize, own: &str| {
            Some(Ok(Target {
                server,
                named: name.to_owned(),
                original: own.to_owned(),
            }))
        };
        if let Some((server, own)) = self.addressed(name)
            && has(server, own)
        {
            return to(server, own);
        }
        let mut having = (0..self.seen.len()).filter(|server| has(*server, name));
        match (having.next(), having.next()) {
            (Some(only), None) => to(only, name),
            (Some(_), Some(_)) => Some(Err(Nowhere::Ambiguous)),
            (None, _) => None,
        }
    }

    /// The server before a name, and the name behind.
    fn addressed<'n>(&self, name: &'n str) -> Option<(usize, &'n str)> {
        let (alias, own) = name.split_once("__")?;
        Some((self.server_called(alias)?, own))
    }

    /// A name of a server whose list is not known leads there: it may be up again.
    fn unread(&self, listing: Listing, name: &str) -> Result<Target, Nowhere> {
        let alone = (self.seen.len() == 1).then_some((0, name));
        let (server, original) = self.addressed(name).or(alone).ok_or(Nowhere::Unknown)?;
        match &self.seen[server].catalog {
            Some(catalog) if !catalog.lacks(listing) => Err(Nowhere::Unknown),
            _ => match self.seen[server].meant(listing, original) {
                Some(original) => Ok(Target {
                    server,
                    named: name.to_owned(),
                    original: original.to_owned(),
                }),
                None => Err(Nowhere::Unknown),
            },
        }
    }

    fn server_called(&self, alias: &str) -> Option<usize> {
        self.seen.iter().position(|seen| seen.alias.as_str() == alias)
    }

    fn names(&self, listing: Listing) -> Option<&Names> {
        match listing {
            Listing::Tools => Some(&self.tools),
            Listing::Prompts => Some(&self.prompts),
            Listing::Resources | Listing::Templates => None,
        }
    }
}

impl Key {
    /// Whether it is of the same servers, whatever they show.
    fn is_of_the_same(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.seen.iter(), other.seen.iter());
        ours.map(|(alias, ..)| alias).eq(theirs.map(|(alias, ..)| alias))
    }
}

impl Views {
    /// The view of these, made now unless somebody saw the same before.
    fn view(&self, audience: &Audience, catalogs: &[Option<Arc<Catalog>>]) -> Arc<View> {
        let seen = audience
            .members
            .iter()
            .zip(catalogs)
            .map(|((member, _), catalog)| {
                let generation = catalog.as_ref().map(|catalog| catalog.generation);
                (member.alias.clone(), generation, member.shown.key())
            });
        let key = Key {
            style: audience.style,
            seen: seen.collect(),
        };
        if let Some(view) = self.kept(&key) {
            return view;
        }
        // Made without the lock: it may take a while, and others see something else.
        let view = Arc::new(View::new(audience, catalogs));
        let mut kept = self.locked();
        let of_the_same = kept.iter().filter(|(of, _)| of.is_of_the_same(&key)).count();
        let oldest = match of_the_same >= OF_THE_SAME {
            true => kept.iter().position(|(of, _)| of.is_of_the_same(&key)),
            false => (kept.len() >= KEPT).then_some(0),
        };
        if let Some(oldest) = oldest {
            kept.remove(oldest);
        }
        kept.push((key, Arc::clone(&view)));
        view
    }

    /// Found, it becomes the one that was used last.
    fn kept(&self, key: &Key) -> Option<Arc<View>> {
        let mut kept = self.locked();
        let place = kept.iter().rposition(|(of, _)| of == key)?;
        let found = kept.remove(place);
        let view = Arc::clone(&found.1);
        kept.push(found);
        Some(view)
    }

    fn locked(&self) -> MutexGuard<'_, Vec<(Key, Arc<View>)>> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// For how long a list of all of them holds, in milliseconds, and for whom: as long as that of each does, and for
/// nobody else unless all say so (`protocol.md` §3.8).
pub(super) fn holds(catalogs: &[Option<Arc<Catalog>>], listing: Listing) -> (u64, &'static str) {
    let (mut ttl, mut public) = (Duration::MAX, true);
    for catalog in catalogs {
        let Some(catalog) = catalog else {
            return (0, "private");
        };
        match catalog.list(listing) {
            Some(list) => {
                ttl = ttl.min(list.ttl.unwrap_or_default().saturating_sub(list.age()));
                public &= list.is_public;
            }
            None if catalog.lacks(listing) => return (0, "private"),
            None => {}
        }
    }
    // Whole seconds, so that those who ask one after the other are told the very same.
    let ttl = if ttl == Duration::MAX { 0 } else { ttl.as_secs() };
    (ttl * 1000, if public { "public" } else { "private" })
}

/// What a server has, as far as that is known within a bound.
pub(crate) async fn catalog(upstream: &Arc<Upstream>, headers: &Headers) -> Option<Arc<Catalog>> {
    match upstream.catalog(headers, FIRST_WITHIN).await {
        Ok(catalog) => Some(catalog),
        Err(error) => {
            tracing::debug!(%error, "a server is missing in a list");
            None
        }
    }
}
