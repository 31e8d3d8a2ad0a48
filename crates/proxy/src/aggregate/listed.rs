//! One list of all servers, as the endpoint shows it: items in the order of the file and then of each server, page by
//! page, each page written once for all who read it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use mcp::expose::uri;
use mcp::translate::Between;
use mcp::{Id, Message};
use sha2::{Digest as _, Sha256};
use upstream::Listing;

use super::cursor;
use super::exposing::{expose_item, renamed};
use super::view::View;

/// Items of a page: many clients never ask for a second one.
const PAGE: usize = 1000;

/// Bytes after which a page ends, whatever it holds.
const PAGE_BYTES: usize = 4 << 20;

/// Pages kept as they are written, of all revisions …
const KEPT: usize = 8;

/// … and their bytes.
const KEPT_BYTES: usize = PAGE_BYTES;

/// A list of all servers.
pub(super) struct Listed {
    listing: Listing,
    /// Each item by its server and its place in what is shown of that.
    order: Vec<(u32, u32)>,
    /// Another one for another content.
    pub(super) digest: [u8; 16],
    pages: Mutex<Vec<(&'static str, usize, Arc<Page>)>>,
}

/// A page as a client reads it.
pub(super) struct Page {
    /// The text of the result, without its last members and the brace that ends it.
    begun: String,
    /// The place of the last item, when there are more.
    pub(super) last: Option<usize>,
    /// How it ended when it was told last, and what was told: to read it once more for each client would cost more than to
    /// send it.
    told: Mutex<Option<(String, Message)>>,
}

impl Listed {
    pub(super) fn of(view: &View, listing: Listing) -> Self {
        let mut order = Vec::new();
        let mut shared = HashSet::new();
        let mut hash = Sha256::new();
        for (server, seen) in view.seen.iter().enumerate() {
            for (place, item) in seen.items(listing).enumerate() {
                let shown = match listing {
                    Listing::Tools | Listing::Prompts => view.exposed_name(listing, server, place).is_some(),
                    // What several servers list under an address of the web is the same thing.
                    Listing::Resources | Listing::Templates => {
                        !uri::is_shared(&item.key) || shared.insert(&*item.key)
                    }
                };
                if let (true, Ok(server), Ok(place)) = (shown, u32::try_from(server), u32::try_from(place)) {
                    hash.update(server.to_le_bytes());
                    for text in [seen.called(listing, item).as_bytes(), &seen.text(listing, item)] {
                        hash.update(text.len().to_le_bytes());
                        hash.update(text);
                    }
                    order.push((server, place));
                }
            }
        }
        for seen in &view.seen {
            hash.update(seen.alias.as_str());
        }
        let whole: [u8; 32] = hash.finalize().into();
        Self {
            listing,
            order,
            digest: std::array::from_fn(|byte| whole[byte]),
            pages: Mutex::default(),
        }
    }

    /// The page behind a cursor, or the first one; none when what the cursor remembers is all gone.
    pub(super) fn page(
        &self,
        view: &View,
        between: Between,
        after: Option<&cursor::Cursor>,
    ) -> Option<Arc<Page>> {
        let start = match after {
            Some(cursor) => self.behind(view, cursor)?,
            None => 0,
        };
        let revision = between.client.as_str();
        let kept = |pages: &Vec<(&'static str, usize, Arc<Page>)>| {
            let same = pages.iter().find(|(of, at, _)| (*of, *at) == (revision, start));
            same.map(|(_, _, page)| Arc::clone(page))
        };
        let pages = || self.pages.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(page) = kept(&pages()) {
            return Some(page);
        }
        let page = Arc::new(self.write(view, between, start));
        let mut pages = pages();
        let bytes = |pages: &Vec<(&str, usize, Arc<Page>)>| {
            let bytes = pages.iter().map(|(_, _, page)| page.bytes());
            bytes.sum::<usize>()
        };
        while !pages.is_empty() && (pages.len() >= KEPT || bytes(&pages) + page.bytes() > KEPT_BYTES) {
            pages.remove(0);
        }
        pages.push((revision, start, Arc::clone(&page)));
        Some(page)
    }

    /// The cursor of what follows an item.
    pub(super) fn cursor(&self, view: &View, last: usize, expires: u64) -> Option<cursor::Cursor> {
        let (server, place) = *self.order.get(last)?;
        let seen = view.seen.get(server as usize)?;
        let of_server = self.order[..=last].iter().rev();
        let mut of_server = of_server.take_while(|(of, _)| *of == server);
        let told = of_server.by_ref().take(cursor::REMEMBERED);
        let told = told.filter_map(|(_, place)| {
            let item = seen.item(self.listing, *place as usize)?;
            Some(cursor::digest(&item.key))
        });
        Some(cursor::Cursor {
            expires,
            alias: seen.alias.as_str().to_owned(),
            told: told.collect(),
            is_all: of_server.next().is_none(),
            place,
        })
    }

