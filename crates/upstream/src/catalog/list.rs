//! One list of a server, all pages: its items in their order, each found by its name.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use mcp::header::Parameters;
use mcp::{Era, Object};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::Listing;

/// Items of one list, those that are left out included (`protocol.md` §3.6).
pub(super) const ITEMS: usize = 10_000;

/// Characters of a name that is told to the operator.
const SHOWN: usize = 128;

/// What most tools repeat in headers: nothing.
static NOTHING: LazyLock<Arc<Parameters>> = LazyLock::new(Arc::default);

/// A list as it was read.
#[derive(Debug, Default)]
pub struct List {
    /// What it holds, in the order of the server. Of several with the same key only the first.
    pub items: Vec<Item>,
    /// How long it holds, if the server says so (2026-07-28 `ttlMs`): the shortest of its pages.
    pub ttl: Option<Duration>,
    /// Whether everybody may see it (2026-07-28 `cacheScope: public` on all pages).
    pub is_public: bool,
    /// Whether these are all pages: neither did a bound of ours end it nor a cursor that led back.
    pub is_whole: bool,
    /// Bytes of memory that it takes, about.
    pub bytes: usize,
    /// Of what is told to clients.
    pub(super) digest: [u8; 16],
    /// When it was read, or taken from the disk …
    read: Option<Instant>,
    /// … and how old it was then.
    before: Duration,
    /// Places in `items`, in the order of their keys.
    by_key: Box<[u32]>,
    /// The tools that repeat arguments in headers.
    repeating: HashMap<u32, Arc<Parameters>>,
    left_out: LeftOut,
}

/// One tool, prompt, resource or template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name, its URI or its URI template.
    pub key: Box<str>,
    /// The JSON text of an object, in the shape of 2026-07-28 and otherwise as it was sent.
    pub text: Box<[u8]>,
}

/// What a server listed and nobody is shown.
#[derive(Debug, Default, PartialEq, Eq)]
struct LeftOut {
    /// Tools that cannot be called and what is nested too deep, each with why.
    named: Vec<(Box<str>, String)>,
    /// What is no object, or has no key.
    nameless: usize,
    /// Further ones of a key that was there before.
    twice: usize,
}

impl List {
    /// The item of this key.
    pub fn get(&self, key: &str) -> Option<&Item> {
        self.items.get(self.place(key)?)
    }

    /// Which arguments of this tool are repeated in headers; `None` for a tool that was not listed. One that
    /// was left out repeats nothing.
    pub(crate) fn parameters(&self, tool: &str) -> Option<Arc<Parameters>> {
        match self.place(tool) {
            Some(place) => {
                let repeating = u32::try_from(place)
                    .ok()
                    .and_then(|place| self.repeating.get(&place));
                Some(Arc::clone(repeating.unwrap_or(&NOTHING)))
            }
            None => {
                let left_out = self.left_out.named.iter().any(|(name, _)| **name == *tool);
                left_out.then(|| Arc::clone(&NOTHING))
            }
        }
    }

    /// How long ago it was read.
    pub fn age(&self) -> Duration {
        self.read.map_or(Duration::ZERO, |read| read.elapsed()) + self.before
    }

    fn place(&self, key: &str) -> Option<usize> {
        let found = self
            .by_key
            .binary_search_by(|place| (*self.items[*place as usize].key).cmp(key));
        found.ok().map(|found| self.by_key[found] as usize)
    }
}

/// A list that is being read, page by page.
pub(super) struct Collecting {
    listing: Listing,
    /// What the server speaks.
    era: Era,
    list: List,
    keys: HashSet<Box<str>>,
    seen: usize,
}

impl Collecting {
    /// Nothing yet, of a server of this era.
    pub(super) fn new(listing: Listing, era: Era) -> Self {
        Self {
            listing,
            era,
            list: List {
                is_public: true,
                is_whole: true,
                ..List::default()
            },
            keys: HashSet::new(),
            seen: 0,
        }
    }

    /// One more item, JSON text. False when there may be no more.
    pub(super) fn add(&mut self, item: &RawValue) -> bool {
        if self.seen == ITEMS {
            return false;
        }
        self.seen += 1;
        let list = &mut self.list;
        let text = item.get().as_bytes();
        let object = Object::parse(text).ok();
        let Some((object, key)) = object
            .as_ref()
            .and_then(|object| Some((object, object.get_text(self.listing.key())?)))
        else {
            list.left_out.nameless += 1;
            return true;
        };
        let key: Box<str> = key.into();
        if self.keys.contains(&key) {
            list.left_out.twice += 1;
            return true;
        }
        if self.listing == Listing::Tools {
            match repeated(object, self.era) {
                Ok(parameters) if parameters.is_empty() => {}
                Ok(parameters) => {
                    let place = u32::try_from(list.items.len()).unwrap_or(u32::MAX);
                    list.repeating.insert(place, Arc::new(parameters));
                }
                Err(why) => {
                    self.keys.insert(key.clone());
                    list.left_out.named.push((key, why));
                    return true;
                }
            }
        }
        self.keys.insert(key.clone());
        list.items.push(Item {
            key,
            text: text.into(),
        });
        true
    }

