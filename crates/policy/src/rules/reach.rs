//! Rules that are never reached, since another decides before them.

use std::collections::HashSet;

use config::{Problem, Problems};

use super::rule::Rule;

/// Reports each rule that an earlier one leaves nothing to: a mistake where it says something else, for it was meant
/// to; a warning where it says the same.
pub(super) fn check(rules: &[Rule], problems: &Problems) {
    let mut unconditional: Vec<&Rule> = Vec::new();
    let mut reported = HashSet::new();
    for rule in rules {
        let earlier = unconditional.iter().find(|earlier| earlier.covers(rule));
        if let Some(earlier) = earlier {
            if !reported.insert(rule.index) {
                continue;
            }
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
            unconditional.push(rule);
        }
    }
}
