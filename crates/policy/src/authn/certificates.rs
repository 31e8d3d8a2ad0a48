//! Clients that are known by a certificate: the handshake has proved that it is theirs and who signed it, and the
//! file says who they are.

use std::sync::Arc;
use std::time::SystemTime;

use config::{Field, Located, scalar};
use wildmatch::WildMatch;

use super::Unidentified;
use crate::certificate::Certificate;
use crate::principal::{Identity, Principal};

/// Who says so.
pub(super) const SOURCE: &str = "certificate";

/// What stands before a common name.
const COMMON_NAME: &str = "CN=";

/// Those whom certificates are known of; the first that fits decides.
#[derive(Debug, Default)]
pub(super) struct Certificates(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    place: Place,
    pattern: WildMatch,
    roles: Vec<String>,
    tenant: Option<String>,
}

/// Which names of a certificate are looked at. An authority may sign a common name with less care than the others, so
/// that none ever stands for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    CommonName,
    Alternative,
}

impl Certificates {
    /// Reads `auth.certificates`.
    pub(super) fn check(field: &Field<'_>) -> Self {
        let entries = field.list().unwrap_or_default();
        Self(entries.iter().filter_map(entry).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose certificate this is.
    ///
    /// # Errors
    /// When it is nobody's, or not valid any more: a connection may outlive its certificate.
    pub(super) fn find(&self, certificate: &Certificate, now: SystemTime) -> Result<Principal, Unidentified> {
        if now > certificate.ends || now < certificate.begins {
            return Err(Unidentified::Refused("expired"));
        }
        let found = self.0.iter().find_map(|entry| {
            let (kind, name) = entry.name_of(certificate)?;
            Some((entry, kind, name))
        });
        let (entry, kind, name) = found.ok_or(Unidentified::Refused("unknown"))?;
        let subject = match entry.place {
            Place::CommonName => format!("{COMMON_NAME}{name}"),
            Place::Alternative => name.to_owned(),
        };
        // No issuer of tokens is called so, and a host never passes for a URI.
        let mut identity = Identity::new(&SOURCE.into(), &format!("{SOURCE}:{kind}"), &subject);
        identity.roles.clone_from(&entry.roles);
        identity.tenant.clone_from(&entry.tenant);
        identity.claims.insert("sub".into(), subject.into());
        identity.name = Some(name.to_owned());
        identity.expires = Some(certificate.ends);
        Ok(Principal::Known(Arc::new(identity)))
    }

    /// Whether somebody of this name would still be known.
    pub(super) fn still_know(&self, subject: &str) -> bool {
        self.0.iter().any(|entry| match entry.place {
            Place::CommonName => subject
                .strip_prefix(COMMON_NAME)
                .is_some_and(|name| entry.pattern.matches(name)),
            Place::Alternative => entry.pattern.matches(subject),
        })
    }

    pub(super) fn roles(&self) -> impl Iterator<Item = &String> {
        self.0.iter().flat_map(|entry| &entry.roles)
    }
}

impl Entry {
    /// The name by which a certificate is of this entry, and which kind of name that is.
    fn name_of<'a>(&self, certificate: &'a Certificate) -> Option<(&'static str, &'a str)> {
        let fits = |names: &'a [String]| names.iter().find(|name| self.pattern.matches(name));
        match self.place {
            Place::CommonName => fits(certificate.common_name.as_slice()).map(|name| ("cn", name.as_str())),
            Place::Alternative => fits(&certificate.uris)
                .map(|name| ("uri", name.as_str()))
                .or_else(|| fits(&certificate.hosts).map(|name| ("host", name.as_str()))),
        }
    }
}

fn entry(field: &Field<'_>) -> Option<Entry> {
    let mut fields = field.fields()?;
    let (subject, san) = (fields.optional("subject"), fields.optional("san"));
    let roles = fields.optional("roles").texts().map(Located::into_value);
    let tenant = fields.optional("tenant").text().map(Located::into_value);
    fields.finish();
    let (place, pattern) = match (subject.is_written(), san.is_written()) {
        (true, false) => (Place::CommonName, subject.parsed(common_name)?),
        (false, true) => (Place::Alternative, san.text()?),
        (false, false) => {
            field.report(
                "it does not say whose certificate is meant",
                Some("write `san: spiffe://example.org/agent`, or `subject: CN=ci.example.com`"),
            );
            return None;
        }
        (true, true) => {
            san.report(
                "`subject` is written too",
                Some("keep one of them; a second entry is for the other"),
            );
            return None;
        }
    };
    let mut pattern = pattern.into_value();
    if place == Place::Alternative && !pattern.contains(':') {
        // Names of hosts know no case, and are read in lower case.
        pattern.make_ascii_lowercase();
    }
    if pattern.is_empty() {
        field.report(
            "nobody has an empty name",
            Some("`*` is everybody whose certificate has one"),
        );
        return None;
    }
    Some(Entry {
        place,
        pattern: WildMatch::new(&pattern),
        roles: roles.unwrap_or_default(),
        tenant,
    })
}

/// The name in `CN=ci.example.com`.
fn common_name(text: &str) -> Result<String, scalar::Wrong> {
    let name = text
        .strip_prefix(COMMON_NAME)
        .filter(|name| !name.contains(['=', ',']));
    name.map(|name| name.trim().to_owned()).ok_or_else(|| {
        scalar::Wrong::new(format!("`{}` is not a common name", scalar::shown(text)))
            .hint("write `CN=` and the name, without the other parts of the subject")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use config::{Problems, Source};

    use super::*;

    fn certificate(common_name: &str, hosts: &[&str], uris: &[&str]) -> Certificate {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Certificate {
            common_name: Some(common_name.to_owned()),
            hosts: texts(hosts),
            uris: texts(uris),
            addresses: Vec::new(),
            begins: SystemTime::UNIX_EPOCH + Duration::from_secs(100),
            ends: SystemTime::UNIX_EPOCH + Duration::from_secs(200),
        }
    }

    fn read(text: &str) -> (Certificates, String) {
        let source = Source::from_text("f", text);
        let problems = Problems::default();
        let node = source.parse(&problems).unwrap();
        let read = Certificates::check(&Field::root(&node, &problems));
        (read, problems.render(&source))
    }

    #[test]
    fn the_first_entry_that_fits_says_who_it_is() {
        let (known, said) = read(
            "- { subject: CN=ci.example.com, roles: [ci] }\n\
             - { san: \"spiffe://example.org/agent/*\", roles: [agent], tenant: acme }\n\
             - { san: \"*.Example.com\" }\n",
        );
        assert_eq!(said, "");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(150);
        let found = |certificate: &Certificate| {
            let found = known.find(certificate, now);
            found.map(|principal| {
                (
                    principal.to_string(),
                    principal.identity().unwrap().roles.join(","),
                )
            })
        };

        for (common_name, hosts, uris, subject, roles) in [
            (
                "ci.example.com",
                &["a.example.com"][..],
                &[][..],
                "CN=ci.example.com",
                "ci",
            ),
            (
                "x",
                &["a.example.com"],
                &["spiffe://example.org/agent/7"],
                "spiffe://example.org/agent/7",
                "agent",
            ),
            (
                "x",
                &["b.org", "a.example.com"],
                &["spiffe://other.org/agent/7"],
                "a.example.com",
                "",
            ),
        ] {
            let found = found(&certificate(common_name, hosts, uris)).unwrap();
            assert_eq!(found, (subject.to_owned(), roles.to_owned()));
            assert!(known.still_know(subject));
        }
        // A common name is no alternative name, nor the other way round.
        for (common_name, hosts) in [("a.example.com", &[][..]), ("x", &["ci.example.org"])] {
            let refused = found(&certificate(common_name, hosts, &[]));
            assert_eq!(
                refused,
                Err(Unidentified::Refused("unknown")),
                "{common_name} {hosts:?}"
            );
        }
        assert!(!known.still_know("ci.example.com.evil"));
    }

    #[test]
    fn a_certificate_counts_in_its_time() {
        let (known, _) = read("- { san: a }\n");
        for (seconds, good) in [(99, false), (100, true), (200, true), (201, false)] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(
                known.find(&certificate("", &["a"], &[]), now).is_ok(),
                good,
                "{seconds}"
            );
        }
    }

    #[test]
    fn what_is_wrong_with_entries_is_told() {
        for (text, words) in [
            ("- { roles: [a] }", "it does not say whose certificate is meant"),
            ("- { subject: CN=a, san: b }", "`subject` is written too"),
            (
                "- { subject: ci.example.com }",
                "`ci.example.com` is not a common name",
            ),
            ("- { subject: \"CN=a,O=b\" }", "`CN=a,O=b` is not a common name"),
            ("- { subject: CN= }", "nobody has an empty name"),
            ("- { san: a, rolse: [b] }", "did you mean `roles`?"),
        ] {
            let (_, said) = read(text);
            assert!(said.contains(words), "{text}\n{said}");
        }
    }
}
