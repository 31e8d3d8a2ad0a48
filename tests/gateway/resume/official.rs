//! Official clients whose connections are cut.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::{Gateway, Sdk, until};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::RESUME;

/// A way to the gateway on which the first so many connections are cut right behind a report.
async fn cutting(to: &str, cuts: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (to, cut) = (to.to_owned(), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let gateway = TcpStream::connect(&to).await.unwrap();
            let cut = Arc::clone(&cut);
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_gateway, mut to_gateway) = gateway.into_split();
                let up = async {
                    tokio::io::copy(&mut from_client, &mut to_gateway)
                        .await
                        .map(|_| ())
                };
                let down = async {
                    let mut piece = vec![0; 64 << 10];
                    loop {
                        let length = from_gateway.read(&mut piece).await?;
                        to_client.write_all(&piece[..length]).await?;
                        let reports =
                            String::from_utf8_lossy(&piece[..length]).contains("notifications/progress");
                        if length == 0 || (reports && cut.fetch_add(1, Ordering::Relaxed) < cuts) {
                            return std::io::Result::Ok(());
                        }
                    }
                };
                // Whichever ends, both connections end with it.
                tokio::select! {
                    _ = up => {}
                    _ = down => {}
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn official_clients_come_back() {
    let gateway = Gateway::new().demo().config(RESUME).start().await;
    // The Python SDK comes back to a stream that it has come back to with the id it had the first time.
    let clients = [
        (Sdk::python("legacy"), 1),
        (Sdk::typescript_1(), 3),
        (Sdk::typescript_2("legacy"), 3),
    ];
    for (client, cuts) in clients {
        let way = cutting(gateway.address(), cuts).await;
        let arguments = json!({ "steps": 24, "delay_ms": 150 });
        let wish = json!({ "do": "call", "name": "slow", "arguments": arguments, "progress": true });

        let facts = client.run(&format!("http://{way}/mcp"), &[wish]).await.succeed();

        let steps = facts.all("progress").into_iter();
        let steps: Vec<_> = steps.filter_map(|fact| fact["progress"].as_f64()).collect();
        let expected: Vec<_> = (1..=24).map(f64::from).collect();
        assert_eq!(steps, expected, "{facts:?}");
        assert!(facts.result("slow").get("content").is_some());
    }
    let calls = || {
        let records = gateway.records().into_iter();
        records.filter(|record| record["method"] == "tools/call").count()
    };
    until("the calls on record", || (calls() == 3).then_some(())).await;
    gateway.counted("causeway_streams_resumed_total 7").await;
}
