//! What becomes of messages between revisions: pairs of files, and what holds for any input.
//!
//! `fixtures/translate/<earlier>_<later>/<up|down>/<what>.{in,out}.json`: `up` is what travels to a peer of the later
//! revision. The name says what it is: `request`, `answer.<method>`, `notice`, `question.<method>` (its parameters),
//! `reply.<method>` (its result), `client` and `server` (capabilities); of a method `/` is written `-`. What comes out
//! is judged by the official schema of the reader's revision, and what goes in by that of the writer's, unless its
//! name says that it is `sloppy`. `null` stands for a notification that ends, a string for the reason of a refusal.

mod any;
mod schema;

use super::message;
use mcp::translate::{Said, Unaskable};
use mcp::{Between, Message, Method, Revision};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SAID: Said<'_> = Said {
    capabilities: br#"{"roots":{},"elicitation":{"form":{}}}"#,
    client_info: Some(br#"{"name":"caller","version":"1.10"}"#),
    log_level: Some("warning"),
};

/// One pair of files.
struct Pair {
    path: String,
    writer: Revision,
    reader: Revision,
    /// The name up to its last dot.
    what: String,
    sloppy: bool,
    given: String,
    expected: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/translate")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the fixtures are checked in");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .into_string()
                .expect("a plain name")
        })
        .collect();
    names.sort();
    names
}

fn pairs() -> Vec<Pair> {
    let mut pairs = Vec::new();
    for step in names(&root()) {
        let (earlier, later) = step.split_once('_').expect("a step names two revisions");
        let revision = |date| Revision::parse(date).expect("a revision");
        let (earlier, later) = (revision(earlier), revision(later));
        for direction in names(&root().join(&step)) {
            let (writer, reader) = match direction.as_str() {
                "up" => (earlier, later),
                "down" => (later, earlier),
                other => panic!("{step}/{other} is neither up nor down"),
            };
            let folder = root().join(&step).join(&direction);
            let mut files: BTreeMap<String, [Option<String>; 2]> = BTreeMap::new();
            for name in names(&folder) {
                let text = std::fs::read_to_string(folder.join(&name)).expect("text");
                let (name, side) = match (name.strip_suffix(".in.json"), name.strip_suffix(".out.json")) {
                    (Some(name), _) => (name, 0),
                    (_, Some(name)) => (name, 1),
                    _ => panic!("{step}/{direction}/{name} is no side of a pair"),
                };
                files.entry(name.to_owned()).or_default()[side] = Some(text);
            }
            for (name, sides) in files {
                let path = format!("{step}/{direction}/{name}");
                let [Some(given), Some(expected)] = sides else {
                    panic!("{path} has one side only");
                };
                let (what, title) = name.rsplit_once('.').expect("a name of several parts");
                pairs.push(Pair {
                    what: what.to_owned(),
                    sloppy: title.starts_with("sloppy-"),
                    path,
                    writer,
                    reader,
                    given,
                    expected,
                });
            }
        }
    }
    pairs
}

/// The text of JSON without the white space between its tokens.
fn dense(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let mut text = String::new();
    for letter in json.chars() {
        if quoted || !letter.is_whitespace() {
            text.push(letter);
        }
        if letter == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && letter == '\\' && !escaped;
    }
    text
}

fn method(name: &str) -> Method {
    let method = Method::parse(&name.replace('-', "/"));
    assert!(!matches!(method, Method::Other(_)), "{name} is no method");
    method
}

fn whole(message: &Message) -> String {
    std::str::from_utf8(message.bytes()).expect("text").to_owned()
}

fn quoted(reason: impl std::fmt::Debug) -> String {
    format!("\"{reason:?}\"")
}

