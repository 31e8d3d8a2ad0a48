//! What calls leave behind that nobody comes back for: nothing.
use harness::{Exit, Gateway, Running, questions, until};
use serde_json::json;

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

    for _ in 0..1_000 / AT_ONCE {
        let mut running = Vec::new();
        for _ in 0..AT_ONCE {
            running.push(client.send("tools/call", plain()).await);
        }
        for sent in running {
            let result = sent.answer().await.result();
            assert_eq!(result["resultType"], "input_required", "{result}");
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

#[tokio::test]
async fn a_gateway_that_stops_tells_servers_that_nobody_will_answer() {
    let server = asking(vec![questions::name()]).await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = able(&gateway);
    for _ in 0..3 {
        call(&client).await;
    }

    let exit = gateway.stop().await;

    assert_eq!(exit, Exit::Code(0));
    let everything = server.requests();
    let answers = everything
        .iter()
        .filter(|request| request.json()["result"] == json!({ "action": "cancel" }));
    assert_eq!(answers.count(), 3);
    assert_eq!(server.asked("notifications/cancelled").len(), 3);
}
