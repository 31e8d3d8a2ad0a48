//! What a server is sent that closes connections, as it counts itself.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Answers the first request of each connection, and takes the second without an answer.
struct Unsteady {
    target: Target,
    client: Arc<Client>,
    taken: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
    _home: TempDir,
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn unsteady() -> Unsteady {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let accepting = tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                for answer in [ANSWER, b""] {
                    while !bytes.ends_with(b"\r\n\r\nbody") {
                        if connection.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    bytes.clear();
                    counted.fetch_add(1, Ordering::Relaxed);
                    let _ = connection.write_all(answer).await;
                }
            });
        }
    });
    let home = TempDir::new().unwrap();
    Unsteady {
        target,
        client: Client::new(home.path(), None).unwrap(),
        taken,
        accepting,
        _home: home,
    }
}

impl Unsteady {
    async fn post(&self, repeatable: bool) -> Result<(), Error> {
        let request = Request {
            method: Method::POST,
            target: &self.target,
            headers: &[],
            body: Bytes::from_static(b"body"),
            repeatable,
        };
        let mut response = self.client.send(request, Deadlines::default()).await?;
        response.body(100).await.map(drop)
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Unsteady {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[tokio::test]
async fn what_a_server_took_and_did_not_answer_is_sent_again_only_if_it_may_be() {
    let server = unsteady().await;
    server.post(false).await.unwrap();

    let error = server.post(false).await.unwrap_err();
    assert_eq!((&error.reason, error.sent), (&Reason::Closed, true));
    assert_eq!(server.taken(), 2, "it was taken once");

    server.post(true).await.unwrap();
    assert_eq!(server.taken(), 3);
    server.post(true).await.unwrap();
    assert_eq!(
        server.taken(),
        5,
        "it was taken, and once more on a new connection"
    );
}

#[tokio::test]
async fn only_so_much_is_repeated() {
    let server = unsteady().await;
    let mut failed = 0;
    for _ in 0..40 {
        failed += usize::from(server.post(true).await.is_err());
    }
    assert!(failed > 5, "{failed} of 40 failed");
    assert!(server.taken() <= 40 + 10, "{} were taken", server.taken());
}
