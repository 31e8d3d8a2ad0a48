//! One server of an endpoint, as a caller sees it: what its catalog has, and of that what the file shows.

use std::borrow::Cow;
use std::sync::Arc;

use mcp::expose::Alias;
use policy::What;
use upstream::catalog::Item;
use upstream::{Catalog, Listing};

use crate::shown::Shown;

/// One server, as a caller sees it. The server itself is not here: a view outlives a reload that puts another in its
/// place.
pub(super) struct Seen {
    pub(super) alias: Alias,
    /// None where what it has is not known.
    pub(super) catalog: Option<Arc<Catalog>>,
    face: Shown,
    /// What is shown of each list by its place there; all of it where nothing is chosen.
    shown: [Option<Box<[u32]>>; 4],
}

impl Seen {
    pub(super) fn new(alias: Alias, catalog: Option<Arc<Catalog>>, face: Shown) -> Self {
        let shown = Listing::ALL.map(|listing| {
            let list = catalog.as_ref()?.list(listing)?;
            if face.is_all() {
                return None;
            }
            let shows = |item: &Item| face.shows(what(listing), &item.key, Some(&item.text));
            let shown = list.items.iter().zip(0..).filter(|(item, _)| shows(item));
            Some(shown.map(|(_, place)| place).collect())
        });
        Self {
            alias,
            catalog,
            face,
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
        let item = list.and_then(|list| list.get(key));
        item.is_some_and(|item| self.face.shows(what(listing), key, Some(&item.text)))
    }

    /// What an item is called, aliases aside.
    pub(super) fn called<'i>(&'i self, listing: Listing, item: &'i Item) -> &'i str {
        match listing {
            Listing::Tools => self.face.called(&item.key),
            Listing::Prompts | Listing::Resources | Listing::Templates => &item.key,
        }
    }

    /// What an item says, but for names and URIs.
    pub(super) fn text<'i>(&self, listing: Listing, item: &'i Item) -> Cow<'i, [u8]> {
        let changed = match listing {
            Listing::Tools => self.face.tool(&item.key, &item.text),
            Listing::Prompts | Listing::Resources | Listing::Templates => None,
        };
        changed.map_or(Cow::Borrowed(&item.text), |changed| Cow::Owned(changed.into()))
    }

    /// Whether something of this original name would be shown.
    pub(super) fn shows(&self, what: What, original: &str) -> bool {
        self.face.shows(what, original, None)
    }

    /// The original name of what is called so, if it may be shown.
    pub(super) fn meant<'n>(&'n self, listing: Listing, called: &'n str) -> Option<&'n str> {
        self.face.meant(what(listing), called)
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
