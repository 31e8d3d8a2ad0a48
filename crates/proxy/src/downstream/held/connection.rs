//! The connection under a held stream, without anything that a silent stream does not need.
//!
//! The engine keeps the request, the answer's head and the buffer that both were read from for as long as an
//! exchange lasts: 8 KiB for a client that only waits. On HTTP/1.1 a stream whose head is written needs none of
//! it: what is left to say are chunks (RFC 9112 §7.1), and those are written here.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use mcp::frame::sse;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::downstream::reply::{Door, Gone, SLICE};

/// What a chunk has around its bytes: its length in hexadecimal, and two line ends.
const AROUND: usize = 20;

/// A connection on which events are told.
pub(crate) enum Connection {
    /// HTTP/1.1: chunks.
    Bare(Bare),
    /// Anything else: the engine's own.
    Whole(Box<ServerSession>),
}

/// What is left of HTTP/1.1 when the head is written.
pub(crate) struct Bare {
    stream: Stream,
    /// A client that has sent something behind its request is not read from any more: nothing that it says
    /// here has a meaning, and what it sends waits with it.
    read: bool,
    stalled: Duration,
}

impl Connection {
    /// Takes over from the engine, once the head is written.
    pub(crate) fn of(http: ServerSession, stalled: Duration) -> Self {
        match http {
            ServerSession::H1(session) => Self::Bare(Bare {
                stream: session.into_inner(),
                read: true,
                stalled,
            }),
            other => Self::Whole(Box::new(other)),
        }
    }

    /// Waits until the client leaves.
    pub(crate) async fn gone(&mut self) {
        match self {
            Self::Bare(bare) => bare.gone().await,
            // Large, and rare.
            Self::Whole(http) => Box::pin(Door::resume(http).gone()).await,
        }
    }

    /// One message as an event. Awaiting it is the back-pressure.
    pub(crate) async fn line(&mut self, line: Bytes) -> Result<(), Gone> {
        match self {
            Self::Bare(bare) => Box::pin(bare.event(&line)).await,
            Self::Whole(http) => Box::pin(Door::resume(http).line(line)).await,
        }
    }

    /// Events as they are written.
    pub(crate) async fn frame(&mut self, events: Bytes) -> Result<(), Gone> {
        match self {
            Self::Bare(bare) => bare.chunks(&events).await,
            Self::Whole(http) => Box::pin(Door::resume(http).frame(events)).await,
        }
    }

    /// A sign of life that means nothing.
    pub(crate) async fn heartbeat(&mut self) -> Result<(), Gone> {
        match self {
            Self::Bare(bare) => Box::pin(bare.write(b"3\r\n:\n\n\r\n")).await,
            Self::Whole(http) => Box::pin(Door::resume(http).heartbeat()).await,
        }
    }

    /// Tells how many milliseconds to wait before the stream is opened again.
    pub(crate) async fn retry(&mut self, milliseconds: u64) -> Result<(), Gone> {
        match self {
            Self::Bare(bare) => {
                let mut field = BytesMut::with_capacity(32);
                sse::write_retry(&mut field, milliseconds);
                bare.chunks(&field).await
            }
            Self::Whole(http) => Box::pin(Door::resume(http).retry(milliseconds)).await,
        }
    }

    /// Ends the stream of events.
    pub(crate) async fn end(mut self) -> Result<(), Gone> {
        match &mut self {
            Self::Bare(bare) => {
                bare.write(b"0\r\n\r\n").await?;
                // Whether it hears of the end of the connection too is its own affair.
                let _ = bare.stream.shutdown().await;
                Ok(())
            }
            Self::Whole(http) => Box::pin(Door::resume(http).end_events()).await,
        }
    }
}

impl Bare {
    async fn gone(&mut self) {
        if self.read {
            if let Ok(0) | Err(_) = self.stream.read(&mut [0; 1]).await {
                return;
            }
            self.read = false;
        }
        std::future::pending().await
    }

    async fn event(&mut self, line: &[u8]) -> Result<(), Gone> {
        let mut event = BytesMut::with_capacity(line.len() + 64);
        sse::write_event(&mut event, Some("message"), line);
        self.chunks(&event).await
    }

    async fn chunks(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        // The deadline is for one write, as everywhere: a slow reader may be a steady one.
        for piece in bytes.chunks(SLICE) {
            let mut chunk = BytesMut::with_capacity(piece.len() + AROUND);
            chunk.put_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            chunk.put_slice(piece);
            chunk.put_slice(b"\r\n");
            self.write(&chunk).await?;
        }
        Ok(())
    }

    /// Writes bytes as they are, and sees them off.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(self.stalled, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::downstream::reply::Extra;
    use futures_util::FutureExt as _;
    use tokio::io::{DuplexStream, duplex};

    const STALLED: Duration = Duration::from_secs(30);

    /// A stream whose head is written, and its client, to whom `room` bytes can be sent unread.
    async fn held(room: usize) -> (Connection, DuplexStream) {
        let (ours, mut theirs) = duplex(room);
        theirs
            .write_all(b"GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let mut http = ServerSession::new_http1(Box::new(ours));
        assert!(http.read_request().await.unwrap());
        http.set_keepalive(Some(60));
        let mut door = Door::new(&mut http, None);
        door.begin_events(Extra::default()).await.unwrap();
        (Connection::of(http, STALLED), theirs)
    }

    /// Everything that the client is sent, less the head.
    async fn received(mut client: DuplexStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    #[tokio::test]
    async fn what_is_told_are_chunks_and_the_end_is_one_too() {
        let (mut connection, client) = held(4096).await;

        connection.line(Bytes::from_static(b"{}")).await.unwrap();
        connection.heartbeat().await.unwrap();
        connection.end().await.unwrap();

        let chunks = "19\r\nevent: message\ndata: {}\n\n\r\n3\r\n:\n\n\r\n0\r\n\r\n";
        assert_eq!(received(client).await, chunks);
    }

    #[tokio::test]
    async fn a_long_line_comes_in_chunks_that_make_it_whole() {
        let (mut connection, client) = held(4 * SLICE).await;
        let line = Bytes::from("x".repeat(2 * SLICE));

        connection.line(line.clone()).await.unwrap();
        connection.end().await.unwrap();

        let received = received(client).await;
        let (mut rest, mut whole) = (received.as_str(), String::new());
        loop {
            let (length, behind) = rest.split_once("\r\n").unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            if length == 0 {
                break;
            }
            assert!(length <= SLICE);
            whole.push_str(&behind[..length]);
            rest = &behind[length + 2..];
        }
        let line = std::str::from_utf8(&line).unwrap();
        assert_eq!(whole, format!("event: message\ndata: {line}\n\n"));
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_noticed_and_one_that_talks_is_still_there() {
        let (mut connection, client) = held(4096).await;
        assert_eq!(connection.gone().now_or_never(), None);
        drop(client);
        connection.gone().await;

        let (mut connection, mut client) = held(4096).await;
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(connection.gone().now_or_never(), None);
        connection.line(Bytes::from_static(b"{}")).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_is_given_up() {
        let (mut connection, _client) = held(1024).await;
        let begun = tokio::time::Instant::now();

        let told = connection.line(Bytes::from("x".repeat(4096))).await;

        assert_eq!(told, Err(Gone));
        assert!(begun.elapsed() >= STALLED);
    }
}
