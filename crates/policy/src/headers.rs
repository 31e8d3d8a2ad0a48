//! Which headers a request to an upstream carries: those the operator injects, and the few of the
//! client's that the protocol lets through.
//!
//! Nothing else of a client's headers goes upstream. A list of what must not go would never be
//! complete: every proxy and every identity provider has a credential header of its own
//! (`docs/decisions/0006-headers-to-upstreams.md`). An injected header stands alone under its name,
//! so a client can neither see, replace nor remove it.

use std::borrow::Cow;
use std::fmt;

use config::{Environment, Field, Kind, Lookup, Missing, Template, is_header_safe};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::principal;

/// Names that belong to the connection or to the protocol, and so cannot be injected.
const OURS: [&str; 13] = [
    "connection",
    "content-length",
    "content-type",
    "accept",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-session-id",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers injected into requests to one upstream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Injection {
    lines: Vec<(HeaderName, Value)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Value {
    Fixed(HeaderValue),
    PerCall(Template),
}

/// A call that does not bring what an injected header needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is missing.
    Missing {
        /// The header it is for.
        header: HeaderName,
        /// What is missing.
        missing: Missing,
    },
    /// It holds a line break or another character that no header may hold.
    Unsafe {
        /// The header it is for.
        header: HeaderName,
    },
}

impl Injection {
    /// Reads the `headers` of an upstream: names, and templates for their values.
    pub fn check(field: &Field<'_>, environment: &dyn Environment) -> Self {
        let mut lines: Vec<(HeaderName, Value)> = Vec::new();
        for (written, field) in field.entries().unwrap_or_default() {
            let Ok(name) = HeaderName::from_bytes(written.value.as_bytes()) else {
                field.report(
                    format!("`{}` is not a header name", config::scalar::shown(&written.value)),
                    None,
                );
                continue;
            };
            if OURS.contains(&name.as_str()) || name.as_str().starts_with("mcp-") {
                field.report(
                    format!("`{name}` belongs to the protocol and cannot be injected"),
                    None,
                );
                continue;
            }
            if lines.iter().any(|(taken, _)| *taken == name) {
                field.report(
                    format!("`{name}` is written twice; names of headers know no case"),
                    None,
                );
                continue;
            }
            let Some(template) = field.template(environment) else {
                continue;
            };
            if let Some(value) = Value::check(template.value, &field) {
                lines.push((name, value));
            }
        }
        Self { lines }
    }

    /// Whether a call must bring something for these headers, so that they cannot be made without one.
    pub fn needs_call(&self) -> bool {
        self.lines.iter().any(|(_, value)| match value {
            Value::Fixed(_) => false,
            Value::PerCall(template) => template.render(&Nothing).is_err(),
        })
    }

    /// The URL parameters these headers are made of: a session is bound to their values.
    pub fn parameters(&self) -> Vec<String> {
        let templates = self.lines.iter().filter_map(|(_, value)| match value {
            Value::Fixed(_) => None,
            Value::PerCall(template) => Some(template),
        });
        let needs = templates
            .flat_map(Template::needs)
            .filter(|(kind, _)| *kind == Kind::Param);
        needs.map(|(_, name)| name.to_owned()).collect()
    }

    /// The headers for one call.
    ///
    /// # Errors
    /// When the call does not bring what a template needs and the template has no default.
    pub fn render(&self, call: &dyn Lookup) -> Result<Vec<(HeaderName, HeaderValue)>, Refused> {
        self.lines
            .iter()
            .map(|(name, value)| match value {
                Value::Fixed(value) => Ok((name.clone(), value.clone())),
                Value::PerCall(template) => {
                    let text = template.render(call).map_err(|missing| Refused::Missing {
                        header: name.clone(),
                        missing,
                    })?;
                    header_value(&text)
                        .map(|value| (name.clone(), value))
                        .ok_or_else(|| Refused::Unsafe { header: name.clone() })
                }
            })
            .collect()
    }

    /// What a call brings for these headers: where it was looked for, by what name, and what was found.
    pub fn brought<'a>(&'a self, call: &'a dyn Lookup) -> Vec<(Kind, &'a str, Option<Cow<'a, str>>)> {
        let templates = self.lines.iter().filter_map(|(_, value)| match value {
            Value::Fixed(_) => None,
            Value::PerCall(template) => Some(template),
        });
        let found = |kind: Kind, name: &'a str| match kind {
            Kind::Param => call.param(name),
            Kind::Header => call.header(name),
            Kind::Claim => call.claim(name),
            Kind::Principal => call.principal(name),
            Kind::User => call.user(name),
            Kind::Env | Kind::File => None,
        };
        templates
            .flat_map(Template::needs)
            .map(|(kind, name)| (kind, name, found(kind, name)))
            .collect()
    }

    /// The headers that need no call; for requests of the gateway's own.
    pub fn standing(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.render(&Nothing).unwrap_or_default()
    }
}

impl Value {
    fn check(template: Template, field: &Field<'_>) -> Option<Self> {
        if !principal::has_what(&template, field) {
            return None;
        }
        match template.as_static() {
            None => Some(Self::PerCall(template)),
            Some(text) => match header_value(text) {
                Some(value) => Some(Self::Fixed(value)),
                None => {
                    field.report(
                        "the value holds a character that no header may hold",
                        Some("is there a line break in it?"),
                    );
                    None
                }
            },
        }
    }
}

/// The headers of the client that go along: what the protocol and tracing need.
pub fn passed_on(client: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    client
        .iter()
        .filter(|(name, _)| goes_along(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn goes_along(name: &str) -> bool {
    match name {
        "traceparent" | "tracestate" | "baggage" => true,
        // The session is the gateway's; the upstream has its own.
        "mcp-session-id" => false,
        _ => name.starts_with("mcp-"),
    }
}

fn header_value(text: &str) -> Option<HeaderValue> {
    if !is_header_safe(text) {
        return None;
    }
    let mut value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A call that brings nothing.
struct Nothing;

impl Lookup for Nothing {
    fn param(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn claim(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn principal(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn user(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { header, missing } => {
                write!(
                    f,
                    "the upstream's header `{header}` needs `{}:{}`, which this request does not bring",
                    missing.kind, missing.name
                )
            }
            Self::Unsafe { header } => {
                write!(
                    f,
                    "what this request brings for the upstream's header `{header}` holds a character that no header may hold"
                )
            }
        }
    }
}
