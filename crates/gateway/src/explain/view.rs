//! What a caller would see of the servers of a route, by the catalogs that a gateway kept: shown by the file, not
//! hidden by the rules, and called what the route calls it.

use std::collections::HashSet;
use std::sync::Arc;

use mcp::Object;
use mcp::expose::place::{self, Place};
use mcp::expose::{Alias, Named, Names, Style, uri};
use policy::rules::{Selection, Subject};
use policy::{Curation, What};
use serde_json::value::RawValue;
use upstream::catalog::Item;
use upstream::{Catalog, Headers};

use super::scene::Stage;
use crate::ask::{Listing, Which};
use crate::document::Plan;
use crate::kept::Kept;

/// The servers of one route, and what one caller may know of them.
#[derive(Default)]
pub(super) struct View {
    pub(super) servers: Vec<Server>,
    /// Whether names and URIs have aliases.
    pub(super) as_many: bool,
    style: Style,
    /// None where no rules hide anything.
    selection: Option<Selection>,
}

/// One of them.
pub(super) struct Server {
    pub(super) name: Arc<str>,
    pub(super) alias: Alias,
    pub(super) curation: Option<Arc<Curation>>,
    /// None where none was kept.
    pub(super) catalog: Option<Catalog>,
    trusted: bool,
}

impl View {
    pub(super) fn of(plan: &Plan, stage: &Stage<'_>) -> Self {
        let rules = plan.rules.as_ref().filter(|rules| !rules.is_dry_run());
        let kept = Kept::of(plan);
        let face = &stage.leads.route.face;
        let server = |name: &Arc<str>| {
            let of = plan.upstreams.iter().find(|(settings, _)| settings.name == *name);
            let catalog = of.zip(kept.as_ref()).and_then(|((settings, injection), kept)| {
                let injected = injection.render(stage).unwrap_or_else(|_| injection.standing());
                let headers = Headers {
                    injected,
                    passed: Vec::new(),
                };
                kept.catalog(settings, &headers)
            });
            Some(Server {
                name: Arc::clone(name),
                alias: plan.aliases.get(name)?.clone(),
                curation: face.curations.get(name).cloned(),
                catalog,
                trusted: plan.trusted.contains(name),
            })
        };
        Self {
            servers: stage.leads.upstreams.iter().filter_map(server).collect(),
            as_many: stage.leads.as_many,
            style: face.names,
            selection: rules.map(|rules| stage.as_caller(|caller| rules.select(caller))),
        }
    }

    /// The names of this kind at the route, of what the caller sees or of all that the file shows; each server's with
    /// what it calls them.
    pub(super) fn names(&self, listing: upstream::Listing, by_rules: bool) -> (Names, Vec<Vec<&Item>>) {
        let shown = self.servers.iter().map(|server| {
            let items = server.items(listing).iter();
            let shown = items.filter(|item| self.shows(server, listing, item, by_rules));
            shown.collect::<Vec<_>>()
        });
        let shown: Vec<Vec<&Item>> = shown.collect();
        let called = self.servers.iter().zip(&shown).map(|(server, items)| {
            let called = items.iter().map(|item| server.called(listing, &item.key));
            (server.alias.clone(), called)
        });
        (Names::new(self.style, called), shown)
    }

    /// What is listed.
    pub(super) fn listing(&self, which: Which) -> Listing {
        let listing = match which {
            Which::Tools => upstream::Listing::Tools,
            Which::Prompts => upstream::Listing::Prompts,
            Which::Resources => upstream::Listing::Resources,
        };
        let (names, shown) = self.names(listing, true);
        let mut items = Vec::new();
        let mut shared = HashSet::new();
        for (number, (server, found)) in self.servers.iter().zip(&shown).enumerate() {
            for (place, item) in found.iter().enumerate() {
                let is_twice = self.as_many
                    && which == Which::Resources
                    && uri::is_shared(&item.key)
                    && !shared.insert(&*item.key);
                let named = Named {
                    server: number,
                    place,
                };
                let text = match (self.as_many, which) {
                    (false, _) => server.as_listed(listing, item, None),
                    (true, Which::Resources) => server.exposed(listing, &item.text),
                    (true, Which::Tools | Which::Prompts) => match names.exposed(named) {
                        Some(name) => server.as_listed(listing, item, Some(&name)),
                        None => continue,
                    },
                };
                if !is_twice && let Ok(text) = RawValue::from_string(text) {
                    items.push(text);
                }
            }
        }
        let missing = self.servers.iter().filter(|server| server.catalog.is_none());
        Listing {
            items,
            missing: missing.map(|server| server.name.to_string()).collect(),
        }
    }

