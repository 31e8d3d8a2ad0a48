//! Legacy sessions: a conversation whose memory is its sealed id.
//!
//! What a session needs is in the token itself ([`token`]), so that any process with the key can
//! serve it and a restart forgets nothing. The one thing remembered here is which sessions their
//! clients have ended.

mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::KeyRing;
use mcp::Revision;
use policy::Principal;
use upstream::Session;

use crate::call::Visit;
use crate::route::{Parameters, Route};

pub(crate) use token::Claims;

/// Sessions ended by their clients and not yet expired. Beyond it those that expire first are
/// forgotten, whose tokens then work again until they do.
const ENDED: usize = 100_000;

/// Tokens remembered as opened; beyond it all are forgotten and opened anew as they come.
const OPENED: usize = 16_384;

/// Begins, recognizes and ends sessions.
pub struct Sessions {
    keys: KeyRing,
    lifetime: Duration,
    owner: String,
    ended: Mutex<HashMap<token::Id, u64>>,
    opened: Mutex<HashMap<Box<str>, Opened>>,
}

/// A token that was opened before, and what it was opened for. Clients send the same one with every
/// request, and opening it again would cost more than the rest of finding their session.
struct Opened {
    binding: Vec<u8>,
    claims: Arc<Claims>,
}

impl Sessions {
    /// Sessions sealed with these keys, which expire after `lifetime`, used or not.
    pub fn new(keys: KeyRing, lifetime: Duration) -> Self {
        let owner = format!("{:08x}", fastrand::u32(..));
        Self {
            keys,
            lifetime,
            owner,
            ended: Mutex::default(),
            opened: Mutex::default(),
        }
    }

    /// The id of a session that begins now; `None` when it would be longer than what we take.
    pub(crate) fn begin(
        &self,
        visit: &Visit,
        principal: &Principal,
        with_upstream: &Session,
    ) -> Option<String> {
        let now = seconds(SystemTime::now());
        let claims = Claims {
            id: token::Id::new(),
            expires: now + self.lifetime.as_secs(),
            revision: with_upstream.revision.as_str().to_owned(),
            principal: principal.binding().to_vec(),
            upstream: with_upstream.id.as_deref().map(str::to_owned),
            greeting: with_upstream.greeting.as_deref().map(str::to_owned),
        };
        token::seal(&self.keys, &self.owner, &binding(visit), &claims)
    }

    /// The session behind an id. One that is tampered with, expired, ended, another principal's or
    /// another route's does not exist, and nobody can tell which.
    pub(crate) fn recognize(&self, visit: &Visit, principal: &Principal, text: &str) -> Option<Arc<Claims>> {
        let claims = self.open(&binding(visit), text)?;
        let lives = claims.expires > seconds(SystemTime::now())
            && claims.principal == principal.binding()
            && !self.locked().contains_key(&claims.id);
        lives.then_some(claims)
    }

    fn open(&self, binding: &[u8], text: &str) -> Option<Arc<Claims>> {
        let opened = || {
            self.opened
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
        };
        if let Some(known) = opened().get(text)
            && known.binding == binding
        {
            return Some(Arc::clone(&known.claims));
        }
        let claims = Arc::new(token::open(&self.keys, binding, text)?);
        let mut opened = opened();
        if opened.len() >= OPENED {
            opened.clear();
        }
        opened.insert(
            text.into(),
            Opened {
                binding: binding.to_vec(),
                claims: Arc::clone(&claims),
            },
        );
        Some(claims)
    }

    /// The client ends its session.
    pub(crate) fn end(&self, claims: &Claims) {
        let now = seconds(SystemTime::now());
        let mut ended = self.locked();
        if ended.len() >= ENDED {
            ended.retain(|_, expires| *expires > now);
        }
        if ended.len() >= ENDED {
            let first = ended
                .iter()
                .min_by_key(|(_, expires)| **expires)
                .map(|(id, _)| id.clone());
            first.and_then(|first| ended.remove(&first));
        }
        ended.insert(claims.id.clone(), claims.expires);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<token::Id, u64>> {
        self.ended.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Claims {
    /// What was agreed in its handshake.
    pub(crate) fn revision(&self) -> Revision {
        Revision::parse(&self.revision).unwrap_or(Revision::LATEST_LEGACY)
    }

    /// The session with the upstream.
    pub(crate) fn with_upstream(&self) -> Session {
        Session {
            id: self.upstream.as_deref().map(Into::into),
            revision: self.revision(),
            greeting: self.greeting.as_deref().map(Into::into),
        }
    }
}

/// What a session is bound to beside its principal: a token of `/mcp/docs` or `/t/a/mcp` opens
/// neither `/mcp/crm` nor `/t/b/mcp`.
fn binding(visit: &Visit) -> Vec<u8> {
    let (route, upstream) = (&visit.route, &visit.upstream.name);
    bound_to(route, upstream, &visit.parameters, &visit.bound_parameters)
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

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
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
        let (route, parameters) = routes.find(Some(host), &format!("/{path}"), query).unwrap();
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
