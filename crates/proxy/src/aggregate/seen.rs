//! One server of an endpoint, as a caller sees it: what its catalog has, and of that what the file shows.

use std::borrow::Cow;
use std::sync::Arc;

use mcp::expose::Alias;
use policy::{Curation, What};
use upstream::catalog::Item;
use upstream::{Catalog, Listing};

/// One server, as a caller sees it. The server itself is not here: a view outlives a reload that puts another in its
/// place.
pub(super) struct Seen {
    pub(super) alias: Alias,
    /// None where what it has is not known.
    pub(super) catalog: Option<Arc<Catalog>>,
    curation: Option<Arc<Curation>>,
    /// What is shown of each list by its place there; all of it where nothing is chosen.
    shown: [Option<Box<[u32]>>; 4],
}

impl Seen {
    pub(super) fn new(alias: Alias, catalog: Option<Arc<Catalog>>, curation: Option<Arc<Curation>>) -> Self {
        let shown = Listing::ALL.map(|listing| {
            let (curation, list) = (curation.as_ref()?, catalog.as_ref()?.list(listing)?);
            let shown = list.items.iter().zip(0..).filter(|(item, _)| match listing {
                Listing::Tools => curation.called(&item.key).is_some(),
                Listing::Prompts | Listing::Resources | Listing::Templates => {
                    curation.shows(what(listing), &item.key)
                }
            });
            Some(shown.map(|(_, place)| place).collect())
        });
        Self {
            alias,
            catalog,
            curation,
            shown,
        }
    }

    /// What is shown of a list, in its order.
    pub(super) fn items(&self, listing: Listing) -> impl ExactSizeIterator<Item = &Item> {
        (0..self.count(listing)).map(move |place| &self.all(listing)[self.place(listing, place)])
    }

    /// One of what is shown, by its place among that.
    pub(super) fn item(&self, listing: Listing, place: usize) -> Option<&Item> {
        (place < self.count(listing)).then(|| &self.all(listing)[self.place(listing, place)])
    }

    /// What is shown under this key.
    pub(super) fn lists(&self, listing: Listing, key: &str) -> bool {
        let list = self.catalog.as_ref().and_then(|catalog| catalog.list(listing));
        list.is_some_and(|list| list.get(key).is_some()) && self.shows(what(listing), key)
    }

    /// What an item is called, aliases aside.
    pub(super) fn called<'i>(&'i self, listing: Listing, item: &'i Item) -> &'i str {
        match (&self.curation, listing) {
            (Some(curation), Listing::Tools) => curation.called(&item.key).unwrap_or(&item.key),
            _ => &item.key,
        }
    }

    /// What an item says, but for names and URIs.
    pub(super) fn text<'i>(&self, listing: Listing, item: &'i Item) -> Cow<'i, [u8]> {
        let changed = match (&self.curation, listing) {
            (Some(curation), Listing::Tools) => curation.tool(&item.key, &item.text),
            _ => None,
        };
        changed.map_or(Cow::Borrowed(&item.text), |changed| Cow::Owned(changed.into()))
    }

    /// Whether something of this original name would be shown.
    pub(super) fn shows(&self, what: What, original: &str) -> bool {
        let curation = self.curation.as_ref();
        curation.is_none_or(|curation| curation.shows(what, original))
    }

    /// The original name of what is called so, if it may be shown.
    pub(super) fn meant<'n>(&'n self, listing: Listing, called: &'n str) -> Option<&'n str> {
        match (&self.curation, listing) {
            (Some(curation), Listing::Tools) => curation.meant(called),
            _ => self.shows(what(listing), called).then_some(called),
        }
    }

    fn count(&self, listing: Listing) -> usize {
        match &self.shown[listing as usize] {
            Some(shown) => shown.len(),
            None => self.all(listing).len(),
        }
    }

    fn all(&self, listing: Listing) -> &[Item] {
        let list = self.catalog.as_ref().and_then(|catalog| catalog.list(listing));
        list.map(|list| list.items.as_slice()).unwrap_or_default()
    }

    /// Where in its list it stands.
    fn place(&self, listing: Listing, place: usize) -> usize {
        match &self.shown[listing as usize] {
            Some(shown) => shown[place] as usize,
            None => place,
        }
    }
}

/// What is in a list.
fn what(listing: Listing) -> What {
    match listing {
        Listing::Tools => What::Tool,
        Listing::Prompts => What::Prompt,
        Listing::Resources | Listing::Templates => What::Resource,
    }
}
