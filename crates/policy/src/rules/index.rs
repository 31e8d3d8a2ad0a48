//! An index of the rules by what they name, so that ten thousand of them cost a call no more than those of its tool.

use std::collections::HashMap;

use super::rule::Rule;
use super::{Known, Subject};

/// Which rules may speak of a thing. Names are looked up, patterns are all tried.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    all: Vec<u32>,
    everywhere: Bucket,
    by_upstream: HashMap<Box<str>, Bucket>,
}

/// What may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Tool,
    Prompt,
    Resource,
    Other,
}

pub(super) const KINDS: [Kind; 4] = [Kind::Tool, Kind::Prompt, Kind::Resource, Kind::Other];

/// Places of rules, in order.
#[derive(Debug, Clone, Default)]
struct Bucket {
    tools: HashMap<Box<str>, Vec<u32>>,
    prompts: HashMap<Box<str>, Vec<u32>>,
    /// By kind: those that name one of it by a pattern, and those that name nothing.
    others: [Vec<u32>; 4],
}

/// Rules in the order of the file, none of them twice.
#[derive(Debug)]
pub(super) struct Candidates<'i>([&'i [u32]; 4]);

impl Index {
    pub(super) fn of(rules: &[Rule], known: &Known<'_>) -> Self {
        let mut index = Self::default();
        for (place, rule) in (0..).zip(rules) {
            index.all.push(place);
            let upstreams = known.upstreams.iter();
            let said: Vec<_> = upstreams.filter(|name| rule.place.says_upstream(name)).collect();
            for name in known.upstreams {
                index.by_upstream.entry((*name).into()).or_default();
            }
            if !rule.place.names_upstreams() || said.len() == known.upstreams.len() {
                index.everywhere.add(place, rule);
                continue;
            }
            for name in said {
                index
                    .by_upstream
                    .entry((**name).into())
                    .or_default()
                    .add(place, rule);
            }
        }
        index
    }

    /// The rules that may speak of this: all that do are among them.
    pub(super) fn candidates(&self, upstream: &str, subject: &Subject<'_>) -> Candidates<'_> {
        let Some(here) = self.by_upstream.get(upstream) else {
            return Candidates([&self.all, &[], &[], &[]]);
        };
        let [one, two] = self.everywhere.of(subject);
        let [three, four] = here.of(subject);
        Candidates([one, two, three, four])
    }
}

impl Bucket {
    fn add(&mut self, place: u32, rule: &Rule) {
        for kind in KINDS {
            if !rule.names.speaks_of(kind) {
                continue;
            }
            let by_name = match kind {
                Kind::Tool => Some(&mut self.tools),
                Kind::Prompt => Some(&mut self.prompts),
                Kind::Resource | Kind::Other => None,
            };
            match by_name.zip(rule.names.exact(kind)) {
                Some((by_name, names)) => {
                    names.for_each(|name| by_name.entry(name.into()).or_default().push(place));
                }
                None => self.others[kind as usize].push(place),
            }
        }
    }

    fn of(&self, subject: &Subject<'_>) -> [&[u32]; 2] {
        let named = match *subject {
            Subject::Tool { name, .. } => self.tools.get(name),
            Subject::Prompt { name } => self.prompts.get(name),
            Subject::Resource { .. } | Subject::Other => None,
        };
        [
            named.map_or(&[], Vec::as_slice),
            &self.others[subject.kind() as usize],
        ]
    }
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let next = self.0.iter().filter_map(|places| places.first().copied()).min()?;
        for places in &mut self.0 {
            if places.first() == Some(&next) {
                *places = &places[1..];
            }
        }
        Some(next)
    }
}

impl Subject<'_> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Tool { .. } => Kind::Tool,
            Self::Prompt { .. } => Kind::Prompt,
            Self::Resource { .. } => Kind::Resource,
            Self::Other => Kind::Other,
        }
    }
}
