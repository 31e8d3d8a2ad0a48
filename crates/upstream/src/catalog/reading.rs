//! Reading a catalog from its server: what it says of itself, then the lists that it declares, all pages
//! (`protocol.md` §3.6).

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcp::{Between, Era, Id, Message, Object, Revision, code, meta};
use serde_json::value::RawValue;

use super::list::{Collecting, List};
use super::profile::{Profile, holds};
use super::{Catalog, Listing};
use crate::error::{Error, Fault};
use crate::handshake;
use crate::registry::Upstream;
use crate::transport::{Conversation, Headers, Pooled};

/// Pages of a list that are read …
const PAGES: usize = 200;

/// … the bytes of all lists of a catalog …
const BYTES: usize = 10 * 1024 * 1024;

/// … and how long one list may take. What lies beyond was not listed. It is more than `protocol.md` §3.6 says: nobody
/// waits for all of it, and a server that takes ten seconds to wake is what catalogs are for.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// Bytes of a cursor.
const LONGEST_CURSOR: usize = 64 * 1024;

/// Why an item is left out, in the operator's words.
const TOO_DEEP: &str = "it is nested deeper than `bounds.depth` allows";

/// The same of what 2026-07-28 has no words for.
const NOT_SHOWN: &str = "in 2026-07-28 it could not be called: its `inputSchema` is not of an object, or it must be called as a task";

/// Bytes that may still be read, of all lists that are read together.
pub(super) struct Budget(AtomicUsize);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicUsize::new(BYTES))
    }
}

impl Budget {
    /// Takes these. False when nothing is left for more.
    fn take(&self, bytes: usize) -> bool {
        let less = |left: usize| Some(left.saturating_sub(bytes));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        before.is_ok_and(|before| before > bytes)
    }
}

/// What a page says comes after it.
enum Next {
    Page(Box<RawValue>),
    End,
    /// Something that leads nowhere.
    Nonsense,
}

impl Upstream {
    /// Reads all of it. A list that cannot be read costs only itself, as long as another can: then the one
    /// of `before` stands in for it, if it may. Tells also the first thing that failed.
    ///
    /// # Errors
    /// When the server cannot be reached, does not say what it is, or tells none of its lists.
    pub(super) async fn read_catalog(
        self: &Arc<Self>,
        headers: &Headers,
        before: Option<&Catalog>,
        stands_in: bool,
    ) -> Result<(Catalog, Option<Error>), Error> {
        let introduction = self.introduction(headers).await?;
        let profile = Arc::new(Profile::of(&introduction));
        let budget = Budget::default();
        let mut pass = self.breaker.admit()?;
        let reading = Listing::ALL.map(|listing| {
            let before = before.and_then(|before| before.list(listing));
            let read = profile.declares(listing).then(|| {
                Box::pin(self.read_list(
                    listing,
                    profile.revision,
                    headers,
                    &budget,
                    before.map(|list| &**list),
                ))
            });
            async move {
                match read {
                    None => (None, None),
                    Some(read) => match read.await {
                        Ok(list) => (Some(Arc::new(list)), None),
                        Err(error) => (before.filter(|_| stands_in).cloned(), Some(error)),
                    },
                }
            }
        });
        let outcomes = futures_util::future::join_all(reading).await;
        let declared = Listing::ALL
            .iter()
            .filter(|listing| profile.declares(**listing))
            .count();
        let failed = outcomes.iter().filter(|(_, error)| error.is_some()).count();
        let first = outcomes.iter().find_map(|(_, error)| error.clone());
        let outcome = first.clone().filter(|_| failed == declared).map_or(Ok(()), Err);
        pass.learned(&outcome);
        self.note(outcome.as_ref().err());
        outcome?;
        let mut lists = outcomes.into_iter().map(|(list, _)| list);
        let lists = Listing::ALL.map(|_| lists.next().flatten());
        Ok((Catalog::new(profile, lists), first))
    }

    /// Reads one list, of a server that speaks this revision.
    ///
    /// # Errors
    /// When a page does not come, or all of them take longer than 10 s. A server that does not know the
    /// method has nothing to list.
    pub(super) async fn read_list(
        &self,
        listing: Listing,
        revision: Revision,
        headers: &Headers,
        budget: &Budget,
        before: Option<&List>,
    ) -> Result<List, Error> {
        let read = self.read_pages(listing, revision, headers, budget);
        let read = tokio::time::timeout(READ_WITHIN, read).await;
        let list = read.unwrap_or_else(|_| Err(Fault::Silent(READ_WITHIN).of(&self.name)))?;
        list.tell(&self.name, listing, before);
        Ok(list)
    }

