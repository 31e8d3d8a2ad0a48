//! What a server says in a session outside of any call, until somebody listens.
//!
//! A queue of few messages: when it is full the oldest goes, since what a server says there tells that
//! something changed, and the latest says so best. Those who read it do so one at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use mcp::{Message, Method};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Messages that may wait for a reader.
const QUEUE: usize = 64;

/// Bytes that may wait for a reader.
const QUEUE_BYTES: usize = 256 * 1024;

/// The messages of one session that belong to no call. A clone is the same queue.
#[derive(Clone, Default)]
pub(crate) struct Unclaimed {
    queue: Arc<Mutex<Queue>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    closed: bool,
    /// Those who read, in the order they came: the last one is served.
    readers: Vec<u64>,
    last_reader: u64,
    /// When the last of them left.
    read_until: Option<Instant>,
}

/// One who reads. Of several the newest is served, since a client that opens a second stream seldom
/// still holds the first; the others wait until it is gone.
pub(crate) struct Reader {
    number: u64,
    unclaimed: Unclaimed,
}

impl Unclaimed {
    /// Takes a message, and gives back what had to go for it: to be counted, and to be refused where it
    /// is a question. A change that waits to be read already is not told twice.
    #[must_use = "what is dropped is counted, and a dropped question is refused"]
    pub(crate) fn push(&self, message: Message) -> Vec<Message> {
        let mut queue = self.locked();
        let length = message.bytes().len();
        if queue.closed || length > QUEUE_BYTES {
            return vec![message];
        }
        if queue
            .messages
            .iter()
            .any(|queued| says_the_same(queued, &message))
        {
            return Vec::new();
        }
        let mut dropped = Vec::new();
        while queue.messages.len() == QUEUE || queue.bytes + length > QUEUE_BYTES {
            let Some(oldest) = queue.pop() else { break };
            dropped.push(oldest);
        }
        queue.bytes += length;
        queue.messages.push_back(message);
        drop(queue);
        self.changed.notify_waiters();
        dropped
    }

    /// Begins to read, in front of all who read already.
    pub(crate) fn reader(&self) -> Reader {
        let mut queue = self.locked();
        queue.last_reader += 1;
        let number = queue.last_reader;
        queue.readers.push(number);
        Reader {
            number,
            unclaimed: self.clone(),
        }
    }

    /// Whether anybody reads: only then may a question wait here.
    pub(crate) fn is_read(&self) -> bool {
        !self.locked().readers.is_empty()
    }

    /// When one who read left last.
    pub(crate) fn read_until(&self) -> Option<Instant> {
        self.locked().read_until
    }

    /// Whether anything waits to be read.
    #[cfg(test)]
    pub(crate) fn is_waiting(&self) -> bool {
        !self.locked().messages.is_empty()
    }

    /// The session has ended: what waits may still be read, nothing is added.
    pub(crate) fn close(&self) {
        self.locked().closed = true;
        self.changed.notify_waiters();
    }

    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Queue {
    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes().len();
        Some(message)
    }
}

impl Reader {
    /// The next message; `None` once the session has ended and everything is read. May be given up and
    /// asked again: nothing is lost.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            let changed = self.unclaimed.changed.notified();
            tokio::pin!(changed);
            // Enrolled before the look, so that nothing is missed between the two.
            changed.as_mut().enable();
            {
                let mut queue = self.unclaimed.locked();
                let served = queue.readers.last() == Some(&self.number);
                if served && let Some(message) = queue.pop() {
                    return Some(message);
                }
                if queue.closed && (!served || queue.messages.is_empty()) {
                    return None;
                }
            }
            changed.await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut queue = self.unclaimed.locked();
        queue.readers.retain(|number| *number != self.number);
        queue.read_until = Some(Instant::now());
        drop(queue);
        self.unclaimed.changed.notify_waiters();
    }
}

/// Whether this notification is of the session as a whole, so that no call of it may claim it
/// (`protocol.md` D-45): what changed, and what became of something that outlives a call.
pub(crate) fn is_of_session(message: &Message) -> bool {
    matches!(
        message.method(),
        Some(
            Method::NotificationsToolsListChanged
                | Method::NotificationsPromptsListChanged
                | Method::NotificationsResourcesListChanged
                | Method::NotificationsResourcesUpdated
                | Method::NotificationsElicitationComplete
                | Method::NotificationsTasks
                | Method::NotificationsTasksStatus
        )
    )
}

