//! The twins of a route: where legacy SSE clients look for it. `/mcp/docs` has `/mcp/docs/sse` and
//! `/mcp/docs/messages`, and `/mcp` (or else the root) has `/sse` and `/messages` besides, where old
//! configurations point.

use std::sync::Arc;

use super::{Pairs, Route, Routes, Segment, segments};

/// Which of a route's addresses a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its own, which serves every client.
    Endpoint,
    /// The twin for event streams, which serves every client too.
    Stream,
    /// The twin that clients of an event stream POST to.
    Messages,
}

/// The route that a path leads to: its own, unless it is a twin of another. A route that is written
/// with such a path is no twin.
pub(super) fn find(routes: &Routes, host: Option<&str>, path: &str) -> Option<(Arc<Route>, Pairs, Place)> {
    let own = || routes.at(host, path);
    let Some((base, place)) = split(path) else {
        return own().map(|(route, pairs)| (route, pairs, Place::Endpoint));
    };
    if let Some((route, pairs)) = own()
        && matches!(route.segments.last(), Some(Segment::Fixed(_)))
    {
        return Some((route, pairs, Place::Endpoint));
    }
    let of_root = || base.is_empty().then(|| routes.at(host, "/mcp")).flatten();
    let root_or = if base.is_empty() { "/" } else { base };
    match routes.at(host, root_or).or_else(of_root) {
        Some((route, pairs)) => Some((route, pairs, place)),
        None => own().map(|(route, pairs)| (route, pairs, Place::Endpoint)),
    }
}

/// Where the client of an event stream at this path POSTs its messages.
pub(crate) fn messages_of(path: &str, place: Place) -> String {
    // All of them: what begins with two would be another host's.
    let path = path.trim_end_matches('/');
    let base = match place {
        Place::Endpoint => path,
        Place::Stream | Place::Messages => path.rsplit_once('/').map_or("", |(base, _)| base),
    };
    format!("{base}/messages")
}

/// Splits the query of an address that we told at its token: what stands before it, the token, and what
/// stands behind. Told last, so that an `s` of the stream's own URL stays what it is.
pub(crate) fn split_token(query: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = match query.rsplit_once("&s=") {
        Some(split) => split,
        None => ("", query.strip_prefix("s=")?),
    };
    let (token, behind) = rest.split_once('&').unwrap_or((rest, ""));
    Some((before, token, behind))
}

/// A path whose last segment is that of a twin, and what stands before it.
fn split(path: &str) -> Option<(&str, Place)> {
    let last = segments(path).last()?;
    let place = match last {
        "sse" => Place::Stream,
        "messages" | "message" => Place::Messages,
        _ => return None,
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    let base = path.strip_suffix(last)?.strip_suffix('/')?;
    (!base.ends_with('/')).then_some((base, place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Choice, SessionRule};

    fn routes(paths: &[(&str, Option<&str>)]) -> Routes {
        let route = |(path, host): &(&str, Option<&str>)| {
            let choice = Choice::Among(vec!["docs".into()]);
            Route::new(path, host.map(str::to_owned), choice, SessionRule::On).unwrap()
        };
        Routes::new(paths.iter().map(route).collect())
    }

    #[test]
    fn a_route_has_its_twins() {
        let routes = routes(&[
            ("/mcp", None),
            ("/mcp/{server}", None),
            ("/t/{tenant}", None),
            ("/own/sse", None),
            ("/", Some("acme.example.com")),
        ]);
        for (host, path, route, place) in [
            ("h", "/mcp", "/mcp", Place::Endpoint),
            ("h", "/mcp/docs", "/mcp/{server}", Place::Endpoint),
            ("h", "/sse", "/mcp", Place::Stream),
            ("h", "/sse/", "/mcp", Place::Stream),
            ("h", "/messages", "/mcp", Place::Messages),
            ("h", "/message", "/mcp", Place::Messages),
            ("h", "/mcp/sse", "/mcp", Place::Stream),
            ("h", "/mcp/messages", "/mcp", Place::Messages),
            ("h", "/mcp/docs/sse", "/mcp/{server}", Place::Stream),
            ("h", "/mcp/docs/messages/", "/mcp/{server}", Place::Messages),
            ("h", "/own/sse", "/own/sse", Place::Endpoint),
            ("h", "/own/sse/sse", "/own/sse", Place::Stream),
            ("h", "/t/sse", "/t/{tenant}", Place::Endpoint),
            ("acme.example.com", "/", "/", Place::Endpoint),
            ("acme.example.com", "/sse", "/", Place::Stream),
            ("acme.example.com", "/mcp/sse", "/mcp", Place::Stream),
        ] {
            let (found, _, at) = routes.find(Some(host), path, None).unwrap();
            assert_eq!((&*found.path, at), (route, place), "{host}{path}");
        }
        for path in ["/other/sse", "/mcp/docs/sse/sse", "//sse", "/mcp//sse"] {
            assert!(routes.find(Some("h"), path, None).is_none(), "{path}");
        }
    }

    #[test]
    fn the_token_of_an_address_is_the_last_s_of_its_query_and_no_parameter() {
        for (query, token) in [
            ("s=T", Some(("", "T", ""))),
            ("server=docs&s=T", Some(("server=docs", "T", ""))),
            ("s=mine&s=T&added=1", Some(("s=mine", "T", "added=1"))),
            ("x=s=T", None),
            ("", None),
        ] {
            assert_eq!(split_token(query), token, "{query}");
        }
        let routes = routes(&[("/mcp", None)]);
        let s = |path, query| {
            let (_, parameters, _) = routes.find(Some("h"), path, Some(query)).unwrap();
            parameters.get("s").map(str::to_owned)
        };
        assert_eq!(s("/mcp/messages", "s=T"), None);
        assert_eq!(s("/mcp/messages", "s=mine&s=T").as_deref(), Some("mine"));
        assert_eq!(s("/mcp", "s=mine").as_deref(), Some("mine"));
    }

    #[test]
    fn messages_go_beside_the_stream() {
        for (path, place, messages) in [
            ("/mcp/docs", Place::Endpoint, "/mcp/docs/messages"),
            ("/mcp/docs/", Place::Endpoint, "/mcp/docs/messages"),
            ("/mcp/docs/sse", Place::Stream, "/mcp/docs/messages"),
            ("/sse", Place::Stream, "/messages"),
            ("/", Place::Endpoint, "/messages"),
            ("//", Place::Endpoint, "/messages"),
        ] {
            assert_eq!(messages_of(path, place), messages);
        }
    }
}
