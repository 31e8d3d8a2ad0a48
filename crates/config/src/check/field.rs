//! One value, read as what it should be.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::{Fields, Located, with_hint};
use crate::node::{Entry, Location, Node, Value};
use crate::problem::{self, Problem, Problems};
use crate::scalar::{self, Wrong};
use crate::secret::Secret;
use crate::template::{Environment, Template};

/// One place in the document that may hold a value.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    node: Option<&'a Node>,
    at: Location,
    path: String,
    problems: &'a Problems,
}

impl<'a> Field<'a> {
    /// The whole document.
    #[must_use]
    pub fn root(node: &'a Node, problems: &'a Problems) -> Self {
        Self {
            node: Some(node),
            at: node.at,
            path: String::new(),
            problems,
        }
    }

    pub(super) fn of(entry: &'a Entry, path: String, problems: &'a Problems) -> Self {
        Self {
            node: Some(&entry.node),
            at: entry.at,
            path,
            problems,
        }
    }

    pub(super) fn absent(at: Location, path: String, problems: &'a Problems) -> Self {
        Self {
            node: None,
            at,
            path,
            problems,
        }
    }

    /// The value as a mapping of known keys. An empty one is fine.
    pub fn fields(&self) -> Option<Fields<'a>> {
        let entries: &[Entry] = match self.node.map(|node| &node.value)? {
            Value::Map(entries) => entries,
            Value::Null => &[],
            Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                return self.expected("a map of keys");
            }
        };
        Some(Fields {
            entries,
            asked: Vec::new(),
            at: self.at,
            path: self.path.clone(),
            problems: self.problems,
        })
    }

    /// The value as a mapping whose keys are the operator's own: names, header lines, variables.
    pub fn entries(&self) -> Option<Vec<(Located<String>, Field<'a>)>> {
        let Value::Map(entries) = self.written()? else {
            return self.expected("a map");
        };
        let entries = entries.iter().map(|entry| {
            let path = problem::join(&self.path, &entry.key);
            let key = Located {
                value: entry.key.clone(),
                at: entry.at,
                path: path.clone(),
            };
            (key, Self::of(entry, path, self.problems))
        });
        Some(entries.collect())
    }

    /// The value as a list.
    pub fn list(&self) -> Option<Vec<Field<'a>>> {
        let Value::List(items) = self.written()? else {
            let hint = match self.text_as_written() {
                Some(text) if !problem::sounds_secret(&self.path) => {
                    format!("write `[{}]`", scalar::shown(text))
                }
                Some(_) | None => "put it in `[ … ]`".to_owned(),
            };
            return self.expected_with("a list", Some(&hint));
        };
        let items = items.iter().enumerate().map(|(index, node)| Self {
            node: Some(node),
            at: node.at,
            path: problem::item(&self.path, index),
            problems: self.problems,
        });
        Some(items.collect())
    }

    /// The value as a list of texts.
    pub fn texts(&self) -> Option<Located<Vec<String>>> {
        let items = self.list()?;
        let texts: Vec<_> = items
            .iter()
            .map(|item| item.text().map(Located::into_value))
            .collect();
        Some(self.located(texts.into_iter().collect::<Option<_>>()?))
    }

    /// The value as text. Numbers and `true` are text too where text is wanted (`env: { PORT: 8080 }`).
    pub fn text(&self) -> Option<Located<String>> {
        self.parsed(|text| Ok(text.to_owned()))
    }

    /// The value as text that is never shown. For one that may name the environment:
    /// [`Field::resolved_secret`].
    pub fn secret(&self) -> Option<Located<Secret>> {
        self.parsed(|text| Ok(Secret::from(text)))
    }

    /// The value as `true` or `false`.
    pub fn flag(&self) -> Option<Located<bool>> {
        match self.written()? {
            Value::Bool(flag) => Some(self.located(*flag)),
            Value::Text(text) => {
                let hint = match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "true" => Some("did you mean `true`?"),
                    "no" | "off" | "false" => Some("did you mean `false`?"),
                    _ => None,
                };
                self.expected_with("`true` or `false`", hint)
            }
            Value::Null | Value::Number(_) | Value::List(_) | Value::Map(_) => {
                self.expected("`true` or `false`")
            }
        }
    }

    /// The value as a number within bounds.
    pub fn number<T>(&self, range: RangeInclusive<T>) -> Option<Located<T>>
    where
        T: FromStr + PartialOrd + Display,
    {
        self.parsed(|text| {
            let wanted = || format!("write one from {} to {}", range.start(), range.end());
            match text.replace('_', "").parse::<T>() {
                Ok(number) if range.contains(&number) => Ok(number),
                Ok(_) => Err(Wrong::new(format!("`{}` is out of range", scalar::shown(text))).hint(wanted())),
                Err(_) => Err(
                    Wrong::new(format!("`{}` is not a number we can use", scalar::shown(text)))
                        .hint(wanted()),
                ),
            }
        })
    }

    /// The value as a length of time: `300s`, `10m`, `500ms`.
    pub fn duration(&self) -> Option<Located<Duration>> {
        self.parsed(scalar::duration)
    }

    /// The value as a number of bytes: `10MiB`.
    pub fn size(&self) -> Option<Located<u64>> {
        self.parsed(scalar::size)
    }

    /// The value as one of a few words, and what each word means.
    pub fn choice<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<Located<T>> {
        self.parsed(|text| {
            if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
                return Ok(*meaning);
            }
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            Err(
                Wrong::new(format!("`{}` is not a choice here", scalar::shown(text)))
                    .hint(scalar::suggestion(text, &known)),
            )
        })
    }

    /// The value as whatever `parse` makes of its text; see [`scalar`] for such functions.
    pub fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<Located<T>> {
        self.written()?;
        let Some(text) = self.text_as_written() else {
            return self.expected("text");
        };
        self.located(text).checked(self.problems, parse)
    }

    /// The value as a template, what it needs from environment and files already in it.
    pub fn template(&self, environment: &dyn Environment) -> Option<Located<Template>> {
        self.written()?;
        let Some(text) = self.text_as_written() else {
            return self.expected("text");
        };
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(error) => {
                self.report(error.to_string(), error.hint.as_deref());
                return None;
            }
        };
        match template.resolve(environment) {
            Ok(template) => Some(self.located(template)),
            Err(missing) => {
                missing
                    .iter()
                    .for_each(|missing| self.report(missing.to_string(), missing.hint().as_deref()));
                None
            }
        }
    }

    /// The value as text in which `${NAME}`, `${env:NAME}` and `${file:PATH}` stand for what they name.
    pub fn resolved_text(&self, environment: &dyn Environment) -> Option<Located<String>> {
        let template = self.template(environment)?;
        if let Some(text) = template.value.as_static() {
            return Some(self.located(text.to_owned()));
        }
        for (kind, name) in template.value.needs() {
            let text = format!("`${{{kind}:{name}}}` is only known during a call");
            self.report(text, Some("only `${env:…}` and `${file:…}` can be used here"));
        }
        None
    }

    /// As [`Field::resolved_text`], never shown.
    pub fn resolved_secret(&self, environment: &dyn Environment) -> Option<Located<Secret>> {
        self.resolved_text(environment).map(|text| text.map(Secret::from))
    }

    /// Whether anything is written here.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.written().is_some()
    }

    /// The node itself, for values of several shapes (`auth: none`, `auth: { … }`).
    #[must_use]
    pub fn node(&self) -> Option<&'a Node> {
        self.node
    }

    /// The text, if that is what is written; nothing is reported if not.
    #[must_use]
    pub fn word(&self) -> Option<&'a str> {
        match self.written()? {
            Value::Text(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Where in the document: its key's line, or its own in a list.
    #[must_use]
    pub fn at(&self) -> Location {
        self.at
    }

    /// Which setting: `upstreams.crm.url`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The collector, for checks that outlive this field.
    #[must_use]
    pub fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// Reports something about this value.
    pub fn report(&self, text: impl Into<String>, hint: Option<&str>) {
        self.problems
            .add(with_hint(Problem::new(Some(self.at), &self.path, text), hint));
    }

    fn written(&self) -> Option<&'a Value> {
        self.node
            .map(|node| &node.value)
            .filter(|value| **value != Value::Null)
    }

    fn text_as_written(&self) -> Option<&'a str> {
        match self.written()? {
            Value::Text(text) | Value::Number(text) => Some(text),
            Value::Bool(flag) => Some(if *flag { "true" } else { "false" }),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        self.expected_with(what, None)
    }

    fn expected_with<T>(&self, what: &str, hint: Option<&str>) -> Option<T> {
        let found = self.node.map_or("nothing", |node| node.value.kind());
        self.report(format!("expected {what}, found {found}"), hint);
        None
    }

    fn located<T>(&self, value: T) -> Located<T> {
        Located {
            value,
            at: self.at,
            path: self.path.clone(),
        }
    }
}