/// Whichever of the two is the client, what a pair says of its message.
fn translated(pair: &Pair) -> String {
    let toward_server = Between {
        client: pair.writer,
        server: pair.reader,
    };
    let toward_client = Between {
        client: pair.reader,
        server: pair.writer,
    };
    let given = dense(&pair.given);
    let text = |text: &[u8]| String::from_utf8(text.to_vec()).expect("text");
    let (what, about) = pair.what.split_once('.').unwrap_or((&pair.what, ""));
    match what {
        "request" => whole(&toward_server.request(&message(&given), &SAID)),
        "answer" => whole(&toward_client.answer(&method(about), &message(&given))),
        "notice" => match toward_client.notice(&message(&given)) {
            Some(message) => whole(&message),
            None => "null".to_owned(),
        },
        "question" => {
            match toward_client.question(&method(about), Some(given.as_bytes()), "named-by-the-gateway") {
                Ok(params) => text(&params.expect("parameters stay parameters")),
                Err(reason) => quoted(reason),
            }
        }
        "reply" => match toward_server.reply(&method(about), given.as_bytes()) {
            Ok(result) => text(&result),
            Err(reason) => quoted(reason),
        },
        "client" => text(&toward_server.client_capabilities(given.as_bytes())),
        "server" => text(&toward_client.server_capabilities(given.as_bytes())),
        other => panic!("{}: {other} is nothing that travels", pair.path),
    }
}

#[test]
fn every_pair_of_files_is_what_translation_does() {
    let mut problems = Vec::new();
    let mut steps = BTreeSet::new();
    for pair in pairs() {
        let found = translated(&pair);
        if found != dense(&pair.expected) {
            problems.push(format!(
                "{}\n  found    {found}\n  expected {}",
                pair.path,
                dense(&pair.expected)
            ));
            continue;
        }
        let side = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        let (given, expected) = (side(&pair.given), side(&pair.expected));
        if !pair.sloppy {
            problems.extend(
                schema::judge(pair.writer, &pair.what, &given)
                    .err()
                    .map(|words| format!("{} in: {words}", pair.path)),
            );
        }
        if expected.is_object() {
            problems.extend(
                schema::judge(pair.reader, &pair.what, &expected)
                    .err()
                    .map(|words| format!("{} out: {words}", pair.path)),
            );
        }
        steps.insert((pair.writer, pair.reader));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(steps.len(), 8, "each step has pairs both ways");
}

#[test]
fn equal_revisions_are_equal_bytes() {
    for pair in pairs() {
        let between = Between {
            client: pair.reader,
            server: pair.reader,
        };
        assert!(between.is_same());
        let given = pair.given.as_bytes();
        assert_eq!(between.client_capabilities(given), given);
        assert_eq!(between.server_capabilities(given), given);
        let method = Method::SamplingCreateMessage;
        assert_eq!(
            between
                .question(&method, Some(given), "")
                .expect("askable")
                .as_deref(),
            Some(given)
        );
        assert_eq!(between.reply(&method, given).expect("sayable"), given);
        if matches!(pair.what.split('.').next(), Some("request" | "answer" | "notice")) {
            let original = message(&pair.given);
            let same = |other: &Message| assert_eq!(other.bytes().as_ptr(), original.bytes().as_ptr());
            same(&between.request(&original, &SAID));
            same(&between.answer(&Method::ToolsCall, &original));
            same(&between.notice(&original).expect("it passes"));
        }
    }
}

#[test]
fn a_way_of_several_steps_is_all_of_them() {
    let newest_to_oldest = Between {
        client: Revision::V2024_11_05,
        server: Revision::V2026_07_28,
    };
    let result = message(
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"audio","data":"QQ==","mimeType":"a/b"},{"type":"resource_link","uri":"u:1","name":"n"},{"type":"hologram"}],"structuredContent":7}}"#,
    );

    let translated = newest_to_oldest.answer(&Method::ToolsCall, &result);

    assert_eq!(
        whole(&translated),
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"resource","resource":{"uri":"gateway:audio/1","mimeType":"a/b","blob":"QQ=="}},{"type":"text","text":"n <u:1>"},{"type":"text","text":"[content of type `hologram`, which this client's protocol revision does not have]"},{"type":"text","text":"7"}]}}"#
    );

    let oldest_to_newest = Between {
        client: Revision::V2026_07_28,
        server: Revision::V2024_11_05,
    };
    let error = message(r#"{"jsonrpc":"2.0","id":"x","error":{"code":-32601,"message":"no"}}"#);
    assert_eq!(
        whole(&oldest_to_newest.answer(&Method::CompletionComplete, &error)),
        r#"{"jsonrpc":"2.0","id":"x","result":{"completion":{"values":[]},"resultType":"complete"}}"#
    );
}

