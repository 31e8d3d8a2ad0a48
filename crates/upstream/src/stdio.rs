//! Upstreams that are started: a child process that speaks lines of JSON over its pipes.
//!
//! A 2026-07-28 child is shared by all clients, since every request stands alone there. A legacy
//! child knows one client for its whole life, so each session has a child of its own; requests
//! without a session share one that the gateway greeted. Children start when they are needed, end
//! when their session does or is idle for long, and never outlive the gateway ([`guard`]).

pub mod guard;
mod pending;
mod process;
mod slot;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use mcp::{Id, Kind, Message, Method};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::error::{Error, Fault};
use crate::handshake;
use crate::metrics::Metrics;
use crate::transport::{Conversation, Discovery, Headers, Link, MessageStream, Reply, Session, Transport};

use guard::Guard;
use pending::{Attribution, Ticket};
pub use process::Command;
use slot::Slot;
use wire::{Setup, Wire};

/// From its start a child may stay silent this long (`npx` may have to download it first) …
const SILENT_FROM_START: Duration = Duration::from_secs(10);

/// … and this long once it has said anything (`protocol.md` D-25).
const SILENT_ONCE_HEARD: Duration = Duration::from_secs(3);

/// A handshake of ours, a download by `npx` or `uvx` included.
const GREET_WITHIN: Duration = Duration::from_secs(120);

/// A session's child that nobody speaks to ends after this long: clients rarely say goodbye.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// One command, and the children running it.
pub struct Stdio {
    children: Arc<Children>,
}

struct Children {
    name: Arc<str>,
    command: Command,
    guard: Arc<Guard>,
    runtime: Handle,
    bounds: Bounds,
    metrics: Arc<Metrics>,
    /// Serves every 2026-07-28 request.
    modern: Slot,
    /// Serves legacy requests that come without a session.
    shared: Slot,
    /// Serve one legacy session each.
    private: Mutex<HashMap<Box<str>, Arc<Wire>>>,
    lives: TaskTracker,
}

/// What bounds the children of one command.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of a line.
    pub line: usize,
    /// Nesting of its JSON.
    pub limits: mcp::Limits,
    /// Children that serve one session each.
    pub children: usize,
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
        let children = Children {
            name,
            command,
            guard,
            runtime,
            bounds,
            metrics,
            modern: Slot::default(),
            shared: Slot::default(),
            private: Mutex::new(HashMap::new()),
            lives: TaskTracker::new(),
        };
        Self {
            children: Arc::new(children),
        }
    }
}

#[async_trait]
impl Transport for Stdio {
    async fn discover(&self, _headers: &Headers) -> Result<Discovery, Error> {
        let children = &self.children;
        let wire = children.start(Attribution::OnlyIfAlone, None).await?;
        let question = handshake::discover_request(&Id::number(0));
        let answered = async {
            let mut ticket = wire.ask(&question).await?;
            let answer = ticket.next().await;
            Ok::<_, Error>(answer)
        };
        let outcome = tokio::select! {
            outcome = answered => outcome,
            () = silence(&wire) => Ok(None),
        };
        match outcome {
            Ok(Some(answer)) => {
                let discovery = handshake::judge_discovery(&children.name, &answer)?;
                let slot = if discovery == Discovery::Legacy {
                    &children.shared
                } else {
                    &children.modern
                };
                slot.fill(wire).await;
                Ok(discovery)
            }
            // It hangs, or it ended over the unknown method: `initialize` decides.
            Ok(None) | Err(_) => {
                if wire.is_alive() {
                    children.shared.fill(wire).await;
                }
                Ok(Discovery::Legacy)
            }
        }
    }

    async fn share(&self, _headers: &Headers) -> Result<Session, Error> {
        let wire = self.children.shared().await?;
        let revision = *wire.agreed.get_or_try_init(|| self.children.greet(&wire)).await?;
        Ok(Session { id: None, revision })
    }

