//! Text with holes: `Bearer ${file:/run/secrets/crm}`, `${claim:email}`, `${param:tenant:-default}`.
//!
//! What the environment and files hold is filled in once, at load; what a call brings is filled in at each
//! call. A template without the latter is one text and costs nothing. `$$` is a literal `$`; a `$` before
//! anything but `{` or `$` is itself. As in a shell, a default after `:-` also stands in for what is empty.
//! What was filled in may be secret and is not printed.

mod environment;
mod parse;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;

pub use environment::{Environment, ProcessEnvironment, Unidentified};
pub use parse::TemplateError;

/// Text with holes that a call fills.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    /// Literals and holes by turns; no two literals side by side, no empty literal.
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Hole(Hole),
}

#[derive(Clone, PartialEq, Eq)]
struct Hole {
    kind: Kind,
    name: String,
    default: Option<String>,
}

/// Where a hole gets its text from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A variable of the environment, also written `${NAME}`.
    Env,
    /// A file, less the newline at its end.
    File,
    /// A parameter of the URL.
    Param,
    /// A header of the client's request: as trustworthy as the client.
    Header,
    /// A claim of a verified identity.
    Claim,
    /// The principal that was identified.
    Principal,
    /// A secret that this user stored.
    User,
}

/// What a call brings.
pub trait Lookup {
    /// A parameter of the URL.
    fn param(&self, name: &str) -> Option<Cow<'_, str>>;
    /// A header of the client's request.
    fn header(&self, name: &str) -> Option<Cow<'_, str>>;
    /// A claim of the verified identity.
    fn claim(&self, name: &str) -> Option<Cow<'_, str>>;
    /// A property of the principal: `id`.
    fn principal(&self, name: &str) -> Option<Cow<'_, str>>;
    /// A secret that this user stored.
    fn user(&self, name: &str) -> Option<Cow<'_, str>>;
}

/// Something that a call should have brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Where it was looked for.
    pub kind: Kind,
    /// By what name.
    pub name: String,
}

/// Something that was not there at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// A variable that is not set.
    Variable {
        /// Its name.
        name: String,
    },
    /// A file that cannot be read.
    File {
        /// Its path as written.
        path: String,
        /// What the system said.
        cause: String,
    },
    /// Something of an identity, where nobody is identified.
    Identity {
        /// Where it would be looked for.
        kind: Kind,
        /// By what name.
        name: String,
    },
}

impl Template {
    /// Reads text with holes.
    ///
    /// # Errors
    /// A hole that is not closed, has no name, or is of a kind we do not know.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        parse::parse(text).map(Self::joined)
    }

    /// Fills in what the environment and files hold; what is left belongs to a call.
    ///
    /// # Errors
    /// All that is missing and has no default.
    pub fn resolve(&self, environment: &dyn Environment) -> Result<Self, Vec<Unresolved>> {
        let mut missing = Vec::new();
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            match part {
                Part::Literal(_) => parts.push(part.clone()),
                Part::Hole(hole) => match hole.resolve(environment) {
                    Ok(Some(text)) => parts.push(Part::Literal(text)),
                    Ok(None) => parts.push(part.clone()),
                    Err(unresolved) => missing.push(unresolved),
                },
            }
        }
        if missing.is_empty() {
            Ok(Self::joined(parts))
        } else {
            Err(missing)
        }
    }

    /// Fills in what a call brings. Before a header is made of it, see [`is_header_safe`].
    ///
    /// # Errors
    /// The first thing that the call did not bring and that has no default.
    pub fn render(&self, lookup: &dyn Lookup) -> Result<Cow<'_, str>, Missing> {
        if let Some(text) = self.as_static() {
            return Ok(Cow::Borrowed(text));
        }
        let mut rendered = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => rendered.push_str(text),
                Part::Hole(hole) => rendered.push_str(&hole.look_up(lookup)?),
            }
        }
        Ok(Cow::Owned(rendered))
    }

    /// The whole text, if no call changes it.
    #[must_use]
    pub fn as_static(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            [Part::Hole(_)] | [_, _, ..] => None,
        }
    }

    /// What is still to be filled in, from where and by what name, whether or not it has a default.
    pub fn needs(&self) -> impl Iterator<Item = (Kind, &str)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Hole(hole) => Some((hole.kind, hole.name.as_str())),
        })
    }

    /// Merges neighbouring literals, so that a template without holes is one text.
    fn joined(parts: Vec<Part>) -> Self {
        let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
        for part in parts {
            match (joined.last_mut(), part) {
                (_, Part::Literal(text)) if text.is_empty() => {}
                (Some(Part::Literal(before)), Part::Literal(text)) => before.push_str(&text),
                (_, part) => joined.push(part),
            }
        }
        Self { parts: joined }
    }
}

