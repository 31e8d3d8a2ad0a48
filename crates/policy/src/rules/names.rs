//! What: the tools, prompts and resources that a rule speaks of, by the names that their server gives them.

use config::Fields;

use super::Subject;
use super::index::Kind;
use super::wanted::{self, warn_empty};
use super::who::covers;
use crate::pick::{self, Pattern};

/// Everything, or what is named of each kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    tools: Option<Vec<Pattern>>,
    prompts: Option<Vec<Pattern>>,
    resources: Option<Vec<Pattern>>,
}

impl Names {
    /// Reads `tools`, `prompts` and `resources`.
    pub(super) fn check(fields: &mut Fields<'_>) -> Self {
        let [tools, prompts, resources] = ["tools", "prompts", "resources"].map(|key| {
            let field = fields.optional(key);
            let patterns = pick::patterns(&field);
            if patterns.as_ref().is_some_and(Vec::is_empty) {
                warn_empty(&field, "nothing");
            }
            patterns
        });
        Self {
            tools,
            prompts,
            resources,
        }
    }

    /// Whether it names none of the three.
    pub(super) fn is_everything(&self) -> bool {
        self.tools.is_none() && self.prompts.is_none() && self.resources.is_none()
    }

    /// Whether it speaks of this. A URI counts as it is written and as its server may come to read it (`read`): who
    /// allows must mean both, who denies (`is_wary`) either.
    pub(super) fn say(&self, subject: &Subject<'_>, read: Option<&str>, is_wary: bool) -> bool {
        let says = |patterns: &Option<Vec<Pattern>>, says: &dyn Fn(&Pattern) -> bool| {
            patterns
                .as_ref()
                .is_some_and(|patterns| patterns.iter().any(says))
        };
        if self.is_everything() {
            return true;
        }
        match *subject {
            Subject::Tool { name, .. } => says(&self.tools, &|pattern| pattern.matches(name)),
            Subject::Prompt { name } => says(&self.prompts, &|pattern| pattern.matches(name)),
            Subject::Resource { uri } => {
                let as_written = says(&self.resources, &|pattern| pattern.matches(uri));
                let as_read = says(&self.resources, &|pattern| {
                    pattern.matches_read(read.unwrap_or(uri))
                });
                if is_wary {
                    as_written || as_read
                } else {
                    as_written && as_read
                }
            }
            Subject::Other => false,
        }
    }

    /// The names of this kind, where it names some and none by a pattern. A URI has many spellings, and is none.
    pub(super) fn exact(&self, kind: Kind) -> Option<impl Iterator<Item = &str>> {
        let patterns = match kind {
            Kind::Tool => self.tools.as_deref()?,
            Kind::Prompt => self.prompts.as_deref()?,
            Kind::Resource | Kind::Other => return None,
        };
        let names = patterns.iter().map(|pattern| pattern.written.value.as_str());
        let is_exact = |name: &str| !name.contains(['*', '?']);
        names.clone().all(is_exact).then_some(names)
    }

    /// The first that it names of tools, or else of prompts.
    pub(super) fn first(&self) -> Option<(Kind, &str)> {
        let tools = self.tools.iter().flatten().map(|tool| (Kind::Tool, tool));
        let prompts = self.prompts.iter().flatten().map(|prompt| (Kind::Prompt, prompt));
        let first = tools.chain(prompts).next();
        first.map(|(kind, pattern)| (kind, pattern.written.value.as_str()))
    }

    /// Whether it speaks of anything of this kind.
    pub(super) fn speaks_of(&self, kind: Kind) -> bool {
        let named = match kind {
            Kind::Tool => self.tools.is_some(),
            Kind::Prompt => self.prompts.is_some(),
            Kind::Resource => self.resources.is_some(),
            Kind::Other => false,
        };
        named || self.is_everything()
    }

    /// Whether it speaks of all that the other speaks of. It may say no where that is so.
    pub(super) fn covers(&self, other: &Self, is_wary: bool) -> bool {
        let of_pattern = |one: &Pattern, other: &Pattern| {
            wanted::covers(&one.written.value, |name| one.matches(name), &other.written.value)
        };
        // What one who denies means may be more than what one who allows does by the same pattern.
        let of_uri = |one: &Pattern, other: &Pattern| one.written.value == "*" || (!is_wary && one == other);
        let unnamed = |patterns: &Option<Vec<Pattern>>| patterns.is_none();
        let each = |these: &Option<Vec<Pattern>>,
                    others: &Option<Vec<Pattern>>,
                    of: &dyn Fn(&Pattern, &Pattern) -> bool| {
            unnamed(others) || (!unnamed(these) && covers(these.as_deref(), others.as_deref(), of))
        };
        self.is_everything()
            || !other.is_everything()
                && each(&self.tools, &other.tools, &of_pattern)
                && each(&self.prompts, &other.prompts, &of_pattern)
                && each(&self.resources, &other.resources, &of_uri)
    }
}
