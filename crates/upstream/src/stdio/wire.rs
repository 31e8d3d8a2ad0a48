//! One child and the two pipes that talk with it: lines out by a bounded queue, lines in to whoever
//! waits for them. One task owns the child from its start to its end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use mcp::frame::line::LineReader;
use mcp::{Id, Kind, Message, Method, Revision};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Notify, OnceCell, mpsc};
use tokio_util::sync::CancellationToken;

use super::pending::{Attribution, Delivery, Pending, Ticket};
use super::process::Process;
use crate::error::{Error, Fault};
use crate::metrics::Metrics;

/// Lines that may wait for a child that is slow to read.
const QUEUE: usize = 64;

/// Lines that are no message before the child is taken for broken.
const GARBAGE_BORNE: u32 = 100;

/// Read at once from a child.
const READ: usize = 16 * 1024;

/// A running child.
pub(super) struct Wire {
    pub(super) upstream: Arc<str>,
    pub(super) pending: Pending,
    /// What was agreed in a handshake of the gateway's own, once there was one.
    pub(super) agreed: OnceCell<Revision>,
    pub(super) first_output: Notify,
    lines: mpsc::Sender<Bytes>,
    attribution: Attribution,
    stop: CancellationToken,
    ended: OnceLock<(Fault, Instant)>,
    gone: CancellationToken,
    started: Instant,
    told: AtomicBool,
    last_used: AtomicU64,
}

/// What a wire needs to run.
pub(super) struct Setup {
    pub(super) upstream: Arc<str>,
    pub(super) attribution: Attribution,
    /// After this long without a request the child is ended; never when `None`.
    pub(super) idle: Option<Duration>,
    /// Bytes of a line.
    pub(super) line: usize,
    pub(super) limits: mcp::Limits,
    pub(super) metrics: Arc<Metrics>,
    pub(super) secrets: Vec<config::Secret>,
}

impl Wire {
    /// Takes over a child that was just started. The future it returns is the child's life.
    pub(super) fn run(setup: Setup, process: Process) -> (Arc<Self>, impl Future<Output = ()> + Send) {
        let (lines, queue) = mpsc::channel(QUEUE);
        let wire = Arc::new(Self {
            upstream: Arc::clone(&setup.upstream),
            pending: Pending::default(),
            agreed: OnceCell::new(),
            first_output: Notify::new(),
            lines,
            attribution: setup.attribution,
            stop: CancellationToken::new(),
            ended: OnceLock::new(),
            gone: CancellationToken::new(),
            started: Instant::now(),
            told: AtomicBool::new(false),
            last_used: AtomicU64::new(0),
        });
        let life = Arc::clone(&wire).live(setup, process, queue);
        (wire, life)
    }

    /// Sends a request and takes a ticket for what comes back.
    pub(super) async fn ask(&self, request: &Message) -> Result<Ticket, Error> {
        self.touch();
        let (ticket, renamed) = self.pending.register(request).ok_or_else(|| self.ending())?;
        // A caller may leave while the child is slow to read; its place must not stay behind.
        let place = Place {
            pending: &self.pending,
            id: ticket.id,
        };
        self.put(&renamed).await?;
        std::mem::forget(place);
        Ok(ticket)
    }

    /// Sends a message that nobody answers.
    pub(super) async fn put(&self, message: &Message) -> Result<(), Error> {
        self.touch();
        self.lines.send(framed(message)).await.map_err(|_| self.ending())
    }