const TO_MODERN: Between = Between {
    client: Revision::V2025_06_18,
    server: Revision::V2026_07_28,
};

#[test]
fn whether_a_client_can_be_asked_does_not_hang_on_what() {
    for (client, params, expected) in [
        (Revision::V2025_03_26, None, Some(Unaskable::Elicitation)),
        (
            Revision::V2024_11_05,
            Some(&b"[garbage"[..]),
            Some(Unaskable::Elicitation),
        ),
        (
            Revision::V2025_06_18,
            Some(br#"{"mode":"u\u0072l"}"#),
            Some(Unaskable::Url),
        ),
        (Revision::V2025_06_18, None, None),
        (Revision::V2025_06_18, Some(b"{"), None),
        (Revision::V2025_06_18, Some(b"[1]"), None),
    ] {
        let between = Between { client, ..TO_MODERN };
        let asked = between.question(&Method::ElicitationCreate, params, "n");
        match expected {
            Some(reason) => assert_eq!(asked, Err(reason)),
            None => assert_eq!(asked.expect("askable").as_deref(), params),
        }
    }
    assert_eq!(Unaskable::Url.stands_for(), Some(r#"{"action":"cancel"}"#));
    assert_eq!(Unaskable::ToolUse.stands_for(), None);
}

#[test]
fn blocks_of_no_kind_pass() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"data":1.10},7,{"type":5},[{"type":"audio"}],null]}}"#;
    let between = Between {
        client: Revision::V2024_11_05,
        server: Revision::V2025_11_25,
    };
    assert_eq!(whole(&between.answer(&Method::ToolsCall, &message(text))), text);
}

/// A server could make us hold much more than it sent, if what stands beside the blocks were repeated with each.
#[test]
fn taking_messages_apart_does_not_multiply_what_is_long() {
    let long = "x".repeat(10_000);
    let blocks = vec!["7"; 1_000].join(",");
    for params in [
        format!(r#"{{"messages":[{{"role":"user","_meta":{{"x":"{long}"}},"content":[{blocks}]}}]}}"#),
        format!(r#"{{"messages":[{{"role":"{long}","content":[{blocks}]}}]}}"#),
    ] {
        let asked = TO_MODERN.question(&Method::SamplingCreateMessage, Some(params.as_bytes()), "n");
        let asked = asked.expect("askable").expect("parameters");
        assert!(
            asked.len() < 5 * params.len(),
            "{} of {}",
            asked.len(),
            params.len()
        );
        assert!(serde_json::from_slice::<Value>(&asked).is_ok());
    }
}

/// Each block is compared with the whole of it; were it read anew for each, this would take minutes.
#[test]
fn long_structured_content_is_read_once_however_many_blocks_there_are() {
    let long = "\\n ".repeat(300_000);
    let blocks = vec![r#"{"type":"text","text":"\"\\n"}"#; 20_000].join(",");
    let result = message(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{blocks}],"structuredContent":"{long}"}}}}"#
    ));
    let began = Instant::now();

    let answer = TO_MODERN.answer(&Method::ToolsCall, &result);

    assert!(
        answer.bytes().len() > result.bytes().len(),
        "it is said in a text of its own"
    );
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn what_a_client_says_of_itself_cannot_break_the_request() {
    let call = message(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":7,"name":"t"}}"#);
    let said = Said {
        capabilities: br#"{}},"x":{"#,
        client_info: Some(b"["),
        log_level: Some("loud\""),
    };

    let request = TO_MODERN.request(&call, &said);

    assert_eq!(
        whole(&request),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"name":"t"}}"#
    );
    assert_eq!(request.protocol_version().as_deref(), Some("2026-07-28"));
    assert_eq!(request.client_capabilities(), Some(&b"{}"[..]));
    assert_eq!(request.subject().as_deref(), Some("t"));
}
