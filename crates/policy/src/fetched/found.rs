//! Where an upstream's tokens are had: what the file says, and what was found out lately.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::client::Endpoint;
use super::discovery::{self, Hint, Server};
use super::settings::From;
use super::unfetched::Unfetched;
use crate::address;
use crate::authn::Outside;

/// How long what was found out counts.
const AGE: Duration = Duration::from_secs(10 * 60);
/// What is younger is not in doubt because a token is refused: all callers' may be, one after the other.
const SOON: Duration = Duration::from_secs(30);
/// How often an upstream may ask for more than it asked for before.
const MOST_STEPS: u8 = 3;

/// Where tokens are had, and for what.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) endpoint: Endpoint,
    /// All that who gives them says; nothing where the file names the place itself.
    pub(super) server: Option<Server>,
    /// What they are for.
    pub(super) resource: String,
    /// What may be asked for, as the upstream says.
    pub(super) scopes: Option<Vec<String>>,
}

/// What is known of one upstream.
#[derive(Default)]
pub(super) struct Lately {
    found: tokio::sync::Mutex<Option<(Arc<Found>, Instant)>>,
    said: Mutex<Said>,
}

/// What the upstream itself said when it refused.
#[derive(Default)]
struct Said {
    hint: Hint,
    /// What was found out before that counts no longer, or only if it is older than [`SOON`].
    has_moved: bool,
    is_in_doubt: bool,
    /// What it wanted beside what was asked for.
    more: Vec<String>,
    steps: u8,
}

impl Lately {
    /// Where tokens are had. Of many who want to know at once, one asks.
    ///
    /// # Errors
    /// Why it is not known.
    pub(super) async fn find(
        &self,
        upstream: &Uri,
        from: &From,
        outside: &dyn Outside,
    ) -> Result<Arc<Found>, Unfetched> {
        let mut found = self.found.lock().await;
        let (hint, age) = {
            let mut said = self.said.lock();
            let age = match (said.has_moved, said.is_in_doubt) {
                (true, _) => Duration::ZERO,
                (false, true) => SOON,
                (false, false) => AGE,
            };
            (said.has_moved, said.is_in_doubt) = (false, false);
            (said.hint.clone(), age)
        };
        if let Some((found, at)) = &*found
            && at.elapsed() < age
        {
            return Ok(Arc::clone(found));
        }
        let new = Arc::new(Found::find(upstream, from, &hint, outside).await?);
        *found = Some((Arc::clone(&new), Instant::now()));
        Ok(new)
    }

    /// Takes in what the upstream says to a token that it refuses, or to none. Whoever gives them is asked anew, at once
    /// if it says for the first time where its document is: whether it does.
    pub(super) fn refused(&self, hint: Hint) -> bool {
        let mut said = self.said.lock();
        let is_first = hint.metadata.is_some() && said.hint.metadata.is_none();
        said.is_in_doubt = true;
        said.has_moved |= is_first;
        said.hint.metadata = hint.metadata.or(said.hint.metadata.take());
        said.hint.scope = hint.scope.or(said.hint.scope.take());
        is_first
    }

    /// Takes in that the upstream wants more of a token than that for which it was asked: whether that is asked for
    /// from now on.
    pub(super) fn step_up(&self, found: &Found, hint: &Hint) -> bool {
        let asked = self.scopes(found).unwrap_or_default();
        let mut said = self.said.lock();
        let more = hint.scope.iter().flatten();
        let more: Vec<_> = more.filter(|scope| !asked.contains(scope)).cloned().collect();
        if more.is_empty() || said.steps >= MOST_STEPS {
            return false;
        }
        said.steps += 1;
        said.more.extend(more);
        true
    }

    /// How often it did.
    pub(super) fn steps(&self) -> u8 {
        self.said.lock().steps
    }

    /// What is asked for where the file does not say: what the upstream's refusal names, else what its document does,
    /// else nothing, and what it wanted beside that (MCP, authorization, §Scope Selection Strategy).
    pub(super) fn scopes(&self, found: &Found) -> Option<Vec<String>> {
        let said = self.said.lock();
        let mut scopes = said.hint.scope.clone().or_else(|| found.scopes.clone());
        if !said.more.is_empty() {
            let scopes = scopes.get_or_insert_default();
            let more = said.more.iter().filter(|scope| !scopes.contains(scope));
            let more: Vec<_> = more.cloned().collect();
            scopes.extend(more);
        }
        scopes
    }

    /// What was found, if it was.
    pub(super) async fn known(&self) -> Option<Arc<Found>> {
        let found = self.found.lock().await;
        found.as_ref().map(|(found, _)| Arc::clone(found))
    }
}

impl Found {
    /// Finds out where tokens for an upstream are had, as far as the file does not say.
    pub(super) async fn find(
        upstream: &Uri,
        from: &From,
        hint: &Hint,
        outside: &dyn Outside,
    ) -> Result<Self, Unfetched> {
        let canonical = || address::canonical(upstream);
        if let Some(url) = &from.token_url {
            return Ok(Self {
                endpoint: Endpoint {
                    url: url.clone(),
                    issuer: from.issuer.clone(),
                    methods: None,
                },
                server: None,
                resource: canonical(),
                scopes: None,
            });
        }
        let near = address::is_loopback(upstream);
        let (server, resource, scopes) = match &from.issuer {
            Some(issuer) => {
                // The operator's own word for it.
                let near = near || issuer.parse().is_ok_and(|url| address::is_loopback(&url));
                (discovery::server(issuer, near, outside).await?, canonical(), None)
            }
            None => {
                let resource = discovery::resource(upstream, hint, outside).await?;
                let server = discovery::server(&resource.issuer, near, outside).await?;
                (server, resource.resource, resource.scopes)
            }
        };
        Ok(Self {
            endpoint: Endpoint {
                url: server.token.clone(),
                issuer: Some(server.issuer.clone()),
                methods: server.methods.clone(),
            },
            server: Some(server),
            resource,
            scopes,
        })
    }
}
