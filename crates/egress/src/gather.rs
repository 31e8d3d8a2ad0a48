//! A connection that sends a request's head and body as one.
//!
//! The engine flushes the head before the body is written, which costs a second packet and a second
//! trip through the kernel: some 5 µs of a call that costs 25. While a connection is held back,
//! what is written waits; the next flush sends it together.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A longer body is not worth copying; it goes out behind its head.
const GATHERED: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Gather {
    connection: Stream,
    held: AtomicBool,
    waiting: Vec<u8>,
}

impl Gather {
    /// Wraps a new connection.
    pub(crate) fn around(connection: Stream) -> Stream {
        Box::new(Self {
            connection,
            held: AtomicBool::new(false),
            waiting: Vec::new(),
        })
    }

    /// Holds back what is written to this connection, or lets it go with the next flush.
    pub(crate) fn hold(connection: &Stream, held: bool) {
        if let Some(gather) = (**connection).as_any().downcast_ref::<Self>() {
            gather.held.store(held, Ordering::Relaxed);
        }
    }

    fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    fn poll_release(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut sent = 0;
        while sent < self.waiting.len() {
            match Pin::new(&mut self.connection).poll_write(context, &self.waiting[sent..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => sent += written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.waiting.drain(..sent);
                    return Poll::Pending;
                }
            }
        }
        self.waiting.clear();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gather {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let gathers = self.is_held() || !self.waiting.is_empty();
        if gathers && self.waiting.len() + bytes.len() <= GATHERED {
            self.waiting.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_release(context))?;
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.is_held() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_release(context))?;
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

impl AsyncRead for Gather {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, into)
    }
}

// Whatever else the engine asks of a connection, it is the one inside that answers.

#[async_trait]
impl Shutdown for Gather {
    async fn shutdown(&mut self) {
        self.connection.shutdown().await;
    }
}

impl UniqueID for Gather {
    fn id(&self) -> UniqueIDType {
        self.connection.id()
    }
}

impl Ssl for Gather {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.connection.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.connection.selected_alpn_proto()
    }
}

impl GetTimingDigest for Gather {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.connection.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.connection.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.connection.get_write_pending_time()
    }
}

impl GetProxyDigest for Gather {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.connection.get_proxy_digest()
    }
}

impl GetSocketDigest for Gather {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.connection.get_socket_digest()
    }
}

impl Peek for Gather {}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    async fn connected() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        let ours = pingora::protocols::l4::stream::Stream::from(ours);
        (Gather::around(Box::new(ours)), theirs)
    }

    /// What has arrived at the other end by now, asked of the system and not of the reactor.
    fn arrived(theirs: &std::net::TcpStream) -> usize {
        theirs.peek(&mut [0; 64]).unwrap_or(0)
    }

    #[tokio::test]
    async fn what_is_held_leaves_with_what_follows() {
        let (mut ours, theirs) = connected().await;
        let theirs = theirs.into_std().unwrap();
        Gather::hold(&ours, true);
        ours.write_all(b"head ").await.unwrap();
        ours.flush().await.unwrap();
        assert_eq!(arrived(&theirs), 0, "the head went alone");

        Gather::hold(&ours, false);
        ours.write_all(b"body").await.unwrap();
        assert_eq!(arrived(&theirs), 0, "the head went before its body");
        ours.flush().await.unwrap();
        assert_eq!(arrived(&theirs), b"head body".len());
    }

    #[tokio::test]
    async fn a_body_of_any_length_arrives_whole_and_behind_its_head() {
        for length in [0, 1, GATHERED - 5, GATHERED - 4, GATHERED, 1 << 20] {
            let (mut ours, mut theirs) = connected().await;
            let body = vec![b'b'; length];
            let expected = [b"head ".as_slice(), &body].concat();
            let writing = async {
                Gather::hold(&ours, true);
                ours.write_all(b"head ").await.unwrap();
                ours.flush().await.unwrap();
                Gather::hold(&ours, false);
                ours.write_all(&body).await.unwrap();
                ours.flush().await.unwrap();
                let _ = AsyncWriteExt::shutdown(&mut ours).await;
            };
            let mut seen = Vec::new();
            let (_, read) = tokio::join!(writing, theirs.read_to_end(&mut seen));
            read.unwrap();
            assert!(seen == expected, "{length}: {} bytes arrived", seen.len());
        }
    }
}
