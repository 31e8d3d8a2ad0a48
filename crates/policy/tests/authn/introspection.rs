//! Tokens that their issuer is asked about.

use std::sync::Arc;
use std::time::Duration;

use policy::Identity;
use policy::authn::{Expected, Introspection, Introspector, Refusal};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::world::{AS, Answer, Disk, NOW, Server, US, at, check, claims, read};

fn introspector(server: &Arc<Server>, more: &str) -> Arc<Introspector> {
    let text = format!("- {{ url: https://as/introspect, client_id: 'us:1', client_secret: 'p w', {more} }}");
    let entries = read(&text, &Disk(String::new()), Introspection::check);
    let entry = entries.into_iter().next().unwrap();
    Arc::new(Introspector::new(entry, Arc::clone(server) as _))
}

fn active(changes: Value) -> Answer {
    let mut answer = claims(changes);
    if answer.get("active").is_none() {
        answer["active"] = json!(true);
    }
    Answer::of(answer.to_string())
}

async fn verify_at(introspector: &Introspector, token: &str, now: u64) -> Result<Arc<Identity>, Refusal> {
    let audiences = [US.to_owned()];
    let expected = Expected {
        audiences: &audiences,
    };
    introspector.verify(token, &expected, at(now)).await
}

async fn verify(introspector: &Introspector, token: &str) -> Result<Arc<Identity>, Refusal> {
    verify_at(introspector, token, NOW).await
}

#[tokio::test]
async fn the_issuer_is_asked_as_the_rfc_says() {
    let server = Server::new(active(json!({ "scope": "a b", "username": "Ann" })));
    let introspector = introspector(&server, "name: as, claims: { name: username }");
    let ann = verify(&introspector, "2YotnF/ZF+E=").await.unwrap();
    assert_eq!(
        (&*ann.source, &*ann.subject, ann.name.as_deref()),
        ("as", "ann", Some("Ann"))
    );
    assert_eq!(ann.scopes, Some(vec!["a".to_owned(), "b".to_owned()]));

    let requests = server.requests.lock();
    let request = &requests[0];
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "https://as/introspect");
    assert_eq!(
        request.headers()["content-type"],
        "application/x-www-form-urlencoded"
    );
    // `us%3A1:p%20w`
    assert_eq!(request.headers()["authorization"], "Basic dXMlM0ExOnAlMjB3");
    assert!(request.headers()["authorization"].is_sensitive());
    assert_eq!(
        request.body(),
        "token=2YotnF%2FZF%2BE%3D&token_type_hint=access_token"
    );
    assert!(!format!("{introspector:?}").contains("dXMl"));
}

