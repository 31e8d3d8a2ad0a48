//! Rules that are never reached, since another decides before them.

use std::collections::HashMap;

use config::{Problem, Problems};

use super::index::{KINDS, Kind};
use super::rule::Rule;

/// How many pairs of rules are compared, so that ten thousand patterns do not keep a file from being read. What comes
/// after is not told of.
const MOST_COMPARED: usize = 2_000_000;

/// Rules without conditions, by what they name exactly.
#[derive(Default)]
struct Deciding<'r> {
    by_name: HashMap<(Kind, &'r str), Vec<&'r Rule>>,
    /// Those that name something else as well, or nothing.
    others: Vec<&'r Rule>,
}

/// Reports each rule that an earlier one leaves nothing to: a mistake where it says something else, for it was meant
/// to; a warning where it says the same.
pub(super) fn check(rules: &[Rule], problems: &Problems) {
    let mut deciding = Deciding::default();
    let mut compared = 0;
    for rule in rules {
        let mut candidates = deciding.candidates(rule).inspect(|_| compared += 1);
        let earlier = candidates.find(|earlier| earlier.covers(rule));
        drop(candidates);
        if let Some(earlier) = earlier {
            let line = earlier.line();
            let text = format!("this rule is never reached: the one in line {line} decides before it");
            let problem = Problem::new(Some(rule.at), &rule.path, text);
            let is_harmless = earlier.effect() == rule.effect();
            problems.add(if is_harmless {
                problem.hint("leave it out").warning()
            } else {
                problem.hint(format!(
                    "the first rule that matches decides: put it before line {line}"
                ))
            });
        } else if rule.conditions.are_none() {
            deciding.add(rule);
        }
        if compared > MOST_COMPARED {
            return;
        }
    }
}

impl<'r> Deciding<'r> {
    fn add(&mut self, rule: &'r Rule) {
        let mut has_others = false;
        for kind in KINDS.into_iter().filter(|kind| rule.names.speaks_of(*kind)) {
            match rule.names.exact(kind) {
                Some(names) => {
                    names.for_each(|name| self.by_name.entry((kind, name)).or_default().push(rule))
                }
                None => has_others = true,
            }
        }
        if has_others {
            self.others.push(rule);
        }
    }

    /// Those that may cover a rule: they speak of the first that it names, if it names any exactly.
    fn candidates(&self, rule: &'r Rule) -> impl Iterator<Item = &'r Rule> {
        let named = rule.names.first().and_then(|first| self.by_name.get(&first));
        named.into_iter().flatten().chain(&self.others).copied()
    }
}
