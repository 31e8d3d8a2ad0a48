//! On what condition: what must be so of a tool and of its arguments for a rule to speak of a call.

use config::{Field, Fields, scalar};

use super::arguments::{self, Arguments, Doubt, Met};
use super::explanation::Reason;
use super::expression::{Expression, Late};
use super::wanted::{AnyOf, any_of};
use super::{Known, Subject};

/// All of these must be met.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    arguments: Vec<Argument>,
    annotations: Vec<(Hint, bool)>,
    when: Option<Expression>,
}

/// An argument by its path, and what it should be.
#[derive(Debug, Clone)]
struct Argument {
    written: String,
    path: Vec<String>,
    wanted: AnyOf,
}

/// What a tool may declare of itself (2025-11-25, `ToolAnnotations`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) key: &'static str,
    /// What holds where it declares nothing.
    default: bool,
}

pub(super) const HINTS: [Hint; 4] = [
    Hint {
        key: "readOnlyHint",
        default: false,
    },
    Hint {
        key: "destructiveHint",
        default: true,
    },
    Hint {
        key: "idempotentHint",
        default: false,
    },
    Hint {
        key: "openWorldHint",
        default: true,
    },
];

/// How deep a path may lead: each step reads what is there once more.
const DEEPEST: usize = 8;

/// What a call brings.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'g, 'a> {
    /// It is not known, since there is no call yet.
    Unknown,
    /// These, or none.
    Arguments(&'g Arguments<'a>),
}

/// What is asked of the rules that speak of its caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'c, 'a> {
    /// What expressions read of the caller.
    pub(super) caller: &'c Late,
    pub(super) upstream: &'c str,
    pub(super) subject: &'c Subject<'c>,
    /// Its URI, as its server may come to read it.
    pub(super) read: Option<&'c str>,
    pub(super) given: Given<'c, 'a>,
}

/// Whether a rule speaks of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit<'r> {
    Yes,
    /// That depends on the arguments.
    Unknown,
    Doubt(Doubt),
    No(Reason<'r>),
}

impl<'r> Fit<'r> {
    /// Both: one that is not met settles it. What is in doubt and depends on the arguments as well is in doubt to a
    /// rule that allows, which will not; one that denies (`is_wary`) may still turn out not to speak of the call.
    pub(super) fn and(self, is_wary: bool, other: impl FnOnce() -> Self) -> Self {
        if let Self::No(_) = self {
            return self;
        }
        match (self, other()) {
            (_, no @ Self::No(_)) => no,
            (Self::Unknown, Self::Doubt(_)) | (Self::Doubt(_), Self::Unknown) if is_wary => Self::Unknown,
            (doubt @ Self::Doubt(_), _) | (_, doubt @ Self::Doubt(_)) => doubt,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Yes | Self::No(_), Self::Yes) => Self::Yes,
        }
    }

    pub(super) fn of(met: Met, reason: Reason<'r>) -> Self {
        match met {
            Met::Yes => Self::Yes,
            Met::No => Self::No(reason),
            Met::Doubt(doubt) => Self::Doubt(doubt),
        }
    }
}

impl Conditions {
    /// Reads `arguments`, `annotations` and `when`.
    pub(super) fn check(fields: &mut Fields<'_>, known: &Known<'_>) -> Self {
        Self {
            arguments: arguments(&fields.optional("arguments")),
            annotations: annotations(&fields.optional("annotations")),
            when: Expression::check(&fields.optional("when"), &known.parameters()),
        }
    }

    /// Whether there is none.
    pub(super) fn are_none(&self) -> bool {
        self.arguments.is_empty() && self.annotations.is_empty() && self.when.is_none()
    }

    /// The expression of `when`.
    pub(super) fn when(&self) -> Option<&Expression> {
        self.when.as_ref()
    }

    /// Whether they are met. `is_wary` of those of a rule that denies: of a list of arguments one is enough then.
    pub(super) fn fit(&self, call: &Call<'_, '_>, is_wary: bool) -> Fit<'_> {
        self.annotated(call.subject, is_wary)
            .and(is_wary, || self.argued(call.given, is_wary))
            .and(is_wary, || {
                self.when.as_ref().map_or(Fit::Yes, |when| when.fit(call))
            })
    }

    fn annotated(&self, subject: &Subject<'_>, is_wary: bool) -> Fit<'_> {
        let mut fit = Fit::Yes;
        for (hint, wanted) in &self.annotations {
            let Subject::Tool { annotations, .. } = *subject else {
                return Fit::No(Reason::Kind);
            };
            fit = fit.and(is_wary, || match hint.of(annotations) {
                Ok(declared) if declared == *wanted => Fit::Yes,
                Ok(_) => Fit::No(Reason::Annotation(hint.key)),
                Err(doubt) => Fit::Doubt(doubt),
            });
        }
        fit
    }

    fn argued(&self, given: Given<'_, '_>, is_wary: bool) -> Fit<'_> {
        let mut fit = Fit::Yes;
        for argument in &self.arguments {
            fit = fit.and(is_wary, || match given {
                Given::Unknown => Fit::Unknown,
                Given::Arguments(json) => {
                    let met = arguments::met(json, &argument.path, &argument.wanted, !is_wary);
                    Fit::of(met, Reason::Argument(&argument.written))
                }
            });
        }
        fit
    }
}

impl Hint {
    /// What a tool declares by it.
    pub(super) fn of(self, annotations: Option<&[u8]>) -> Result<bool, Doubt> {
        let annotations = annotations.unwrap_or_default().trim_ascii();
        if annotations.is_empty() || annotations == b"null" {
            return Ok(self.default);
        }
        match arguments::member(annotations, self.key)? {
            None | Some(b"null") => Ok(self.default),
            Some(b"true") => Ok(true),
            Some(b"false") => Ok(false),
            Some(_) => Err(Doubt::Shape),
        }
    }
}

fn arguments(field: &Field<'_>) -> Vec<Argument> {
    let entries = field.entries().unwrap_or_default().into_iter();
    let arguments = entries.filter_map(|(written, field)| {
        let written = written.value;
        let path: Vec<String> = written.split('.').map(str::to_owned).collect();
        let shown = scalar::shown(&written);
        if path.iter().any(String::is_empty) {
            let hint = "write the names of objects and of what is in them with dots between: `filter.kind`";
            field.report(format!("`{shown}` is not the path of an argument"), Some(hint));
        } else if path.len() > DEEPEST {
            let text = format!("`{shown}` leads deeper than {DEEPEST} levels");
            field.report(text, Some("write it as `when: args.…`"));
        }
        let wanted = any_of(&field)?;
        Some(Argument {
            written,
            path,
            wanted,
        })
    });
    arguments.collect()
}

fn annotations(field: &Field<'_>) -> Vec<(Hint, bool)> {
    let Some(mut fields) = field.fields() else {
        return Vec::new();
    };
    let wanted = HINTS.into_iter().filter_map(|hint| {
        let wanted = fields.optional(hint.key).flag()?;
        Some((hint, wanted.value))
    });
    let wanted = wanted.collect();
    fields.finish();
    wanted
}
