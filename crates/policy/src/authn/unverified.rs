//! Tokens as they arrive: their three parts (RFC 7515 §7.1), read but not believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp::Object;
use serde_json::{Map, Value};

use super::refusal::Refusal;
use super::strict;

/// A longer token, in bytes, is refused before anything of it is read. What identity providers make of a user with
/// hundreds of groups stays below it, and so do the header lines that a server takes.
pub(super) const LONGEST: usize = 16 << 10;
/// More claims, or members of a header, no token has.
const MOST_MEMBERS: usize = 256;

/// A token of which nothing is verified.
///
/// Of its header only `alg`, `kid` and `typ` are ever looked at. A key that it brings along or points to (`jwk`,
/// `jku`, `x5c`, `x5u`) would be its bearer's own word for it. Of its claims only `iss` is, and the rest is built once
/// the signature is verified: as values it may take up to seventy times the memory that it has as text.
#[derive(Debug, Clone)]
pub struct Unverified<'t> {
    pub(super) algorithm: String,
    /// `kid`: which key it says to be signed with.
    pub(super) key: Option<String>,
    /// `typ`.
    pub(super) kind: Option<String>,
    /// What the signature is of.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
    issuer: Option<String>,
    claims: Vec<u8>,
}

impl<'t> Unverified<'t> {
    /// Takes a token apart. Text that could be written in a second way is refused in that: padding, white space,
    /// stray bits at the end of a part, names that stand twice.
    ///
    /// # Errors
    /// [`Refusal::TooLong`] and [`Refusal::Malformed`]; the latter also for a header with `crit`, since there is no
    /// extension that we understand.
    pub fn parse(token: &'t str) -> Result<Self, Refusal> {
        if token.len() > LONGEST {
            return Err(Refusal::TooLong);
        }
        Self::read(token).ok_or(Refusal::Malformed)
    }

    /// The issuer that it names, if that is text.
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// All that it claims, for who has verified its signature.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, Refusal> {
        strict::object(&self.claims).ok_or(Refusal::Malformed)
    }

    fn read(token: &'t str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        let header = members(&header)?;
        if header.get("crit").is_some() {
            return None;
        }
        // A fourth part would be here, and its dot is not of the alphabet.
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        Some(Self {
            algorithm: header.get_text("alg")?.into_owned(),
            key: text(&header, "kid")?,
            kind: text(&header, "typ")?,
            signed: signed.as_bytes(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
            issuer: members(&claims)?.get_text("iss").map(Into::into),
            claims,
        })
    }
}

/// The members of an object, each of which stands once.
fn members(text: &[u8]) -> Option<Object<'_>> {
    let object = Object::parse(text).ok()?;
    let members = object.members();
    if members.len() > MOST_MEMBERS {
        return None;
    }
    let mut names: Vec<&str> = members.iter().map(|member| &*member.key).collect();
    names.sort_unstable();
    let is_twice = |names: &[&str]| names[0] == names[1];
    (!names.windows(2).any(is_twice)).then_some(object)
}

/// A member that is text, if it is there at all.
#[expect(
    clippy::option_option,
    reason = "nothing there, and nothing one could read, are two things"
)]
fn text(members: &Object<'_>, name: &str) -> Option<Option<String>> {
    match members.get(name) {
        None => Some(None),
        Some(_) => Some(Some(members.get_text(name)?.into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first example of RFC 7519 §3.1.
    const RFC: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn a_token_is_taken_apart() {
        let token = Unverified::parse(RFC).expect("a token");
        assert_eq!(token.issuer(), Some("joe"));
        assert_eq!((&*token.algorithm, token.kind.as_deref()), ("HS256", Some("JWT")));
        assert_eq!(token.claims().expect("claims")["exp"], 1_300_819_380);
        assert_eq!(token.signature.len(), 32);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let token = |header: &str, claims: &str| {
            [header, claims, "x"]
                .map(|part| URL_SAFE_NO_PAD.encode(part))
                .join(".")
        };
        let many = |count| {
            let members: Vec<_> = (0..count).map(|number| format!("\"{number}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        for claims in ["{}", &many(256)] {
            assert!(Unverified::parse(&token(r#"{"alg":"x"}"#, claims)).is_ok());
        }
        let [header, claims, signature] = [0, 1, 2].map(|part| RFC.split('.').nth(part).unwrap_or_default());
        for text in [
            String::new(),
            "..".to_owned(),
            format!("{header}.{claims}"),
            format!("{RFC}."),
            format!("{RFC}.{signature}"),
            format!("{RFC}="),
            format!("{RFC} "),
            format!("{header}.{claims}=.{signature}"),
            // `k` ends in two bits that stand for nothing, and are 0; those of `l` are not.
            format!("{}l", &RFC[..RFC.len() - 1]),
            token("{}", "{}"),
            token(r#"{"alg":null}"#, "{}"),
            token(r#"{"alg":"x","kid":1}"#, "{}"),
            token(r#"{"alg":"x","typ":[]}"#, "{}"),
            token(r#"{"alg":"x","alg":"x"}"#, "{}"),
            token(r#"{"alg":"x","crit":[]}"#, "{}"),
            token(r#"{"alg":"x"}"#, "[]"),
            token(r#"{"alg":"x"}"#, r#"{"sub":"a","sub":"a"}"#),
            token(&format!(r#"{{"alg":"x"{}}}"#, r#","x":1"#.repeat(2)), "{}"),
            token(r#"{"alg":"x"}"#, &many(257)),
        ] {
            assert_eq!(Unverified::parse(&text).err(), Some(Refusal::Malformed), "{text}");
        }
        for claims in [r#"{"exp":1e400}"#, r#"{"a":{"b":1,"b":1}}"#] {
            let text = token(r#"{"alg":"x"}"#, claims);
            let read = Unverified::parse(&text).expect("a token");
            assert_eq!(read.claims().err(), Some(Refusal::Malformed), "{claims}");
        }
        let long = format!("{RFC}{}", "A".repeat(LONGEST));
        assert_eq!(Unverified::parse(&long).err(), Some(Refusal::TooLong));
    }
}
