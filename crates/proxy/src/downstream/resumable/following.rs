//! Telling on one connection what is told on a stream, each event under its id.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mcp::Revision;
use mcp::frame::sse;

use crate::downstream::held::Connection;
use crate::downstream::reply::{Door, Extra, Gone};
use crate::downstream::telling::HEARTBEAT;
use crate::session::Claims;
use crate::session::event_id::{Place, Stamp};
use crate::session::replay::{Read, Reader};

/// A client whose connection is lost is to wait so long before it comes back, in milliseconds.
const RETRY: u64 = 1_000;

/// A connection's place on a stream.
pub(crate) struct Following {
    reader: Reader,
    /// Absent when nothing is kept, so that nobody comes back.
    stamp: Option<Stamp>,
    session: Arc<Claims>,
    listens: bool,
}

/// Whether clients of this revision know what to make of an event without data, which older ones break on
/// (2025-11-25 basic/transports, "Sending Messages to the Server").
pub(super) fn knows_empty_events(revision: Revision) -> bool {
    revision >= Revision::V2025_11_25
}

impl Following {
    /// Follows a stream that answers a call. Without a `stamp` its events have no ids.
    pub(super) fn call(reader: Reader, stamp: Option<Stamp>, session: &Arc<Claims>) -> Self {
        Self {
            reader,
            stamp,
            session: Arc::clone(session),
            listens: false,
        }
    }

    /// Follows a stream that listens.
    pub(super) fn listening(reader: Reader, stamp: Stamp, session: &Arc<Claims>) -> Self {
        Self {
            reader,
            stamp: Some(stamp),
            session: Arc::clone(session),
            listens: true,
        }
    }

    /// Tells within an exchange, until the stream ends or another connection takes over.
    pub(super) async fn tell_at(mut self, door: &mut Door<'_>) -> Result<(), Gone> {
        if !door.is_streaming() {
            door.begin_events(Extra::default()).await?;
        }
        if let Some(greeting) = self.greeting() {
            door.frame(greeting).await?;
        }
        loop {
            let read = tokio::select! {
                biased;
                read = self.reader.next() => read,
                () = door.gone() => return Err(Gone),
                () = tokio::time::sleep(HEARTBEAT) => {
                    door.heartbeat().await?;
                    continue;
                }
            };
            match read {
                Read::Event(number, line) => door.frame(self.frame(number, &line)).await?,
                Read::End(_) | Read::TakenOver => return door.end_events().await,
            }
        }
    }

    /// The same on a connection that is held.
    pub(crate) async fn tell_on(&mut self, mut connection: Connection) -> Result<(), Gone> {
        if let Some(greeting) = self.greeting() {
            connection.frame(greeting).await?;
        }
        loop {
            let read = tokio::select! {
                biased;
                read = self.reader.next() => read,
                () = connection.gone() => return Err(Gone),
                () = tokio::time::sleep(HEARTBEAT) => {
                    connection.heartbeat().await?;
                    continue;
                }
            };
            match read {
                Read::Event(number, line) => connection.frame(self.frame(number, &line)).await?,
                Read::End(pause) => {
                    if let Some(pause) = pause {
                        connection.retry(pause).await?;
                    }
                    return connection.end().await;
                }
                Read::TakenOver => return connection.end().await,
            }
        }
    }

    /// What a connection begins with: an id to come back with before anything was told, and how long to wait.
    fn greeting(&self) -> Option<Bytes> {
        let stamp = self.stamp.as_ref()?;
        if !knows_empty_events(self.session.revision()) {
            return None;
        }
        let mut greeting = BytesMut::with_capacity(160);
        sse::write_retry(&mut greeting, RETRY);
        sse::write_id(&mut greeting, &stamp.id(self.place(self.reader.last())));
        sse::write_event(&mut greeting, None, b"");
        Some(greeting.freeze())
    }

    /// One message as an event.
    fn frame(&self, number: u64, line: &[u8]) -> Bytes {
        let mut event = BytesMut::with_capacity(line.len() + 160);
        if let Some(stamp) = &self.stamp {
            sse::write_id(&mut event, &stamp.id(self.place(number)));
        }
        sse::write_event(&mut event, Some("message"), line);
        event.freeze()
    }

    fn place(&self, event: u64) -> Place {
        Place {
            stream: self.reader.stream(),
            event,
            listens: self.listens,
        }
    }
}
