//! Where a request goes: a URL taken apart once, its addresses resolved when needed.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pingora::upstreams::peer::HttpPeer;

use crate::budget::Budget;
use crate::error::{Error, Reason};

/// Addresses are asked for again after this long, so that a moved server is found without a restart.
const ADDRESSES_KEPT: Duration = Duration::from_secs(30);

/// After a resolver that did not answer, it is asked again after this long.
const ASKED_AGAIN: Duration = Duration::from_secs(5);

/// With a resolver that is down the last addresses are used for this long. After it they may be
/// somebody else's.
const STALE_AFTER: Duration = Duration::from_secs(60 * 60);

/// The server behind one URL.
#[derive(Debug)]
pub struct Target {
    /// The whole URL, as given.
    url: String,
    /// `host:port`, or `host` where the port is the scheme's own: the `Host` header.
    authority: String,
    host: String,
    port: u16,
    tls: bool,
    path: String,
    addresses: Mutex<Option<Addresses>>,
    /// What may be repeated there.
    pub(crate) budget: Budget,
}

#[derive(Debug, Clone)]
struct Addresses {
    peers: Arc<[HttpPeer]>,
    good_until: Instant,
    /// When the resolver named them.
    named: Instant,
}

/// The same URL for another user of it: addresses are asked for anew, and the budget is its own.
impl Clone for Target {
    fn clone(&self) -> Self {
        Self {
            url: self.url.clone(),
            authority: self.authority.clone(),
            host: self.host.clone(),
            port: self.port,
            tls: self.tls,
            path: self.path.clone(),
            addresses: Mutex::new(None),
            budget: Budget::default(),
        }
    }
}

/// Two targets are the same when they are written the same: everything else comes of that.
impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Eq for Target {}

impl Target {
    /// Takes an `http` or `https` URL apart.
    ///
    /// # Errors
    /// In the operator's words, when the text is not a URL we can call.
    pub fn parse(url: &str) -> Result<Self, String> {
        if !url.contains("://") {
            return Err(format!("`{url}` has no scheme; did you mean `https://{url}`?"));
        }
        let uri: http::Uri = url.parse().map_err(|_| format!("`{url}` is not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(other) => {
                return Err(format!(
                    "`{other}://` is not a scheme we speak; use http or https"
                ));
            }
            None => return Err(format!("`{url}` is not a URL")),
        };
        let authority = uri.authority().ok_or_else(|| format!("`{url}` names no host"))?;
        if authority.as_str().contains('@') {
            return Err("a URL may not carry a user or a password; put them in `headers`".into());
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if host.is_empty() {
            return Err(format!("`{url}` names no host"));
        }
        if authority.port_u16().is_none()
            && authority
                .as_str()
                .trim_end_matches(']')
                .contains(&format!("{}:", authority.host()))
        {
            return Err(format!("`{authority}` has no port that exists"));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            url: url.to_owned(),
            authority: authority.as_str().to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            host,
            tls,
            path: if path.is_empty() {
                "/".into()
            } else {
                path.to_owned()
            },
            addresses: Mutex::new(None),
            budget: Budget::default(),
        })
    }

    /// The same server under another path and query: where a redirect within it leads, or what it calls
    /// by a relative reference (RFC 3986 §5.2).
    ///
    /// # Errors
    /// When `reference` leads to another origin, or is not a URL.
    pub fn sibling(&self, reference: &str) -> Result<Self, String> {
        let reference = reference.split('#').next().unwrap_or_default();
        let scheme = if self.tls { "https" } else { "http" };
        let absolute = if has_scheme(reference) {
            reference.to_owned()
        } else if reference.starts_with("//") {
            format!("{scheme}:{reference}")
        } else {
            format!("{scheme}://{}{}", self.authority, self.resolved(reference))
        };
        let other = Self::parse(&absolute)?;
        let same_host = other.host.eq_ignore_ascii_case(&self.host);
        if same_host && (other.tls, other.port) == (self.tls, self.port) {
            Ok(other)
        } else {
            Err("it leads to another origin".into())
        }
    }