    fn shows(&self, server: &Server, listing: upstream::Listing, item: &Item, by_rules: bool) -> bool {
        let what = what(listing);
        let curated = server.curation.as_ref();
        if !curated.is_none_or(|curation| curation.shows(what, &item.key)) {
            return false;
        }
        match &self.selection {
            Some(selection) if by_rules => {
                let subject = subject(what, &item.key, server.annotations(what, &item.key));
                selection.shows(&server.name, &subject)
            }
            Some(_) | None => true,
        }
    }
}

impl Server {
    /// All that it listed when it was asked last.
    pub(super) fn items(&self, listing: upstream::Listing) -> &[Item] {
        let list = self.catalog.as_ref().and_then(|catalog| catalog.list(listing));
        list.map(|list| list.items.as_slice()).unwrap_or_default()
    }

    /// What something is called here, aliases aside.
    pub(super) fn called<'n>(&'n self, listing: upstream::Listing, original: &'n str) -> &'n str {
        let curation = self.curation.as_ref();
        match (listing, curation) {
            (upstream::Listing::Tools, Some(curation)) => curation.called(original).unwrap_or(original),
            (_, _) => original,
        }
    }

    /// What a tool declares of itself, where that is known and believed.
    pub(super) fn annotations(&self, what: What, original: &str) -> Option<&[u8]> {
        if what != What::Tool || !self.trusted {
            return None;
        }
        let list = self.catalog.as_ref()?.list(upstream::Listing::Tools)?;
        Object::parse(&list.get(original)?.text).ok()?.get("annotations")
    }

    /// Whether rules could believe what it declares, and it is not known.
    pub(super) fn is_trusted_and_unknown(&self) -> bool {
        self.trusted && self.catalog.is_none()
    }

    /// An item as the route lists it; with a name of its own where it stands beside those of others.
    fn as_listed(&self, listing: upstream::Listing, item: &Item, name: Option<&str>) -> String {
        let changed = match (&self.curation, listing) {
            (Some(curation), upstream::Listing::Tools) => curation.tool(&item.key, &item.text),
            (_, _) => None,
        };
        let text = changed.as_deref().unwrap_or(&item.text);
        let (text, name, server) = match name {
            Some(name) => (self.exposed(listing, text), name, self.alias.as_str()),
            None => {
                let text = String::from_utf8_lossy(text).into_owned();
                let name = self.called(listing, &item.key);
                if name == &*item.key {
                    return text;
                }
                (text, name, &*self.name)
            }
        };
        renamed(&text, name, server, &item.key).unwrap_or(text)
    }

    /// With the URIs of an endpoint of many.
    fn exposed(&self, listing: upstream::Listing, text: &[u8]) -> String {
        let edited = place::item(&listing.method(), text, &mut |place, said: &str| match place {
            Place::Uri | Place::Template => Some(uri::expose(&self.alias, said).into_owned()),
            Place::Tool | Place::Prompt => None,
        });
        String::from_utf8_lossy(&edited).into_owned()
    }
}

/// An item under another name, with its own beside it.
fn renamed(item: &str, name: &str, server: &str, original: &str) -> Option<String> {
    let item = Object::parse(item.as_bytes()).ok()?;
    let own = item.get("_meta").filter(|meta| meta.starts_with(b"{"));
    let own = Object::parse(own.unwrap_or(b"{}")).ok()?;
    let mut meta = own.edit();
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let said = format!(r#"{{"server":{},"name":{}}}"#, text(server), text(original));
    meta.set("dev.causeway/name", said);
    let mut edits = item.edit();
    edits.set("name", text(name));
    edits.set("_meta", meta.apply());
    Some(String::from_utf8_lossy(&edits.apply()).into_owned())
}

/// What rules judge.
pub(super) fn subject<'a>(what: What, original: &'a str, annotations: Option<&'a [u8]>) -> Subject<'a> {
    match what {
        What::Tool => Subject::Tool {
            name: original,
            annotations,
        },
        What::Prompt => Subject::Prompt { name: original },
        What::Resource => Subject::Resource { uri: original },
    }
}

/// What is in a list.
fn what(listing: upstream::Listing) -> What {
    match listing {
        upstream::Listing::Tools => What::Tool,
        upstream::Listing::Prompts => What::Prompt,
        upstream::Listing::Resources | upstream::Listing::Templates => What::Resource,
    }
}
