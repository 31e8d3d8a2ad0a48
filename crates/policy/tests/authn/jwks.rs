//! The keys of an issuer, over time. The clock stands still unless everybody waits for it.

use std::sync::Arc;
use std::time::Duration;

use policy::authn::{Expected, Issuers, Outside, Refusal};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};

use crate::signer::Signer;
use crate::world::{AS, Answer, NOW, Server, US, at, claims, issuers, jwks, verify};

/// An issuer whose keys this server has, and the task that keeps them.
fn kept(server: &Arc<Server>) -> (Arc<Issuers>, JoinHandle<()>) {
    let outside: Arc<dyn Outside> = Arc::clone(server) as _;
    let text = format!("- {{ issuer: {AS}, jwks: https://as/keys, stale: 1h }}");
    let issuers = issuers(&text, "", &outside);
    let set = Arc::clone(issuers.key_sets().next().unwrap());
    (Arc::new(issuers), tokio::spawn(set.keep()))
}

fn token(signer: &Signer, subject: &str) -> String {
    signer.token("ES256", &claims(json!({ "sub": subject })))
}

#[tokio::test(start_paused = true)]
async fn the_first_caller_waits_for_the_keys() {
    let signer = Signer::p256("k");
    let server = Server::new(Answer {
        after: Duration::from_secs(2),
        ..Answer::of(jwks([&signer]))
    });
    let (issuers, _keeper) = kept(&server);
    assert!(verify(&issuers, &token(&signer, "ann")).await.is_ok());
    let request = &server.requests.lock()[0];
    assert_eq!(request.uri(), "https://as/keys");
    assert_eq!(server.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_three_seconds() {
    let signer = Signer::p256("k");
    let server = Server::new(Answer {
        after: Duration::from_secs(3600),
        ..Answer::of(jwks([&signer]))
    });
    let (issuers, _keeper) = kept(&server);
    let begin = Instant::now();
    let refused = verify(&issuers, &token(&signer, "ann")).await;
    assert_eq!(refused.err(), Some(Refusal::Unavailable));
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    // A fetch without an answer ends after ten, and the next begins after the cool-down.
    sleep(Duration::from_secs(26)).await;
    assert_eq!(server.asked(), 1);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_believed_at_once() {
    let (old, new) = (Signer::p256("old"), Signer::p256("new"));
    let server = Server::new(Answer::of(jwks([&old])));
    let (issuers, _keeper) = kept(&server);
    assert!(verify(&issuers, &token(&old, "ann")).await.is_ok());
    server.now_answers(Answer::of(jwks([&old, &new])));
    advance(Duration::from_secs(30)).await;
    assert!(verify(&issuers, &token(&new, "ann")).await.is_ok());
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_unknown_keys_cost_one_fetch() {
    let good = Signer::p256("good");
    let server = Server::new(Answer {
        after: Duration::from_secs(1),
        ..Answer::of(jwks([&good]))
    });
    let (issuers, _keeper) = kept(&server);
    assert!(verify(&issuers, &token(&good, "ann")).await.is_ok());
    for round in 2..5 {
        advance(Duration::from_secs(30)).await;
        let callers: Vec<_> = (0..10_000)
            .map(|number| {
                let issuers = Arc::clone(&issuers);
                // Not worth a signature: none is looked at.
                let header = json!({ "alg": "ES256", "kid": format!("{round}-{number}") });
                let token = crate::signer::with_secret(b"", &header, &claims(json!({})));
                tokio::spawn(async move { verify(&issuers, &token).await.err() })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), Some(Refusal::Key));
        }
        assert_eq!(server.asked(), round);
    }
    // Until the cool-down is over they are answered without waiting.
    let begin = Instant::now();
    for _ in 0..100 {
        let refused = verify(&issuers, &token(&Signer::p256("x"), "ann")).await;
        assert_eq!(refused.err(), Some(Refusal::Key));
    }
    assert_eq!((begin.elapsed(), server.asked()), (Duration::ZERO, 4));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_waiting_takes_nothing_from_the_others() {
    let (old, new) = (Signer::p256("old"), Signer::p256("new"));
    let server = Server::new(Answer::of(jwks([&old])));
    let (issuers, _keeper) = kept(&server);
    assert!(verify(&issuers, &token(&old, "ann")).await.is_ok());
    advance(Duration::from_secs(30)).await;
    server.now_answers(Answer {
        after: Duration::from_secs(2),
        ..Answer::of(jwks([&old, &new]))
    });
    let first = {
        let (issuers, token) = (Arc::clone(&issuers), token(&new, "ann"));
        tokio::spawn(async move { verify(&issuers, &token).await })
    };
    sleep(Duration::from_secs(1)).await;
    first.abort();
    assert!(verify(&issuers, &token(&new, "bob")).await.is_ok());
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn last_good_keys_count_for_their_time_and_no_longer() {
    let signer = Signer::p256("k");
    let server = Server::new(Answer::of(jwks([&signer])));
    let (issuers, _keeper) = kept(&server);
    assert!(verify(&issuers, &token(&signer, "first")).await.is_ok());
    for failure in [
        Answer::status(0),
        Answer::status(500),
        Answer::status(302),
        Answer::of("<html>"),
        Answer::of("{}"),
        Answer::of(format!("{{\"keys\":[{}]}}", vec!["{}"; 101].join(","))),
        Answer::of(format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(256 << 10))),
    ] {
        server.now_answers(failure);
        sleep(Duration::from_secs(8 * 60)).await;
        let subject = format!("{:?}", Instant::now());
        assert!(verify(&issuers, &token(&signer, &subject)).await.is_ok());
    }
    // A key that nobody knows may be a new one.
    let unknown = verify(&issuers, &token(&Signer::p256("x"), "ann")).await;
    assert_eq!(unknown.err(), Some(Refusal::Unavailable));

    sleep(Duration::from_secs(4 * 60 - 1)).await;
    assert!(verify(&issuers, &token(&signer, "last")).await.is_ok());
    sleep(Duration::from_secs(2)).await;
    let late = verify(&issuers, &token(&signer, "late")).await;
    assert_eq!(late.err(), Some(Refusal::Unavailable));

    // It heals by itself.
    server.now_answers(Answer::of(jwks([&signer])));
    sleep(Duration::from_secs(31)).await;
    assert!(verify(&issuers, &token(&signer, "healed")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_taken_back_count_no_longer() {
    let (old, new) = (Signer::p256("old"), Signer::p256("new"));
    let server = Server::new(Answer::of(jwks([&old])));
    let (issuers, _keeper) = kept(&server);
    let seen = token(&old, "ann");
    assert!(verify(&issuers, &seen).await.is_ok());
    for set in [jwks([&new]), r#"{"keys":[]}"#.to_owned()] {
        server.now_answers(Answer::of(set));
        sleep(Duration::from_secs(601)).await;
        let refused = verify(&issuers, &token(&old, "bob")).await;
        assert_eq!(refused.err(), Some(Refusal::Key));
    }
    // Nor for a token that was verified before: five minutes after that it is verified again.
    let audiences = [US.to_owned()];
    let expected = Expected {
        audiences: &audiences,
    };
    for (second, refusal) in [(299, None), (300, Some(Refusal::Key))] {
        let judged = issuers.verify(&seen, &expected, at(NOW + second)).await;
        assert_eq!(judged.err(), refusal, "{second}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_says_how_often_it_is_asked() {
    for (cache_control, seconds) in [
        (None, 600),
        (Some("no-cache"), 600),
        (Some("max-age=x"), 600),
        (Some("public, max-age=900, must-revalidate"), 900),
        (Some("Max-Age=\"900\""), 900),
        (Some("max-age=0"), 60),
        // Half of what the file says they are believed for.
        (Some("max-age=999999"), 1800),
    ] {
        let server = Server::new(Answer {
            cache_control,
            ..Answer::of(jwks([&Signer::p256("k")]))
        });
        let (_issuers, keeper) = kept(&server);
        sleep(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
        assert_eq!(server.asked(), 1, "{cache_control:?}");
        sleep(Duration::from_millis(2)).await;
        assert_eq!(server.asked(), 2, "{cache_control:?}");
        keeper.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_configuration_takes_over_what_the_old_one_knew() {
    let signer = Signer::p256("k");
    let server = Server::new(Answer::of(jwks([&signer])));
    let (old, old_keeper) = kept(&server);
    assert!(verify(&old, &token(&signer, "ann")).await.is_ok());

    server.now_answers(Answer::status(0));
    let outside: Arc<dyn Outside> = Arc::clone(&server) as _;
    let text = format!("- {{ issuer: {AS}, jwks: https://as/keys, stale: 1h, leeway: 10s }}");
    let disk = crate::world::Disk(String::new());
    let entries = crate::world::read(&text, &disk, policy::authn::Issuer::check);
    let new = Issuers::new(entries, &outside, Some(&old));
    let keeper = tokio::spawn(Arc::clone(new.key_sets().next().unwrap()).keep());
    assert!(verify(&new, &token(&signer, "bob")).await.is_ok());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(server.asked(), 1);

    // While both run one fetches; when the old one ends the new one does.
    old_keeper.abort();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(server.asked(), 2);
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_is_cut_off_is_one_that_failed() {
    let signer = Signer::p256("k");
    let server = Server::new(Answer {
        after: Duration::from_secs(5),
        ..Answer::of(jwks([&signer]))
    });
    let (issuers, keeper) = kept(&server);
    sleep(Duration::from_secs(1)).await;
    keeper.abort();
    let begin = Instant::now();
    let refused = verify(&issuers, &token(&signer, "ann")).await;
    assert_eq!(refused.err(), Some(Refusal::Unavailable));
    assert_eq!(begin.elapsed(), Duration::ZERO);
}
