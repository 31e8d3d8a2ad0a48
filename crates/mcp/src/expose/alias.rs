//! Aliases: the short names of servers that begin every name and URI of theirs at an endpoint of many.

use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// How many bytes an alias may have. It is said again with every tool, and hosts put names of their own before it.
const LONGEST: usize = 16;

/// How many digits of a hash tell apart what would otherwise have the same alias, to begin with.
const DIGITS: usize = 4;

/// What a server is called in names and URIs: a lowercase letter, then up to 15 of `a-z`, `0-9` and `-`.
///
/// It has no `_` and no `+`, so that the first of them ends it. Cloning shares the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias(Arc<str>);

impl Alias {
    /// Reads an alias; `None` if the text is none.
    pub fn parse(text: &str) -> Option<Alias> {
        let mut letters = text.bytes();
        let fits = text.len() <= LONGEST
            && letters.next().is_some_and(|first| first.is_ascii_lowercase())
            && letters.all(|letter| matches!(letter, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        fits.then(|| Alias(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The aliases of all servers of a file, in the order given: the name of each, and the alias written for it, if one
/// is. Names differ from one another, and so do written aliases.
///
/// What is written counts. A name that is an alias is its own. Of any other it is made: lowercase, `-` for what else
/// it has, `s` in front of what is no letter. If that is what another server is called too, or is cut, it ends in
/// digits of the name's hash instead: of two names that begin alike, neither may change when the other comes.
///
/// So no two are the same, and which server has which does not depend on the order of the file.
pub fn aliases<'n>(servers: impl IntoIterator<Item = (&'n str, Option<Alias>)>) -> Vec<Alias> {
    let servers: Vec<_> = servers.into_iter().collect();
    let mut taken: HashSet<Alias> = servers
        .iter()
        .filter_map(|(_, written)| written.clone())
        .collect();
    // Each of these only takes what no other name is.
    let mut found: Vec<Option<Alias>> = Vec::with_capacity(servers.len());
    for (name, written) in &servers {
        let own = || Alias::parse(name).filter(|alias| taken.insert(alias.clone()));
        found.push(written.clone().or_else(own));
    }

    let unnamed = |found: &[Option<Alias>]| -> Vec<usize> {
        (0..found.len()).filter(|index| found[*index].is_none()).collect()
    };
    let mut claims: HashMap<String, usize> = HashMap::new();
    for index in unnamed(&found) {
        *claims.entry(plain(servers[index].0)).or_default() += 1;
    }
    for index in unnamed(&found) {
        let plain = plain(servers[index].0);
        let alone = claims.get(&plain) == Some(&1);
        // What is too long to be an alias is not parsed as one.
        found[index] = Alias::parse(&plain).filter(|alias| alone && taken.insert(alias.clone()));
    }

    // In the order of the names, since the digits of two may be equal.
    let mut rest = unnamed(&found);
    rest.sort_by_key(|index| servers[*index].0);
    for index in rest {
        found[index] = Some(hashed(servers[index].0, &mut taken));
    }
    found.into_iter().flatten().collect()
}

/// A name in the letters of an alias, however long.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len() + 1);
    for letter in name.chars().map(|letter| letter.to_ascii_lowercase()) {
        if plain.is_empty() && !letter.is_ascii_lowercase() {
            plain.push('s');
        }
        match letter {
            'a'..='z' | '0'..='9' => plain.push(letter),
            _ if plain.ends_with('-') => {}
            _ => plain.push('-'),
        }
    }
    plain.truncate(plain.trim_end_matches('-').len());
    if plain.is_empty() { "s".to_owned() } else { plain }
}

/// The alias of a name whose own is taken or too long: its beginning, and digits.
fn hashed(name: &str, taken: &mut HashSet<Alias>) -> Alias {
    let plain = plain(name);
    let mut round = 0_u32;
    loop {
        let hash = Sha256::new()
            .chain_update(name)
            .chain_update([0])
            .chain_update(round.to_be_bytes())
            .finalize();
        // More of them as it goes on, so that it ends however many there are.
        let digits = (DIGITS + round as usize / 4).min(LONGEST - 1);
        let digits = &format!("{hash:x}")[..digits];
        let most = LONGEST.saturating_sub(digits.len() + 1);
        let stem = plain.get(..most).unwrap_or(&plain).trim_end_matches('-');
        let text = match stem {
            "" => format!("s{digits}"),
            stem => format!("{stem}-{digits}"),
        };
        let alias = Alias(text.into());
        if taken.insert(alias.clone()) {
            return alias;
        }
        round += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_that_are_taken_give_way_to_others_and_to_more() {
        let mut taken = HashSet::new();
        let aliases: Vec<Alias> = (0..200).map(|_| hashed("My long name!", &mut taken)).collect();

        assert_eq!(taken.len(), 200);
        for alias in &aliases {
            assert_eq!(Alias::parse(alias.as_str()).as_ref(), Some(alias));
        }
        assert!(aliases[0].as_str().starts_with("my-long-nam-"), "{}", aliases[0]);
        assert!(aliases[199].as_str().starts_with('s'), "{}", aliases[199]);
    }
}
