//! What a request says to prove who makes it: at most one credential, in one of the places there are for it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::{HeaderMap, HeaderValue, header};

/// The longest credential that is looked at, in bytes. Tokens of companies with many groups come near half of it.
const LONGEST: usize = 16 * 1024;

/// What a request says to prove who makes it.
#[derive(PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// Nothing.
    None,
    /// A token of any kind: `Authorization: Bearer`.
    Bearer(&'a str),
    /// A key of ours: `X-API-Key`, or the password of `Authorization: Basic`.
    Key(Cow<'a, str>),
}

/// Why what it says is not even looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Two of them: which one would be meant?
    Several,
    /// Of a scheme that nothing here understands.
    Scheme,
    /// No credential can look so.
    Malformed,
}

impl<'a> Credential<'a> {
    /// What these headers and this query say.
    ///
    /// # Errors
    /// Two credentials, or one that is none. A token in a query ends up in logs (`protocol.md` RS-6), so that it is
    /// refused even beside a good one.
    pub(super) fn of(headers: &'a HeaderMap, query: Option<&str>) -> Result<Self, Unusable> {
        let authorization = only(headers, header::AUTHORIZATION.as_str())?;
        let key = only(headers, "x-api-key")?;
        if names_token(query) {
            return Err(Unusable::Several);
        }
        match (authorization, key) {
            (None, None) => Ok(Self::None),
            (Some(_), Some(_)) => Err(Unusable::Several),
            (None, Some(key)) => Ok(Self::Key(Cow::Borrowed(text(key)?))),
            (Some(authorization), None) => Self::authorization(text(authorization)?),
        }
    }

    fn authorization(line: &'a str) -> Result<Self, Unusable> {
        let (scheme, rest) = line.split_once(' ').ok_or(Unusable::Malformed)?;
        let rest = rest.trim_matches(' ');
        if rest.is_empty() || rest.contains([' ', ',']) {
            return Err(Unusable::Malformed);
        }
        if scheme.eq_ignore_ascii_case("bearer") {
            Ok(Self::Bearer(rest))
        } else if scheme.eq_ignore_ascii_case("basic") {
            let pair = STANDARD.decode(rest).or_else(|_| STANDARD_NO_PAD.decode(rest));
            let pair = pair.ok().and_then(|pair| String::from_utf8(pair).ok());
            let password = pair.as_deref().and_then(|pair| pair.split_once(':'));
            let (_, password) = password.ok_or(Unusable::Malformed)?;
            Ok(Self::Key(Cow::Owned(password.to_owned())))
        } else {
            Err(Unusable::Scheme)
        }
    }
}

/// The only line of a header.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, Unusable> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (line, None) => Ok(line),
        (_, Some(_)) => Err(Unusable::Several),
    }
}

fn text(line: &HeaderValue) -> Result<&str, Unusable> {
    match line.to_str() {
        Ok(text) if !text.is_empty() && text.len() <= LONGEST => Ok(text),
        Ok(_) | Err(_) => Err(Unusable::Malformed),
    }
}

/// Whether a query holds a token by the name that RFC 6750 §2.3 has for it.
fn names_token(query: Option<&str>) -> bool {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.any(|(name, _)| name == "access_token")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[(&'static str, &str)], query: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        match Credential::of(&headers, query) {
            Ok(Credential::None) => "nothing".into(),
            Ok(Credential::Bearer(token)) => format!("bearer {token}"),
            Ok(Credential::Key(key)) => format!("key {key}"),
            Err(unusable) => format!("{unusable:?}"),
        }
    }

    #[test]
    fn a_credential_has_its_places() {
        let long = format!("Bearer {}", "x".repeat(LONGEST));
        for (lines, query, found) in [
            (&[][..], None, "nothing"),
            (&[("authorization", "Bearer abc")], None, "bearer abc"),
            (&[("authorization", "bEaReR  abc ")], None, "bearer abc"),
            (&[("x-api-key", "abc")], None, "key abc"),
            (&[("authorization", "Basic dXNlcjpwYTpzcw==")], None, "key pa:ss"),
            (&[("authorization", "Basic dXNlcjpwYTpzcw")], None, "key pa:ss"),
            (&[("authorization", "Basic bm9jb2xvbg==")], None, "Malformed"),
            (&[("authorization", "Basic !!!")], None, "Malformed"),
            (&[("authorization", "Digest x")], None, "Scheme"),
            (&[("authorization", "abc")], None, "Malformed"),
            (&[("authorization", "Bearer ")], None, "Malformed"),
            (&[("authorization", "Bearer a b")], None, "Malformed"),
            (&[("authorization", "Bearer a,Bearer b")], None, "Malformed"),
            (&[("authorization", &long)], None, "Malformed"),
            (
                &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
                None,
                "Several",
            ),
            (
                &[("authorization", "Bearer a"), ("x-api-key", "a")],
                None,
                "Several",
            ),
            (&[("x-api-key", "a"), ("x-api-key", "a")], None, "Several"),
            (
                &[("authorization", "Bearer a")],
                Some("x=1&access_token=a"),
                "Several",
            ),
            (
                &[("authorization", "Bearer a")],
                Some("access%5Ftoken"),
                "Several",
            ),
            (
                &[("cookie", "token=a"), ("proxy-authorization", "Bearer a")],
                Some("token=a"),
                "nothing",
            ),
        ] {
            assert_eq!(said(lines, query), found, "{lines:?} {query:?}");
        }
    }
}
