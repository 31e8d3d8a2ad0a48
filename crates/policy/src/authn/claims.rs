//! Claims: what they must say for a token to be believed here, and whom they make of its bearer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::{Field, Fields, scalar};
use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::principal::{self, Identity};

/// How far two clocks may differ, if the file does not say.
const LEEWAY: Duration = Duration::from_secs(30);
/// And at most (`RS-4` and most identity providers agree).
const MOST_LEEWAY: Duration = Duration::from_secs(60);
/// A longer subject, in bytes, is none: it stands in every record, and OpenID Connect Core §2 has 255.
const LONGEST_SUBJECT: usize = 256;
/// The last second of the year 9999: what is later is no date but a mistake, or an attempt at overflow.
const LAST_SECOND: f64 = 253_402_300_799.0;
/// Sources that are not of this kind, by the names that the record has for them.
const TAKEN: [&str; 5] = ["key", "keys", "open-webui", "certificate", "anonymous"];

/// What the place that a token is shown at demands of it.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'e> {
    /// The URLs that the resource is known by; a token must be for one of them, or for one of the audiences that the
    /// file names for its issuer. With neither, no token will do.
    pub audiences: &'e [String],
}

impl Expected<'_> {
    /// Whether a token for this audience may be shown here, which the file says of its issuer: it may, unless it is the
    /// address of another resource of ours. What is above a resource holds it: who may ask all servers at `/mcp` may
    /// ask one at `/mcp/docs`, and not the reverse (`protocol.md` RS-5).
    fn is_within(&self, audience: &str) -> bool {
        let is_ours = |resource: &String| origin(resource).is_some_and(|ours| origin(audience) == Some(ours));
        let mut ours = self
            .audiences
            .iter()
            .filter(|resource| is_ours(resource))
            .peekable();
        ours.peek().is_none()
            || ours.any(|resource| is_same(resource, audience) || is_below(resource, audience))
    }
}

/// Scheme and host of a URL, in small letters.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    Some(format!("{scheme}://{host}").to_ascii_lowercase())
}

/// Whether the path of one goes on where that of the other ends.
fn is_below(resource: &str, above: &str) -> bool {
    let path = |url: &str| {
        url.split_once("://")
            .and_then(|(_, rest)| Some(rest[rest.find('/')?..].to_owned()))
    };
    let above = path(above).unwrap_or_default();
    let rest =
        path(resource).and_then(|path| path.strip_prefix(above.trim_end_matches('/')).map(str::to_owned));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// What is demanded of the claims of one issuer, and where they say what.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// What its identities say they are from.
    pub(super) source: Arc<str>,
    /// What tells its subjects from those of others.
    pub(super) namespace: String,
    /// What `iss` must be.
    pub(super) issuer: Option<String>,
    audiences: Option<Vec<String>>,
    required: Vec<String>,
    pub(super) leeway: Duration,
    subject: String,
    name: Option<String>,
    roles: Option<String>,
    tenant: Option<String>,
    scopes: Option<String>,
}

impl Rules {
    /// What is demanded where the file demands nothing else.
    pub(super) fn new(source: &str, namespace: &str, issuer: Option<&str>) -> Self {
        Self {
            source: source.into(),
            namespace: namespace.to_owned(),
            issuer: issuer.map(str::to_owned),
            audiences: None,
            required: Vec::new(),
            leeway: LEEWAY,
            subject: "sub".to_owned(),
            name: None,
            roles: None,
            tenant: None,
            scopes: None,
        }
    }

