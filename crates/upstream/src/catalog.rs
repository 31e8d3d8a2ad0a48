//! What a server has, as it shows it to who presents one set of credentials: what it says of itself, and its
//! four lists.
//!
//! A [`Catalog`] is read once for all who wait, answered from at once however old it is, and read anew behind
//! (`protocol.md` §3.6, §3.9). All of it is in the shapes of 2026-07-28, whatever the server speaks, and
//! otherwise as it was sent. It outlives a restart in the state directory ([`Store`]), so that only the first
//! contact ever waits.

mod list;
mod profile;
mod reading;
mod shelf;
mod keeping;
mod tally;

mod store;
mod file;

use std::sync::Arc;
use std::time::Duration;

use mcp::Method;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::error::{Error, Fault};
use crate::registry::Upstream;
use crate::transport::Headers;

pub use list::{Item, List};
pub use profile::Profile;
pub(crate) use reading::list_request;
pub(crate) use shelf::Catalogs;
pub use store::{Place, Store};
pub(crate) use tally::Outcome;

/// One of the four lists that a server may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listing {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    Templates,
}

/// What an upstream shows to who presents one set of credentials: a snapshot that stays as it is.
#[derive(Debug)]
pub struct Catalog {
    /// What it says of itself.
    pub profile: Arc<Profile>,
    /// Another number for another content: of the profile, the items, their order and who may see them. A
    /// digest, equal on every replica and after every restart. When it was read and for how long that holds
    /// are no part of it.
    pub generation: u64,
    /// Bytes of memory that it takes, about.
    pub bytes: usize,
    lists: [Option<Arc<List>>; 4],
}

impl Upstream {
    /// What it has, at once when that was read before, however long ago; it is then read anew behind when
    /// that is due. Otherwise it is read now, once for all who wait for it, and they wait for as long as
    /// `within`, from the first of them on: who comes later to a server that hangs does not wait again. The
    /// reading goes on for those who come when it is done.
    ///
    /// Credentials are `headers.injected`; what else a client sent is not passed on.
    ///
    /// # Errors
    /// What kept it from being read: at once when it failed just now and is to be tried again behind.
    /// [`Fault::Silent`] when it was not there `within` that time, [`Fault::Removed`] when the upstream was
    /// removed before it was read.
    pub async fn catalog(
        self: &Arc<Self>,
        headers: &Headers,
        within: Duration,
    ) -> Result<Arc<Catalog>, Error> {
        let entry = self.catalog_in_use(headers);
        if let Some(answer) = entry.answer() {
            return answer;
        }
        // Before the first look, so that nothing is missed between it and the wait.
        let mut settled = entry.settled();
        let answered = async {
            loop {
                if let Some(answer) = entry.answer() {
                    return answer;
                }
                if settled.changed().await.is_err() {
                    return Err(Fault::Removed.of(&self.name));
                }
            }
        };
        let silent = |_| Err(Fault::Silent(within).of(&self.name));
        tokio::time::timeout(entry.patience(within), answered)
            .await
            .unwrap_or_else(silent)
    }

    /// Another number after each change that was heard of: the server told of one, another catalog was read, or another
    /// server may answer there now. Equal numbers say that nothing of the kind was heard meanwhile. Asking keeps the
    /// catalog fresh as using it does.
    pub fn catalog_stamp(self: &Arc<Self>, headers: &Headers) -> u64 {
        self.catalog_in_use(headers).stamp()
    }

    /// How many tools it listed when it was asked last, with whatever credentials, and how long ago that was. Nothing is
    /// asked for it; none when it was never listed, or is too long ago to be remembered.
    pub fn known_tools(&self) -> Option<(usize, Duration)> {
        let tools = self.catalogs.newest_tools()?;
        Some((tools.items.len(), tools.age()))
    }

    /// Told of the [`generation`](Catalog::generation) of each newer catalog of these credentials; 0 while
    /// there is none that is shown. As long as it is held, the catalog is kept fresh as if it were used. It ends when the
    /// upstream is removed, and when more sets of credentials are in use than are kept.
    pub fn catalog_changes(self: &Arc<Self>, headers: &Headers) -> watch::Receiver<u64> {
        self.catalog_in_use(headers).news()
    }
}

impl Listing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// What it is called in metrics: `tools`, `prompts`, `resources` or `templates`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "templates",
        }
    }

    /// The method that asks for it.
    pub fn method(self) -> Method {
        match self {
            Self::Tools => Method::ToolsList,
            Self::Prompts => Method::PromptsList,
            Self::Resources => Method::ResourcesList,
            Self::Templates => Method::ResourcesTemplatesList,
        }
    }

    /// The member of its result that holds the items.
    pub fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// The member of an item that names it within its list.
    pub fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// The server capability without which there is no such list.
    pub fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources | Self::Templates => "resources",
        }
    }
}

impl Catalog {
    fn new(profile: Arc<Profile>, lists: [Option<Arc<List>>; 4]) -> Self {
        let mut hash = Sha256::new();
        hash.update(profile.digest);
        for list in &lists {
            hash.update(list.as_ref().map_or([0; 16], |list| list.digest));
        }
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        let held = lists.iter().flatten().map(|list| list.bytes).sum::<usize>();
        Self {
            bytes: profile.bytes() + held + size_of::<Self>(),
            // 0 is said where there is none.
            generation: u64::from_le_bytes([a, b, c, d, e, f, g, h]).max(1),
            profile,
            lists,
        }
    }

    /// One of its lists; none when the server does not declare it, or has not told it since it was first
    /// asked.
    pub fn list(&self, listing: Listing) -> Option<&Arc<List>> {
        self.lists[listing as usize].as_ref()
    }

    /// Whether a list that the server declares could not be read.
    pub fn lacks(&self, listing: Listing) -> bool {
        self.profile.declares(listing) && self.list(listing).is_none()
    }
}

#[cfg(test)]
mod tests;
