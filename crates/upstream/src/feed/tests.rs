//! What followers hear of servers that tell it late, partly, twice or not at all.

mod legacy;
mod modern;
mod lost;
mod teller;

mod site;
mod wires;

use super::*;
use teller::{Teller, interest, said};

const SOON: Duration = Duration::from_millis(100);

struct Case {
    server: Teller,
    upstream: Arc<Upstream>,
}

fn case(server: Teller) -> Case {
    Case {
        upstream: server.upstream(),
        server,
    }
}

impl Case {
    async fn follows(&self, words: &[&str]) -> Following {
        self.follows_in(&Pooled::default(), words).await
    }

    async fn follows_in(&self, pooled: &Pooled, words: &[&str]) -> Following {
        let following = self.upstream.follow(interest(words), pooled, Arc::default());
        following.await.expect("it can be followed")
    }

    async fn fails(&self, words: &[&str]) -> Fault {
        let pooled = Pooled::default();
        let following = self.upstream.follow(interest(words), &pooled, Arc::default());
        match following.await {
            Ok(_) => panic!("it can be followed"),
            Err(error) => error.fault,
        }
    }

    fn feeds(&self) -> i64 {
        let counted = self.upstream.feeds_gauge().get();
        let kept = self.upstream.feeds.locked().len();
        assert_eq!(usize::try_from(counted).unwrap(), kept);
        counted
    }
}

/// What is heard until it is quiet for so long.
async fn heard_within(following: &mut Following, time: Duration) -> Vec<String> {
    let mut heard = Vec::new();
    while let Ok(message) = tokio::time::timeout(time, following.next()).await {
        heard.push(said(&message.unwrap()));
    }
    heard
}

async fn heard(following: &mut Following) -> Vec<String> {
    heard_within(following, SOON).await
}

/// Time goes by.
async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}
