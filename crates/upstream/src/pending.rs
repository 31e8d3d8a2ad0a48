//! Who waits for what on a shared wire: ids, progress tokens and subscription ids there are ours,
//! and are mapped back to what the client chose.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use mcp::{Id, Kind, Message, Method};
use tokio::sync::{Notify, mpsc};

use crate::error::Fault;

/// Messages that may wait for one reader; one place is kept for the answer.
const QUEUE: usize = 256;

/// Bytes of notifications that may wait for one reader, answer not counted.
const QUEUE_BYTES: usize = 1 << 20;

/// Every running request of one wire. A clone is the same table.
#[derive(Clone, Default)]
pub(crate) struct Pending {
    waiting: Arc<Mutex<Table>>,
    emptied: Arc<Notify>,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    closed: bool,
    requests: BTreeMap<u64, Waiting>,
}

struct Waiting {
    asked: Message,
    messages: mpsc::Sender<Message>,
    queued: Arc<AtomicUsize>,
    broken: Arc<OnceLock<Fault>>,
    /// Whether it is on its way to the server, beyond recall.
    written: bool,
}

/// The waiting side of one request. Whoever drops it waits no longer.
pub(crate) struct Ticket {
    /// The id on the wire.
    pub(crate) id: u64,
    messages: mpsc::Receiver<Message>,
    queued: Arc<AtomicUsize>,
    /// Why there is no answer, where one came that cannot be read.
    broken: Arc<OnceLock<Fault>>,
    pending: Pending,
}

/// What became of a message from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It reached the request it belongs to.
    Delivered,
    /// It belongs to no running request.
    Unclaimed,
    /// Its reader is too slow for more notifications.
    Overflowed,
}

/// To whom a message belongs that names no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribution {
    /// One client has the wire for itself: to its oldest running request.
    Oldest,
    /// Several calls of one principal share it: only when a single request runs (`protocol.md` D-45).
    OnlyIfAlone,
    /// The same, where whoever shares it can be asked nothing: the server's questions go to nobody.
    Unasked,
}

impl Pending {
    /// Registers a request, and returns it as it goes on the wire. None when the wire has ended.
    pub(crate) fn register(&self, asked: &Message) -> Option<(Ticket, Message)> {
        let (sender, messages) = mpsc::channel(QUEUE);
        let queued = Arc::new(AtomicUsize::new(0));
        let broken = Arc::default();
        let mut table = self.locked();
        if table.closed {
            return None;
        }
        table.last_id += 1;
        let id = table.last_id;
        let waiting = Waiting {
            asked: asked.clone(),
            messages: sender,
            queued: Arc::clone(&queued),
            broken: Arc::clone(&broken),
            written: false,
        };
        table.requests.insert(id, waiting);
        drop(table);
        let mut renamed = asked.with_id(&Id::number(id));
        if asked.progress_token().is_some() {
            renamed = renamed.with_progress_token(id.to_string().as_bytes());
        }
        let ticket = Ticket {
            id,
            messages,
            queued,
            broken,
            pending: self.clone(),
        };
        Some((ticket, renamed))
    }

    /// Nobody waits for this request any more, or nothing will come for it. True if it was still
    /// running.
    pub(crate) fn abandon(&self, id: u64) -> bool {
        self.remove(id).is_some()
    }

    /// The same, and true only if the server knows of it: else there is nothing to tell it.
    pub(crate) fn take_back(&self, id: u64) -> bool {
        self.remove(id).is_some_and(|waiting| waiting.written)
    }

    /// Its answer came, and cannot be read: whoever waits for it learns why.
    pub(crate) fn break_off(&self, id: &Id, why: Fault) {
        if let Some(waiting) = wire_id(id).and_then(|id| self.remove(id)) {
            let _ = waiting.broken.set(why);
        }
    }

    /// The request is written now. False if nobody waits for it any more, so that it need not be.
    pub(crate) fn begin(&self, id: u64) -> bool {
        let mut table = self.locked();
        let waiting = table.requests.get_mut(&id);
        waiting.map(|waiting| waiting.written = true).is_some()
    }

    /// How many requests run.
    pub(crate) fn running(&self) -> usize {
        self.locked().requests.len()
    }

