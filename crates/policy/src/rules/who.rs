//! Who: the callers that a rule speaks of.

use config::{Field, Fields, Located, scalar};

use super::Known;
use super::explanation::Reason;
use super::wanted::{self, AnyOf, Decimal, Glob, Scalar, all_covered, any_of, warn_empty};
use crate::Identity;

/// All of what is said must be so; what is not said does not matter.
#[derive(Debug, Clone, Default)]
pub(super) struct Who {
    principals: Option<Vec<Named>>,
    roles: Option<Vec<Glob>>,
    tenants: Option<Vec<Glob>>,
    scopes: Option<Vec<String>>,
    claims: Vec<(String, AnyOf)>,
    is_anonymous: Option<bool>,
}

/// A subject of a source, by patterns of both.
#[derive(Debug, Clone)]
struct Named {
    source: Glob,
    subject: Glob,
}

impl Who {
    /// Reads `principals`, `roles`, `tenants`, `scopes`, `claims` and `anonymous`.
    pub(super) fn check(fields: &mut Fields<'_>, known: &Known<'_>) -> Self {
        let who = Self {
            principals: principals(&fields.optional("principals"), known),
            roles: roles(&fields.optional("roles"), known),
            tenants: globs(&fields.optional("tenants")),
            scopes: scopes(&fields.optional("scopes")),
            claims: by_name(&fields.optional("claims")),
            is_anonymous: fields.optional("anonymous").flag().map(Located::into_value),
        };
        if who.is_anonymous == Some(true) && who.asks_who() {
            let text = "nothing is known of an anonymous caller, so that the rule matches nobody";
            fields.report(
                text,
                Some("leave out `anonymous`, or what else is said of the caller"),
            );
        }
        who
    }

    /// Whether it speaks of what only an identified caller has.
    fn asks_who(&self) -> bool {
        let says_names = self.principals.is_some() || self.roles.is_some();
        says_names || self.tenants.is_some() || self.scopes.is_some() || !self.claims.is_empty()
    }

    /// Whether it speaks of this caller.
    ///
    /// # Errors
    /// The first thing that is not so. Scopes come last: a caller may get more of them.
    pub(super) fn says<'r>(&'r self, caller: Option<&Identity>) -> Result<(), Reason<'r>> {
        let Some(caller) = caller else {
            return match self.is_anonymous {
                Some(false) => Err(Reason::Anonymous),
                Some(true) | None if self.asks_who() => Err(Reason::Anonymous),
                Some(true) | None => Ok(()),
            };
        };
        if self.is_anonymous == Some(true) {
            return Err(Reason::Identified);
        }
        if !any(self.principals.as_deref(), |named| {
            named.source.matches(&caller.source) && named.subject.matches(&caller.subject)
        }) {
            return Err(Reason::Principal);
        }
        let has_role = |glob: &Glob| caller.roles.iter().any(|role| glob.matches(role));
        if !any(self.roles.as_deref(), has_role) {
            return Err(Reason::Role);
        }
        let is_of = |glob: &Glob| {
            caller
                .tenant
                .as_deref()
                .is_some_and(|tenant| glob.matches(tenant))
        };
        if !any(self.tenants.as_deref(), is_of) {
            return Err(Reason::Tenant);
        }
        let unmet = self
            .claims
            .iter()
            .find(|(path, wanted)| !claimed(caller, path, wanted));
        if let Some((path, _)) = unmet {
            return Err(Reason::Claim(path));
        }
        let granted = caller.scopes.as_deref().unwrap_or_default();
        match &self.scopes {
            Some(scopes) if scopes.is_empty() => Err(Reason::Nobody),
            Some(scopes) => match scopes.iter().find(|scope| !granted.contains(scope)) {
                Some(missing) => Err(Reason::Scope(missing)),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// The scopes that it asks for.
    pub(super) fn scopes(&self) -> &[String] {
        self.scopes.as_deref().unwrap_or_default()
    }

    /// Whether it speaks of all that the other speaks of. It may say no where that is so.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let same_callers = match self.is_anonymous {
            None => true,
            Some(true) => other.is_anonymous == Some(true),
            Some(false) => other.is_anonymous == Some(false) || other.asks_who(),
        };
        let scopes = self.scopes.as_ref().is_none_or(|scopes| {
            let others = other.scopes.as_deref().unwrap_or_default();
            !scopes.is_empty() && scopes.iter().all(|scope| others.contains(scope))
        });
        same_callers
            && scopes
            && covers(
                self.principals.as_deref(),
                other.principals.as_deref(),
                |one, other| one.source.covers(&other.source) && one.subject.covers(&other.subject),
            )
            && covers(self.roles.as_deref(), other.roles.as_deref(), Glob::covers)
            && covers(self.tenants.as_deref(), other.tenants.as_deref(), Glob::covers)
            && all_named_covered(&self.claims, &other.claims)
    }
}

