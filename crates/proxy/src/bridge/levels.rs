//! Log levels of servers before 2026-07-28, for clients of it: they say with each call from which level on they want
//! log messages, and the server wants to be told once for a session (`protocol.md` §2.6).

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use mcp::{Id, Message, meta};
use tokio::time::Instant;
use upstream::{Conversation, Headers, Pooled, Upstream};

/// A server is told anew after this long: it may have begun the session anew, and forgotten.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// Sessions remembered; beyond it all are forgotten, which costs each a request.
const REMEMBERED: usize = 4096;

/// A server that takes longer to set a level logs as it likes.
const SET_WITHIN: Duration = Duration::from_secs(5);

/// What servers were told last.
#[derive(Default)]
pub(crate) struct Levels {
    told: Mutex<HashMap<u64, Told>>,
}

#[derive(Clone, Copy)]
struct Told {
    level: usize,
    until: Instant,
}

impl Levels {
    /// Sees to it that the server logs at least from this level on, in the session that serves the call. That it
    /// does not is no fault of the call.
    pub(crate) async fn lower(
        &self,
        upstream: &Arc<Upstream>,
        pooled: &Pooled,
        headers: &Headers,
        level: usize,
    ) {
        let key = key(upstream, pooled, headers);
        let known = self.locked().get(&key).copied();
        let known = known.filter(|told| told.until > Instant::now());
        if known.is_some_and(|told| told.level <= level) {
            return;
        }
        let told = Told {
            level,
            until: Instant::now() + TOLD_FOR,
        };
        {
            // Noted first: of many calls at once one tells it.
            let mut table = self.locked();
            if table.len() >= REMEMBERED {
                table.clear();
            }
            table.insert(key, told);
        }
        let params = format!(r#"{{"level":"{}"}}"#, meta::LOG_LEVELS[level]);
        let request = Message::request(&Id::text("gw-level"), "logging/setLevel", Some(&params));
        let conversation = Conversation::Pooled(pooled.clone());
        let set = async {
            let mut exchange = upstream.open(conversation, headers.clone()).await?;
            exchange.send(&request).await?.messages.answer().await
        };
        match tokio::time::timeout(SET_WITHIN, set).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a log level was not set"),
            Err(_) => tracing::debug!(upstream = %upstream.name, "a log level was not set in time"),
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<u64, Told>> {
        self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Which session it is. That two of them are taken for one once in a long while costs some messages.
fn key(upstream: &Upstream, pooled: &Pooled, headers: &Headers) -> u64 {
    let mut hasher = DefaultHasher::new();
    upstream.name.hash(&mut hasher);
    pooled.hash(&mut hasher);
    for (name, value) in &headers.injected {
        name.hash(&mut hasher);
        value.hash(&mut hasher);
    }
    hasher.finish()
}
