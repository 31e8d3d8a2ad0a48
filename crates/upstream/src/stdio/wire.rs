//! One child and the two pipes that talk with it: lines out by a bounded queue, lines in to whoever
//! waits for them. One task owns the child from its start to its end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use mcp::frame::line::LineReader;
use mcp::{Id, Kind, Message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{OnceCell, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::process::Process;
use crate::error::{Error, Fault};
use crate::handshake;
use crate::metrics::Metrics;
use crate::pause::Pauses;
use crate::pending::{Attribution, Ticket};
use crate::routing::{Routing, refusal};
use crate::seats::Seated;
use crate::transport::Agreement;
use crate::unread;

/// Lines that may wait for a child that is slow to read.
const QUEUE: usize = 64;

/// Lines that are no message before the child is taken for broken.
const GARBAGE_BORNE: u64 = 100;

/// Read at once from a child.
const READ: usize = 16 * 1024;

/// Why a request is taken back whose caller says no more.
pub(super) const LEFT: &str = "the client no longer waits";

/// Why a child is ended that can be asked nothing more.
const DEAF: &str = "it closed its input";

/// A running child.
pub(super) struct Wire {
    pub(super) upstream: Arc<str>,
    /// To whom the child's messages belong.
    pub(super) routing: Routing,
    /// What was agreed in a handshake of the gateway's own, once there was one.
    pub(super) agreed: OnceCell<Agreement>,
    /// Cancelled once the child has written anything.
    pub(super) heard: CancellationToken,
    lines: mpsc::Sender<Line>,
    /// Requests taken back that the child has yet to hear of, for want of room among the lines. Each
    /// was one of those that run, so there are never more.
    taken_back: Mutex<Vec<u64>>,
    stop: CancellationToken,
    /// Whether the child closed its input: it takes no requests, but may finish its answers.
    deaf: AtomicBool,
    in_session: AtomicBool,
    /// Whether it has answered a call.
    answered: AtomicBool,
    pauses: Arc<Pauses>,
    ended: OnceLock<Fault>,
    started: Instant,
    last_used: AtomicU64,
}

/// A child that was started and that nobody keeps yet: it ends when this is dropped.
pub(super) struct Started {
    wire: Option<Arc<Wire>>,
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
    /// Ends the child when cancelled.
    pub(super) stop: CancellationToken,
    /// Learns how the child ended.
    pub(super) pauses: Arc<Pauses>,
}

/// A line on its way to the child.
struct Line {
    text: Bytes,
    /// The request it carries, by its id on the wire.
    request: Option<u64>,
}

impl Wire {
    /// Takes over a child that was just started. The future it returns is the child's life.
    pub(super) fn run(setup: Setup, process: Process) -> (Started, impl Future<Output = ()> + Send) {
        let (lines, queue) = mpsc::channel(QUEUE);
        let wire = Arc::new(Self {
            upstream: Arc::clone(&setup.upstream),
            routing: Routing::new(
                Arc::clone(&setup.upstream),
                setup.attribution,
                Arc::clone(&setup.metrics),
            ),
            agreed: OnceCell::new(),
            heard: CancellationToken::new(),
            lines,
            taken_back: Mutex::default(),
            stop: setup.stop.clone(),
            deaf: AtomicBool::new(false),
            in_session: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            pauses: Arc::clone(&setup.pauses),
            ended: OnceLock::new(),
            started: Instant::now(),
            last_used: AtomicU64::new(0),
        });
        let life = Arc::clone(&wire).live(setup, process, queue);
        (Started { wire: Some(wire) }, life)
    }

    /// Sends a request and takes a ticket for what comes back.
    pub(super) async fn ask(&self, request: &Message) -> Result<Ticket, Error> {
        if !self.is_alive() {
            return Err(self.ending());
        }
        let (ticket, renamed) = self
            .routing
            .pending
            .register(request)
            .ok_or_else(|| self.ending())?;
        // The child may be slow to read. A caller who leaves meanwhile drops the ticket.
        self.queue(&renamed, Some(ticket.id)).await?;
        Ok(ticket)
    }

    /// Sends a request and waits for its answer. What the child says before it has no reader:
    /// servers log, and tell of changed lists, even before a handshake is done.
    pub(super) async fn answer_to(&self, request: &Message) -> Result<Message, Error> {
        let mut ticket = self.ask(request).await?;
        loop {
            let Some(message) = ticket.next().await else {
                let broken = ticket.broken().map(|fault| fault.of(&self.upstream));
                return Err(broken.unwrap_or_else(|| self.ending()));
            };
            match message.kind() {
                Kind::Result | Kind::Error => return Ok(message),
                Kind::Notification => {}
                Kind::Request => {
                    if let Some(id) = message.id() {
                        self.put(&refusal(id)).await?;
                    }
                }
            }
        }
    }

    /// Sends a message that nobody answers.
    pub(super) async fn put(&self, message: &Message) -> Result<(), Error> {
        self.queue(message, None).await
    }

    async fn queue(&self, message: &Message, request: Option<u64>) -> Result<(), Error> {
        self.touch();
        let text = framed(message);
        let sent = self.lines.send(Line { text, request }).await;
        sent.map_err(|_| self.ending())
    }

    /// Takes a request back: the child is told if it knows of it. Never waits, as a caller who leaves
    /// cannot: where the queue has no room, the cancellation goes ahead of what waits in it, with the
    /// usual reason.
    pub(super) fn give_up(&self, id: u64, reason: &str) {
        if self.routing.pending.take_back(id) {
            let text = cancellation(id, reason);
            if let Err(mpsc::error::TrySendError::Full(_)) = self.lines.try_send(Line { text, request: None })
            {
                self.owed().push(id);
                // In case the queue was emptied meanwhile: a line of nothing, behind which it goes.
                let text = Bytes::new();
                let _ = self.lines.try_send(Line { text, request: None });
            }
        }
    }

    /// Ends the child.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether it still takes requests.
    pub(super) fn is_alive(&self) -> bool {
        !self.stop.is_cancelled() && !self.deaf.load(Ordering::Relaxed) && self.ended.get().is_none()
    }

    /// Its handshake with its one client is done: if it crashes from now on, that is no failed start.
    pub(super) fn begin_session(&self) {
        self.in_session.store(true, Ordering::Relaxed);
    }

    /// It answered a call: if it crashes from now on, that is no further failed start.
    pub(super) fn note_answer(&self) {
        if !self.answered.swap(true, Ordering::Relaxed) {
            self.pauses.note_answer(self.started);
        }
    }

    /// Why it no longer answers.
    pub(super) fn ending(&self) -> Error {
        let fault = match self.ended.get() {
            Some(fault) => fault.clone(),
            None if self.deaf.load(Ordering::Relaxed) => Fault::Exited(DEAF.into()),
            None => Fault::Exited("it is being stopped".into()),
        };
        fault.of(&self.upstream)
    }

    /// It was used until now.
    pub(super) fn touch(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_used.store(now, Ordering::Relaxed);
    }

    fn last_used(&self) -> Instant {
        let spoken = self.started + Duration::from_millis(self.last_used.load(Ordering::Relaxed));
        let heard = self.routing.unclaimed.read_until();
        heard.map_or(spoken, |heard| heard.max(spoken))
    }

    /// Whether a call runs, or somebody listens.
    fn is_used(&self) -> bool {
        self.routing.pending.running() > 0 || self.routing.unclaimed.is_read()
    }

    async fn live(self: Arc<Self>, setup: Setup, mut process: Process, queue: mpsc::Receiver<Line>) {
        let children = setup.metrics.children.with_label_values(&[&self.upstream]);
        children.inc();
        let stderr = process.drain_stderr(&self.upstream, setup.secrets.clone());
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let (fault, by_itself) = tokio::select! {
            () = self.stop.cancelled() => (Fault::Exited("it was stopped".into()), false),
            () = self.idle_for(setup.idle) => (Fault::Exited("it was idle for too long".into()), false),
            fault = self.read(stdout, &setup) => (fault, true),
            fault = self.write(stdin, queue) => (fault, true),
            // Ends only when the child closes it; that alone is no reason to end the child.
            fault = async { stderr.await; std::future::pending().await } => fault,
        };
        // Before those who wait learn of the end, and may ask for the next child.
        self.note_how_it_ended(&fault, by_itself);
        // They learn it at once; ending the child may take its patience.
        let _ = self.ended.set(fault.clone());
        self.routing.close();
        let outcome = process.end().await;
        if by_itself {
            setup.metrics.crashes.with_label_values(&[&self.upstream]).inc();
            match &fault {
                Fault::Exited(how) => {
                    tracing::warn!(upstream = %self.upstream, %outcome, "a process ended by itself: {how}");
                }
                _ => {
                    let why = fault.clone().of(&self.upstream);
                    tracing::warn!(upstream = %self.upstream, %outcome, "a process was ended: {why}");
                }
            }
        }
        children.dec();
    }

    /// What its end says of the next start.
    fn note_how_it_ended(&self, fault: &Fault, by_itself: bool) {
        let in_session = self.in_session.load(Ordering::Relaxed);
        match fault {
            Fault::Exited(_) if by_itself && !in_session => self.pauses.note_crash(self.started),
            // Ended by us. Of one that never did anything else, the next will hardly fare better.
            Fault::Broken(why) if !in_session && !self.answered.load(Ordering::Relaxed) => {
                self.pauses.note_useless(self.started, why.clone());
            }
            _ => self.pauses.note_end(self.started),
        }
    }

    async fn idle_for(&self, idle: Option<Duration>) {
        let Some(idle) = idle else {
            return std::future::pending().await;
        };
        loop {
            let left = (self.last_used() + idle).saturating_duration_since(Instant::now());
            let in_use = self.is_used();
            if left.is_zero() && !in_use {
                return;
            }
            if in_use {
                // From the end of a call on, which may have taken longer than this.
                self.touch();
            }
            tokio::time::sleep(left.max(Duration::from_secs(1))).await;
        }
    }

    async fn write(&self, stdin: Option<ChildStdin>, mut queue: mpsc::Receiver<Line>) -> Fault {
        let Some(mut stdin) = stdin else {
            return Fault::Exited("it has no input".into());
        };
        while let Some(line) = queue.recv().await {
            if line.request.is_some_and(|id| !self.routing.pending.begin(id)) {
                continue;
            }
            let mut written = stdin.write_all(&line.text).await;
            let owed = std::mem::take(&mut *self.owed());
            for id in owed {
                if written.is_ok() {
                    written = stdin.write_all(&cancellation(id, LEFT)).await;
                }
            }
            if let Err(error) = written {
                tracing::debug!(upstream = %self.upstream, %error, "a process closed its input");
                self.turn_deaf(line, queue).await;
                return Fault::Exited(DEAF.into());
            }
        }
        std::future::pending().await
    }

    /// The child will read no more, but may finish what it has read: waits until it has.
    async fn turn_deaf(&self, unread: Line, mut queue: mpsc::Receiver<Line>) {
        self.deaf.store(true, Ordering::Relaxed);
        queue.close();
        let mut unread = Some(unread);
        while let Some(line) = unread {
            if let Some(id) = line.request {
                self.routing.pending.abandon(id);
            }
            unread = queue.recv().await;
        }
        self.routing.pending.emptied().await;
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
                Ok(_) => self.heard.cancel(),
            }
            lines.push(&buffer.split());
            for line in lines.by_ref() {
                let Ok(line) = line else {
                    return Fault::TooLong(setup.line);
                };
                let (garbled, why) = self.take_line(line, setup).await;
                if garbled == 0 {
                    continue;
                }
                setup
                    .metrics
                    .garbage
                    .with_label_values(&[&self.upstream])
                    .inc_by(garbled);
                if garbage == 0 {
                    tracing::warn!(upstream = %self.upstream, "a line of its output is no message and was left out: {why}");
                }
                garbage += garbled;
                if garbage > GARBAGE_BORNE {
                    return Fault::Broken(format!("its output held {garbage} lines that are no message"));
                }
            }
        }
    }

    /// Takes the messages of one line, and tells how many were none and why the last was not. A 2025-03-26 server may
    /// batch.
    async fn take_line(&self, line: Bytes, setup: &Setup) -> (u64, String) {
        let (mut garbled, mut last) = (0, String::new());
        for message in unread::read(line, &setup.limits, &self.routing.pending) {
            match message {
                Ok(message) => {
                    for answer in self.routing.take(message) {
                        let _ = self.put(&answer).await;
                    }
                }
                Err(why) => (garbled, last) = (garbled + 1, why),
            }
        }
        (garbled, last)
    }

    fn owed(&self) -> MutexGuard<'_, Vec<u64>> {
        self.taken_back
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Seated for Wire {
    fn idle_since(&self) -> Option<Instant> {
        let idle = self.is_alive() && !self.is_used();
        idle.then(|| self.last_used())
    }

    fn displace(&self) -> bool {
        // What is asked from now on finds it ended, before anything was written.
        let idle = !self.routing.unclaimed.is_read() && self.routing.pending.close_if_idle();
        if idle {
            self.stop();
            tracing::debug!(upstream = %self.upstream, "an idle process made place for another");
        }
        idle
    }
}

impl Started {
    pub(super) fn wire(&self) -> &Arc<Wire> {
        self.wire
            .as_ref()
            .expect("only `keep`, which consumes it, takes it out")
    }

    /// The child is kept from now on by whoever asked.
    pub(super) fn keep(mut self) -> Arc<Wire> {
        self.wire
            .take()
            .expect("only `keep`, which consumes it, takes it out")
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(wire) = self.wire.take() {
            wire.stop();
        }
    }
}

fn cancellation(id: u64, reason: &str) -> Bytes {
    framed(&handshake::cancelled_notification(&Id::number(id), reason))
}

fn framed(message: &Message) -> Bytes {
    let line = message.one_line();
    let mut framed = BytesMut::with_capacity(line.len() + 1);
    framed.put(line);
    framed.put_u8(b'\n');
    framed.freeze()
}
