//! One connection: the stream of what the server says, and the POSTs that carry what it is told. One task
//! owns the stream from its start to its end; each POST is a task of its own, since a server may hold it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use egress::{Reason, Response, Target};
use mcp::frame::sse::{Event, SseReader};
use mcp::{Id, Kind, Message};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::opening::Opened;
use super::posting::{self, Untaken, Verdict};
use super::server::Server;
use super::started::Started;
use crate::error::{Error, Fault};
use crate::handshake;
use crate::pending::{Attribution, Ticket};
use crate::routing::{Routing, refusal};
use crate::seats::Seated;
use crate::transport::{Headers, MessageStream};
use crate::unclaimed::Reader;
use crate::unread;

/// Events that are no message before the server is taken for broken.
const GARBAGE_BORNE: u64 = 100;

/// Why a request is taken back whose caller says no more.
pub(super) const LEFT: &str = "the client no longer waits";

/// POSTs under way that no caller waits for: pongs, refusals, cancellations.
const ASIDE: usize = 64;

/// A server that takes longer over a notification has taken it.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// A POST whose caller has left may take this long to its end.
const LEFT_WITHIN: Duration = Duration::from_secs(5);

/// An open connection.
pub(super) struct Connection {
    pub(super) server: Arc<Server>,
    pub(super) endpoint: Target,
    pub(super) routing: Routing,
    /// What the stream was opened with.
    headers: Arc<Headers>,
    runtime: Handle,
    posts: TaskTracker,
    asides: Arc<Semaphore>,
    stop: CancellationToken,
    /// Makes place for another: ends as soon as nothing runs over it.
    retired: CancellationToken,
    over: CancellationToken,
    ended: OnceLock<Fault>,
    lost: AtomicBool,
    asked: AtomicBool,
    garbage: AtomicU64,
    started: Instant,
    last_used: AtomicU64,
}

/// What a connection needs to run.
pub(super) struct Setup {
    pub(super) server: Arc<Server>,
    pub(super) headers: Arc<Headers>,
    pub(super) attribution: Attribution,
    pub(super) runtime: Handle,
    /// Knows its POSTs.
    pub(super) posts: TaskTracker,
    /// Ends it when cancelled.
    pub(super) stop: CancellationToken,
}

/// The waiting side of one request that was sent, or is being sent.
pub(super) struct Asked {
    connection: Arc<Connection>,
    ticket: Ticket,
    /// What became of the POST; none once it was taken.
    posted: Option<oneshot::Receiver<Fault>>,
    /// Dropped with this, which tells the POST that its caller has left.
    _waiting: oneshot::Sender<()>,
}

impl Connection {
    /// Takes over a stream that was just opened. The future it returns is the connection's life.
    pub(super) fn run(setup: Setup, opened: Opened) -> (Started, impl Future<Output = ()> + Send) {
        let name = Arc::clone(&setup.server.name);
        let metrics = Arc::clone(&setup.server.metrics);
        let connection = Arc::new(Self {
            server: setup.server,
            endpoint: opened.endpoint,
            routing: Routing::new(name, setup.attribution, metrics),
            headers: setup.headers,
            runtime: setup.runtime,
            posts: setup.posts,
            asides: Arc::new(Semaphore::new(ASIDE)),
            stop: setup.stop,
            retired: CancellationToken::new(),
            over: CancellationToken::new(),
            ended: OnceLock::new(),
            lost: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            garbage: AtomicU64::new(0),
            started: Instant::now(),
            last_used: AtomicU64::new(0),
        });
        let life = Arc::clone(&connection).live(opened.response, opened.reader);
        (Started::new(connection), life)
    }

    /// Sends a request, without waiting for anything.
    ///
    /// # Errors
    /// [`Fault::SessionGone`] when the connection has ended; then nothing was sent.
    pub(super) fn ask(self: &Arc<Self>, request: &Message, headers: &Arc<Headers>) -> Result<Asked, Error> {
        if !self.is_alive() {
            return Err(self.server.fails(Fault::SessionGone));
        }
        let (ticket, renamed) = self
            .routing
            .pending
            .register(request)
            .ok_or_else(|| self.server.fails(Fault::SessionGone))?;
        self.touch();
        self.asked.store(true, Ordering::Relaxed);
        let (waiting, left) = oneshot::channel();
        Ok(Asked {
            connection: Arc::clone(self),
            ticket,
            posted: Some(self.post(renamed, Arc::clone(headers), left)),
            _waiting: waiting,
        })
    }

    /// Sends a request and waits for its answer. What the server says before it has no reader.
    pub(super) async fn answer_to(
        self: &Arc<Self>,
        request: &Message,
        headers: &Arc<Headers>,
    ) -> Result<Message, Error> {
        let mut asked = self.ask(request, headers)?;
        loop {
            let message = asked.next().await?;
            match message.kind() {
                Kind::Result | Kind::Error => return Ok(message),
                Kind::Notification => {}
                Kind::Request => {
                    if let Some(id) = message.id() {
                        self.aside(refusal(id), &self.headers);
                    }
                }
            }
        }
    }

