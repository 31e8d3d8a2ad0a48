//! Upstreams that are started: a child process that speaks lines of JSON over its pipes.
//!
//! A 2026-07-28 child is shared by all clients, since every request stands alone there. A legacy
//! child knows one client for its whole life, so each session has a child of its own; requests
//! without a session share one that the gateway greeted. Children start when they are needed, end
//! when their session does or is idle for long, and never outlive the gateway ([`guard`]).

mod children;
mod pause;
mod pipe;
mod slot;

mod wire;

pub mod guard;
mod process;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp::Id;
use tokio::runtime::Handle;

use crate::error::{Error, Fault};
use crate::handshake;
use crate::metrics::Metrics;
use crate::transport::{Conversation, Discovery, Headers, Link, MessageStream, Session, Transport};

use children::Children;
use guard::Guard;
use pipe::Pipe;
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
        let answer = tokio::select! {
            answer = wire.answer_to(&question) => answer.ok(),
            () = silence(&wire) => None,
        };
        let Some(answer) = answer else {
            // It hangs, or it ended over the unknown method: `initialize` decides.
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

    async fn share(&self, _headers: &Headers) -> Result<Session, Error> {
        let (_, revision) = self.children.greeted().await?;
        Ok(Session {
            id: None,
            revision,
            greeting: None,
        })
    }

    async fn open(
        &self,
        conversation: &Conversation,
        _headers: Arc<Headers>,
    ) -> Result<Box<dyn Link>, Error> {
        let children = &self.children;
        let pipe = match conversation {
            Conversation::Modern => {
                let modern = children.modern.get_or_start(|| children.start_shared());
                Pipe::to(children, modern.await?)
            }
            Conversation::Shared => Pipe::to(children, children.greeted().await?.0),
            Conversation::Greeting => Pipe::greeting(children, children.start_private().await?),
            Conversation::Session(session) => Pipe::to(children, children.of_session(session)?),
        };
        Ok(Box::new(pipe))
    }

    async fn listen(
        &self,
        _session: &Session,
        _headers: Arc<Headers>,
    ) -> Result<Box<dyn MessageStream>, Error> {
        Err(Fault::NotOffered.of(&self.children.name))
    }

    async fn end(&self, session: &Session, _headers: &Headers) {
        self.children.end_session(session);
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
mod tests {
    use super::*;
    use crate::transport::Messages;
    use bytes::Bytes;
    use mcp::{Message, Revision};

    /// Answers one `initialize`, and says something else before any answer of its.
    const LEGACY: &str = r#"
        n=0
        initialize='"initialize"'
        while read -r line; do
            n=$((n + 1))
            echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}'
            case "$line" in
            *$initialize*)
                initialize=
                echo '{"jsonrpc":"2.0","id":'$n',"result":{"protocolVersion":"2025-06-18","capabilities":{}}}' ;;
            *)
                echo '{"jsonrpc":"2.0","id":'$n',"error":{"code":-32601,"message":"unknown"}}' ;;
            esac
        done"#;

    /// Reads, and answers nothing.
    const MUTE: &str = "cat >/dev/null";

    fn stdio(script: &str, children: usize) -> Stdio {
        let command = Command {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            directory: None,
        };
        let bounds = Bounds {
            line: 1 << 20,
            limits: mcp::Limits::default(),
            children,
        };
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        // `grep guard` reads its input to the end, as a guard does.
        let guard = Arc::new(Guard::new("grep".into()));
        let name = "files".into();
        Stdio::new(name, command, guard, Handle::current(), bounds, Arc::new(metrics))
    }

    fn message(text: &'static str) -> Message {
        Message::parse(Bytes::from_static(text.as_bytes()), &mcp::Limits::default()).unwrap()
    }

    fn initialize() -> Message {
        message(r#"{"jsonrpc":"2.0","id":"c","method":"initialize","params":{}}"#)
    }

    fn call() -> Message {
        message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)
    }

    async fn open(stdio: &Stdio, conversation: Conversation) -> Result<Box<dyn Link>, Error> {
        stdio.open(&conversation, Arc::default()).await
    }

    async fn discover(stdio: &Stdio) -> Result<Discovery, Error> {
        stdio.discover(&Headers::default()).await
    }

    async fn soon<T>(expected: impl Future<Output = T>) -> T {
        let bounded = tokio::time::timeout(Duration::from_secs(10), expected);
        bounded.await.expect("this happens soon")
    }

    /// Polls once, as a caller who leaves at once would.
    async fn leave(call: impl Future) {
        tokio::select! {
            biased;
            _ = call => panic!("it was not to be done at once"),
            () = std::future::ready(()) => {}
        }
    }

    #[tokio::test]
    async fn a_server_that_speaks_before_it_answers_is_understood() {
        let stdio = stdio(LEGACY, 1);

        assert_eq!(soon(discover(&stdio)).await.unwrap(), Discovery::Legacy);
        let shared = soon(stdio.share(&Headers::default())).await.unwrap();
        let mut link = soon(open(&stdio, Conversation::Greeting)).await.unwrap();
        let reply = soon(link.send(&initialize())).await.unwrap();

        assert_eq!(shared.revision, Revision::V2025_06_18);
        assert!(reply.session.is_some());
        assert!(matches!(reply.messages, Messages::One(answer) if answer.id() == initialize().id()));
        soon(stdio.stop()).await;
    }

    #[tokio::test]
    async fn a_batch_on_one_line_is_several_messages() {
        let stdio = stdio(
            r#"read -r line; echo '[{"jsonrpc":"2.0","method":"notifications/message"},{"jsonrpc":"2.0","id":1,"result":{}}]'; cat"#,
            1,
        );

        let mut link = soon(open(&stdio, Conversation::Modern)).await.unwrap();
        let reply = soon(link.send(&call())).await.unwrap();

        let Messages::Stream(mut stream) = reply.messages else {
            panic!("the notification comes first");
        };
        assert_eq!(stream.next().await.unwrap().kind(), mcp::Kind::Notification);
        assert_eq!(stream.next().await.unwrap().id(), call().id());
        soon(stdio.stop()).await;
    }

    #[tokio::test]
    async fn a_child_counts_from_before_its_start_until_it_has_ended() {
        let stdio = stdio(MUTE, 1);
        let greeting = soon(open(&stdio, Conversation::Greeting)).await.unwrap();

        let second = open(&stdio, Conversation::Greeting).await;
        assert!(matches!(second.err().unwrap().fault, Fault::Full(_)));

        drop(greeting);
        drop(soon(stdio.children.seats.acquire()).await);
        assert!(open(&stdio, Conversation::Greeting).await.is_ok());
        soon(stdio.stop()).await;
    }

    #[tokio::test]
    async fn a_child_whose_caller_left_ends() {
        let stdio = stdio(MUTE, 1);

        leave(discover(&stdio)).await;
        leave(open(&stdio, Conversation::Greeting)).await;

        stdio.children.lives.close();
        soon(stdio.children.lives.wait()).await;
    }

    #[tokio::test]
    async fn a_handshake_of_ours_outlives_the_caller_who_began_it() {
        let stdio = stdio(LEGACY, 1);
        let children = &stdio.children;
        let started = children.shared.get_or_start(|| children.start_shared());
        soon(started).await.unwrap();

        leave(children.greeted()).await;

        // A second `initialize` on the same pipe would be refused.
        let (_, revision) = soon(children.greeted()).await.unwrap();
        assert_eq!(revision, Revision::V2025_06_18);
        soon(stdio.stop()).await;
    }

    #[tokio::test]
    async fn on_a_shared_child_no_client_cancels_a_call_of_another() {
        let stdio = stdio(
            r#"while read -r line; do case "$line" in
               *cancelled*) echo '{"jsonrpc":"2.0","id":1,"error":{"code":0,"message":"cancelled"}}' ;;
               *prompts*) echo '{"jsonrpc":"2.0","id":2,"result":{}}' ;;
               esac; done"#,
            1,
        );
        let mut ours = soon(open(&stdio, Conversation::Modern)).await.unwrap();
        let mut theirs = soon(open(&stdio, Conversation::Modern)).await.unwrap();
        let cancelled =
            message(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
        let (call, other) = (
            call(),
            message(r#"{"jsonrpc":"2.0","id":1,"method":"prompts/list"}"#),
        );

        let meanwhile = async {
            theirs.send(&cancelled).await.unwrap();
            theirs.send(&other).await.unwrap();
        };
        tokio::select! {
            biased;
            _ = ours.send(&call) => panic!("it was cancelled"),
            () = soon(meanwhile) => {}
        }

        soon(stdio.stop()).await;
    }

    #[tokio::test]
    async fn a_child_that_closed_its_input_finishes_its_answers_while_another_takes_its_place() {
        let stdio = stdio(
            r#"read -r line; exec 0<&-
               echo '{"jsonrpc":"2.0","method":"notifications/message"}'
               sleep 0.2
               echo '{"jsonrpc":"2.0","id":1,"result":{}}'
               sleep 60"#,
            1,
        );
        let mut link = soon(open(&stdio, Conversation::Modern)).await.unwrap();
        let Messages::Stream(mut stream) = soon(link.send(&call())).await.unwrap().messages else {
            panic!("the notification comes first");
        };
        stream.next().await.unwrap();

        let unheard = soon(link.send(&call())).await;
        let mut next = soon(open(&stdio, Conversation::Modern)).await.unwrap();
        let heard = soon(next.send(&call())).await;

        assert!(matches!(unheard.err().unwrap().fault, Fault::Exited(_)));
        assert!(heard.is_ok());
        assert_eq!(soon(stream.next()).await.unwrap().kind(), mcp::Kind::Result);
        soon(stdio.stop()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_crashes_at_its_start_is_not_asked_again_without_pause() {
        let stdio = stdio("exit 1", 1);
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(60)).await;
            stdio.children.pauses.note_crash(tokio::time::Instant::now());
        }

        for conversation in [Conversation::Modern, Conversation::Shared, Conversation::Greeting] {
            let error = open(&stdio, conversation).await.err().unwrap();
            assert!(error.to_string().contains("the next start is in"), "{error}");
        }
        let error = discover(&stdio).await.unwrap_err();
        assert!(error.to_string().contains("the next start is in"), "{error}");
    }

    #[tokio::test]
    async fn after_its_stop_nothing_starts() {
        let stdio = stdio(MUTE, 1);

        soon(stdio.stop()).await;

        let error = open(&stdio, Conversation::Modern).await.err().unwrap();
        assert!(matches!(error.fault, Fault::NotStarted(_)));
    }
}
