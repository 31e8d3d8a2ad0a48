//! The suite of one era at a server of the other: the verdict that a server of its own era gets directly, wherever both eras
//! have what is asked.
use std::fmt::Write;

use harness::{Check, MODERN, Peer, Verdict, Verdicts, pages};

use super::Lines;

/// What a scenario asks that the server's era does not have, or says in another way: the scenario, the id of its check, and
/// the reason. Any other check has the same verdict, and each of these has not.
type Exceptions = [(&'static str, &'static str, &'static str)];

const EARLIER_AT_2026_07_28: &Exceptions = &[
    ("server-sse-polling", "server-sse-priming-event", NO_IDS),
    ("server-sse-polling", "server-sse-retry-field", NO_IDS),
    ("server-sse-polling", "server-sse-disconnect-resume", NO_IDS),
    (
        "server-sse-multiple-streams",
        "server-sse-streams-functional",
        ANSWERS_JSON,
    ),
];
const AT_EARLIER: &Exceptions = &[
    (
        "input-required-result-ignore-extra-params",
        "sep-2322-ignore-unexpected-params",
        OWN_KEYS,
    ),
    (BASIC, "sep-2322-elicitation-incomplete", OWN_KEYS),
    (BASIC, "sep-2322-elicitation-complete", OWN_KEYS),
    (
        "server-stateless",
        "sep-2575-missing-capability-http-400",
        NO_SUCH_ERROR,
    ),
    (
        "server-stateless",
        "sep-2575-server-rejects-undeclared-capability",
        NO_SUCH_ERROR,
    ),
];

const BASIC: &str = "input-required-result-basic-elicitation";
const OWN_KEYS: &str = "an earlier server's question has no key, and the suite wants the one that it knows";
const NO_SUCH_ERROR: &str = "an earlier server has no error that names a missing capability";

const NO_IDS: &str = "streams of 2026-07-28 have no ids and are not resumed";
const ANSWERS_JSON: &str = "a call that streams nothing before its result is answered as JSON";

/// Keeps one section of the page: how many checks passed, and those whose verdict differs.
pub(super) fn keep(
    suite: &str,
    server: &str,
    direct: &Verdicts,
    through: &Verdicts,
    exceptions: &Exceptions,
) {
    let passed = |run: &Verdicts| {
        run.iter()
            .filter(|(_, verdict, _)| *verdict == Verdict::Passed)
            .count()
    };
    let mut text = format!(
        "{} scenarios; {} checks passed directly, {} through the gateway.\n",
        direct.scenarios().len(),
        passed(direct),
        passed(through),
    );
    let differing: Vec<(&Check, Verdict)> = direct
        .iter()
        .map(|(check, before, _)| (check, before, through.on(check)))
        .filter(|(_, before, now)| before != now)
        .map(|(check, _, now)| (check, now))
        .collect();
    if !differing.is_empty() {
        text.push_str("\n| Scenario | Check | Through the gateway | Why |\n|---|---|---|---|\n");
    }
    for (check, now) in differing {
        let said = match now {
            Verdict::Passed => "passed",
            Verdict::NotAsked => "not asked",
            Verdict::Warned => "warned",
            Verdict::Failed => "failed",
        };
        let why = reason(super::NOT_ASKED.as_slice(), check).or_else(|| reason(exceptions, check));
        writeln!(
            text,
            "| {} | {} | {said} | {} |",
            check.scenario,
            check.id,
            why.unwrap_or("**?**")
        )
        .unwrap();
    }
    pages::keep(
        "compatibility.md",
        &format!("suite of {suite}, server of {server}"),
        &text,
    );
}

fn reason(exceptions: &Exceptions, check: &Check) -> Option<&'static str> {
    let found = exceptions
        .iter()
        .find(|(scenario, id, _)| *scenario == check.scenario && *id == check.id);
    found.map(|(_, _, why)| *why)
}

/// Judges a server that does not know the suite's revision, beside one that does and stands alone.
async fn across(revision: &str, server: Peer, of: &str, exceptions: &Exceptions) {
    let direct = Verdicts::of_server(Peer::conformance().await.url(), revision).await;
    let lines = Lines::through_a_gateway(&server).await;

    let through = Verdicts::of_server(&lines.url(), revision).await;
    lines.judge(|_| None);

    let mut wrong = Vec::new();
    for (check, before, _) in direct.iter() {
        let now = through.on(check);
        match reason(exceptions, check) {
            None if now > before => wrong.push(format!(
                "{check}: {before:?} directly, {now:?} through the gateway: {:?}",
                through.words(check)
            )),
            Some(_) if now == before => wrong.push(format!("{check}: no exception any more")),
            _ => {}
        }
    }
    // What is asked through the gateway alone is answered by the gateway alone.
    for (check, now, words) in through.iter() {
        if now > Verdict::NotAsked
            && direct.on(check) == Verdict::NotAsked
            && reason(exceptions, check).is_none()
        {
            wrong.push(format!("{check}: {now:?} only through the gateway: {words:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    keep(revision, of, &direct, &through, exceptions);
}

#[tokio::test]
async fn a_suite_of_2025_06_18_judges_a_server_of_2026_07_28_as_one_of_its_own() {
    let server = Peer::conformance_modern().await;
    across("2025-06-18", server, MODERN, EARLIER_AT_2026_07_28).await;
}

#[tokio::test]
async fn a_suite_of_2025_11_25_judges_a_server_of_2026_07_28_as_one_of_its_own() {
    let server = Peer::conformance_modern().await;
    across("2025-11-25", server, MODERN, EARLIER_AT_2026_07_28).await;
}

#[tokio::test]
async fn a_suite_of_2026_07_28_judges_an_earlier_server_as_one_of_its_own() {
    let server = Peer::conformance_legacy().await;
    across(MODERN, server, "an earlier revision", AT_EARLIER).await;
}
