//! Who waits for what on a shared wire: ids, progress tokens and subscription ids there are ours,
//! and are mapped back to what the client chose.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use mcp::{Id, Kind, Message, Method};
use tokio::sync::{Notify, mpsc};

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
    /// Whether it is on its way to the server, beyond recall.
    written: bool,
}

/// The waiting side of one request. Whoever drops it waits no longer.
pub(crate) struct Ticket {
    /// The id on the wire.
    pub(crate) id: u64,
    messages: mpsc::Receiver<Message>,
    queued: Arc<AtomicUsize>,
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
        .or_else(|| message.subscription().as_ref().and_then(wire_id));
        let found = match named {
            Some(id) => table.requests.get(&id),
            None if progress => None,
            None => match attribution {
                Attribution::OnlyIfAlone | Attribution::Unasked if table.requests.len() > 1 => None,
                Attribution::OnlyIfAlone | Attribution::Unasked | Attribution::Oldest => {
                    table.requests.values().next()
                }
            },
        };
        let Some(waiting) = found else {
            return Delivery::Unclaimed;
        };
        let restored = match (waiting.asked.progress_token(), waiting.asked.id()) {
            (Some(token), _) if progress => message.with_progress_token(token),
            (_, Some(asked)) if named.is_some() => message.with_subscription(asked),
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

impl Waiting {
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
mod tests {
    use super::*;
    use bytes::Bytes;

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes()), &mcp::Limits::default()).unwrap()
    }