/// Whether this tells that something has changed, outside of any subscription of 2026-07-28.
pub(crate) fn is_change(message: &Message) -> bool {
    let tells = matches!(
        message.method(),
        Some(
            Method::NotificationsToolsListChanged
                | Method::NotificationsPromptsListChanged
                | Method::NotificationsResourcesListChanged
                | Method::NotificationsResourcesUpdated
        )
    );
    tells && message.subscription().is_none()
}

/// Whether a reader learns no more from the second than from the first.
fn says_the_same(queued: &Message, message: &Message) -> bool {
    is_change(message) && queued.method() == message.method() && queued.params() == message.params()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use mcp::Id;

    const TOOLS: &str = "notifications/tools/list_changed";

    fn log(text: &str) -> Message {
        Message::notification(
            "notifications/message",
            Some(&format!(r#"{{"level":"info","data":"{text}"}}"#)),
        )
    }

    fn updated(uri: &str) -> Message {
        Message::notification(
            "notifications/resources/updated",
            Some(&format!(r#"{{"uri":"{uri}"}}"#)),
        )
    }

    async fn read(reader: &mut Reader) -> Message {
        reader.next().await.expect("it has not ended")
    }

    #[tokio::test]
    async fn what_was_said_before_anybody_listened_is_heard_in_order() {
        let unclaimed = Unclaimed::default();
        assert!(unclaimed.push(updated("a")).is_empty());
        assert!(unclaimed.push(updated("b")).is_empty());

        let mut reader = unclaimed.reader();

        assert_eq!(read(&mut reader).await.bytes(), updated("a").bytes());
        assert_eq!(read(&mut reader).await.bytes(), updated("b").bytes());
        assert!(reader.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_change_that_waits_is_not_told_twice() {
        let unclaimed = Unclaimed::default();
        let mut reader = unclaimed.reader();
        let changed = || Message::notification(TOOLS, None);
        for message in [changed(), updated("a"), changed(), updated("a"), updated("b")] {
            assert!(unclaimed.push(message).is_empty());
        }
        for expected in [changed(), updated("a"), updated("b")] {
            assert_eq!(read(&mut reader).await.bytes(), expected.bytes());
        }
        assert!(reader.next().now_or_never().is_none());

        assert!(unclaimed.push(changed()).is_empty());
        assert!(
            reader.next().now_or_never().is_some(),
            "a change after that is another"
        );
    }

    #[test]
    fn the_oldest_goes_when_it_is_full_of_messages_or_of_bytes() {
        let unclaimed = Unclaimed::default();
        let question = Message::request(&Id::number(7), "roots/list", None);
        assert!(unclaimed.push(question).is_empty());
        for number in 1..QUEUE {
            assert!(unclaimed.push(log(&number.to_string())).is_empty());
        }
        let dropped = unclaimed.push(log("one more"));
        assert_eq!(dropped.len(), 1);
        assert_eq!(dropped[0].id(), Some(&Id::number(7)), "so that it can be refused");

        let long = log(&"x".repeat(QUEUE_BYTES - 100));
        assert_eq!(unclaimed.push(long).len(), QUEUE);
        assert_eq!(
            unclaimed.push(log(&"x".repeat(QUEUE_BYTES))).len(),
            1,
            "it fits nowhere"
        );
        assert_eq!(unclaimed.locked().messages.len(), 1);
    }

    #[tokio::test]
    async fn the_newest_reader_is_served_and_then_the_one_before() {
        let unclaimed = Unclaimed::default();
        let mut first = unclaimed.reader();
        let mut second = unclaimed.reader();
        let _ = unclaimed.push(log("a"));
        assert!(first.next().now_or_never().is_none());
        assert!(second.next().now_or_never().is_some());

        let waiting = tokio::spawn(async move { first.next().await });
        tokio::task::yield_now().await;
        let _ = unclaimed.push(log("b"));
        drop(second);

        assert_eq!(waiting.await.unwrap().unwrap().bytes(), log("b").bytes());
        assert!(!unclaimed.is_read());
    }

    #[tokio::test]
    async fn an_ended_session_is_read_to_its_end() {
        let unclaimed = Unclaimed::default();
        let mut reader = unclaimed.reader();
        let _ = unclaimed.push(log("a"));

        unclaimed.close();

        assert_eq!(unclaimed.push(log("b")).len(), 1);
        assert!(reader.next().await.is_some());
        assert!(reader.next().await.is_none());
    }
}