    /// Reads what entries have in common: `name`, which is the namespace if it is not written, `audience`,
    /// `required`, `leeway` and `claims`.
    pub(super) fn check(fields: &mut Fields<'_>, namespace: &str, issuer: Option<&str>) -> Self {
        let mut rules = Self::new(namespace, namespace, issuer);
        if is_taken(namespace) {
            let text = format!("`{}` cannot be an issuer", scalar::shown(namespace));
            fields.report(
                text,
                Some("its subjects would be taken for those of another section"),
            );
        }
        if let Some(name) = source(&fields.optional("name")) {
            rules.source = name.into();
        }
        let audience = fields.optional("audience");
        rules.audiences = audience.is_written().then(|| one_or_more(&audience));
        let required = fields.optional("required");
        if required.is_written() {
            rules.required = one_or_more(&required);
        }
        let leeway = fields.optional("leeway");
        if let Some(duration) = leeway.duration() {
            if duration.value > MOST_LEEWAY {
                leeway.report(
                    "clocks may differ by a minute at most",
                    Some("write `60s` or less"),
                );
            }
            rules.leeway = duration.value.min(MOST_LEEWAY);
        }
        if let Some(mut claims) = fields.optional("claims").fields() {
            let mut path = |key| claims.optional(key).text().map(config::Located::into_value);
            rules.name = path("name");
            rules.roles = path("roles");
            rules.tenant = path("tenant");
            rules.scopes = path("scopes");
            rules.subject = path("subject").unwrap_or(rules.subject);
            claims.finish();
        }
        rules
    }

    /// Whom these claims name. Whether their issuer made them has been verified by then.
    pub(super) fn judge(
        &self,
        claims: Map<String, Value>,
        expected: &Expected<'_>,
        now: SystemTime,
    ) -> Result<Identity, Refusal> {
        let named = self.audiences.as_deref().unwrap_or_default().iter();
        let named = named.filter(|audience| expected.is_within(audience));
        // What it is known by is never another's.
        if !is_for(claims.get("aud"), named.chain(expected.audiences)) {
            // A token of somebody else's is told apart first.
            return Err(self.of_issuer(&claims).err().unwrap_or(Refusal::Audience));
        }
        self.judge_anywhere(claims, now)
    }

    /// Whom these claims name, wherever they are shown: for tokens that have no audience.
    pub(super) fn judge_anywhere(
        &self,
        claims: Map<String, Value>,
        now: SystemTime,
    ) -> Result<Identity, Refusal> {
        self.of_issuer(&claims)?;
        let expires = self.times(&claims, now)?;
        let claim = |path: &str| principal::claim(&claims, path).filter(|value| !value.is_null());
        if self.required.iter().any(|path| claim(path).is_none()) {
            return Err(Refusal::Claim);
        }
        let subject = claim(&self.subject)
            .and_then(Value::as_str)
            .filter(|subject| is_subject(subject));
        let mut identity = Identity::new(&self.source, &self.namespace, subject.ok_or(Refusal::Subject)?);
        identity.name = match &self.name {
            Some(path) => claim(path).and_then(Value::as_str).map(str::to_owned),
            None => ["name", "preferred_username", "email"]
                .iter()
                .find_map(|claim| claims.get(*claim)?.as_str().filter(|name| !name.is_empty()))
                .map(str::to_owned),
        };
        if let Some(roles) = self.roles.as_deref().and_then(claim) {
            identity.roles = texts(roles, |text| vec![text.to_owned()])?;
        }
        if let Some(tenant) = self.tenant.as_deref().and_then(claim) {
            identity.tenant = Some(tenant.as_str().ok_or(Refusal::Claim)?.to_owned());
        }
        let scopes = match &self.scopes {
            Some(path) => claim(path),
            None => claim("scope").or_else(|| claim("scp")),
        };
        // A token that says nothing of scopes was granted none.
        identity.scopes = Some(match scopes {
            Some(scopes) => texts(scopes, |text| text.split(' ').map(str::to_owned).collect())?,
            None => Vec::new(),
        });
        identity.expires = Some(expires);
        identity.claims = claims;
        Ok(identity)
    }

    fn of_issuer(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let named = claims.get("iss").and_then(Value::as_str);
        match &self.issuer {
            Some(issuer) if named != Some(issuer) => Err(Refusal::Issuer),
            Some(_) | None => Ok(()),
        }
    }

