//! Puts ears on lines that only another program knows: it names an address, and is told the one of a [`Tap`] before it.
use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::Tap;

/// Where such programs ask. Dropping it hangs up all its taps.
pub struct Switchboard {
    address: String,
    taps: Arc<Mutex<Vec<Tap>>>,
    accepting: JoinHandle<()>,
}

impl Switchboard {
    /// Opens it.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port on loopback is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let taps = Arc::default();
        let shared = Arc::clone(&taps);
        let accepting = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                connect(caller, &shared)
                    .await
                    .expect("a caller waits for its answer");
            }
        });
        Self {
            address,
            taps,
            accepting,
        }
    }

    /// Where to ask: one line with an address, answered by one with another.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The taps so far, in the order in which they were asked for.
    pub fn taps(&self) -> Vec<Tap> {
        std::mem::take(&mut *self.taps.lock().expect("nobody panics with it"))
    }
}

impl Drop for Switchboard {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connect(caller: TcpStream, taps: &Mutex<Vec<Tap>>) -> std::io::Result<()> {
    let mut caller = BufReader::new(caller);
    let mut asked = String::new();
    caller.read_line(&mut asked).await?;
    let tap = Tap::before(asked.trim()).await;
    let answer = format!("{}\n", tap.address());
    taps.lock().expect("nobody panics with it").push(tap);
    caller.get_mut().write_all(answer.as_bytes()).await
}