    async fn open(&self, conversation: &Conversation, headers: Arc<Headers>) -> Result<Box<dyn Link>, Error> {
        let children = &self.children;
        let (wire, greeting) = match conversation {
            Conversation::Modern => {
                let start = || children.start(Attribution::OnlyIfAlone, None);
                (children.modern.get_or_start(&children.name, start).await?, false)
            }
            Conversation::Shared => {
                self.share(&headers).await?;
                (children.shared().await?, false)
            }
            Conversation::Greeting => (children.start_private().await?, true),
            Conversation::Session(session) => (children.of_session(session)?, false),
        };
        Ok(Box::new(Pipe {
            children: Arc::clone(children),
            wire,
            greeting,
        }))
    }

    async fn end(&self, session: &Session, _headers: &Headers) {
        let ended = session
            .id
            .as_ref()
            .and_then(|id| self.children.private().remove(id));
        if let Some(wire) = ended {
            wire.stop();
        }
    }

    async fn stop(&self) {
        let children = &self.children;
        children.modern.stop().await;
        children.shared.stop().await;
        for (_, wire) in children.private().drain() {
            wire.stop();
        }
        children.lives.close();
        children.lives.wait().await;
    }

    fn kind(&self) -> &'static str {
        "stdio"
    }
}

impl Children {
    /// Starts a child on the runtime that owns it.
    async fn start(
        self: &Arc<Self>,
        attribution: Attribution,
        idle: Option<Duration>,
    ) -> Result<Arc<Wire>, Error> {
        let children = Arc::clone(self);
        let started = self.runtime.spawn(async move {
            let process = children
                .command
                .start(&children.guard)
                .map_err(|error| children.not_started(&error))?;
            let setup = Setup {
                upstream: Arc::clone(&children.name),
                attribution,
                idle,
                line: children.bounds.line,
                limits: children.bounds.limits,
                metrics: Arc::clone(&children.metrics),
                secrets: children
                    .command
                    .environment
                    .iter()
                    .map(|(_, value)| value.clone())
                    .collect(),
            };
            let (wire, life) = Wire::run(setup, process);
            children.lives.spawn(life);
            Ok(wire)
        });
        started
            .await
            .unwrap_or_else(|_| Err(Fault::NotStarted("the gateway is stopping".into()).of(&self.name)))
    }

    async fn start_private(self: &Arc<Self>) -> Result<Arc<Wire>, Error> {
        let full = {
            let mut private = self.private();
            private.retain(|_, wire| wire.is_alive());
            private.len() >= self.bounds.children
        };
        if full {
            let bound = format!(
                "{} sessions with a process each (`bounds.children`)",
                self.bounds.children
            );
            return Err(Fault::Full(bound).of(&self.name));
        }
        self.start(Attribution::Oldest, Some(IDLE)).await
    }

    async fn shared(self: &Arc<Self>) -> Result<Arc<Wire>, Error> {
        self.shared
            .get_or_start(&self.name, || self.start(Attribution::OnlyIfAlone, None))
            .await
    }

    fn of_session(&self, session: &Session) -> Result<Arc<Wire>, Error> {
        let wire = session.id.as_ref().and_then(|id| self.private().get(id).cloned());
        wire.filter(|wire| wire.is_alive())
            .ok_or_else(|| Fault::SessionGone.of(&self.name))
    }

    async fn greet(&self, wire: &Arc<Wire>) -> Result<mcp::Revision, Error> {
        let greeting = async {
            let mut ticket = wire.ask(&handshake::initialize_request(&Id::number(0))).await?;
            let answer = ticket.next().await.ok_or_else(|| wire.ending())?;
            let Some(revision) = handshake::agreed_revision(&answer) else {
                wire.stop();
                let what = "it answers neither `server/discover` nor `initialize`";
                return Err(Fault::Broken(what.into()).of(&self.name));
            };
            wire.put(&handshake::initialized_notification()).await?;
            Ok(revision)
        };
        match tokio::time::timeout(GREET_WITHIN, greeting).await {
            Ok(outcome) => outcome,
            Err(_) => {
                wire.stop();
                Err(Fault::Silent(GREET_WITHIN).of(&self.name))
            }
        }
    }