    /// Waits until no request runs.
    pub(crate) async fn emptied(&self) {
        loop {
            // Made before the look, so that nothing is missed between the two.
            let emptied = self.emptied.notified();
            if self.running() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// The wire has ended: everybody who waits learns it, and nobody can begin to.
    pub(crate) fn close(&self) {
        let mut table = self.locked();
        table.closed = true;
        table.requests.clear();
    }

    /// The same, if no request runs; else it is false, and nothing has changed.
    pub(crate) fn close_if_idle(&self) -> bool {
        let mut table = self.locked();
        let idle = table.requests.is_empty();
        table.closed |= idle;
        idle
    }

    /// The wire's id of the request that a client knows by this one.
    pub(crate) fn id_of(&self, asked: &Id) -> Option<u64> {
        let table = self.locked();
        table
            .requests
            .iter()
            .find(|(_, waiting)| waiting.asked.id() == Some(asked))
            .map(|(id, _)| *id)
    }

    /// Hands an answer to whom it belongs, under the client's own id.
    pub(crate) fn answer(&self, message: &Message) -> Delivery {
        let Some(id) = message.id().and_then(wire_id) else {
            return Delivery::Unclaimed;
        };
        let Some(waiting) = self.remove(id) else {
            return Delivery::Unclaimed;
        };
        let Some(asked) = waiting.asked.id() else {
            return Delivery::Unclaimed;
        };
        let mut restored = message.with_id(asked);
        if restored.subscription().as_ref().and_then(wire_id) == Some(id) {
            restored = restored.with_subscription(asked);
        }
        match waiting.messages.try_send(restored) {
            Ok(()) => Delivery::Delivered,
            // One place is kept for it, so only a reader that left can miss it.
            Err(_) => Delivery::Unclaimed,
        }
    }

    /// Hands a notification or a request of the server to the request it belongs to.
    pub(crate) fn deliver(&self, message: Message, attribution: Attribution) -> Delivery {
        let table = self.locked();
        let progress = message.method() == Some(&Method::NotificationsProgress);
        let named = if progress {
            message.progress_token().and_then(wire_number)
        } else {
            None
        }
        .or_else(|| message.subscription().as_ref().and_then(wire_id))
        .or_else(|| table.ended_subscription(&message));
        let found = match named {
            Some(id) => table.requests.get(&id),
            None if progress => None,
            None => table.unnamed(attribution),
        };
        let Some(waiting) = found else {
            return Delivery::Unclaimed;
        };
        let restored = match (waiting.asked.progress_token(), waiting.asked.id()) {
            (Some(token), _) if progress => message.with_progress_token(token),
            (_, Some(asked)) if named.is_some() => {
                message.with_subscription(asked).with_cancelled_request(asked)
            }
            _ => message,
        };
        waiting.offer(restored)
    }

    fn remove(&self, id: u64) -> Option<Waiting> {
        let mut table = self.locked();
        let waiting = table.requests.remove(&id);
        if table.requests.is_empty() {
            self.emptied.notify_waiters();
        }
        waiting
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.waiting
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Table {
    /// The request that a message belongs to which names none. A subscription never is: what belongs to one
    /// says so.
    fn unnamed(&self, attribution: Attribution) -> Option<&Waiting> {
        let mut candidates = self
            .requests
            .values()
            .filter(|waiting| !waiting.is_subscription())
            .filter(|waiting| attribution == Attribution::Oldest || !waiting.is_aside());
        let oldest = candidates.next();
        match attribution {
            Attribution::OnlyIfAlone | Attribution::Unasked if candidates.next().is_some() => None,
            Attribution::OnlyIfAlone | Attribution::Unasked | Attribution::Oldest => oldest,
        }
    }

    /// The subscription that the server ends with this `notifications/cancelled`. It may end nothing else of
    /// ours, and means a question of its own where it names any other.
    fn ended_subscription(&self, message: &Message) -> Option<u64> {
        if message.method() != Some(&Method::NotificationsCancelled) {
            return None;
        }
        let id = message.cancelled_request().as_ref().and_then(wire_id)?;
        let ended = self.requests.get(&id)?;
        ended.is_subscription().then_some(id)
    }
}

impl Waiting {
    fn is_subscription(&self) -> bool {
        self.asked.method() == Some(&Method::SubscriptionsListen)
    }

    /// Whether it is made beside the calls of those who share a wire, for all of them: none of them is asked
    /// anything in the middle of it.
    fn is_aside(&self) -> bool {
        matches!(
            self.asked.method(),
            Some(Method::ResourcesSubscribe | Method::ResourcesUnsubscribe | Method::LoggingSetLevel)
        )
    }

    /// Queues a message unless its reader has enough to read already: a slow reader loses
    /// notifications and questions, never its answer, and never holds up the others on the wire.
    fn offer(&self, message: Message) -> Delivery {
        let bytes = message.bytes().len();
        let full = self.messages.capacity() <= 1 || self.queued.load(Ordering::Relaxed) + bytes > QUEUE_BYTES;
        if full {
            return Delivery::Overflowed;
        }
        match self.messages.try_send(message) {
            Ok(()) => {
                self.queued.fetch_add(bytes, Ordering::Relaxed);
                Delivery::Delivered
            }
            Err(mpsc::error::TrySendError::Full(_)) => Delivery::Overflowed,
            Err(mpsc::error::TrySendError::Closed(_)) => Delivery::Unclaimed,
        }
    }
}

impl Ticket {
    /// Why no more comes, where an answer came that cannot be read.
    pub(crate) fn broken(&self) -> Option<Fault> {
        self.broken.get().cloned()
    }

    /// The next message; `None` when the wire has ended.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let message = self.messages.recv().await?;
        if matches!(message.kind(), Kind::Notification | Kind::Request) {
            self.queued.fetch_sub(message.bytes().len(), Ordering::Relaxed);
        }
        Some(message)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.pending.abandon(self.id);
    }
}

fn wire_id(id: &Id) -> Option<u64> {
    wire_number(id.raw().as_bytes())
}

/// Ours are numbers; a server that answers `"7"` for `7` is understood too.
fn wire_number(raw: &[u8]) -> Option<u64> {
    std::str::from_utf8(raw).ok()?.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests;
