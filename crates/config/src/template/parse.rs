//! From text to literals and holes.

use std::fmt;

use super::{Hole, Kind, Part};
use crate::scalar;

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The byte at which the hole begins.
    pub position: usize,
    /// What is wrong.
    pub text: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TemplateError {}

const KINDS: [(&str, Kind); 7] = [
    ("env", Kind::Env),
    ("file", Kind::File),
    ("param", Kind::Param),
    ("header", Kind::Header),
    ("claim", Kind::Claim),
    ("principal", Kind::Principal),
    ("user", Kind::User),
];

/// What is known of every principal, where its source says it.
const PRINCIPAL: [&str; 5] = ["id", "source", "name", "tenant", "roles"];

pub(super) fn parse(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut position = 0;
    while let Some(found) = text[position..].find('$') {
        let dollar = position + found;
        parts.push(Part::Literal(text[position..dollar].to_owned()));
        let after = &text[dollar + 1..];
        if after.starts_with('$') {
            parts.push(Part::Literal("$".to_owned()));
            position = dollar + 2;
        } else if let Some(inside) = after.strip_prefix('{') {
            let Some(length) = inside.find('}') else {
                let hint = "close it with `}`, or write `$$` for a literal `$`";
                return Err(wrong(dollar, "a `${` is never closed").with(hint));
            };
            parts.push(Part::Hole(hole(&inside[..length], dollar)?));
            position = dollar + 2 + length + 1;
        } else {
            parts.push(Part::Literal("$".to_owned()));
            position = dollar + 1;
        }
    }
    parts.push(Part::Literal(text[position..].to_owned()));
    Ok(parts)
}

/// What stands between the braces: `claim:email`, `NAME`, either with `:-default`.
fn hole(inside: &str, position: usize) -> Result<Hole, TemplateError> {
    let (named, default) = match inside.split_once(":-") {
        Some((named, default)) => (named, Some(default)),
        None => (inside, None),
    };
    let (kind, name) = match named.split_once(':') {
        Some((word, name)) => (kind(word, name, position)?, name),
        None => (Kind::Env, named),
    };
    let written = scalar::shown(named);
    if name.trim().is_empty() {
        return Err(
            wrong(position, format!("`${{{written}}}` has no name")).with("write it like `${claim:email}`")
        );
    }
    if default.is_some_and(|default| default.contains("${")) {
        let hint = "a default is plain text";
        return Err(wrong(
            position,
            format!("the default of `${{{written}}}` holds another template"),
        )
        .with(hint));
    }
    if name != name.trim() {
        return Err(
            wrong(position, format!("`${{{written}}}` has a space beside its name")).with("remove it"),
        );
    }
    match kind {
        Kind::Env if !is_variable(name) => {
            let hint = "a variable has letters, digits and `_`; a default follows `:-`";
            Err(wrong(
                position,
                format!("`{}` cannot be a variable", scalar::shown(name)),
            )
            .with(hint))
        }
        Kind::Principal if !PRINCIPAL.contains(&name) => Err(wrong(
            position,
            format!("a principal has no `{}`", scalar::shown(name)),
        )
        .with(scalar::suggestion(name, &PRINCIPAL))),
        Kind::Env | Kind::File | Kind::Param | Kind::Header | Kind::Claim | Kind::Principal | Kind::User => {
            Ok(Hole {
                kind,
                name: name.to_owned(),
                default: default.map(str::to_owned),
            })
        }
    }
}

fn kind(word: &str, name: &str, position: usize) -> Result<Kind, TemplateError> {
    if let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == word) {
        return Ok(*kind);
    }
    let hint = match (word, scalar::nearest(word, &KINDS.map(|(known, _)| known))) {
        // VS Code asks its user; we have none at load.
        ("input", _) => format!(
            "put the value into the environment and write `${{env:{}}}`",
            scalar::shown(name)
        ),
        (_, Some(nearest)) => format!("did you mean `${{{nearest}:{}}}`?", scalar::shown(name)),
        (_, None) => "there are `env`, `file`, `param`, `header`, `claim`, `principal` and `user`".to_owned(),
    };
    Err(wrong(
        position,
        format!("`${{{}:…}}` is not a template we know", scalar::shown(word)),
    )
    .with(hint))
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn wrong(position: usize, text: impl Into<String>) -> TemplateError {
    TemplateError {
        position,
        text: text.into(),
        hint: None,
    }
}

impl TemplateError {
    fn with(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