    /// Sends a message that nobody answers, and waits until the server has taken it.
    ///
    /// # Errors
    /// When it did not take it.
    pub(super) async fn put(
        self: &Arc<Self>,
        message: &Message,
        headers: &Arc<Headers>,
    ) -> Result<(), Error> {
        if !self.is_alive() {
            return Err(self.server.fails(Fault::SessionGone));
        }
        self.touch();
        let (_waiting, left) = oneshot::channel();
        let posted = self.post(message.clone(), Arc::clone(headers), left);
        match tokio::time::timeout(TAKEN_WITHIN, posted).await {
            Ok(Ok(fault)) => Err(self.server.fails(fault)),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Takes a request back: the server is told if it still runs there.
    pub(super) fn give_up(self: &Arc<Self>, id: u64, reason: &str, headers: &Arc<Headers>) {
        if self.routing.pending.abandon(id) {
            let cancelled = handshake::cancelled_notification(&Id::number(id), reason);
            self.aside(cancelled, headers);
        }
    }

    /// Takes the messages of one event, or of the response to a POST; tells why each that is none is not. A
    /// 2025-03-26 server may batch.
    pub(super) fn hear(self: &Arc<Self>, data: Bytes) -> Vec<String> {
        let mut garbled = Vec::new();
        if data.is_empty() {
            return garbled;
        }
        for message in unread::read(data, &self.server.bounds.limits, &self.routing.pending) {
            match message {
                Ok(message) => {
                    for answer in self.routing.take(message) {
                        self.aside(answer, &self.headers);
                    }
                }
                Err(why) => garbled.push(why),
            }
        }
        garbled
    }

    /// Ends it.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Ends it as soon as no request runs over it.
    pub(super) fn retire(&self) {
        self.retired.cancel();
    }

    /// Whether it still takes requests.
    pub(super) fn is_alive(&self) -> bool {
        !self.stop.is_cancelled() && !self.retired.is_cancelled() && self.ended.get().is_none()
    }

    /// Whether its end was the server's doing, and somebody had used it: then it is likely wanted again.
    pub(super) fn is_missed(&self) -> bool {
        self.lost.load(Ordering::Relaxed) && self.asked.load(Ordering::Relaxed)
    }

    /// Its use until now, a handshake of ours, was none.
    pub(super) fn forget_use(&self) {
        self.asked.store(false, Ordering::Relaxed);
    }

    /// Why what was sent is not answered.
    fn ending(&self) -> Error {
        let fault = self.ended.get().cloned();
        let closing = || Fault::Broken("its event stream is being closed".into());
        self.server.fails(fault.unwrap_or_else(closing))
    }

    /// POSTs a message in a task of its own. What it returns has the fault if the message was not taken.
    fn post(
        self: &Arc<Self>,
        message: Message,
        headers: Arc<Headers>,
        left: oneshot::Receiver<()>,
    ) -> oneshot::Receiver<Fault> {
        let (outcome, posted) = oneshot::channel();
        let connection = Arc::clone(self);
        let posting = async move {
            let left = async {
                // Only ever dropped.
                let _ = left.await;
                tokio::time::sleep(LEFT_WITHIN).await;
            };
            let refused = tokio::select! {
                posted = posting::post(&connection, &message, &headers) => posted.err(),
                () = connection.over.cancelled() => None,
                () = left => None,
            };
            let Some(Untaken { error, verdict }) = refused else {
                return;
            };
            let ends = match verdict {
                Verdict::Stays => false,
                Verdict::Doubted => !connection.routing.is_shared(),
                Verdict::Gone => true,
            };
            if verdict != Verdict::Stays {
                connection.retire();
            }
            // Told before the others learn of the end, so that this one hears that it was not processed.
            let _ = outcome.send(error.fault);
            if ends {
                connection.stop();
            }
        };
        self.posts.spawn_on(posting, &self.runtime);
        posted
    }

    /// POSTs a message that no caller waits for. Of too many at once those that come last are left out.
    fn aside(self: &Arc<Self>, message: Message, headers: &Arc<Headers>) {
        let Ok(place) = Arc::clone(&self.asides).try_acquire_owned() else {
            let dropped = &self.server.metrics.dropped;
            dropped.with_label_values(&[&self.server.name]).inc();
            return;
        };
        let (connection, headers) = (Arc::clone(self), Arc::clone(headers));
        let posting = async move {
            let _place = place;
            tokio::select! {
                // Nobody is there to be told what became of it.
                _ = posting::post(&connection, &message, &headers) => {}
                () = connection.over.cancelled() => {}
                () = tokio::time::sleep(LEFT_WITHIN) => {}
            }
        };
        self.posts.spawn_on(posting, &self.runtime);
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

    async fn live(self: Arc<Self>, response: Response, reader: SseReader) {
        let name = &*self.server.name;
        let open = self.server.metrics.event_streams.with_label_values(&[name]);
        open.inc();
        let fault = tokio::select! {
            () = self.stop.cancelled() => Fault::Broken("its event stream was closed".into()),
            () = self.retired_and_empty() => Fault::Broken("its event stream made place for another".into()),
            () = self.idle() => Fault::Broken("its event stream was idle for too long".into()),
            fault = self.read(response, reader) => {
                self.lost.store(true, Ordering::Relaxed);
                self.server.metrics.event_streams_lost.with_label_values(&[name]).inc();
                tracing::debug!(upstream = %name, ?fault, "an event stream ended by itself");
                fault
            }
        };
        let _ = self.ended.set(fault);
        self.routing.close();
        self.over.cancel();
        open.dec();
    }

    async fn retired_and_empty(&self) {
        self.retired.cancelled().await;
        self.routing.pending.emptied().await;
    }

    async fn idle(&self) {
        loop {
            let left = (self.last_used() + self.server.bounds.idle).saturating_duration_since(Instant::now());
            let in_use = self.is_used();
            if left.is_zero() && !in_use {
                return;
            }
            if in_use {
                self.touch();
            }
            tokio::time::sleep(left.max(Duration::from_secs(1))).await;
        }
    }

    async fn read(self: &Arc<Self>, mut response: Response, mut reader: SseReader) -> Fault {
        loop {
            for event in reader.by_ref() {
                let Ok(event) = event else {
                    return Fault::TooLong(self.server.bounds.answer);
                };
                if let Err(fault) = self.take(event) {
                    return fault;
                }
            }
            match response.piece().await {
                Ok(Some(piece)) => reader.push(&piece),
                Ok(None) => return Fault::Broken("its event stream ended before the answer".into()),
                Err(error) => match error.reason {
                    Reason::Closed => {
                        return Fault::Broken("its event stream broke before the answer".into());
                    }
                    _ => return self.server.failed(error).fault,
                },
            }
        }
    }

    fn take(self: &Arc<Self>, event: Event) -> Result<(), Fault> {
        if event.name.is_some_and(|name| name != "message") {
            return Ok(());
        }
        let reasons = self.hear(event.data);
        let Some(why) = reasons.last() else {
            return Ok(());
        };
        let garbled = reasons.len() as u64;
        let metrics = &self.server.metrics;
        metrics
            .garbage
            .with_label_values(&[&self.server.name])
            .inc_by(garbled);
        let before = self.garbage.fetch_add(garbled, Ordering::Relaxed);
        if before == 0 {
            tracing::warn!(upstream = %self.server.name, "an event of its stream is no message and was left out: {why}");
        }
        match before + garbled {
            borne if borne <= GARBAGE_BORNE => Ok(()),
            many => Err(Fault::Broken(format!(
                "its event stream held {many} events that are no message"
            ))),
        }
    }
}

impl Seated for Connection {
    fn idle_since(&self) -> Option<Instant> {
        let idle = self.is_alive() && !self.is_used();
        idle.then(|| self.last_used())
    }

    fn displace(&self) -> bool {
        // What is asked from now on finds it ended, before anything was sent.
        let idle = !self.routing.unclaimed.is_read() && self.routing.pending.close_if_idle();
        if idle {
            self.stop();
            tracing::debug!(upstream = %self.server.name, "an idle connection made place for another");
        }
        idle
    }
}

impl Asked {
    /// The request's id on the wire.
    pub(super) fn id(&self) -> u64 {
        self.ticket.id
    }

    /// The next message that belongs to the request; the answer is the last one.
    ///
    /// # Errors
    /// When the server did not take the request, or the stream ended before the answer.
    pub(super) async fn next(&mut self) -> Result<Message, Error> {
        loop {
            let posted = async {
                match &mut self.posted {
                    Some(posted) => posted.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                message = self.ticket.next() => return message.ok_or_else(|| self.unanswered()),
                posted = posted => match posted {
                    Ok(fault) => {
                        if fault == Fault::SessionGone {
                            // What was never taken needs not be taken back.
                            self.connection.routing.pending.abandon(self.ticket.id);
                        }
                        return Err(self.connection.server.fails(fault));
                    }
                    Err(_) => self.posted = None,
                },
            }
        }
    }

    /// Why nothing more comes.
    fn unanswered(&mut self) -> Error {
        if let Some(fault) = self.ticket.broken() {
            return self.connection.server.fails(fault);
        }
        let refused = self.posted.take().and_then(|mut posted| posted.try_recv().ok());
        match refused {
            Some(fault) => self.connection.server.fails(fault),
            None if self.connection.ended.get().is_none() => self.connection.server.fails(Fault::Cancelled),
            None => self.connection.ending(),
        }
    }
}

/// What a server says in a session outside of any call.
pub(super) struct Heard {
    server: Arc<Server>,
    reader: Reader,
}

impl Heard {
    pub(super) fn on(connection: &Connection) -> Self {
        Self {
            server: Arc::clone(&connection.server),
            reader: connection.routing.unclaimed.reader(),
        }
    }
}

#[async_trait]
impl MessageStream for Heard {
    async fn next(&mut self) -> Result<Message, Error> {
        let message = self.reader.next().await;
        message.ok_or_else(|| self.server.fails(Fault::SessionGone))
    }
}
