//! What a name on the command line means: which upstream's, and what that calls it.

use config::scalar::{self, suggestion};
use mcp::expose::{Unresolved, uri};
use policy::What;
use upstream::Listing;

use super::Mistake;
use super::view::{Server, View};

/// The most names that are suggested.
const SUGGESTED: usize = 6;

/// What is meant.
pub(super) struct Meant<'v> {
    pub(super) what: What,
    pub(super) server: &'v Server,
    /// What its server calls it.
    pub(super) original: String,
    /// Whether the file shows it at the route.
    pub(super) is_shown: bool,
    /// Whether its server listed it when it was asked last, where that is known.
    pub(super) is_listed: Option<bool>,
}

impl<'v> Meant<'v> {
    /// What is called so, of this upstream where one is named.
    ///
    /// # Errors
    /// When nothing can be meant, or several things can.
    pub(super) fn by(
        view: &'v View,
        what: What,
        name: &str,
        upstream: Option<&str>,
    ) -> Result<Self, Mistake> {
        let servers = &view.servers;
        if let Some(upstream) = upstream {
            let Some(server) = servers.iter().find(|server| *server.name == *upstream) else {
                let names: Vec<&str> = servers.iter().map(|server| &*server.name).collect();
                let words = format!("this route does not lead to `{}`", scalar::shown(upstream));
                return Err(Mistake::new(words).hint(suggestion(upstream, &names)));
            };
            let behind = addressed(view, what, name).filter(|(of, _)| *of.name == *server.name);
            let behind = behind.map(|(_, behind)| behind);
            return Ok(Self::of(server, what, behind.as_deref().unwrap_or(name)));
        }
        if view.as_many
            && let Some(found) = Self::at_endpoint(view, what, name)
        {
            return Ok(found);
        }
        if let Some((server, behind)) = addressed(view, what, name) {
            return Ok(Self::of(server, what, &behind));
        }
        let slashed = name.split_once('/').and_then(|(upstream, name)| {
            let server = servers.iter().find(|server| *server.name == *upstream)?;
            Some((server, name))
        });
        match (slashed, servers.as_slice()) {
            (Some((server, name)), _) => Ok(Self::of(server, what, name)),
            (None, [only]) => Ok(Self::of(only, what, name)),
            (None, _) => Self::bare(view, what, name),
        }
    }

    /// What is listed under a name where there are several, to this caller or else to anybody.
    fn at_endpoint(view: &'v View, what: What, name: &str) -> Option<Self> {
        if what == What::Resource {
            return None;
        }
        let listing = listings(what)[0];
        [true, false].into_iter().find_map(|by_rules| {
            let (names, shown) = view.names(listing, by_rules);
            match names.resolve(name, |_| true) {
                Ok(named) => {
                    let item = shown.get(named.server)?.get(named.place)?;
                    let server = view.servers.get(named.server)?;
                    Some(Self::original(server, what, item.key.to_string()))
                }
                Err(Unresolved::Ambiguous | Unresolved::Unknown) => None,
            }
        })
    }

    /// A name that says nothing of its server.
    fn bare(view: &'v View, what: What, name: &str) -> Result<Self, Mistake> {
        let found = view.servers.iter().map(|server| Self::of(server, what, name));
        let mut listing: Vec<Self> = Vec::new();
        let mut unknown: Vec<Self> = Vec::new();
        for meant in found {
            match meant.is_listed {
                Some(true) => listing.push(meant),
                Some(false) => {}
                None => unknown.push(meant),
            }
        }
        let shown = scalar::shown(name);
        match (listing.len(), unknown.len()) {
            (1, 0) => Ok(listing.remove(0)),
            (0, 0) => {
                let known: Vec<&str> = view
                    .servers
                    .iter()
                    .flat_map(|server| listings(what).iter().flat_map(|listing| server.items(*listing)))
                    .map(|item| &*item.key)
                    .collect();
                let nearest = scalar::nearest(name, &known);
                let hint = nearest.map_or_else(
                    || "say whose it is, as in `UPSTREAM/NAME`".to_owned(),
                    |nearest| format!("did you mean `{}`?", scalar::shown(nearest)),
                );
                Err(Mistake::new(format!("no server here has listed `{shown}`")).hint(hint))
            }
            (_, _) => {
                let possible = listing.iter().chain(&unknown).take(SUGGESTED);
                let possible: Vec<String> = possible
                    .map(|meant| format!("`{}/{shown}`", meant.server.name))
                    .collect();
                let words = format!("`{shown}` may be of several servers");
                Err(Mistake::new(words).hint(format!("say which: {}", possible.join(", "))))
            }
        }
    }

    /// What this server's is called so at the route.
    fn of(server: &'v Server, what: What, called: &str) -> Self {
        let curation = server.curation.as_ref().filter(|_| what == What::Tool);
        let original = curation.and_then(|curation| curation.meant(called));
        Self::original(server, what, original.unwrap_or(called).to_owned())
    }

    fn original(server: &'v Server, what: What, original: String) -> Self {
        let curation = server.curation.as_ref();
        let is_shown = curation.is_none_or(|curation| curation.shows(what, &original));
        let lists = server.catalog.as_ref().map(|catalog| {
            let mut lists = listings(what).iter().map(|listing| catalog.list(*listing));
            lists.any(|list| list.is_some_and(|list| list.get(&original).is_some()))
        });
        Self {
            what,
            server,
            original,
            is_shown,
            is_listed: lists,
        }
    }

    /// What it is called in a sentence.
    pub(super) fn kind(&self) -> &'static str {
        match self.what {
            What::Tool => "tool",
            What::Prompt => "prompt",
            What::Resource => "resource",
        }
    }
}

/// The server that a name begins with, and the name behind.
fn addressed<'v>(view: &'v View, what: What, name: &str) -> Option<(&'v Server, String)> {
    if !view.as_many {
        return None;
    }
    let called = |alias: &str| view.servers.iter().find(|server| server.alias.as_str() == alias);
    match what {
        What::Resource => uri::reveal(name, called).map(|(server, uri)| (server, uri.into_owned())),
        What::Tool | What::Prompt => {
            let (alias, name) = name.split_once("__")?;
            Some((called(alias)?, name.to_owned()))
        }
    }
}

/// The lists that things of this kind stand in.
fn listings(what: What) -> &'static [Listing] {
    match what {
        What::Tool => &[Listing::Tools],
        What::Prompt => &[Listing::Prompts],
        What::Resource => &[Listing::Resources, Listing::Templates],
    }
}
