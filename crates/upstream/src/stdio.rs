//! Upstreams that are started: a child process that speaks lines of JSON over its pipes.
//!
//! A 2026-07-28 child is shared by all clients, since every request stands alone there. A legacy
//! child knows one client for its whole life, so each session has a child of its own; requests without a
//! session share one that the gateway greeted, or one for each principal and what its clients can be asked. Children start when they are needed, end
//! when their session does or is idle for long, and never outlive the gateway ([`guard`]).

mod children;
mod pipe;
mod slot;

mod wire;

pub mod guard;
mod descriptors;
mod process;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp::Id;
use tokio::runtime::Handle;

use crate::error::Error;
use crate::handshake;
use crate::metrics::Metrics;
use crate::transport::{
    Agreement, Conversation, Discovery, Headers, Link, MessageStream, Overheard, Pooled, Session, Transport,
};

use children::Children;
pub use descriptors::keep_descriptors_of_children;
use guard::Guard;
use pipe::{Hearing, Pipe};
pub use process::Command;
use wire::Wire;

/// From its start a child may stay silent this long (`npx` may have to download it first) …
const SILENT_FROM_START: Duration = Duration::from_secs(10);

/// … and this long once it has said anything (`protocol.md` D-25).
const SILENT_ONCE_HEARD: Duration = Duration::from_secs(3);

/// One command, and the children running it.
pub struct Stdio {
    children: Arc<Children>,
}

/// What bounds the children of one command.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of a line.
    pub line: usize,
    /// Nesting of its JSON.
    pub limits: mcp::Limits,
    /// Children that serve one session or one principal each.
    pub children: usize,
    /// One of them that nobody speaks to ends after this long: clients rarely say goodbye.
    pub idle: Duration,
}

impl Stdio {
    /// Children of `command`, run on `runtime`, none of them yet.
    pub fn new(
        name: Arc<str>,
        command: Command,
        guard: Arc<Guard>,
        runtime: Handle,
        bounds: Bounds,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            children: Arc::new(Children::new(name, command, guard, runtime, bounds, metrics)),
        }
    }
}

#[async_trait]
impl Transport for Stdio {
    async fn discover(&self, _headers: &Headers) -> Result<Discovery, Error> {
        let children = &self.children;
        let started = children.start_shared().await?;
        let wire = Arc::clone(started.wire());
        let question = handshake::discover_request(&Id::number(0));
        let mut asked = std::pin::pin!(wire.answer_to(&question));
        let answer = tokio::select! {
            answer = &mut asked => answer.ok(),
            () = silence(&wire) => children.greet_beside(&wire, asked).await,
        };
        let Some(answer) = answer else {
            // It hangs on the question, or it ended over it: `initialize` decides, or has decided.
            if wire.is_alive() {
                children.shared.fill(started).await;
            }
            return Ok(Discovery::Legacy);
        };
        let discovery = handshake::judge_discovery(&children.name, &answer)?;
        let slot = if discovery == Discovery::Legacy {
            &children.shared
        } else {
            &children.modern
        };
        slot.fill(started).await;
        Ok(discovery)
    }

    async fn share(&self, pooled: &Pooled, _headers: &Headers) -> Result<Agreement, Error> {
        Ok(self.children.greeted(pooled).await?.1)
    }

    async fn open(
        &self,
        conversation: &Conversation,
        _headers: Arc<Headers>,
    ) -> Result<Box<dyn Link>, Error> {
        let children = &self.children;
        let pipe = match conversation {
            Conversation::Modern | Conversation::Bridged => {
                let modern = children.modern.get_or_start(|| children.start_shared());
                Pipe::to(children, modern.await?)
            }
            Conversation::Pooled(pooled) => {
                let (wire, _) = children.greeted(pooled).await?;
                Pipe::pooled(children, wire, pooled.clone())
            }
            Conversation::Greeting => Pipe::greeting(children, children.start_private().await?),
            Conversation::Session(session) => Pipe::of_session(children, children.of_session(session)?),
        };
        Ok(Box::new(pipe))
    }

    async fn listen(
        &self,
        session: &Session,
        _headers: Arc<Headers>,
    ) -> Result<Box<dyn MessageStream>, Error> {
        let wire = self.children.of_session(session)?;
        Ok(Box::new(Hearing::of(&wire)))
    }

    async fn overhear(&self, pooled: &Pooled, _headers: &Arc<Headers>) -> Result<Overheard, Error> {
        let (wire, agreement) = self.children.greeted(pooled).await?;
        Ok(Overheard {
            agreement,
            stream: Box::new(Hearing::of(&wire)),
        })
    }

    fn tells_credentials_apart(&self) -> bool {
        false
    }

    async fn end(&self, session: &Session, _headers: &Headers) {
        self.children.end_session(session);
    }

    fn release(&self, scope: &[u8]) {
        self.children.release(scope);
    }

    async fn stop(&self) {
        self.children.stop().await;
    }

    fn kind(&self) -> &'static str {
        "stdio"
    }
}

/// Ends when the child has been silent for too long.
async fn silence(wire: &Wire) {
    let heard = wire.heard.cancelled();
    if tokio::time::timeout(SILENT_FROM_START, heard).await.is_ok() {
        tokio::time::sleep(SILENT_ONCE_HEARD).await;
    }
}

#[cfg(test)]
mod tests;