    /// The path and query that a reference without scheme and host means here.
    fn resolved(&self, reference: &str) -> String {
        let base = self.path.split('?').next().unwrap_or("/");
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (reference, None),
        };
        let path = match path {
            "" => base.to_owned(),
            _ if path.starts_with('/') => without_dots(path),
            _ => {
                let folder = base.rfind('/').map_or("/", |last| &base[..=last]);
                without_dots(&format!("{folder}{path}"))
            }
        };
        match query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        }
    }

    /// The URL, as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The value of the `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The server's addresses, the one that answered last first.
    pub(crate) async fn peers(&self, within: Duration) -> Result<Arc<[HttpPeer]>, Error> {
        if let Some(known) = self.remembered()
            && Instant::now() < known.good_until
        {
            return Ok(known.peers);
        }
        let found = match self.host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, self.port)],
            Err(_) => match tokio::time::timeout(within, tokio::net::lookup_host((&*self.host, self.port)))
                .await
            {
                Ok(Ok(addresses)) => addresses.collect(),
                // A resolver that is down must not take a working server with it.
                failed => match self.remembered() {
                    Some(stale) if stale.named.elapsed() < STALE_AFTER => {
                        self.remember(Arc::clone(&stale.peers), ASKED_AGAIN, stale.named);
                        return Ok(stale.peers);
                    }
                    Some(_) | None => {
                        let why = match failed {
                            Ok(Err(error)) => error.to_string(),
                            Ok(Ok(_)) | Err(_) => format!("the resolver did not answer within {within:?}"),
                        };
                        return Err(self.failed(Reason::Unresolved(why)));
                    }
                },
            },
        };
        if found.is_empty() {
            return Err(self.failed(Reason::Unresolved("the name exists but has none".into())));
        }
        let peers: Arc<[HttpPeer]> = found.into_iter().map(|address| self.peer(address)).collect();
        self.remember(Arc::clone(&peers), ADDRESSES_KEPT, Instant::now());
        Ok(peers)
    }

    /// Puts the address that just answered first, for the next request.
    pub(crate) fn prefer(&self, peers: &[HttpPeer], answered: usize) {
        if answered > 0
            && let Some(known) = self.remembered()
        {
            let mut order = peers.to_vec();
            order.swap(0, answered);
            self.remember(order.into(), ADDRESSES_KEPT, known.named);
        }
    }

    pub(crate) fn failed(&self, reason: Reason) -> Error {
        Error {
            server: self.authority.clone(),
            reason,
            sent: false,
        }
    }

    fn peer(&self, address: SocketAddr) -> HttpPeer {
        // pingora verifies nothing when the server name is empty, so it is always the host.
        let mut peer = HttpPeer::new(address, self.tls, self.host.clone());
        // HTTP/1.1 only: an invalid HTTP/2 answer would be retried even for POST (cloudflare/pingora#979).
        peer.options.set_http_version(1, 1);
        peer
    }

    fn remembered(&self) -> Option<Addresses> {
        self.addresses
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }

    fn remember(&self, peers: Arc<[HttpPeer]>, kept: Duration, named: Instant) {
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        *addresses = Some(Addresses {
            peers,
            good_until: Instant::now() + kept,
            named,
        });
    }
}

/// Whether a reference names a scheme: a colon before any `/` or `?`.
fn has_scheme(reference: &str) -> bool {
    let head = reference.split(['/', '?']).next().unwrap_or_default();
    head.contains(':')
}

/// An absolute path with its `.` and `..` carried out.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments = path.split('/').skip(1);
    let mut ends_in_folder = false;
    for segment in segments {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    if ends_in_folder {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("https://docs.example.com/mcp?x=1").unwrap();
        assert_eq!(
            (target.authority(), target.port, target.path()),
            ("docs.example.com", 443, "/mcp?x=1")
        );
        assert!(target.is_tls());
        assert_eq!(Target::parse("http://[::1]:8080").unwrap().host, "::1");
    }

    #[test]
    fn what_we_cannot_call_is_refused_in_words() {
        for (url, words) in [
            ("htp://x/", "not a scheme we speak"),
            ("docs.example.com/mcp", "has no scheme"),
            ("http://user:secret@host/", "may not carry a user"),
            ("http:///path", "is not a URL"),
            ("http://host:99999/", "no port that exists"),
        ] {
            let error = Target::parse(url).unwrap_err();
            assert!(error.contains(words), "{url}: {error}");
        }
    }

    #[test]
    fn a_redirect_stays_within_its_origin() {
        let target = Target::parse("http://host:81/mcp").unwrap();
        assert_eq!(target.sibling("/mcp/").unwrap().path(), "/mcp/");
        assert_eq!(target.sibling("http://host:81/x").unwrap().path(), "/x");
        for elsewhere in [
            "http://host/mcp",
            "https://host:81/mcp",
            "//evil/mcp",
            "http://evil:81/",
            "http://host:81@evil/",
            "javascript:alert(1)",
        ] {
            assert!(target.sibling(elsewhere).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn a_relative_reference_is_resolved_as_a_browser_would() {
        let target = Target::parse("http://host:81/a/sse?x=1").unwrap();
        for (reference, path) in [
            ("/messages?s=1", "/messages?s=1"),
            ("messages?s=a:b", "/a/messages?s=a:b"),
            ("?s=1", "/a/sse?s=1"),
            ("", "/a/sse"),
            ("./messages", "/a/messages"),
            ("../messages/", "/messages/"),
            ("../../../x", "/x"),
            ("..", "/"),
            ("/b/../c/./d#e", "/c/d"),
            ("//HOST:81/m", "/m"),
        ] {
            assert_eq!(target.sibling(reference).unwrap().path(), path, "{reference}");
        }
    }
}