    /// When they cease to be believed. A time that is not a number is not a time: who skipped it (CVE-2026-25537)
    /// believed tokens for ever.
    fn times(&self, claims: &Map<String, Value>, now: SystemTime) -> Result<SystemTime, Refusal> {
        let time = |name| {
            claims
                .get(name)
                .map(|value| date(value).ok_or(Refusal::Claim))
                .transpose()
        };
        let (expires, not_before, _issued) = (time("exp")?, time("nbf")?, time("iat")?);
        let expires = expires.ok_or(Refusal::Claim)? + self.leeway;
        if now >= expires {
            return Err(Refusal::Expired);
        }
        if not_before.is_some_and(|not_before| not_before > now + self.leeway) {
            return Err(Refusal::Early);
        }
        Ok(expires)
    }
}

/// Reads what the record and metrics call a source.
fn source(field: &Field<'_>) -> Option<String> {
    let name = field.text()?.value;
    if name.is_empty() || is_taken(&name) {
        let text = format!("`{}` cannot be the name of an issuer", scalar::shown(&name));
        field.report(text, Some("the record calls others so; choose another one"));
        return None;
    }
    Some(name)
}

fn is_taken(name: &str) -> bool {
    TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name))
}

/// Reads a text or a list of such, none of them empty, and at least one.
fn one_or_more(field: &Field<'_>) -> Vec<String> {
    let texts = match field.node().map(|node| &node.value) {
        Some(config::Value::List(_)) => field.texts(),
        Some(_) | None => field.text().map(|text| text.map(|text| vec![text])),
    };
    let texts = texts.map(config::Located::into_value);
    if let Some(texts) = &texts
        && (texts.is_empty() || texts.iter().any(String::is_empty))
    {
        field.report("nothing is written here", Some("write it, or leave the key out"));
    }
    texts.unwrap_or_default()
}

/// A text, which `split` takes apart, or a list of texts.
fn texts(value: &Value, split: impl Fn(&str) -> Vec<String>) -> Result<Vec<String>, Refusal> {
    let mut texts = match value {
        Value::String(text) => split(text),
        Value::Array(items) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().ok_or(Refusal::Claim)?
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(Refusal::Claim),
    };
    texts.retain(|text| !text.is_empty());
    Ok(texts)
}

/// A `NumericDate` (RFC 7519 §2): seconds since 1970, maybe with a fraction.
fn date(value: &Value) -> Option<SystemTime> {
    let seconds = value
        .as_f64()
        .filter(|seconds| (0.0..=LAST_SECOND).contains(seconds))?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds))
}

/// Whether it can name somebody wherever names are written.
fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_SUBJECT && !text.chars().any(char::is_control)
}

/// Whether an `aud`, which is a text or a list (RFC 7519 §4.1.3), has one of these.
fn is_for<'e>(audience: Option<&Value>, expected: impl Iterator<Item = &'e String> + Clone) -> bool {
    let is_expected = |value: &Value| {
        let text = value.as_str();
        text.is_some_and(|text| expected.clone().any(|expected| is_same(expected, text)))
    };
    match audience {
        Some(Value::Array(items)) => items.iter().any(is_expected),
        Some(value) => is_expected(value),
        None => false,
    }
}