    /// Takes a request back: the child is told if it still runs there.
    pub(super) fn give_up(&self, id: u64) {
        if self.pending.abandon(id) {
            let params = format!(r#"{{"requestId":{id},"reason":"the client no longer waits"}}"#);
            let cancelled = Message::notification("notifications/cancelled", Some(&params));
            let _ = self.lines.try_send(framed(&cancelled));
        }
    }

    /// Ends the child; [`Wire::gone`] tells when it has ended.
    pub(super) fn stop(&self) {
        self.told.store(true, Ordering::Relaxed);
        self.stop.cancel();
    }

    /// Waits until the child has ended.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Whether it still takes requests.
    pub(super) fn is_alive(&self) -> bool {
        !self.stop.is_cancelled() && self.ended.get().is_none()
    }

    /// When and after how long it ended, if it did so without being told to.
    pub(super) fn crashed(&self) -> Option<(Instant, Duration)> {
        let (_, ended) = self.ended.get().filter(|_| !self.told.load(Ordering::Relaxed))?;
        Some((*ended, ended.duration_since(self.started)))
    }

    /// Why it no longer answers.
    pub(super) fn ending(&self) -> Error {
        let known = self.ended.get().map(|(fault, _)| fault.clone());
        let fault = known.unwrap_or_else(|| Fault::Exited("it is being stopped".into()));
        fault.of(&self.upstream)
    }

    fn touch(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_used.store(now, Ordering::Relaxed);
    }

    async fn live(self: Arc<Self>, setup: Setup, mut process: Process, queue: mpsc::Receiver<Bytes>) {
        let children = setup.metrics.children.with_label_values(&[&self.upstream]);
        children.inc();
        let stderr = process.drain_stderr(&self.upstream, setup.secrets.clone());
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let fault = tokio::select! {
            () = self.stop.cancelled() => Fault::Exited("it was stopped".into()),
            () = self.idle_for(setup.idle) => {
                self.told.store(true, Ordering::Relaxed);
                Fault::Exited("it was idle for too long".into())
            }
            fault = self.read(stdout, &setup) => fault,
            fault = self.write(stdin, queue) => fault,
            // Ends only when the child closes it; that alone is no reason to end the child.
            fault = async { stderr.await; std::future::pending().await } => fault,
        };
        // Those who wait learn it at once; ending the child may take its patience.
        let _ = self.ended.set((fault.clone(), Instant::now()));
        self.pending.close();
        let outcome = process.end().await;
        if !self.told.load(Ordering::Relaxed) {
            setup.metrics.crashes.with_label_values(&[&self.upstream]).inc();
            tracing::warn!(upstream = %self.upstream, %outcome, ?fault, "a process ended by itself");
        }
        children.dec();
        self.gone.cancel();
    }

    async fn idle_for(&self, idle: Option<Duration>) {
        let Some(idle) = idle else {
            return std::future::pending().await;
        };
        loop {
            let used = self.started + Duration::from_millis(self.last_used.load(Ordering::Relaxed));
            let left = (used + idle).saturating_duration_since(Instant::now());
            if left.is_zero() && self.pending.running() == 0 {
                return;
            }
            tokio::time::sleep(left.max(Duration::from_secs(1))).await;
        }
    }

    async fn write(&self, stdin: Option<ChildStdin>, mut queue: mpsc::Receiver<Bytes>) -> Fault {
        let Some(mut stdin) = stdin else {
            return Fault::Exited("it has no input".into());
        };
        while let Some(line) = queue.recv().await {
            if let Err(error) = stdin.write_all(&line).await {
                tracing::debug!(upstream = %self.upstream, %error, "a process closed its input");
                // Its output says how it ends; a child may close its input and finish its answers.
                return std::future::pending().await;
            }
        }
        std::future::pending().await
    }

    async fn read(&self, stdout: Option<ChildStdout>, setup: &Setup) -> Fault {
        let Some(mut stdout) = stdout else {
            return Fault::Exited("it has no output".into());
        };
        let mut lines = LineReader::new(setup.line);
        let mut buffer = BytesMut::with_capacity(READ);
        let mut garbage = 0;
        loop {
            buffer.reserve(READ);
            match stdout.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return Fault::Exited("it closed its output".into()),
                Ok(_) => self.first_output.notify_waiters(),
            }
            lines.push(&buffer.split());
            for line in lines.by_ref() {
                let Ok(line) = line else {
                    return Fault::TooLong(setup.line);
                };
                match Message::parse(line, &setup.limits) {
                    Ok(message) => self.take(message, setup).await,
                    Err(_) => {
                        garbage += 1;
                        setup.metrics.garbage.with_label_values(&[&self.upstream]).inc();
                        if garbage == 1 {
                            tracing::warn!(upstream = %self.upstream, "a line of its output is no message and was left out");
                        }
                        if garbage > GARBAGE_BORNE {
                            return Fault::Broken(format!(
                                "its output held {garbage} lines that are no message"
                            ));
                        }
                    }
                }
            }
        }
    }

    /// Takes one message of the child to whom it belongs.
    async fn take(&self, message: Message, setup: &Setup) {
        let metrics = &setup.metrics;
        match message.kind() {
            Kind::Result | Kind::Error => {
                if self.pending.answer(&message) != Delivery::Delivered {
                    metrics.foreign_answers.with_label_values(&[&self.upstream]).inc();
                }
            }
            Kind::Notification => {
                if self.pending.deliver(message, self.attribution) != Delivery::Delivered {
                    metrics.dropped.with_label_values(&[&self.upstream]).inc();
                }
            }
            Kind::Request => {
                let Some(id) = message.id().cloned() else { return };
                if message.method() == Some(&Method::Ping) {
                    let _ = self.put(&Message::result_reply(&id, "{}")).await;
                    return;
                }
                // Only a wire of one client's own may carry a question to that client.
                let delivered = self.attribution == Attribution::Oldest
                    && self.pending.deliver(message, self.attribution) == Delivery::Delivered;
                if !delivered {
                    metrics.dropped.with_label_values(&[&self.upstream]).inc();
                    let _ = self.put(&refusal(&id)).await;
                }
            }
        }
    }
}

/// A request that is registered and not yet sent.
struct Place<'a> {
    pending: &'a Pending,
    id: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pending.abandon(self.id);
    }
}

fn refusal(id: &Id) -> Message {
    let code = mcp::code::METHOD_NOT_FOUND;
    Message::error_reply(Some(id), code, "no client is there to answer this", None)
}

fn framed(message: &Message) -> Bytes {
    let line = message.one_line();
    let mut framed = BytesMut::with_capacity(line.len() + 1);
    framed.put(line);
    framed.put_u8(b'\n');
    framed.freeze()
}
