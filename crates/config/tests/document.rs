//! A document and all that can be said about it, seen from outside.

#![allow(clippy::unwrap_used)]

use config::{Environment, Field, Fields, Located, Location, Problems, Source, Value, scalar};
use std::io;
use std::path::Path;

/// What a section's check returns is not of interest here, only what it reports.
fn check(text: &str, section: impl FnOnce(&mut Fields<'_>)) -> String {
    let source = Source::from_text("gateway.yaml", text);
    let problems = Problems::default();
    if let Some(node) = source.parse(&problems)
        && let Some(mut fields) = Field::root(&node, &problems).fields()
    {
        section(&mut fields);
        fields.finish();
    }
    problems.render(&source)
}

/// The one line that parsing alone reports.
fn parse(text: &str) -> String {
    let source = Source::from_text("gateway.yaml", text);
    let problems = Problems::default();
    let _ = source.parse(&problems);
    problems.render(&source)
}

struct Shelf;

impl Environment for Shelf {
    fn var(&self, name: &str) -> Option<String> {
        (name == "SESSION_SECRET").then(|| "a secret of some length".to_owned())
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("/run/secrets/crm") => Ok("hunter2\n".to_owned()),
            Some("/locked") => Err(io::ErrorKind::PermissionDenied.into()),
            Some(_) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn upstreams(fields: &mut Fields<'_>) {
    for (name, field) in fields.required("upstreams").entries().unwrap_or_default() {
        name.checked(field.problems(), scalar::server_name);
        let Some(mut upstream) = field.fields() else {
            continue;
        };
        upstream.optional("command").text();
        upstream.optional("args").texts();
        upstream.optional("url").text();
        upstream
            .either("transport", "type")
            .choice(&[("auto", 0), ("http", 1), ("sse", 2), ("stdio", 3)]);
        upstream.optional("timeout").duration();
        upstream.optional("disabled").flag();
        for (_, header) in upstream.optional("headers").entries().unwrap_or_default() {
            header.template(&Shelf);
        }
        upstream.finish();
    }
}

#[test]
fn seven_mistakes_are_seven_lines_in_the_order_of_the_document() {
    let report = check(
        "\
listen: 7080
upstreams:
  demo:
    commnad: causeway
    timeout: 5
  health:
    url: https://example.com/mcp
    transport: htp
    disabled: yes
    headers:
      Authorization: Bearer ${fiel:/run/secrets/crm}
",
        |fields| {
            upstreams(fields);
            fields.optional("listen").parsed(scalar::listen_address);
        },
    );

    assert_eq!(
        report,
        "\
gateway.yaml:1: listen: `7080` is not an address to listen on; write `127.0.0.1:7080`, or `0.0.0.0:7080` for every interface
    listen: 7080
gateway.yaml:4: upstreams.demo: `commnad` is not a key we know; did you mean `command`?
    commnad: causeway
gateway.yaml:5: upstreams.demo.timeout: `5` has no unit; did you mean `5s`?
    timeout: 5
gateway.yaml:6: upstreams.health: `health` cannot name a server; it would hide `/mcp/health`; choose another word
    health:
gateway.yaml:8: upstreams.health.transport: `htp` is not a choice here; did you mean `http`?
    transport: htp
gateway.yaml:9: upstreams.health.disabled: expected `true` or `false`, found text; did you mean `true`?
    disabled: yes
gateway.yaml:11: upstreams.health.headers.Authorization: `${fiel:…}` is not a template we know; did you mean `${file:/run/secrets/crm}`?
    Authorization: ***
"
    );
}

#[test]
fn a_key_written_twice_is_told_with_both_lines() {
    assert_eq!(
        parse("grace: 20s\nlisten: a\ngrace: 30s\n"),
        "gateway.yaml:3: `grace` is written twice, here and in line 1; keep one of them\n    grace: 30s\n"
    );
    assert!(parse("a: { b: 1, c: [ { d: 1, d: 2 } ] }\n").contains("a.c[0]: `d` is written twice"));
}

#[test]
fn a_missing_key_is_told_where_its_map_begins() {
    let report = check("grace: 1s\n\ntls:\n  cert: a\n", |fields| {
        fields.optional("grace").duration();
        let mut tls = fields.optional("tls").fields().unwrap();
        tls.optional("cert").text();
        tls.required("file").text();
        tls.finish();
    });

    assert_eq!(report, "gateway.yaml:3: tls: `file` is missing\n    tls:\n");
}

#[test]
fn a_wrong_type_says_what_was_expected_and_what_was_found() {
    let one = |line: &str, read: fn(&Field<'_>)| check(line, |fields| read(&fields.optional("a")));

    assert!(one("a: [1]", |a| drop(a.text())).contains("a: expected text, found a list"));
    assert!(one("a: x", |a| drop(a.list())).contains("a: expected a list, found text; write `[x]`"));
    assert!(one("a: x", |a| drop(a.entries())).contains("a: expected a map, found text"));
    assert!(one("a: 3", |a| drop(a.fields())).contains("a: expected a map of keys, found a number"));
    assert!(
        one("a: 70000", |a| drop(a.number(1..=65535)))
            .contains("`70000` is out of range; write one from 1 to 65535")
    );
    assert!(one("a: x", |a| drop(a.number(1..=9))).contains("`x` is not a number we can use"));
    assert!(one("a: 10M", |a| drop(a.size())).contains("did you mean `10MiB`?"));
    assert!(one("a: [x, {y: z}]", |a| drop(a.texts())).contains("a[1]: expected text, found a map"));
}

#[test]
fn two_spellings_of_one_key_cannot_both_be_used() {
    let report = check("upstreams:\n  a:\n    type: sse\n    transport: sse\n", upstreams);

    assert!(
        report.contains("gateway.yaml:3: upstreams.a.type: `type` is another word for `transport`"),
        "{report}"
    );
}

#[test]
fn off_yes_and_a_bare_template_are_text() {
    let source = Source::from_text(
        "x",
        "a: off\nb: yes\nc: ${SESSION_SECRET}\nd: ${file:/x}\ne: True\nf: 2026-07-28\n",
    );
    let problems = Problems::default();
    let node = source.parse(&problems).unwrap();
    let mut fields = Field::root(&node, &problems).fields().unwrap();

    assert_eq!(fields.optional("a").word(), Some("off"));
    assert_eq!(fields.optional("b").word(), Some("yes"));
    assert_eq!(fields.optional("c").word(), Some("${SESSION_SECRET}"));
    assert_eq!(fields.optional("d").word(), Some("${file:/x}"));
    assert_eq!(fields.optional("e").flag().map(Located::into_value), Some(true));
    assert_eq!(fields.optional("f").word(), Some("2026-07-28"));
    assert!(problems.is_empty());
}

#[test]
fn numbers_keep_their_text() {
    let source = Source::from_text(
        "x",
        "\u{feff}é: &n 1_000\nb: 007\nc: 12345678901234567890123\nd: *n\n",
    );
    let problems = Problems::default();
    let node = source.parse(&problems).unwrap();
    let mut fields = Field::root(&node, &problems).fields().unwrap();
    let mut text = |key| fields.optional(key).text().map(Located::into_value).unwrap();

    assert_eq!(text("é"), "1_000");
    assert_eq!(text("b"), "007");
    assert_eq!(text("c"), "12345678901234567890123");
    assert_eq!(text("d"), "1_000");
    assert_eq!(
        fields.optional("é").number(1..=5000).map(Located::into_value),
        Some(1000)
    );
}

#[test]
fn anchors_and_merge_keys_work_and_stand_where_they_are_used() {
    let source = Source::from_text("x", "base: &b { x: 1, y: 2 }\nuse:\n  <<: *b\n  y: 3\n");
    let problems = Problems::default();
    let node = source.parse(&problems).unwrap();
    let mut fields = Field::root(&node, &problems).fields().unwrap();
    let mut used = fields.optional("use").fields().unwrap();

    assert_eq!(used.optional("y").number(0..=9).map(Located::into_value), Some(3));
    let x = used.optional("x").number(0..=9).unwrap();
    assert_eq!((x.value, x.at.line, x.path.as_str()), (1, 3, "use.x"));
    assert!(problems.is_empty());
}

#[test]
fn what_is_not_yaml_is_one_line_with_its_place() {
    let shows = |text: &str, line: &str| {
        let report = parse(text);
        assert!(report.starts_with(line), "{text:?}\n{report}");
        assert!(!report.contains(" at line "), "{report}");
    };

    shows(
        "a: b\n\tc: d\n",
        "gateway.yaml:2: not valid YAML at column 1: a tab cannot indent; indent with spaces\n",
    );
    shows("a: 1\nb 2\n", "gateway.yaml:2: not valid YAML at column 1: ");
    shows(
        "a: b: c\n",
        "gateway.yaml:1: not valid YAML at column 5: a second `:` in one line; put quotes around the value",
    );
    shows(
        "a: 1\n---\nb: 2\n",
        "gateway.yaml:3: not valid YAML at column 1: a second document begins here",
    );
    shows(
        "key: @x\n",
        "gateway.yaml:1: not valid YAML at column 6: `@` cannot begin a value; put quotes around it\n",
    );
    shows(
        "a: &x [*x]\n",
        "gateway.yaml:1: not valid YAML at column 8: this anchor holds itself",
    );
    shows(
        "~: 1\n",
        "gateway.yaml:1: not valid YAML at column 1: a key must be a word",
    );
    shows("a: !foo x\n", "gateway.yaml:1: not valid YAML");
    let flow = parse("session: { key: ${SESSION_SECRET}, ttl: 24h }\n");
    assert!(flow.contains("needs quotes around it"), "{flow}");
}

#[test]
fn an_empty_document_is_an_empty_map() {
    for text in ["", "# nothing yet\n", "---\n"] {
        assert_eq!(check(text, |_| ()), "", "{text:?}");
    }
    assert!(check("- a\n", |_| ()).contains("expected a map of keys, found a list"));
    assert!(
        check("", |fields| drop(fields.required("upstreams")))
            .contains("gateway.yaml:1: `upstreams` is missing")
    );
}

#[test]
fn a_key_with_nothing_after_it_is_not_written() {
    let report = check("url:\nheaders: ~\n", |fields| {
        assert!(fields.required("url").text().is_none());
        assert!(fields.optional("headers").entries().is_none());
    });

    assert!(
        report.starts_with("gateway.yaml:1: `url` is missing\n"),
        "{report}"
    );
    assert_eq!(report.lines().count(), 2);
}

#[test]
fn plain_fields_read_environment_and_files() {
    let source = Source::from_text(
        "x",
        "key: ${SESSION_SECRET}\nfile: Bearer ${file:/run/secrets/crm}\n",
    );
    let problems = Problems::default();
    let node = source.parse(&problems).unwrap();
    let mut fields = Field::root(&node, &problems).fields().unwrap();

    let key = fields.required("key").resolved_secret(&Shelf).unwrap();
    assert_eq!(key.value.expose(), "a secret of some length");
    assert_eq!(format!("{key:?}").matches("a secret").count(), 0);
    assert_eq!(
        fields.required("file").resolved_text(&Shelf).unwrap().value,
        "Bearer hunter2"
    );
}

#[test]
fn what_is_missing_at_load_is_told_and_what_only_a_call_has_too() {
    let report = check(
        "a: ${NOT_SET}\nb: ${file:/gone}\nc: ${claim:email}\nd: ${file:/locked:-x}\n",
        |fields| {
            for key in ["a", "b", "c", "d"] {
                assert!(fields.optional(key).resolved_text(&Shelf).is_none());
            }
        },
    );

    assert!(report.contains("gateway.yaml:1: a: `NOT_SET` is not set in the environment; set it, or give a default: `${NOT_SET:-…}`"));
    assert!(report.contains("gateway.yaml:2: b: the file `/gone` cannot be read: "));
    assert!(
        report.contains("gateway.yaml:3: c: `${claim:email}` is only known during a call; only `${env:…}`")
    );
    assert!(report.contains("gateway.yaml:4: d: the file `/locked` cannot be read: "));
}

#[test]
fn no_report_shows_a_secret() {
    let report = check(
        "\
session: { key: hunter2, tll: 24h }
headers: { Authorization: [hunter2] }
password: [hunter2]
\"api_key\": [hunter2]
url: [https://example.com/?token=hunter2]
other: [open]
algorithms: hunter2
token_list: hunter2
named: { key: \"${env:NAME}\", x: y }
",
        |fields| {
            let mut session = fields.optional("session").fields().unwrap();
            session.optional("key").secret();
            session.finish();
            let mut headers = fields.optional("headers").fields().unwrap();
            headers.optional("Authorization").text();
            headers.finish();
            for key in ["password", "api_key", "url", "other"] {
                fields.optional(key).text();
            }
            fields.optional("token_list").list();
            let algorithms = fields.optional("algorithms");
            algorithms
                .problems()
                .add(algorithms.text().unwrap().problem("is not one").secret());
            fields.optional("named").text();
        },
    );

    assert!(!report.contains("hunter2"), "{report}");
    assert!(report.contains("    other: [open]\n"), "{report}");
    assert!(
        report.contains("    named: { key: \"${env:NAME}\", x: y }\n"),
        "{report}"
    );
    assert_eq!(
        report
            .lines()
            .filter(|line| line.starts_with("gateway.yaml:"))
            .count(),
        9
    );
}

#[test]
fn no_report_drives_a_terminal() {
    let report = check("\"a\\e[31m\\nb\": 1\n\"c\\u0007\": 1\n\"c\\u0007\": 2\n", |_| ());

    assert_eq!(report.lines().count(), 6, "{report}");
    assert!(
        !report.contains(|c: char| c.is_control() && c != '\n'),
        "{report:?}"
    );
}

#[test]
fn a_warning_is_no_mistake() {
    let source = Source::from_text("gateway.yaml", "auth: none\n");
    let problems = Problems::default();
    let node = source.parse(&problems).unwrap();
    let auth = Field::root(&node, &problems)
        .fields()
        .unwrap()
        .optional("auth")
        .text()
        .unwrap();

    problems.add(auth.problem("everyone may call everything").warning());

    assert!(!problems.any_mistake());
    assert_eq!(
        problems.render(&source),
        "gateway.yaml:1: warning: auth: everyone may call everything\n    auth: none\n"
    );
}

#[test]
fn nesting_and_aliases_are_bounded() {
    let too_deep = "lists and maps nest deeper than 24 levels";
    let brackets = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(parse(&brackets(24)), "");
    for depth in [25, 100, 100_000] {
        assert!(parse(&brackets(depth)).contains(too_deep), "{depth}");
    }
    let block: String = (0..2_000)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    assert!(parse(&block).contains(too_deep));
    let chain: String = (1..100)
        .map(|link| format!("a{link}: &a{link} [*a{}]\n", link - 1))
        .collect();
    assert!(parse(&format!("a0: &a0 x\n{chain}")).contains(too_deep));

    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![below; 9].join(", "));
    }
    assert!(parse(&bomb).contains("the aliases unfold to too much"));
}

#[test]
fn a_file_that_is_no_text_names_the_line() {
    let problem = Source::from_bytes("gateway.yaml", b"a: 1\nb: \xff\n".to_vec()).unwrap_err();
    assert_eq!(problem.to_string(), "line 2 is not UTF-8 text");

    let directory = tempfile::tempdir().unwrap();
    assert!(Source::read(&directory.path().join("none.yaml")).is_err());
    let file = directory.path().join("gateway.yaml");
    std::fs::write(&file, "a: 1\n").unwrap();
    assert_eq!(Source::read(&file).unwrap().line(1), Some("a: 1"));
}

#[test]
fn places_are_those_of_the_keys() {
    let source = Source::from_text("x", "a:\n  b: |\n    text\n  c:\n    - d\n");
    let problems = Problems::default();
    let node = source.parse(&problems).unwrap();
    let Value::Map(entries) = &node.value else {
        panic!("a map")
    };
    assert_eq!(entries[0].at, Location { line: 1, column: 1 });

    let mut a = Field::root(&node, &problems)
        .fields()
        .unwrap()
        .optional("a")
        .fields()
        .unwrap();
    assert_eq!(
        a.optional("b").text().unwrap().at,
        Location { line: 2, column: 3 }
    );
    let d = a.optional("c").list().unwrap()[0].text().unwrap();
    assert_eq!(
        (d.at, d.path.as_str()),
        (Location { line: 5, column: 7 }, "a.c[0]")
    );
}