    fn not_started(&self, error: &std::io::Error) -> Error {
        let program = self.command.program.display();
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => match &self.command.directory {
                Some(directory) if !directory.is_dir() => {
                    format!("its directory `{}` does not exist", directory.display())
                }
                _ => format!("there is no command `{program}` here; install it or give its full path"),
            },
            std::io::ErrorKind::PermissionDenied => format!("`{program}` may not be executed"),
            _ => error.to_string(),
        };
        Fault::NotStarted(why).of(&self.name)
    }

    fn private(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Wire>>> {
        self.private
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The link of one exchange.
struct Pipe {
    children: Arc<Children>,
    wire: Arc<Wire>,
    /// Whether the exchange begins the session that the child is for.
    greeting: bool,
}

#[async_trait]
impl Link for Pipe {
    async fn send(&mut self, message: &Message) -> Result<Reply, Error> {
        match message.kind() {
            Kind::Request => {
                let outcome = self.ask(message).await;
                if self.greeting {
                    self.settle(outcome)
                } else {
                    outcome
                }
            }
            Kind::Notification if message.method() == Some(&Method::NotificationsCancelled) => {
                // The child knows the request by our id. One that has ended needs no cancelling.
                let running = message
                    .cancelled_request()
                    .and_then(|asked| self.wire.pending.id_of(&asked));
                if let Some(id) = running {
                    self.wire
                        .put(&message.with_cancelled_request(&Id::number(id)))
                        .await?;
                }
                Ok(Reply::accepted())
            }
            Kind::Notification | Kind::Result | Kind::Error => {
                self.wire.put(message).await?;
                Ok(Reply::accepted())
            }
        }
    }

    async fn cancel(&mut self, _request: &Message, _reason: &str) {
        // Dropping the reply has told the child already.
    }
}

impl Pipe {
    async fn ask(&self, message: &Message) -> Result<Reply, Error> {
        let ticket = self.wire.ask(message).await?;
        // An `initialize` cannot be cancelled.
        let cancellable = message.method() != Some(&Method::Initialize);
        let mut answer = Answer {
            wire: Arc::clone(&self.wire),
            ticket,
            first: None,
            cancellable,
        };
        let first = answer.next().await?;
        if matches!(first.kind(), Kind::Result | Kind::Error) {
            return Ok(Reply::one(200, first));
        }
        answer.first = Some(first);
        Ok(Reply::stream(Box::new(answer)))
    }

    /// After `initialize`: the child stays if it agreed, and ends if it did not.
    fn settle(&self, outcome: Result<Reply, Error>) -> Result<Reply, Error> {
        match outcome {
            Ok(mut reply) if is_agreement(&reply) => {
                let id: Box<str> = config::generate_key().expose().into();
                self.children.private().insert(id.clone(), Arc::clone(&self.wire));
                reply.session = Some(id);
                Ok(reply)
            }
            other => {
                self.wire.stop();
                other
            }
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // A client that left before its handshake was done leaves no child behind.
        let kept = !self.greeting
            || self
                .children
                .private()
                .values()
                .any(|wire| Arc::ptr_eq(wire, &self.wire));
        if !kept {
            self.wire.stop();
        }
    }
}

fn is_agreement(reply: &Reply) -> bool {
    matches!(&reply.messages, crate::transport::Messages::One(message) if message.kind() == Kind::Result)
}

/// Everything that comes back for one request.
struct Answer {
    wire: Arc<Wire>,
    ticket: Ticket,
    first: Option<Message>,
    cancellable: bool,
}

#[async_trait]
impl MessageStream for Answer {
    async fn next(&mut self) -> Result<Message, Error> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        self.ticket.next().await.ok_or_else(|| self.wire.ending())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.cancellable {
            self.wire.give_up(self.ticket.id);
        } else {
            self.wire.pending.abandon(self.ticket.id);
        }
    }
}

/// Ends when the child has been silent for too long.
async fn silence(wire: &Wire) {
    let heard = wire.first_output.notified();
    if tokio::time::timeout(SILENT_FROM_START, heard).await.is_ok() {
        tokio::time::sleep(SILENT_ONCE_HEARD).await;
    }
}