    fn write(&self, view: &View, between: Between, start: usize) -> Page {
        let mut text = format!(r#"{{"resultType":"complete","{}":["#, self.listing.member());
        let mut written = start;
        for (server, place) in self.order.iter().skip(start).take(PAGE) {
            if text.len() > PAGE_BYTES {
                break;
            }
            if written > start {
                text.push(',');
            }
            self.write_item(&mut text, view, *server as usize, *place as usize);
            written += 1;
        }
        text.push(']');
        Page {
            begun: as_read(between, self.listing, text),
            last: (written < self.order.len()).then(|| written.saturating_sub(1)),
            told: Mutex::default(),
        }
    }

    fn write_item(&self, text: &mut String, view: &View, server: usize, place: usize) {
        let seen = &view.seen[server];
        let Some(item) = seen.item(self.listing, place) else {
            // The order was made of these very lists.
            return;
        };
        let alias = &seen.alias;
        let exposed = match self.listing {
            Listing::Tools | Listing::Prompts => view.exposed_name(self.listing, server, place),
            Listing::Resources | Listing::Templates => None,
        };
        let said = seen.text(self.listing, item);
        let shown = expose_item(alias, self.listing, &said);
        let Some(name) = exposed else {
            text.push_str(&String::from_utf8_lossy(&shown));
            return;
        };
        let named = renamed(&shown, &name, alias.as_str(), &item.key);
        text.push_str(&String::from_utf8_lossy(named.as_deref().unwrap_or(&shown)));
    }

    /// The place behind what was told last. Of a server whose list is not known nothing more is told; none when all
    /// that the cursor remembers is gone, or its server: what was told and what was not cannot be told apart then.
    fn behind(&self, view: &View, cursor: &cursor::Cursor) -> Option<usize> {
        let server = view
            .seen
            .iter()
            .position(|seen| seen.alias.as_str() == cursor.alias)?;
        let seen = &view.seen[server];
        let catalog = seen.catalog.as_ref();
        if catalog.and_then(|catalog| catalog.list(self.listing)).is_none() {
            return Some(self.order.partition_point(|(of, _)| *of as usize <= server));
        }
        let digest = |place: usize| {
            let item = seen.item(self.listing, place)?;
            Some(cursor::digest(&item.key))
        };
        let hint = cursor.place as usize;
        let next = match (cursor.told.first(), digest(hint)) {
            (Some(last), Some(there)) if *last == there => Some(hint + 1),
            _ => {
                let items = seen.items(self.listing).enumerate();
                let left = items.filter_map(|(place, item)| {
                    let there = cursor::digest(&item.key);
                    let age = cursor.told.iter().position(|told| *told == there)?;
                    Some((age, place + 1))
                });
                left.min().map(|(_, next)| next)
            }
        };
        let next = next.or(cursor.is_all.then_some(0))?;
        let before = |(of, place): &(u32, u32)| (*of as usize, *place as usize) < (server, next);
        Some(self.order.partition_point(before))
    }
}

impl Page {
    /// The answer to this request, with these members behind the others.
    pub(super) fn answer(&self, id: &Id, end: &str) -> Message {
        let told = || self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let same = told()
            .as_ref()
            .filter(|(of, _)| of == end)
            .map(|(_, told)| told.clone());
        let answer = same.unwrap_or_else(|| {
            let answer = Message::result_reply(&Id::number(0), &format!("{}{end}}}", self.begun));
            *told() = Some((end.to_owned(), answer.clone()));
            answer
        });
        answer.with_id(id)
    }

    /// In memory: its text, and what was told.
    fn bytes(&self) -> usize {
        2 * self.begun.len()
    }
}

/// What of a page a client of this revision reads, up to where its last members follow.
fn as_read(between: Between, listing: Listing, begun: String) -> String {
    if between.is_same() {
        return begun;
    }
    // It is a result like that of any server.
    let whole = Message::result_reply(
        &Id::number(0),
        &format!(r#"{begun},"ttlMs":0,"cacheScope":"private"}}"#),
    );
    let read = between.answer(&listing.method(), &whole);
    let mut text = String::from_utf8_lossy(read.result().unwrap_or(b"{}")).into_owned();
    text.truncate(text.trim_end().len().saturating_sub(1));
    text
}