    /// Items of these names that nobody is shown, and why. False when there may be no more.
    pub(super) fn leave_out(&mut self, names: &[Box<str>], why: &str) -> bool {
        for name in names {
            if self.seen == ITEMS {
                return false;
            }
            self.seen += 1;
            let left_out = &mut self.list.left_out;
            match name.is_empty() {
                true => left_out.nameless += 1,
                false => left_out.named.push((name.clone(), why.to_owned())),
            }
        }
        true
    }

    /// What a page says of how long it holds, and for whom.
    pub(super) fn note(&mut self, ttl: Option<Duration>, is_public: bool) {
        self.list.ttl = match (self.list.ttl, ttl) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.list.is_public &= is_public;
    }

    /// It goes on, and is not read on.
    pub(super) fn cut(&mut self) {
        self.list.is_whole = false;
    }

    /// The list, which was this old now.
    pub(super) fn finish(mut self, age: Duration) -> List {
        drop(self.keys);
        let mut list = std::mem::take(&mut self.list);
        list.items.shrink_to_fit();
        let count = u32::try_from(list.items.len()).unwrap_or(u32::MAX);
        let mut by_key: Box<[u32]> = (0..count).collect();
        by_key.sort_unstable_by(|one, other| {
            list.items[*one as usize]
                .key
                .cmp(&list.items[*other as usize].key)
        });
        list.by_key = by_key;
        list.digest = digest(&list);
        list.read = Some(Instant::now());
        list.before = age;
        list.bytes = size_of::<List>() + list.items.iter().map(Item::bytes).sum::<usize>();
        let named = &list.left_out.named;
        list.bytes += named
            .iter()
            .map(|(name, why)| name.len() + why.len() + 64)
            .sum::<usize>();
        list
    }
}

impl Item {
    /// In memory: its texts, its place here and in the index, and what two allocations take besides.
    fn bytes(&self) -> usize {
        self.key.len() + self.text.len() + size_of::<Self>() + size_of::<u32>() + 2 * 16
    }
}

impl List {
    /// Tells the operator what was left out, if it was not left out `before`.
    pub(super) fn tell(&self, upstream: &str, listing: Listing, before: Option<&Self>) {
        let list = listing.method();
        let told = before.map(|before| &before.left_out);
        for (name, why) in &self.left_out.named {
            if told.is_some_and(|told| told.named.iter().any(|(before, _)| before == name)) {
                continue;
            }
            let item: String = name.chars().take(SHOWN).collect();
            tracing::warn!(upstream, %list, ?item, %why, "what it lists is left out");
        }
        let LeftOut { nameless, twice, .. } = self.left_out;
        if nameless > 0 && told.is_none_or(|told| told.nameless != nameless) {
            let key = listing.key();
            tracing::warn!(upstream, %list, items = nameless, key, "what it lists is left out: no object with this key");
        }
        if twice > 0 && told.is_none_or(|told| told.twice != twice) {
            tracing::warn!(upstream, %list, items = twice, "what it lists twice is listed once");
        }
        if !self.is_whole && before.is_none_or(|before| before.is_whole) {
            let items = self.items.len();
            tracing::warn!(upstream, %list, items, "its list is longer than what is read of it, or never ends");
        }
    }
}

/// The arguments that a tool wants repeated in headers, if it can be called at all.
fn repeated(tool: &Object<'_>, era: Era) -> Result<Parameters, String> {
    let schema = tool.get("inputSchema").unwrap_or_default();
    if schema.first() != Some(&b'{') {
        return Err("its `inputSchema` is no object".into());
    }
    match (Parameters::of_schema(schema), era) {
        (Ok(parameters), _) => Ok(parameters),
        // Before 2026-07-28 the annotation is no part of the protocol.
        (Err(_), Era::Legacy) => Ok(Parameters::default()),
        (Err(why), Era::Modern) => Err(why.to_string()),
    }
}

fn digest(list: &List) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update([1, u8::from(list.is_public), u8::from(list.is_whole)]);
    for item in &list.items {
        hash.update(item.text.len().to_le_bytes());
        hash.update(&item.text);
    }
    let mut digest = [0; 16];
    for (to, from) in digest.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    digest
}
