//! What calls leave behind that nobody comes back for: nothing.
use std::time::Duration;

use harness::{Gateway, Running, questions, until};

use super::{able, asking, call, plain};

/// The sum of a gauge in what the operator sees.
async fn gauge(gateway: &Running, name: &str) -> f64 {
    let text = gateway.admin("/metrics").await.text();
    let lines = text
        .lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[tokio::test]
async fn a_thousand_that_nobody_comes_back_for_leave_nothing_behind() {
    const AT_ONCE: usize = 50;
    let server = asking(vec![questions::name()]).await;
    let gateway = Gateway::new()
        .server("docs", &server)
        .config("bounds: { parked: 1s }")
        .start()
        .await;
    let client = able(&gateway);
    call(&client).await;
    server.asked_for("notifications/cancelled").await;
    let (memory, below) = (
        gateway.program().resident(),
        gateway.program().descendants().len(),
    );

    let mut parked = 0;
    while parked < 1_000 {
        let mut running = Vec::new();
        for _ in 0..AT_ONCE {
            running.push(client.send("tools/call", plain()).await);
        }
        let mut refused = 0;
        for sent in running {
            let answer = sent.answer().await;
            match answer.last().get("result") {
                Some(result) => {
                    assert_eq!(result["resultType"], "input_required", "{result}");
                    parked += 1;
                }
                // There is a bound on how many one may leave, said in words.
                None => {
                    assert_eq!(answer.code(), -32603, "{answer:?}");
                    refused += 1;
                }
            }
        }
        if refused > 0 {
            // Time is what this test is about: places become free as time passes.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    // Every question is answered, every call cancelled.
    let asked = server.asked("tools/call").len();
    until("every call to be cancelled", || {
        (server.asked("notifications/cancelled").len() == asked).then_some(())
    })
    .await;
    assert_eq!(gauge(&gateway, "causeway_parked_calls").await, 0.0);
    assert_eq!(gateway.program().descendants().len(), below);
    let grown = gateway.program().resident().saturating_sub(memory);
    assert!(grown < 16 << 20, "{grown} bytes more than at the beginning");
}
