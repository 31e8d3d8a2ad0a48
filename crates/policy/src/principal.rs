//! Who calls, once it is known.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use config::{Field, Kind, Template, scalar};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Who calls.
#[derive(Debug, Clone, Default)]
pub enum Principal {
    /// Nobody said who they are, and nobody asked.
    #[default]
    Anonymous,
    /// One of those whom the file knows how to recognize.
    Known(Arc<Identity>),
}

/// What is known of a caller, and who says so.
///
/// Two identities are the same when the same source names the same subject, whatever else it says of it: a token that
/// was refreshed is still of its bearer.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who says so, as the operator calls it: `key`, the name of an issuer, `open-webui`, `certificate`.
    pub source: Arc<str>,
    /// What the source calls it, which never changes: a key's name, the `sub` of a token.
    pub subject: String,
    /// What people call it.
    pub name: Option<String>,
    /// What it is to the rules.
    pub roles: Vec<String>,
    /// Whom it belongs to.
    pub tenant: Option<String>,
    /// What its token was granted; nothing where tokens of this source are not limited so.
    pub scopes: Option<Vec<String>>,
    /// All that the source says of it.
    pub claims: Map<String, Value>,
    /// When it ceases to be believed.
    pub expires: Option<SystemTime>,
    /// Whether it speaks for users without having named one: an Open WebUI that calls for itself.
    pub is_connection: bool,
    binding: [u8; 32],
}

impl Principal {
    /// The value that handles given to this principal are bound to.
    pub fn binding(&self) -> &[u8] {
        match self {
            Self::Anonymous => b"",
            Self::Known(identity) => &identity.binding,
        }
    }

    /// What is known of it.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Anonymous => None,
            Self::Known(identity) => Some(identity),
        }
    }
}

impl Identity {
    /// One of whom nothing else is known. `issuer` tells sources apart for ever, also when the operator names them
    /// anew.
    pub fn new(source: &Arc<str>, issuer: &str, subject: &str) -> Self {
        let mut digest = Sha256::new();
        // Their lengths keep what ends one from beginning the other.
        for part in [issuer, subject] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        Self {
            source: Arc::clone(source),
            subject: subject.to_owned(),
            name: None,
            roles: Vec::new(),
            tenant: None,
            scopes: None,
            claims: Map::new(),
            expires: None,
            is_connection: false,
            binding: digest.finalize().into(),
        }
    }

    /// Whether it may act for a tenant: its own, or any where the file says `*` of it. What a token says is one tenant
    /// and no pattern.
    pub fn is_of_tenant(&self, tenant: &str) -> bool {
        match self.tenant.as_deref() {
            Some("*") => &*self.source == "key",
            own => own == Some(tenant),
        }
    }

    /// The claim at this path: a whole name, or names with dots between them.
    pub fn claim(&self, path: &str) -> Option<&Value> {
        claim(&self.claims, path)
    }

    /// The same as text: of a list, its items with commas between them. An object is no text, and an item that holds
    /// a comma itself would be taken for two.
    pub fn claim_text(&self, path: &str) -> Option<Cow<'_, str>> {
        match self.claim(path)? {
            Value::String(text) => Some(Cow::Borrowed(text)),
            Value::Bool(_) | Value::Number(_) => self.claim(path).map(|value| Cow::Owned(value.to_string())),
            Value::Array(items) => {
                let texts = items.iter().map(|item| match item {
                    Value::String(text) if !text.contains(',') => Some(text.clone()),
                    Value::Bool(_) | Value::Number(_) => Some(item.to_string()),
                    Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
                });
                Some(Cow::Owned(texts.collect::<Option<Vec<_>>>()?.join(",")))
            }
            Value::Null | Value::Object(_) => None,
        }
    }

    /// What `${principal:…}` stands for, by its name: `id`, `source`, `name`, `tenant`, `roles`.
    pub fn property(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "id" => Some(Cow::Borrowed(&self.subject)),
            "source" => Some(Cow::Borrowed(&self.source)),
            "name" => self.name.as_deref().map(Cow::Borrowed),
            "tenant" => self.tenant.as_deref().map(Cow::Borrowed),
            "roles" if !self.roles.iter().any(|role| role.contains(',')) => {
                Some(Cow::Owned(self.roles.join(",")))
            }
            _ => None,
        }
    }
}

/// Whether an identity can have what a template needs of it; else that is told.
pub(crate) fn has_what(template: &Template, field: &Field<'_>) -> bool {
    let mut good = true;
    for (kind, name) in template.needs() {
        let shown = scalar::shown(name);
        if kind == Kind::User {
            let text = format!("`${{user:{shown}}}` is not available in this version");
            field.report(
                text,
                Some("use `${claim:…}`, `${principal:…}`, `${env:…}` or `${file:…}`"),
            );
            good = false;
        }
    }
    good
}

/// The claim at this path. A name may hold dots itself, as those that are URLs do: the whole precedes its parts.
pub(crate) fn claim<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let cuts = path.match_indices('.');
    cuts.filter_map(|(place, _)| Some((claims.get(&path[..place])?, &path[place + 1..])))
        .find_map(|(value, rest)| claim(value.as_object()?, rest))
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.binding() == other.binding()
    }
}

impl Eq for Principal {}

/// As it stands in the record: its name in its source.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Known(identity) => f.write_str(&identity.subject),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_subject_of_two_sources_is_two_principals() {
        let of = |issuer: &str, subject: &str| {
            Principal::Known(Arc::new(Identity::new(&"x".into(), issuer, subject)))
        };
        assert_eq!(of("https://a", "ann"), of("https://a", "ann"));
        assert_ne!(of("https://a", "ann"), of("https://b", "ann"));
        assert_ne!(of("https://a", "ann"), of("https://", "aann"));
        assert_ne!(of("", ""), Principal::Anonymous);
    }

    #[test]
    fn a_claim_is_found_by_its_path() {
        let Value::Object(claims) = json!({
            "email": "a@x", "realm_access": { "roles": ["user"] },
            "https://x.example/roles": ["admin"], "a.b": { "c": 1 }, "a": { "b": { "d": 2 } },
        }) else {
            unreachable!("it is an object")
        };
        for (path, found) in [
            ("email", Some(json!("a@x"))),
            ("realm_access.roles", Some(json!(["user"]))),
            ("https://x.example/roles", Some(json!(["admin"]))),
            ("a.b.c", Some(json!(1))),
            ("a.b.d", Some(json!(2))),
            ("email.x", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(claim(&claims, path), found.as_ref(), "{path}");
        }
    }
}
