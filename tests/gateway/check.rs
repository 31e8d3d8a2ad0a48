//! `causeway check`: all mistakes of a file at once, each with its line and a way out; nothing is contacted.
use harness::{Exit, Gateway, Mood, Server, check};

const GOOD: &str = "upstreams:\n  demo: { command: causeway, args: [demo] }\n";

#[tokio::test]
async fn a_good_file_is_good() {
    let (exit, said) = check(GOOD).await;

    assert_eq!(exit, Exit::Code(0), "{said}");
}

#[tokio::test]
async fn doors_open_and_close_by_either_spelling() {
    for word in ["on", "off", "\"on\"", "true", "false"] {
        let (exit, said) = check(&format!(
            "{GOOD}routes:\n  - path: /a\n    doors: {{ sse: {word} }}\n"
        ))
        .await;

        assert_eq!(exit, Exit::Code(0), "{word}: {said}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let mut command = std::process::Command::new(harness::causeway());
    command.args(["check", "/nowhere/at/all.yaml"]);
    let program = harness::Program::start("causeway check", command);

    assert_eq!(program.ended().await, Exit::Code(2));
    assert!(
        program.stderr().contains("/nowhere/at/all.yaml"),
        "{}",
        program.stderr()
    );
}

#[tokio::test]
async fn each_mistake_has_its_line_and_a_way_out() {
    for (name, file, line, words) in [
        (
            "an unknown key",
            format!("{GOOD}listne: 127.0.0.1:1\n"),
            3,
            &["listne", "listen"][..],
        ),
        (
            "an unknown key below",
            "upstreams:\n  docs:\n    uri: http://a.example/\n".into(),
            3,
            &["uri", "url"],
        ),
        (
            "a key that stands twice",
            format!("{GOOD}listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n"),
            4,
            &["listen"],
        ),
        (
            "an unknown scheme",
            "upstreams:\n  docs:\n    url: htp://a.example/\n".into(),
            3,
            &["htp", "http"],
        ),
        (
            "neither url nor command",
            "upstreams:\n  docs: { timeout: 1s }\n".into(),
            2,
            &["url", "command"],
        ),
        (
            "both",
            "upstreams:\n  docs: { url: \"http://a.example/\", command: a }\n".into(),
            2,
            &["url", "command"],
        ),
        (
            "nothing kept for clients that come back",
            "resume: { events: 0 }\nupstreams:\n  docs: { command: a }\n".into(),
            1,
            &["resume.events", "out of range"],
        ),
        (
            "kept for too long",
            "upstreams:\n  docs: { command: a }\nresume:\n  for: 2h\n".into(),
            4,
            &["resume.for", "1s to 1h"],
        ),
        ("no upstreams", "listen: 127.0.0.1:1\n".into(), 0, &["upstreams"]),
        (
            "a duration without a unit",
            "upstreams:\n  docs:\n    command: a\n    timeout: 5 parsecs\n".into(),
            4,
            &["timeout"],
        ),
        (
            "an unknown revision",
            "upstreams:\n  docs:\n    command: a\n    revision: 2025-06-19\n".into(),
            4,
            &["2025-06-18"],
        ),
        (
            "a reserved name",
            "upstreams:\n  messages: { command: a }\n".into(),
            2,
            &["messages"],
        ),
        (
            "a missing variable",
            "upstreams:\n  docs:\n    command: ${NOT_THERE}\n".into(),
            3,
            &["NOT_THERE"],
        ),
        (
            "a missing file",
            "upstreams:\n  docs:\n    url: http://a.example/\n    headers:\n      X-A: ${file:/not/there}\n"
                .into(),
            5,
            &["/not/there"],
        ),
        (
            "an unknown route's server",
            format!("{GOOD}routes:\n  - path: /a\n    upstreams: [demmo]\n"),
            5,
            &["demmo", "demo"],
        ),
        (
            "a public address without auth",
            format!("{GOOD}listen: 0.0.0.0:7080\n"),
            3,
            &["auth"],
        ),
        (
            "a bound without a unit",
            format!("{GOOD}bounds:\n  body: lots\n"),
            4,
            &["body"],
        ),
        (
            "one address for both listeners",
            format!("{GOOD}listen: 127.0.0.1:7000\nadmin: 127.0.0.1:7000\n"),
            4,
            &["admin", "listen: 127.0.0.1:7000"],
        ),
        (
            "a route that nobody would reach",
            format!("{GOOD}routes:\n  - path: /health\n"),
            4,
            &["/health"],
        ),
        (
            "an unknown door",
            format!("{GOOD}routes:\n  - path: /a\n    doors: {{ ssse: off }}\n"),
            5,
            &["ssse", "sse"],
        ),
        ("no yaml", "upstreams: [\n".into(), 0, &[]),
    ] {
        let (exit, said) = check(&file).await;

        assert_eq!(exit, Exit::Code(2), "{name}: {said}");
        for word in words {
            assert!(said.contains(word), "{name} does not say `{word}`:\n{said}");
        }
        if line > 0 {
            assert!(
                said.contains(&format!("gateway.yaml:{line}")),
                "{name} is not on line {line}:\n{said}"
            );
        }
    }
}

#[tokio::test]
async fn all_mistakes_are_told_at_once() {
    let file = "listne: a\nupstreams:\n  docs: { url: \"htp://a.example/\" }\n  crm: { url: \"http://a.example/\", tiemout: 1s }\n";

    let (exit, said) = check(file).await;

    assert_eq!(exit, Exit::Code(2));
    for line in [1, 3, 4] {
        assert!(
            said.contains(&format!("gateway.yaml:{line}")),
            "line {line} is not told:\n{said}"
        );
    }
}

#[tokio::test]
async fn nothing_is_contacted() {
    let server = Server::start(Mood::Dual).await;
    let file = format!(
        "upstreams:\n  docs: {{ url: \"{}\" }}\n  child: {{ command: /bin/false }}\n",
        server.url()
    );

    let (exit, said) = check(&file).await;

    assert_eq!(exit, Exit::Code(0), "{said}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_secret_in_a_wrong_line_is_not_shown() {
    let file = "upstreams:\n  docs:\n    url: http://a.example/\n    headers:\n      Authorization: [secret-value]\n";

    let (exit, said) = check(file).await;

    assert_eq!(exit, Exit::Code(2), "{said}");
    assert!(!said.contains("secret-value"), "{said}");
}

#[tokio::test]
async fn a_bad_file_does_not_start() {
    let (exit, said) = Gateway::new().demo().config("listne: 127.0.0.1:1").fail().await;

    assert_eq!(exit, Exit::Code(2), "{said}");
    assert!(said.contains("listne"), "{said}");
}

#[tokio::test]
async fn a_taken_port_is_one_line_that_names_the_key() {
    let server = Server::start(Mood::Dual).await;

    let (exit, said) = Gateway::new().demo().listen(server.address()).fail().await;

    assert_eq!(exit, Exit::Code(1), "{said}");
    let lines: Vec<_> = said
        .lines()
        .filter(|line| line.contains(server.address()))
        .collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains("listen"), "{said}");
}
