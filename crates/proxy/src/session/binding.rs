//! Where what a client carries back is good: a session id, a `requestState`, a cursor.

use crate::call::Visit;
use crate::route::{Parameters, Route};

/// What a session is bound to beside its principal: a token of `/mcp/docs` or `/t/a/mcp` opens
/// neither `/mcp/crm` nor `/t/b/mcp`.
pub(super) fn binding(visit: &Visit) -> Vec<u8> {
    let (route, to) = (&visit.route, visit.to.name());
    bound_to(route, to, &visit.parameters, &visit.bound_parameters)
}

/// What waits at one server of an endpoint does not wait at another.
pub(super) fn binding_at(visit: &Visit, server: &str) -> Vec<u8> {
    let mut bound = binding(visit);
    bound.extend_from_slice(server.as_bytes());
    bound
}

/// What is carried back in the clear has no principal in it.
pub(super) fn with_principal(visit: &Visit) -> Vec<u8> {
    let mut bound = binding(visit);
    bound.extend_from_slice(visit.principal.binding());
    bound
}

/// An address of the 2024-11-05 transport is no session id of Streamable HTTP, nor the reverse.
pub(super) fn binding_of_sse(visit: &Visit) -> Vec<u8> {
    let mut bound = binding(visit);
    bound.extend_from_slice(b"sse");
    bound
}

fn bound_to(route: &Route, upstream: &str, parameters: &Parameters, of_query: &[String]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(64);
    let mut add = |text: &str| {
        bound.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bound.extend_from_slice(text.as_bytes());
    };
    add(route.host().unwrap_or_default());
    add(&route.path);
    add(upstream);
    for (name, value) in parameters.of_path() {
        add(name);
        add(value);
    }
    for name in of_query {
        add(name);
        // One that is absent is not one that is empty.
        match parameters.get(name) {
            Some(value) => {
                add("=");
                add(value);
            }
            None => add(""),
        }
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Choice, Routes, SessionRule};

    /// What a session is bound to that begins at a URL, where `region` is part of an injected header.
    fn bound_at(path: &str, query: Option<&str>, upstream: &str) -> Vec<u8> {
        let route = |path: &str, host: Option<&str>| {
            let choice = Choice::Among(vec!["docs".into()]);
            Route::new(path, host.map(str::to_owned), choice, SessionRule::On).unwrap()
        };
        let routes = Routes::new(vec![
            route("/mcp", None),
            route("/other", None),
            route("/mcp/{server}", None),
            route("/t/{tenant}/mcp", None),
            route("/mcp", Some("acme.example.com")),
        ]);
        let (host, path) = path.split_once('/').unwrap();
        let (route, parameters, _) = routes.find(Some(host), &format!("/{path}"), query).unwrap();
        bound_to(&route, upstream, &parameters, &["region".to_owned()])
    }

    #[test]
    fn a_session_is_of_one_place_only() {
        let places = [
            ("h/mcp", None, "docs"),
            ("h/mcp", None, "crm"),
            ("h/other", None, "docs"),
            ("acme.example.com/mcp", None, "docs"),
            ("h/mcp/docs", None, "docs"),
            ("h/mcp/crm", None, "docs"),
            ("h/t/a/mcp", None, "docs"),
            ("h/t/b/mcp", None, "docs"),
            ("h/mcp", Some("region=eu"), "docs"),
            ("h/mcp", Some("region=us"), "docs"),
            ("h/mcp", Some("region="), "docs"),
        ];
        for (index, (path, query, upstream)) in places.into_iter().enumerate() {
            for (other_path, other_query, other_upstream) in places.into_iter().skip(index + 1) {
                assert_ne!(
                    bound_at(path, query, upstream),
                    bound_at(other_path, other_query, other_upstream),
                    "{path} {query:?} {upstream} and {other_path} {other_query:?} {other_upstream}"
                );
            }
        }
    }

    #[test]
    fn what_injects_nothing_does_not_bind() {
        assert_eq!(
            bound_at("h/mcp", Some("x=1"), "docs"),
            bound_at("h/mcp/", None, "docs")
        );
    }
}
