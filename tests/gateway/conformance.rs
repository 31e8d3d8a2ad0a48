//! The official conformance suite: what a server passes directly it passes through the gateway, and what the gateway
//! sends upstream passes as a client's.
mod across;

use harness::{
    Check, Gateway, MODERN, Peer, Running, Switchboard, Tap, Verdict, Verdicts, Wrong, address_of,
    wrong_between,
};

/// Checks that are asked of the server directly and not through the gateway, with the reason. Any other is a failure.
const NOT_ASKED: [(&str, &str, &str); 4] = [
    ("server-sse-polling", "server-sse-priming-event", ANSWERS_JSON),
    ("server-sse-polling", "server-sse-retry-field", ANSWERS_JSON),
    ("server-sse-polling", "server-sse-disconnect-resume", RESUMES),
    (
        "server-sse-multiple-streams",
        "server-sse-streams-functional",
        ANSWERS_JSON,
    ),
];
const ANSWERS_JSON: &str = "a call that streams nothing before its result is answered as JSON";
const RESUMES: &str =
    "the gateway itself resumes the closed stream, and the client gets its answer without asking again";

/// Compares the two runs check by check; prints a table; fails with what is worse through the gateway.
fn compare(revision: &str, direct: &Verdicts, through: &Verdicts) {
    println!("\n{revision:46} directly  through");
    for scenario in direct.scenarios() {
        let of = |run: &Verdicts| {
            let failed = run.count(scenario, Verdict::Failed) + run.count(scenario, Verdict::Warned);
            format!(
                "{:>3} ✓ {}",
                run.count(scenario, Verdict::Passed),
                if failed > 0 {
                    format!("{failed} ✗")
                } else {
                    String::new()
                }
            )
        };
        println!("  {scenario:44} {:9} {}", of(direct), of(through));
    }
    let mut worse = Vec::new();
    for (check, before, _) in direct.iter() {
        let now = through.on(check);
        if now > before {
            let reason =
                |(scenario, id, _): &&(&str, &str, &str)| *scenario == check.scenario && *id == check.id;
            match NOT_ASKED.iter().find(reason) {
                Some((_, _, why)) if now == Verdict::NotAsked => println!("  not asked: {check}: {why}"),
                _ => worse.push((check, before, now)),
            }
        }
    }
    // What is asked through the gateway alone is answered by the gateway alone.
    for (check, now, _) in through.iter() {
        if now > Verdict::NotAsked && direct.on(check) == Verdict::NotAsked {
            worse.push((check, Verdict::NotAsked, now));
        }
    }
    worse.sort();
    worse.dedup();
    judge(worse.into_iter().map(|(check, before, now)| {
        (
            check,
            format!(
                "{before:?} directly, {now:?} through the gateway: {:?}",
                through.words(check)
            ),
        )
    }));
}

/// Fails the test for each of these.
fn judge<'a>(missed: impl Iterator<Item = (&'a Check, String)>) {
    let failed: Vec<String> = missed.map(|(check, words)| format!("{check}: {words}")).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A gateway before a server, with an ear on either side of it.
struct Lines {
    gateway: Running,
    front: Tap,
    back: Tap,
}

impl Lines {
    async fn through_a_gateway(server: &Peer) -> Self {
        let back = Tap::before(address_of(server.url())).await;
        let gateway = Gateway::new()
            .upstream("peer", format!("{{ url: \"{}\" }}", back.url(server.url())))
            .demo()
            .start()
            .await;
        let front = Tap::before(gateway.address()).await;
        Self { gateway, front, back }
    }

    fn url(&self) -> String {
        self.front.url(&self.gateway.url("/mcp/peer"))
    }

    /// Fails the test for what the gateway itself said wrong, unless there is a reason.
    fn judge(&self, reason: fn(&Wrong) -> Option<&'static str>) {
        hold_against_schema(&self.front, &self.back, reason);
    }
}

fn hold_against_schema(front: &Tap, back: &Tap, reason: fn(&Wrong) -> Option<&'static str>) {
    for tap in [front, back] {
        let judged: usize = tap.judged().values().sum();
        assert!(judged > 0, "nothing was judged");
    }
    let mut wrong = wrong_between(front, back);
    wrong.retain(|wrong| reason(wrong).is_none());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn server(revision: &str) {
    let direct = Verdicts::of_server(Peer::conformance().await.url(), revision).await;
    let server = Peer::conformance().await;
    let lines = Lines::through_a_gateway(&server).await;

    let through = Verdicts::of_server(&lines.url(), revision).await;

    lines.judge(|_| None);
    compare(revision, &direct, &through);
    across::keep(
        revision,
        if revision == MODERN {
            MODERN
        } else {
            "an earlier revision"
        },
        &direct,
        &through,
        &[],
    );
    // The suite asks only what a server says it can do: a server that is no longer understood would pass too.
    assert_eq!(direct.scenarios(), through.scenarios());
    for (check, verdict, words) in direct.iter() {
        assert!(verdict <= Verdict::NotAsked, "{check} directly: {words:?}");
    }
}

#[tokio::test]
async fn a_server_of_2025_06_18_passes_through_the_gateway_what_it_passes_directly() {
    server("2025-06-18").await;
}

#[tokio::test]
async fn a_server_of_2025_11_25_passes_through_the_gateway_what_it_passes_directly() {
    server("2025-11-25").await;
}

#[tokio::test]
async fn a_server_of_2026_07_28_passes_through_the_gateway_what_it_passes_directly() {
    server(MODERN).await;
}

/// What is asked of a client, save what is about its user's tokens: those never go to an upstream.
async fn client(revision: &str, scenarios: &[&str]) {
    for scenario in scenarios {
        let board = Switchboard::open().await;
        let verdicts = Verdicts::of_client(scenario, revision, &board).await;
        let taps = board.taps();
        let [back, front] = taps.as_slice() else {
            panic!("{scenario}: {} lines were tapped, not two", taps.len());
        };
        hold_against_schema(front, back, |_| None);

        let passed = verdicts.count(scenario, Verdict::Passed);
        println!("  {revision} {scenario:40} {passed:>3} ✓");
        assert!(passed > 0, "{scenario} asked nothing: {verdicts:#?}");
        let missed = verdicts
            .iter()
            .filter(|(_, verdict, _)| *verdict > Verdict::NotAsked);
        judge(missed.map(|(check, verdict, words)| (check, format!("{verdict:?}: {words:?}"))));
    }
}

#[tokio::test]
async fn what_the_gateway_sends_to_a_server_of_2025_06_18_is_right() {
    client("2025-06-18", &["initialize", "tools_call"]).await;
}

#[tokio::test]
async fn what_the_gateway_sends_to_a_server_of_2025_11_25_is_right() {
    let scenarios = [
        "initialize",
        "tools_call",
        "elicitation-sep1034-client-defaults",
        "sse-retry",
        "json-schema-2020-12-preservation",
    ];
    client("2025-11-25", &scenarios).await;
}

#[tokio::test]
async fn what_the_gateway_sends_to_a_server_of_2026_07_28_is_right() {
    let scenarios = [
        "tools_call",
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ];
    client(MODERN, &scenarios).await;
}
