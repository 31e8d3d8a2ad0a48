//! Users who think hold up nobody else's call.
use harness::{Gateway, questions};

use super::{able, asking, call, named_retry, words};

#[tokio::test]
async fn a_call_that_waits_for_its_user_leaves_its_place_to_others() {
    let server = asking(vec![questions::name()]).await;
    let upstream = format!("{{ url: \"{}\", max_concurrency: 1 }}", server.url());
    let gateway = Gateway::new().upstream("docs", upstream).start().await;
    let client = able(&gateway);

    let first = call(&client).await;
    let second = call(&client).await;

    for (asked, name) in [(second, "Bob"), (first, "Ada")] {
        let answered = client.ask("tools/call", named_retry(&asked, name)).await.result();
        assert!(words(&answered).contains(name), "{answered}");
    }
}
