//! What a server says of itself, as 2026-07-28 reads it, whatever it speaks.

use std::time::Duration;

use mcp::{Between, Era, Message, Object, Revision, meta};
use sha2::{Digest as _, Sha256};

use super::Listing;
use crate::feed::Interest;
use crate::introduction::Introduction;

/// What a server says of itself. All texts are JSON.
#[derive(Debug)]
pub struct Profile {
    /// The newest revision that it and the gateway speak.
    pub revision: Revision,
    /// `capabilities`: an object.
    pub capabilities: Box<[u8]>,
    /// Who it says it is: an `Implementation`.
    pub server_info: Option<Box<[u8]>>,
    /// How it wants to be used: a string.
    pub instructions: Option<Box<[u8]>>,
    /// How long this holds, if it says so (2026-07-28 `ttlMs`).
    pub ttl: Option<Duration>,
    /// Whether everybody may see it (2026-07-28 `cacheScope: public`).
    pub is_public: bool,
    pub(super) digest: [u8; 32],
}

impl Profile {
    /// What an introduction says.
    pub(super) fn of(introduction: &Introduction) -> Self {
        let revision = introduction.revision;
        let (ttl, is_public) = holds(&introduction.result, revision.era());
        let said = introduction.result.result().map(Object::parse);
        let said = said.and_then(Result::ok);
        let member = |name: &str| said.as_ref().and_then(|said| said.get(name));
        let between = Between {
            client: Revision::V2026_07_28,
            server: revision,
        };
        let capabilities = member("capabilities").filter(|text| text.first() == Some(&b'{'));
        let own_meta = member("_meta").and_then(|meta| Object::parse(meta).ok());
        let server_info = own_meta
            .as_ref()
            .and_then(|meta| meta.get(meta::SERVER_INFO))
            // Where those before 2026-07-28 say it, and some since.
            .or_else(|| member("serverInfo"))
            .filter(|text| text.first() == Some(&b'{'));
        let instructions = member("instructions").filter(|text| text.first() == Some(&b'"'));
        Self::new(
            revision,
            between.server_capabilities(capabilities.unwrap_or(b"{}")).into(),
            server_info.map(Into::into),
            instructions.map(Into::into),
            ttl,
            is_public,
        )
    }

    pub(super) fn new(
        revision: Revision,
        capabilities: Box<[u8]>,
        server_info: Option<Box<[u8]>>,
        instructions: Option<Box<[u8]>>,
        ttl: Option<Duration>,
        is_public: bool,
    ) -> Self {
        let mut hash = Sha256::new();
        for text in [
            revision.as_str().as_bytes(),
            &capabilities,
            server_info.as_deref().unwrap_or_default(),
            instructions.as_deref().unwrap_or_default(),
            &[u8::from(is_public)],
        ] {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
        Self {
            revision,
            capabilities,
            server_info,
            instructions,
            ttl,
            is_public,
            digest: hash.finalize().into(),
        }
    }

    /// Whether it says that it has such a list.
    pub fn declares(&self, listing: Listing) -> bool {
        self.capability(listing).is_some()
    }

    /// The lists whose changes it says it will tell.
    pub(super) fn tells(&self) -> Interest {
        self.lists(|listing| {
            let capability = self.capability(listing);
            let capability = capability.as_ref().and_then(|text| Object::parse(text).ok());
            capability.is_some_and(|capability| capability.get("listChanged") == Some(b"true"))
        })
    }

    /// The lists that it has, and that may change.
    pub(super) fn changes(&self) -> Interest {
        self.lists(|listing| self.declares(listing))
    }

    fn lists(&self, has: impl Fn(Listing) -> bool) -> Interest {
        Interest {
            tools: has(Listing::Tools),
            prompts: has(Listing::Prompts),
            resources: has(Listing::Resources),
            ..Interest::default()
        }
    }

    /// Bytes of memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let optional = |text: &Option<Box<[u8]>>| text.as_ref().map_or(0, |text| text.len());
        self.capabilities.len()
            + optional(&self.server_info)
            + optional(&self.instructions)
            + size_of::<Self>()
    }

    fn capability(&self, listing: Listing) -> Option<&[u8]> {
        let declared = Object::parse(&self.capabilities).ok()?;
        let capability = declared.get(listing.capability())?;
        (capability.first() == Some(&b'{')).then_some(capability)
    }
}

/// For how long a result holds, and whether for everybody, if a server of this era can say so.
pub(super) fn holds(result: &Message, era: Era) -> (Option<Duration>, bool) {
    if era == Era::Legacy {
        return (None, false);
    }
    let ttl = result.result_member("ttlMs");
    let ttl = ttl.and_then(|text| serde_json::from_slice::<u64>(text).ok());
    let is_public = result.result_member("cacheScope") == Some(b"\"public\"");
    (ttl.map(Duration::from_millis), is_public)
}
