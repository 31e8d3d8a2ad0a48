//! URIs of many servers: each begins with the alias of its server, and is read back without any table.
//!
//! `file:///x` of the server `docs` is `docs+file:///x` here, which is a URI again (RFC 3986 §3.1: a scheme has a
//! `+`). Two kinds are different. `ui://x` is `ui://docs+x`, since hosts of MCP Apps know their views by that scheme.
//! And `http://` and `https://` stay as they are, since clients may fetch them on their own (2026-07-28 resources
//! §Common URI Schemes); whose they are is not told by them.
//!
//! What is read back is what was written, for any text: one without a scheme, one that begins with an alias itself
//! (`a+b+x` is the `b+x` of `a`), none at all. Nothing is decoded, resolved or brought into a normal form: a server
//! gets its URIs back byte by byte. Templates (RFC 6570) are texts like any other; what a client makes of one has
//! the same beginning.

use std::borrow::Cow;

use super::Alias;

/// What stands between an alias and a URI. An alias has none, so the first one ends it.
const SEPARATOR: &str = "+";

/// The views of MCP Apps.
const VIEW: &str = "ui://";

/// A URI of that server, or a template of them, as it is exposed: longer by its alias and one byte, or as it is.
pub fn expose<'u>(alias: &Alias, uri: &'u str) -> Cow<'u, str> {
    if is_shared(uri) {
        return Cow::Borrowed(uri);
    }
    let (scheme, rest) = view(uri).unwrap_or(("", uri));
    Cow::Owned([scheme, alias.as_str(), SEPARATOR, rest].concat())
}

/// Whose URI this is, and what it is there. `None` if it begins with no alias that `known` has something for.
///
/// That is more than [`expose`] makes: `a+http://x` is the `http://x` of `a`, and `a+ui://x` its `ui://x`. A client
/// comes to them when it fills in a template as `{scheme}://x`.
pub fn reveal<'u, T>(uri: &'u str, known: impl FnOnce(&str) -> Option<T>) -> Option<(T, Cow<'u, str>)> {
    let (scheme, rest) = view(uri).unwrap_or(("", uri));
    let (alias, original) = rest.split_once(SEPARATOR)?;
    let server = known(alias)?;
    let original = match scheme {
        "" => Cow::Borrowed(original),
        scheme => Cow::Owned([scheme, original].concat()),
    };
    Some((server, original))
}

/// Whether URIs of this kind are exposed as they are, so that none of them says whose it is.
pub fn is_shared(uri: &str) -> bool {
    begins_with(uri, "http://") || begins_with(uri, "https://")
}

/// The scheme of a view, as it is written, and the rest.
fn view(uri: &str) -> Option<(&str, &str)> {
    begins_with(uri, VIEW).then(|| uri.split_at(VIEW.len()))
}

/// Schemes are the same in any case (RFC 3986 §3.1).
fn begins_with(uri: &str, scheme: &str) -> bool {
    uri.as_bytes()
        .get(..scheme.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme.as_bytes()))
}