/// Whether any of these will do; all that may be said will where nothing is.
fn any<T>(these: Option<&[T]>, will_do: impl FnMut(&T) -> bool) -> bool {
    these.is_none_or(|these| these.iter().any(will_do))
}

/// Whether each of the others is covered by one of these.
pub(super) fn covers<T>(these: Option<&[T]>, others: Option<&[T]>, covers: impl Fn(&T, &T) -> bool) -> bool {
    let Some(these) = these else { return true };
    others.is_some_and(|others| {
        others
            .iter()
            .all(|other| these.iter().any(|one| covers(one, other)))
    })
}

/// Whether the others say as much of all that these speak of.
pub(super) fn all_named_covered(these: &[(String, AnyOf)], others: &[(String, AnyOf)]) -> bool {
    these.iter().all(|(name, wanted)| {
        let other = others.iter().find(|(other, _)| other == name);
        other.is_some_and(|(_, others)| all_covered(wanted, others))
    })
}

/// Whether a claim is one of those wanted, or any of its elements is.
fn claimed(caller: &Identity, path: &str, wanted: &AnyOf) -> bool {
    let is_wanted = |value: &serde_json::Value| {
        let scalar = match value {
            serde_json::Value::String(text) => Scalar::Text(text.into()),
            serde_json::Value::Bool(flag) => Scalar::Flag(*flag),
            serde_json::Value::Number(number) => match Decimal::of(&number.to_string()) {
                Some(decimal) => Scalar::Number(decimal),
                None => return false,
            },
            serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                return false;
            }
        };
        wanted.iter().any(|wanted| wanted.is_met_by(&scalar))
    };
    match caller.claim(path) {
        Some(serde_json::Value::Array(values)) => values.iter().any(is_wanted),
        Some(value) => is_wanted(value),
        None => false,
    }
}

fn principals(field: &Field<'_>, known: &Known<'_>) -> Option<Vec<Named>> {
    let principals = texts(field)?.into_iter().filter_map(|(field, text)| {
        let shown = scalar::shown(&text);
        let Some((source, subject)) = text.split_once(':').filter(|(_, subject)| !subject.is_empty()) else {
            let name = text.trim_end_matches(':');
            let hint = match name {
                "*" | "" => {
                    "leave `principals` out for everybody, or write `anonymous: false` for all who are known"
                        .to_owned()
                }
                _ if known.sources.contains(&name) => format!("write `{name}:*` for all of `{name}`"),
                _ => {
                    let source = known.sources.first().copied().unwrap_or("key");
                    format!(
                        "write who says so and what it calls them: `{source}:{}`",
                        scalar::shown(name)
                    )
                }
            };
            field.report(format!("`{shown}` names no principal"), Some(&hint));
            return None;
        };
        let source = Glob::new(source);
        if !known.sources.iter().any(|known| source.matches(known)) {
            let hint = scalar::suggestion(&source.written, known.sources);
            let text = format!(
                "`{}` is not a source of identities",
                scalar::shown(&source.written)
            );
            field.report(text, Some(&hint));
        }
        let subject = Glob::new(subject);
        Some(Named { source, subject })
    });
    Some(principals.collect())
}

fn roles(field: &Field<'_>, known: &Known<'_>) -> Option<Vec<Glob>> {
    let roles = texts(field)?.into_iter().map(|(field, text)| {
        let glob = Glob::new(&text);
        if let Some(roles) = known
            .roles
            .filter(|roles| !roles.iter().any(|role| glob.matches(role)))
        {
            let text = format!("nobody has the role `{}`", scalar::shown(&text));
            field.report(text, Some(&scalar::suggestion(&glob.written, roles)));
        }
        glob
    });
    Some(roles.collect())
}

fn scopes(field: &Field<'_>) -> Option<Vec<String>> {
    Some(texts(field)?.into_iter().map(|(_, text)| text).collect())
}

/// Reads a list of patterns.
fn globs(field: &Field<'_>) -> Option<Vec<Glob>> {
    let globs = texts(field)?.into_iter().map(|(_, text)| Glob::new(&text));
    Some(globs.collect())
}

/// Reads a list of texts, none of them empty, each with its place.
pub(super) fn texts<'f>(field: &Field<'f>) -> Option<Vec<(Field<'f>, String)>> {
    let items = field.list()?;
    if items.is_empty() {
        warn_empty(field, "nobody");
    }
    let texts = items.into_iter().filter_map(|item| {
        let text = item.text()?.value;
        if text.is_empty() {
            item.report("nothing has an empty name", Some("`*` is everything"));
        }
        Some((item, text))
    });
    Some(texts.collect())
}

/// Reads a map of what is wanted, by name.
pub(super) fn by_name(field: &Field<'_>) -> Vec<(String, wanted::AnyOf)> {
    let entries = field.entries().unwrap_or_default();
    let wanted = entries.into_iter().filter_map(|(name, field)| {
        if name.value.is_empty() {
            field.report("nothing has an empty name", None);
        }
        Some((name.value, any_of(&field)?))
    });
    wanted.collect()
}