impl Hole {
    /// The text, or `None` for a hole that a call fills.
    fn resolve(&self, environment: &dyn Environment) -> Result<Option<String>, Unresolved> {
        let (found, unresolved) = match self.kind {
            Kind::Env => (
                environment.var(&self.name),
                Unresolved::Variable {
                    name: self.name.clone(),
                },
            ),
            Kind::File => match environment.file(Path::new(&self.name)) {
                Ok(text) => return Ok(Some(self.or_default(without_newline(text)))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    (None, self.unread(&error.to_string()))
                }
                // A default stands in for a file that is absent, not for one that we may not read.
                Err(error) => return Err(self.unread(&error.to_string())),
            },
            Kind::Param | Kind::Header => return Ok(None),
            Kind::Claim | Kind::Principal | Kind::User if environment.identifies() => return Ok(None),
            Kind::Claim | Kind::Principal | Kind::User => {
                let (kind, name) = (self.kind, self.name.clone());
                (None, Unresolved::Identity { kind, name })
            }
        };
        match found {
            Some(text) => Ok(Some(self.or_default(text))),
            None => self.default.clone().map(Some).ok_or(unresolved),
        }
    }

    fn or_default(&self, text: String) -> String {
        match &self.default {
            Some(default) if text.is_empty() => default.clone(),
            Some(_) | None => text,
        }
    }

    fn unread(&self, cause: &str) -> Unresolved {
        Unresolved::File {
            path: self.name.clone(),
            cause: cause.to_owned(),
        }
    }

    fn look_up<'a>(&'a self, lookup: &'a dyn Lookup) -> Result<Cow<'a, str>, Missing> {
        let found = match self.kind {
            Kind::Param => lookup.param(&self.name),
            Kind::Header => lookup.header(&self.name),
            Kind::Claim => lookup.claim(&self.name),
            Kind::Principal => lookup.principal(&self.name),
            Kind::User => lookup.user(&self.name),
            // Left here by a caller that did not resolve; a call must not read files.
            Kind::Env | Kind::File => None,
        };
        match (found.filter(|text| !text.is_empty()), &self.default) {
            (Some(text), _) => Ok(text),
            (None, Some(default)) => Ok(Cow::Borrowed(default)),
            (None, None) => Err(Missing {
                kind: self.kind,
                name: self.name.clone(),
            }),
        }
    }
}

/// Cuts the one newline that editors and `echo` leave behind.
fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// Whether a text can be the value of a header: no CR, LF or NUL, nor any other control character but the
/// tab.
#[must_use]
pub fn is_header_safe(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Param => "param",
            Self::Header => "header",
            Self::Claim => "claim",
            Self::Principal => "principal",
            Self::User => "user",
        })
    }
}

/// Holes as written, everything else as `***`: it may have come from a secret.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Literal(_) => f.write_str("***")?,
                Part::Hole(Hole {
                    kind,
                    name,
                    default: None,
                }) => write!(f, "${{{kind}:{name}}}")?,
                Part::Hole(Hole {
                    kind,
                    name,
                    default: Some(_),
                }) => write!(f, "${{{kind}:{name}:-***}}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`${{{}:{}}}` is missing", self.kind, self.name)
    }
}

impl std::error::Error for Missing {}

impl Unresolved {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Variable { name } => Some(format!("set it, or give a default: `${{{name}:-…}}`")),
            Self::File { .. } => None,
            Self::Identity { .. } => Some("say who may call (`auth`), or give a default: `:-…`".into()),
        }
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { name } => write!(f, "`{name}` is not set in the environment"),
            Self::File { path, cause } => write!(f, "the file `{path}` cannot be read: {cause}"),
            Self::Identity { kind, name } => {
                write!(
                    f,
                    "`${{{kind}:{name}}}` needs an identified caller, and nobody is asked who they are"
                )
            }
        }
    }
}

impl std::error::Error for Unresolved {}

#[cfg(test)]
mod tests;
