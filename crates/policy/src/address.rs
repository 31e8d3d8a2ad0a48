//! Addresses that what we believe, or our own secrets, may travel to and from: https, or this machine.

use std::net::IpAddr;

use config::scalar::{self, Wrong};
use config::{Field, Located};
use http::Uri;

/// Reads one that is written in the file.
pub(crate) fn written(written: Located<String>, field: &Field<'_>) -> Option<Uri> {
    if has_user(&written.value) {
        let problem = written
            .problem("a URL may not carry a user or a password")
            .secret();
        field.problems().add(problem.hint("leave them out"));
        return None;
    }
    Some(written.checked(field.problems(), parse)?.value)
}

/// The address that a text is.
pub(crate) fn parse(text: &str) -> Result<Uri, Wrong> {
    let refused = |why: &str| Wrong::new(format!("`{}` {why}", scalar::shown(text)));
    let url = text.parse::<Uri>();
    let url = url.map_err(|_| refused("is not a URL").hint("write `https://…`"))?;
    let host = url.host().unwrap_or_default();
    match url.scheme_str() {
        Some("https") if !host.is_empty() => Ok(url),
        Some("http") if is_loopback(&url) => Ok(url),
        Some("http") => Err(refused("is not encrypted")
            .hint("write `https://…`: whoever can change an answer on its way could let anybody in")),
        Some(_) | None => Err(refused("is not a URL we can ask").hint("write `https://…`")),
    }
}

/// Whether it is of this machine, by what it is called.
pub(crate) fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Whether it carries a user, or a password.
pub(crate) fn has_user(text: &str) -> bool {
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    let mut parts = authority.split(['/', '?', '#']);
    parts.next().is_some_and(|authority| authority.contains('@'))
}

/// Scheme, host and port, in small letters and without a port that goes without saying.
pub(crate) fn origin(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    match (url.port_u16(), scheme.as_str()) {
        (None, _) | (Some(443), "https") | (Some(80), "http") => format!("{scheme}://{host}"),
        (Some(port), _) => format!("{scheme}://{host}:{port}"),
    }
}

/// What names a resource (RFC 8707 §2): without a query, since ours may hold a secret, and without the slash of a
/// path that is nothing else.
pub(crate) fn canonical(url: &Uri) -> String {
    let path = if url.path() == "/" { "" } else { url.path() };
    format!("{}{path}", origin(url))
}

/// Whether the path of one goes on where that of the other ends, at the same place.
pub(crate) fn is_within(url: &Uri, above: &Uri) -> bool {
    if origin(url) != origin(above) {
        return false;
    }
    let above = above.path().trim_end_matches('/');
    let rest = url.path().strip_prefix(above);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
