//! Connections that wait for their next request.
//!
//! The engine's own pool watches each idle connection with a task of its own, started and woken
//! once per call. Here an idle connection is only looked at when it is wanted, and swept when it
//! is old: one task while any is idle, none per call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use pingora::protocols::Stream;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

/// Idle connections kept for all servers together.
const KEPT: usize = 1024;

/// Node and uvicorn close an idle connection after 5 s; ours must be the shorter patience, or a
/// request would race the server's close.
const KEPT_FOR: Duration = Duration::from_secs(4);

#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// By what tells servers apart; the one used last at the end.
    by_server: HashMap<u64, Vec<(Instant, Stream)>>,
    count: usize,
    swept: bool,
}

impl Pool {
    /// A connection to this server that is still open.
    pub(crate) fn take(&self, server: u64) -> Option<Stream> {
        loop {
            let (since, mut connection) = {
                let mut idle = self.locked();
                let found = idle.by_server.get_mut(&server)?.pop()?;
                idle.count -= 1;
                found
            };
            if since.elapsed() < KEPT_FOR && is_quiet(&mut connection) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(crate) fn put(self: &Arc<Self>, server: u64, mut connection: Stream) {
        if !is_quiet(&mut connection) {
            return;
        }
        let mut idle = self.locked();
        if idle.count >= KEPT {
            return;
        }
        idle.count += 1;
        idle.by_server
            .entry(server)
            .or_default()
            .push((Instant::now(), connection));
        if !std::mem::replace(&mut idle.swept, true) {
            drop(idle);
            tokio::spawn(sweep(Arc::clone(self)));
        }
    }

    /// Forgets every connection to this server: one was found closed, so the others are suspect.
    pub(crate) fn clear(&self, server: u64) {
        let mut idle = self.locked();
        let closed = idle
            .by_server
            .remove(&server)
            .map_or(0, |connections| connections.len());
        idle.count -= closed;
    }

    fn locked(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Closes what has become old; ends with the last idle connection, or with the pool.
async fn sweep(pool: Arc<Pool>) {
    loop {
        tokio::time::sleep(KEPT_FOR).await;
        // Only the sweeper holds it: nobody can put anything back.
        let abandoned = Arc::strong_count(&pool) == 1;
        let mut idle = pool.locked();
        idle.by_server.retain(|_, connections| {
            connections.retain(|(since, _)| since.elapsed() < KEPT_FOR && !abandoned);
            !connections.is_empty()
        });
        idle.count = idle.by_server.values().map(Vec::len).sum();
        if idle.count == 0 {
            idle.swept = false;
            return;
        }
    }
}

/// Whether nothing has come on a connection that should be silent: neither bytes nor its end.
fn is_quiet(connection: &mut Stream) -> bool {
    let mut byte = [0; 1];
    // Not bounded by the task's budget, or a connection could look quiet only because it was spent.
    tokio::task::unconstrained(connection.read(&mut byte))
        .now_or_never()
        .is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpStream};

    async fn connected() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        (
            Box::new(pingora::protocols::l4::stream::Stream::from(ours)),
            theirs,
        )
    }

    #[tokio::test]
    async fn a_connection_is_given_to_one_and_only_for_its_server() {
        let pool = Arc::new(Pool::default());
        let (ours, _theirs) = connected().await;
        pool.put(1, ours);
        assert!(pool.take(2).is_none());
        assert!(pool.take(1).is_some());
        assert!(pool.take(1).is_none());
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_is_not_given() {
        let pool = Arc::new(Pool::default());
        let (ours, theirs) = connected().await;
        let (fresh, _kept) = connected().await;
        pool.put(1, fresh);
        pool.put(1, ours);
        drop(theirs);
        // The close is seen by the system at once on loopback; the reactor has to be told.
        tokio::task::yield_now().await;
        assert!(pool.take(1).is_some(), "the one behind it is still open");
        assert!(pool.take(1).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_grows_old() {
        let pool = Arc::new(Pool::default());
        let (ours, _theirs) = connected().await;
        pool.put(1, ours);
        tokio::time::advance(KEPT_FOR).await;
        assert!(pool.take(1).is_none());
        assert_eq!(pool.locked().count, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_is_swept_and_the_sweeper_ends() {
        let pool = Arc::new(Pool::default());
        let (ours, _theirs) = connected().await;
        pool.put(1, ours);
        tokio::time::sleep(KEPT_FOR * 3).await;
        let idle = pool.locked();
        assert_eq!((idle.count, idle.swept, idle.by_server.len()), (0, false, 0));
    }
}
