//! What all followers of a feed want, taken together, and how many of them want each of it.

use std::collections::BTreeMap;

use super::interest::Interest;

/// Different URIs that one feed may ask for.
pub(super) const URIS: usize = 10_000;

/// Bytes of the URIs of all followers of one feed, 64 more counted for each.
pub(super) const BYTES: usize = 16 << 20;

/// Bytes of one URI.
pub(super) const LONGEST_URI: usize = 8 * 1024;

/// What a kept URI costs besides its bytes, about.
const EACH: usize = 64;

#[derive(Default)]
pub(super) struct Tally {
    tools: usize,
    prompts: usize,
    resources: usize,
    uris: BTreeMap<Box<str>, usize>,
    bytes: usize,
}

impl Tally {
    /// Counts what one more wants.
    ///
    /// # Errors
    /// The bound that would be exceeded, in words; then nothing was counted.
    pub(super) fn add(&mut self, interest: &Interest) -> Result<(), String> {
        if interest.uris.iter().any(|uri| uri.len() > LONGEST_URI) {
            return Err(format!("{LONGEST_URI} bytes of a URI that is subscribed to"));
        }
        let known = interest.uris.iter().filter(|uri| self.uris.contains_key(*uri));
        if self.uris.len() + interest.uris.len() - known.count() > URIS {
            return Err(format!(
                "{URIS} resources subscribed to with the same credentials"
            ));
        }
        let bytes = weight(interest);
        if self.bytes + bytes > BYTES {
            return Err(format!(
                "{BYTES} bytes of URIs subscribed to with the same credentials"
            ));
        }
        self.bytes += bytes;
        self.tools += usize::from(interest.tools);
        self.prompts += usize::from(interest.prompts);
        self.resources += usize::from(interest.resources);
        for uri in &interest.uris {
            match self.uris.get_mut(uri) {
                Some(count) => *count += 1,
                None => drop(self.uris.insert(uri.clone(), 1)),
            }
        }
        Ok(())
    }

    /// One who wanted this does not any more.
    pub(super) fn remove(&mut self, interest: &Interest) {
        self.bytes = self.bytes.saturating_sub(weight(interest));
        for (count, wanted) in [
            (&mut self.tools, interest.tools),
            (&mut self.prompts, interest.prompts),
            (&mut self.resources, interest.resources),
        ] {
            *count = count.saturating_sub(usize::from(wanted));
        }
        for uri in &interest.uris {
            match self.uris.get_mut(uri) {
                Some(count) if *count > 1 => *count -= 1,
                Some(_) => drop(self.uris.remove(uri)),
                None => {}
            }
        }
    }

    /// All that is wanted.
    pub(super) fn union(&self) -> Interest {
        Interest {
            tools: self.tools > 0,
            prompts: self.prompts > 0,
            resources: self.resources > 0,
            uris: self.uris.keys().cloned().collect(),
        }
    }
}

fn weight(interest: &Interest) -> usize {
    interest.uris.iter().map(|uri| uri.len() + EACH).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(range: std::ops::Range<usize>) -> Interest {
        Interest {
            tools: true,
            uris: range.map(|number| format!("a://{number}").into()).collect(),
            ..Interest::default()
        }
    }

    #[test]
    fn what_several_want_is_wanted_until_the_last_of_them_does_not() {
        let mut tally = Tally::default();
        tally.add(&numbered(0..2)).unwrap();
        tally.add(&numbered(1..3)).unwrap();
        assert_eq!(tally.union(), numbered(0..3));
        tally.remove(&numbered(0..2));
        assert_eq!(tally.union(), numbered(1..3));
        tally.remove(&numbered(1..3));
        assert!(tally.union().is_empty());
        assert_eq!(tally.bytes, 0);
    }

    #[test]
    fn beyond_a_bound_nothing_is_counted() {
        let mut tally = Tally::default();
        tally.add(&numbered(0..URIS)).unwrap();
        assert!(tally.add(&numbered(0..URIS)).is_ok(), "no others");
        assert!(tally.add(&numbered(0..URIS + 1)).unwrap_err().contains("10000"));
        tally.remove(&numbered(0..URIS));
        assert_eq!(tally.union(), numbered(0..URIS));

        let long = Interest {
            uris: ["x".repeat(LONGEST_URI + 1).into()].into(),
            ..Interest::default()
        };
        assert!(Tally::default().add(&long).unwrap_err().contains("8192"));

        let mut tally = Tally::default();
        let some = numbered(0..URIS);
        let times = BYTES / weight(&some);
        for _ in 0..times {
            tally.add(&some).unwrap();
        }
        assert!(tally.add(&some).is_err());
    }
}
