//! Tokens at work: once for all, ahead of time, and not at any price.

use std::sync::Arc;
use std::time::Duration;

use policy::fetched::{Unfetched, Whose};
use policy::{Identity, Principal};
use serde_json::json;
use tokio::task::JoinSet;

use crate::world::{Answer, NOW, Network, TOKEN, at, fetched, grant, grants, principal, token};

const SECRET: &str = "client_credentials: { client_id: us, client_secret: '${env:SECRET}', issuer: https://as.example/tenant }";
const KEY: &str = "client_credentials: { client_id: us, private_key: ed25519.pem }";
const EXCHANGE: &str =
    "token_exchange: { client_id: us, client_secret: x, token_url: https://as.example/token }";

async fn text(fetched: &policy::fetched::Fetched, second: u64) -> String {
    token(fetched, second).await.unwrap().expose().to_owned()
}

/// Lets what runs beside us run.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_cost_one_question() {
    let network = Network::described();
    network.answer(TOKEN, Answer::of(grant("t", json!({}))).after(2));
    let fetched = Arc::new(fetched(SECRET, &network));

    let mut callers = JoinSet::new();
    for _ in 0..1000 {
        let fetched = Arc::clone(&fetched);
        callers.spawn(async move { text(&fetched, 0).await });
    }
    let had = callers.join_all().await;

    assert_eq!(had, vec!["t"; 1000]);
    assert_eq!(network.sent(TOKEN).len(), 1);
    assert_eq!(network.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_ends_nothing_that_others_wait_for() {
    let network = Network::described();
    network.answer(TOKEN, Answer::of(grant("t", json!({}))).after(2));
    let fetched = Arc::new(fetched(SECRET, &network));

    let leaves = tokio::time::timeout(Duration::from_secs(1), token(&fetched, 0)).await;
    assert!(leaves.is_err());

    assert_eq!(text(&fetched, 1).await, "t");
    assert_eq!(network.sent(TOKEN).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_ahead_of_its_end_and_nobody_waits() {
    let network = Network::described();
    grants(&network);
    let fetched = fetched(SECRET, &network);

    assert_eq!(text(&fetched, 0).await, "t1");
    assert_eq!(text(&fetched, 539).await, "t1");
    assert_eq!(network.sent(TOKEN).len(), 1);
    // A minute before its end.
    assert_eq!(text(&fetched, 540).await, "t1");
    settle().await;
    assert_eq!(network.sent(TOKEN).len(), 2);
    assert_eq!(text(&fetched, 541).await, "t2");
}

#[tokio::test(start_paused = true)]
async fn a_token_at_its_end_is_used_no_longer() {
    let network = Network::described();
    grants(&network);
    let fetched = fetched(SECRET, &network);

    assert_eq!(text(&fetched, 0).await, "t1");
    assert_eq!(text(&fetched, 590).await, "t2");
    // Nor is one from the future.
    assert_eq!(text(&fetched, 0).await, "t3");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_holds_for_a_moment_is_used_once() {
    let network = Network::described();
    network.script(TOKEN, |sent| {
        Answer::of(grant(&format!("t{}", sent.before), json!({ "expires_in": 0 })))
    });
    let fetched = fetched(SECRET, &network);
    assert_eq!(text(&fetched, 0).await, "t0");
    assert_eq!(text(&fetched, 0).await, "t1");
}

#[tokio::test(start_paused = true)]
async fn while_it_cannot_be_renewed_the_old_one_is_used() {
    let network = Network::described();
    grants(&network);
    let fetched = fetched(SECRET, &network);
    assert_eq!(text(&fetched, 0).await, "t1");
    network.answer(TOKEN, Answer::with(503, ""));

    for second in 540..585 {
        assert_eq!(text(&fetched, second).await, "t1");
        settle().await;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    // After 5, 10 and 20 seconds.
    assert_eq!(network.sent(TOKEN).len(), 1 + 4);
    grants(&network);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(text(&fetched, 586).await, "t1");
    settle().await;
    assert_eq!(text(&fetched, 587).await, "t6");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_not_stormed() {
    let network = Network::new();
    network.answer(TOKEN, Answer::with(503, ""));
    let fetched = Arc::new(fetched(EXCHANGE, &network));

    for second in 0..300 {
        for caller in 0..10 {
            let principal = principal(&format!("u{caller}"));
            let whose = Whose {
                principal: &principal,
                token: Some("inbound"),
            };
            let why = fetched.token(&whose, at(NOW + second)).await.unwrap_err();
            assert!(matches!(why, Unfetched::Unreachable { .. }), "{why}");
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }

    // At 0, 5, 15, 35, 75, 135, 195 and 255 seconds, whoever it is for.
    assert_eq!(network.sent(TOKEN).len(), 8);
}

#[tokio::test(start_paused = true)]
async fn when_a_server_may_be_up_again_one_asks() {
    let network = Network::new();
    network.answer(TOKEN, Answer::with(503, ""));
    let fetched = Arc::new(fetched(EXCHANGE, &network));
    let ask = |caller: usize| {
        let fetched = Arc::clone(&fetched);
        async move {
            let principal = principal(&format!("u{caller}"));
            let whose = Whose {
                principal: &principal,
                token: Some("inbound"),
            };
            fetched.token(&whose, at(NOW)).await
        }
    };
    assert!(ask(0).await.is_err());
    tokio::time::advance(Duration::from_secs(6)).await;
    network.answer(TOKEN, Answer::with(503, "").after(3));

    let mut callers = JoinSet::new();
    for caller in 0..100 {
        callers.spawn(ask(caller));
    }
    assert!(callers.join_all().await.iter().all(Result::is_err));

    assert_eq!(network.sent(TOKEN).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_one_callers_token_breaks_is_broken_for_nobody_else() {
    let network = Network::new();
    network.script(TOKEN, |sent| match sent.form("subject_token").as_deref() {
        Some("poison") => Answer::with(500, "stack trace"),
        _ => Answer::of(grant("good", json!({}))),
    });
    let fetched = fetched(EXCHANGE, &network);
    let (eve, bob) = (principal("eve"), principal("bob"));
    let whose = Whose {
        principal: &eve,
        token: Some("poison"),
    };
    assert!(fetched.token(&whose, at(NOW)).await.is_err());
    let whose = Whose {
        principal: &bob,
        token: Some("fine"),
    };
    assert_eq!(fetched.token(&whose, at(NOW)).await.unwrap().expose(), "good");
}

#[tokio::test(start_paused = true)]
async fn what_is_found_by_a_challenge_alone_is_asked_for_at_once() {
    let elsewhere = "https://mcp.example/elsewhere";
    let network = Network::new();
    network.put(elsewhere, crate::world::prm(json!({})));
    network.put(crate::world::METADATA, crate::world::metadata(json!({})));
    grants(&network);
    let fetched = fetched(KEY, &network);
    let why = token(&fetched, 0).await.unwrap_err();
    assert!(matches!(why, Unfetched::Undiscovered { .. }), "{why}");

    let line = format!("Bearer resource_metadata=\"{elsewhere}\"");
    fetched.challenged([line.as_bytes()]);

    assert_eq!(text(&fetched, 0).await, "t1");
    // Another place is gone to in its time: an upstream cannot send us about.
    let asked = network.asked().len();
    let us = Whose {
        principal: &Principal::Anonymous,
        token: None,
    };
    let held = token(&fetched, 1).await.unwrap();
    let line = b"Bearer resource_metadata=\"https://victim.example/\"";
    fetched
        .reject(&us, &held, [&line[..]], at(NOW + 1))
        .await
        .unwrap();
    assert_eq!(network.asked().len(), asked + 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_challenge_says_first_counts_more_than_what_was_found_without() {
    let network = Network::described();
    let elsewhere = "https://mcp.example/elsewhere";
    network.put(
        elsewhere,
        crate::world::prm(json!({ "scopes_supported": ["other"] })),
    );
    grants(&network);
    let fetched = fetched(KEY, &network);
    let held = token(&fetched, 0).await.unwrap();

    let us = Whose {
        principal: &Principal::Anonymous,
        token: None,
    };
    let line = format!("Bearer resource_metadata=\"{elsewhere}\"");
    fetched
        .reject(&us, &held, [line.as_bytes()], at(NOW))
        .await
        .unwrap();

    let last = network.sent(TOKEN).pop().unwrap();
    assert_eq!(last.form("scope").as_deref(), Some("other"));
}

#[tokio::test(start_paused = true)]
async fn one_callers_token_that_is_refused_is_nobody_elses_matter() {
    let network = Network::new();
    network.script(TOKEN, |sent| match sent.form("subject_token").as_deref() {
        Some("bad") => Answer::with(400, json!({ "error": "invalid_grant" })),
        _ => Answer::of(grant("good", json!({}))),
    });
    let fetched = fetched(EXCHANGE, &network);
    let (ann, bob) = (principal("ann"), principal("bob"));
    let ask = |principal, token| {
        let whose = Whose {
            principal,
            token: Some(token),
        };
        let fetched = &fetched;
        async move { fetched.token(&whose, at(NOW)).await }
    };

    for _ in 0..3 {
        let why = ask(&ann, "bad").await.unwrap_err();
        assert!(why.to_string().ends_with("refuses: invalid_grant"), "{why}");
    }
    assert_eq!(network.sent(TOKEN).len(), 1);
    assert_eq!(ask(&bob, "fine").await.unwrap().expose(), "good");
    assert_eq!(ask(&ann, "fine").await.unwrap().expose(), "good");
    // The same token in another's hands is not theirs.
    assert!(ask(&bob, "bad").await.is_err());
    assert_eq!(network.sent(TOKEN).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_was_exchanged_is_good_no_longer_than_its_caller() {
    let network = Network::new();
    grants(&network);
    let fetched = fetched(EXCHANGE, &network);
    let mut identity = Identity::new(&"as".into(), "https://idp", "ann");
    identity.expires = Some(at(NOW + 100));
    let ann = Principal::Known(Arc::new(identity));
    let whose = Whose {
        principal: &ann,
        token: Some("inbound"),
    };

    for (second, had) in [(0, "t1"), (89, "t1"), (100, "t2")] {
        assert_eq!(
            fetched.token(&whose, at(NOW + second)).await.unwrap().expose(),
            had
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_fetched_anew_once() {
    let network = Network::described();
    grants(&network);
    let fetched = Arc::new(fetched(SECRET, &network));
    let us = Whose {
        principal: &Principal::Anonymous,
        token: None,
    };
    let reject = |token: Arc<config::Secret>, second| {
        let fetched = Arc::clone(&fetched);
        async move {
            fetched
                .reject(&us, &token, [&b"Bearer"[..]], at(NOW + second))
                .await
        }
    };

    let first = token(&fetched, 0).await.unwrap();
    let second = reject(Arc::clone(&first), 1).await.unwrap();
    assert_eq!(second.expose(), "t2");
    // Whoever was refused with the first one has the second.
    assert_eq!(reject(first, 1).await.unwrap().expose(), "t2");
    assert_eq!(network.sent(TOKEN).len(), 2);

    assert_eq!(reject(second, 2).await, Err(Unfetched::Rejected));
    assert_eq!(token(&fetched, 2).await, Err(Unfetched::Rejected));
    assert_eq!(network.sent(TOKEN).len(), 2);
    tokio::time::advance(Duration::from_secs(120)).await;
    let third = token(&fetched, 120).await.unwrap();
    assert_eq!(third.expose(), "t3");
    assert_eq!(reject(third, 121).await.unwrap().expose(), "t4");
}

#[tokio::test(start_paused = true)]
async fn what_a_refusal_says_is_asked_for() {
    let network = Network::described();
    grants(&network);
    let fetched = fetched(KEY, &network);
    let us = Whose {
        principal: &Principal::Anonymous,
        token: None,
    };
    let first = token(&fetched, 0).await.unwrap();

    let line = b"Bearer scope=\"read write\"";
    fetched.reject(&us, &first, [&line[..]], at(NOW)).await.unwrap();

    let scopes: Vec<_> = network
        .sent(TOKEN)
        .iter()
        .map(|sent| sent.form("scope"))
        .collect();
    assert_eq!(scopes, [Some("read".to_owned()), Some("read write".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn more_is_asked_for_three_times() {
    let network = Network::described();
    grants(&network);
    let fetched = fetched(KEY, &network);
    let us = Whose {
        principal: &Principal::Anonymous,
        token: None,
    };
    let mut held = token(&fetched, 0).await.unwrap();
    for more in ["a", "b", "c"] {
        let line = format!("Bearer error=\"insufficient_scope\", scope=\"{more}\"");
        held = fetched
            .step_up(&us, &held, [line.as_bytes()], at(NOW))
            .await
            .unwrap();
        // What was asked for and not given is not asked for again.
        let again = fetched.step_up(&us, &held, [line.as_bytes()], at(NOW)).await;
        assert_eq!(again, Err(Unfetched::Rejected));
    }
    let line = b"Bearer error=\"insufficient_scope\", scope=\"d\"";
    let fourth = fetched.step_up(&us, &held, [&line[..]], at(NOW)).await;
    assert_eq!(fourth, Err(Unfetched::Rejected));
    let last = network.sent(TOKEN).pop().unwrap();
    assert_eq!(last.form("scope").as_deref(), Some("read a b c"));
    assert_eq!(network.sent(TOKEN).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_more_serves_all_who_need_it() {
    let network = Network::new();
    grants(&network);
    let fetched = fetched(EXCHANGE, &network);
    let (ann, bob) = (principal("ann"), principal("bob"));
    let [ann, bob] = [&ann, &bob].map(|principal| Whose {
        principal,
        token: Some("inbound"),
    });
    let of_ann = fetched.token(&ann, at(NOW)).await.unwrap();
    let of_bob = fetched.token(&bob, at(NOW)).await.unwrap();

    let line = b"Bearer error=\"insufficient_scope\", scope=\"more\"";
    let step_up = async |whose, token| fetched.step_up(whose, token, [&line[..]], at(NOW)).await;
    let more = step_up(&ann, &of_ann).await.unwrap();
    // Two of their calls were refused at a time.
    assert_eq!(step_up(&ann, &of_ann).await.unwrap(), more);
    let more_of_bob = step_up(&bob, &of_bob).await.unwrap();
    assert_eq!(step_up(&bob, &more_of_bob).await, Err(Unfetched::Rejected));

    let scopes: Vec<_> = network
        .sent(TOKEN)
        .iter()
        .map(|sent| sent.form("scope"))
        .collect();
    let more = Some("more".to_owned());
    assert_eq!(scopes, [None, None, more.clone(), more]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_ten_seconds() {
    let network = Network::described();
    network.answer(TOKEN, Answer::of(grant("t", json!({}))).after(3600));
    let began = tokio::time::Instant::now();
    let why = token(&fetched(SECRET, &network), 0).await;
    assert_eq!(why, Err(Unfetched::Late));
    assert_eq!(began.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn fetches_end_with_whom_they_are_for() {
    let network = Network::described();
    network.answer(TOKEN, Answer::of(grant("t", json!({}))).after(5));
    let fetched = fetched(SECRET, &network);
    let left = tokio::time::timeout(Duration::from_secs(1), token(&fetched, 0)).await;
    assert!(left.is_err());
    let before = Arc::strong_count(&network);
    drop(fetched);
    settle().await;
    assert_eq!((before, Arc::strong_count(&network)), (2, 1));
}

#[tokio::test]
async fn passthrough_is_the_callers_own() {
    let network = Network::new();
    let fetched = fetched("passthrough: true", &network);
    let ann = principal("ann");
    for (token, had) in [(Some("inbound"), true), (None, false), (Some("a\r\nb"), false)] {
        let whose = Whose {
            principal: &ann,
            token,
        };
        assert_eq!(fetched.token(&whose, at(NOW)).await.is_ok(), had);
    }
}
