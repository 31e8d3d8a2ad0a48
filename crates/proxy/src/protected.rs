//! What clients are told of how to get a token for an endpoint: its metadata (RFC 9728) and the challenge of an answer
//! that asks for one (RFC 6750 §3). Addresses are those of `public_url`, never of what a request says of its host.

use std::fmt::Write as _;

use crate::route::Place;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Where clients get tokens for our endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// The address that clients use, without a slash at its end.
    pub base: String,
    /// The issuers whose tokens are taken.
    pub issuers: Vec<String>,
}

/// What a challenge says of the token that was presented.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault<'a> {
    /// There was none.
    Missing,
    /// It is not good.
    Invalid,
    /// It was granted too little: it would have to have all of these scopes.
    Scopes(&'a [String]),
}

impl Protected {
    /// The endpoint that a request is for: the URL that tokens for it name.
    pub(crate) fn resource(&self, path: &str, place: Place) -> String {
        let path = path.trim_end_matches('/');
        let path = match place {
            Place::Endpoint => path,
            // The twins of `/mcp` stand at the root.
            Place::Stream | Place::Messages => match path.rsplit_once('/') {
                Some(("", _)) | None => "/mcp",
                Some((base, _)) => base,
            },
        };
        format!("{}{path}", self.base)
    }

    /// The endpoint whose metadata this path asks for, as we know it and as clients do.
    pub(crate) fn asked<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(WELL_KNOWN)?;
        let rest = rest.trim_end_matches('/');
        // Behind a proxy that strips a part of our address it may stand here, or not.
        let stripped = base_path(&self.base);
        let rest = match rest.strip_prefix(stripped) {
            Some(stripped) if !stripped.is_empty() => stripped,
            Some(_) | None => rest,
        };
        Some(rest)
    }

    /// The metadata of an endpoint.
    pub(crate) fn metadata(&self, resource: &str) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let issuers: Vec<String> = self.issuers.iter().map(|issuer| text(issuer)).collect();
        format!(
            r#"{{"resource":{},"authorization_servers":[{}],"bearer_methods_supported":["header"]}}"#,
            text(resource),
            issuers.join(",")
        )
    }
}

/// What asks for a token at this endpoint; of one that no issuer makes tokens for, for a key.
pub(crate) fn challenge(resource: Option<&str>, fault: Fault<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    match fault {
        // Who sent nothing is not told that it was bad.
        Fault::Missing => {}
        Fault::Invalid => parts.push(r#"error="invalid_token""#.into()),
        Fault::Scopes(scopes) => {
            parts.push(r#"error="insufficient_scope""#.into());
            parts.push(format!(r#"scope="{}""#, scopes.join(" ")));
        }
    }
    if let Some(metadata) = resource.and_then(metadata_of) {
        parts.push(format!(r#"resource_metadata="{metadata}""#));
    }
    let mut challenge = String::from("Bearer");
    if !parts.is_empty() {
        let _ = write!(challenge, " {}", parts.join(", "));
    }
    challenge
}

/// Where the metadata of a resource is: between its host and its path (RFC 9728 §3.1).
fn metadata_of(resource: &str) -> Option<String> {
    let (scheme, rest) = resource.split_once("://")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    Some(format!("{scheme}://{host}{WELL_KNOWN}{path}"))
}

fn base_path(base: &str) -> &str {
    let rest = base.split_once("://").map_or("", |(_, rest)| rest);
    rest.find('/').map_or("", |place| &rest[place..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(base: &str) -> Protected {
        Protected {
            base: base.into(),
            issuers: vec!["https://login.example.com".into()],
        }
    }

    #[test]
    fn an_endpoint_is_known_by_its_public_address() {
        let plain = at("https://tools.example.com");
        let behind = at("https://example.com/tools");
        for (base, path, place, resource) in [
            (&plain, "/mcp", Place::Endpoint, "https://tools.example.com/mcp"),
            (
                &plain,
                "/mcp/docs/",
                Place::Endpoint,
                "https://tools.example.com/mcp/docs",
            ),
            (&plain, "/", Place::Endpoint, "https://tools.example.com"),
            (&plain, "/sse", Place::Stream, "https://tools.example.com/mcp"),
            (
                &plain,
                "/mcp/docs/messages",
                Place::Messages,
                "https://tools.example.com/mcp/docs",
            ),
            (&behind, "/mcp", Place::Endpoint, "https://example.com/tools/mcp"),
        ] {
            assert_eq!(base.resource(path, place), resource);
        }
    }

    #[test]
    fn its_metadata_is_where_clients_look_for_it() {
        let found = |base: &str, path: &'static str| at(base).asked(path).map(str::to_owned);
        let plain = "https://tools.example.com";
        for (base, path, endpoint) in [
            (plain, "/.well-known/oauth-protected-resource/mcp", Some("/mcp")),
            (
                plain,
                "/.well-known/oauth-protected-resource/mcp/docs",
                Some("/mcp/docs"),
            ),
            (plain, "/.well-known/oauth-protected-resource", Some("")),
            (plain, "/mcp", None),
            (
                "https://example.com/tools",
                "/.well-known/oauth-protected-resource/tools/mcp",
                Some("/mcp"),
            ),
            (
                "https://example.com/tools",
                "/.well-known/oauth-protected-resource/mcp",
                Some("/mcp"),
            ),
        ] {
            assert_eq!(found(base, path).as_deref(), endpoint, "{base} {path}");
        }
        assert_eq!(
            challenge(Some("https://example.com/tools/mcp"), Fault::Invalid),
            "Bearer error=\"invalid_token\", \
             resource_metadata=\"https://example.com/.well-known/oauth-protected-resource/tools/mcp\""
        );
        assert_eq!(challenge(None, Fault::Missing), "Bearer");
        assert_eq!(
            challenge(None, Fault::Scopes(&["a".into(), "b".into()])),
            "Bearer error=\"insufficient_scope\", scope=\"a b\""
        );
    }
}