    fn call(id: &str) -> Message {
        message(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"x","_meta":{{"progressToken":"mine"}}}}}}"#
        ))
    }

    fn log() -> Message {
        message(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#)
    }

    fn question() -> Message {
        message(r#"{"jsonrpc":"2.0","id":"s1","method":"roots/list"}"#)
    }

    fn result(id: u64) -> Message {
        message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#))
    }

    fn text(message: &Message) -> &str {
        std::str::from_utf8(message.bytes()).unwrap()
    }

    #[tokio::test]
    async fn ids_and_tokens_on_the_wire_are_ours_and_come_back_as_the_client_s() {
        let pending = Pending::default();
        let (mut ticket, renamed) = pending.register(&call(r#""a""#)).unwrap();
        assert_eq!(renamed.id(), Some(&Id::number(1)));
        assert_eq!(renamed.progress_token(), Some(&b"1"[..]));

        let progress = message(
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.5}}"#,
        );
        assert_eq!(
            pending.deliver(progress, Attribution::OnlyIfAlone),
            Delivery::Delivered
        );
        assert_eq!(pending.answer(&result(1)), Delivery::Delivered);

        assert_eq!(
            ticket.next().await.unwrap().progress_token(),
            Some(&br#""mine""#[..])
        );
        let answer = ticket.next().await.unwrap();
        assert_eq!(text(&answer), r#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
        assert!(ticket.next().await.is_none());
    }

    #[tokio::test]
    async fn a_subscription_is_told_by_the_client_s_own_id() {
        let pending = Pending::default();
        let listen = message(r#"{"jsonrpc":"2.0","id":"mine","method":"subscriptions/listen"}"#);
        let (_first, _) = pending.register(&call("1")).unwrap();
        let (mut second, renamed) = pending.register(&listen).unwrap();
        assert_eq!(renamed.id(), Some(&Id::number(2)));

        let told = |id: &str| {
            let key = "io.modelcontextprotocol/subscriptionId";
            message(&format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{"_meta":{{"{key}":{id}}}}}}}"#
            ))
        };
        assert_eq!(
            pending.deliver(told("2"), Attribution::OnlyIfAlone),
            Delivery::Delivered
        );
        assert_eq!(
            pending.deliver(told("9"), Attribution::Oldest),
            Delivery::Unclaimed
        );

        let notification = second.next().await.unwrap();
        assert_eq!(notification.subscription().unwrap().raw(), r#""mine""#);
    }

    #[tokio::test]
    async fn what_names_no_request_goes_to_the_oldest_on_a_wire_of_one_client() {
        let pending = Pending::default();
        let (mut oldest, _) = pending.register(&call("1")).unwrap();
        let (_other, _) = pending.register(&call("2")).unwrap();

        assert_eq!(
            pending.deliver(question(), Attribution::Oldest),
            Delivery::Delivered
        );

        assert_eq!(oldest.next().await.unwrap().kind(), Kind::Request);
    }

    #[test]
    fn what_names_no_request_goes_to_nobody_where_several_run_on_a_shared_wire() {
        let pending = Pending::default();
        let deliver = || pending.deliver(log(), Attribution::OnlyIfAlone);
        assert_eq!(deliver(), Delivery::Unclaimed);

        let (_first, _) = pending.register(&call("1")).unwrap();
        assert_eq!(deliver(), Delivery::Delivered);

        let (_second, _) = pending.register(&call("2")).unwrap();
        assert_eq!(deliver(), Delivery::Unclaimed);
    }

    #[tokio::test]
    async fn a_slow_reader_loses_notifications_and_questions_but_never_its_answer() {
        let pending = Pending::default();
        let (mut ticket, _) = pending.register(&call("1")).unwrap();
        while pending.deliver(log(), Attribution::Oldest) == Delivery::Delivered {}

        assert_eq!(
            pending.deliver(question(), Attribution::Oldest),
            Delivery::Overflowed
        );
        assert_eq!(pending.answer(&result(1)), Delivery::Delivered);

        let mut last = None;
        while let Some(next) = ticket.next().await {
            last = Some(next.kind());
        }
        assert_eq!(last, Some(Kind::Result));
    }

    #[test]
    fn a_reader_of_long_messages_is_bounded_by_their_bytes() {
        let pending = Pending::default();
        let (_ticket, _) = pending.register(&call("1")).unwrap();
        let long = "x".repeat(QUEUE_BYTES / 2);
        let long = message(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":"{long}"}}}}"#
        ));

        let outcomes = [(); 2].map(|()| pending.deliver(long.clone(), Attribution::Oldest));

        assert_eq!(outcomes, [Delivery::Delivered, Delivery::Overflowed]);
    }

    #[tokio::test]
    async fn a_dropped_ticket_leaves_nothing_behind() {
        let pending = Pending::default();
        let (abandoned, _) = pending.register(&call("1")).unwrap();
        let (_running, _) = pending.register(&call("2")).unwrap();

        drop(abandoned);

        assert_eq!(pending.running(), 1);
        assert_eq!(pending.answer(&result(1)), Delivery::Unclaimed);
        assert_eq!(
            pending.deliver(log(), Attribution::OnlyIfAlone),
            Delivery::Delivered
        );
    }

    #[test]
    fn a_request_taken_back_before_it_is_written_is_none() {
        let pending = Pending::default();
        let (unwritten, _) = pending.register(&call("1")).unwrap();
        let (written, _) = pending.register(&call("2")).unwrap();
        assert!(pending.begin(written.id));

        assert!(!pending.take_back(unwritten.id));
        assert!(pending.take_back(written.id));

        assert!(!pending.begin(unwritten.id));
    }

    #[tokio::test]
    async fn whoever_waits_for_the_table_to_be_empty_is_told() {
        let pending = Pending::default();
        let (ticket, _) = pending.register(&call("1")).unwrap();

        let ((), ()) = tokio::join!(pending.emptied(), async { drop(ticket) });

        assert_eq!(pending.running(), 0);
    }

    #[tokio::test]
    async fn a_closed_table_ends_all_waiting_and_takes_nobody_new() {
        let pending = Pending::default();
        let (mut ticket, _) = pending.register(&call("1")).unwrap();

        pending.close();

        assert!(ticket.next().await.is_none());
        assert!(pending.register(&call("2")).is_none());
        assert_eq!(pending.answer(&result(1)), Delivery::Unclaimed);
    }
}
