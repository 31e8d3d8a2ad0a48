//! Clients that hold a stream and say nothing: each weighs no more than its socket.

use std::net::SocketAddr;
use std::sync::Arc;

use causeway_bench::{Outcome, Wire, connect, greet, listen};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Streams opened side by side.
const OPENERS: usize = 16;

/// Which transport a stream belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// GET within a session.
    Streamable,
    /// The 2024-11-05 transport: its session is its stream.
    Sse,
}

/// Opens `count` streams, each of a session of its own whose handshake is done.
pub(crate) async fn open(
    address: SocketAddr,
    path: &str,
    kind: Kind,
    count: usize,
) -> Outcome<Vec<TcpStream>> {
    let path: Arc<str> = path.into();
    let mut openers = JoinSet::new();
    for opener in 0..OPENERS {
        let path = Arc::clone(&path);
        openers.spawn(async move {
            // Requests go over one connection, so that what stays open are the streams alone.
            let mut wire = Wire::connect(address).await?;
            let mut streams = Vec::new();
            for _ in (opener..count).step_by(OPENERS) {
                streams.push(match kind {
                    Kind::Streamable => {
                        let session = greet(&mut wire, address, &path).await?;
                        listen(address, &path, &session).await?
                    }
                    Kind::Sse => connect(&mut wire, address, &path).await?,
                });
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(streams)
        });
    }
    let mut streams = Vec::with_capacity(count);
    while let Some(opened) = openers.join_next().await {
        streams.extend(opened??);
    }
    Ok(streams)
}

/// Those of `streams` that are still open and silent.
pub(crate) fn alive(streams: &[TcpStream]) -> usize {
    let silent = |stream: &&TcpStream| match stream.try_read(&mut [0; 64]) {
        // A sign of life is none of a message.
        Ok(read) => read > 0,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    };
    streams.iter().filter(silent).count()
}
