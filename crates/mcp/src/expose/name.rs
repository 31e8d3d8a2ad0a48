//! One name: what a tool or a prompt of a server is called at an endpoint of many.

use super::Alias;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// What stands between an alias and a name. An alias has no `_`, so the first `_` of an exposed name begins it.
pub(super) const SEPARATOR: &str = "__";

/// How many bytes a name may have for every vendor of models, and how many of them a hash takes, its `_` included.
const LONGEST: usize = 64;
const HASHED: usize = 9;

/// How names are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Style {
    /// `alias__name` of at most 64 of `[a-zA-Z0-9_-]`, as every vendor of models takes it. A name that had to be
    /// changed for that ends in `_` and eight digits of the SHA-256 of what it stands for: no other name ever looks
    /// like it, whatever else the server comes to offer.
    #[default]
    LlmSafe,
    /// `alias__name`, the name as the server says it, of any letters and any length.
    Spec,
    /// The name as the server says it, where only one server has it and it does not begin like another's
    /// `alias__`; otherwise as [`Style::LlmSafe`].
    Bare,
}

/// What had to be done to one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing.
    Own,
    /// The alias stands before it.
    Prefixed,
    /// The alias stands before it, and the digits of this number behind what could be kept of it.
    Hashed(u8),
    /// Its server says it twice. It has no name here.
    LeftOut,
}

impl Form {
    /// How many times other digits can be taken: a SHA-256 has eight times eight.
    pub(super) const HASHES: u8 = 8;

    /// The prefixed form if every vendor takes it, else that with a hash.
    pub(super) fn safe(alias: &Alias, original: &str) -> Form {
        let length = alias.as_str().len() + SEPARATOR.len() + original.len();
        match length <= LONGEST && original.chars().all(is_safe) {
            true => Form::Prefixed,
            false => Form::Hashed(0),
        }
    }

    /// The exposed name; `None` if it has none.
    pub(super) fn write<'n>(self, alias: &Alias, original: &'n str) -> Option<Cow<'n, str>> {
        match self {
            Form::Own => Some(Cow::Borrowed(original)),
            Form::Prefixed => Some(Cow::Owned(format!("{alias}{SEPARATOR}{original}"))),
            Form::Hashed(number) => Some(Cow::Owned(hashed(alias, original, number))),
            Form::LeftOut => None,
        }
    }
}

/// The two parts of an exposed name, of which the first may be an alias.
pub(super) fn split(exposed: &str) -> Option<(&str, &str)> {
    exposed.split_once(SEPARATOR)
}

/// The digits that an exposed name ends in, if it may end in a hash.
pub(super) fn digits(exposed: &str) -> Option<u32> {
    let tail = exposed.as_bytes().last_chunk::<HASHED>()?;
    let (b'_', digits) = (tail[0], std::str::from_utf8(&tail[1..]).ok()?) else {
        return None;
    };
    // What `from_str_radix` also takes, a sign or a capital, is none of ours, and will not be written so again.
    u32::from_str_radix(digits, 16).ok()
}

/// Eight digits of the hash of what a name stands for, as a number.
pub(super) fn hash(alias: &Alias, original: &str, number: u8) -> u32 {
    let hash = Sha256::new()
        .chain_update(alias.as_str())
        .chain_update([0])
        .chain_update(original)
        .finalize();
    let digits = hash.as_chunks::<4>().0.get(usize::from(number % Form::HASHES));
    digits.map_or(0, |digits| u32::from_be_bytes(*digits))
}

fn hashed(alias: &Alias, original: &str, number: u8) -> String {
    let mut name = format!("{alias}{SEPARATOR}");
    let room = LONGEST - HASHED - name.len();
    name.extend(
        original
            .chars()
            .take(room)
            .map(|letter| if is_safe(letter) { letter } else { '_' }),
    );
    name + &format!("_{:08x}", hash(alias, original, number))
}

fn is_safe(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')
}
