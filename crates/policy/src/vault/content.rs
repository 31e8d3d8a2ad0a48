//! What a file of the vault holds, before it is sealed: whose it is, and names and values with their lengths.

use std::hint::black_box;

use config::Secret;

use super::{Owner, Values};

/// The form. Another one is not read.
const VERSION: u8 = 1;

pub(super) struct Content {
    pub(super) owner: Owner,
    pub(super) values: Values,
}

impl Content {
    pub(super) fn encode(&self) -> Vec<u8> {
        let texts = || {
            let pairs = self.values.iter();
            pairs.flat_map(|(name, value)| [name.as_str(), value.expose()])
        };
        let length: usize = texts().map(|text| text.len() + 4).sum();
        // All of it at once: a list that grows leaves its former places unwiped.
        let mut bytes = Vec::with_capacity(1 + self.owner.len() + length);
        bytes.push(VERSION);
        bytes.extend(self.owner);
        for text in texts() {
            // What is kept is far shorter than 4 GiB.
            bytes.extend((text.len() as u32).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    /// None if these bytes are not what we write.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (owner, mut rest) = rest.split_first_chunk()?;
        if *version != VERSION {
            return None;
        }
        let mut values = Values::new();
        while !rest.is_empty() {
            let name = text(&mut rest)?;
            let value = text(&mut rest)?;
            values.insert(name.to_owned(), Secret::from(value));
        }
        Some(Self {
            owner: *owner,
            values,
        })
    }
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, after) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (text, after) = after.split_at_checked(length)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

/// Leaves nothing of it.
pub(crate) fn wipe(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.capacity(), 0);
    bytes.fill(0);
    // Without an observer the compiler may leave out a write that nobody reads.
    black_box(bytes);
}
