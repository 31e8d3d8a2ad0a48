//! How a client's connection begins: TLS where the file says so, and then which HTTP it speaks.
//!
//! The engine bounds neither its wait for the first bytes of HTTP/2 nor what it calls peeking, which also takes a
//! short request of HTTP/1.0 for one that never ends. So both are done here, and a connection is handed over when
//! there is nothing left to find out but its requests; those of HTTP/1.1 bound themselves (`app.rs`).

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::l4::stream::Stream as Socket;
use pingora::protocols::{ALPN, Ssl as _, Stream};
use pingora::server::ShutdownWatch;
use tokio::io::AsyncReadExt as _;

use crate::app::App;
use crate::generation::Generation;
use crate::tls::{Proven, Tls};

/// What HTTP/2 begins with, and nothing else does (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The clients' listener.
pub(super) struct Front {
    pub(super) current: Arc<ArcSwap<Generation>>,
}

/// A connection, ready for its first request.
struct Arrived {
    stream: Stream,
    speaks_h2: bool,
    proven: Option<Proven>,
}

#[async_trait]
impl ServerApp for Front {
    async fn process_new(self: &Arc<Self>, stream: Stream, _: &ShutdownWatch) -> Option<Stream> {
        let began = Instant::now();
        let current = self.current.load_full();
        let (tls, patience) = (current.tls.clone(), current.patience());
        let (tracker, draining) = (current.held.clone(), current.health.draining());
        // A connection of hours must not keep the configuration that it began with.
        drop(current);
        let arrived = tokio::time::timeout(patience, Box::pin(arrive(stream, tls))).await;
        let Ok(Some(Arrived {
            stream,
            speaks_h2,
            proven,
        })) = arrived
        else {
            return None;
        };
        let app = Arc::new(App::new(Arc::clone(&self.current), began, speaks_h2, proven));
        if !speaks_h2 {
            return app.process_new(stream, &draining).await;
        }
        let served = async {
            tokio::select! {
                _ = app.process_new(stream, &draining) => {}
                // From the first request on, the engine knows when a connection is idle.
                () = app.was_never_asked(patience) => {}
            }
        };
        // What is written is not on its way before this task has sent it: a drain waits for that.
        tracker.track_future(Box::pin(served)).await;
        None
    }
}

/// Finds out what a connection is. `None` when it ends before, or is none that can be served.
async fn arrive(stream: Stream, tls: Option<Tls>) -> Option<Arrived> {
    // It is what the listener has just accepted.
    let mut socket = *stream.into_any().downcast::<Socket>().ok()?;
    let Some(tls) = tls else {
        let speaks_h2 = begins_with_preface(&mut socket).await?;
        return Some(Arrived {
            stream: Box::new(socket),
            speaks_h2,
            proven: None,
        });
    };
    let stream = match Acceptor::from_server_config(tls.config())
        .tls_handshake(socket)
        .await
    {
        Ok(stream) => stream,
        Err(error) => {
            // Scanners and clients that do not believe us, all day long.
            tracing::debug!(%error, "a TLS handshake failed");
            return None;
        }
    };
    let chain = stream.get_ssl().and_then(|ssl| ssl.peer_cert_chain_der());
    Some(Arrived {
        proven: chain.and_then(|chain| tls.proves(chain)),
        speaks_h2: matches!(stream.selected_alpn_proto(), Some(ALPN::H2)),
        stream: Box::new(stream),
    })
}

/// Whether a connection speaks HTTP/2 by prior knowledge (RFC 9113 §3.3). What was read is put back. `None` when there
/// is nothing to read.
async fn begins_with_preface(socket: &mut Socket) -> Option<bool> {
    let mut read = [0; PREFACE.len()];
    let mut length = 0;
    while length < read.len() && read[..length] == PREFACE[..length] {
        match socket.read(&mut read[length..]).await {
            Ok(0) | Err(_) if length == 0 => return None,
            Ok(0) | Err(_) => break,
            Ok(more) => length += more,
        }
    }
    socket.rewind(&read[..length]);
    Some(read == *PREFACE)
}