    async fn read_pages(
        &self,
        listing: Listing,
        revision: Revision,
        headers: &Headers,
        budget: &Budget,
    ) -> Result<List, Error> {
        let era = revision.era();
        let conversation = match era {
            Era::Modern => Conversation::Bridged,
            Era::Legacy => Conversation::Pooled(Pooled::default()),
        };
        let between = Between {
            client: Revision::V2026_07_28,
            server: revision,
        };
        let mut list = Collecting::new(listing, era);
        // Of a cursor only its hash is kept; with keys of this reading's own, none can be made to collide.
        let (hash, mut followed) = (RandomState::new(), HashSet::new());
        let mut cursor = None::<Box<RawValue>>;
        for page in 0..PAGES {
            let cursor_text = cursor.as_deref().map(RawValue::get);
            let question = list_request(listing, page, era == Era::Modern, cursor_text);
            let reply = self.ask_ourselves(&conversation, headers, &question).await?;
            let answer = reply.messages.answer().await?;
            let silent = || Fault::Broken(format!("it took `{}` without answering", listing.method()));
            let answer = answer.ok_or_else(|| silent().of(&self.name))?;
            if let Some(code) = answer.error_code() {
                if code == code::METHOD_NOT_FOUND && page == 0 {
                    list.note(None, false);
                    return Ok(list.finish(Duration::ZERO));
                }
                let what = format!("it answers `{}` with error {code}", listing.method());
                return Err(Fault::Broken(what).of(&self.name));
            }
            let (ttl, is_public) = holds(&answer, era);
            list.note(ttl, is_public);
            let is_left = budget.take(answer.bytes().len());
            let mut all = list.leave_out(answer.left_out(), TOO_DEEP);
            let shown = between.answer(&listing.method(), &answer);
            if !between.is_same() {
                all &= list.leave_out(&hidden(listing, &answer, &shown), NOT_SHOWN);
            }
            let answer = shown;
            all &= add_page(&mut list, listing, &answer);
            match next_page(&answer) {
                Next::End if all => return Ok(list.finish(Duration::ZERO)),
                // An empty one is as good as any.
                Next::Page(next) if all && is_left && followed.insert(hash.hash_one(next.get())) => {
                    cursor = Some(next);
                }
                Next::Page(_) | Next::End | Next::Nonsense => break,
            }
        }
        list.cut();
        Ok(list.finish(Duration::ZERO))
    }
}

/// Adds what a page lists. False when there may be no more.
fn add_page(list: &mut Collecting, listing: Listing, page: &Message) -> bool {
    items(listing, page).into_iter().all(|item| list.add(item))
}

fn items(listing: Listing, page: &Message) -> Vec<&RawValue> {
    let listed = page.result_member(listing.member());
    let listed = listed.and_then(|listed| serde_json::from_slice(listed).ok());
    listed.unwrap_or_default()
}

/// The names of what a page lists as it was sent, and not any more as it is shown.
fn hidden(listing: Listing, sent: &Message, shown: &Message) -> Vec<Box<str>> {
    let (sent, shown) = (items(listing, sent), items(listing, shown));
    if sent.len() == shown.len() {
        return Vec::new();
    }
    let name = |item: &RawValue| -> Option<Box<str>> {
        let item = Object::parse(item.get().as_bytes()).ok()?;
        Some(item.get_text(listing.key())?.into())
    };
    let shown: HashSet<Box<str>> = shown.into_iter().filter_map(name).collect();
    let names = sent.into_iter().filter_map(name);
    names.filter(|name| !shown.contains(name)).collect()
}

fn next_page(page: &Message) -> Next {
    let Some(next) = page.result_member("nextCursor") else {
        return Next::End;
    };
    match next.first() {
        Some(b'n') => Next::End,
        Some(b'"') if next.len() <= LONGEST_CURSOR => {
            serde_json::from_slice(next).map_or(Next::Nonsense, Next::Page)
        }
        Some(_) | None => Next::Nonsense,
    }
}

/// One page of a list, asked as the gateway itself; a cursor is JSON text.
pub(crate) fn list_request(listing: Listing, page: usize, modern: bool, cursor: Option<&str>) -> Message {
    let meta = format!(
        r#""_meta":{{"{}":"{}","{}":{{}},"{}":{}}}"#,
        meta::PROTOCOL_VERSION,
        Revision::V2026_07_28.as_str(),
        meta::CLIENT_CAPABILITIES,
        meta::CLIENT_INFO,
        handshake::implementation()
    );
    let cursor = cursor.map(|cursor| format!(r#""cursor":{cursor}"#));
    let members: Vec<String> = modern.then_some(meta).into_iter().chain(cursor).collect();
    let params = (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")));
    let method = listing.method();
    // Lists are read side by side in one session, where no two questions may have the same id.
    let id = listing as u64 * PAGES as u64 + page as u64 + 1;
    Message::request(&Id::number(id), method.as_str(), params.as_deref())
}