/// Whether two audiences are one: of URLs, scheme and host are so in any case of letters, and no path is the path `/`
/// (RFC 3986 §6.2.2.1 and §6.2.3; clients write both).
fn is_same(one: &str, other: &str) -> bool {
    if one == other {
        return !one.is_empty();
    }
    let parts = |text| -> Option<(_, _)> {
        let (scheme, rest) = str::split_once(text, "://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        Some(((scheme, host), if path == "/" { "" } else { path }))
    };
    let (Some((one, one_path)), Some((other, other_path))) = (parts(one), parts(other)) else {
        return false;
    };
    one.0.eq_ignore_ascii_case(other.0) && one.1.eq_ignore_ascii_case(other.1) && one_path == other_path
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// What is made of these claims at second 1000, instead of those of a good token.
    fn judged(rules: &Rules, changes: Value) -> Result<Identity, Refusal> {
        let Value::Object(mut claims) =
            json!({ "iss": "https://as", "aud": "https://us/mcp", "sub": "ann", "exp": 2000 })
        else {
            unreachable!("it is an object")
        };
        let Value::Object(changes) = changes else {
            unreachable!("so is this")
        };
        claims.extend(changes);
        let expected = ["https://us/mcp".to_owned()];
        rules.judge(claims, &Expected { audiences: &expected }, at(1000))
    }

    fn rules() -> Rules {
        Rules::new("as", "https://as", Some("https://as"))
    }

    #[test]
    fn a_token_for_one_place_of_ours_is_good_there_and_below() {
        let mut rules = rules();
        rules.audiences = Some(
            ["https://us/mcp", "https://US/t/a/mcp", "api://elsewhere"]
                .map(str::to_owned)
                .into(),
        );
        for (audience, at_place, good) in [
            ("https://us/mcp", "https://us/mcp", true),
            ("https://us/mcp", "https://us/mcp/docs", true),
            ("https://us/mcp", "https://us/mcpx", false),
            ("https://us/mcp", "https://us/t/a/mcp", false),
            ("https://us/t/a/mcp", "https://us/t/a/mcp", true),
            ("https://us/t/a/mcp", "https://us/t/b/mcp", false),
            ("https://us/t/a/mcp", "https://us/mcp", false),
            // What a place is known by need not be written.
            ("https://us/mcp/docs", "https://us/mcp/docs", true),
            ("https://us/mcp/docs", "https://us/mcp/crm", false),
            // An audience that is no address of ours is the operator's word for all of them.
            ("api://elsewhere", "https://us/t/b/mcp", true),
            ("api://other", "https://us/mcp", false),
        ] {
            let Value::Object(claims) =
                json!({ "iss": "https://as", "aud": audience, "sub": "ann", "exp": 2000 })
            else {
                unreachable!("it is an object")
            };
            let here = [at_place.to_owned()];
            let judged = rules.judge(claims, &Expected { audiences: &here }, at(1000));
            assert_eq!(judged.is_ok(), good, "{audience} at {at_place}");
        }
    }

    #[test]
    fn each_claim_is_what_it_has_to_be() {
        use Refusal::{Audience, Claim, Early, Expired, Issuer, Subject};
        let refused = |changes: Value| judged(&rules(), changes).err();
        for (changes, refusal) in [
            (json!({}), None),
            (json!({ "iss": "https://AS" }), Some(Issuer)),
            (json!({ "iss": ["https://as"] }), Some(Issuer)),
            (json!({ "iss": null }), Some(Issuer)),
            (json!({ "aud": null }), Some(Audience)),
            (json!({ "aud": [] }), Some(Audience)),
            (json!({ "aud": "https://us/mcp/x" }), Some(Audience)),
            (json!({ "aud": "https://us/MCP" }), Some(Audience)),
            (json!({ "aud": { "https://us/mcp": 1 } }), Some(Audience)),
            (json!({ "aud": [["https://us/mcp"]] }), Some(Audience)),
            (json!({ "aud": ["x", "https://us/mcp"] }), None),
            (json!({ "aud": "HTTPS://US/mcp" }), None),
            (json!({ "exp": null }), Some(Claim)),
            (json!({ "exp": "2000" }), Some(Claim)),
            (json!({ "exp": true }), Some(Claim)),
            (json!({ "exp": [2000] }), Some(Claim)),
            (json!({ "exp": -1 }), Some(Claim)),
            (json!({ "exp": 1e300 }), Some(Claim)),
            (json!({ "exp": u64::MAX }), Some(Claim)),
            (json!({ "exp": 0 }), Some(Expired)),
            (json!({ "exp": 970 }), Some(Expired)),
            (json!({ "exp": 970.5 }), None),
            (json!({ "exp": 253_402_300_799_u64 }), None),
            (json!({ "nbf": "0" }), Some(Claim)),
            (json!({ "nbf": "x" }), Some(Claim)),
            (json!({ "nbf": null }), Some(Claim)),
            (json!({ "nbf": 1031 }), Some(Early)),
            (json!({ "nbf": 1030 }), None),
            (json!({ "iat": "now" }), Some(Claim)),
            (json!({ "iat": 999 }), None),
            (json!({ "sub": null }), Some(Subject)),
            (json!({ "sub": "" }), Some(Subject)),
            (json!({ "sub": 7 }), Some(Subject)),
            (json!({ "sub": ["ann"] }), Some(Subject)),
            (json!({ "sub": "a\nb" }), Some(Subject)),
            (json!({ "sub": "a".repeat(257) }), Some(Subject)),
            (json!({ "sub": "a".repeat(256) }), None),
            (json!({ "scope": 7 }), Some(Claim)),
        ] {
            assert_eq!(refused(changes.clone()), refusal, "{changes}");
        }
    }

    #[test]
    fn an_absent_claim_is_no_better_than_a_wrong_one() {
        for (name, refusal) in [
            ("iss", Refusal::Issuer),
            ("aud", Refusal::Audience),
            ("exp", Refusal::Claim),
            ("sub", Refusal::Subject),
        ] {
            let Value::Object(mut claims) = json!({ "iss": "i", "aud": "a", "sub": "s", "exp": 2000 }) else {
                unreachable!("it is an object")
            };
            claims.remove(name);
            let rules = Rules::new("as", "i", Some("i"));
            let expected = ["a".to_owned()];
            let expected = Expected { audiences: &expected };
            assert_eq!(
                rules.judge(claims, &expected, at(1000)).err(),
                Some(refusal),
                "{name}"
            );
        }
        // Nor is a place that no audience is known of open to all.
        let Value::Object(claims) = json!({ "iss": "i", "aud": "", "sub": "s", "exp": 2000 }) else {
            unreachable!("it is an object")
        };
        for audiences in [&[][..], &[String::new()]] {
            let judged =
                Rules::new("as", "i", Some("i")).judge(claims.clone(), &Expected { audiences }, at(1000));
            assert_eq!(judged.err(), Some(Refusal::Audience));
        }
    }

    #[test]
    fn an_identity_is_what_the_claims_say() {
        let rules = Rules {
            roles: Some("realm_access.roles".to_owned()),
            tenant: Some("org".to_owned()),
            required: vec!["org".to_owned()],
            ..rules()
        };
        let ann = judged(
            &rules,
            json!({ "org": "acme", "realm_access": { "roles": ["user", "admin"] }, "scope": "a b",
                    "email": "a@x", "preferred_username": "Ann" }),
        );
        let ann = ann.expect("she is believed");
        assert_eq!((&*ann.source, &*ann.subject), ("as", "ann"));
        assert_eq!(ann.roles, ["user", "admin"]);
        assert_eq!(ann.tenant.as_deref(), Some("acme"));
        assert_eq!(ann.scopes.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
        assert_eq!(ann.name.as_deref(), Some("Ann"));
        assert_eq!(ann.expires, Some(at(2030)));
        assert_eq!(ann.claim("email"), Some(&json!("a@x")));

        let one = judged(
            &rules,
            json!({ "org": "acme", "realm_access": { "roles": "a b" }, "scp": ["c"] }),
        );
        let one = one.expect("believed too");
        assert_eq!(one.roles, ["a b"]);
        assert_eq!(one.scopes, Some(vec!["c".to_owned()]));

        for changes in [
            json!({}),
            json!({ "org": null }),
            json!({ "org": 7 }),
            json!({ "org": "acme", "realm_access": { "roles": { "admin": true } } }),
            json!({ "org": "acme", "realm_access": { "roles": ["user", 7] } }),
        ] {
            assert_eq!(
                judged(&rules, changes.clone()).err(),
                Some(Refusal::Claim),
                "{changes}"
            );
        }
    }

    #[test]
    fn urls_that_mean_the_same_are_the_same_audience() {
        for (one, other, same) in [
            ("https://a.b/mcp", "HTTPS://A.B/mcp", true),
            ("https://a.b", "https://a.b/", true),
            ("https://a.b?x", "https://A.b?x", true),
            ("https://a.b/mcp", "https://a.b/mcp/", false),
            ("https://a.b/mcp", "https://a.b/Mcp", false),
            ("https://a.b/mcp", "https://a.b.evil/mcp", false),
            ("https://a.b", "http://a.b", false),
            ("https://a.b", "https://a.b:443", false),
            ("api", "API", false),
            ("", "", false),
        ] {
            assert_eq!(is_same(one, other), same, "{one} {other}");
        }
    }
}
