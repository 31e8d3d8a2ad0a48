//! The streams of a server of 2024-11-05: whatever it says to a client goes on the one stream of that client.
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use tokio::sync::mpsc;

/// Events that may wait for the gateway to read them.
const QUEUE: usize = 64;

/// The streams that are open, by the number of the GET that opened them.
#[derive(Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<usize, Stream>>,
}

/// One of them.
#[derive(Clone)]
pub(crate) struct Stream(mpsc::Sender<String>);

impl Streams {
    /// A stream: its first event, and what is to follow.
    pub(crate) fn open(&self, number: usize) -> (String, mpsc::Receiver<String>) {
        let (stream, messages) = mpsc::channel(QUEUE);
        self.locked().insert(number, Stream(stream));
        let first = format!("event: endpoint\ndata: /mcp/messages?stream={number}\n\n");
        (first, messages)
    }

    /// The stream whose place for POSTs this path is.
    pub(crate) fn of(&self, path: &str) -> Option<Stream> {
        let number = path.strip_prefix("/mcp/messages?stream=")?.parse().ok()?;
        self.locked().get(&number).cloned()
    }

    /// Ends them all.
    pub(crate) fn close_all(&self) {
        self.locked().clear();
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<usize, Stream>> {
        self.open.lock().expect("nobody panics with it")
    }
}

impl Stream {
    /// One event, unless there is nothing to say.
    pub(crate) fn say(&self, message: &[u8]) {
        if !message.is_empty() {
            let message = String::from_utf8_lossy(message);
            // A gateway that has gone hears nothing.
            let _ = self.0.try_send(format!("event: message\ndata: {message}\n\n"));
        }
    }
}