#[tokio::test(start_paused = true)]
async fn what_the_issuer_says_is_judged() {
    for (answer, refusal) in [
        (active(json!({})), None),
        (active(json!({ "active": false })), Some(Refusal::Inactive)),
        (active(json!({ "active": "true" })), Some(Refusal::Unavailable)),
        (active(json!({ "active": 1 })), Some(Refusal::Unavailable)),
        (
            Answer::of(claims(json!({})).to_string()),
            Some(Refusal::Unavailable),
        ),
        (
            Answer::of(r#"{"active":false,"active":true}"#),
            Some(Refusal::Unavailable),
        ),
        (Answer::of("true"), Some(Refusal::Unavailable)),
        (Answer::of(""), Some(Refusal::Unavailable)),
        (
            active(json!({ "x": "x".repeat(16 << 10) })),
            Some(Refusal::Unavailable),
        ),
        (Answer::status(0), Some(Refusal::Unavailable)),
        (Answer::status(401), Some(Refusal::Unavailable)),
        (
            Answer {
                status: 302,
                ..active(json!({}))
            },
            Some(Refusal::Unavailable),
        ),
        (
            Answer {
                after: Duration::from_secs(60),
                ..active(json!({}))
            },
            Some(Refusal::Unavailable),
        ),
        (active(json!({ "iss": null })), Some(Refusal::Issuer)),
        (active(json!({ "iss": "https://other" })), Some(Refusal::Issuer)),
        (active(json!({ "aud": null })), Some(Refusal::Audience)),
        (
            active(json!({ "aud": "https://us/other" })),
            Some(Refusal::Audience),
        ),
        (active(json!({ "aud": ["x", US] })), None),
        (active(json!({ "exp": null })), Some(Refusal::Claim)),
        (active(json!({ "exp": "soon" })), Some(Refusal::Claim)),
        (active(json!({ "exp": NOW - 30 })), Some(Refusal::Expired)),
        (active(json!({ "nbf": NOW + 31 })), Some(Refusal::Early)),
        (active(json!({ "sub": null })), Some(Refusal::Subject)),
    ] {
        let server = Server::new(answer.clone());
        let introspector = introspector(&server, &format!("issuer: {AS}"));
        let begin = Instant::now();
        assert_eq!(verify(&introspector, "t").await.err(), refusal, "{}", answer.body);
        assert!(begin.elapsed() <= Duration::from_secs(5));
    }
    let server = Server::new(active(json!({})));
    let introspector = introspector(&server, "");
    for (token, refusal) in [
        ("", Refusal::Malformed),
        ("a b", Refusal::Malformed),
        ("ä", Refusal::Malformed),
        (&*"x".repeat((16 << 10) + 1), Refusal::TooLong),
    ] {
        assert_eq!(verify(&introspector, token).await.err(), Some(refusal));
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_with_one_token_cost_one_question() {
    for (answer, refusal) in [
        (active(json!({})), None),
        (active(json!({ "active": false })), Some(Refusal::Inactive)),
        (Answer::status(500), Some(Refusal::Unavailable)),
    ] {
        let server = Server::new(Answer {
            after: Duration::from_secs(1),
            ..answer
        });
        let introspector = introspector(&server, "");
        let callers: Vec<_> = (0..1_000)
            .map(|_| {
                let introspector = Arc::clone(&introspector);
                tokio::spawn(async move { verify(&introspector, "t").await.err() })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), refusal);
        }
        assert_eq!(server.asked(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_asking_is_taken_over_from() {
    let server = Server::new(Answer {
        after: Duration::from_secs(2),
        ..active(json!({}))
    });
    let introspector = introspector(&server, "");
    let ask = || {
        let introspector = Arc::clone(&introspector);
        tokio::spawn(async move { verify(&introspector, "t").await.is_ok() })
    };
    let (first, second) = (ask(), ask());
    sleep(Duration::from_secs(1)).await;
    first.abort();
    assert!(second.await.unwrap());
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_waiting_leaves_the_others_their_question() {
    let server = Server::new(Answer {
        after: Duration::from_secs(2),
        ..active(json!({}))
    });
    let introspector = introspector(&server, "");
    let ask = || {
        let introspector = Arc::clone(&introspector);
        tokio::spawn(async move { verify(&introspector, "t").await.is_ok() })
    };
    let (first, second) = (ask(), ask());
    sleep(Duration::from_secs(1)).await;
    second.abort();
    _ = second.await;
    assert!(ask().await.unwrap() && first.await.unwrap());
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn an_answer_counts_for_its_time_and_at_each_place() {
    let server = Server::new(active(json!({})));
    let introspector = introspector(&server, "cache: 60s");
    assert!(verify(&introspector, "t").await.is_ok());
    assert!(verify_at(&introspector, "t", NOW + 59).await.is_ok());
    assert_eq!(server.asked(), 1);
    let elsewhere = ["https://us/other".to_owned()];
    let expected = Expected {
        audiences: &elsewhere,
    };
    let refused = introspector.verify("t", &expected, at(NOW)).await;
    assert_eq!((refused.err(), server.asked()), (Some(Refusal::Audience), 1));
    // The answer may be known, the token is over.
    server.now_answers(active(json!({ "exp": NOW + 70 })));
    assert!(verify_at(&introspector, "t", NOW + 60).await.is_ok());
    assert_eq!(
        verify_at(&introspector, "t", NOW + 100).await.err(),
        Some(Refusal::Expired)
    );
    assert_eq!(server.asked(), 2);
    // One that was taken back is known as such.
    server.now_answers(active(json!({ "active": false })));
    for second in [200, 201, 259] {
        assert_eq!(
            verify_at(&introspector, "t", NOW + second).await.err(),
            Some(Refusal::Inactive)
        );
    }
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn a_failure_is_not_remembered() {
    let server = Server::new(Answer::status(503));
    let introspector = introspector(&server, "");
    assert_eq!(verify(&introspector, "t").await.err(), Some(Refusal::Unavailable));
    server.now_answers(active(json!({})));
    assert!(verify(&introspector, "t").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn made_up_tokens_wait_in_a_bounded_line() {
    let server = Server::new(Answer {
        after: Duration::from_secs(3600),
        ..active(json!({}))
    });
    let introspector = introspector(&server, "");
    let callers: Vec<_> = (0..2_000)
        .map(|number| {
            let introspector = Arc::clone(&introspector);
            tokio::spawn(async move {
                let begin = Instant::now();
                let refusal = verify(&introspector, &format!("t{number}")).await.err();
                (refusal, begin.elapsed())
            })
        })
        .collect();
    let mut at_once = 0;
    for caller in callers {
        let (refusal, after) = caller.await.unwrap();
        assert_eq!(refusal, Some(Refusal::Unavailable));
        assert!(after <= Duration::from_secs(5));
        at_once += u32::from(after.is_zero());
    }
    assert_eq!((at_once, server.asked()), (1_000, 32));
    // Nobody is left in it.
    server.now_answers(active(json!({})));
    assert!(verify(&introspector, "t0").await.is_ok());
}

#[test]
fn mistakes_are_told_in_the_words_of_the_file() {
    for (entry, told) in [
        ("{ client_id: a, client_secret: hunter2 }", "`url` is missing"),
        (
            "{ url: 'https://as', client_secret: hunter2 }",
            "`client_id` is missing",
        ),
        (
            "{ url: 'https://as', client_id: a }",
            "`client_secret` is missing",
        ),
        (
            "{ url: 'http://as', client_id: a, client_secret: hunter2 }",
            "is not encrypted",
        ),
        (
            "{ url: 'https://as', client_id: a, client_secret: hunter2, cache: 10m }",
            "`5m` or less",
        ),
        (
            "{ url: 'https://as', client_id: a, client_secret: hunter2, algorithms: [] }",
            "not a key we know",
        ),
    ] {
        let (_, problems) = check(&format!("- {entry}"), &Disk(String::new()), Introspection::check);
        assert!(problems.contains(told), "{entry}: {problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
    for key in ["issuer", "client_id", "client_secret"] {
        let entry = "- { url: 'https://as', issuer: a, client_id: a, client_secret: a }";
        let entry = entry.replace(&format!("{key}: a"), &format!("{key}: '${{GONE:-}}'"));
        let (_, problems) = check(&entry, &Disk(String::new()), Introspection::check);
        assert!(
            problems.contains(&format!("{key}: nothing is written here")),
            "{problems}"
        );
    }
    let one = "- { url: 'https://as', client_id: a, client_secret: b }\n";
    let (_, problems) = check(&one.repeat(2), &Disk(String::new()), Introspection::check);
    assert!(problems.contains("two entries have this name"), "{problems}");
}
